"""HTTP/2: limits of requests, windows, and clients that are slow or stand still."""
import hashlib

import pytest
from hyperframe.frame import DataFrame, SettingsFrame

from harness.http2_client import (INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, Reset)

MIB = 1 << 20
IMAGE = bytes(range(256)) * (8 * MIB // 256)


@pytest.fixture
def pod(pods):
    return pods()


# --- limits of requests ---


def test_a_body_that_says_it_is_too_large(gateway, pod):
    front = gateway(pod, body={"maxBytes": "100KiB"})
    client = front.http2()
    stream = client.begin("POST", "/job", [("content-length", 100 * 1024 + 1)], end=False)
    answer = client.answer(stream)
    assert (answer.status, answer.problem) == (413, "body_too_large")
    assert client.reset_of(stream) == NO_ERROR, "the rest is not wanted, and no error"
    assert client.answer(client.get("/")).status == 200
    assert "/job" not in pod.paths()


def test_a_body_that_turns_out_too_large(gateway, pod):
    front = gateway(pod, body={"maxBytes": "100KiB"})
    client = front.http2()
    stream = client.begin("POST", "/job", end=False)
    client.data(stream, b"x" * 100 * 1024)
    client.barrier()
    assert client.answers[stream].status is None
    client.data(stream, b"x")
    assert client.answer(stream).status == 413
    assert client.reset_of(stream) == NO_ERROR
    client.send_frame(DataFrame(stream, b"what was on its way"))
    client.barrier()
    assert client.goaway is None
    front.wait_for(working=0, waiting=0)
    assert "/job" not in pod.paths()


def test_a_body_as_large_as_it_may_be(gateway, pod):
    front = gateway(pod, body={"maxBytes": "100KiB"})
    client = front.http2()
    assert client.answer(client.post("/", b"x" * 100 * 1024)).json()["length"] == 100 * 1024


def test_a_body_that_never_ends_is_timed_out_alone(gateway, pod):
    front = gateway(pod, body={"timeout": "200ms"})
    client = front.http2()
    stream = client.begin("POST", "/job", end=False)
    client.data(stream, b"half")
    answer = client.answer(stream)
    assert (answer.status, answer.problem) == (408, "body_timeout")
    assert client.reset_of(stream) == NO_ERROR
    assert client.answer(client.get("/")).status == 200


@pytest.mark.parametrize("headers", [[("x-big", "a" * 5000)],
                                     [(f"x-{i}", "1") for i in range(60)]])
def test_a_head_over_the_limits(gateway, pod, headers):
    front = gateway(pod, top={"limits": {"maxHeaderBytes": "4KiB", "maxHeaders": 50}})
    client = front.http2()
    answer = client.answer(client.get("/", headers))
    assert (answer.status, answer.problem) == (431, "head_too_large")
    assert client.answer(client.get("/")).status == 200, "the tables of both sides still agree"


def test_a_target_over_the_limit(gateway, pod):
    client = gateway(pod).http2()
    answer = client.answer(client.get("/" + "a" * 8192))
    assert (answer.status, answer.problem) == (414, "target_too_long")
    assert client.answer(client.get("/" + "a" * 8191)).status == 200


@pytest.mark.parametrize("length, sent", [(5, b"four"), (3, b"four"), (0, b"four"), (4, b"")])
def test_a_length_that_is_not_the_bodys(gateway, pod, length, sent):
    front = gateway(pod)
    client = front.http2()
    stream = client.begin("POST", "/job", [("content-length", length)], end=False)
    client.send_frame(DataFrame(stream, sent), "END_STREAM")
    assert client.reset_of(stream) == PROTOCOL_ERROR
    assert client.answer(client.get("/")).status == 200
    front.wait_for(working=0, waiting=0)
    assert "/job" not in pod.paths()


def test_a_length_where_there_is_no_body(gateway, pod):
    client = gateway(pod).http2()
    stream = client.begin("POST", "/job", [("content-length", 5)], end=True)
    assert client.reset_of(stream) == PROTOCOL_ERROR
    client.barrier()
    assert "/job" not in pod.paths()


@pytest.mark.parametrize("length", ["", "+5", "5, 5", "0x5", "-1", "9" * 30])
def test_a_length_that_is_no_number(gateway, pod, length):
    client = gateway(pod).http2()
    stream = client.begin("POST", "/job", [("content-length", length)], end=False)
    assert client.reset_of(stream) == PROTOCOL_ERROR
    client.barrier()
    assert "/job" not in pod.paths()


# --- uploads ---


def test_a_slow_upload_holds_nobody_up(gateway, pod):
    front = gateway(pod)
    client = front.http2()
    slow = client.begin("POST", "/job/slow", end=False)
    client.data(slow, b"first")
    for i in range(5):
        quick = client.post("/job/quick", b"x" * 300_000)
        pod.next().answer()
        assert client.answer(quick).status == 200
    client.data(slow, b"last", end=True)
    job = pod.next()
    assert job.body == b"firstlast"
    job.answer()
    assert client.answer(slow).status == 200


def test_uploads_at_once_are_told_apart(gateway, pod):
    front = gateway(pod)
    client = front.http2()
    bodies = [bytes([i]) * (700_000 + i) for i in range(8)]
    streams = [client.begin("POST", "/", end=False) for _ in bodies]
    for at in range(0, 700_100, 50_000):
        for stream, body in zip(streams, bodies):
            client.data(stream, body[at:at + 50_000])
    for stream, body in zip(streams, bodies):
        client.send_frame(DataFrame(stream), "END_STREAM")
        assert client.answer(stream).json()["sha256"] == hashlib.sha256(body).hexdigest()


# --- downloads ---


def test_a_download_frees_its_slot_before_the_client_takes_it(gateway, pod):
    front = gateway(pod)
    client = front.http2(opens_windows=False)
    stream = client.post("/job")
    pod.next().answer(IMAGE)
    front.wait_for(working=0)
    answer = client.head(stream)
    client.until(lambda: len(answer.body) == 65535)
    client.open_window(0, len(IMAGE))
    client.open_window(stream, len(IMAGE))
    assert client.answer(stream).body == IMAGE


def test_a_stream_without_a_window_holds_no_other_up(gateway, pod):
    front = gateway(pod)
    client = front.http2(opens_windows=False, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1000})
    client.open_window(0, 10 * MIB)
    closed = client.post("/job/closed")
    pod.next().answer(IMAGE)
    for _ in range(5):
        stream = client.post("/job/open")
        client.open_window(stream, MIB)
        pod.next().answer(b"x" * 20_000)
        assert len(client.answer(stream).body) == 20_000
    assert len(client.answers[closed].body) == 1000
    client.open_window(closed, len(IMAGE))
    assert client.answer(closed).body == IMAGE


