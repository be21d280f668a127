"""Real Prometheus and promtool from Debian, in a directory of the test's own."""
import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from harness.wait import wait_until

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "slotgate.rules.yml"

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="Prometheus is not installed: deploy/deps.sh observe")


def promtool(*arguments, text=None):
    """(exit status, what it said)"""
    done = subprocess.run(["promtool", *map(str, arguments)], input=text, text=True, timeout=50,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


class Prometheus:
    """Scrapes a gateway's admin address, or those of several, often."""

    def __init__(self, directory, targets, interval="250ms", rules=RULES, scrape="", labels=None):
        self.directory = Path(directory)
        self.log_path = self.directory / "prometheus.log"
        config = self.directory / "prometheus.yml"
        targets = [targets] if isinstance(targets, str) else targets
        static = json.dumps([{"targets": targets, "labels": labels or {}}])
        config.write_text(
            f"global: {{scrape_interval: {interval}, evaluation_interval: 1s}}\n"
            + (f"rule_files: [{rules}]\n" if rules else "")
            + "scrape_configs:\n- job_name: slotgate\n"
            + f"  static_configs: {static}\n" + scrape)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", "--web.listen-address=127.0.0.1:0",
                 f"--storage.tsdb.path={self.directory / 'tsdb'}", "--log.level=debug"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "GOMAXPROCS": "1"})
        self.address = self._find_address()

    def _find_address(self):
        """It does not say which free port it took; the kernel does."""
        def look():
            assert self.process.poll() is None, self.log_path.read_text()
            inodes = set()
            for fd in Path(f"/proc/{self.process.pid}/fd").iterdir():
                try:
                    inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
                except FileNotFoundError:
                    pass
            for line in Path(f"/proc/{self.process.pid}/net/tcp").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and words[9] in inodes:
                    return f"127.0.0.1:{int(words[1].split(':')[1], 16)}"
            return None

        address = wait_until(look, lambda: f"it listens:\n{self.log_path.read_text()}", timeout=30)

        def ready():
            try:
                with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as answer:
                    return answer.status == 200
            except OSError:
                return False

        wait_until(ready, lambda: f"it is ready:\n{self.log_path.read_text()}", timeout=30)
        return address

    def api(self, path, **arguments):
        query = urllib.parse.urlencode(arguments, doseq=True)
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{query}",
                                    timeout=20) as answer:
            return json.load(answer)["data"]

    def query(self, expression, at=None):
        """Samples as (labels, value)."""
        arguments = {"query": expression, **({"time": at} if at else {})}
        return [(row["metric"], float(row["value"][1]))
                for row in self.api("query", **arguments)["result"]]

    def value(self, expression, at=None):
        """Of an expression that has one sample; None where it has none."""
        rows = self.query(expression, at)
        assert len(rows) <= 1, rows
        return rows[0][1] if rows else None

    def query_range(self, expression, start, end, step):
        """Series as (labels, [values])."""
        found = self.api("query_range", query=expression, start=start, end=end, step=step)
        return [(row["metric"], [float(value) for _, value in row["values"]])
                for row in found["result"]]

    def target(self):
        return self.api("targets")["activeTargets"][0]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
