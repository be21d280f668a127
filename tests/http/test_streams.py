"""What flows while it is made: server-sent events, chunked answers of a job, WebSockets."""
import random

import pytest

from harness.client import Broken
from harness.demo import start_demo_pod
from harness.websocket import BINARY, PING, PONG, TEXT, WebSocket, accept_key


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods()


@pytest.fixture(scope="module")
def front(shared_gateway, pod):
    return shared_gateway(pod)


@pytest.mark.parametrize("path", ["/aside/events", "/job/events"])
def test_each_event_arrives_before_the_next_is_sent(front, pod, path):
    with front.open_get(path, [("Accept", "text/event-stream")]) as client:
        job = pod.next()
        job.begin([("Content-Type", "text/event-stream")])
        assert client.read_head().get("content-type") == "text/event-stream"
        for i in range(10):
            event = b"data: %d\n\n" % i
            job.chunk(event)
            assert client.read_chunk() == event
        job.finish()
        assert client.read_chunk() == b""


def test_pieces_of_a_sized_answer_arrive_as_they_are_sent(front, pod):
    with front.open_get("/job") as client:
        job = pod.next()
        job.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        assert client.read_head().get("content-length") == "6"
        for piece in (b"ab", b"cd", b"ef"):
            job.end()
            job.send(piece)
            assert client.read_exactly(2) == piece
        job.release()


def test_an_answer_that_comes_byte_by_byte(front, pod):
    with front.open_get("/job") as client:
        job = pod.next()
        job.end()
        for byte in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"):
            job.send(bytes([byte]))
        job.release()
        assert client.read_response().body == b"abcde"


@pytest.mark.parametrize("version", ["1.0", "1.1", "2"])
def test_many_pieces_at_once_keep_their_order(front, pod, version):
    """Small ones leave together, large ones alone."""
    rng = random.Random(version)
    pieces = [rng.randbytes(rng.choice([1, 2, 1023, 1024, 1025, 40000])) for _ in range(500)]
    pieces += [b"%d," % i for i in range(20000)]
    client = front.http2() if version == "2" else front.client()
    stream = client.get("/aside", **({} if version == "2" else {"version": version}))
    job = pod.next()
    job.begin()
    job.send(b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces))
    job.finish()
    answer = client.answer(stream) if version == "2" else client.read_response()
    assert answer.body == b"".join(pieces)


def test_a_stream_holds_its_slot_to_its_end(front, pod):
    stream = front.open_get("/job/stream")
    first = pod.next()
    first.begin()
    first.chunk(b"1")
    stream.read_head()
    waiter = front.open_get("/job/waiter")
    front.wait_for(working=1, waiting=1)
    first.finish()
    pod.next().answer()
    assert waiter.read_response().status == 200
    stream.leave()


def test_a_broken_stream_is_not_ended_properly(front, pod):
    """The client must be able to tell half an answer from a whole one."""
    with front.open_get("/aside") as client:
        job = pod.next()
        job.begin()
        job.chunk(b"half")
        client.read_head()
        assert client.read_chunk() == b"half"
        job.hang_up()
        with pytest.raises((Broken, ConnectionError)):
            client.read_chunk()


def test_a_client_that_leaves_its_stream_ends_it(front, pod):
    client = front.open_get("/aside")
    job = pod.next()
    job.begin()
    job.chunk(b"1")
    client.read_head()
    client.leave()
    front.wait_for_metric(0, "slotgate_pass_through_in_flight")


def accept(job):
    """The pod's side of a handshake."""
    assert job.get("upgrade").lower() == "websocket"
    assert job.get("connection").lower() == "upgrade"
    job.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             f"Sec-WebSocket-Accept: {accept_key(job.get('sec-websocket-key'))}\r\n\r\n".encode())


HANDSHAKE = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
             ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")]


