"""Promise 9: SIGTERM answers all who are in, refuses the rest clearly, and exits 0."""
import signal

import pytest

from harness.demo import GENERATE, PROMPT
from harness.wait import wait_until
from harness.websocket import CLOSE, TEXT, WebSocket

GOING_AWAY = b"\x03\xe9"


def test_all_who_are_in_are_answered(gateway, pod):
    front = gateway(pod, top={"drainTimeout": "30s"})
    clients = [front.open_post("/job/0")]
    job = pod.next()
    for i in range(1, 5):
        clients.append(front.open_post(f"/job/{i}"))
        front.wait_for(waiting=i)
    front.terminate()
    wait_until(lambda: front.admin("/readyz")[0] == 503, "it says that it drains")
    assert front.admin("/healthz")[0] == 200
    job.answer(b"0")
    for i in range(1, 5):
        job = pod.next()
        job.answer(b"%d" % i)
    assert [client.read_response().body for client in clients] == [b"0", b"1", b"2", b"3", b"4"]
    assert front.wait() == 0


def test_an_upload_under_way_is_finished(gateway, pod):
    front = gateway(pod, top={"drainTimeout": "30s"})
    client = front.client()
    client.send(client.head("POST", "/job", [("Content-Length", 4)]) + b"12")
    front.wait_for(uploading=1)
    front.terminate()
    wait_until(lambda: front.admin("/readyz")[0] == 503, "it drains")
    client.send(b"34")
    job = pod.next()
    assert job.body == b"1234"
    job.answer()
    response = client.read_response()
    assert response.status == 200 and response.get("connection") == "close"
    assert front.wait() == 0


def test_a_slow_download_is_finished(gateway, pod):
    front = gateway(pod, top={"drainTimeout": "30s"})
    slow = front.client(receive_buffer=4096).post("/job")
    body = b"x" * (12 << 20)
    pod.next().answer(body)
    front.wait_for(free=1)
    front.terminate()
    assert slow.read_response().body == body
    assert front.wait() == 0


def test_newcomers_are_turned_away(gateway, pod):
    front = gateway(pod, top={"drainTimeout": "30s"})
    idle = front.client()
    assert idle.get("/").read_response().status == 200
    client = front.open_post("/job")
    job = pod.next()
    front.terminate()
    wait_until(lambda: front.admin("/readyz")[0] == 503, "it drains")
    assert idle.is_closed_by_peer(), "an idle connection would be a trap for its next request"
    try:
        with front.client() as late:
            response = late.post("/job/late").read_response()
            assert response.status == 503 and response.problem == "closing"
    except (ConnectionError, OSError):
        pass  # refused outright: as clear
    job.answer()
    assert client.read_response().status == 200
    assert front.wait() == 0
    assert "/job/late" not in pod.paths()


def test_an_answer_for_nobody_is_awaited_too(gateway, pod):
    """The pod works on; whoever takes over from here should find it idle."""
    front = gateway(pod, top={"drainTimeout": "30s"})
    client = front.open_post("/job")
    job = pod.next()
    client.leave()
    front.wait_for(draining=1)
    front.terminate()
    wait_until(lambda: front.admin("/readyz")[0] == 503, "it drains")
    front.wait_for(draining=1)
    job.answer()
    assert front.wait() == 0


def test_the_drain_has_a_limit(gateway, pod):
    front = gateway(pod, top={"drainTimeout": "200ms"})
    working, waiting = front.open_post("/job/0"), None
    job = pod.next()
    waiting = front.open_post("/job/1")
    front.wait_for(waiting=1)
    front.terminate()
    assert front.wait() == 0
    for client in (working, waiting):
        try:
            assert client.read_response().status in (502, 503, 504)
        except Exception as error:  # cut off
            assert isinstance(error, ConnectionError) or "closed" in str(error)
    job.end()
    assert pod.paths() == ["/job/0"]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_now(gateway, pod, second):
    front = gateway(pod, top={"drainTimeout": "60s"})
    front.open_post("/job")
    pod.next()
    front.terminate()
    wait_until(lambda: front.admin("/readyz")[0] == 503, "it drains")
    front.terminate(second)
    assert front.wait() == 0


