"""In the place of Knative's activator: what its autoscaler is told, and what its ingresses ask."""
import base64
import contextlib
import hashlib
import re
import socket
import threading
import time

import pytest

from harness import go
from harness.autoscaler import Autoscaler, RealAutoscaler
from harness.gateway import service
from harness.wait import PATIENCE, wait_until

REVISION = {"revision": "rev", "namespace": "models"}
NAMED = [("Knative-Serving-Revision", "rev"), ("Knative-Serving-Namespace", "models")]
REPORTS = "slotgate_knative_reports_total"


@pytest.fixture
def autoscaler():
    one = Autoscaler()
    yield one
    one.close()


@pytest.fixture
def front(gateway, pod, autoscaler):
    """front(): a gateway whose one service stands for a revision, and which is connected."""
    def make(top=None, **options):
        made = gateway(pod, top={"knative": {"autoscaler": autoscaler.address}, **(top or {})},
                       knative=REVISION, **options)
        autoscaler.wait_for_connection()
        return made
    return make


def one_job(front, pod, path="/job/1", headers=()):
    client = front.open_post(path, headers=list(headers))
    job = pod.next()
    job.answer()
    assert client.read_response().status == 200
    return job


def test_the_first_request_is_told_at_once_and_its_second_is_whole(front, pod, autoscaler):
    front = front()
    autoscaler.wait_for(1)
    before = len(autoscaler.stats)
    begun = time.monotonic()
    client = front.open_post("/job/1")
    job = pod.next()
    first = autoscaler.wait_for(before + 1)[before]
    assert first.concurrency == 1 and first.requests == 1 and first.key == ("models", "rev")
    assert first.at - begun < 0.05 * max(1, PATIENCE / 10), "at once"
    later = autoscaler.wait_for(before + 4)[before + 1:]
    # What was told at once is left out of the first interval; then it is one, second by second.
    assert 0 <= later[0].concurrency < 0.2 and later[0].requests == 0
    assert all(abs(stat.concurrency - 1) < 0.05 and stat.requests == 0 for stat in later[1:3])
    assert 0.8 < later[2].at - later[1].at < 1.5
    job.answer()
    assert client.read_response().status == 200
    assert autoscaler.paths == ["/"] and {stat.proxied for stat in autoscaler.stats} == {0}


def test_the_true_concurrency_is_told(front, pod, autoscaler):
    """Those who wait count, those who have left do not, and one whose client has left does until
    its pod has stopped."""
    front = front()
    clients = [front.open_post(f"/job/{i}") for i in range(4)]
    job = pod.next()
    front.wait_for(waiting=3, working=1)
    wait_until(lambda: abs(autoscaler.of("rev")[-1].concurrency - 4) < 0.05, "four at once")
    for client in (clients[0], clients[3]):
        client.leave()
    front.wait_for(waiting=2, draining=1)
    wait_until(lambda: abs(autoscaler.of("rev")[-1].concurrency - 3) < 0.05, "three at once")
    job.answer()
    for client in clients[1:3]:
        pod.next().answer()
        assert client.read_response().status == 200
    wait_until(lambda: autoscaler.of("rev")[-1].concurrency == 0, "none", every=0.1)
    assert sum(stat.requests for stat in autoscaler.of("rev")) == 4


def test_a_revision_without_work_or_pods_is_not_spoken_of(gateway, autoscaler):
    one = {**service(knative=REVISION), "autoscaling": {"initialScale": 0, "maxScale": 1},
           "pods": {"process": {"command": ["false", "{port}"], "backoffBase": "60s"}}}
    front = gateway(services=[one], top={"knative": {"autoscaler": autoscaler.address}})
    autoscaler.wait_for_connection()
    client = front.open_post("/job/1")
    assert autoscaler.wait_for(1)[0].concurrency == 1
    autoscaler.wait_for(3)
    client.leave()
    last = wait_until(lambda: autoscaler.of("rev")[-1].concurrency == 0 and autoscaler.of("rev"),
                      "a last nothing")
    sent = front.metrics()(REPORTS, result="sent")
    beat = time.monotonic()
    wait_until(lambda: time.monotonic() - beat > 2.2, "two more intervals")
    assert autoscaler.of("rev") == last and front.metrics()(REPORTS, result="sent") == sent
    front.open_post("/job/2")
    assert autoscaler.wait_for(len(last) + 1)[len(last)].concurrency == 1


