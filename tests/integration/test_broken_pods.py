"""A pod that crashes, lies or says nothing: the client is told, nobody overlaps, others take over.

Promise 5, never twice: what may have reached a pod is not sent to another. Promise 1: when the
connection broke, the pod may still compute; its slot waits for certainty.
"""
import pytest

from harness.client import Broken
from harness.demo import GENERATE, PROMPT
from harness.wait import wait_until

IDLE = {"httpGet": "/idle", "jsonPath": "state.busy", "period": "10ms", "successThreshold": 2}

BEFORE_OR_AMID_THE_HEAD = {
    "nothing": b"",
    "half a status line": b"HTTP/1.",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "an interim answer only": b"HTTP/1.1 100 Continue\r\n\r\n",
}

GARBAGE = {
    "no http": b"\x16\x03\x01 this is not HTTP\r\n\r\n",
    "another protocol": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of letters": b"HTTP/1.1 OK 200\r\nContent-Length: 0\r\n\r\n",
    "a length of letters": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a header with a nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    "an upgrade nobody asked for": b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n"
                                   b"Upgrade: websocket\r\n\r\n",
}


def wait_quarantined(front, pod):
    front.wait_for(quarantined=1)
    front.wait_for_pod(pod, "quarantined")


def assert_certainty_frees_the_slot(front, pod, job):
    """Nobody gets the slot while the job may run; the pod's end frees it."""
    wait_quarantined(front, pod)
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1, quarantined=1)
    assert pod.paths() == ["/job"]
    pod.stop_listening()
    job.end()  # its process is gone
    front.wait_for(quarantined=0)
    pod.listen()
    pod.next().answer(b"mine")
    assert waiter.read_response().body == b"mine"


@pytest.mark.parametrize("how", ["hang_up", "reset"])
@pytest.mark.parametrize("bytes_", BEFORE_OR_AMID_THE_HEAD.values(),
                         ids=BEFORE_OR_AMID_THE_HEAD.keys())
def test_a_connection_that_breaks_before_the_answer(gateway, pod, bytes_, how):
    front = gateway(pod)
    client = front.open_post("/job", headers=[("X-Request-Id", "broken")])
    job = pod.next()
    job.send(bytes_)
    getattr(job, how)()
    response = client.read_response()
    assert response.status == 502 and response.problem == "pod_failed"
    assert_certainty_frees_the_slot(front, pod, job)
    line = front.access_line("broken")
    assert line["status"] == 502 and line["outcome"] == "pod_failed" and line["attempts"] == 1


@pytest.mark.parametrize("bytes_", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage(gateway, pod, bytes_):
    front = gateway(pod)
    client = front.open_post("/job")
    job = pod.next()
    try:
        job.send(bytes_)
    except ConnectionError:
        pass  # cut off amid it
    response = client.read_response()
    assert response.status == 502 and response.problem == "pod_failed"
    assert_certainty_frees_the_slot(front, pod, job)


HALF_ANSWERS = {
    "half a length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
    "no body of a length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n12345",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nzz\r\n",
}


@pytest.mark.parametrize("how", ["hang_up", "reset"])
@pytest.mark.parametrize("bytes_", HALF_ANSWERS.values(), ids=HALF_ANSWERS.keys())
def test_half_an_answer(gateway, pod, bytes_, how):
    """Either the client has not been told 200 yet, or it can see that the answer is not whole."""
    front = gateway(pod)
    client = front.open_post("/job")
    job = pod.next()
    job.send(bytes_)
    if how == "hang_up":
        job.hang_up()
    else:  # a RST may overtake the bytes: only behind them
        wait_until(lambda: client.has_bytes() or front.figures()["quarantined"], "they are there")
        job.reset()
    try:
        assert client.read_response().status == 502
    except (Broken, ConnectionError):
        pass
    assert_certainty_frees_the_slot(front, pod, job)


NOT_BEGUN = {
    "a bad first chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a bad first chunk, after a hint": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    "no body of a length": HALF_ANSWERS["no body of a length"],
}


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("bytes_", NOT_BEGUN.values(), ids=NOT_BEGUN.keys())
def test_an_answer_that_breaks_before_any_of_it_is_out_is_a_502(gateway, pod, bytes_, version):
    front = gateway(pod)
    client = front.http2() if version == "2" else front.client()
    stream = client.post("/job", b"{}")
    job = pod.next()
    with front.paused():  # it finds all of it at once
        job.send(bytes_)
        job.hang_up()
    answer = client.answer(stream) if version == "2" else client.read_response()
    assert answer.status == 502 and answer.json()["reason"] == "pod_failed"
    assert_certainty_frees_the_slot(front, pod, job)


def test_an_answer_until_the_end_may_not_end_in_a_reset(gateway, pod):
    front = gateway(pod)
    client = front.open_post("/job")
    job = pod.next()
    job.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf")
    client.read_head()
    assert client.read_chunk() == b"half"
    job.reset()
    with pytest.raises((Broken, ConnectionError)):
        client.read_chunk()
    wait_quarantined(front, pod)


def test_bytes_behind_an_answer_are_not_the_next_ones(gateway, pod):
    front = gateway(pod)
    client = front.open_post("/job/1")
    job = pod.next()
    job.end()
    job.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
             b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    job.release()
    assert client.read_response().body == b"ok"
    second = front.open_post("/job/2")
    pod.next().answer(b"clean")
    assert second.read_response().body == b"clean"


def test_a_pod_that_speaks_out_of_turn_is_not_believed(gateway, pod):
    """Bytes on an idle connection are nobody's answer, least of all the next one's."""
    front = gateway(pod)
    for i in range(5):
        first = front.open_post("/job/1")
        job = pod.next()
        job.end()
        job.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert first.read_response().body == b"ok"
        second = front.client()
        with front.paused():
            job.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            second.post("/job/2")
        job.release()
        pod.next().answer(b"clean")
        assert second.read_response().body == b"clean"


def test_a_connection_with_an_unsent_body_is_not_used_again(gateway, pod):
    """The pod answers early and keeps the connection: the rest of that body is no request."""
    front = gateway(pod)

    def answer_early(job):
        job.answer(b"early", status=422)
        return True

    pod.before_body = answer_early
    client = front.open_post("/job/1", b"x" * (16 << 20))
    response = client.read_response()
    assert (response.status, response.body) == (422, b"early")
    pod.before_body = None
    second = front.open_post("/job/2")
    pod.next().answer(b"clean")
    assert second.read_response().body == b"clean"
    assert pod.requests[0].connection is not pod.requests[1].connection


def test_interim_answers_do_not_put_off_the_timeout(gateway, pod):
    front = gateway(pod, timeouts={"response": "200ms"})
    client = front.open_post("/job")
    job = pod.next()
    for _ in range(100):
        job.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    assert client.read_response().status == 504
    job.answer()
    front.wait_for(free=1)


def test_endless_interim_answers_are_none(gateway, pod):
    front = gateway(pod)
    client = front.open_post("/job")
    job = pod.next()
    with pytest.raises(OSError):
        while True:
            job.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    assert client.read_response().status == 502
    job.end()
    job.release(close=True)


def test_a_broken_job_is_not_sent_to_another_pod(gateway, pods):
    first, second = pods(2)
    front = gateway(first, second)
    client = front.open_post("/job")
    pod = wait_until(lambda: next((p for p in (first, second) if p.requests), None), "it is there")
    pod.next().hang_up()
    assert client.read_response().status == 502
    assert front.post("/barrier").status == 200
    paths = first.paths() + second.paths()
    assert paths.count("/job") == 1
    pod.requests[0].end()


def test_an_idle_check_frees_the_slot_of_a_broken_connection(gateway, pod):
    front = gateway(pod, idle=IDLE)
    front.wait_for_pod(pod, "ready")
    client = front.open_post("/job")
    job = pod.next()
    job.hang_up()
    assert client.read_response().status == 502
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1, quarantined=1)
    checks = pod.checks
    wait_until(lambda: pod.checks >= checks + 4, "asked, and told: busy")
    assert pod.paths() == ["/job"]
    job.end()
    pod.next().answer()
    assert waiter.read_response().status == 200


