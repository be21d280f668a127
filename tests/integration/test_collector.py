"""A whole OpenTelemetry collector between slotgate and what decodes the spans: its receiver takes
them, its pipeline carries them, its exporters print them and hand them on."""
import json
import re
import socket
import subprocess

import pytest

from harness import go, otlp
from harness.wait import PATIENCE, wait_until

SPANS = "slotgate_trace_spans_total"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class RealCollector:
    """Each batch is on its way until the one behind has taken it: what that says, the receiver says."""

    def __init__(self, directory, behind):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.port}"}}}},
            "exporters": {
                "debug": {"verbosity": "detailed"},
                "otlp_http": {"endpoint": behind.url, "encoding": "json", "compression": "none",
                              "sending_queue": {"enabled": False},
                              "retry_on_failure": {"enabled": False}},
            },
            "service": {"telemetry": {"metrics": {"level": "none"}},
                        "pipelines": {"traces": {"receivers": ["otlp"],
                                                 "exporters": ["debug", "otlp_http"]}}},
        }
        self.command = [go.path("collector"), "--config", "yaml:" + json.dumps(config)]
        self.log = directory / "collector.log"
        self.start()

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT)
        wait_until(lambda: "Everything is ready" in self.said(), self.said)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def said(self):
        return self.log.read_text()

    def printed(self):
        """By its debug exporter: (name, id, parent) of each span."""
        return set(re.findall(r"Parent ID +: ([0-9a-f]*)\n +ID +: ([0-9a-f]{16})\n +Name +: (.*)",
                              self.said()))

    def close(self):
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.said()


@pytest.fixture
def behind():
    for why_not in (go.missing("collector"), otlp.decoder()[1]):
        if why_not:
            pytest.skip(why_not)
    one = otlp.Collector()
    yield one
    one.close()


@pytest.fixture
def collector(behind, tmp_path):
    one = RealCollector(tmp_path, behind)
    yield one
    one.close()


@pytest.fixture
def front(gateway, pod, collector):
    return gateway(pod, timeouts={"response": "300ms"},
                   top={"tracing": {"endpoint": collector.url, "interval": "20ms"}})


def one_job(front, pod, path="/job/1", headers=()):
    client = front.open_post(path, headers=list(headers))
    pod.next().answer()
    assert client.read_response().status == 200


def test_all_of_it_comes_through(front, pod, collector, behind):
    """Ids, parents, times, kinds, attributes, states and what clients make up: what is decoded behind
    the collector is what was sent, and it prints each span."""
    named = [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "a=1,b@c=2")]
    one_job(front, pod, "/job/%C3%A4'~%22%5c", named)
    late = front.open_post("/job/late")
    job = pod.next()
    assert late.read_response().status == 504
    job.answer()
    spans = behind.wait_for_spans(6)
    assert len(spans) == 6
    root, = (span for span in spans if span.parent == PARENT)
    assert root.trace == TRACE and root.state == "a=1,b@c=2" and root.kind == otlp.SERVER
    assert root["slotgate.attempts"] == 1 and root["slotgate.takes_slot"] is True
    assert root.flags & 0x300 == 0x300 and root["url.path"] == "/job/%C3%A4'~%22%5c"
    children = {s.name: s for s in spans if s.parent == root.id}
    assert set(children) == {"queue", "work"} and children["work"].kind == otlp.CLIENT
    assert root.start <= children["queue"].start <= children["work"].start <= root.end
    failed = {span.name: span["error.type"] for span in spans if span.is_error}
    assert failed == {"POST /job*": "response_timeout", "work": "response_timeout"}
    assert collector.printed() == {(span.parent, span.id, span.name) for span in spans}
    assert root.resource["service.name"] == "slotgate" and root.resource["service.version"]
    front.wait_for_metric(6, SPANS, result="exported")


@pytest.mark.parametrize("status, fate", [(503, "exported"), (429, "exported"), (400, "refused")])
def test_what_is_refused_behind_it_is_told_by_it(front, pod, behind, status, fate):
    """What may be tried again is, and comes once; what may not be is given up and counted."""
    behind.script = [status]
    one_job(front, pod)
    front.wait_for_metric(3, SPANS, result=fate)
    assert len(behind.spans()) == (3 if fate == "exported" else 0)
    one_job(front, pod)
    wait_until(lambda: len(behind.spans()) == (6 if fate == "exported" else 3), "the next one comes")


def test_one_that_starts_anew_gets_what_has_waited(front, pod, collector, behind):
    collector.kill()
    one_job(front, pod)
    wait_until(lambda: "cannot be reached" in front.log(), "it is told in the log")
    collector.start()
    front.wait_for_metric(3, SPANS, result="exported")
    assert len(behind.spans()) == 3
