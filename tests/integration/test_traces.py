"""Traces of requests, as an OpenTelemetry collector gets them, and what it may do to us: nothing."""
import json
import re
import subprocess

import pytest

from harness import go, otlp
from harness.demo import GENERATE, PROMPT, demo_command
from harness.gateway import service
from harness.keys import KeyFile, entry
from harness.wait import PATIENCE, wait_until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
SPANS = "slotgate_trace_spans_total"


@pytest.fixture
def collector():
    _, why_not = otlp.decoder()
    if why_not:
        pytest.skip(why_not)
    one = otlp.Collector()
    yield one
    one.close()


def tracing(collector, **more):
    return {"tracing": {"endpoint": collector.url, "interval": "20ms", **more}}


@pytest.fixture
def front(gateway, pod, collector):
    """front(sampleRatio=0, ...): a gateway before the test's one pod, traced."""
    def make(top=None, upgradable=False, options=None, **more):
        return gateway(pod, top={**tracing(collector, **more), **(top or {})},
                       upgradable=upgradable, **(options or {}))
    return make


def one_job(front, pod, headers=(), path="/job/1", **answer):
    """A whole exchange: (what the pod was told, the answer)."""
    client = front.open_post(path, headers=list(headers))
    job = pod.next()
    job.answer(**answer)
    return job, client.read_response()


def named(spans, name):
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, (name, spans)
    return found[0]


def test_a_request_is_told_in_spans(front, pod, collector):
    front = front()
    job, answer = one_job(front, pod, [("X-Request-Id", "me")], "/job/1?secret=1")
    assert answer.status == 200
    spans = collector.wait_for_spans(3)
    root, queue, work = (named(spans, name) for name in ("POST /job*", "queue", "work"))
    assert len(spans) == 3 and {s.trace for s in spans} == {root.trace}
    assert (root.kind, queue.kind, work.kind) == (otlp.SERVER, otlp.INTERNAL, otlp.CLIENT)
    assert root.parent == "" and queue.parent == work.parent == root.id
    assert len({s.id for s in spans}) == 3
    assert job.get("traceparent") == f"00-{root.trace}-{work.id}-03"
    assert root.start <= queue.start <= queue.end == work.start <= work.end <= root.end
    wanted = {"http.request.method": "POST", "url.path": "/job/1", "url.scheme": "http",
              "http.route": "/job*", "network.protocol.version": "1.1",
              "http.response.status_code": 200, "client.address": "127.0.0.1",
              "network.peer.address": "127.0.0.1", "slotgate.service": "sd",
              "slotgate.pod": pod.address, "slotgate.outcome": "ok", "slotgate.attempts": 1,
              "slotgate.request_id": "me", "slotgate.takes_slot": True}
    assert {key: root[key] for key in wanted} == wanted
    assert work["server.port"] == pod.port and work["server.address"] == "127.0.0.1"
    assert work["url.full"] == f"http://{pod.address}/job/1" and work["slotgate.attempt"] == 1
    assert work["http.response.status_code"] == 200
    assert not any(s.is_error or s.links for s in spans)
    assert root.resource["service.name"] == "slotgate" and root.resource["service.version"]
    assert "secret" not in str(collector.bodies)
    assert collector.paths == ["/v1/traces"] * len(collector.paths)
    assert collector.heads[0]["Content-Type"] == "application/json"
    assert front.access_line("me")["trace"] == root.trace


def test_a_clients_trace_goes_on(front, pod, collector):
    front = front(sampleRatio=0)
    job, _ = one_job(front, pod, [("traceparent", SAMPLED), ("tracestate", "a=1"),
                                  ("tracestate", "b@c=2, d=3")])
    spans = collector.wait_for_spans(3)
    root, work = named(spans, "POST /job*"), named(spans, "work")
    assert {s.trace for s in spans} == {TRACE} and root.parent == PARENT
    assert root.flags & 0x300 == 0x300 and root.state == "a=1,b@c=2,d=3"
    assert job.get("traceparent") == f"00-{TRACE}-{work.id}-01"
    assert job.all("tracestate") == ["a=1", "b@c=2, d=3"]