def test_bytes_of_an_upgraded_connection_pass_both_ways(front, pod):
    with front.client() as client:
        client.get("/aside", HANDSHAKE)
        job = pod.next()
        accept(job)
        assert client.read_head().status == 101
        for i in range(5):
            client.send(b"up %d" % i)
            assert job.connection.recv(100) == b"up %d" % i
            job.send(b"down %d" % i)
            assert client.read_exactly(6) == b"down %d" % i
        assert front.figures()["working"] == 0
        assert front.metrics()("slotgate_pass_through_in_flight") == 1
        job.release(close=True)
        assert client.is_closed_by_peer()
    front.wait_for_metric(0, "slotgate_pass_through_in_flight")


def test_a_client_that_ends_its_half_of_a_tunnel(front, pod):
    """The pod sees the end, and what it still says arrives; meanwhile others are served."""
    with front.client() as client:
        client.get("/aside", HANDSHAKE)
        job = pod.next()
        accept(job)
        assert client.read_head().status == 101
        client.send(b"last")
        client.finish_sending()
        assert job.connection.recv(100) == b"last"
        assert job.connection.recv(100) == b""
        assert front.get("/meanwhile").status == 200
        job.send(b"goodbye")
        assert client.read_exactly(7) == b"goodbye"
        job.release(close=True)
        assert client.is_closed_by_peer()


def test_a_tunnel_whose_pod_does_not_read_holds_its_client(front, pod):
    """A flood from the client is kept in bounds, and arrives whole."""
    with front.client() as client:
        client.get("/aside", HANDSHAKE)
        job = pod.next()
        accept(job)
        assert client.read_head().status == 101
        client.socket.setblocking(False)
        sent = 0
        try:
            while sent < 256 << 20:
                sent += client.socket.send(b"x" * (1 << 20))
        except BlockingIOError:
            pass
        assert sent < 64 << 20
        received = 0
        while received < sent:
            received += len(job.connection.recv(1 << 20))
        assert front.get("/meanwhile").status == 200
        job.release(close=True)


def test_a_pod_that_declines_to_upgrade(front, pod):
    with front.client() as client:
        client.get("/aside", HANDSHAKE)
        pod.next().answer(b"no", status=403)
        response = client.read_response()
        assert (response.status, response.body) == (403, b"no")
        assert client.get("/after").read_response().status == 200


def test_bytes_sent_right_behind_the_handshake_are_not_lost(front, pod):
    with front.client() as client:
        client.send(client.head("GET", "/aside", HANDSHAKE) + b"early")
        job = pod.next()
        accept(job)
        assert client.read_head().status == 101
        assert job.connection.recv(100) == b"early"
        job.release(close=True)


@pytest.fixture(scope="module")
def demo_front(shared_gateway, tmp_path_factory):
    pod = start_demo_pod(tmp_path_factory.mktemp("demo"), "pod", "--service-time", "10ms")
    yield shared_gateway(pod, slots=["POST /sdapi/v1/txt2img"])
    pod.kill()


def test_websocket_echo(demo_front):
    with demo_front.client() as client:
        socket = WebSocket(client, "/queue/join")
        socket.send("hello")
        assert socket.read() == (TEXT, b"hello")
        big = bytes(range(256)) * 2000
        socket.send(big, BINARY)
        assert socket.read() == (BINARY, big)
        socket.send(b"?", PING)
        assert socket.read() == (PONG, b"?")
        assert socket.close(1000) == 1000
        assert client.is_closed_by_peer()


def test_a_websocket_whose_client_vanishes_is_cleaned_up(demo_front):
    client = demo_front.client()
    WebSocket(client, "/queue/join")
    demo_front.wait_for_metric(1, "slotgate_pass_through_in_flight")
    client.reset()
    demo_front.wait_for_metric(0, "slotgate_pass_through_in_flight")


def test_many_websockets_beside_each_other(demo_front):
    sockets = [WebSocket(demo_front.client(), "/queue/join") for _ in range(20)]
    for i, socket in enumerate(sockets):
        socket.send(f"{i}")
    for i, socket in enumerate(sockets):
        assert socket.read() == (TEXT, b"%d" % i)
    for socket in sockets:
        assert socket.close() == 1000
        socket.client.leave()


def test_server_sent_events_of_the_demo_pod(demo_front):
    response = demo_front.get("/queue/data?session_hash=abc&n=3&interval_ms=5")
    assert response.body.count(b"data: ") == 3 and b"process_completed" in response.body