def test_windows_may_shrink_below_zero(gateway, pod):
    front = gateway(pod)
    client = front.http2(opens_windows=False)
    stream = client.post("/job")
    pod.next().answer(b"x" * 100_000)
    client.until(lambda: len(client.answers[stream].body) == 65535)
    client.send_frame(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
    client.open_window(0, MIB)
    client.open_window(stream, 65535)  # now it is 0
    client.barrier()
    assert len(client.answers[stream].body) == 65535
    client.open_window(stream, 40_000)
    assert len(client.answer(stream).body) == 100_000


def test_many_downloads_at_once_are_shared_and_whole(gateway, pods):
    pod = pods(capacity=10)
    front = gateway(pod, containerConcurrency=10)
    client = front.http2()
    streams = [client.post(f"/job/{i}") for i in range(10)]
    for _ in streams:
        job = pod.next()
        job.answer(job.path.encode() * 100_000)
    for i, stream in enumerate(streams):
        assert client.answer(stream).body == b"/job/%d" % i * 100_000


def test_a_client_that_never_opens_its_window_loses_that_stream(gateway, pod):
    front = gateway(pod, top={"limits": {"sendTimeout": "300ms"}})
    client = front.http2(opens_windows=False, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    stream = client.post("/job", headers=[("x-request-id", "stuck")])
    pod.next().answer(b"x")
    front.wait_for(working=0)
    with pytest.raises(Reset) as ended:
        client.answer(stream)
    assert ended.value.code == INTERNAL_ERROR
    assert front.access_line("stuck")["outcome"] == "client_too_slow"
    other = client.begin("HEAD", "/")
    assert client.answer(other).status == 200


def test_a_client_that_reads_nothing_is_dropped(gateway, pod):
    front = gateway(pod, top={"limits": {"sendTimeout": "300ms"}})
    client = front.http2(receive_buffer=4096, settings={
        SettingsFrame.INITIAL_WINDOW_SIZE: 2**31 - 1})
    client.open_window(0, 2**31 - 1 - 65535)
    client.post("/job", headers=[("x-request-id", "deaf")])
    pod.next().answer(IMAGE)
    front.wait_for(working=0)
    assert front.access_line("deaf")["outcome"] == "client_too_slow"


def test_answers_are_delivered_while_a_large_one_is_under_way(gateway, pod):
    """A connection that is never done with writing must not keep what it has written."""
    front = gateway(pod)
    client = front.http2(receive_buffer=4096, opens_windows=False, settings={
        SettingsFrame.INITIAL_WINDOW_SIZE: 2**31 - 1})
    client.open_window(0, 2**31 - 1 - 65535)
    large = client.post("/job")
    pod.next().answer(IMAGE)
    client.until(lambda: len(client.answers[large].body) > 100_000)
    small = client.get("/", [("x-request-id", "small")])
    client.until(lambda: client.answers[small].ended)
    assert not client.answers[large].ended
    client.until(lambda: client.answers[large].ended or len(client.answers[large].body) > 6 * MIB)
    assert front.access_line("small")["outcome"] == "ok"
    assert client.answer(large).body == IMAGE
