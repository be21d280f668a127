"""The queue at work: how long a slot idles between two jobs, and what a queued request costs."""

import figures
from rows import Column, Goal, Row, behind, check_clean, closed_loop


class Queue(Row):
    name, title = "queue", "Queued requests"
    what = ("8 pods with one slot and 5 ms of work, 64 clients (direct: one client for each pod). "
            "The gap is the pod's own: its answer's last byte to the next request's first. "
            "What bounds the CPU time: 84 % of slotgate's is the kernel's (of HAProxy's 81 %; perf, "
            "cpu-clock), in two sends that wake the other side, two reads and two waits, which a "
            "gateway with a connection on either side cannot do without: with no code of its own at "
            "all it would be at 0.84x. More loops would not make it less, and each grant would have "
            "to be agreed between them.")
    subjects = ("slotgate", "haproxy", "direct")
    columns = (Column("share", "share of the ideal, %", 2), Column("gap_p50_us", "gap P50 us", 0),
               Column("gap_p99_us", "gap P99 us", 0), Column("cpu_us", "CPU us/request", 1),
               Column("most_jobs", "jobs at once", 0))
    turns, turns_full = 5, 12
    pods, work_ms, clients = 8, 5, 64

    def measure(self, subject, full):
        with behind(subject, self.pods, self.work_ms, one_slot=True) as (pods, gateway):
            clients = self.pods if subject == "direct" else self.clients
            seen = closed_loop(pods, gateway, clients=clients, seconds=4 if full else 3,
                               warm_ms=600)
        check_clean(seen, subject)
        ideal = self.pods * 1000 / self.work_ms
        return {"share": 100 * seen.rate() / ideal, "gap_p50_us": seen.pods["gap"]["p50_us"],
                "gap_p99_us": seen.pods["gap"]["p99_us"], "cpu_us": seen.per_answer(seen.cpu_us),
                "most_jobs": seen.pods["most_jobs"]}

    def goals(self, turns):
        for key, name in (("gap_p50_us", "P50"), ("gap_p99_us", "P99")):
            at, low, high = figures.added_ratio(turns, key)
            reached = True if high <= 0.5 else False if low > 0.5 else None
            yield Goal(f"gap {name}: adds to direct at most half of what HAProxy adds",
                       f"{at:.2f}x [{low:.2f}, {high:.2f}]", reached)
        share, cpu = figures.ratio(turns, "share"), figures.ratio(turns, "cpu_us")
        yield Goal("throughput not below HAProxy's", f"{share:.3f}x", share >= 0.98)
        yield Goal("CPU per queued request at most 0.7x HAProxy's", f"{cpu:.2f}x", cpu <= 0.7)
        most = max(figures.of(turns, "slotgate", "most_jobs"))
        yield Goal("never two jobs on a pod", f"{most:.0f}", most <= 1)


class Fleet(Queue):
    name, title = "fleet", "A fleet's queue"
    what = "200 pods with one slot and 100 ms of work, 800 clients (direct: 200)."
    turns = turns_full = 5
    full_only = True
    pods, work_ms, clients = 200, 100, 800

    def goals(self, turns):
        share, gap = figures.ratio(turns, "share"), figures.ratio(turns, "gap_p99_us")
        yield Goal("throughput not below HAProxy's", f"{share:.3f}x", share >= 0.98)
        yield Goal("gap P99 at most half of HAProxy's", f"{gap:.2f}x", gap <= 0.5)
