"""`make observe`: something to look at, and nothing left after Ctrl-C."""
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from harness.demo import ROOT, binary
from harness.prometheus import needs_prometheus
from harness.wait import wait_until

sys.path.insert(0, str(ROOT / "tests" / "demo"))
import processes  # noqa: E402  (the demo's own way to find what it started)

pytestmark = needs_prometheus


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def observe(tmp_path):
    said = tmp_path / "said"
    with open(said, "wb") as out:
        process = subprocess.Popen(
            ["/usr/bin/python3", ROOT / "tests/demo/observe.py", "--slotgate", binary("slotgate"),
             "--pod", binary("demo-pod"), "--image-time", "100ms", "--cold-start", "200ms",
             "--pods", "2"],
            stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(tmp_path)})
    process.said = lambda: said.read_text()
    yield process
    process.kill()
    process.wait()
    for directory in tmp_path.glob("slotgate-observe-*"):
        processes.kill(directory)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_there_is_something_to_look_at_and_nothing_is_left(observe, tmp_path, how):
    def address(of):
        found = re.search(rf"^ +{of} +(?:.*http://|.*--admin )([\d.:]+)", observe.said(), re.M)
        return found and found[1]

    wait_until(lambda: address("requests to") or observe.poll() is not None, observe.said,
               timeout=30)
    admin, prometheus = address("the page"), address("Prometheus")
    assert "<title>slotgate</title>" in get(f"http://{admin}/ui")
    query = f"http://{prometheus}/api/v1/query?query=slotgate_requests_total%7Bclass=%222xx%22%7D"

    def answered():
        try:
            rows = json.loads(get(query))["data"]["result"]
        except OSError:
            return False
        return rows and float(rows[0]["value"][1]) > 3

    wait_until(answered, observe.said, timeout=30)
    directory, = tmp_path.glob("slotgate-observe-*")
    assert len(processes.running(directory)) >= 4
    observe.send_signal(how)
    assert observe.wait(20) == 0, observe.said()
    assert processes.running(directory) == [] and not Path(directory).exists()
