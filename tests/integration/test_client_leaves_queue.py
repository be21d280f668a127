"""Promise 4, the dead don't compute: who leaves while waiting never reaches a pod, nor counts."""
import contextlib

import pytest

WAYS = ["leave", "reset", "finish_sending"]


@pytest.fixture
def busy(gateway, pod):
    """A gateway whose one slot is taken; `busy.job` holds it."""
    front = gateway(pod)
    front.holder = front.open_post("/job/holder")
    front.job = pod.next()
    return front


def send_get(client):
    client.get("/job/leaver")
    return {"waiting": 1}


def send_post(client):
    client.post("/job/leaver", b"x" * 1000)
    return {"waiting": 1}


def send_post_with_a_large_body(client):
    client.post("/job/leaver", b"x" * (4 << 20))
    return {"waiting": 1}


def send_head_only(client):
    client.send(client.head("POST", "/job/leaver", [("Content-Length", 1000)]))
    return {"uploading": 1}


def send_half_the_body(client):
    client.send(client.head("POST", "/job/leaver", [("Content-Length", 1000)]) + b"x" * 500)
    return {"uploading": 1}


def send_half_the_chunks(client):
    client.send(client.head("POST", "/job/leaver", [("Transfer-Encoding", "chunked")]))
    client.send_chunk(b"x" * 500)
    return {"uploading": 1}


def send_pipelined_behind_it(client):
    client.post("/job/leaver")
    client.post("/job/never-read", b"x" * 20_000)
    return {"waiting": 1}


SENT = [send_get, send_post, send_post_with_a_large_body, send_head_only, send_half_the_body,
        send_half_the_chunks, send_pipelined_behind_it]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("send", SENT, ids=lambda f: f.__name__[5:])
def test_who_leaves_the_queue_never_reaches_a_pod(busy, pod, send, how):
    leaver = busy.client()
    busy.wait_for(**send(leaver), working=1)
    getattr(leaver, how)()
    busy.wait_for(waiting=0, uploading=0, concurrency=1)
    busy.job.answer()
    assert busy.holder.read_response().status == 200
    later = busy.open_post("/job/later")
    pod.next().answer()
    assert later.read_response().status == 200
    assert pod.paths() == ["/job/holder", "/job/later"]


@pytest.mark.parametrize("ahead", [100_000, 200_000, 900_000])
@pytest.mark.parametrize("how", ["leave", "reset"])
def test_an_end_is_seen_behind_many_bytes(busy, pod, ahead, how):
    """More than a closed window holds: the end must not hide behind it."""
    leaver = busy.client()
    leaver.post("/job/leaver")
    busy.wait_for(waiting=1)
    leaver.send(leaver.head("POST", "/job/never-read", [("Content-Length", ahead)]) + b"x" * ahead)
    getattr(leaver, how)()
    busy.wait_for(waiting=0, concurrency=1)
    busy.job.answer()
    busy.holder.read_response()
    assert pod.paths() == ["/job/holder"]


def test_who_sends_megabytes_ahead_while_it_waits_is_dropped(busy, pod):
    leaver = busy.client()
    leaver.post("/job/leaver")
    busy.wait_for(waiting=1)
    with contextlib.suppress(ConnectionError):
        leaver.send_what_fits(leaver.head("POST", "/job/never-read",
                                          [("Content-Length", 50 << 20)]) + b"x" * (50 << 20))
    busy.wait_for(waiting=0, concurrency=1)
    busy.job.answer()
    busy.holder.read_response()
    assert pod.paths() == ["/job/holder"]


def test_a_departure_is_logged_and_counted(busy):
    leaver = busy.open_post("/job/leaver", b"123", [("X-Request-Id", "leaver")])
    busy.wait_for(waiting=1)
    leaver.leave()
    line = busy.access_line("leaver")
    assert line["outcome"] == "client_left_queued" and not line["pod"] and line["attempts"] == 0
    busy.wait_for_metric(1, "slotgate_client_aborts_total", phase="queued")
    busy.wait_for_metric(1, "slotgate_queue_outcomes_total", outcome="client_left")


def test_half_close_keeps_its_place_where_the_listener_allows_it(gateway, pod):
    front = gateway(pod, listeners=[{"address": "127.0.0.1:0", "halfClose": True}])
    first = front.open_post("/job/first")
    job = pod.next()
    second = front.open_post("/job/second")
    front.wait_for(waiting=1)
    first.finish_sending()
    second.finish_sending()
    assert front.get("/barrier").status == 200
    front.wait_for(waiting=1, working=1)
    job.answer(b"1")
    assert first.read_response().body == b"1"
    pod.next().answer(b"2")
    assert second.read_response().body == b"2"


@pytest.mark.parametrize("how", ["leave", "reset"])
def test_even_a_half_close_listener_notices_a_reset(gateway, pod, how):
    """A closed socket answers the first byte, if any is sent, with a RST; a RST is seen at once."""
    front = gateway(pod, listeners=[{"address": "127.0.0.1:0", "halfClose": True}])
    holder = front.open_post("/job/holder")
    job = pod.next()
    leaver = front.open_post("/job/leaver")
    front.wait_for(waiting=1)
    getattr(leaver, how)()
    if how == "reset":
        front.wait_for(waiting=0)
    job.answer()
    assert holder.read_response().status == 200
    if how == "leave":
        pod.next().answer()
    front.wait_for(waiting=0, working=0, draining=0)


def test_two_thousand_who_leave_do_not_delay_the_next(busy, pod):
    """Knative holds 2000 dead requests and delivers every one to the GPU (issue 13583)."""
    crowd = [busy.open_post("/job/crowd", b"x" * 100) for _ in range(2000)]
    busy.wait_for(waiting=2000, concurrency=2001)
    late = busy.open_post("/job/late")
    busy.wait_for(waiting=2001)
    for i, client in enumerate(crowd):
        client.reset() if i % 2 else client.leave()
    busy.wait_for(waiting=1, concurrency=2)
    busy.job.answer()
    assert pod.next().path == "/job/late"
    pod.requests[-1].answer()
    assert late.read_response().status == 200
    assert pod.paths() == ["/job/holder", "/job/late"]
    busy.wait_for_metric(2000, "slotgate_client_aborts_total", phase="queued")


def test_who_leaves_in_the_same_instant_as_the_slot_frees(gateway, pods):
    """Whatever came first: who has left is not granted the slot, which is whole afterwards."""
    pod = pods()
    front = gateway(pod)
    for i in range(20):
        holder = front.open_post("/job/holder")
        job = pod.next()
        leaver = front.open_post("/job/leaver")
        front.wait_for(waiting=1)
        with front.paused():
            job.answer()
            leaver.reset()
        assert holder.read_response().status == 200
        front.wait_for(waiting=0, free=1)
        assert pod.paths() == ["/job/holder"] * (i + 1)
        holder.leave()
