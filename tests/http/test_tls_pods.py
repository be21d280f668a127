"""TLS with pods: nothing of a request reaches one that has not proved who it is."""
import socket

import pytest

from harness.client import Broken
from harness.wait import wait_until

IDLE = {"httpGet": "/idle", "jsonPath": "state.busy", "period": "20ms"}
READY = {"httpGet": "/ready", "period": "20ms"}


@pytest.fixture
def secure(certificates, pods):
    """secure("local"): a pod that shows this certificate."""
    def make(name="local", clients=None, **more):
        return pods(tls=certificates.server(name, clients), **more)

    return make


def trust(certificates, **more):
    return {"ca": certificates.path("ca.pem"), **more}


def test_jobs_checks_and_what_passes_through(gateway, secure, certificates):
    pod = secure()
    made = gateway(pod, podTls=trust(certificates), readiness=READY, idle=IDLE)
    body = bytes(range(256)) * 8192
    assert made.post("/x", body).json()["length"] == len(body)
    with made.client() as c:
        c.post("/job")
        pod.next().answer(body)
        assert c.read_response().body == body
    made.wait_for(working=0)
    assert pod.checks > 0


def test_sessions_are_resumed(gateway, secure, certificates):
    pod = secure(capacity=3)
    made = gateway(pod, podTls=trust(certificates), containerConcurrency=3)
    for _ in range(3):
        assert made.get("/x").status == 200
    with made.client() as a, made.client() as b, made.client() as c:
        for client in (a, b, c):  # at once, so on connections of their own
            client.post("/job")
        for job in [pod.next() for _ in range(3)]:
            job.answer()
        for client in (a, b, c):
            assert client.read_response().status == 200
    assert not pod.resumed[0] and sum(pod.resumed) > 1


def test_tickets_are_no_reason_to_close_an_idle_connection(gateway, secure, certificates):
    pod = secure()
    made = gateway(pod, podTls=trust(certificates))

    def reused():
        assert made.get("/x").status == 200
        return made.metrics()("slotgate_upstream_connections_total", how="reused") > 5

    wait_until(reused, "connections are used again")
    assert made.metrics()("slotgate_upstream_connections_total", how="stale") == 0


@pytest.mark.parametrize("name,options,why", [
    ("expired", {}, "certificate has expired"),
    ("self", {}, "self-signed certificate"),
    ("stranger", {}, "unable to get local issuer certificate"),
    ("one", {}, "IP address mismatch"),
    ("local", {"serverName": "one.test"}, "hostname mismatch"),
])
def test_a_pod_that_cannot_prove_itself(gateway, secure, certificates, name, options, why):
    pod = secure(name)
    made = gateway(pod, podTls=trust(certificates, **options), queue={"maxAttempts": 1})
    answer = made.post("/job")
    assert (answer.status, answer.problem) == (503, "pods_unreachable")
    assert not pod.requests
    wait_until(lambda: why in made.log(), made.log)
    assert made.metrics()("slotgate_pod_failures_total", kind="tls") == 1
    made.wait_for(quarantined=0)


def test_it_is_not_ready_either(gateway, secure, certificates):
    pod = secure("expired")
    made = gateway(pod, podTls=trust(certificates), readiness=READY, ready=False)
    made.wait_for_metric(0, "slotgate_pods", state="ready")
    assert made.pod(pod)["state"] == "starting" and pod.checks == 0


def test_another_pod_takes_the_job(gateway, secure, certificates):
    bad, good = secure("expired"), secure()
    made = gateway(bad, good, podTls=trust(certificates))
    for _ in range(4):
        with made.client() as c:
            c.post("/job")
            good.next().answer()
            assert c.read_response().status == 200
    assert not bad.requests and len(good.requests) == 4


@pytest.mark.parametrize("options", [{"serverName": "one.test"}, {"insecureSkipVerify": True}])
def test_a_name_and_no_check(gateway, secure, certificates, options):
    pod = secure("one")
    pod_tls = options if "insecureSkipVerify" in options else trust(certificates, **options)
    made = gateway(pod, podTls=pod_tls, readiness=READY, idle=IDLE)
    assert made.get("/x").status == 200


def test_a_pod_that_asks_for_a_certificate(gateway, secure, certificates):
    pod = secure("local", clients="ca")
    made = gateway(pod, podTls=trust(certificates, **certificates.pair("client")), readiness=READY)
    assert made.get("/x").status == 200


def test_a_pod_without_tls(gateway, pod, certificates):
    made = gateway(pod, podTls=trust(certificates), queue={"maxAttempts": 1})
    assert made.post("/job").problem == "pods_unreachable"
    assert not pod.requests


def test_a_pod_that_never_shakes_hands(gateway, pods, certificates):
    pod = pods(tls=certificates.server())
    pod.tls = Mute()
    made = gateway(pod, podTls=trust(certificates), timeouts={"connect": "200ms"},
                   queue={"maxAttempts": 1})
    assert made.post("/job").problem == "pods_unreachable"
    assert made.metrics()("slotgate_pod_failures_total", kind="connect_timeout") == 1


class Mute:
    """Takes all, and says nothing."""

    @staticmethod
    def wrap_socket(plain, **_):
        while plain.recv(4096):
            pass
        raise ConnectionError("it has left")


@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_that_runs_to_the_end(gateway, secure, certificates, announced):
    """Only an announced end makes it whole: a cut may come from anybody."""
    pod = secure()
    made = gateway(pod, podTls=trust(certificates), idle=IDLE)
    with made.client() as c:
        c.post("/job")
        job = pod.next()
        job.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody")
        job.end()
        if announced:
            job.connection.unwrap()
            assert c.read_response().body == b"body"
        else:
            job.connection.shutdown(socket.SHUT_RDWR)  # as if somebody had cut the line
            with pytest.raises((Broken, ConnectionError)):
                c.read_response()
        job.release(close=True)
    made.wait_for(working=0, quarantined=0)
    broken = made.metrics()("slotgate_pod_failures_total", kind="broken")
    assert broken == (0 if announced else 1)


def test_an_interrupt(gateway, secure, certificates):
    pod = secure()
    made = gateway(pod, podTls=trust(certificates), interrupt={"httpPost": "/interrupt"}, idle=IDLE)
    with made.client() as c:
        c.post("/job")
        job = pod.next()
    wait_until(lambda: "/interrupt" in pod.paths(), "the pod is told")
    job.answer()
    made.wait_for(working=0, draining=0, quarantined=0)


def test_a_renewed_authority(gateway, secure, certificates, tmp_path):
    """Its file is watched too; a session of before is worth nothing under it."""
    pod = secure()
    ca = tmp_path / "ca.pem"
    ca.write_bytes((certificates.directory / "ca.pem").read_bytes())
    made = gateway(pod, podTls={"ca": str(ca)}, timeouts={"podKeepAlive": "0s"},
                   queue={"maxAttempts": 1}, ejection={"consecutiveFailures": 1000})
    assert made.get("/x").status == 200
    before = made.metrics()("slotgate_config_reloads_total", result="success")
    ca.write_bytes((certificates.directory / "other-ca.pem").read_bytes())
    made.wait_for_metric(before + 1, "slotgate_config_reloads_total", result="success")
    assert made.get("/x").problem == "pods_unreachable"
