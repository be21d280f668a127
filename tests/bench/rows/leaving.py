"""Clients that leave: their requests must not reach a pod, and their pod must not get a second one."""

import time

import figures
import programs
from rows import Column, Goal, Row, behind

WAITING, BODY_BYTES = 496, 100 << 10
NOTICED_S = 0.3
ROUNDS = 8


def start(gateway, clients, **options):
    load = programs.Load(gateway.addresses, clients=clients, once=True, **options)
    load.expect("begin")
    load.expect("sent")
    return load


class Queue(Row):
    name, title = "leave_queue", "Clients that leave the queue"
    what = (f"One busy pod; {WAITING} POSTs of 100 KiB wait, and their clients leave; then one more "
            "request comes. How many of the dead reach the pod once it goes on.")
    subjects = ("slotgate", "haproxy")
    columns = (Column("dead", "dead requests at the pod", 0),
               Column("next_ms", "until the next one was answered, ms", 1))
    full_only = True
    turns_full = 3

    def measure(self, subject, full):
        with behind(subject, 1, work_ms=5, one_slot=True) as (pods, gateway):
            pods.order("reset")
            with pods.paused():
                first = start(gateway, 1)
                with start(gateway, WAITING, body=BODY_BYTES, pace_us=100):
                    time.sleep(NOTICED_S)
                time.sleep(NOTICED_S)
                last = start(gateway, 1)
            with first, last:
                answered = last.report()
                return {"dead": self._all_that_came(pods) - 2,
                        "next_ms": answered["latency"]["p50_us"] / 1e3}

    @staticmethod
    def _all_that_came(pods):
        """Requests at the pod, once no more come."""
        before, now = -1, pods.report()["requests"]
        while now != before:
            time.sleep(NOTICED_S)
            before, now = now, pods.report()["requests"]
        return now

    def goals(self, turns):
        dead = max(figures.of(turns, "slotgate", "dead"))
        yield Goal("none of them reaches a pod", f"{dead:.0f}", dead == 0)


class Work(Row):
    name, title = "leave_work", "Clients that leave mid-job"
    what = (f"{ROUNDS} times: a pod with one slot works, two more requests wait, and the client of "
            "the job leaves. Does the pod get a second job while it works on the first?")
    subjects = ("slotgate", "haproxy")
    columns = (Column("overbooked", f"times of {ROUNDS} with two jobs on the pod", 0),
               Column("most_jobs", "jobs at once", 0))
    full_only = True
    turns_full = 1

    def once_more(self, subject):
        with behind(subject, 1, work_ms=400, one_slot=True) as (pods, gateway):
            pods.order("reset")
            with start(gateway, 1):
                waiting = start(gateway, 2)
            with waiting:
                waiting.report()
                return pods.report()["most_jobs"]

    def measure(self, subject, full):
        most = [self.once_more(subject) for _ in range(ROUNDS)]
        return {"overbooked": sum(jobs > 1 for jobs in most), "most_jobs": max(most)}

    def goals(self, turns):
        count = max(figures.of(turns, "slotgate", "overbooked"))
        yield Goal("never a second job on a busy pod", f"{count:.0f}", count == 0)
