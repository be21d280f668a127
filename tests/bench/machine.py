"""What the machine does beside the bench, and what a process has used of it."""

import os
import platform
import re
import resource
import subprocess
import time
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
GATEWAY_CORE, LOAD_CORE = CORES[-1], CORES[0]  # interrupts tend to hit the first one
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pin(core):
    """To be called in a child, or for oneself."""
    os.sched_setaffinity(0, {core})


def cpu_ns(pid):
    """The CPU time of all threads of a process, of those that run."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def anonymous_bytes(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous:\s+(\d+) kB", text, re.M)[1]) * 1024


def socket_bytes(*filters):
    """The kernel's memory for the data of established connections that fit: what was received and
    not read, what was sent and not taken, and what is set aside for more."""
    out = subprocess.run(["ss", "-tmnH", "state", "established", *filters], text=True,
                         stdout=subprocess.PIPE, check=True).stdout
    found = re.findall(r"skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+)", out)
    return sum(int(n) for one in found for n in one)


def _busy_s():
    """CPU time that somebody has used, and what the host has taken."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = (int(w) for w in words[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def _own_s():
    """The CPU time of this process and of its children: those that run, and those that were."""
    mine, ended = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    total = mine.ru_utime + mine.ru_stime + ended.ru_utime + ended.ru_stime
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return total + sum(cpu_ns(pid) / 1e9 for pid in children if os.path.exists(f"/proc/{pid}"))


class Quiet:
    """Whether the machine was ours: `foreign` is the CPU time of others, as a share of one core.

    Ticks are 10 ms, and the kernel's own work in between is nobody's: a few percent mean nothing.
    """

    LIMIT = 0.08

    def __enter__(self):
        self._start = (time.monotonic(), _busy_s(), _own_s())
        return self

    def __exit__(self, *_):
        seconds, busy, own = (now - then for now, then in zip(
            (time.monotonic(), _busy_s(), _own_s()), self._start))
        self.foreign = max(0.0, busy - own) / seconds
        self.disturbed = self.foreign > self.LIMIT


def first_line(*command):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    return done.stdout.split("\n", 1)[0].strip()


def describe():
    """(name, value) of what a reader must know to judge the figures."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
    yield "machine", (f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, "
                      f"{memory / 2**20:.0f} GiB; {first_line('systemd-detect-virt') or 'bare'}")
    yield "kernel", f"{platform.system()} {platform.release()}"
    yield "load before", " ".join(Path("/proc/loadavg").read_text().split()[:3])
    if os.nice(0):
        yield "priority", f"nice {os.nice(0)}: what is measured comes before the machine's other work"
    yield "descriptors", str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
