"""The live view: a picture redrawn in place on a terminal, a line for each change elsewhere."""
import os
import re
import shutil
import sys
import time

# How a pod's state looks: its letter in a pod's history (with and without Unicode) and its colour.
STATES = {
    "starting": ("░", ".", "33"),
    "ready": ("▁", "_", "36"),
    "working": ("█", "#", "32"),
    "draining": ("▓", "%", "35"),
    "withdrawn": ("▒", "=", "34"),
    "removing": ("▒", "=", "34"),
    "trouble": ("?", "?", "31"),
}
LEGEND = ("starting", "ready", "working", "draining", "removing")
BOLD, FAINT, PLAIN = "1", "2", ""
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def pod_state(pod):
    """What a pod is doing, in one word: slotgate's own, except that where it says ready or full,
    it is told whether the pod works."""
    slots = pod.get("slots", {})
    if pod["state"] in ("ready", "full"):
        if slots.get("draining"):
            return "draining"
        return "working" if pod.get("used") else "ready"
    return pod["state"]


def pod_port(pod):
    match = re.search(r":(\d+)$", pod.get("address") or "")
    return int(match[1]) if match else None


class Row:
    """A pod's line: what it does, and all that it has done, as (time, state)."""

    def __init__(self):
        self.history = []
        self.port = None

    def now(self):
        return self.history[-1][1] if self.history else None

    def note(self, at, state):
        if state != self.now():
            self.history.append((at, state))

    def strip(self, now, seconds):
        """The state at the end of each stretch of `seconds` until now."""
        states = []
        changes = iter(self.history)
        upcoming, state = next(changes, None), None
        for i in range(int(now / seconds) + 1):
            while upcoming and upcoming[0] < (i + 1) * seconds:
                state, upcoming = upcoming[1], next(changes, None)
            states.append(state)
        return states


class View:
    """What both kinds of view show, taken from slotgate's answer."""

    def __init__(self, settings):
        self.settings = settings
        self.start = time.monotonic()
        self.rows = {}  # by the pod's name
        self.queue = 0
        self.scale = {}
        self.done = 0
        self.phase = ""

    def update(self, service, pods):
        now = time.monotonic() - self.start
        self.queue = service["queue"]["waiting"]
        self.scale = service["scale"]
        present = {}
        for pod in service["pods"]:
            present[pod["name"]] = pod
            row = self.rows.setdefault(pod["name"], Row())
            row.port = pod_port(pod) or row.port
            row.note(now, pod_state(pod))
        for name, row in self.rows.items():
            if name not in present:
                row.note(now, None)
        self.done = pods.served()

    def counts(self):
        states = [row.now() for row in self.rows.values() if row.now()]
        return {state: states.count(state) for state in dict.fromkeys([*STATES, *states])
                if state in states}

    def show(self, pods):
        raise NotImplementedError

    def close(self):
        pass


class LineView(View):
    def __init__(self, settings):
        super().__init__(settings)
        self.last = None

    def show(self, pods):
        counts = ", ".join(f"{n} {state}" for state, n in self.counts().items()) or "none"
        line = (f"queue {self.queue:<3} done {self.done:>3}/{self.settings.requests}  "
                f"pods wanted {self.scale['desired']}: {counts}")
        if line != self.last:
            print(f"{time.monotonic() - self.start:6.1f} s  {line}", flush=True)
        self.last = line


class ScreenView(View):
    def __init__(self, settings):
        super().__init__(settings)
        self.unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self.colour = not os.environ.get("NO_COLOR")
        self.height = 0
        print(HIDE_CURSOR, end="")

    def close(self):
        try:
            os.write(sys.stdout.fileno(), SHOW_CURSOR.encode())
        except OSError:
            pass  # the terminal has been closed

    def glyph(self, state):
        if state is None:
            return " ", PLAIN
        wide, narrow, colour = STATES.get(state, STATES["trouble"])
        return (wide if self.unicode else narrow), colour

    def bar(self, n, most, width):
        full = min(width, -(-n * width // most)) if most else 0
        return ("█" if self.unicode else "#") * full, ("·" if self.unicode else ".") * (width - full)

    def paint(self, spans, width):
        """Spans of (text, style) as a line that is no wider than the terminal."""
        line, room = "", width
        for text, style in spans:
            text = text[:room]
            room -= len(text)
            line += f"\x1b[{style}m{text}\x1b[0m" if style and self.colour else text
        return line

    def strip(self, row, now, seconds):
        spans, text, style = [], "", PLAIN
        for state in row.strip(now, seconds):
            glyph, colour = self.glyph(state)
            if colour != style:
                spans.append((text, style))
                text, style = "", colour
            text += glyph
        return [*spans, (text, style)]

    def header(self, width):
        elapsed = f"{time.monotonic() - self.start:7.1f} s"
        yield [(self.phase[:width - len(elapsed)].ljust(width - len(elapsed)), BOLD),
               (elapsed, FAINT)]
        bar, rest = self.bar(self.queue, self.settings.clients, 20)
        yield [("queue  ", BOLD), (bar, "33"), (rest, FAINT), (f"  {self.queue} waiting", PLAIN)]
        bar, rest = self.bar(self.done, self.settings.requests, 20)
        yield [("images ", BOLD), (bar, "32"), (rest, FAINT),
               (f"  {self.done} of {self.settings.requests} done", PLAIN)]
        ready = self.scale.get("ready", 0)
        yield [("pods   ", BOLD), (f"{self.scale.get('desired', 0)} wanted, {ready} ready", PLAIN)]

    def legend(self):
        spans = [("       ", PLAIN)]
        for state in LEGEND:
            glyph, colour = self.glyph(state)
            spans += [(glyph, colour), (f" {state}   ", FAINT)]
        return spans

    def pod_lines(self, pods, width, most):
        names = list(self.rows)
        elapsed = time.monotonic() - self.start
        expected = self.settings.lower_bound + self.settings.time_to_zero + 2
        columns = max(10, width - 30)
        for i, name in enumerate(names[:most]):
            row = self.rows[name]
            state = row.now()
            pod = pods.at(row.port)
            _, colour = self.glyph(state)
            yield [(f"{i:6}  ", PLAIN), (f"{state or 'gone':<10}", colour or FAINT),
                   (f"{pod.served if pod else 0:4} done  ", FAINT),
                   *self.strip(row, elapsed, max(expected, elapsed) / columns)]
        if len(names) > most:
            yield [(f"       and {len(names) - most} more", FAINT)]

    def show(self, pods):
        columns, lines = shutil.get_terminal_size()
        width = columns - 1  # a full line would wrap on some terminals
        picture = [*self.header(width), *self.pod_lines(pods, width, max(1, lines - 8)),
                   self.legend()]
        up = f"\x1b[{self.height}A\r" if self.height else ""
        body = "".join(f"{self.paint(spans, width)}\x1b[K\n" for spans in picture)
        print(f"{up}{body}\x1b[J", end="", flush=True)
        self.height = len(picture)


def view_for(settings):
    on_screen = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return ScreenView(settings) if on_screen and not settings.plain else LineView(settings)
