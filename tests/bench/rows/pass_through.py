"""Requests beside the slots: what plain proxying costs. And large answers."""

import figures
from rows import Column, Goal, Row, behind, check_clean, closed_loop


class PassThrough(Row):
    columns = (Column("rate", "requests/s", 0), Column("cpu_us", "CPU us/request", 2),
               Column("p50_us", "P50 us", 0), Column("p99_us", "P99 us", 0),
               Column("own_us", "load + pods, CPU us/request", 2))

    def __init__(self, answer_bytes, size):
        self.answer_bytes = answer_bytes
        self.name = f"pass_through_{size.replace(' ', '')}"
        self.title = f"Pass-through, {size} answers"
        self.what = "64 clients with kept connections, 4 pods that answer at once, no slots."

    def measure(self, subject, full):
        with behind(subject, 4, answer_bytes=self.answer_bytes) as (pods, gateway):
            seen = closed_loop(pods, gateway, clients=64, seconds=4 if full else 2, warm_ms=400)
        check_clean(seen, subject)
        return {"rate": seen.rate(), "cpu_us": seen.per_answer(seen.cpu_us),
                "p50_us": seen.load["latency"]["p50_us"], "p99_us": seen.load["latency"]["p99_us"],
                "own_us": seen.per_answer(seen.load["cpu_us"] + seen.pods["cpu_us"])}

    def goals(self, turns):
        rate, cpu = figures.ratio(turns, "rate"), figures.ratio(turns, "cpu_us")
        # Differences under 2 % in a rate say nothing.
        yield Goal("requests/s at least HAProxy's", f"{rate:.2f}x", rate >= 0.98)
        yield Goal("CPU per request no more than HAProxy's", f"{cpu:.2f}x", cpu <= 1.0)


class Large(Row):
    name, title = "large", "Large answers"
    what = "3 MB answers of 8 pods with one slot each and no work, 32 clients."
    columns = (Column("megabytes", "MB/s", 0), Column("cpu_ns", "CPU ns/KiB", 1),
               Column("most_jobs", "jobs at once", 0))
    full_only = True
    answer_bytes = 3_000_000

    def measure(self, subject, full):
        with behind(subject, 8, answer_bytes=self.answer_bytes,
                    one_slot=subject != "nginx") as (pods, gateway):
            clients = 8 if subject == "direct" else 32
            seen = closed_loop(pods, gateway, clients=clients, seconds=3, warm_ms=500)
        check_clean(seen, subject)
        count = seen.load["bytes_down"]
        return {"megabytes": count / seen.load["seconds"] / 1e6,
                "cpu_ns": seen.cpu_us * 1e3 / (count / 1024), "most_jobs": seen.pods["most_jobs"]}

    def goals(self, turns):
        cpu = figures.ratio(turns, "cpu_ns")
        yield Goal("CPU per byte no more than HAProxy's", f"{cpu:.2f}x", cpu <= 1.0)
