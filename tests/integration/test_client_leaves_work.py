"""Promise 1, exact: a client that leaves ends its request, not the pod's job."""
import pytest

from harness.pod import read_body, wall
from harness.wait import wait_until


@pytest.mark.parametrize("how", ["leave", "reset", "finish_sending"])
def test_the_slot_drains_until_the_pod_is_done(gateway, pod, how):
    front = gateway(pod)
    leaver = front.open_post("/job/leaver", headers=[("X-Request-Id", "leaver")])
    job = pod.next()
    getattr(leaver, how)()
    front.wait_for(draining=1, working=0, free=0)
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1, draining=1)
    assert pod.paths() == ["/job/leaver"] and not job.client_is_gone()
    job.answer(b"for nobody")
    pod.next().answer(b"mine")
    assert waiter.read_response().body == b"mine"
    assert front.access_line("leaver")["outcome"] == "client_left_working"
    front.wait_for_metric(1, "slotgate_discarded_answers_total")
    front.wait_for_metric(1, "slotgate_client_aborts_total", phase="working")


def test_it_counts_for_the_autoscaler_while_it_drains(gateway, pod):
    front = gateway(pod)
    leaver = front.open_post("/job")
    job = pod.next()
    leaver.leave()
    front.wait_for(draining=1, concurrency=1)
    job.answer()
    front.wait_for(draining=0, free=1, concurrency=0)


def test_a_client_that_leaves_its_streaming_answer(gateway, pod):
    """The rest is read at the pod's speed and thrown away: the pod never stands still."""
    front = gateway(pod)
    leaver = front.open_post("/job", headers=[("X-Request-Id", "leaver")])
    job = pod.next()
    job.begin()
    job.chunk(b"first")
    leaver.read_head()
    assert leaver.read_chunk() == b"first"
    leaver.reset()
    front.wait_for(draining=1)
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1)
    for _ in range(100):
        job.chunk(b"x" * 100_000)
    job.finish()
    pod.next().answer()
    assert waiter.read_response().status == 200
    assert front.access_line("leaver")["outcome"] == "client_left_streaming"


def test_a_client_that_leaves_before_all_of_its_body_is_at_the_pod(gateway, pod):
    """The head has arrived, the pod may be at work: the rest is sent, the answer awaited."""
    front = gateway(pod)
    body = b"x" * (16 << 20)
    at_its_head = []

    def read_no_further(job):
        at_its_head.append(job)
        return True

    pod.before_body = read_no_further
    leaver = front.open_post("/job/leaver", body)
    job, = wait_until(lambda: at_its_head, "the head at the pod")
    leaver.leave()
    front.wait_for(draining=1)
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1)
    assert pod.paths() == ["/job/leaver"]
    pod.before_body = None
    job.connection.settimeout(10)
    job.body, _ = read_body(job.connection, job, job.unread)
    assert job.body == body
    job.answer()
    pod.next().answer()
    assert waiter.read_response().status == 200


def test_the_runtime_is_interrupted_where_it_can_be(gateway, pod):
    front = gateway(pod, interrupt={"httpPost": "/interrupt"})
    leaver = front.open_post("/job")
    job = pod.next()
    leaver.leave()
    wait_until(lambda: "/interrupt" in pod.paths(), "the interrupt at the pod")
    assert pod.requests[-1].method == "POST"
    waiter = front.open_post("/job/waiter")
    front.wait_for(draining=1, waiting=1)
    job.answer(b"half an image")
    pod.next().answer()
    assert waiter.read_response().status == 200
    assert pod.paths().count("/interrupt") == 1


def test_the_slot_is_kept_until_the_interrupt_is_over(gateway, pod):
    """It stops whatever runs: it must not be the next one's job."""
    front = gateway(pod, interrupt={"httpPost": "/aside/interrupt"})
    leaver = front.open_post("/job")
    job = pod.next()
    leaver.leave()
    interrupt = pod.next()
    assert interrupt.path == "/aside/interrupt"
    waiter = front.open_post("/job/waiter")
    front.wait_for(draining=1, waiting=1)
    job.answer()
    assert front.get("/barrier").status == 200
    front.wait_for(waiting=1)
    interrupt.answer()
    pod.next().answer()
    assert waiter.read_response().status == 200


