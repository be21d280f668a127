#!/usr/bin/python3
"""Soak: slotgate with sanitizers between bad clients, bad pods and reloads, then SIGTERM under load.

    SECONDS=60 BUILD=build/san CLIENTS=24 SEED=1 tests/deep/soak.py

What must be true in the end is in check_*(); the exit code says whether it was.
"""
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from soak_clients import SCENARIOS, Tally
from soak_fleet import Fleet
from soak_http2 import SCENARIOS_HTTP2

SECONDS = float(os.environ.get("SECONDS", "60"))
CLIENTS = int(os.environ.get("CLIENTS", "24"))
SEED = int(os.environ.get("SEED", "0")) or random.randrange(1 << 30)
QUIET_LIMIT = 40.0  # for everything to come to rest: the longest fault, and a restart
DRAIN_LIMIT = 40.0
MORE_DESCRIPTORS = 16  # kept connections and probes that happen to be open
MORE_MEMORY = 40 << 20


class Load:
    """Client threads that can be told to rest."""

    scenarios = {**SCENARIOS, **SCENARIOS_HTTP2}

    def __init__(self, fleet, tally):
        self.fleet, self.tally = fleet, tally
        self.go, self.over = threading.Event(), threading.Event()
        self.busy, self.lock = 0, threading.Lock()
        self.threads = [threading.Thread(target=self._client, args=(i,), daemon=True)
                        for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _client(self, number):
        rng = random.Random(SEED * 1000 + number)
        names, weights = zip(*self.scenarios.items())
        while not self.over.is_set():
            if not self.go.wait(0.05):
                continue
            with self.lock:
                self.busy += 1
            scenario = rng.choices(names, weights)[0]
            try:
                scenario(self.fleet, rng, self.tally)
            except Exception as error:  # a bug of the soak itself, or a broken promise
                self.tally.wrong(f"{scenario.__name__}: {type(error).__name__}: {error}")
            finally:
                with self.lock:
                    self.busy -= 1

    def rest(self, limit):
        """Until every client has finished what it was about."""
        self.go.clear()
        until = time.monotonic() + limit
        while self.busy and time.monotonic() < until:
            time.sleep(0.05)
        if self.busy:
            self.tally.wrong(f"{self.busy} clients still wait {limit:.0f} s after the load")


def wait_until(true, limit):
    until = time.monotonic() + limit
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.1)
    return False


def check_quiet(fleet, tally):
    """Nobody asks for anything: all counts are zero."""
    if not wait_until(lambda: not fleet.busy_counts(), QUIET_LIMIT):
        tally.wrong(f"not quiet: {fleet.busy_counts()}")


def check_growth(tally, what, before, after, allowed):
    print(f"  {what}: {before} -> {after}")
    if after > before + allowed:
        tally.wrong(f"{what} grew from {before} to {after}")


def run_load(fleet, load, seconds):
    load.go.set()
    until, turn = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))
        fleet.reload(turn)
        fleet.look()
        turn += 1
    load.rest(QUIET_LIMIT)


def check_end(fleet, load, tally):
    """SIGTERM under load: what was under way is answered, nothing is left behind."""
    load.go.set()
    time.sleep(3)
    tally.stopping = time.monotonic()
    code = fleet.terminate(DRAIN_LIMIT)
    load.over.set()
    load.rest(15)
    if code != 0:
        tally.wrong(f"slotgate ended with {code}")
    for line in fleet.reports():
        tally.wrong(f"log: {line}")
    if left := wait_for_none(fleet.pod_processes):
        tally.wrong(f"pod processes left: {left}")
    for audit in fleet.audits():
        if audit["highestSimultaneous"] > 1:
            tally.wrong(f"a pod worked on {audit['highestSimultaneous']} jobs: pid {audit['pid']}")


def wait_for_none(what):
    wait_until(lambda: not what(), 3)
    return what()


def run(fleet, tally):
    load = Load(fleet, tally)
    print(f"soak: seed {SEED}, {CLIENTS} clients, {SECONDS:.0f} s")
    run_load(fleet, load, SECONDS / 3)
    check_quiet(fleet, tally)
    before = fleet.descriptors(), fleet.memory()
    run_load(fleet, load, SECONDS * 2 / 3)
    check_quiet(fleet, tally)
    check_growth(tally, "descriptors", before[0], fleet.descriptors(), MORE_DESCRIPTORS)
    check_growth(tally, "resident bytes", before[1], fleet.memory(), MORE_MEMORY)
    check_end(fleet, load, tally)


def main():
    directory = tempfile.mkdtemp(prefix="slotgate-soak-")
    tally, fleet = Tally(), None
    try:
        fleet = Fleet(directory, random.Random(SEED))
        run(fleet, tally)
    finally:
        if fleet:
            fleet.kill()
    for name, count in sorted(tally.counts.items()):
        print(f"  {name}: {count}")
    for fault in tally.faults[:20]:
        print(f"WRONG {fault}")
    if tally.faults or not tally.counts.get("answered"):
        print(f"FAILED: {len(tally.faults)} faults, seed {SEED}; logs in {directory}")
        return 1
    fleet.remove()
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
