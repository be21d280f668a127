"""The live view on a terminal: a picture that is redrawn in place."""
import os
import shutil
import sys
import time

import view

# How a pod's state looks: its letter in a pod's history (with and without Unicode) and its colour.
LOOKS = {
    "starting": ("░", ".", "33"),
    "ready": ("▁", "_", "36"),
    "working": ("█", "#", "32"),
    "draining": ("▓", "%", "35"),
    "withdrawn": ("▒", "=", "34"),
    "removing": ("▒", "=", "34"),
    "": ("?", "?", "31"),  # any other
}
LEGEND = ("starting", "ready", "working", "draining", "removing")
BOLD, FAINT, PLAIN = "1", "2", ""
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class ScreenView(view.View):
    def __init__(self, settings):
        super().__init__(settings)
        self.unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self.colour = not os.environ.get("NO_COLOR")
        self.height = 0
        print(HIDE_CURSOR, end="", flush=True)

    def close(self):
        try:
            os.write(sys.stdout.fileno(), SHOW_CURSOR.encode())
        except OSError:
            pass  # the terminal has been closed

    def glyph(self, state):
        if state is None:
            return " ", PLAIN
        wide, narrow, colour = LOOKS.get(state, LOOKS[""])
        return (wide if self.unicode else narrow), colour

    def bar(self, n, most, width):
        full = min(width, -(-n * width // most)) if most else 0
        solid, dot = ("█", "·") if self.unicode else ("#", ".")
        return solid * full, dot * (width - full)

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
        rows = list(enumerate(self.rows.values()))
        if len(rows) > most:
            rows.sort(key=lambda row: row[1].now() is None)  # those that are gone give way
        elapsed = time.monotonic() - self.start
        expected = self.settings.lower_bound + self.settings.time_to_zero + 2
        columns = max(10, width - 30)
        for i, row in rows[:most]:
            state = row.now()
            pod = pods.at(row.port)
            _, colour = self.glyph(state)
            yield [(f"{i:6}  ", PLAIN), (f"{state or 'gone':<10}", colour or FAINT),
                   (f"{pod.served if pod else 0:4} done  ", FAINT),
                   *self.strip(row, elapsed, max(expected, elapsed) / columns)]
        if len(rows) > most:
            yield [(f"       and {len(rows) - most} more", FAINT)]

    def show(self, pods):
        columns, lines = shutil.get_terminal_size()
        width = columns - 1  # a full line would wrap on some terminals
        picture = [*self.header(width), *self.pod_lines(pods, width, max(1, lines - 8)),
                   self.legend()]
        up = f"\x1b[{self.height}A\r" if self.height else ""
        body = "".join(f"{self.paint(spans, width)}\x1b[K\n" for spans in picture)
        print(f"{up}{body}\x1b[J", end="", flush=True)
        self.height = len(picture)
