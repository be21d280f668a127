"""HTTP/2 from clients that mean harm: floods, bombs, and requests that HTTP/1 would take for others.

After each of them the gateway is up, others are served, nothing of it is at work, and its memory is
bounded (the sanitizer looks for leaks when the gateway ends).
"""
import random
import socket
import struct
from pathlib import Path

import pytest
from hpack import Encoder
from hyperframe.frame import (ContinuationFrame, DataFrame, HeadersFrame, PingFrame, PriorityFrame,
                              RstStreamFrame, SettingsFrame, WindowUpdateFrame)

from harness.client import Broken
from harness.http2_client import (COMPRESSION_ERROR, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR,
                                  FRAME_SIZE_ERROR, INTERNAL_ERROR, PREFACE, PROTOCOL_ERROR,
                                  STREAM_CLOSED)

MIB = 1 << 20
GROWTH_MAX_BYTES = 60 * MIB  # with the sanitizer's own, which keeps what was freed for a while


def resident_bytes(front):
    pages = Path(f"/proc/{front.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


@pytest.fixture
def pod(pods):
    return pods(capacity=4)


@pytest.fixture
def front(gateway, pod):
    """A gateway that stands what the test does to it."""
    front = gateway(pod, containerConcurrency=4)
    bystander = front.http2()
    assert bystander.answer(bystander.get("/before")).status == 200
    before = resident_bytes(front)
    yield front
    assert bystander.answer(bystander.get("/after")).status == 200, "the others do not notice"
    assert resident_bytes(front) - before < GROWTH_MAX_BYTES
    for job in list(pod.requests):
        if not job.ended:
            job.answer()
    front.wait_for(working=0, waiting=0, uploading=0, concurrency=0)


def frame_bytes(kind, flags, stream, payload):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def flood(client, data, times):
    """Sends as much of it as is taken; reads nothing meanwhile. Whether the connection lived."""
    client.socket.settimeout(0.5)
    try:
        for _ in range(times):
            client.send(data)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    finally:
        client.socket.settimeout(10)
    return True


def is_ended(client, *codes):
    """The connection ends, with one of these codes if its last words can be read at all."""
    code = client.end_of_connection()
    assert code is None or code in codes, code


# --- floods ---


def test_rapid_reset(front, pod):
    client = front.http2()
    for _ in range(20):
        burst = []
        for _ in range(200):
            stream = client.open_stream()
            burst += [client.head_bytes(stream, client.fields("POST", "/job")),
                      RstStreamFrame(stream, 8).serialize()]
        if not flood(client, b"".join(burst), 1):
            break
    is_ended(client, ENHANCE_YOUR_CALM, INTERNAL_ERROR)
    assert len(pod.requests) < 200


def test_rapid_reset_that_we_are_made_to_do(front, pod):
    client = front.http2()
    for _ in range(10):
        burst = []
        for _ in range(100):
            stream = client.open_stream()
            burst += [client.head_bytes(stream, client.fields("POST", "/job")),
                      frame_bytes(8, 0, stream, b"\x7f\xff\xff\xff")]  # its window overflows
        if not flood(client, b"".join(burst), 1):
            break
    is_ended(client, ENHANCE_YOUR_CALM)


def test_malformed_requests_without_end(front):
    client = front.http2()
    block = Encoder().encode([(":method", "GET")])
    data = b"".join(frame_bytes(1, 5, stream, block) for stream in range(1, 20001, 2))
    flood(client, data, 1)
    is_ended(client, ENHANCE_YOUR_CALM)


def test_refused_streams_without_end(front):
    """Each costs us a RST_STREAM, which is not read."""
    client = front.http2()
    block = Encoder().encode(client.fields("GET", "/job"))
    data = b"".join(frame_bytes(1, 4, stream, block) for stream in range(1, 400_001, 2))
    flood(client, data, 1)
    is_ended(client, ENHANCE_YOUR_CALM)


def test_continuations_without_end(front):
    client = front.http2()
    client.barrier()
    client.send_frame(HeadersFrame(client.open_stream(), b""))
    piece = Encoder().encode([("x-a", "b" * 100)])
    flood(client, ContinuationFrame(1, piece).serialize() * 100, 100)
    is_ended(client, ENHANCE_YOUR_CALM, INTERNAL_ERROR, PROTOCOL_ERROR)


@pytest.mark.parametrize("frame", [
    SettingsFrame(0, settings={1: 4096}), PingFrame(0, b"pingpong"),
    PriorityFrame(1, depends_on=0, stream_weight=9), WindowUpdateFrame(0, window_increment=1),
    frame_bytes(0x42, 0, 0, b"unknown"), frame_bytes(0x42, 0, 0, b"")],
    ids=["settings", "ping", "priority", "window", "unknown", "empty"])
def test_a_flood_of(front, frame):
    client = front.http2()
    data = frame if isinstance(frame, bytes) else frame.serialize()
    flood(client, data * (MIB // 8 // len(data)), 400)
    is_ended(client, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, INTERNAL_ERROR)


def test_a_flood_of_empty_data(front):
    client = front.http2()
    stream = client.begin("POST", "/job", end=False)
    flood(client, DataFrame(stream, b"").serialize() * 10_000, 400)
    is_ended(client, ENHANCE_YOUR_CALM)


def test_settings_with_many_entries(front):
    client = front.http2()
    flood(client, frame_bytes(4, 0, 0, struct.pack("!HI", 1, 4096) * 2000), 10)
    is_ended(client, ENHANCE_YOUR_CALM, INTERNAL_ERROR, PROTOCOL_ERROR)


def test_requests_whose_answers_are_never_read(front):
    client = front.http2(receive_buffer=4096)
    for _ in range(30):
        burst = []
        for _ in range(100):
            stream = client.open_stream()
            burst.append(client.head_bytes(stream, client.fields("GET", "/")))
        if not flood(client, b"".join(burst), 1):
            break
    client.reset()


def test_a_window_of_one_byte(front, pod):
    client = front.http2(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1}, opens_windows=False)
    stream = client.get("/aside")
    pod.next().answer(b"x" * 3000)
    for i in range(1, 3000):
        client.until(lambda n=i: len(client.answers[stream].body) == n)
        client.open_window(stream, 1)
    assert client.answer(stream).body == b"x" * 3000


# --- bombs ---


def test_a_header_bomb_by_indexing(front):
    """A few bytes each name a large entry of the table."""
    client = front.http2()
    client.encoder.encode([])
    stream = client.open_stream()
    big = client.encoder.encode([*client.fields("GET", "/job"), ("x-bomb", "b" * 3900)])
    client.send_frame(HeadersFrame(stream, big + b"\xbe" * 12_000), "END_STREAM", "END_HEADERS")
    assert client.answer(stream).status == 431
    assert client.answer(client.get("/")).status == 200


def test_a_huge_table_is_not_taken(front):
    client = front.http2(settings={SettingsFrame.HEADER_TABLE_SIZE: 2**32 - 1})
    client.decoder.max_allowed_table_size = 2**32 - 1
    for i in range(300):
        assert client.answer(client.get(f"/{i}")).status == 200


@pytest.mark.parametrize("block", [b"\x80", b"\xff\xff\xff\xff\xff\xff", b"\xc0", b"\x00",
                                   b"\x3f\xff\xff\xff\xff\x0f", b"\x41\x8a\xff\xff\xff\xff",
                                   b"\x82\x84\x86\x20", b"\x00\x81\xff\x81\xff"])
def test_invalid_compression(front, block):
    client = front.http2()
    client.send_frame(HeadersFrame(client.open_stream(), block), "END_STREAM", "END_HEADERS")
    is_ended(client, COMPRESSION_ERROR)
    assert client.goaway


# --- frames ---


@pytest.mark.parametrize("kind, flags, stream, payload, code", [
    (0, 0, 0, b"x", PROTOCOL_ERROR),                       # DATA on the connection
    (0, 0, 1, b"x", PROTOCOL_ERROR),                       # DATA on an idle stream
    (0, 0, 2, b"x", PROTOCOL_ERROR),                       # and on one that is ours to open
    (0, 8, 1, b"\xff", PROTOCOL_ERROR),                    # padding beyond the frame
    (1, 5, 0, b"\x82", PROTOCOL_ERROR),                    # HEADERS on the connection
    (1, 5, 2, b"\x82\x84\x86", PROTOCOL_ERROR),            # of an even id
    (1, 0xD, 1, b"\x09\x82\x84\x86", PROTOCOL_ERROR),      # padding beyond the frame
    (2, 0, 1, b"\0\0\0\0", FRAME_SIZE_ERROR),              # PRIORITY cut short
    (3, 0, 0, b"\0\0\0\x08", PROTOCOL_ERROR),              # RST_STREAM of the connection
    (3, 0, 1, b"\0\0\0\x08", PROTOCOL_ERROR),              # of an idle stream
    (3, 0, 1, b"\0\0\0", FRAME_SIZE_ERROR),
    (4, 0, 1, b"", PROTOCOL_ERROR),                        # SETTINGS of a stream
    (4, 0, 0, b"\0\1\0", FRAME_SIZE_ERROR),
    (4, 1, 0, b"\0\1\0\0\0\0", FRAME_SIZE_ERROR),          # an ACK with a payload
    (4, 0, 0, b"\0\4\xff\xff\xff\xff", FLOW_CONTROL_ERROR),  # a window beyond 2^31-1
    (4, 0, 0, b"\0\5\0\0\0\1", PROTOCOL_ERROR),            # frames of a byte
    (4, 0, 0, b"\0\2\0\0\0\2", PROTOCOL_ERROR),            # push: neither on nor off
    (5, 4, 1, b"\0\0\0\2\x82", PROTOCOL_ERROR),            # PUSH_PROMISE of a client
    (6, 0, 1, b"12345678", PROTOCOL_ERROR),                # PING of a stream
    (6, 0, 0, b"1234567", FRAME_SIZE_ERROR),
    (7, 0, 1, b"\0" * 8, PROTOCOL_ERROR),                  # GOAWAY of a stream
    (7, 0, 0, b"\0" * 7, FRAME_SIZE_ERROR),
    (8, 0, 0, b"\0\0\0\0", PROTOCOL_ERROR),                # a window opened by nothing
    (8, 0, 0, b"\x7f\xff\xff\xff", FLOW_CONTROL_ERROR),    # and beyond its limit
    (8, 0, 1, b"\0\0\0\1", PROTOCOL_ERROR),                # of an idle stream
    (8, 0, 0, b"\0\0\0", FRAME_SIZE_ERROR),
    (9, 4, 1, b"\x82", PROTOCOL_ERROR),                    # CONTINUATION of nothing
    (0, 0, 1, b"x" * 16385, FRAME_SIZE_ERROR),
    (1, 5, 1, b"x" * 16385, FRAME_SIZE_ERROR),
    (0x42, 0, 1, b"x" * 16385, FRAME_SIZE_ERROR),
])
def test_a_frame_that_ends_the_connection(front, kind, flags, stream, payload, code):
    client = front.http2()
    client.barrier()
    client.send(frame_bytes(kind, flags, stream, payload))
    assert client.end_of_connection() == code


def test_a_frame_between_the_pieces_of_a_head(front):
    client = front.http2()
    client.barrier()
    client.send_frame(HeadersFrame(client.open_stream(), b"\x82"), "END_STREAM")
    client.send_frame(PingFrame(0, b"between!"))
    assert client.end_of_connection() == PROTOCOL_ERROR


def test_data_behind_the_end(front):
    client = front.http2()
    stream = client.post("/job", b"x")
    client.send_frame(DataFrame(stream, b"more"))
    assert client.end_of_connection() == STREAM_CLOSED


def test_a_head_behind_the_end(front):
    client = front.http2()
    stream = client.get("/job")
    client.send(client.head_bytes(stream, client.fields("GET", "/job/again")))
    assert client.end_of_connection() == STREAM_CLOSED


def test_a_second_head_amid_a_body(front, pod):
    client = front.http2()
    stream = client.begin("POST", "/job", end=False)
    client.send(client.head_bytes(stream, client.fields("GET", "/job/again")))
    assert client.reset_of(stream) == PROTOCOL_ERROR
    assert pod.paths() == ["/before"]


def test_an_id_that_was_passed_over_is_closed(front, pod):
    client = front.http2()
    client.next_id = 9
    assert client.answer(client.get("/")).status == 200
    client.next_id = 3
    client.get("/job")
    try:
        client.barrier()
    except (Broken, ConnectionError):
        pass
    assert "/job" not in pod.paths()


def test_a_streams_window_opened_beyond_its_limit(front):
    client = front.http2()
    stream = client.post("/job")
    client.open_window(stream, 2**31 - 1)
    assert client.reset_of(stream) == FLOW_CONTROL_ERROR
    assert client.answer(client.get("/")).status == 200


def test_a_streams_window_opened_by_nothing(front):
    client = front.http2()
    client.send(frame_bytes(8, 0, client.post("/job"), b"\0\0\0\0"))
    assert client.end_of_connection() == PROTOCOL_ERROR


def test_more_data_than_the_window(front):
    client = front.http2()
    client.barrier()
    stream = client.begin("POST", "/nowhere", scheme="ftp", end=False)  # nobody reads its body
    flood(client, DataFrame(stream, b"x" * 16384).serialize(), 2000)
    is_ended(client, FLOW_CONTROL_ERROR, ENHANCE_YOUR_CALM)


def test_a_stream_that_depends_on_itself(front):
    client = front.http2()
    stream = client.open_stream()
    client.send(frame_bytes(1, 0x25, stream, struct.pack("!IB", stream, 1) +
                            client.encoder.encode(client.fields("GET", "/job"))))
    try:
        assert client.reset_of(stream) == PROTOCOL_ERROR
    except Broken:
        assert client.goaway.error_code == PROTOCOL_ERROR


# --- requests that are none, or would be others in HTTP/1 ---

METHOD, SCHEME, AUTHORITY, PATH = ((":method", "GET"), (":scheme", "http"),
                                   (":authority", "gateway"), (":path", "/job"))
GOOD = [METHOD, SCHEME, AUTHORITY, PATH]
CRLF = "\r\nHost: other\r\nX: "


@pytest.mark.parametrize("fields", [
    GOOD[1:], [METHOD, AUTHORITY, PATH], GOOD[:3], [],        # one is missing
    [*GOOD, METHOD], [*GOOD, SCHEME], [*GOOD, AUTHORITY], [*GOOD, PATH],  # twice
    [*GOOD[:3], ("x-a", "b"), PATH],                          # behind another
    [*GOOD, (":status", "200")], [*GOOD, (":odd", "1")], [*GOOD, (":protocol", "websocket")],
    [*GOOD[:3], (":path", "")],
    [*GOOD, ("X-Upper", "1")], [*GOOD, ("", "empty")], [*GOOD, ("x y", "1")], [*GOOD, ("x:y", "1")],
    [*GOOD, ("x\r\ny", "1")], [*GOOD, ("x\0y", "1")],
    [*GOOD, ("connection", "close")], [*GOOD, ("keep-alive", "5")], [*GOOD, ("upgrade", "h2c")],
    [*GOOD, ("transfer-encoding", "chunked")], [*GOOD, ("proxy-connection", "close")],
    [*GOOD, ("te", "gzip")], [*GOOD, ("te", "trailers, chunked")],
    [*GOOD, ("x-a", f"b{CRLF}")], [*GOOD, ("x-a", "b\nc")], [*GOOD, ("x-a", "b\0c")],
    [*GOOD, ("x-a", "b\rc")], [*GOOD, ("x-a", " b")], [*GOOD, ("x-a", "b ")],
    [*GOOD, ("content-length", "1"), ("content-length", "1")],
    [*GOOD, ("content-length", "0"), ("content-length", "7")],
    [(":method", f"GET /job HTTP/1.1{CRLF}"), SCHEME, AUTHORITY, PATH],
    [(":method", "GET /x"), SCHEME, AUTHORITY, PATH], [(":method", ""), SCHEME, AUTHORITY, PATH],
    [METHOD, SCHEME, AUTHORITY, (":path", f"/job HTTP/1.1{CRLF}")],
    [METHOD, SCHEME, AUTHORITY, (":path", "/job x")], [METHOD, SCHEME, AUTHORITY, (":path", "job")],
    [METHOD, SCHEME, AUTHORITY, (":path", "/job\t")], [METHOD, SCHEME, AUTHORITY, (":path", "*")],
    [METHOD, SCHEME, AUTHORITY, (":path", "/job#x")],
    [METHOD, SCHEME, AUTHORITY, (":path", "http://other/job")],
    [METHOD, (":scheme", "ftp"), AUTHORITY, (":path", "http://other/job")],
    [METHOD, (":scheme", "ftp"), AUTHORITY, PATH],
    [METHOD, SCHEME, (":authority", f"a{CRLF}"), PATH],
    [METHOD, SCHEME, (":authority", "a b"), PATH],
    [METHOD, SCHEME, (":authority", "user@gateway"), PATH],
    [METHOD, SCHEME, (":authority", "a/b"), PATH],
    [*GOOD, ("host", "other")], [METHOD, SCHEME, PATH],       # two hosts; none
    [METHOD, SCHEME, PATH, ("host", "a"), ("host", "b")],
    [*GOOD, ("host", "gateway"), ("host", "gateway")],
    [(":method", "TRACE"), SCHEME, AUTHORITY, PATH], [(":method", "CONNECT"), AUTHORITY],
    [(":method", "CONNECT"), SCHEME, AUTHORITY, PATH],
    [(":method", "CONNECT"), SCHEME, AUTHORITY, PATH, (":protocol", "websocket")],
], ids=repr)
def test_a_request_that_is_none(front, pod, fields):
    client = front.http2()
    stream = client.begin_fields(fields)
    answer = client.answers[stream]
    client.until(lambda: answer.ended or answer.reset is not None)
    assert answer.status in (400, 501) or answer.reset == PROTOCOL_ERROR, answer
    assert client.answer(client.get("/")).status == 200, "and the connection goes on"
    assert pod.paths() == ["/before", "/"]


def test_no_header_can_be_framing(front, pod):
    """Whatever a body says of itself, the pod sees one Content-Length: that of what came."""
    client = front.http2()
    body = b"0\r\n\r\nGET /job/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    stream = client.post("/", body, [("trailer", "x"), ("http2-settings", "AAMAAABk"),
                                     ("x-transfer-encoding", "chunked")])
    seen = client.answer(stream).json()
    assert seen["length"] == len(body)
    names = [name for name, _ in seen["headers"]]
    assert names.count("content-length") == 1
    assert not {"transfer-encoding", "trailer", "http2-settings", "connection"} & set(names)
    assert not [path for path in pod.paths() if "smuggled" in path]


# --- noise ---


@pytest.mark.parametrize("seed", range(12))
def test_noise(front, seed):
    dice = random.Random(seed)
    for _ in range(15):
        client = front.http2(begins=False)
        data = bytearray(PREFACE + SettingsFrame(0).serialize())
        for _ in range(dice.randrange(1, 30)):
            stream = dice.choice([0, 1, 1, 3, 5, 2, client.next_id])
            if dice.random() < 0.3:
                data += client.head_bytes(client.open_stream(), client.fields("GET", "/noise"),
                                          dice.random() < 0.5)
            else:
                data += frame_bytes(dice.randrange(11), dice.randrange(256), stream,
                                    dice.randbytes(dice.choice([0, 4, 5, 8, 40])))
        for _ in range(dice.choice([0, 0, 1, 5])):
            data[dice.randrange(len(PREFACE), len(data))] = dice.randrange(256)
        flood(client, bytes(data), 1)
        client.socket.shutdown(socket.SHUT_WR)
        client.leave()
