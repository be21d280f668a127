"""The bench's own programs: pods and load, each told what to do and asked what it has seen."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import machine

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
_ports = iter(range(20000, 32000))  # below those that the kernel gives to clients


def free_ports(count):
    """The first of so many ports in a row that nobody uses."""
    row = []
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                row.append(port)
            except OSError:
                row = []
        if len(row) == count:
            return row[0]
    raise SystemExit("bench: there are not enough free ports below 32000")


def recycle_ports():
    """Between two measurements, whose programs have ended, ports may be used again."""
    global _ports
    _ports = iter(range(20000, 32000))


class Program:
    """A child on a core, spoken to in lines."""

    def __init__(self, command, core):
        self.process = subprocess.Popen(
            [str(word) for word in command], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=lambda: machine.pin(core))

    def say(self, word):
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"bench: {self.process.args[0]} has ended")
        return line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Pods(Program):
    def __init__(self, count, work_ms=0, answer_bytes=64, shut=False):
        first = free_ports(count)
        self.addresses = [f"127.0.0.1:{first + i}" for i in range(count)]
        self.work_s = work_ms / 1000
        super().__init__([BUILD / "bench-pod", "--pods", count, "--first-port", first,
                          "--work-us", int(work_ms * 1000), "--answer-bytes", answer_bytes],
                         machine.LOAD_CORE)
        if not shut:
            self.order("open")

    def order(self, word):
        self.say(word)
        assert self.hear() == "done"

    @contextlib.contextmanager
    def paused(self):
        """What comes meanwhile waits; the jobs at work go on late."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def report(self):
        self.say("report")
        return json.loads(self.hear())


class Load(Program):
    """bench-load: hear() says "begin" (and "sent" with once=True), report() its account."""

    def __init__(self, addresses, **options):
        words = []
        for address in addresses:
            words += ["--to", address]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            words += [flag] if value is True else [flag, value]
        super().__init__([BUILD / "bench-load", *words], machine.LOAD_CORE)

    def expect(self, word):
        heard = self.hear()
        assert heard == word, heard

    def leave(self):
        """All its clients close, whatever is under way."""
        self.process.stdin.close()

    def report(self):
        return json.loads(self.hear())


def on_load_core(command, env=None):
    """Runs a program to its end; its output."""
    return subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=True, env={**os.environ, **(env or {})},
                          preexec_fn=lambda: machine.pin(machine.LOAD_CORE)).stdout
