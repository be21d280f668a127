"""Every process that the demo has started, however far down: they share a variable."""
import os
import signal
import subprocess
import time

MARK = "SLOTGATE_DEMO"
KILL_LIMIT = 2.0  # for the kernel to take killed processes away
PAUSE = 0.01


def environment(directory):
    """For what is started: children inherit it, and nobody else has it."""
    return {**os.environ, MARK: str(directory)}


def start(command, directory, out):
    """In a session of its own, since Ctrl-C on the terminal is ours to pass on; should this program
    be killed, the kernel takes it along."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command],
                            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                            env=environment(directory), start_new_session=True)


def running(directory):
    entry = b"\0%s=%s\0" % (MARK.encode(), os.fsencode(directory))
    pids = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if entry in b"\0%s\0" % file.read():
                    pids.append(int(pid))
        except OSError:
            pass  # it has just ended, or is somebody else's
    return pids


def wait_until_gone(directory, limit):
    """Returns those that are still there after the limit."""
    until = time.monotonic() + limit
    while (pids := running(directory)) and time.monotonic() < until:
        time.sleep(PAUSE)
    return pids


def kill(directory):
    until = time.monotonic() + KILL_LIMIT
    while (pids := running(directory)) and time.monotonic() < until:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(PAUSE)


def start_time(pid):
    """When a process started, as time.monotonic() counts, to 10 ms; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    suspended = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return since_boot - suspended
