"""A budget of instructions, as a regression test: counts repeat exactly where times do not.

    tests/bench/budget.py            checks it
    tests/bench/budget.py --record   writes the counts of this compiler to budget.json

What is counted is one unit of work at a time, as the difference between two numbers of them: a
request's heads parsed, routed and forwarded, and a cycle of the ledger. Counts belong to a compiler;
with another one there is nothing to compare with, and nothing fails.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build"
RECORD = HERE / "budget.json"
MARGIN = 1.25

# name: program, its arguments but for the last, two values for that
WORK = {
    "parse, route and forward one request": ("bench-count", [], (1000, 3000)),
    "one cycle of the ledger, 10 pods": ("bench-core", ["cycle", "10", "100"], (2000, 6000)),
    "one cycle of the ledger, 2000 pods": ("bench-core", ["cycle", "2000", "20000"], (2000, 6000)),
}


def compiler():
    """The one that the programs were built with."""
    said = [subprocess.run(["gcc", flag], text=True, stdout=subprocess.PIPE, check=True).stdout
            for flag in ("-dumpfullversion", "-dumpmachine")]
    return " ".join(["gcc", *said]).replace("\n", "")


def instructions(program, words):
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(BUILD / program),
         *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    found = re.search(r"Collected : (\d+)", done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"{program} {' '.join(words)}:\n{done.stdout}")
    return int(found[1])


def count(program, words, sizes):
    few, many = (instructions(program, [*words, str(size)]) for size in sizes)
    return round((many - few) / (sizes[1] - sizes[0]))


def check():
    """Yields (name, passed, detail)."""
    recorded = json.loads(RECORD.read_text()).get(compiler(), {})
    for name, work in WORK.items():
        title = f"instructions: {name}"
        try:
            now = count(*work)
        except (RuntimeError, OSError) as fault:
            yield title, False, str(fault)
            continue
        budget = recorded.get(name)
        if budget is None:
            yield title, True, f"{now}; none are recorded for {compiler()}"
        else:
            yield (title, now <= MARGIN * budget,
                   f"{now}, where {budget} are recorded: spare some, or look why it takes more and "
                   "record it with tests/bench/budget.py --record")


def record():
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    known[compiler()] = {name: count(*work) for name, work in WORK.items()}
    RECORD.write_text(json.dumps(known, indent=1) + "\n")


def main():
    if sys.argv[1:] == ["--record"]:
        record()
        return 0
    results = list(check())
    for name, passed, detail in results:
        print(f"{'good' if passed else 'FAILED'}  {name}: {detail}")
    return 0 if all(passed for _, passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
