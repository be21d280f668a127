"""The admin address: health, readiness, the live state, and an operator's word."""
import pytest

from harness.client import Client


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods()


@pytest.fixture(scope="module")
def front(shared_gateway, pod):
    return shared_gateway(pod)


def test_health_and_readiness(front):
    assert front.admin("/healthz")[0] == 200
    assert front.admin("/readyz")[0] == 200


def test_the_live_state_has_all_of_a_service(front, pod):
    seen = front.service()
    assert seen["name"] == "sd" and seen["concurrency"] == 0
    assert seen["queue"] == {"waiting": 0, "waitingPassThrough": 0, "uploading": 0,
                             "maxRequests": 10000}
    assert seen["slots"] == {"free": 1, "granted": 0, "working": 0, "draining": 0,
                             "confirming": 0, "quarantined": 0}
    assert seen["scale"]["ready"] == 1 and seen["scale"]["starting"] == 0
    one, = seen["pods"]
    assert one["address"] == pod.address and one["state"] == "ready"
    assert (one["capacity"], one["used"], one["failures"]) == (1, 0, 0)


def test_the_live_state_follows_a_job(front, pod):
    client = front.open_get("/job")
    job = pod.next()
    front.wait_for(working=1, free=0, concurrency=1)
    assert front.pod(pod)["state"] == "full" and front.pod(pod)["used"] == 1
    job.answer()
    client.read_response()
    front.wait_for(working=0, free=1, concurrency=0)


@pytest.mark.parametrize("path, method, status", [
    ("/nothing", "GET", 404), ("/", "GET", 404), ("/healthz", "POST", 405),
    ("/v1/services/none/pods/x/release", "POST", 404),
    ("/v1/services/sd/pods/none/release", "POST", 404)])
def test_what_is_not_there(front, path, method, status):
    assert front.admin(path, method)[0] in (status, 404)


@pytest.mark.parametrize("origin, status", [
    ("http://%s", 404), ("https://%s", 404), (None, 404), ("http://evil.test", 403), ("null", 403),
    ("http://%s.evil.test", 403), ("", 403),
])
def test_a_page_of_another_origin_releases_nothing(front, origin, status):
    """404: it was looked for. A browser sends such a POST without asking anybody."""
    own = "%s:%d" % front.admin_address
    headers = {} if origin is None else {"Origin": origin % own if "%" in origin else origin}
    assert front.admin("/v1/services/sd/pods/none/release", "POST", headers)[0] == status


def test_the_admin_is_not_reachable_from_the_listeners(front, pod):
    """/metrics of a listener is the pod's."""
    assert front.get("/metrics").json()["target"] == "/metrics"
    assert pod.paths()[-1] == "/metrics"


@pytest.mark.parametrize("data", [b"\x16\x03\x01\0\r\n\r\n", b"GET /metrics\r\n\r\n",
                                  b"GET /" + b"x" * 200_000])
def test_garbage_to_the_admin_does_no_harm(front, data):
    with Client(front.admin_address) as client:
        try:
            client.send(data)
            client.read_to_end()
        except ConnectionError:
            pass
    assert front.admin("/healthz")[0] == 200
