"""HTTP/2's connections: how one begins, how long it stays, and how it ends."""
import pytest
from hyperframe.frame import ContinuationFrame, GoAwayFrame, HeadersFrame, SettingsFrame

from harness.client import Client
from harness.http2_client import NO_ERROR, PREFACE, PROTOCOL_ERROR
from harness.wait import wait_until


@pytest.fixture
def pod(pods):
    return pods()


def read_status(client):
    return client.read_response().status


# --- which protocol it is ---


@pytest.mark.parametrize("cut", [1, 3, 14, 23])
def test_a_preface_in_pieces(gateway, pod, cut):
    front = gateway(pod)
    client = front.http2(begins=False)
    client.send(PREFACE[:cut])
    assert front.get("/").status == 200  # it has been looked at
    client.send(PREFACE[cut:] + SettingsFrame(0).serialize())
    assert client.answer(client.get("/")).status == 200


@pytest.mark.parametrize("method", ["PROPFIND", "PATCH", "POST", "PURGE"])
def test_http_1_that_begins_like_the_preface(gateway, pod, method):
    front = gateway(pod)
    client = front.client()
    request = client.head(method, "/", [("Content-Length", 0)])
    for byte in request:
        client.send(bytes([byte]))
    assert client.read_response().json()["method"] == method


