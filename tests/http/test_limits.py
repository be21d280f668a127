"""Limits of the gateway itself: connections, slow heads, idle clients, file descriptors."""
import http.client
import os
import resource

import pytest

from harness.client import Client
from harness.gateway import limits
from harness.wait import wait_until


def test_one_connection_too_many_is_told(gateway, pod):
    front = gateway(pod, top={"limits": {"maxConnections": 5}})
    clients = [front.client() for _ in range(5)]
    for client in clients:
        assert client.get("/").read_response().status == 200
    with front.client() as extra:
        response = extra.read_response()
        assert response.status == 503 and int(response.get("retry-after")) >= 1
        assert extra.is_closed_by_peer()
    clients.pop().leave()
    wait_until(lambda: try_get(front) == 200, "a place is free again")
    for client in clients:
        assert client.get("/").read_response().status == 200


def try_get(front):
    try:
        return front.get("/").status
    except ConnectionError:  # refused: the end came while it was sending
        return None


def test_a_head_that_never_ends_is_timed_out(gateway, pod):
    front = gateway(pod, top={"limits": {"headerTimeout": "200ms"}})
    with front.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: g\r\nX-Slow: ")
        assert client.read_response().status == 408
        assert client.is_closed_by_peer()


def test_a_body_that_never_ends_is_timed_out(gateway, pod):
    front = gateway(pod, body={"timeout": "200ms"})
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Content-Length", 10)]) + b"123")
        assert client.read_response().status == 408
        assert client.is_closed_by_peer()
    front.wait_for(uploading=0)
    assert pod.paths() == []


def test_a_body_that_trickles_is_too_slow(gateway, pod):
    """Its timeout is far off, but a byte now and then does not hold a place in the queue."""
    front = gateway(pod, body={"minRate": "1MiB", "minRateWindow": "300ms"})
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Content-Length", 1 << 20)]))
        client.send(b"x" * 400_000)  # a fast start is no credit for what comes later
        while not client.has_bytes():
            client.send(b"x")
            front.wait_for(waiting=0)
        response = client.read_response()
        assert (response.status, response.problem) == (408, "body_too_slow")
    front.wait_for(uploading=0)
    assert refusals(front, "body_too_slow") == 1
    assert pod.paths() == []


def test_chunk_framing_is_no_progress(gateway, pod):
    front = gateway(pod, body={"minRate": 100, "minRateWindow": "300ms"})
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Transfer-Encoding", "chunked")]))
        client.send("1;")
        while not client.has_bytes():
            client.send("x" * 10)
            front.wait_for(waiting=0)
        assert client.read_response().status in (400, 408)


def test_a_body_that_keeps_its_rate_may_take_many_windows(gateway, pod):
    front = gateway(pod, body={"minRate": 1, "minRateWindow": "50ms"})
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Content-Length", 100)]))
        for _ in range(100):
            client.send(b"x")
            front.wait_for(uploading=1 if _ < 99 else 0)
        pod.next().answer()
        assert client.read_response().status == 200


def test_a_client_that_takes_nothing_is_reset(gateway, pod):
    front = gateway(pod, top={"limits": {"sendTimeout": "200ms", "minSendRate": 0}})
    client = front.client(receive_buffer=4096).post("/job", headers=[("X-Request-Id", "stuck")])
    pod.next().answer(b"x" * (12 << 20))
    assert front.access_line("stuck")["outcome"] == "client_too_slow"
    front.wait_for_metric(0, "slotgate_spooled_bytes")
    with pytest.raises(ConnectionError):
        client.read_to_end()


def test_a_client_that_takes_too_little_is_reset(gateway, pod):
    front = gateway(pod, top={"limits": {"sendTimeout": "200ms", "minSendRate": "1GiB"}})
    client = front.client(receive_buffer=1 << 16).post("/job", headers=[("X-Request-Id", "slow")])
    pod.next().answer(b"x" * (12 << 20))
    with pytest.raises(ConnectionError):
        while client.socket.recv(5000):
            front.wait_for(free=1)  # it reads all the time, but no faster than this
    assert front.access_line("slow")["outcome"] == "client_too_slow"


