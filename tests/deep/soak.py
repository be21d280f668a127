#!/usr/bin/python3
"""Soak: slotgate with sanitizers between bad clients, bad pods, reloads and upgrades, then SIGTERM
under load.

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
from soak_fleet import Fleet, adopt_orphans, wait_until
from soak_http2 import SCENARIOS_HTTP2

SECONDS = float(os.environ.get("SECONDS", "60"))
CLIENTS = int(os.environ.get("CLIENTS", "24"))
SEED = int(os.environ.get("SEED", "0")) or random.randrange(1 << 30)
QUIET_LIMIT = 40.0  # for everything to come to rest: the longest fault, and a restart
DRAIN_LIMIT = 40.0
UPGRADES = 0.3  # in each second of the first half
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


def check_quiet(fleet, tally):
    """Nobody asks for anything: all counts are zero, and who has handed over has ended."""
    if not wait_until(lambda: not fleet.busy_counts(), QUIET_LIMIT):
        tally.wrong(f"not quiet: {fleet.busy_counts()}")
    if not wait_until(lambda: all(p.poll() is not None for p in fleet.elders), QUIET_LIMIT):
        tally.wrong(f"old processes left: {[p.pid for p in fleet.elders if p.poll() is None]}")


def check_growth(tally, what, before, after, allowed):
    print(f"  {what}: {before} -> {after}")
    if after > before + allowed:
        tally.wrong(f"{what} grew from {before} to {after}")


def upgrade(fleet, tally):
    if fault := fleet.upgrade():
        tally.wrong(fault)
    tally.count("no upgrade to a faulty configuration" if fleet.is_faulty else "upgrades")


def run_load(fleet, load, tally, seconds, upgrades=0.0):
    """`upgrades`: how probable one is in each turn."""
    load.go.set()
    until, turn = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))
        fleet.reload(turn)
        if fleet.rng.random() < upgrades:
            time.sleep(fleet.rng.random() * 0.2)
            upgrade(fleet, tally)
        fleet.look()
        for fault in fleet.over_caps():
            tally.wrong(fault)
        turn += 1
    load.rest(QUIET_LIMIT)


def check_end(fleet, load, tally, may_upgrade=False):
    """SIGTERM under load, perhaps right after an upgrade: what was under way is answered, nothing is
    left behind."""
    load.go.set()
    time.sleep(3)
    if may_upgrade and not fleet.is_faulty:
        upgrade(fleet, tally)
    tally.stopping = time.monotonic()
    codes = fleet.terminate(DRAIN_LIMIT)
    load.over.set()
    load.rest(15)
    if any(codes):
        tally.wrong(f"the slotgates ended with {codes}")
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
    run_load(fleet, load, tally, SECONDS / 2, UPGRADES)
    check_quiet(fleet, tally)
    before = fleet.descriptors(), fleet.memory()
    run_load(fleet, load, tally, SECONDS / 2)
    check_quiet(fleet, tally)
    check_growth(tally, "descriptors", before[0], fleet.descriptors(), MORE_DESCRIPTORS)
    check_growth(tally, "resident bytes", before[1], fleet.memory(), MORE_MEMORY)
    check_end(fleet, load, tally, may_upgrade=True)


def main():
    adopt_orphans()
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
