"""Promise 1: a gateway that has just started does not know what its pods are working on."""
from harness.client import Client
from harness.demo import GENERATE, IDLE_CHECK, PROMPT
from harness.wait import wait_until

IDLE = {"httpGet": "/idle", "jsonPath": "state.busy", "period": "10ms", "successThreshold": 2}


def address_of(pod):
    host, port = pod.address.split(":")
    return host, int(port)


def test_a_pod_is_checked_idle_before_its_first_job(gateway, pod):
    direct = Client(address_of(pod)).post("/job/of-the-gateway-before")
    job = pod.next()
    front = gateway(pod, ready=False, idle=IDLE)
    client = front.open_post("/job/mine")
    front.wait_for_pod(pod, "checking")
    front.wait_for(waiting=1)
    checks = pod.checks
    wait_until(lambda: pod.checks > checks + 3, "asked, and told: busy")
    assert pod.paths() == ["/job/of-the-gateway-before"]
    job.answer()
    assert direct.read_response().status == 200
    assert pod.next().path == "/job/mine"
    pod.requests[-1].answer()
    assert client.read_response().status == 200


def test_without_an_idle_check_it_is_trusted(gateway, pod):
    front = gateway(pod)
    client = front.open_post("/job")
    pod.next().answer()
    assert client.read_response().status == 200
    assert pod.checks == 0


def test_a_busy_demo_pod_is_waited_for(gateway, demo_pod):
    pod = demo_pod("--service-time", "10ms")
    direct = Client(address_of(pod)).post(GENERATE, PROMPT, [("X-Demo-Time", "300ms")])
    wait_until(lambda: pod.audit()["working"], "it works")
    front = gateway(pod, ready=False, slots=["POST " + GENERATE], idle=IDLE_CHECK)
    assert front.post(GENERATE, PROMPT).status == 200
    assert direct.read_response().status == 200
    assert pod.audit()["highestSimultaneous"] == 1


def test_a_restart_of_the_gateway_does_not_double_a_job(gateway, pod):
    """Killed amid a job: the next one finds the pod busy, and waits."""
    first = gateway(pod, idle=IDLE)
    first.open_post("/job/1")
    job = pod.next()
    first.kill()
    second = gateway(pod, ready=False, idle=IDLE)
    client = second.open_post("/job/2")
    second.wait_for(waiting=1)
    second.wait_for_pod(pod, "checking")
    job.end()
    pod.next().answer()
    assert client.read_response().status == 200


def test_an_idle_check_that_cannot_be_read_means_busy(gateway, pod):
    front = gateway(pod, ready=False, idle={**IDLE, "jsonPath": "state.missing"})
    client = front.open_post("/job")
    front.wait_for_pod(pod, "checking")
    checks = pod.checks
    wait_until(lambda: pod.checks > checks + 3, "asked again and again")
    front.wait_for(waiting=1)
    status, _, _ = front.admin(f"/v1/services/sd/pods/{pod.address}/release", "POST")
    assert status in (200, 202, 204)
    pod.next().answer()
    assert client.read_response().status == 200
