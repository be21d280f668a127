"""Slow clients: does a slot wait for them?"""

import figures
from rows import Column, Goal, Row, behind, check_clean, closed_loop

BODY_BYTES, BYTES_PER_S, CLIENTS, PODS, WORK_MS = 1_500_000, 500_000, 256, 8, 50


class Slow(Row):
    columns = (Column("share", "of what the links allow, %", 1), Column("rate", "requests/s", 1),
               Column("cpu_ms", "CPU ms/request", 2))
    turns_full = 3
    once = ("nginx", "direct")

    def __init__(self, way):
        self.way = way
        self.name = f"slow_{way}"
        self.title = {"down": "Slow readers", "up": "Slow uploads"}[way]
        self.what = (f"{CLIENTS} clients whose links carry 500 kB/s {way}load 1.5 MB each, again and "
                     f"again; {PODS} pods with one slot and {WORK_MS} ms of work. The links allow "
                     f"{CLIENTS} requests in 3.05 s. Direct, and nginx, which has no queue: the "
                     "clients share the pods, whose GPUs do one after the other.")

    def measure(self, subject, full):
        down = self.way == "down"
        options = {"down_rate": BYTES_PER_S} if down else {"up_rate": BYTES_PER_S,
                                                           "body": BODY_BYTES}
        # Two rounds of each client, once all of them are under way.
        with behind(subject, PODS, WORK_MS, answer_bytes=BODY_BYTES if down else 64,
                    one_slot=subject in ("slotgate", "haproxy")) as (pods, gateway):
            seen = closed_loop(pods, gateway, clients=CLIENTS, seconds=6, warm_ms=3600, **options)
        check_clean(seen, subject)
        # Answers in bytes, so that those under way at either end count for what they are. An upload
        # counts when it is answered: the kernel takes a good part of it from any client.
        rate = seen.load["bytes_down"] / BODY_BYTES / seen.load["seconds"] if down else seen.rate()
        ideal = CLIENTS / (BODY_BYTES / BYTES_PER_S + WORK_MS / 1000)
        return {"share": 100 * rate / ideal, "rate": rate,
                "cpu_ms": seen.cpu_us / 1e3 / max(1, rate * seen.load["seconds"])}

    def goals(self, turns):
        share = figures.median(figures.of(turns, "slotgate", "share"))
        direct = figures.median(figures.of(turns, "direct", "share"))
        yield Goal("99 % of what the links allow (of what a direct run reaches)",
                   f"{100 * share / direct:.1f} %", share / direct >= 0.99)
