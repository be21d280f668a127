"""The same promises with a real uvicorn + FastAPI application as the pod."""
import gzip
import random
import threading
import time

import pytest

from harness.demo import GENERATE, IDLE_CHECK, PROMPT, start_fastapi_pod
from harness.wait import wait_until
from harness.websocket import TEXT, WebSocket


@pytest.fixture(scope="module")
def pod(tmp_path_factory):
    """uvicorn that closes idle connections after 300 ms; 20 ms a job."""
    pod = start_fastapi_pod(tmp_path_factory.mktemp("fastapi"), "pod", "--keep-alive", "300ms",
                            "--service-time", "20ms")
    yield pod
    audit = pod.audit()
    pod.kill()
    assert audit["highestSimultaneous"] <= 1, audit


@pytest.fixture
def front(gateway, pod):
    return gateway(pod, slots=["POST " + GENERATE], idle=IDLE_CHECK,
                   timeouts={"podKeepAlive": "200ms", "response": "5s"})


def test_an_image(front):
    assert front.post(GENERATE, PROMPT).json()["images"]


def test_a_schema_error_passes(front):
    response = front.post(GENERATE, b'{"steps": "many"}')
    assert response.status == 422 and response.json()["detail"]


def test_stale_connections_under_load(front):
    """Pauses around uvicorn's own limit: it closes just as, or before, the gateway would reuse."""
    statuses = []

    def load(seed):
        chance = random.Random(seed)
        with front.client() as client:
            for _ in range(8):
                statuses.append(client.post(GENERATE, PROMPT).read_response().status)
                time.sleep(chance.uniform(0.15, 0.35))  # the load's own rhythm

    threads = [threading.Thread(target=load, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 32


def test_a_client_that_leaves_while_queued(front, pod):
    before = pod.audit()["arrived"]
    holder = front.open_post(GENERATE, PROMPT, [("X-Demo-Time", "300ms")])
    front.wait_for(working=1)
    leaver = front.open_post(GENERATE, PROMPT)
    front.wait_for(waiting=1)
    leaver.leave()
    front.wait_for(waiting=0)
    assert holder.read_response().status == 200
    assert front.post(GENERATE, PROMPT).status == 200
    assert pod.audit()["arrived"] == before + 2


def test_a_client_that_leaves_while_working(front, pod):
    """uvicorn goes on computing: cancelling a synchronous handler is impossible."""
    before = pod.audit()["arrived"]
    leaver = front.open_post(GENERATE, PROMPT, [("X-Demo-Time", "200ms")])
    wait_until(lambda: pod.audit()["arrived"] == before + 1, "it has arrived")
    leaver.reset()
    front.wait_for(draining=1)
    assert front.post(GENERATE, PROMPT).status == 200


def test_a_timeout_while_working(gateway, pod):
    front = gateway(pod, slots=["POST " + GENERATE], idle=IDLE_CHECK, timeouts={
        "podKeepAlive": "200ms", "response": "100ms"})
    late = front.open_post(GENERATE, PROMPT, [("X-Demo-Time", "400ms")])
    assert late.read_response().status == 504
    assert front.post(GENERATE, PROMPT).status == 200


def test_progress_while_it_works(front):
    client = front.open_post(GENERATE, PROMPT, [("X-Demo-Time", "300ms")])
    front.wait_for(working=1)
    wait_until(lambda: front.get("/sdapi/v1/progress").json()["state"]["job_count"] == 1, "busy")
    assert client.read_response().status == 200


def test_server_sent_events(front):
    response = front.get("/queue/data?session_hash=abc&n=3&interval_ms=10")
    assert response.get("content-type").startswith("text/event-stream")
    assert response.body.count(b"data: ") == 3


def test_websocket(front):
    with front.client() as client:
        socket = WebSocket(client, "/queue/join")
        socket.send("hello")
        assert socket.read() == (TEXT, b"hello")
        assert socket.close(1000) == 1000


def test_the_answer_is_gzipped_where_the_client_asks(gateway, tmp_path):
    pod = start_fastapi_pod(tmp_path, "gzip", "--gzip", "--service-time", "1ms")
    try:
        front = gateway(pod, slots=["POST " + GENERATE])
        body = b'{"width": 256, "height": 256}'
        response = front.post(GENERATE, body, [("Accept-Encoding", "gzip")])
        assert response.get("content-encoding") == "gzip"
        assert b'"images"' in gzip.decompress(response.body)
        assert front.post(GENERATE, body).get("content-encoding") is None
    finally:
        pod.kill()
