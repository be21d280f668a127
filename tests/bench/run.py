"""slotgate and its peers side by side: `make bench`, `make bench-full`.

    tests/bench/run.py [--full] [--turns N] [ROW...]

Rows are measured one after the other; within one, its subjects take turns: A B C, A B C, ... A run
during which the machine did other work is marked, and repeated once. Without ROWs the page goes to
RESULTS.md, too; with some it is only printed. A name stands for all rows that begin with it.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import machine  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402


class Repeats:
    """A disturbed run is repeated once; not for ever, though, where the machine is never quiet."""

    USELESS_MOST = 3
    useless = 0  # in a row


def measure_quietly(row, subject, full):
    for is_last in (Repeats.useless >= Repeats.USELESS_MOST, True):
        with machine.Quiet() as quiet:
            measured = row.measure(subject, full)
        again = quiet.disturbed and not is_last
        if quiet.disturbed:
            print(f"  {row.name} {subject}: others took {100 * quiet.foreign:.0f} % of a core"
                  f"{', repeated' if again else ''}", flush=True)
        if not again:
            break
    Repeats.useless = Repeats.useless + 1 if quiet.disturbed else 0
    return {**measured, "foreign": quiet.foreign, "disturbed": quiet.disturbed}


def measure_row(row, full, turns_wanted):
    count = turns_wanted or (row.turns_full if full else row.turns)
    turns = []
    for number in range(count):
        turn = {}
        for subject in row.subjects:
            if number == 0 or subject not in row.once:
                turn[subject] = measure_quietly(row, subject, full)
        turns.append(turn)
    return turns


def choose(names, full):
    every = rows.registry()
    unknown = [n for n in names if not any(row.name.startswith(n) for row in every)]
    if unknown:
        known = " ".join(row.name for row in every)
        raise SystemExit(f"bench: there is no row {' '.join(unknown)}; there are: {known}")
    if names:
        return [row for row in every if row.name.startswith(tuple(names))]
    return [row for row in every if full or not row.full_only]


def main():
    options = argparse.ArgumentParser(description="slotgate beside its peers")
    options.add_argument("--full", action="store_true", help="all rows, and more turns")
    options.add_argument("--turns", type=int, default=0, help="instead of each row's own number")
    options.add_argument("rows", nargs="*", metavar="ROW")
    chosen = options.parse_args()
    if len(machine.CORES) < 2:
        raise SystemExit("bench: two cores are needed: the gateway has one to itself")
    machine.raise_descriptor_limit()
    machine.pin(machine.LOAD_CORE)
    started, results = time.monotonic(), []
    for row in choose(chosen.rows, chosen.full):
        turns = measure_row(row, chosen.full, chosen.turns)
        results.append((row, turns))
        print("\n".join(report.section(row, turns)), flush=True)
    if not chosen.rows:
        command = "make bench-full" if chosen.full else "make bench"
        text = "\n".join(report.page(results, command, time.monotonic() - started))
        (HERE / "RESULTS.md").write_text(text)
    print("\n".join(report.summary(results)))


if __name__ == "__main__":
    main()