def test_what_is_not_sampled_passes_as_it_is(front, pod, collector):
    front = front()
    job, _ = one_job(front, pod, [("traceparent", UNSAMPLED), ("tracestate", "a=1")])
    assert job.all("traceparent") == [UNSAMPLED] and job.all("tracestate") == ["a=1"]
    one_job(front, pod, [("traceparent", SAMPLED)], "/job/2")
    assert {s.trace for s in collector.wait_for_spans(3)} == {TRACE}


def test_without_tracing_nothing_is_touched(gateway, pod):
    front = gateway(pod)
    for told in (SAMPLED, "nonsense"):
        job, _ = one_job(front, pod, [("traceparent", told), ("tracestate", "A=")])
        assert job.all("traceparent") == [told] and job.all("tracestate") == ["A="]
    job, _ = one_job(front, pod)
    assert not job.all("traceparent")


BAD = [["nonsense"], [""], [SAMPLED[:-1]], [SAMPLED + "0"], [SAMPLED + "-"], ["ff" + SAMPLED[2:]],
       [SAMPLED.upper()], [f"00-{'0' * 32}-{PARENT}-01"], [f"00-{TRACE}-{'0' * 16}-01"],
       [SAMPLED, SAMPLED], [SAMPLED.replace("-", "_")], [f"00-{TRACE[:-1]}g-{PARENT}-01"]]


def test_a_malformed_one_is_replaced(front, pod, collector):
    front = front()
    for lines in BAD:
        job, _ = one_job(front, pod, [("traceparent", line) for line in lines]
                         + [("tracestate", "a=1")])
        told, = job.all("traceparent")
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-03", told), (lines, told)
        assert TRACE not in told and not job.all("tracestate"), lines
    roots = [s for s in collector.wait_for_spans(3 * len(BAD)) if s.name == "POST /job*"]
    assert len({s.trace for s in roots}) == len(BAD) and not any(s.parent for s in roots)


def test_a_later_version_is_read_as_far_as_it_is_known(front, pod):
    front = front(sampleRatio=0)
    job, _ = one_job(front, pod, [("traceparent", f"cc-{TRACE}-{PARENT}-01-what-comes")])
    assert job.get("traceparent").startswith(f"00-{TRACE}-")
    assert PARENT not in job.get("traceparent")


def test_a_bad_tracestate_is_left_out_alone(front, pod):
    front = front()
    for bad in ("A=1", "a", "=1", "a=1,b", "a=" + "x" * 300, ",".join(f"k{i}=1" for i in range(33))):
        job, _ = one_job(front, pod, [("traceparent", SAMPLED), ("tracestate", bad)])
        assert job.get("traceparent").startswith(f"00-{TRACE}-") and not job.all("tracestate"), bad


def test_a_ratio_of_the_new_ones_is_recorded(front, pod, collector):
    front = front(sampleRatio=0.5)
    told = [one_job(front, pod)[0].get("traceparent") for _ in range(80)]
    sampled = [t for t in told if t.endswith("-03")]
    assert all(t[-3:] in ("-02", "-03") for t in told) and 15 < len(sampled) < 65
    spans = collector.wait_for_spans(3 * len(sampled))
    assert {s.trace for s in spans} == {t[3:35] for t in sampled}


def test_strangers_do_not_choose(front, pod, collector):
    front = front(parents="restart")
    job, _ = one_job(front, pod, [("traceparent", UNSAMPLED), ("tracestate", "a=1")])
    assert TRACE not in job.get("traceparent") and not job.all("tracestate")
    assert named(collector.wait_for_spans(3), "POST /job*").parent == ""


def test_a_refusal_and_a_failure_say_why(front, pod, collector):
    front = front(options={"timeouts": {"response": "100ms"}})
    late = front.open_post("/job/late")
    job = pod.next()
    assert late.read_response().status == 504
    spans = collector.wait_for_spans(2)  # the work goes on
    root = named(spans, "POST /job*")
    assert root.is_error and root["error.type"] == root["slotgate.reason"] == "response_timeout"
    assert root["http.response.status_code"] == 504
    assert front.get("/sdapi/v1/server-kill").status == 403
    root, = [s for s in collector.wait_for_spans(3) if s["http.response.status_code"] == 403]
    assert not root.is_error and root["slotgate.reason"] == "blocked" and root.name.startswith("GET")
    job.answer()
    work = named(collector.wait_for_spans(4), "work")
    assert work.is_error and work["error.type"] == "response_timeout"


