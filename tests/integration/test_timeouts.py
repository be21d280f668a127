"""Promise 1: a timeout ends the request, not the job. Three ways out of the doubt, no others."""
import pytest

from harness.pod import read_body
from harness.wait import wait_until

QUICK = {"response": "150ms"}
IDLE = {"httpGet": "/idle", "jsonPath": "state.busy", "period": "10ms", "successThreshold": 2}


def time_out(front, pod):
    """A job whose client has got its 504 and which still runs at the pod."""
    client = front.open_post("/job/late", headers=[("X-Request-Id", "late")])
    job = pod.next()
    response = client.read_response()
    assert response.status == 504 and response.problem == "response_timeout"
    client.leave()
    return job


def queue_another(front):
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1)
    return waiter


def assert_served(waiter, pod):
    job = pod.next()
    assert job.path == "/job/waiter"
    job.answer(b"mine")
    assert waiter.read_response().body == b"mine"


def test_a_late_answer_frees_the_slot(gateway, pod):
    front = gateway(pod, timeouts=QUICK)
    job = time_out(front, pod)
    front.wait_for(quarantined=1, free=0)
    front.wait_for_pod(pod, "quarantined")
    waiter = queue_another(front)
    assert not job.client_is_gone() and pod.paths() == ["/job/late"]
    job.answer(b"for nobody")
    assert_served(waiter, pod)
    line = front.access_line("late")
    assert line["status"] == 504 and line["outcome"] == "timeout"
    front.wait_for_metric(1, "slotgate_quarantines_total", reason="timeout")
    front.wait_for_metric(1, "slotgate_pod_failures_total", kind="response_timeout")


def test_an_idle_check_frees_the_slot(gateway, pod):
    front = gateway(pod, timeouts=QUICK, idle=IDLE)
    job = time_out(front, pod)
    waiter = queue_another(front)
    checks = pod.checks
    wait_until(lambda: pod.checks >= checks + 5, "the pod is asked again and again")
    assert pod.paths() == ["/job/late"]
    job.end()  # the truth changes; /idle tells it
    assert_served(waiter, pod)


def test_too_few_idle_answers_in_a_row_free_nothing(gateway, pod):
    """Between two steps a runtime may look idle for an instant."""
    front = gateway(pod, timeouts=QUICK, idle={**IDLE, "successThreshold": 3})
    pod.says_busy = [0, 0, 1, 0, 0, 1, 0, 0]
    job = time_out(front, pod)
    waiter = queue_another(front)
    wait_until(lambda: not pod.says_busy, "all that was asked")
    wait_until(lambda: pod.checks >= 10, "and twice more, with the truth")
    assert pod.paths() == ["/job/late"]
    job.end()
    assert_served(waiter, pod)


def test_an_operator_frees_the_slot(gateway, pod):
    front = gateway(pod, timeouts=QUICK)
    job = time_out(front, pod)
    waiter = queue_another(front)
    job.end()  # nobody has told the gateway
    status, _, _ = front.admin(f"/v1/services/sd/pods/{pod.address}/release", "POST")
    assert status in (200, 202, 204)
    assert_served(waiter, pod)


def test_a_job_that_was_half_sent_when_its_time_was_up_can_never_begin(gateway, pods):
    """The pod is idle, and says so; were it to get the rest, it would begin beside another."""
    pod = pods(capacity=2)
    front = gateway(pod, timeouts=QUICK, idle=IDLE)
    at_its_head = []
    pod.before_body = lambda job: not at_its_head and not at_its_head.append(job)
    body = b"x" * (16 << 20)
    client = front.open_post("/job/late", body)
    assert client.read_response().status == 504
    at_its_head[0].end()  # in truth it has not begun: that takes all of its body
    waiter = front.open_post("/job/waiter")
    assert_served(waiter, pod)
    with pytest.raises(ConnectionError):
        read_body(at_its_head[0].connection, at_its_head[0], at_its_head[0].unread)


def test_a_release_of_a_pod_at_work_changes_nothing(gateway, pod):
    front = gateway(pod)
    client = front.open_post("/job")
    job = pod.next()
    front.admin(f"/v1/services/sd/pods/{pod.address}/release", "POST")
    waiter = queue_another(front)
    assert front.figures()["working"] == 1
    job.answer()
    assert client.read_response().status == 200
    assert_served(waiter, pod)


def test_the_first_byte_in_time_is_enough(gateway, pod):
    """The limit is for the first byte; a stream may take longer as long as it moves."""
    front = gateway(pod, timeouts={**QUICK, "streamIdle": "10s"})
    client = front.open_post("/job")
    job = pod.next()
    job.begin()
    client.read_head()
    slow = front.open_post("/aside/times-out")  # its 504 tells that the limit has passed
    pod.next()
    assert slow.read_response().status == 504
    job.chunk(b"late but fine")
    assert client.read_chunk() == b"late but fine"
    job.finish()
    assert client.read_chunk() == b""


def test_a_stream_that_stalls_is_cut_off(gateway, pod):
    front = gateway(pod, timeouts={"streamIdle": "100ms"})
    client = front.open_post("/job")
    job = pod.next()
    job.begin()
    job.chunk(b"then nothing")
    client.read_head()
    assert client.read_chunk() == b"then nothing"
    assert client.is_closed_by_peer()
    front.wait_for(quarantined=1)
    waiter = queue_another(front)
    job.finish()
    assert_served(waiter, pod)


def test_a_pass_that_times_out_holds_no_slot(gateway, pod):
    front = gateway(pod, timeouts=QUICK)
    client = front.open_get("/aside")
    pod.next()
    assert client.read_response().status == 504
    waiter = front.open_post("/job/waiter")
    assert_served(waiter, pod)


def test_others_take_the_work_of_a_quarantined_pod(gateway, pods):
    first, second = pods(2)
    front = gateway(first, second, timeouts=QUICK)
    client = front.open_post("/job")
    pod = wait_until(lambda: next((p for p in (first, second) if p.requests), None), "it is there")
    other = second if pod is first else first
    job = pod.next()
    assert client.read_response().status == 504
    for i in range(3):
        waiter = front.open_post(f"/job/{i}")
        other.next().answer()
        assert waiter.read_response().status == 200
    job.answer()
    front.wait_for(free=2)


def test_the_demo_pod_is_never_overlapped(gateway, demo_pod):
    """Every second job takes longer than it may; by the pod's own audit none overlaps."""
    pod = demo_pod("--service-time", "10ms")
    front = gateway(pod, slots=["POST /sdapi/v1/txt2img"], timeouts={"response": "60ms"})
    body = b'{"steps":1,"width":8,"height":8}'
    statuses = []
    for i in range(12):
        late = [("X-Demo-Time", "120ms")] if i % 2 else []
        statuses.append(front.post("/sdapi/v1/txt2img", body, late).status)
    front.wait_for(free=1)
    assert statuses == [200, 504] * 6
    assert pod.audit()["highestSimultaneous"] == 1
