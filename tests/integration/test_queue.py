"""Promises 2 and 6: no slot idles while one waits, nobody is overtaken, every wait ends."""
import pytest

from harness.wait import wait_until


def hold(front, pod, n=1):
    """Takes the slots; the clients and the jobs that hold them."""
    clients = [front.open_post("/job/holder") for _ in range(n)]
    return clients, [pod.next() for _ in clients]


def line_up(front, n, path="/job/{}"):
    """Clients in a known order in the queue."""
    before = front.figures()["waiting"]
    clients = []
    for i in range(n):
        clients.append(front.open_post(path.format(i), headers=[("X-Request-Id", f"waiter-{i}")]))
        front.wait_for(waiting=before + i + 1)
    return clients


def test_first_come_first_served(gateway, pod):
    front = gateway(pod)
    (holder,), (job,) = hold(front, pod)
    waiters = line_up(front, 20)
    job.answer()
    assert holder.read_response().status == 200
    for i, waiter in enumerate(waiters):
        job = pod.next()
        assert job.path == f"/job/{i}"
        job.answer(b"%d" % i)
        assert waiter.read_response().body == b"%d" % i


def test_a_newcomer_does_not_overtake_as_a_slot_frees(gateway, pod):
    """The freed slot and the newcomer are found in the same turn."""
    front = gateway(pod)
    for _ in range(10):
        (holder,), (job,) = hold(front, pod)
        waiter, = line_up(front, 1)
        newcomer = front.client()
        with front.paused():
            newcomer.post("/job/newcomer")
            job.answer()
        assert pod.next().path == "/job/0"
        pod.requests[-1].answer()
        pod.next().answer()
        for client in (holder, waiter, newcomer):
            assert client.read_response().status == 200


def test_a_slot_that_frees_is_given_at_once(gateway, pods):
    first, second = pods(2)
    front = gateway(first, second)
    clients = [front.open_post("/job") for _ in range(2)]
    jobs = [first.next(), second.next()]
    waiter, = line_up(front, 1)
    jobs[1].answer()
    assert second.next().path == "/job/0"
    front.wait_for(waiting=0, working=2)
    for client in (*clients, waiter):
        client.leave()


def test_work_is_packed(gateway, pods):
    """One after another goes to the pod used last, so that the others can be taken away."""
    three = pods(3)
    front = gateway(*three)
    for i in range(10):
        client = front.open_post(f"/job/{i}")
        pod = wait_until(lambda: next((p for p in three if not p.arrived.empty()), None), "there")
        pod.next().answer()
        assert client.read_response().status == 200
    assert sorted(len(pod.requests) for pod in three) == [0, 0, 10]


def test_a_full_queue_refuses_before_the_body(gateway, pod):
    front = gateway(pod, queue={"maxRequests": 2})
    hold(front, pod)
    line_up(front, 2)
    with front.client() as client:
        client.send(client.head("POST", "/job/no-room", [
            ("Content-Length", 1 << 20), ("Expect", "100-continue"), ("X-Request-Id", "full")]))
        response = client.read_head()
        assert response.status == 503, "not 100: its body is not wanted"
        assert int(response.get("retry-after")) >= 1
        assert response.get("content-type") == "application/problem+json"
    assert front.access_line("full")["outcome"] == "refused"
    front.wait_for_metric(1, "slotgate_refused_total", reason="queue_full")
    front.wait_for(waiting=2)


def test_a_full_queue_answers_who_does_not_ask_first(gateway, pod):
    front = gateway(pod, queue={"maxRequests": 1})
    hold(front, pod)
    line_up(front, 1)
    with front.client() as client:
        client.post("/job/no-room", b"x" * 100_000)
        response = client.read_response()
        assert response.status == 503 and response.problem == "queue_full"
    with front.client() as client:  # it never sends its body
        client.send(client.head("POST", "/job/no-room", [("Content-Length", 10)]))
        assert client.read_response().problem == "queue_full"


def test_a_place_in_the_queue_can_be_had_again(gateway, pod):
    front = gateway(pod, queue={"maxRequests": 1})
    _, (job,) = hold(front, pod)
    waiter, = line_up(front, 1)
    assert front.post("/job/no-room").problem == "queue_full"
    job.answer()
    job = pod.next()
    front.wait_for(waiting=0)
    again, = line_up(front, 1, "/job/again")
    job.answer()
    pod.next().answer()
    assert waiter.read_response().status == again.read_response().status == 200


