"""Promise 5: what provably never reached a pod is tried again, at its old place, and only so often.

Promise 7 beside it: a pod that refuses is left alone until it listens again.
"""
import pytest

from harness.pod import wall
from harness.wait import wait_until

NOBODY_KNOWS = {"none": True, "period": "20ms"}  # every listed pod is taken for ready


def test_a_kept_connection_that_was_closed_is_not_a_failure(gateway, pod):
    front = gateway(pod)
    for i in range(10):
        client = front.open_post(f"/job/{i}")
        pod.next().answer()
        assert client.read_response().status == 200
        pod.close_idle_connections()


def test_not_even_when_both_are_found_in_the_same_turn(gateway, pod):
    """The FIN is in the gateway's kernel before the request is: provably unsent."""
    front = gateway(pod)
    for i in range(10):
        first = front.open_post(f"/job/{i}")
        pod.next().answer()
        assert first.read_response().status == 200
        second = front.client()
        with front.paused():
            pod.close_idle_connections()
            second.post(f"/job/{i}-again")
        pod.next().answer()
        assert second.read_response().status == 200
        first.leave()
        second.leave()
    assert len(pod.requests) == 20


def one_job(front, pod, path):
    client = front.open_post(path)
    pod.next().answer()
    assert client.read_response().status == 200
    client.leave()


def test_kept_connections_are_reused(gateway, pod):
    """Once the pod has been seen to keep them: one that closes right behind its answer, without a
    word, would lose the next job."""
    front = gateway(pod)
    def is_reused():
        one_job(front, pod, "/job/first")
        return front.metrics()("slotgate_upstream_connections_total", how="reused") > 0
    wait_until(is_reused, "a connection was used again")
    before = len(pod.requests)
    for i in range(10):
        one_job(front, pod, f"/job/{i}")
    assert len({id(job.connection) for job in pod.requests[before:]}) == 1


def test_a_pod_that_closes_behind_each_answer_loses_no_job(gateway, pod):
    """It does not say that it will, and its FIN comes a moment later."""
    front = gateway(pod)
    for i in range(30):
        client = front.open_post(f"/job/{i}")
        job = pod.next()
        job.answer()
        job.hang_up()
        assert client.read_response().status == 200
        client.leave()
    assert front.metrics()("slotgate_upstream_connections_total", how="reused") == 0


def test_an_idle_connection_is_not_reused_for_longer_than_it_may(gateway, pod):
    """uvicorn would close it, and a POST may then be lost between the two."""
    front = gateway(pod, timeouts={"podKeepAlive": "50ms"})
    client = front.open_post("/job/1")
    job = pod.next()
    job.answer()
    assert client.read_response().status == 200
    wait_until(job.client_is_gone, "the gateway has closed it")


def test_podKeepAlive_of_zero_never_reuses(gateway, pod):
    front = gateway(pod, timeouts={"podKeepAlive": "0s"})
    for i in range(3):
        client = front.open_post(f"/job/{i}")
        pod.next().answer()
        assert client.read_response().status == 200
    assert len({id(job.connection) for job in pod.requests}) == 3


@pytest.fixture
def dead(pods):
    """A pod whose port refuses."""
    pod = pods()
    pod.stop_listening()
    return pod


def test_a_refused_connection_goes_to_another_pod(gateway, dead, pod):
    front = gateway(dead, pod, readiness=NOBODY_KNOWS, ready=False)
    front.wait_for(pods=2)
    for i in range(10):
        client = front.open_post(f"/job/{i}", headers=[("X-Request-Id", f"try-{i}")])
        pod.next().answer()
        assert client.read_response().status == 200
        assert front.access_line(f"try-{i}")["pod"] == pod.address
    assert front.metrics()("slotgate_pod_failures_total", kind="refused") >= 1


def test_with_nobody_to_connect_to_it_is_told_after_some_tries(gateway, pods):
    three = pods(3)
    for pod in three:
        pod.stop_listening()
    front = gateway(*three, readiness=NOBODY_KNOWS, ready=False, queue={"maxAttempts": 3})
    response = front.post("/job", headers=[("X-Request-Id", "nowhere")])
    assert response.status == 503 and response.problem == "pods_unreachable"
    assert int(response.get("retry-after")) >= 1
    assert front.access_line("nowhere")["attempts"] == 3


def test_it_keeps_its_place_in_the_queue(gateway, pods):
    """The first waiter is granted a pod that turns out to be dead: it is still the first."""
    dying, living = pods(2)
    front = gateway(dying, living)
    holders = [front.open_post(f"/job/holder-{i}") for i in range(2)]
    jobs = {pod: pod.next() for pod in (dying, living)}
    waiters = []
    for i in range(3):
        waiters.append(front.open_post(f"/job/waiter-{i}"))
        front.wait_for(waiting=i + 1)
    dying.stop_listening()
    jobs[dying].answer(close=True)  # frees its slot: the first waiter is sent there, in vain
    front.wait_for_metric(1, "slotgate_pod_failures_total", kind="refused")
    front.wait_for(waiting=3)
    jobs[living].answer()
    for i, waiter in enumerate(waiters):
        job = living.next()
        assert job.path == f"/job/waiter-{i}"
        job.answer()
        assert waiter.read_response().status == 200
    assert [holder.read_response().status for holder in holders] == [200, 200]
    assert len(dying.requests) == 1


def test_a_pod_that_listens_again_is_used_again(gateway, pod):
    front = gateway(pod)
    client = front.open_post("/job/1")
    pod.next().answer(close=True)
    assert client.read_response().status == 200
    pod.stop_listening()
    waiter = front.open_post("/job/2")
    front.wait_for(waiting=1, free=0)
    pod.listen()
    pod.next().answer()
    assert waiter.read_response().status == 200


def test_a_pod_that_does_not_accept_is_given_up_in_time(gateway, pod):
    """Its backlog is full, so the connection is neither made nor refused."""
    with wall() as address:
        front = gateway(pods={"static": [address, pod.address]}, readiness=NOBODY_KNOWS,
                        timeouts={"connect": "100ms"})
        for i in range(3):
            client = front.open_post(f"/job/{i}")
            pod.next().answer()
            assert client.read_response().status == 200
        assert front.metrics()("slotgate_pod_failures_total", kind="connect_timeout") >= 1


def test_a_pass_finds_another_pod_too(gateway, dead, pod):
    front = gateway(dead, pod, readiness=NOBODY_KNOWS, ready=False)
    for _ in range(5):
        assert front.get("/page").status == 200
