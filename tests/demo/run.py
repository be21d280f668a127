#!/usr/bin/python3
"""`make run`: the published test against slotgate with no pods, shown live, checked at the end."""
import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing runs yet: no need of a traceback

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # running it leaves nothing behind

import gateway
import hey
import pods
import processes
import report
import screen
import settings as demo_settings
import view

PERIOD = 0.1  # between two looks
SILENCE_LIMIT = 10.0  # slotgate not answering for so long has failed
LOG_LINES = 15  # shown after a failure
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


class Demo:
    """All that is running, so that it can be ended from anywhere, also from a signal."""

    def __init__(self, settings):
        self.settings = settings
        self.signal = None  # the first to arrive; the steps look at it, nothing is cut short
        self.view = None
        self.gateway = None
        self.hey = None
        self.directory = Path(tempfile.mkdtemp(prefix="slotgate-demo-"))
        self.pods = pods.Pods(self.directory)
        self.silent_since = None

    def on_signal(self, number, _frame):
        if self.signal is None:
            self.signal = number
        else:
            self.abandon(128 + number)

    def goes_on(self):
        if self.signal is not None:
            raise Stopped
        return True

    # --- the steps --------------------------------------------------------------------------

    def begin(self):
        hey.find()
        self.gateway = gateway.Gateway(self.settings, self.directory)
        self.gateway.start()
        self.gateway.find_addresses(self.goes_on)
        self.hey = hey.Hey(self.settings, self.gateway.address, self.directory)
        print(f"slotgate on http://{self.gateway.address}, its page on "
              f"http://{self.gateway.admin}/ui\n{self.hey.command()}\n")
        on_screen = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        kind = screen.ScreenView if on_screen and not self.settings.plain else view.LineView
        self.view = kind(self.settings)

    def look(self):
        """Takes slotgate's state and shows it; returns it, or None if there was no answer."""
        self.goes_on()
        self.gateway.check()
        service = self.gateway.service()
        now = time.monotonic()
        if service is None:
            self.silent_since = self.silent_since or now
            if now - self.silent_since > SILENCE_LIMIT:
                raise gateway.Failed("slotgate's admin address does not answer")
            return None
        self.silent_since = None
        self.pods.refresh()
        self.view.update(service, self.pods)
        self.view.show(self.pods)
        return service

    def load(self):
        s = self.settings
        self.view.phase = (f"hey: {s.requests} requests from {s.clients} clients, "
                           f"0 to {s.pods} pods, one request each")
        limit = time.monotonic() + 5 * s.lower_bound + 60
        self.look()
        self.hey.start()
        while self.hey.is_running():
            if time.monotonic() > limit:
                raise gateway.Failed("hey has not ended in five times the lower bound")
            self.look()
            time.sleep(PERIOD)

    def wait_for_zero(self):
        """Returns how long it took, or None when it took too long."""
        self.view.phase = "all requests are answered; the pods go back to 0"
        start = time.monotonic()
        while time.monotonic() < start + 2 * self.settings.time_to_zero + 20:
            service = self.look()
            if service and not service["pods"] and service["scale"]["desired"] == 0:
                return time.monotonic() - start
            time.sleep(PERIOD)
        return None

    def run(self):
        """Returns whether all went as it must."""
        self.begin()
        self.load()
        to_zero = self.wait_for_zero()
        self.view.close()
        cold_starts = self.gateway.cold_starts()
        left_over = self.end()
        self.pods.refresh()
        result = self.hey.read()
        found = self.pods.all()
        report.print_report(self.settings, self.hey, result, found, cold_starts)
        good = report.judge(self.settings, result, found, to_zero, left_over)
        report.print_where_to_look(self.settings)
        return good

    # --- the end ----------------------------------------------------------------------------

    def end(self):
        """Ends what still runs. Returns what did not end as it should have, or None."""
        if self.hey:
            self.hey.kill()
        by_itself = self.gateway.stop() if self.gateway else True
        left = processes.wait_until_gone(self.directory, gateway.STOP_GRACE + 1)
        processes.kill(self.directory)
        if not by_itself:
            return "slotgate did not end by itself with status 0"
        return f"slotgate left {len(left)} processes behind, which were killed" if left else None

    def remove_files(self):
        if self.settings.log and self.gateway and self.gateway.log.exists():
            shutil.copyfile(self.gateway.log, self.settings.log)
        shutil.rmtree(self.directory, ignore_errors=True)

    def abandon(self, status):
        """The second Ctrl-C: no more patience."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        processes.kill(self.directory)
        self.remove_files()
        if self.view:
            self.view.close()
        os._exit(status)

    def print_log(self):
        if self.gateway and self.gateway.log.exists():
            lines = self.gateway.read_log().splitlines()[-LOG_LINES:]
            print("\nThe end of slotgate's log:", *lines, sep="\n  ")


def main():
    settings = demo_settings.read(sys.argv[1:])
    sys.stdout.reconfigure(line_buffering=True, errors="replace")
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    demo = Demo(settings)
    for number in SIGNALS:
        signal.signal(number, demo.on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    status = 1
    try:
        status = 0 if demo.run() else 1
        if status:
            demo.print_log()
    except Stopped:
        status = 128 + demo.signal
        print("\nstopping; a second Ctrl-C does it at once", file=sys.stderr)
    except hey.Missing as error:
        status = 2
        print(error, file=sys.stderr)
    except gateway.Failed as error:
        print(f"\n{error}")
        demo.print_log()
    finally:
        try:
            demo.end()
        finally:
            demo.remove_files()
            if demo.view:
                demo.view.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