def test_a_pod_that_refuses_is_taken_at_its_word(gateway, pod):
    """An answer of its own is an answer, whatever its status: the slot is free."""
    front = gateway(pod)
    for status in (500, 503, 422, 404):
        client = front.open_post("/job")
        pod.next().answer(b"why", status=status)
        response = client.read_response()
        assert (response.status, response.body) == (status, b"why")
        front.wait_for(free=1)


def either(*pods):
    return wait_until(lambda: next((p for p in pods if not p.arrived.empty()), None), "it arrives")


def test_failures_in_a_row_take_a_pod_out(gateway, pods):
    """Promise 7: with the crashed pod still listed, Knative answers 20 of 20 with 502."""
    bad, good = pods(2)
    front = gateway(bad, good, slots=[], ejection={"consecutiveFailures": 2, "base": "30s"})
    statuses = []
    for _ in range(20):
        client = front.open_post("/aside")
        pod = either(bad, good)
        if pod is bad:
            pod.next().hang_up()
        else:
            pod.next().answer()
        statuses.append(client.read_response().status)
    assert statuses.count(502) <= 2 and statuses[-10:] == [200] * 10
    front.wait_for_metric(statuses.count(502) // 2, "slotgate_ejections_total")


def test_an_ejected_pod_comes_back_after_a_probe(gateway, pod):
    front = gateway(pod, slots=[], ejection={"consecutiveFailures": 1, "base": "50ms"})
    client = front.open_post("/aside")
    pod.next().hang_up()
    assert client.read_response().status == 502
    assert front.post("/again").status == 200
    front.wait_for_pod(pod, "ready")


def test_a_get_beside_the_slots_is_safe_to_send_again(gateway, pods):
    """A page's picture need not fail with the pod."""
    two = pods(2)
    front = gateway(*two)
    client = front.open_get("/aside")
    first = either(*two)
    first.next().hang_up()
    other, = [pod for pod in two if pod is not first]
    other.next().answer(b"from the other")
    assert client.read_response().body == b"from the other"


@pytest.mark.parametrize("fault", ["close-before-headers", "close-mid-headers", "close-mid-body",
                                   "reset", "garbage"])
def test_the_demo_pod_is_never_overlapped(gateway, demo_pod, fault):
    """It computes on after each of these; only its own progress says when it has ended."""
    pod = demo_pod("--service-time", "100ms")
    front = gateway(pod, slots=["POST " + GENERATE],
                    idle={"httpGet": "/sdapi/v1/progress?skip_current_image=true",
                          "jsonPath": "state.job_count", "period": "10ms"})
    client = front.open_post(GENERATE, PROMPT, [("X-Demo-Fault", fault)])
    waiter = front.open_post(GENERATE, PROMPT, [("X-Request-Id", "waiter")])
    try:
        assert client.read_response().status in (200, 502)
    except (Broken, ConnectionError):
        pass
    assert waiter.read_response().status == 200
    audit = pod.audit()
    assert audit["started"] == 2 and audit["highestSimultaneous"] == 1
