"""What a request costs that waits: the process's anonymous memory and the kernel's for its socket."""

import time

import figures
import machine
import programs
from peers import HAPROXY_MOST_CLIENTS
from rows import Column, Goal, Row, behind

SETTLE_S = 0.3
PATIENCE_S = 30
LONG_WORK_MS = 600_000


def settled(gateway):
    """The memory once it grows no more: the last bodies have been read, or will not be."""
    deadline, last = time.monotonic() + PATIENCE_S, None
    while time.monotonic() < deadline:
        now = gateway.memory_bytes()
        if last and abs(sum(now) - sum(last)) < max(64 << 10, sum(now) // 200):
            return now
        last = now
        time.sleep(SETTLE_S)
    raise SystemExit(f"bench: {gateway.name}: its memory does not settle")


def as_many_as_possible():
    """15,000; or what two descriptors for each, as gateways count, leave of this machine's limit."""
    return min(15_000, (machine.raise_descriptor_limit() - 2200) // 2)


class Held(Row):
    subjects = ("slotgate", "haproxy")
    columns = (Column("total", "KiB/request", 2), Column("over", "beyond its body, KiB", 2),
               Column("process", "of it anonymous memory", 2),
               Column("kernel", "of it socket buffers", 2))

    def __init__(self, count, body):
        self.count, self.body = count, body
        self.name = f"held_{count}x{body >> 10}KiB"
        self.title = f"Held requests: {count:,} with {body >> 10} KiB"
        self.what = ("POSTs that wait for one busy pod. Less what the gateway had before they came. "
                     "No page cache, no slab. slotgate is told to keep all of it in memory "
                     "(limits.spoolMemory): by default what goes over 256 MiB is in files.")
        if count > HAPROXY_MOST_CLIENTS:
            self.subjects = ("slotgate",)
            self.what += " HAProxy is not configured for so many."

    def measure(self, subject, full):
        with behind(subject, 1, LONG_WORK_MS, one_slot=True, warm=False,
                    all_in_memory=True) as (_, gateway):
            with programs.Load(gateway.addresses, clients=1, once=True, path="/job") as first:
                first.expect("begin")
                first.expect("sent")
                before = settled(gateway)
                with programs.Load(gateway.addresses, clients=self.count, once=True,
                                   body=self.body, pace_us=50) as load:
                    load.expect("begin")
                    load.expect("sent")
                    after = settled(gateway)
                    load.leave()
                    self._check_held(load.report())
        process, kernel = ((now - then) / self.count / 1024 for now, then in zip(after, before))
        return {"total": process + kernel, "over": process + kernel - self.body / 1024,
                "process": process, "kernel": kernel}

    def _check_held(self, seen):
        gone = seen["answers"] + seen["refused"] + seen["broken"]
        if gone:
            raise SystemExit(f"bench: {self.name}: {gone} requests did not wait: {seen}")

    def goals(self, turns):
        over = figures.median(figures.of(turns, "slotgate", "over"))
        yield Goal("body + 2 KiB at most", f"body + {over:.2f} KiB", over <= 2)


class HeldFull(Held):
    full_only = True
