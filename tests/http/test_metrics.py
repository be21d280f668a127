"""/metrics: exact counters after a known run, in both formats."""
import pytest

from harness.gateway import OPENMETRICS, PROMETHEUS


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods()


@pytest.fixture(scope="module")
def front(shared_gateway, pod):
    """After: two passes, one 200, one 500, one client that left the queue, one 400."""
    front = shared_gateway(pod)
    for _ in range(2):
        assert front.get("/page").status == 200
    first = front.open_post("/job/1", b"12345")
    job = pod.next()
    second = front.open_post("/job/2", b"1234567890")
    front.wait_for(working=1, waiting=1)
    third = front.open_post("/job/3", b"123")
    front.wait_for(waiting=2)
    third.leave()
    front.wait_for(waiting=1)
    job.answer(b"x" * 100)
    assert first.read_response().status == 200
    pod.next().answer(b"y" * 50, status=500)
    assert second.read_response().status == 500
    with front.client() as client:
        client.send(b"BAD\r\n\r\n")
        assert client.read_response().status == 400
    front.wait_for(working=0, free=1)
    front.wait_for_metric(1, "slotgate_requests_total", **{"class": "5xx"})
    return front


@pytest.fixture(scope="module", params=[PROMETHEUS, OPENMETRICS], ids=["text", "openmetrics"])
def metrics(front, request):
    return front.metrics(request.param)


def test_requests_by_class(metrics):
    assert metrics("slotgate_requests_total", service="sd", **{"class": "2xx"}) == 3
    assert metrics("slotgate_requests_total", service="sd", **{"class": "5xx"}) == 1
    assert metrics("slotgate_requests_total", service="sd", **{"class": "aborted"}) == 1
    assert metrics("slotgate_requests_total", service="sd", **{"class": "4xx"}) == 0


def test_queue_outcomes(metrics):
    assert metrics("slotgate_queue_outcomes_total", service="sd", outcome="dispatched") == 2
    assert metrics("slotgate_queue_outcomes_total", service="sd", outcome="client_left") == 1


def test_client_aborts_by_phase(metrics):
    assert metrics("slotgate_client_aborts_total", service="sd", phase="queued") == 1
    assert metrics("slotgate_client_aborts_total") == 1


def test_histograms_count_what_they_say(metrics):
    assert metrics("slotgate_service_time_seconds_count", service="sd") == 2
    assert metrics("slotgate_queue_wait_seconds_count", service="sd") == 3
    assert metrics("slotgate_request_duration_seconds_count", service="sd") >= 4


def test_buckets_reach_from_milliseconds_to_minutes(metrics):
    edges = {float(dict(labels)["le"]) for (name, labels) in metrics.samples
             if name == "slotgate_queue_wait_seconds_bucket"}
    assert {0.005, 900.0, float("inf")} <= edges


def test_gauges_are_back_at_rest(metrics):
    for name in ("uploading_requests", "queued_requests", "in_flight_requests",
                 "pass_through_in_flight", "concurrency", "spooled_bytes"):
        assert metrics("slotgate_" + name) == 0, name
    assert metrics("slotgate_slots", service="sd", state="free") == 1
    assert metrics("slotgate_slots", service="sd", state="working") == 0
    assert metrics("slotgate_pods", service="sd", state="ready") == 1
    assert metrics("slotgate_actual_pods", service="sd") == 1


def test_bytes(metrics):
    assert metrics("slotgate_bytes_received_total", service="sd") == 5 + 10 + 3
    assert metrics("slotgate_bytes_sent_total", service="sd") >= 150


def test_bad_requests_have_no_service(metrics):
    assert metrics("slotgate_bad_requests_total") == 1


def test_connections(metrics):
    assert metrics("slotgate_connections_total", listener="127.0.0.1:0") == 6
    assert metrics("slotgate_upstream_connections_total", service="sd", how="new") >= 1
    used = sum(metrics("slotgate_upstream_connections_total", service="sd", how=how)
               for how in ("new", "reused"))
    assert used == 4


def test_the_access_log_has_a_line_for_each(front, metrics):
    lines = [line for line in front.access() if line["service"] == "sd"]
    assert sorted(line["outcome"] for line in lines) == ["client_left_queued"] + ["ok"] * 4
    assert len({line["id"] for line in lines}) == 5


def test_the_process_tells_of_itself(metrics):
    assert metrics("slotgate_build_info") == 1
    assert metrics("slotgate_process_open_fds") > 5
    assert metrics("slotgate_process_resident_memory_bytes") > 1 << 20


def test_every_metric_of_the_catalogue_is_described(metrics):
    assert all(name in metrics.helps for name in metrics.types)
    assert len(metrics.types) > 30


FIRST_TROUBLES = ("slotgate_refused_total", "slotgate_pod_failures_total")


def test_the_first_trouble_is_an_increase(gateway, pods):
    """A series that is born as a 1 has not increased, and no panel or alert would show it."""
    pod = pods()
    front = gateway(pod, queue={"maxRequests": 1})
    before = front.metrics()
    known = {key for key in before.samples if key[0] in FIRST_TROUBLES}
    assert known and not any(before.samples[key] for key in known)
    worker = front.open_post("/job/1")
    job = pod.next()
    waiter = front.open_post("/job/2")
    front.wait_for(waiting=1)
    assert front.post("/job/3").status == 503
    job.hang_up()
    assert worker.read_response().status == 502
    after = front.metrics()
    assert after("slotgate_refused_total", reason="queue_full") == 1
    assert after("slotgate_pod_failures_total", kind="broken") == 1
    assert {key for key in after.samples if key[0] in FIRST_TROUBLES} == known
    waiter.leave()
    job.end()
