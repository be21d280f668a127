#!/usr/bin/python3
"""`make observe`: slotgate, demo pods, real Prometheus and a steady load, until Ctrl-C."""
import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing runs yet: no need of a traceback

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # running it leaves nothing behind

import gateway
import hey
import processes
import settings as demo_settings

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "slotgate.rules.yml"
CALM_S, BUSY_S = 40, 20  # the load comes in waves, so that pods come and go
STOP_LIMIT = 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Missing(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    def __init__(self, directory, target):
        program = shutil.which("prometheus")
        if not program:
            raise Missing("prometheus is not installed: apt-get install prometheus")
        self.address = f"127.0.0.1:{free_port()}"
        config = directory / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 5s}\n"
            f"rule_files: ['{RULES}']\n"
            "scrape_configs: [{job_name: slotgate, static_configs: "
            f"[{{targets: ['{target}']}}]}}]\n")
        self.log = directory / "prometheus.log"
        with open(self.log, "wb") as log:
            self.process = processes.start(
                [program, f"--config.file={config}", f"--web.listen-address={self.address}",
                 f"--storage.tsdb.path={directory / 'tsdb'}",
                 "--storage.tsdb.retention.size=200MB"], directory, log)


class Load:
    """hey, a wave at a time: first few clients, then more than there are pods for."""

    def __init__(self, settings, address, directory):
        self.settings, self.address, self.directory = settings, address, directory
        self.process, self.is_busy = None, True

    def keep_going(self):
        if self.process and self.process.poll() is None:
            return
        self.is_busy = not self.is_busy
        pods = self.settings.pods
        clients = 2 * pods if self.is_busy else max(1, pods // 3)
        seconds = BUSY_S if self.is_busy else CALM_S
        command = [hey.find(), "-z", f"{seconds}s", "-c", str(clients), "-q", "2", "-t", "180",
                   "-m", "POST", "-T", "application/json", "-d", '{"prompt": "pretty dog"}',
                   f"http://{self.address}{hey.PATH}"]
        with open(os.devnull, "wb") as nowhere:
            self.process = processes.start(command, self.directory, nowhere)


class Observe:
    def __init__(self, settings):
        self.settings = settings
        self.told_to_stop = False
        self.directory = Path(tempfile.mkdtemp(prefix="slotgate-observe-"))
        self.gateway = None

    def on_signal(self, _number, _frame):
        self.told_to_stop = True

    def goes_on(self):
        return not self.told_to_stop

    def run(self):
        hey.find()
        self.gateway = gateway.Gateway(self.settings, self.directory)
        self.gateway.start()
        self.gateway.find_addresses(self.goes_on)
        if self.told_to_stop:
            return
        prometheus = Prometheus(self.directory, self.gateway.admin)
        load = Load(self.settings, self.gateway.address, self.directory)
        admin = self.gateway.admin
        print(f"""
  the page      http://{admin}/ui
  a terminal    {self.settings.slotgate} top --admin {admin}
  metrics       http://{admin}/metrics
  Prometheus    http://{prometheus.address}/graph?g0.expr=slotgate_queued_requests&g0.tab=0
  its alerts    http://{prometheus.address}/alerts
  Grafana       deploy/grafana/dashboard.json, over that Prometheus
  requests to   http://{self.gateway.address}{hey.PATH}

hey sends waves of {2 * self.settings.pods} clients to at most {self.settings.pods} demo pods. \
Ctrl-C ends all of it.
""")
        while self.goes_on():
            self.gateway.check()
            if prometheus.process.poll() is not None:
                raise gateway.Failed(f"Prometheus has ended:\n{prometheus.log.read_text()[-2000:]}")
            load.keep_going()
            time.sleep(0.2)

    def end(self):
        """Nothing is left behind, whatever happened. Returns whether all went by itself."""
        by_itself = self.gateway.stop() if self.gateway else True
        for pid in processes.running(self.directory):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        processes.wait_until_gone(self.directory, STOP_LIMIT)
        processes.kill(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        return by_itself


def main():
    settings = demo_settings.read(sys.argv[1:])
    sys.stdout.reconfigure(line_buffering=True, errors="replace")
    observe = Observe(settings)
    for number in SIGNALS:
        signal.signal(number, observe.on_signal)
    status = 0
    try:
        observe.run()
    except (hey.Missing, Missing) as error:
        status = 2
        print(error, file=sys.stderr)
    except gateway.Failed as error:
        status = 1
        print(f"\n{error}", file=sys.stderr)
    finally:
        if not observe.end():
            status = status or 1
    return status


if __name__ == "__main__":
    sys.exit(main())