def test_what_passes_beside_the_slots_wakes_a_pod(gateway, autoscaler):
    one = {**service(knative=REVISION), "autoscaling": {"initialScale": 0, "maxScale": 1},
           "pods": {"process": {"command": ["false", "{port}"], "backoffBase": "60s"}}}
    front = gateway(services=[one], top={"knative": {"autoscaler": autoscaler.address}})
    autoscaler.wait_for_connection()
    front.open_get("/page")
    assert {stat.concurrency for stat in autoscaler.wait_for(4)[2:]} == {0.01}


def test_services_are_told_apart(gateway, pods, autoscaler):
    first, second = pods(2)
    several = [{**service(p), "name": name, "hosts": [f"{name}.test"], "knative":
                {"revision": name, "namespace": "models"}}
               for name, p in (("one", first), ("two", second))]
    front = gateway(services=several, top={"knative": {"autoscaler": autoscaler.address}})
    autoscaler.wait_for_connection()
    client = front.open_post("/job/1", host="two.test")
    job = second.next()
    wait_until(lambda: autoscaler.of("two") and abs(autoscaler.of("two")[-1].concurrency - 1) < .05,
               "two works")
    assert not any(stat.concurrency for stat in autoscaler.of("one"))
    job.answer()
    assert client.read_response().status == 200


def test_many_services(gateway, autoscaler):
    many = [{**service(), "name": f"s{i}", "hosts": [f"s{i}.test"],
             "knative": {"revision": f"s{i}", "namespace": "models"},
             "pods": {"static": [f"127.0.0.1:{20000 + i}"]}, "readiness": {"none": True}}
            for i in range(100)]
    gateway(services=many, top={"knative": {"autoscaler": autoscaler.address}})
    wait_until(lambda: len({stat.key for stat in autoscaler.stats}) == 100, "all of them")


@pytest.mark.parametrize("code", [1000, 1012])
def test_a_lost_connection_comes_back(front, pod, autoscaler, code):
    front = front()
    client = front.open_post("/job/1")
    job = pod.next()
    autoscaler.wait_for(2)
    before = len(autoscaler.of("rev"))
    autoscaler.say_goodbye(code)
    autoscaler.wait_for_connection(2)
    again = autoscaler.wait_for(before + 1)[before]
    assert again.concurrency == 1  # the new one knows nothing
    job.answer()
    assert client.read_response().status == 200
    front.wait_for_metric(1, "slotgate_knative_connected")


def test_an_autoscaler_that_is_away_is_waited_for(front, pod, autoscaler):
    front = front()
    autoscaler.stop_listening()
    front.wait_for_metric(0, "slotgate_knative_connected")
    one_job(front, pod)
    wait_until(lambda: "is not told anything" in front.log(), "it is told in the log")
    autoscaler.listen()
    front.wait_for_metric(1, "slotgate_knative_connected")
    autoscaler.wait_for_connection(2)


