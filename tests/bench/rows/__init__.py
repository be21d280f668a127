"""The rows: what is measured, of whom, and what the goal is.

A row names its subjects (gateways, mostly), its columns and its goals. `measure` is one turn of one
subject; the turns go round the subjects."""

import contextlib
from dataclasses import dataclass

import peers
import programs


@dataclass
class Column:
    key: str
    title: str
    digits: int = 1


@dataclass
class Goal:
    text: str
    figure: str
    reached: bool | None  # None: these turns cannot tell


class Row:
    name = title = what = ""
    subjects = ("slotgate", "haproxy", "nginx", "direct")
    columns = ()
    turns, turns_full = 3, 5
    once = ()  # subjects that are measured in the first turn only
    full_only = False

    def measure(self, subject, full):
        """The values of the columns, by key."""
        raise NotImplementedError

    def goals(self, turns):
        """Yields a Goal for each."""
        return ()


@contextlib.contextmanager
def behind(subject, count, work_ms=0, answer_bytes=64, shut=False, **options):
    """Pods, and the gateway before them: (pods, gateway)."""
    programs.recycle_ports()
    with programs.Pods(count, work_ms, answer_bytes, shut) as pods:
        with peers.PEERS[subject](pods, **options) as gateway:
            yield pods, gateway


@dataclass
class Interval:
    """What a closed loop of clients has seen, and what it took."""

    load: dict
    pods: dict
    cpu_us: float

    def per_answer(self, value):
        return value / max(1, self.load["answers"])

    def rate(self):
        return self.load["answers"] / self.load["seconds"]


def closed_loop(pods, gateway, **load_options):
    with programs.Load(gateway.addresses, **load_options) as load:
        load.expect("begin")
        before = gateway.cpu_ns()
        pods.order("reset")
        seen = load.report()
        after = gateway.cpu_ns()
        return Interval(seen, pods.report(), (after - before) / 1e3)


def check_clean(interval, what):
    bad = interval.load["refused"] + interval.load["broken"]
    if bad:
        raise SystemExit(f"bench: {what}: {bad} requests failed: {interval.load}")


def registry():
    """All rows in the order of the page."""
    from rows import cold, core, leaving, memory, pass_through, push, queue, slow, tls
    return [
        pass_through.PassThrough(64, "64 B"),
        pass_through.PassThrough(64 << 10, "64 KiB"),
        queue.Queue(),
        queue.Fleet(),
        memory.Held(2000, 1 << 10),
        memory.Held(2000, 100 << 10),
        memory.HeldFull(5000, 1 << 10),
        memory.HeldFull(5000, 100 << 10),
        memory.HeldFull(memory.as_many_as_possible(), 1 << 10),
        slow.Slow("down"),
        slow.Slow("up"),
        cold.Cold(),
        push.Push(),
        pass_through.Large(),
        tls.Requests(),
        tls.Handshakes(resume=False),
        tls.Handshakes(resume=True),
        tls.Http2(),
        leaving.Queue(),
        leaving.Work(),
        core.Cycle(),
        core.Tick(),
        core.Scrape(),
    ]
