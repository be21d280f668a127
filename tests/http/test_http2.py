"""HTTP/2 as a client sees it, in clear text: what goes to the pod and what comes back."""
import json
import random
import subprocess

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame

from harness.http2_client import NO_ERROR, PREFACE, PROTOCOL_ERROR, REFUSED_STREAM, Reset
from harness.wait import wait_until


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods()


@pytest.fixture(scope="module")
def front(shared_gateway, pod):
    return shared_gateway(pod)


def curl(front, *arguments):
    host, port = front.address
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--max-time", "10",
                           *arguments[:-1], f"http://{host}:{port}{arguments[-1]}"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- what the pod sees ---


def test_a_request_reaches_the_pod_as_http_1(front):
    client = front.http2()
    stream = client.get("/a?b=c", [("x-kind", "tea"), ("te", "trailers"), ("via", "2 before"),
                                   ("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")],
                        host="sd.example.com:81")
    seen = client.answer(stream).json()
    assert (seen["method"], seen["target"], seen["version"]) == ("GET", "/a?b=c", "HTTP/1.1")
    headers = seen["headers"]
    names = [name for name, _ in headers]
    assert ["host", "sd.example.com:81"] in headers and names.count("host") == 1
    assert ["cookie", "a=1; b=2; c=3"] in headers and names.count("cookie") == 1
    assert [value for name, value in headers if name == "via"] == ["2 before", "2 slotgate"]
    assert ["x-kind", "tea"] in headers
    assert not [name for name in names if name.startswith(":") or name == "te"]


def test_host_alone_will_do(front):
    client = front.http2()
    stream = client.begin_fields([(":method", "GET"), (":scheme", "http"), (":path", "/"),
                                  ("host", "old.example.com")])
    assert ["host", "old.example.com"] in client.answer(stream).json()["headers"]


def test_host_may_say_the_same_as_the_authority(front):
    client = front.http2()
    seen = client.answer(client.get("/", [("host", "GATEWAY")])).json()
    assert [name for name, _ in seen["headers"]].count("host") == 1


@pytest.mark.parametrize("length", [0, 1, 16384, 65535, 65536, 300_000, 3_000_000])
def test_a_body_of_any_length(front, length):
    body = random.Random(length).randbytes(length)
    client = front.http2()
    seen = client.answer(client.post("/", body)).json()
    assert seen["length"] == length
    assert ["content-length", str(length)] in seen["headers"]


def test_trailers_of_a_request_are_dropped(front):
    client = front.http2()
    stream = client.begin("POST", "/", end=False)
    client.data(stream, b"body")
    client.send(client.head_bytes(stream, [("x-sum", "1")]))
    seen = client.answer(stream).json()
    assert seen["length"] == 4
    assert "x-sum" not in [name for name, _ in seen["headers"]]


def test_expect_continue(front):
    client = front.http2()
    stream = client.begin("POST", "/", [("expect", "100-continue")], end=False)
    client.until(lambda: client.answers[stream].interim)
    client.data(stream, b"now", end=True)
    answer = client.answer(stream)
    assert answer.interim == [100] and answer.status == 200
    seen = answer.json()
    assert seen["length"] == 3 and "expect" not in [name for name, _ in seen["headers"]]


def test_an_expectation_that_cannot_be_met(front):
    client = front.http2()
    answer = client.answer(client.post("/job", headers=[("expect", "miracles")]))
    assert (answer.status, answer.problem) == (417, "bad_expectation")


def test_what_a_pod_says_ahead(front, pod):
    client = front.http2()
    stream = client.get("/aside")
    job = pod.next()
    for _ in range(3):
        job.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
    client.until(lambda: client.answers[stream].interim == [103] * 3)
    assert client.answers[stream].get("link") == "</a.css>"
    job.answer(b"late")
    assert client.answer(stream).body == b"late"


def test_a_large_head_comes_in_pieces(front):
    client = front.http2()
    stream = client.get("/", [(f"x-{i}", random.Random(i).randbytes(350).hex())
                              for i in range(60)])
    assert len([name for name, _ in client.answer(stream).json()["headers"]
                if name.startswith("x-") and name[2:].isdigit()]) == 60