def test_uploads_count_for_the_queue(gateway, pod):
    """Or a crowd of uploaders would be let in and turned away after all their bytes."""
    front = gateway(pod, queue={"maxRequests": 1})
    hold(front, pod)
    with front.client() as slow:
        slow.send(slow.head("POST", "/job/slow", [("Content-Length", 10)]) + b"1")
        front.wait_for(uploading=1)
        assert front.post("/job/no-room").problem == "queue_full"


def test_a_wait_for_a_slot_ends(gateway, pod):
    front = gateway(pod, queue={"maxWait": "150ms"})
    (holder,), (job,) = hold(front, pod)
    response = front.post("/job/waiter", headers=[("X-Request-Id", "expired")])
    assert response.status in (503, 504) and response.problem == "expired"
    assert int(response.get("retry-after")) >= 1
    line = front.access_line("expired")
    assert line["queueMs"] >= 140 and not line["pod"]
    front.wait_for_metric(1, "slotgate_queue_outcomes_total", outcome="expired")
    job.answer()
    assert holder.read_response().status == 200, "waiting and working have separate limits"
    assert pod.paths() == ["/job/holder"]


def test_a_wait_for_the_first_pod_ends(gateway, pods):
    pod = pods()
    pod.stop_listening()
    front = gateway(pod, ready=False, queue={"coldStartMaxWait": "150ms", "maxWait": "30s"})
    response = front.post("/job")
    assert response.status in (503, 504) and response.problem == "cold_start_expired"
    assert int(response.get("retry-after")) >= 1


def test_retry_after_is_computed(gateway, pod):
    """Of what is known before any job has ended: some seconds, not an hour."""
    front = gateway(pod, queue={"maxRequests": 1})
    (holder,), (job,) = hold(front, pod)
    line_up(front, 1)
    few = int(front.post("/job").get("retry-after"))
    assert 1 <= few <= 60
    job.answer()
    assert holder.read_response().status == 200


def test_a_problem_says_what_and_why(gateway, pod):
    front = gateway(pod, queue={"maxRequests": 1})
    hold(front, pod)
    line_up(front, 1)
    response = front.post("/job/no-room")
    problem = response.json()
    assert problem["status"] == 503 and problem["reason"] == "queue_full"
    assert problem["title"] and problem["type"]


def test_exclusive_work_has_its_pod_for_itself(gateway, pods):
    pod = pods(capacity=2)
    front = gateway(pod, containerConcurrency=2,
                    slots=["POST /job/image*", {"match": "POST /job/unload", "exclusive": True}])
    first = front.open_post("/job/image-1")
    job = pod.next()
    alone = front.open_post("/job/unload")
    front.wait_for(waiting=1)
    later = front.open_post("/job/image-2")
    front.wait_for(waiting=2, working=1)  # it may not slip in before, either
    job.answer()
    unload = pod.next()
    assert unload.path == "/job/unload" and pod.working == 1
    front.wait_for(waiting=1)
    unload.answer()
    pod.next().answer()
    assert [c.read_response().status for c in (first, alone, later)] == [200] * 3


def test_freed_by_idle(gateway, pod):
    """A pod that answers before it is done (ComfyUI's /prompt): its idle check frees the slot."""
    front = gateway(pod, slots=[{"match": "POST /job*", "freedBy": "idle"}],
                    idle={"httpGet": "/idle", "jsonPath": "state.busy", "period": "10ms"})
    front.wait_for_pod(pod, "ready")
    client = front.open_post("/job/1")
    job = pod.next()
    job.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nqueued")
    job.release()
    assert client.read_response().body == b"queued"
    waiter = front.open_post("/job/2")
    front.wait_for(confirming=1, waiting=1)
    checks = pod.checks
    wait_until(lambda: pod.checks > checks + 3, "asked, and told: busy")
    assert pod.paths() == ["/job/1"]
    job.end()
    pod.next().answer()
    assert waiter.read_response().status == 200


@pytest.mark.parametrize("capacity", [1, 4])
def test_a_slot_count_is_never_exceeded(gateway, pods, capacity):
    pod = pods(capacity=capacity, script=lambda job: job.answer())
    front = gateway(pod, containerConcurrency=capacity)
    clients = [front.open_post(f"/job/{i}") for i in range(100)]
    assert [client.read_response().status for client in clients] == [200] * 100
    assert pod.highest <= capacity