def test_a_pods_error_is_an_error(front, pod, collector):
    front = front()
    one_job(front, pod, status=500)
    spans = collector.wait_for_spans(3)
    assert {s.name: s["error.type"] for s in spans if s.is_error} == {"POST /job*": "500",
                                                                     "work": "500"}


def test_the_work_outlives_its_client(front, pod, collector):
    front = front()
    client = front.open_post("/job/1")
    job = pod.next()
    client.leave()
    spans = collector.wait_for_spans(2)
    root = named(spans, "POST /job*")
    assert root["slotgate.outcome"] == "client_left_working" and not root.is_error
    front.wait_for(draining=1)
    job.answer()
    work = named(collector.wait_for_spans(3), "work")
    assert work.parent == root.id and work.end > root.end and work["slotgate.client_left"]


def test_attempts_are_linked(gateway, pods, collector):
    """The last one has the id that the pod was told; those before it reached nobody."""
    pod, gone = pods(2)
    front = gateway(pod, gone, top=tracing(collector), readiness={"none": True, "period": "20ms"},
                    ejection={"consecutiveFailures": 1, "base": "60s"})
    gone.stop_listening()

    first = front.open_post("/job/first")  # of the two pods only one can have it
    busy = pod.next()
    second = front.open_post("/job/second")
    front.wait_for_metric(1, "slotgate_retries_total", reason="refused")
    busy.answer()
    job = pod.next()
    job.answer()
    assert [c.read_response().status for c in (first, second)] == [200, 200]
    trace = job.get("traceparent")[3:35]
    wait_until(lambda: len([s for s in collector.spans() if s.trace == trace]) == 4, "its spans")
    spans = [s for s in collector.spans() if s.trace == trace]
    first, second = sorted((s for s in spans if s.name == "work"), key=lambda s: s.start)
    root = named(spans, "POST /job*")
    assert first["error.type"] == "refused" and first.is_error and not first.links
    assert second.links == [(trace, first.id)] and second["http.request.resend_count"] == 1
    assert job.get("traceparent")[36:52] == second.id != first.id
    assert root["slotgate.attempts"] == 2 and not root.is_error
    assert first.parent == second.parent == root.id


def test_a_cold_start_is_a_part_of_the_wait(gateway, collector, tmp_path):
    command = demo_command("--port", "{port}", "--cold-start", "200ms", "--service-time", "50ms",
                           "--audit-file", str(tmp_path / "audit-{port}.json"))
    one = {**service(slots=["POST " + GENERATE], readiness={"httpGet": "/sdapi/v1/memory"}),
           "pods": {"process": {"command": command}},
           "autoscaling": {"initialScale": 0, "maxScale": 1}}
    front = gateway(services=[one], top=tracing(collector))
    clients = [front.open_post(GENERATE, PROMPT) for _ in range(2)]
    assert [client.read_response().status for client in clients] == [200, 200]
    spans = collector.wait_for_spans(8)
    assert len(spans) == 8
    for cold in (s for s in spans if s.name == "cold start"):
        queue, = [s for s in spans if s.id == cold.parent]
        assert queue.name == "queue" and queue["slotgate.cold"]
        assert queue.start == cold.start < cold.end <= queue.end
        assert cold.end - cold.start >= 150e6 and cold["slotgate.pod"]
        assert list(cold.events) == ["pod requested", "pod answered", "pod ready"]
        assert list(cold.events.values()) == sorted(cold.events.values())
        assert cold.events["pod ready"] == cold.end
    first, second = sorted((s for s in spans if s.name == "queue"), key=lambda s: s.end)
    assert second.end - first.end >= 40e6  # the second waited for the slot, which was not cold
    assert len({s.end for s in spans if s.name == "cold start"}) == 1


