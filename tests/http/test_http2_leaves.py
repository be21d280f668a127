"""HTTP/2 clients that leave: one stream, or the connection, in each phase of a request."""
import pytest
from hyperframe.frame import GoAwayFrame

from harness.http2_client import Reset


@pytest.fixture
def pod(pods):
    return pods()


@pytest.fixture
def front(gateway, pod):
    return gateway(pod)


def leave_by_reset(client, stream):
    client.reset_stream(stream)


def leave_by_fin(client, _stream):
    client.leave()


def leave_by_rst(client, _stream):
    client.reset()


@pytest.fixture(params=[leave_by_reset, leave_by_fin, leave_by_rst], ids=lambda f: f.__name__)
def leaves(request):
    return request.param


def hold_the_slot(front, pod):
    other = front.http2()
    stream = other.post("/job/first")
    front.wait_for(working=1)
    return other, stream, pod.next()


def test_while_it_waits(front, pod, leaves):
    other, first, job = hold_the_slot(front, pod)
    client = front.http2()
    stream = client.post("/job/dead", headers=[("x-request-id", "dead")])
    front.wait_for(waiting=1)
    leaves(client, stream)
    front.wait_for(waiting=0)
    job.answer()
    assert other.answer(first).status == 200
    front.wait_for(working=0)
    assert pod.paths() == ["/job/first"]
    assert front.access_line("dead")["outcome"] == "client_left_queued"


def test_while_it_uploads(front, pod, leaves):
    client = front.http2()
    stream = client.begin("POST", "/job/dead", [("x-request-id", "dead")], end=False)
    client.data(stream, b"half")
    front.wait_for(uploading=1)
    leaves(client, stream)
    front.wait_for(uploading=0, waiting=0, working=0)
    assert pod.paths() == []
    assert front.access_line("dead")["outcome"] == "client_left_uploading"


def test_while_the_pod_works(front, pod, leaves):
    client = front.http2()
    stream = client.post("/job/dead", headers=[("x-request-id", "dead")])
    job = pod.next()
    leaves(client, stream)
    assert front.access_line("dead")["outcome"] == "client_left_working"
    other = front.http2()
    second = other.post("/job/second")
    front.wait_for(waiting=1)  # the slot is taken as long as the pod works
    job.answer(b"for nobody")
    pod.next().answer(b"second")
    assert other.answer(second).body == b"second"


def test_while_the_answer_streams(front, pod, leaves):
    client = front.http2()
    stream = client.post("/job/dead", headers=[("x-request-id", "dead")])
    job = pod.next()
    job.begin()
    job.chunk(b"some")
    client.until(lambda: client.answers[stream].body == b"some")
    leaves(client, stream)
    assert front.access_line("dead")["outcome"] == "client_left_streaming"
    front.wait_for(concurrency=1)
    job.chunk(b"more")
    job.finish()
    front.wait_for(concurrency=0)


def test_while_its_answer_is_spooled(front, pod, leaves):
    client = front.http2(opens_windows=False)
    stream = client.post("/job/dead", headers=[("x-request-id", "dead")])
    pod.next().answer(b"x" * 5_000_000)
    client.until(lambda: len(client.answers[stream].body) == 65535)
    leaves(client, stream)
    assert front.access_line("dead")["outcome"] == "client_left_streaming"


def test_a_reset_leaves_the_other_streams_alone(front, pod):
    client = front.http2()
    streams = [client.post(f"/job/{i}") for i in range(6)]
    front.wait_for(working=1, waiting=5)
    for i in (1, 2, 4):
        client.reset_stream(streams[i])
    front.wait_for(working=1, waiting=2)
    for i in (0, 3, 5):
        job = pod.next()
        assert job.path == f"/job/{i}"
        job.answer()
        assert client.answer(streams[i]).status == 200


def test_a_request_and_its_reset_in_one_packet(front, pod):
    client = front.http2()
    client.barrier()
    with front.paused():
        for _ in range(50):
            client.reset_stream(client.get("/job"))
    client.barrier()
    front.wait_for(working=0, waiting=0)
    assert pod.paths() == []


def test_the_connection_closes_behind_many_streams(front, pod, leaves):
    client = front.http2()
    streams = [client.post(f"/job/{i}") for i in range(50)]
    front.wait_for(working=1, waiting=49)
    if leaves is leave_by_reset:
        for stream in streams:
            client.reset_stream(stream)
    else:
        leaves(client, streams[0])
    front.wait_for(waiting=0)
    pod.next().answer()
    front.wait_for(concurrency=0)
    assert pod.paths() == ["/job/0"]


def test_a_goaway_of_the_client_lets_what_is_under_way_end(front, pod):
    client = front.http2()
    working, waiting = client.post("/job/1"), client.post("/job/2")
    front.wait_for(working=1, waiting=1)
    client.send_frame(GoAwayFrame(0))
    client.barrier()
    for stream in (working, waiting):
        pod.next().answer()
        assert client.answer(stream).status == 200
    client.end_of_connection()


def test_a_pod_that_breaks_off_behind_a_client_that_left(front, pod):
    client = front.http2()
    stream = client.get("/aside")
    job = pod.next()
    job.begin()
    job.chunk(b"x")
    client.until(lambda: client.answers[stream].body == b"x")
    client.reset_stream(stream)
    job.hang_up()
    assert client.answer(client.get("/")).status == 200


def test_no_stream_is_reset_twice(front, pod):
    client = front.http2()
    stream = client.get("/aside")
    job = pod.next()
    job.begin()
    client.head(stream)
    job.hang_up()
    with pytest.raises(Reset):
        client.answer(stream)
    client.reset_stream(stream)
    client.barrier()
    assert client.goaway is None