def test_told_to_stop_now_amid_writing_to_the_disk(gateway, pod):
    """What the disk's thread still has in hand must not be lost track of (the leak check tells)."""
    front = gateway(pod, body={"memory": 0})
    clients = [front.client() for _ in range(8)]
    with front.paused():
        for client in clients:
            client.send(client.head("POST", "/job", [("Content-Length", 8 << 20)]))
            client.send_what_fits(b"x" * (4 << 20))
    front.terminate()
    front.terminate(signal.SIGINT)
    assert front.wait() == 0


def test_sigint_drains_like_sigterm(gateway, pod):
    front = gateway(pod, top={"drainTimeout": "30s"})
    client = front.open_post("/job")
    job = pod.next()
    front.terminate(signal.SIGINT)
    wait_until(lambda: front.admin("/readyz")[0] == 503, "it drains")
    job.answer()
    assert client.read_response().status == 200
    assert front.wait() == 0


def test_idle_it_exits_at_once(gateway, pod):
    front = gateway(pod, top={"drainTimeout": "60s"})
    with front.client() as idle:
        assert idle.get("/").read_response().status == 200
        front.terminate()
        assert front.wait() == 0


def test_a_websocket_is_closed_at_the_drains_end(gateway, demo_pod):
    pod = demo_pod()
    front = gateway(pod, top={"drainTimeout": "300ms"})
    socket = WebSocket(front.client(), "/queue/join")
    socket.send("before")
    assert socket.read() == (TEXT, b"before")
    front.terminate()
    assert socket.read() == (CLOSE, GOING_AWAY)
    assert front.wait() == 0
    assert socket.client.is_closed_by_peer()


def test_both_ends_of_a_websocket_are_told(gateway, pod):
    front = gateway(pod, top={"drainTimeout": "30s", "drainTunnels": "0s"})
    tunnel, job = open_tunnel(front, pod)
    job.send(b"\x81\x05hel")  # a frame under way: nothing may come into it
    tunnel.client.send(b"\x81\x85\0\0\0\0he")
    assert tunnel.client.read_exactly(5) == b"\x81\x05hel"
    assert receive(job, 8) == b"\x81\x85\0\0\0\0he"
    front.terminate()
    wait_until(lambda: front.admin("/readyz")[0] == 503, "it drains")
    job.send(b"lo\x81\x04late")
    assert tunnel.client.read_exactly(2) == b"lo"
    assert tunnel.read() == (CLOSE, GOING_AWAY), "at the frame's end, and nothing behind it"
    tunnel.client.send(b"llo\x81\x84\0\0\0\0late")
    assert receive(job, 3 + 8) == b"llo\x88\x82\0\0\0\0" + GOING_AWAY
    assert front.process.poll() is None, "both are waited for"
    tunnel.send(GOING_AWAY, CLOSE)
    job.send(b"\x88\x02" + GOING_AWAY)
    assert tunnel.client.is_closed_by_peer()
    job.release(close=True)
    assert front.wait() == 0


def test_who_does_not_answer_is_not_waited_for_long(gateway, pod):
    front = gateway(pod, top={"drainTimeout": "30s", "drainTunnels": "0s"})
    tunnel, job = open_tunnel(front, pod)
    front.terminate()
    assert tunnel.read() == (CLOSE, GOING_AWAY)
    assert front.wait() == 0
    job.release(close=True)


def open_tunnel(front, pod):
    client = front.client()
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    client.get("/aside/ws", [("Connection", "Upgrade"), ("Upgrade", "websocket"),
                             ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key)])
    job = pod.next()
    job.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
             b"Connection: Upgrade\r\n\r\n")
    assert client.read_head().status == 101
    tunnel = WebSocket.__new__(WebSocket)
    tunnel.client = client
    return tunnel, job


def receive(job, n):
    data = b""
    while len(data) < n:
        more = job.connection.recv(n - len(data))
        assert more, data
        data += more
    return data


def test_a_load_on_demo_pods_is_finished(gateway, demo_pod):
    pods = [demo_pod("--service-time", "30ms") for _ in range(2)]
    front = gateway(*pods, slots=["POST " + GENERATE], top={"drainTimeout": "30s"})
    clients = [front.open_post(GENERATE, PROMPT) for _ in range(20)]
    front.wait_for(working=2)
    wait_until(lambda: sum(pod.audit()["arrived"] for pod in pods) >= 4, "it is under way")
    wait_until(lambda: front.figures()["uploading"] == 0, "all are in")
    front.terminate()
    assert [client.read_response().status for client in clients] == [200] * 20
    assert front.wait() == 0