@pytest.mark.parametrize("preface", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
                                     b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_a_wrong_preface_is_a_version_that_is_not_spoken(gateway, pod, preface):
    front = gateway(pod)
    client = front.client()
    client.send(preface)
    assert read_status(client) == 505


def test_a_preface_that_never_ends(gateway, pod):
    front = gateway(pod, top={"limits": {"headerTimeout": "200ms"}})
    client = front.client()
    client.send(PREFACE[:10])
    assert client.is_closed_by_peer()


def test_a_preface_cut_short(gateway, pod):
    front = gateway(pod)
    for cut in (1, 10, 24, 30):
        client = front.client()
        client.send((PREFACE + SettingsFrame(0).serialize())[:cut])
        client.leave()
    wait_until(lambda: front.metrics()("slotgate_connections_open") == 0, "they are gone")


def test_a_first_frame_that_is_not_settings(gateway, pod):
    client = gateway(pod).http2(begins=False)
    client.send(PREFACE)
    client.get("/job")
    assert client.end_of_connection() == PROTOCOL_ERROR
    assert pod.paths() == []


def test_switched_off(gateway, pod):
    front = gateway(pod, listeners=[{"address": "127.0.0.1:0", "http2": False}])
    client = front.client()
    client.send(PREFACE + SettingsFrame(0).serialize())
    assert read_status(client) == 505


def test_the_admin_speaks_http_1_only(gateway, pod):
    front = gateway(pod)
    with Client(front.admin_address) as client:
        client.send(PREFACE)
        assert read_status(client) == 505


def test_an_upgrade_to_h2c_is_not_taken(gateway, pod):
    front = gateway(pod)
    seen = front.get("/", [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                           ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
    assert seen.status == 200
    names = [name for name, _ in seen.json()["headers"]]
    assert "upgrade" not in names and "http2-settings" not in names


@pytest.mark.parametrize("offered, agreed", [(["h2", "http/1.1"], "h2"), (["h2"], "h2")])
def test_over_tls_as_alpn_agrees(gateway, pod, certificates, offered, agreed):
    front = gateway(pod, listeners=[{"address": "127.0.0.1:0", "tls": certificates.tls()}])
    client = front.http2(tls=certificates.client(protocols=offered))
    assert client.socket.selected_alpn_protocol() == agreed
    body = b"x" * 1_000_000
    stream = client.post("/", body, scheme="https")
    assert client.answer(stream).json()["length"] == len(body)
    stream = client.get("/aside", scheme="https")
    pod.next().answer(body * 3)
    assert client.answer(stream).body == body * 3


# --- how long it stays ---


def test_idle_connections_are_ended_with_a_goodbye(gateway, pod):
    front = gateway(pod, top={"limits": {"keepAlive": "200ms"}})
    client = front.http2()
    assert client.answer(client.get("/")).status == 200
    assert client.end_of_connection() == NO_ERROR


def test_a_first_request_that_never_comes(gateway, pod):
    client = gateway(pod, top={"limits": {"headerTimeout": "200ms"}}).http2()
    assert client.end_of_connection() == NO_ERROR


def test_a_connection_at_work_is_not_idle(gateway, pod):
    front = gateway(pod, top={"limits": {"keepAlive": "50ms", "headerTimeout": "50ms"}})
    client = front.http2()
    stream = client.post("/job")
    job = pod.next()
    idle = front.http2()
    assert idle.end_of_connection() == NO_ERROR  # that much time has passed
    job.answer()
    assert client.answer(stream).status == 200


def test_without_keep_alive_it_ends_with_its_streams(gateway, pod):
    front = gateway(pod, top={"limits": {"keepAlive": "0s"}})
    client = front.http2()
    slow, quick = client.get("/aside"), client.get("/")
    assert client.answer(quick).status == 200
    pod.next().answer()
    assert client.answer(slow).status == 200
    assert client.end_of_connection() == NO_ERROR


def test_a_head_that_never_ends(gateway, pod):
    front = gateway(pod, top={"limits": {"headerTimeout": "200ms"}})
    client = front.http2()
    client.barrier()  # nothing may come between the pieces of a head, not even an acknowledgement
    block = client.encoder.encode(client.fields("GET", "/job"))
    client.send_frame(HeadersFrame(client.open_stream(), block[:5]), "END_STREAM")
    assert client.end_of_connection() == NO_ERROR
    front.wait_for_metric(1, "slotgate_bad_requests_total", reason="header_timeout")
    assert pod.paths() == []


def test_a_head_that_ends_in_time(gateway, pod):
    client = gateway(pod).http2()
    block = client.encoder.encode(client.fields("GET", "/"))
    stream = client.open_stream()
    client.send_frame(HeadersFrame(stream, b""), "END_STREAM")
    client.send_frame(ContinuationFrame(stream, block), "END_HEADERS")
    assert client.answer(stream).status == 200


# --- drain and reload ---


def goodbyes(client):
    return [frame.last_stream_id for frame in client.frames if isinstance(frame, GoAwayFrame)]


def test_a_drain_finishes_the_streams(gateway, pod):
    front = gateway(pod)
    client, idle = front.http2(), front.http2()
    idle.barrier()
    streams = [client.post(f"/job/{i}") for i in range(3)]
    front.wait_for(working=1, waiting=2)
    front.terminate()
    assert idle.end_of_connection() == NO_ERROR
    client.until(lambda: client.goaway)
    with pytest.raises(ConnectionError):
        front.http2()
    for stream in streams:
        pod.next().answer()
        assert client.answer(stream).status == 200
    assert client.end_of_connection() == NO_ERROR
    assert front.wait() == 0


def test_a_drain_serves_what_was_on_its_way(gateway, pod):
    """The client's requests that cross the goodbye are answered: it is final only when heard."""
    front = gateway(pod)
    client = front.http2()
    first = client.post("/job/0")
    job = pod.next()
    front.terminate()
    wait_until(lambda: "draining" in front.log(), "it drains")
    crossing = client.get("/crossing")  # nothing of the goodbye has been read yet
    assert client.answer(crossing).status == 200
    client.barrier()
    assert goodbyes(client) == [2**31 - 1, crossing]
    job.answer()
    assert client.answer(first).status == 200
    assert client.end_of_connection() == NO_ERROR
    assert front.wait() == 0


def test_a_drain_does_not_wait_for_a_client_that_goes_on(gateway, pod):
    front = gateway(pod)
    client = front.http2()
    first = client.post("/job/0")
    job = pod.next()
    front.terminate()
    client.until(lambda: len(goodbyes(client)) == 2)
    late = client.get("/late")
    job.answer()
    assert client.answer(first).status == 200
    assert client.end_of_connection() == NO_ERROR
    assert not client.answers[late].ended
    assert front.wait() == 0


def test_a_reload_in_between(gateway, pod):
    front = gateway(pod)
    client = front.http2()
    streams = [client.post(f"/job/{i}") for i in range(3)]
    front.wait_for(working=1, waiting=2)
    front.reload({"limits": {"http2Streams": 2}, "log": {"level": "info"}})
    for stream in streams:
        pod.next().answer()
        assert client.answer(stream).status == 200
    assert client.answer(client.get("/")).status == 200
    assert front.http2().get("/") == 1


def test_stopped_at_once(gateway, pod):
    front = gateway(pod)
    client = front.http2()
    client.post("/job")
    pod.next()
    front.terminate()
    client.until(lambda: client.goaway)
    front.terminate()
    client.end_of_connection()
    front.wait()
