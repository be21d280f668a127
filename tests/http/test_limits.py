"""Limits of the gateway itself: connections, slow heads, idle clients, file descriptors."""
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


def test_without_file_descriptors_it_recovers(gateway, pod):
    """100 clients for 64 descriptors: who got in is served, and then everybody is again."""
    front = gateway(pod, in_child=limits(descriptors=64))
    clients = [front.client() for _ in range(100)]
    wait_until(lambda: "descriptors" in front.log().lower() or "EMFILE" in front.log()
               or "too many open files" in front.log().lower(), "it tells in its log")
    for client in clients:
        client.leave()
    wait_until(lambda: try_get(front) == 200, "it serves again")
    for i in range(20):
        assert front.get(f"/{i}").status == 200
    front.wait_for(ready=1, free=1)


def test_without_file_descriptors_a_job_is_not_lost(gateway, pod):
    """A client who got in asks for a pod when there is no descriptor to reach it with."""
    front = gateway(pod, in_child=limits(descriptors=64), timeouts={"podKeepAlive": "0s"})
    inside = front.client()
    assert inside.get("/").read_response().status == 200
    crowd = [front.client() for _ in range(100)]
    wait_until(lambda: "too many open files" in front.log().lower()
               or "descriptors" in front.log().lower(), "it has run out")
    inside.post("/job")
    for client in crowd:
        client.leave()
    wait_until(lambda: inside.has_bytes() or pod.paths().count("/job"), "an answer, or the job")
    served = "/job" in pod.paths()
    if served:
        pod.next().answer()
    response = inside.read_response()
    assert response.status == 200 if served else response.status in (502, 503)
    front.wait_for(waiting=0, working=0)
