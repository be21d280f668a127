"""The page: a table for each row, its goals under it."""

import time

import figures
import machine
import peers

VERDICTS = {True: "reached", False: "**not reached**", None: "undecided"}


def number(value, digits):
    return f"{value:,.{digits}f}"


def cell(turns, subject, column):
    values = figures.of(turns, subject, column.key)
    if not values:
        return ""
    middle, low, high = (number(v, column.digits)
                         for v in (figures.median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low} - {high})"


def ratios(row, turns):
    cells = []
    for column in row.columns:
        if not figures.of(turns, "haproxy", column.key):
            return None
        value = figures.ratio(turns, column.key)
        cells.append("" if value != value else f"{value:.2f}x")
    return cells


def table(row, turns):
    yield f"| | {' | '.join(column.title for column in row.columns)} |"
    yield f"|---|{'---|' * len(row.columns)}"
    for subject in row.subjects:
        yield f"| {subject} | {' | '.join(cell(turns, subject, c) for c in row.columns)} |"
    beside = ratios(row, turns) if "haproxy" in row.subjects else None
    if beside:
        yield f"| slotgate / haproxy | {' | '.join(beside)} |"


def section(row, turns):
    """The lines of one row."""
    yield f"### {row.title}"
    yield ""
    yield row.what
    yield ""
    yield from table(row, turns)
    yield ""
    for goal in row.goals(turns):
        yield f"- {goal.text}: {goal.figure}, {VERDICTS[goal.reached]}"
    runs = [one for turn in turns for one in turn.values()]
    disturbed = [one["foreign"] for one in runs if one["disturbed"]]
    yield (f"- {len(turns)} turns, {len(runs)} runs" +
           (f"; in {len(disturbed)} of them others used the machine as well, "
            f"{100 * figures.median(disturbed):.0f} % of a core at the median" if disturbed else ""))
    yield ""


def page(results, command, seconds):
    """The whole of RESULTS.md. `results`: (row, turns) in order."""
    yield "# Beside HAProxy and nginx"
    yield ""
    yield (f"Written by `{command}` in {seconds / 60:.0f} minutes, "
           f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}. What is compared ran in turns in "
           "that one run, on the same pods and clients; figures of other runs do not compare. "
           "Medians over the turns, least and most in brackets; ratios are medians of the ratios "
           "within each turn. Differences under 30 % in a gap or 2 % in a rate say nothing.")
    yield ""
    for name, value in (*machine.describe(), *peers.versions()):
        yield f"- {name}: {value}"
    yield (f"- the gateway alone on core {machine.GATEWAY_CORE}, clients and pods on core "
           f"{machine.LOAD_CORE}; no access log anywhere; peers' configurations in `peers/`")
    yield ""
    for row, turns in results:
        yield from section(row, turns)


def summary(results):
    """What the end of the run prints: goals, counted."""
    goals = [(row, goal) for row, turns in results for goal in row.goals(turns)]
    for row, goal in goals:
        if not goal.reached:
            yield f"{row.title}: {goal.text}: {goal.figure}, {VERDICTS[goal.reached]}"
    yield f"{sum(goal.reached is True for _, goal in goals)} of {len(goals)} goals reached"