def test_what_the_kernel_still_has_to_send_counts_as_progress(gateway, pod):
    """A slow client may take what is in the gateway's socket for long before there is room in it
    again: that is no stall."""
    front = gateway(pod, top={"limits": {"sendTimeout": "300ms", "minSendRate": 0}})
    client = front.client(receive_buffer=4096).post("/job")
    pod.next().answer(b"x" * (12 << 20))
    received = 0
    for _ in range(200):  # each time the gateway has had a moment to give up
        received += len(client.read_exactly(2000))
        front.wait_for(free=1)
    assert received == 400_000
    length = 12 << 20
    assert len(client.buffer + client.read_exactly(length // 2)) >= length // 2


def test_an_idle_client_is_closed_without_a_word(gateway, pod):
    front = gateway(pod, top={"limits": {"keepAlive": "100ms"}})
    with front.client() as client:
        assert client.get("/").read_response().status == 200
        assert client.is_closed_by_peer()


def test_keep_alive_of_zero_closes_after_each_answer(gateway, pod):
    front = gateway(pod, top={"limits": {"keepAlive": "0s"}})
    client = front.open_get("/")
    assert client.read_response().get("connection") == "close"
    assert client.is_closed_by_peer()


def test_a_waiting_client_is_not_idle(gateway, pod):
    front = gateway(pod, top={"limits": {"keepAlive": "50ms", "headerTimeout": "50ms"}})
    waiter = front.open_get("/job/working")
    job = pod.next()
    queued = front.open_get("/job/queued")
    front.wait_for(waiting=1)
    with front.client() as idle:  # its end tells that the limits have passed
        assert idle.get("/").read_response().status == 200
        assert idle.is_closed_by_peer()
    job.answer()
    assert waiter.read_response().status == 200
    pod.next().answer()
    assert queued.read_response().status == 200


def is_refused(client, status=503, problem="too_many_connections"):
    response = client.read_response()
    assert (response.status, response.problem) == (status, problem), response
    assert int(response.get("retry-after")) >= 1
    return client.is_closed_by_peer()


def refusals(front, reason="too_many_connections"):
    return front.metrics()("slotgate_bad_requests_total", reason=reason)


def test_connections_of_a_listener_are_capped(gateway, pod):
    front = gateway(pod, listeners=[{"address": "127.0.0.1:0", "maxConnections": 2},
                                    {"address": "localhost:0"}])
    clients = [front.client() for _ in range(2)]
    for client in clients:
        assert client.get("/").read_response().status == 200
    with front.client() as extra:
        assert is_refused(extra)
    for _ in range(5):  # the other one has room
        assert front.client(listener=1).get("/").read_response().status == 200
    assert refusals(front) == 1
    clients[0].leave()
    wait_until(lambda: try_get(front) == 200, "a place is free again")


def test_a_reload_changes_the_caps(gateway, pod):
    front = gateway(pod)
    clients = [front.client() for _ in range(4)]
    for client in clients:
        assert client.get("/").read_response().status == 200
    front.reload({"limits": {"maxConnectionsPerClient": 3}})
    with front.client() as extra:
        assert is_refused(extra, 429, "too_many_connections_of_client")
    for client in clients:  # who is in stays in
        assert client.get("/").read_response().status == 200
    front.reload({"limits": {"maxConnectionsPerClient": 5}})
    assert front.get("/").status == 200


def test_connections_of_one_client_are_capped(gateway, pod):
    front = gateway(pod, top={"limits": {"maxConnectionsPerClient": 3}})
    crowd = [front.client() for _ in range(3)]
    for client in crowd:
        assert client.get("/").read_response().status == 200
    with front.client() as extra:
        assert is_refused(extra, 429, "too_many_connections_of_client")
    with front.client(source="127.0.0.2") as other:
        assert other.get("/").read_response().status == 200
    assert refusals(front, "too_many_connections_of_client") == 1
    assert front.admin("/healthz")[0] == 200
    crowd[0].leave()
    wait_until(lambda: try_get(front) == 200, "its place is free again")


def test_loopback_may_have_all_unless_told_otherwise(gateway, pod):
    front = gateway(pod, top={"limits": {"maxConnections": 8}})
    for client in [front.client() for _ in range(8)]:
        assert client.get("/").read_response().status == 200


def test_a_crowd_of_slow_heads_keeps_nobody_else_out(gateway, pod):
    """Slow loris: hundreds of connections from one address, each with a head that never ends."""
    front = gateway(pod, top={"limits": {"maxConnections": 60, "maxConnectionsPerClient": 50}})
    crowd = [front.client() for _ in range(400)]
    for client in crowd:
        try:
            client.send("GET / HTTP/1.1\r\nHost: g\r\nX-")
        except ConnectionError:  # it has been told already, and is closed
            pass
    wait_until(lambda: refusals(front, "too_many_connections_of_client") == 350,
               lambda: f"350 are refused: {refusals(front, 'too_many_connections_of_client')}")
    for i in range(20):
        with front.client(source="127.0.0.2") as other:
            assert other.get(f"/{i}").read_response().status == 200
    job = front.client(source="127.0.0.2").post("/job")
    pod.next().answer()
    assert job.read_response().status == 200


def test_a_target_that_is_too_long_is_told(gateway, pod):
    front = gateway(pod, top={"limits": {"maxTargetBytes": 1000}})
    assert front.get("/" + "a" * 999).status == 200
    response = front.get("/" + "a" * 1000)
    assert (response.status, response.problem) == (414, "target_too_long")


def test_admin_connections_end_somewhere(gateway, pod):
    front = gateway(pod)
    crowd = [Client(front.admin_address) for _ in range(256)]
    for client in crowd:
        client.send("GET /metrics HTTP/1.1\r\n")
    with Client(front.admin_address) as extra:
        assert is_refused(extra)
    for client in crowd:
        client.leave()
    wait_until(lambda: try_admin(front) == 200, "the admin answers again")


def test_who_keeps_admin_connections_keeps_no_liveness_check_out(gateway, pod):
    """Whether they have asked something or nothing yet: those that wait the longest make room."""
    front = gateway(pod)
    crowd = [Client(front.admin_address) for _ in range(300)]
    for client in crowd[100:200]:
        assert client.get("/healthz").read_response().status == 200
    for _ in range(300):
        with Client(front.admin_address) as check:
            assert check.get("/healthz").read_response().status == 200
    assert crowd[-1].get("/healthz").read_response().status == 200, "one of the last is there"
    assert refusals(front) == 0


def try_admin(front):
    try:
        return front.admin("/healthz")[0]
    except (ConnectionError, http.client.HTTPException):
        return None


# --- descriptors ---

def descriptors_of(front):
    return [int(name) for name in os.listdir(f"/proc/{front.process.pid}/fd")]


def test_few_descriptors_lower_the_connections(gateway, pod):
    """64 descriptors, 24 of them kept: 20 clients and their pods' connections have the rest."""
    front = gateway(pod, in_child=limits(descriptors=64))
    assert "at most 20 of 20000 clients" in front.log()
    assert "LimitNOFILE" in front.log()


def test_a_crowd_does_not_take_the_last_descriptors(gateway, pod):
    """100 clients for 64 descriptors: those inside are served, and the admin answers."""
    front = gateway(pod, in_child=limits(descriptors=64), timeouts={"podKeepAlive": "0s"})
    inside = front.client()
    assert inside.get("/").read_response().status == 200
    crowd = [front.client() for _ in range(100)]
    wait_until(lambda: refusals(front) + refusals(front, "no_descriptors") > 50,
               "the most are refused")
    assert max(descriptors_of(front)) < 64 - 20
    inside.post("/job")  # a descriptor to reach the pod is left
    pod.next().answer()
    assert inside.read_response().status == 200
    for client in crowd:
        client.leave()
    wait_until(lambda: try_get(front) == 200, "it serves again")
    front.wait_for(ready=1, free=1, waiting=0)


def test_without_any_descriptor_it_pauses_and_recovers(gateway, pod):
    """The limit sinks to what is open: accepting fails in earnest until it rises again."""
    front = gateway(pod)
    inside = front.client()
    assert inside.get("/").read_response().status == 200
    before = resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE)
    lowest = max(descriptors_of(front)) + 1
    resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
    crowd = [front.client().get("/") for _ in range(30)]
    wait_until(lambda: "not accepting until connections close" in front.log(), "it tells")
    assert inside.get("/again").read_response().status in (200, 503)  # if one to the pod was kept
    resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE, before)
    for client in crowd:  # those that the kernel kept are served without having to ask again
        assert client.read_response().status == 200
    assert front.get("/").status == 200
    assert front.admin("/healthz")[0] == 200
    front.wait_for(ready=1, free=1)


def test_without_a_descriptor_for_its_pod_a_job_is_not_lost(gateway, pod):
    front = gateway(pod, timeouts={"podKeepAlive": "0s"})
    inside = front.client()
    assert inside.get("/").read_response().status == 200
    before = resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    inside.post("/job")
    wait_until(lambda: inside.has_bytes() or "/job" in pod.paths(), "an answer, or the job")
    resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE, before)
    if "/job" in pod.paths():
        pod.next().answer()
        assert inside.read_response().status == 200
    else:
        assert inside.read_response().status in (502, 503)
    front.wait_for(waiting=0, working=0)
    wait_until(lambda: try_get(front) == 200, "it serves again")