def test_tenants_http2_and_passes(front, pod, collector, tmp_path):
    keys = KeyFile(tmp_path / "keys.json", entry("acme"))
    front = front(options={"apiKeys": keys.option(open=["GET /open*"])})
    client = front.http2()
    stream = client.post("/job/1", headers=[("authorization", "Bearer key-of-acme")])
    pod.next().answer()
    assert client.answer(stream).status == 200
    root = named(collector.wait_for_spans(3), "POST /job*")
    assert root["slotgate.tenant"] == "acme" and root["network.protocol.version"] == "2"
    assert front.get("/open/page").status == 200
    root = named(collector.wait_for_spans(6), "GET")
    assert "http.route" not in root.attributes and root["url.path"] == "/open/page"
    assert root["slotgate.takes_slot"] is False


def test_a_collector_that_is_away_costs_spans_and_nothing_else(front, pod, collector):
    """The queue is bounded; what finds no place is counted."""
    front = front(batchSize=16, maxQueued=64)
    collector.stop_listening()
    for i in range(60):
        assert one_job(front, pod)[1].status == 200
    lost = front.metrics()(SPANS, result="queue_full")
    assert 180 - 64 - 20 <= lost <= 180 - 64
    wait_until(lambda: "cannot be reached" in front.log(), "it is told in the log")
    assert front.metrics()(SPANS, result="exported") == 0
    collector.listen()
    front.wait_for_metric(180 - lost, SPANS, result="exported")
    assert len(collector.spans()) == 180 - lost
    wait_until(lambda: "takes spans again" in front.log(), "it is told in the log")


def test_a_slow_collector_holds_up_nobody(front, pod, collector):
    front = front(batchSize=16, maxQueued=64)
    collector.released.clear()
    for i in range(60):
        assert one_job(front, pod)[1].status == 200
    assert front.metrics()(SPANS, result="queue_full") > 60
    collector.released.set()
    lost = front.metrics()(SPANS, result="queue_full")
    front.wait_for_metric(180 - lost, SPANS, result="exported")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_be_tried_again_is(front, pod, collector, status):
    front = front()
    collector.script = [status]
    one_job(front, pod)
    assert len(collector.wait_for_spans(3)) == 3
    front.wait_for_metric(3, SPANS, result="exported")


@pytest.mark.parametrize("retry_after, least_s", [("3", 3), ("0", 1), ("-5", 1), ("soon", 1)])
def test_a_collector_says_when_to_try_again(front, pod, collector, retry_after, least_s):
    front = front()
    collector.script, collector.retry_after = [503], retry_after
    one_job(front, pod)
    front.wait_for_metric(3, SPANS, result="exported")
    first, second = collector.times
    assert second - first >= least_s


def test_what_is_refused_is_given_up(front, pod, collector):
    front = front()
    collector.script = [400]
    one_job(front, pod)
    front.wait_for_metric(3, SPANS, result="refused")
    assert len(collector.paths) == 1
    wait_until(lambda: "answers 400" in front.log(), "it is told in the log")
    collector.answer = json.dumps({"partialSuccess": {"rejectedSpans": "2"}}).encode()
    one_job(front, pod)
    front.wait_for_metric(1, SPANS, result="exported")
    front.wait_for_metric(5, SPANS, result="refused")


def test_headers_and_the_token(front, pod, collector, tmp_path):
    (tmp_path / "token").write_text("a-token-of-some-length\n")
    front = front(headers=["X-Scope: me", "X-Other:  two words"],
                  bearerTokenFile=str(tmp_path / "token"), serviceName="mine")
    one_job(front, pod)
    assert named(collector.wait_for_spans(3), "work").resource["service.name"] == "mine"
    head = collector.heads[0]
    assert (head["X-Scope"], head["X-Other"]) == ("me", "two words")
    assert head["Authorization"] == "Bearer a-token-of-some-length"
    (tmp_path / "token").write_text("another-token-of-some-length\n")
    wait_until(lambda: "reloaded" in front.log(), "the new token is seen")
    one_job(front, pod)
    collector.wait_for_spans(6)
    assert collector.heads[-1]["Authorization"] == "Bearer another-token-of-some-length"