# --- what the client gets ---


def test_an_answer_passes_as_it_is(front, pod):
    client = front.http2()
    stream = client.get("/aside")
    pod.next().answer(b"teapot", status=418, close=True, headers=[
        ("X-Kind", "tea"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Keep-Alive", "5")])
    answer = client.answer(stream)
    assert (answer.status, answer.body) == (418, b"teapot")
    assert answer.get("x-kind") == "tea" and answer.all("set-cookie") == ["a=1", "b=2"]
    assert answer.get("content-length") == "6"
    assert not {"connection", "keep-alive", "transfer-encoding"} & {n for n, _ in answer.headers}


def test_head(front, pod):
    client = front.http2()
    stream = client.begin("HEAD", "/aside")
    pod.next().answer(b"x" * 100)
    answer = client.answer(stream)
    assert answer.get("content-length") == "100" and answer.body == b""


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(front, pod, status):
    client = front.http2()
    stream = client.get("/aside")
    job = pod.next()
    job.end()
    job.send(b"HTTP/1.1 %d Said\r\nETag: x\r\n\r\n" % status)
    job.release()
    answer = client.answer(stream)
    assert (answer.status, answer.body, answer.get("etag")) == (status, b"", "x")
    assert client.answer(client.get("/")).status == 200


def test_progress_arrives_as_it_comes(front, pod):
    client = front.http2()
    stream = client.get("/aside")
    job = pod.next()
    job.begin([("Content-Type", "text/event-stream")])
    answer = client.head(stream)
    for i in range(5):
        job.chunk(b"data: %d\n\n" % i)
        client.until(lambda: answer.body.endswith(b"data: %d\n\n" % i))
        assert not answer.ended
    job.finish()
    assert client.answer(stream).body.count(b"data:") == 5


def test_a_pod_that_breaks_off_is_never_a_clean_end(gateway, pods):
    pod = pods()
    front = gateway(pod)
    client = front.http2()
    stream = client.get("/aside")
    job = pod.next()
    job.begin()
    job.chunk(b"half")
    client.until(lambda: client.answers[stream].body == b"half")
    job.hang_up()
    with pytest.raises(Reset):
        client.answer(stream)
    assert client.answer(client.get("/")).status == 200, "the others go on"


def test_the_access_log_says_http_2(front):
    client = front.http2()
    assert client.answer(client.get("/logged", [("x-request-id", "of-http2")])).status == 200
    assert front.access_line("of-http2")["status"] == 200


# --- many at once ---


def test_many_streams_are_told_apart(front):
    client = front.http2()
    streams = [client.get(f"/{i}") for i in range(200)]
    for i, stream in enumerate(streams):
        assert client.answer(stream).json()["target"] == f"/{i}"


def test_as_many_at_work_as_there_are_slots_in_order(gateway, pods):
    pod = pods(capacity=4)
    front = gateway(pod, containerConcurrency=4)
    client = front.http2()
    streams = [client.post(f"/job/{i}", b"x") for i in range(40)]
    front.wait_for(working=4, waiting=36)
    jobs = [pod.next() for _ in range(4)]
    assert {job.path for job in jobs} == {f"/job/{i}" for i in range(4)}
    for i in range(4, 40):
        done = jobs.pop(0)
        done.answer(done.path.encode())
        jobs.append(pod.next())
        assert jobs[-1].path == f"/job/{i}"
        front.wait_for(working=4, waiting=39 - i)
    for job in jobs:
        job.answer(job.path.encode())
    for i, stream in enumerate(streams):
        assert client.answer(stream).body == b"/job/%d" % i


def test_the_queues_order_goes_over_all_connections(gateway, pods):
    pod = pods()
    front = gateway(pod)
    one, two = front.http2(), front.http2()
    for i in range(10):
        (one, two)[i % 2].post(f"/job/{i}")
        front.wait_for(working=1, waiting=i)
    for i in range(10):
        job = pod.next()
        assert job.path == f"/job/{i}"
        job.answer()


def test_streams_beyond_the_limit_are_refused(gateway, pods):
    front = gateway(pods(), top={"limits": {"http2Streams": 5}})
    client = front.http2()
    client.barrier()
    assert client.peer_settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 5


def test_streams_beyond_the_limit_before_it_is_known(gateway, pods):
    front = gateway(pods(), top={"limits": {"http2Streams": 5}})
    client = front.http2()
    streams = [client.get("/job") for _ in range(8)]  # before our acknowledgement
    for stream in streams[5:]:
        assert client.reset_of(stream) == REFUSED_STREAM
    front.wait_for(working=1, waiting=4)
    assert client.goaway is None


# --- how the bytes come ---


def whole_request(client, path):
    stream = client.open_stream()
    return stream, (client.head_bytes(stream, client.fields("POST", path), end=False) +
                    DataFrame(stream, b"body", flags=["END_STREAM"]).serialize())


def test_one_byte_at_a_time(front):
    client = front.http2(begins=False)
    stream, request = whole_request(client, "/slowly")
    for byte in PREFACE + SettingsFrame(0).serialize() + request:
        client.send(bytes([byte]))
    assert client.answer(stream).json()["target"] == "/slowly"


@pytest.mark.parametrize("seed", range(8))
def test_frames_cut_anywhere(front, seed):
    dice = random.Random(seed)
    client = front.http2(begins=False)
    made = [whole_request(client, f"/{i}") for i in range(20)]
    data = PREFACE + SettingsFrame(0).serialize() + b"".join(request for _, request in made)
    while data:
        n = dice.choice([1, 2, 9, 30, 400])
        client.send(data[:n])
        data = data[n:]
    for i, (stream, _) in enumerate(made):
        assert client.answer(stream).json()["target"] == f"/{i}"


# --- others' clients ---


def test_curl(front, tmp_path):
    assert json.loads(curl(front, "-H", "X-A: b", "/curl"))["target"] == "/curl"
    body = tmp_path / "body"
    body.write_bytes(b"x" * 2_000_000)
    seen = json.loads(curl(front, "-H", "Expect: 100-continue", "--data-binary", f"@{body}", "/"))
    assert seen["length"] == 2_000_000
    assert curl(front, "-o", "/dev/null", "-w", "%{http_version}", "/") == b"2"


def test_h2load(gateway, demo_pod):
    pods = [demo_pod("--service-time", "1ms") for _ in range(2)]
    front = gateway(*pods, slots=["POST /sdapi/v1/txt2img"], readiness={"tcpSocket": True,
                                                                       "period": "20ms"})
    host, port = front.address
    done = subprocess.run(["h2load", "-n", "600", "-c", "6", "-m", "20",
                           f"http://{host}:{port}/sdapi/v1/progress"],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=50)
    assert "600 succeeded, 0 failed" in done.stdout, done.stdout


# --- what is no request ---


def test_a_malformed_request_spoils_no_other(front):
    client = front.http2()
    bad = client.get("/", [("X-Upper", "1")])
    good = client.get("/good")
    assert client.reset_of(bad) == PROTOCOL_ERROR
    assert client.answer(good).status == 200


def test_no_answer_is_cut_by_its_early_end(front, pod):
    """What we do not want of a body is refused with NO_ERROR, behind the whole answer."""
    client = front.http2()
    stream = client.begin("POST", "/", scheme="ftp", end=False)
    assert client.answer(stream).status == 400
    assert client.reset_of(stream) == NO_ERROR


def test_head_frames_with_padding_and_priority(front):
    client = front.http2()
    stream = client.open_stream()
    frame = HeadersFrame(stream, client.encoder.encode(client.fields("GET", "/padded")))
    frame.pad_length, frame.depends_on, frame.stream_weight = 200, 0, 7
    client.send_frame(frame, "END_HEADERS", "END_STREAM", "PADDED", "PRIORITY")
    assert client.answer(stream).json()["target"] == "/padded"
