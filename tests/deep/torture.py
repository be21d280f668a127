#!/usr/bin/python3
"""Torture of the whole: slotgate-torture, a sanitized slotgate whose allocations fail now and then,
between the soak's clients and pods. Whoever is served is served right, whoever is not is refused or
cut off; nothing crashes, leaks or hangs. With its memory back it serves everybody again.

    SECONDS=30 BUILD=build/san CLIENTS=12 SEED=1 tests/deep/torture.py
"""
import random
import re
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from soak import QUIET_LIMIT, SECONDS, SEED, Load, check_end, check_quiet
from soak_clients import Tally
from soak_fleet import Fleet

FAIL_FROM, FAIL_NO_MORE = signal.SIGRTMIN + 1, signal.SIGRTMIN + 2
PERIODS = (5, 25, 125)  # one in so many allocations fails
REPORT = re.compile(r"torture: of (\d+) allocations (\d+) failed")


def serve(load, seconds):
    load.go.set()
    load.over.wait(seconds)
    load.rest(QUIET_LIMIT)


def torture(fleet, load, tally, seconds):
    tally.is_short_of_memory = True
    fleet.process.send_signal(FAIL_FROM)
    load.go.set()
    load.over.wait(seconds)
    fleet.process.send_signal(FAIL_NO_MORE)
    load.rest(QUIET_LIMIT)
    check_quiet(fleet, tally)
    tally.is_short_of_memory = False


def run(directory, period, tally):
    """One slotgate: first with failures, then without, then its end."""
    fleet = Fleet(directory, random.Random(SEED), "slotgate-torture",
                  SLOTGATE_FAIL_EVERY=str(period))
    try:
        load = Load(fleet, tally)
        torture(fleet, load, tally, SECONDS / len(PERIODS))
        answered = tally.counts["answered"]
        serve(load, 2)
        if tally.counts["answered"] == answered:
            tally.wrong("with its memory back it answers nobody")
        check_quiet(fleet, tally)
        check_end(fleet, load, tally)
        report = REPORT.search(fleet.log())
        print(f"  one in {period}: {report[0] if report else 'no report'}")
        if not report or int(report[2]) < 10:
            tally.wrong(f"one in {period}: hardly any allocation has failed")
    finally:
        fleet.kill()
    return fleet


def main():
    bad = 0
    print(f"torture: seed {SEED}")
    for period in PERIODS:
        directory, tally = tempfile.mkdtemp(prefix="slotgate-torture-"), Tally()
        fleet = run(directory, period, tally)
        for name, count in sorted(tally.counts.items()):
            print(f"    {name}: {count}")
        for fault in tally.faults[:20]:
            print(f"WRONG {fault}")
        if tally.faults:
            print(f"FAILED: {len(tally.faults)} faults; logs in {directory}")
            bad += 1
        else:
            fleet.remove()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