@contextlib.contextmanager
def bad_autoscaler(behave):
    """One that does behave(connection, its request's key) with each that comes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(4096) or b"\r\n\r\n"
                behave(connection, re.search(rb"Sec-WebSocket-Key: (\S+)", head)[1])

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def switch(connection, key, behind=b"", accept=None):
    connection.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Accept: " + (accept or accept_of(key)) + b"\r\n\r\n" + behind)


ANSWERS = {
    "no WebSocket": (lambda c, key: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                     "does not take a WebSocket"),
    "not for us": (lambda c, key: switch(c, key, accept=b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                   "does not take a WebSocket"),
    "no HTTP": (lambda c, key: c.sendall(b"\x00\xff" * 3000), "no HTTP"),
    "nothing": (lambda c, key: None, "has closed the connection"),
    "too much": (lambda c, key: (switch(c, key, b"\x82\x7f" + b"\x00\x00\x00\x00\x7f\xff\xff\xff"
                                        + b"x" * 100000), c.recv(9999999)), "nobody expects"),
    "a frame that never ends": (lambda c, key: (switch(c, key, b"\x82\xff" + b"\xff" * 100000),
                                                c.recv(9999999)), "nobody expects"),
    "goodbye at once": (lambda c, key: switch(c, key, b"\x88\x02\x03\xf4"), "has closed"),
    "a goodbye of nothing": (lambda c, key: switch(c, key, b"\x88\x00"), "has closed"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_autoscaler_that_misbehaves(gateway, pod, kind):
    behave, told = ANSWERS[kind]
    came = []
    with bad_autoscaler(lambda *about: (came.append(1), behave(*about))) as address:
        front = gateway(pod, top={"knative": {"autoscaler": address}}, knative=REVISION)
        wait_until(lambda: told in front.log(), lambda: f"{told}: {front.log()[-2000:]}")
        one_job(front, pod)
        wait_until(lambda: len(came) > 2, "it is tried again")


def test_pings_are_answered_and_sent(front, autoscaler):
    front()
    assert autoscaler.ping()


def test_a_reload_changes_whom_and_of_what(front, pod, autoscaler):
    front = front()
    autoscaler.wait_for(1)
    other = Autoscaler()
    services = [{**front.settings["services"][0], "knative": {**REVISION, "revision": "next"}}]
    front.reload({"knative": {"autoscaler": other.address}, "services": services})
    assert other.wait_for(1, "next") and not other.of("rev")
    settings = {key: value for key, value in front.settings.items() if key != "knative"}
    front.write_config(settings)
    front.reload({})
    front.wait_for_metric(0, "slotgate_knative_connected")
    one_job(front, pod)
    other.close()


def test_after_an_upgrade_one_process_tells(gateway, pod, autoscaler):
    front = gateway(pod, top={"knative": {"autoscaler": autoscaler.address},
                              "drainTimeout": "30s"}, knative=REVISION, upgradable=True)
    autoscaler.wait_for_connection()
    client = front.open_post("/job/1")
    job = pod.next()
    old = front.upgrade()
    autoscaler.wait_for_connection(2)
    wait_until(lambda: autoscaler.connections[0].closed, "the old one has hung up")
    before = len(autoscaler.of("rev"))
    late = autoscaler.wait_for(before + 3)[before + 1:]
    assert all(stat.concurrency < 1.05 for stat in late), "counted once"
    job.answer()
    assert client.read_response().status == 200
    assert old.wait(PATIENCE) == 0


# --- headers -------------------------------------------------------------------------------------


@pytest.fixture
def two(gateway, pods):
    """A gateway of two services: one for every host, and one that stands for a revision."""
    open_pod, pod = pods(2)
    services = [{**service(open_pod), "name": "open"},
                {**service(pod), "hosts": ["rev.test"], "knative": REVISION}]
    front = gateway(services=services)
    front.open_pod, front.pod_of_revision = open_pod, pod
    wait_until(lambda: all(front.figures(name)["free"] for name in ("open", "sd")), "both are ready")
    return front


def test_headers_name_the_revision(two):
    job = one_job(two, two.pod_of_revision, headers=[*NAMED, ("K-Network-Hash", "x"),
                                                     ("K-Proxy-Request", "client")])
    assert job.all("k-proxy-request") == ["activator"]
    for name in ("knative-serving-revision", "knative-serving-namespace", "k-network-hash"):
        assert not job.all(name)
    job = one_job(two, two.open_pod)
    assert not job.all("k-proxy-request")
    job = one_job(two, two.open_pod, headers=[NAMED[0]])  # one alone names nothing
    assert job.get("knative-serving-revision") == "rev"


def test_another_revision_is_nobodys(two):
    for headers in ([NAMED[0], ("Knative-Serving-Namespace", "other")],
                    [("Knative-Serving-Revision", "other"), NAMED[1]]):
        answer = two.post("/job/1", headers=headers, host="rev.test")
        assert answer.status == 404 and answer.json()["reason"] == "no_service"
    assert not two.open_pod.requests and not two.pod_of_revision.requests


def test_probes_are_answered(two):
    answer = two.get("/", [("K-Network-Probe", "activator")])
    assert (answer.status, answer.body) == (200, b"activator")
    answer = two.get("/healthz", [("K-Network-Probe", "probe"), ("K-Network-Hash", "abc")])
    assert answer.status == 200 and answer.get("k-network-hash") == "abc"
    assert two.get("/", [("K-Network-Probe", "probe")]).status == 400
    answer = two.get("/", [("K-Network-Probe", "queue")])
    assert answer.status == 400 and answer.json()["reason"] == "bad_probe"
    assert not two.open_pod.requests and not two.pod_of_revision.requests


def test_checks_and_interrupts_are_no_work_to_a_queue_proxy(gateway, pods):
    """It tells the autoscaler of all that is not marked, and a revision with work keeps a pod."""
    marked, plain = pods(2)
    asked = {"readiness": {"httpGet": "/ready", "period": "20ms"},
             "idle": {"httpGet": "/idle", "jsonPath": "state.busy", "period": "20ms"},
             "interrupt": {"httpPost": "/interrupt"}}
    services = [{**service(marked, **asked), "knative": REVISION, "hosts": ["rev.test"]},
                {**service(plain, **asked), "name": "open"}]
    front = gateway(services=services)
    for pod, host, marks in ((marked, "rev.test", ["activator"]), (plain, "open.test", [])):
        client = front.open_post("/job/1", host=host)
        job = pod.next()
        client.leave()
        wait_until(lambda pod=pod: "/interrupt" in pod.paths(), "the interrupt at the pod")
        job.answer()
        questions = [pod.last_checks["/ready"], pod.last_checks["/idle"],
                     next(it for it in pod.requests if it.path == "/interrupt")]
        assert [it.all("k-proxy-request") for it in questions] == [marks] * 3


def test_elsewhere_they_mean_nothing(gateway, pod):
    """A gateway that stands for no revision passes all of it on."""
    front = gateway(pod)
    job = one_job(front, pod, headers=[*NAMED, ("K-Network-Probe", "activator")])
    assert job.get("k-network-probe") == "activator"
    assert job.get("knative-serving-revision") == "rev" and not job.all("k-proxy-request")


# --- Knative's own code --------------------------------------------------------------------------


@pytest.fixture
def real():
    why_not = go.missing("autoscaler")
    if why_not:
        pytest.skip(why_not)
    one = RealAutoscaler("-namespace", "models", "-revision", "rev", "-target", "1",
                         "-stable-window", "6s")
    yield one
    one.close()


def test_knatives_own_server_takes_it(gateway, pod, real):
    """Its WebSocket, its decoder, its averages, its decisions: 0 -> 1 at once, 1 -> 3, and 0 again."""
    front = gateway(pod, top={"knative": {"autoscaler": real.address}}, knative=REVISION)
    front.wait_for_metric(1, "slotgate_knative_connected")
    begun = time.monotonic()
    clients = [front.open_post("/job/0")]
    job = pod.next()
    scaled = wait_until(lambda: [at for at, scale in real.scales if at > begun and scale == 1],
                        lambda: f"one pod is wanted: {real.scales} {real.stats}")
    assert scaled[0] - begun < 1 * max(1, PATIENCE / 10)
    clients += [front.open_post(f"/job/{i}") for i in (1, 2)]
    wait_until(lambda: real.scales[-1][1] == 3, lambda: f"three are wanted: {real.scales}")
    for client in clients:
        job.answer()
        assert client.read_response().status == 200
        job = pod.next() if client is not clients[-1] else None
    wait_until(lambda: real.scales[-1][1] == 0, lambda: f"none is wanted: {real.scales}",
               timeout=3 * PATIENCE)
    assert {stat.key for stat in real.stats} == {("models", "rev")}
    assert sum(stat.requests for stat in real.stats) == 3
