"""Cold: requests wait, the first pod comes up."""

import figures
import programs
from rows import Column, Goal, Row, behind

REQUESTS, PODS, WORK_MS = 100, 4, 2


class Cold(Row):
    name, title = "cold", "The first pod comes up"
    what = (f"{REQUESTS} numbered requests wait for {PODS} pods with one slot, which open their "
            "ports in the same moment; from there to the first request's first byte. A place is "
            "lost when a request reaches a pod later than its number says, and no more than one "
            "for each pod is chance.")
    subjects = ("slotgate", "haproxy")
    columns = (Column("first_p50_ms", "first request P50 ms", 2),
               Column("first_p99_ms", "P99 ms", 2), Column("worst_place", "places lost, worst", 0),
               Column("most_jobs", "jobs at once, worst", 0),
               Column("failed", "requests failed", 0))
    starts, starts_full = 12, 40

    def start_once(self, subject):
        with behind(subject, PODS, WORK_MS, shut=True, one_slot=True, cold=True) as (pods, gateway):
            with programs.Load(gateway.addresses, clients=REQUESTS, once=True, pace_us=500,
                               body=100) as load:
                load.expect("begin")
                load.expect("sent")
                pods.order("reset")
                pods.order("open")
                seen = load.report()
                return {**pods.report(), "failed": seen["refused"] + seen["broken"]}

    def measure(self, subject, full):
        seen = [self.start_once(subject)
                for _ in range(self.starts_full if full else self.starts)]
        firsts = sorted(one["first_us"] / 1e3 for one in seen)
        return {"first_p50_ms": figures.median(firsts),
                "first_p99_ms": firsts[int(0.99 * len(firsts))],
                "worst_place": max(one["worst_place"] for one in seen),
                "most_jobs": max(one["most_jobs"] for one in seen),
                "failed": sum(one["failed"] for one in seen)}

    def goals(self, turns):
        p50, p99 = (figures.median(figures.of(turns, "slotgate", key))
                    for key in ("first_p50_ms", "first_p99_ms"))
        places = max(figures.of(turns, "slotgate", "worst_place"))
        yield Goal("P50 under 5 ms", f"{p50:.2f} ms", p50 < 5)
        yield Goal("P99 under 20 ms", f"{p99:.2f} ms", p99 < 20)
        yield Goal("in order of arrival", f"{places:.0f} places", places <= PODS)