def test_who_leaves_while_its_pod_is_being_connected_to(gateway, pod):
    """Nothing was sent: the slot is free at once."""
    with wall() as address:
        front = gateway(pods={"static": [address]}, readiness={"none": True},
                        timeouts={"connect": "30s"})
        client = front.open_post("/job")
        front.wait_for(granted=1)
        client.leave()
        front.wait_for(granted=0, draining=0, free=1, concurrency=0)


def test_a_job_for_nobody_that_breaks_is_quarantined(gateway, pod):
    front = gateway(pod)
    leaver = front.open_post("/job")
    job = pod.next()
    leaver.leave()
    front.wait_for(draining=1)
    job.hang_up()
    front.wait_for(draining=0, quarantined=1)
    job.end()


def test_a_job_for_nobody_that_takes_too_long_is_quarantined(gateway, pod):
    front = gateway(pod, timeouts={"response": "100ms"})
    leaver = front.open_post("/job")
    job = pod.next()
    leaver.leave()
    front.wait_for(draining=0, quarantined=1)
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1)
    job.answer()
    pod.next().answer()
    assert waiter.read_response().status == 200


def test_no_interrupt_for_one_who_left_the_queue(gateway, pod):
    """It would hit the job of another."""
    front = gateway(pod, interrupt={"httpPost": "/interrupt"})
    holder = front.open_post("/job")
    job = pod.next()
    leaver = front.open_post("/job/leaver")
    front.wait_for(waiting=1)
    leaver.leave()
    front.wait_for(waiting=0)
    job.answer()
    assert holder.read_response().status == 200
    assert front.get("/barrier").status == 200
    assert pod.paths() == ["/job", "/barrier"]


def test_nobody_overlaps_where_every_client_leaves(gateway, pod):
    """Ten in a row: each is granted only when the one before has truly ended."""
    front = gateway(pod)
    for i in range(10):
        client = front.open_post(f"/job/{i}")
        job = pod.next()
        assert job.path == f"/job/{i}"
        client.leave()
        front.wait_for(draining=1)
        follower = front.open_post(f"/job/{i}-follower")
        front.wait_for(waiting=1)
        job.answer()
        pod.next().answer()
        assert follower.read_response().status == 200
    assert pod.highest == 1


def test_slots_of_one_pod_drain_each_for_itself(gateway, pods):
    pod = pods(capacity=3)
    front = gateway(pod, containerConcurrency=3)
    clients = [front.open_post(f"/job/{i}") for i in range(3)]
    jobs = {job.path: job for job in (pod.next() for _ in clients)}
    clients[1].leave()
    front.wait_for(working=2, draining=1, free=0)
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1)
    jobs["/job/0"].answer()
    assert clients[0].read_response().status == 200
    last = pod.next()
    assert last.path == "/job/waiter"
    for job in (jobs["/job/1"], jobs["/job/2"], last):
        job.answer()
    assert clients[2].read_response().status == waiter.read_response().status == 200


def test_the_demo_pod_is_never_overlapped(gateway, demo_pod):
    """By the pod's own audit, as clients leave all the time."""
    pod = demo_pod("--service-time", "15ms")
    front = gateway(pod, slots=["POST /sdapi/v1/txt2img"])
    for i in range(20):
        client = front.open_post("/sdapi/v1/txt2img", b'{"steps":1,"width":8,"height":8}')
        wait_until(lambda: pod.audit()["arrived"] > i, "it has arrived")
        client.reset()
    front.wait_for(free=1)
    audit = pod.audit()
    assert audit["arrived"] == 20 and audit["highestSimultaneous"] == 1