def test_at_the_end_all_is_sent(front, pod, collector):
    front = front(interval="1h")
    one_job(front, pod)
    assert not collector.bodies
    front.terminate()
    assert front.wait() == 0
    assert len(collector.spans()) == 3


def test_a_collector_that_is_away_delays_the_end_by_no_more_than_seconds(front, pod, collector):
    front = front(interval="1h", batchSize=16)
    for _ in range(20):
        one_job(front, pod)
    collector.released.clear()
    front.terminate()
    assert front.wait(PATIENCE) == 0


def test_a_reload_turns_it_off_and_on(front, pod, collector):
    front = front(interval="1h")
    one_job(front, pod)
    settings = front.settings
    front.reload({"tracing": {"endpoint": collector.url, "interval": "20ms"}})
    front.wait_for_metric(3, SPANS, result="exported")
    front.write_config({key: value for key, value in settings.items() if key != "tracing"})
    front.reload({})
    job, _ = one_job(front, pod, [("traceparent", SAMPLED)])
    assert job.get("traceparent") == SAMPLED
    front.reload({"tracing": {"endpoint": collector.url + "/", "interval": "20ms"}})
    one_job(front, pod, [("traceparent", SAMPLED)])
    assert named(collector.wait_for_spans(6)[3:], "POST /job*").trace == TRACE


def test_an_upgrade_is_seen_in_the_trace(front, pod, collector):
    """Who waits is handed on: the new process's span goes on from the old one's."""
    front = front(upgradable=True, top={"drainTimeout": "30s"})
    first = front.open_post("/job/1")
    job = pod.next()
    second = front.open_post("/job/2", headers=[("traceparent", SAMPLED)])
    front.wait_for(waiting=1)
    old = front.upgrade()
    job.answer()
    assert first.read_response().status == 200
    told = pod.next()
    told.answer()
    assert second.read_response().status == 200
    assert old.wait(PATIENCE) == 0
    wait_until(lambda: len([s for s in collector.spans() if s.trace == TRACE]) == 6, "its spans")
    spans = {s.id: s for s in collector.spans() if s.trace == TRACE}
    at = spans[told.get("traceparent")[36:52]]
    way = []
    while at:
        way.append(at.name)
        parent, at = at.parent, spans.get(at.parent)
    assert way == ["work", "POST /job*", "work", "POST /job*"] and parent == PARENT


def test_the_collectors_own_decoder_takes_all_of_it(front, pod, collector):
    """Of every kind that there is, and text that a client has made up."""
    why_not = go.missing("otlp")
    if why_not:
        pytest.skip(why_not)
    front = front(options={"timeouts": {"response": "100ms"}})
    one_job(front, pod)
    late = front.open_post("/job/2'~%22%5c", headers=[("traceparent", SAMPLED),
                                                      ("tracestate", "a=1,b=\"")])
    job = pod.next()
    assert late.read_response().status == 504
    job.answer()
    collector.wait_for_spans(6)
    lines = b"".join(body + b"\n" for body in collector.bodies)
    done = subprocess.run([go.path("otlp")], input=lines, stdout=subprocess.PIPE, check=True)
    assert sum(map(int, done.stdout.split())) == len(collector.spans()) == 6


@pytest.mark.parametrize("ca, fate", [("ca", "exported"), ("other-ca", "unreachable")])
def test_over_tls(gateway, pod, certificates, collector, ca, fate):
    """Only with an authority that vouches for it."""
    collector.tls = certificates.server()
    collector.stop_listening()
    collector.listen()
    front = gateway(pod, top={"tracing": {"endpoint": f"https://localhost:{collector.port}",
                                          "interval": "20ms", "ca": certificates.path(f"{ca}.pem")}})
    one_job(front, pod)
    if fate == "exported":
        front.wait_for_metric(3, SPANS, result="exported")
    else:
        wait_until(lambda: "cannot be reached" in front.log(), "it is not trusted")
        assert not collector.bodies
