"""Promise 9 across processes: a new slotgate takes over from the running one, and nothing is dropped."""
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from harness.client import Broken, Client
from harness.demo import GENERATE, PROMPT
from harness.gateway import service
from harness.http2_client import NO_ERROR
from harness.keys import KeyFile, bearer, entry
from harness.wait import PATIENCE, wait_until
from harness.websocket import CLOSE, TEXT, WebSocket

PR_SET_CHILD_SUBREAPER = 36
IDLE = {"httpGet": "/idle", "jsonPath": "state.busy", "period": "10ms", "successThreshold": 2}


@pytest.fixture
def front(gateway, pod):
    """front(...): a gateway before the test's one pod that can be upgraded."""
    def make(**options):
        top = {"drainTimeout": "30s", **options.pop("top", {})}
        return gateway(pod, upgradable=True, top=top, **options)
    return make


def test_an_idle_gateway_is_replaced(front, pod):
    front = front()
    old = front.upgrade()
    assert front.get("/x").status == 200
    assert old.wait(PATIENCE) == 0
    assert front.get("/x").status == 200
    front.wait_for(ready=1)


def test_a_pods_job_is_not_forgotten(front, pod):
    """The job goes on with the old process, and its slot counts with the new one."""
    front = front()
    first = front.open_post("/job/1")
    job = pod.next()
    old = front.upgrade()
    front.wait_for(working=1, free=0)
    second = front.open_post("/job/2")
    front.wait_for(waiting=1)
    assert pod.paths() == ["/job/1"]
    job.answer(b"one")
    assert first.read_response().body == b"one"
    pod.next().answer(b"two")
    assert second.read_response().body == b"two"
    assert old.wait(PATIENCE) == 0


def test_who_waits_keeps_his_place(front, pod):
    front = front()
    clients = [front.open_post("/job/0")]
    job = pod.next()
    for i in range(1, 6):
        clients.append(front.open_post(f"/job/{i}", b"%d" % i * 1000))
        front.wait_for(waiting=i)
    front.upgrade()
    front.wait_for(waiting=5, working=1)
    for i in range(6, 9):
        clients.append(front.open_post(f"/job/{i}"))
        front.wait_for(waiting=i)
    for i in range(9):
        assert job.path == f"/job/{i}"
        assert i == 0 or i > 5 or job.body == b"%d" % i * 1000
        job.answer(b"%d" % i)
        job = pod.next() if i < 8 else None
    for i, client in enumerate(clients):
        assert client.read_response().body == b"%d" % i


def test_who_uploads_is_served_by_the_new_process(front, pod):
    front = front()
    client = front.client()
    client.send(client.head("POST", "/job/late", [("Content-Length", 4)]) + b"12")
    front.wait_for(uploading=1)
    old = front.upgrade()
    client.send(b"34")
    job = pod.next()
    assert job.body == b"1234"
    job.answer(b"done")
    response = client.read_response()
    assert response.body == b"done" and response.get("connection") == "close"
    assert old.wait(PATIENCE) == 0


def test_a_kept_connection_gets_one_more_answer(front, pod):
    """An idle one is not closed in its next request's face."""
    front = front(top={"forwarding": {"trustedProxies": ["127.0.0.1"]}})
    with front.client() as client:
        assert client.get("/x", [("X-Forwarded-For", "192.0.2.1")]).read_response().status == 200
        old = front.upgrade()
        seen = client.get("/y?a=b", [("X-Forwarded-For", "192.0.2.1"), ("X-Request-Id", "late")])
        response = seen.read_response()
        headers = dict(response.json()["headers"])
        assert response.json()["target"] == "/y?a=b"
        assert response.get("x-request-id") == headers["x-request-id"] == "late"
        assert headers["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
        assert headers["via"].count("slotgate") == 1
        assert response.get("connection") == "close"
        assert client.is_closed_by_peer()
    assert old.wait(PATIENCE) == 0
    line = front.access_line("late")
    assert line["client"] == "192.0.2.1" and line["service"] == "sd"


def test_a_relayed_answer_streams(front, pod):
    front = front()
    first = front.open_post("/job/0")
    job = pod.next()
    client = front.open_post("/job/1")
    front.wait_for(waiting=1)
    front.upgrade()
    job.answer()
    assert first.read_response().status == 200
    job = pod.next()
    job.begin([("Content-Type", "text/event-stream")])
    job.chunk(b"one")
    assert client.read_head().status == 200
    assert client.read_chunk() == b"one"
    job.chunk(b"two")
    assert client.read_chunk() == b"two"
    job.finish()
    assert client.read_chunk() == b""


def test_a_large_body_keeps_its_place_too(front, pod):
    front = front(body={"memory": "64KiB", "maxBytes": "64MiB"})
    front.open_post("/job/0")
    job = pod.next()
    clients = [front.open_post("/job/large", b"x" * (8 << 20))]
    front.wait_for(waiting=1)
    clients.append(front.open_post("/job/small"))
    front.wait_for(waiting=2)
    front.upgrade()
    clients.append(front.open_post("/job/new"))
    front.wait_for(waiting=3)
    job.answer()
    for path, client in zip(("/job/large", "/job/small", "/job/new"), clients):
        job = pod.next()
        assert job.path == path
        assert len(job.body) == (8 << 20 if path == "/job/large" else 2)
        job.answer()
        assert client.read_response().status == 200


def test_who_leaves_after_the_upgrade_never_reaches_a_pod(front, pod):
    front = front()
    front.open_post("/job/0")
    job = pod.next()
    leaver, stayer = front.open_post("/job/leaves"), None
    front.wait_for(waiting=1)
    stayer = front.open_post("/job/stays")
    front.wait_for(waiting=2)
    front.upgrade()
    front.wait_for(waiting=2)
    leaver.leave()
    front.wait_for(waiting=1)
    job.answer()
    pod.next().answer()
    assert stayer.read_response().status == 200
    assert pod.paths() == ["/job/0", "/job/stays"]


def test_a_client_that_leaves_its_job_in_the_old_process_holds_the_slot(front, pod):
    front = front()
    client = front.open_post("/job/0")
    job = pod.next()
    front.upgrade()
    waiting = front.open_post("/job/1")
    front.wait_for(waiting=1, working=1)
    client.leave()
    front.wait_for(draining=1, waiting=1)
    assert pod.paths() == ["/job/0"]
    job.answer()
    pod.next().answer()
    assert waiting.read_response().status == 200


def test_killed_amid_its_jobs_the_old_process_leaves_them_in_doubt(front, pod):
    front = front(idle=IDLE)
    front.open_post("/job/0")
    job = pod.next()
    old = front.upgrade()
    waiting = front.open_post("/job/1")
    front.wait_for(waiting=1)
    old.kill()
    front.wait_for(quarantined=1)
    checks = pod.checks
    wait_until(lambda: pod.checks > checks + 3, "asked, and told: busy")
    assert pod.paths() == ["/job/0"]
    job.end()
    pod.next().answer()
    assert waiting.read_response().status == 200


def test_a_quarantine_is_not_forgotten(front, pod):
    front = front(idle=IDLE, timeouts={"response": "50ms"})
    client = front.open_post("/job/0")
    job = pod.next()
    assert client.read_response().status == 504
    front.wait_for(quarantined=1)
    front.upgrade()
    front.wait_for_pod(pod, "quarantined")
    checks = pod.checks
    wait_until(lambda: pod.checks > checks + 3, "asked by the new process")
    front.wait_for(quarantined=1)
    job.end()
    front.wait_for(quarantined=0, free=1)


NOT_TOLD = "whose end it has not told"


def upgraded_behind_a_late_job(front, pod):
    """(the gateway, the job that has timed out, the old process)"""
    front = front(timeouts={"response": "50ms"})
    client = front.open_post("/job/0")
    job = pod.next()
    assert client.read_response().status == 504
    client.leave()
    old = front.upgrade()
    front.wait_for(quarantined=1)
    return front, job, old


def test_the_old_process_hears_a_late_answer(front, pod):
    """Without an idle check it is the only one that can tell when the slot is free."""
    front, job, old = upgraded_behind_a_late_job(front, pod)
    job.answer()
    front.wait_for(quarantined=0, free=1)
    assert old.wait(PATIENCE) == 0
    assert NOT_TOLD not in front.log()


def test_a_drain_does_not_wait_for_a_late_answer(front, pod):
    front, job, old = upgraded_behind_a_late_job(front, pod)
    front.terminate()
    assert old.wait(PATIENCE) == 0 and front.wait() == 0
    job.end()


def test_what_was_lost_before_the_upgrade_is_not_told_as_lost_by_it(front, pod):
    front = front(idle=IDLE)
    client = front.open_post("/job/0")
    job = pod.next()
    job.hang_up()
    assert client.read_response().status == 502
    client.leave()
    front.wait_for(quarantined=1)
    old = front.upgrade()
    assert old.wait(PATIENCE) == 0
    wait_until(lambda: "before this one, has ended" in front.log(), "it is seen")
    front.wait_for(quarantined=1)
    job.end()
    front.wait_for(quarantined=0, free=1)
    assert NOT_TOLD not in front.log()


def test_a_tenants_cap_holds_over_an_upgrade(gateway, pods, tmp_path):
    """Its job in the old process counts, its waiter keeps its key's place, and others go ahead."""
    keys = KeyFile(tmp_path / "keys.json", entry("acme", maxWorking=1), entry("umbra"))
    pod = pods(capacity=2)
    front = gateway(pod, upgradable=True, apiKeys=keys.option(), containerConcurrency=2,
                    top={"drainTimeout": "30s"})
    first = front.open_post("/job/1", headers=bearer("acme"))
    job = pod.next()
    second = front.open_post("/job/2", headers=bearer("acme"))
    front.wait_for(waiting=1)
    front.upgrade()
    front.wait_for(working=1, waiting=1, free=1)
    third = front.open_post("/job/3", headers=bearer("umbra"))
    other = pod.next()
    assert other.path == "/job/3"
    job.answer(b"one")
    assert first.read_response().body == b"one"
    waiter = pod.next()
    assert waiter.path == "/job/2"
    waiter.answer(b"two")
    other.answer(b"three")
    assert (second.read_response().body, third.read_response().body) == (b"two", b"three")


def test_what_ends_in_the_old_process_is_counted_in_the_newest(gateway, pods, tmp_path):
    keys = KeyFile(tmp_path / "keys.json", entry("acme"))
    pod = pods(capacity=3)
    front = gateway(pod, upgradable=True, apiKeys=keys.option(), containerConcurrency=3,
                    top={"drainTimeout": "30s"})
    clients = [front.open_post(f"/job/{i}", b"12345", bearer("acme")) for i in range(3)]
    jobs = sorted((pod.next() for _ in range(3)), key=lambda job: job.path)
    for _ in range(2):
        front.upgrade()
    jobs[0].answer(b"1234567")
    jobs[1].answer(b"", status=500)
    assert [client.read_response().status for client in clients[:2]] == [200, 500]
    clients[2].leave()
    front.wait_for_metric(1, "slotgate_requests_total", **{"class": "aborted"})
    jobs[2].answer()
    front.wait_for(working=0, draining=0)
    metrics = front.metrics()
    for name in ("2xx", "5xx", "aborted"):
        assert metrics("slotgate_requests_total", **{"class": name}) == 1
        assert metrics("slotgate_tenant_requests_total", tenant="acme", **{"class": name}) == 1
    assert metrics("slotgate_client_aborts_total", phase="working") == 1
    assert metrics("slotgate_request_duration_seconds_count") == 3
    assert metrics("slotgate_queue_wait_seconds_count") == 3
    assert metrics("slotgate_bytes_received_total") == 15
    assert metrics("slotgate_bytes_sent_total") == 7


def test_upgrades_in_a_row_while_the_first_still_drains(front, pod):
    front = front()
    clients = [front.open_post("/job/0")]
    job = pod.next()
    for i in range(1, 4):
        clients.append(front.open_post(f"/job/{i}"))
        front.wait_for(waiting=i)
    uploading = front.client()
    uploading.send(uploading.head("POST", "/job/late", [("Content-Length", 2)]))
    front.wait_for(uploading=1)
    for i in range(3):
        front.upgrade()
        front.wait_for(waiting=3 + i, working=1)
        clients.append(front.open_post(f"/job/{4 + i}"))
        front.wait_for(waiting=4 + i)
    uploading.send(b"{}")
    front.wait_for(waiting=7)
    for i in range(7):
        assert job.path == f"/job/{i}"
        job.answer(b"%d" % i)
        job = pod.next()
    assert job.path == "/job/late"
    job.answer()
    assert uploading.read_response().status == 200
    assert [client.read_response().body for client in clients] == [b"%d" % i for i in range(7)]
    for old in front.elders:
        assert old.wait(PATIENCE) == 0


def test_a_websocket_goes_on_in_the_old_process(gateway, demo_pod):
    front = gateway(demo_pod(), upgradable=True, top={"drainTimeout": "30s"})
    tunnel = WebSocket(front.client(), "/queue/join")
    tunnel.send("before")
    assert tunnel.read() == (TEXT, b"before")
    front.upgrade()
    tunnel.send("after")
    assert tunnel.read() == (TEXT, b"after")
    tunnel.client.leave()


def test_a_websocket_of_the_old_process_is_told_to_come_again(gateway, demo_pod):
    front = gateway(demo_pod(), upgradable=True, top={"drainTimeout": "30s", "drainTunnels": "0s"})
    tunnel = WebSocket(front.client(), "/queue/join")
    idle = front.client()
    assert idle.get("/x").read_response().status == 404
    old = front.upgrade()
    assert tunnel.read() == (CLOSE, b"\x03\xe9")
    assert tunnel.client.is_closed_by_peer()
    late = WebSocket(idle, "/queue/join")  # over the kept connection: told at once
    assert late.read() == (CLOSE, b"\x03\xe9")
    late.client.leave()
    assert old.wait(PATIENCE) == 0
    assert WebSocket(front.client(), "/queue/join").close() == 1000


@pytest.mark.parametrize("upgrades", [8])
def test_under_load_nobody_notices(gateway, demo_pod, upgrades):
    pods = [demo_pod("--service-time", "20ms") for _ in range(3)]
    front = gateway(*pods, slots=["POST " + GENERATE], upgradable=True,
                    top={"drainTimeout": "30s", "log": {"level": "info"}})
    over, results, faults = threading.Event(), [], []

    def load(keeps):
        client = None
        while not over.is_set():
            try:
                client = client or Client(front.address)
                response = client.post(GENERATE, PROMPT).read_response()
                results.append(response.status)
                if response.get("connection") == "close" or not keeps:
                    client.leave()
                    client = None
            except (OSError, Broken) as fault:
                faults.append(repr(fault))
                client = None
        if client:
            client.leave()

    threads = [threading.Thread(target=load, args=[i % 2]) for i in range(12)]
    for thread in threads:
        thread.start()
    for _ in range(upgrades):
        count = len(results)
        wait_until(lambda: len(results) > count + 30, "work flows")
        front.upgrade()
    count = len(results)
    wait_until(lambda: len(results) > count + 30, "work flows")
    over.set()
    for thread in threads:
        thread.join()
    assert not faults
    assert set(results) == {200}
    for old in front.elders:
        assert old.wait(PATIENCE) == 0
    assert front.figures()["working"] == 0


def test_a_signal_starts_the_new_process(front, pod):
    """SIGUSR2: the process starts its own program anew."""
    front = front()
    first = front.open_post("/job/0")
    job = pod.next()
    second = front.open_post("/job/1")
    front.wait_for(waiting=1)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # its parent ends before it
    try:
        front.process.send_signal(signal.SIGUSR2)
        found = wait_until(lambda: re.search(r"process (\d+) has taken over", front.log()), "it is")
        front.wait_for(waiting=1, working=1)
        job.answer()
        pod.next().answer()
        assert [c.read_response().status for c in (first, second)] == [200, 200]
        assert front.process.wait(PATIENCE) == 0
        assert front.get("/x").status == 200
        new = int(found[1])
        os.kill(new, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(new, 0)[1]) == 0
    finally:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0)


def test_a_drain_waits_for_the_process_before_it(front, pod):
    front = front()
    client = front.open_post("/job/0")
    job = pod.next()
    idle = front.client()
    assert idle.get("/x").read_response().status == 200
    old = front.upgrade()
    front.terminate()
    assert idle.is_closed_by_peer(), "told to, the old one lets go of who only keeps a connection"
    assert front.process.poll() is None and old.poll() is None
    job.answer()
    assert client.read_response().status == 200
    assert old.wait(PATIENCE) == 0 and front.wait() == 0


def test_listeners_may_change(front, pod):
    front = front(listeners=[{"address": "127.0.0.1:0"}, {"address": "localhost:0"}])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = front.open_post("/job/0")
    job = pod.next()
    front.write_config({**front.settings, "listeners": [
        {"address": "127.0.0.1:0"}, {"address": f"127.0.0.1:{port}"}]})
    front.upgrade()
    with Client(("127.0.0.1", port)) as new:
        assert new.get("/x").read_response().status == 200
    job.answer()
    assert client.read_response().status == 200


def test_a_pod_that_is_configured_no_more_keeps_its_job(gateway, pods):
    one, two = pods(2)
    front = gateway(one, two, upgradable=True, top={"drainTimeout": "30s"})
    clients = [front.open_post("/job/0"), front.open_post("/job/1")]
    jobs = [one.next(), two.next()]
    front.write_config({**front.settings, "services": [service(one)]})
    front.upgrade()
    front.wait_for_pod(two, "absent")
    front.wait_for(working=2)
    waiting = front.open_post("/job/2")
    front.wait_for(waiting=1)
    jobs[1].answer()
    wait_until(lambda: front.pod(two) is None, "it goes with its job")
    front.wait_for(waiting=1)
    jobs[0].answer()
    one.next().answer()
    assert [c.read_response().status for c in (*clients, waiting)] == [200] * 3


def test_who_waits_for_a_removed_service_is_told(front, pod):
    front = front()
    working = front.open_post("/job/0")
    job = pod.next()
    waiting = front.open_post("/job/1")
    front.wait_for(waiting=1)
    front.write_config({**front.settings, "services": [service(pod, name="other")]})
    front.upgrade()
    refused = waiting.read_response()
    assert refused.status == 503 and refused.problem == "closing"
    other = front.open_post("/job/2")
    wait_until(lambda: front.figures("other")["waiting"] == 1, "its pod still works for the old one")
    job.answer()
    assert working.read_response().status == 200
    pod.next().answer()
    assert other.read_response().status == 200


def test_a_service_that_comes_back_does_not_trust_its_pods(gateway, pods):
    """It was out of the configuration, and another service works on its pod."""
    one, two = pods(2)
    front = gateway(one, two, name="x", upgradable=True, top={"drainTimeout": "30s"})
    clients = [front.open_post("/job/0"), front.open_post("/job/1")]
    first, second = one.next(), two.next()
    front.reload({**front.settings, "services": [service(one, name="y")]})
    first.answer()
    wait_until(lambda: front.figures("y")["ready"] == 1, "y: ready")
    clients.append(front.open_post("/job/2"))
    other = one.next()
    front.config_path = front.directory / "next.json"  # the old process does not see it
    front.write_config({**front.settings, "services": [service(one, name="x")]})
    front.upgrade()
    clients.append(front.open_post("/job/3"))
    wait_until(lambda: front.figures("x")["waiting"] == 1, "x: waiting")
    wait_until(lambda: front.figures("y")["working"] == 1, "y: working")
    assert one.paths()[-1] == "/job/2"
    other.answer()
    one.next().answer()
    second.answer()
    assert [client.read_response().status for client in clients] == [200] * 4


def test_a_pod_that_is_configured_again_comes_back_with_its_job(gateway, pods):
    one, two = pods(2)
    front = gateway(one, two, upgradable=True, top={"drainTimeout": "30s"})
    both = front.settings
    clients = [front.open_post("/job/0"), front.open_post("/job/1")]
    first, second = one.next(), two.next()
    front.reload({**both, "services": [service(one)]})
    front.wait_for_pod(two, "absent")
    front.config_path = front.directory / "next.json"  # the old process does not see it
    front.write_config(both)
    front.upgrade()
    clients.append(front.open_post("/job/2"))
    front.wait_for(waiting=1, working=2)
    second.answer()
    two.next().answer()
    first.answer()
    assert [client.read_response().status for client in clients] == [200] * 3


# --- upgrades that fail ---

def new_process_fails(front, *flags):
    new = front.start(*(flags or ["--take-over"]))
    assert new.wait(PATIENCE) != 0


def still_works(front, pod, job, clients):
    job.answer()
    pod.next().answer()
    assert [client.read_response().status for client in clients] == [200, 200]
    assert front.get("/x").status == 200


@pytest.fixture
def busy(front, pod):
    front = front()
    clients = [front.open_post("/job/0")]
    job = pod.next()
    clients.append(front.open_post("/job/1"))
    front.wait_for(waiting=1)
    return front, job, clients


def test_a_faulty_configuration_stops_the_new_process_alone(busy, pod):
    front, job, clients = busy
    good = front.config_path.read_text()
    bad = front.directory / "bad.json"
    bad.write_text(good.replace('"services"', '"servces"'))
    command = [*front.process.args[:3], str(bad), "--take-over"]
    done = subprocess.run(command, env=front.environment, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"servces" in done.stderr
    still_works(front, pod, job, clients)


def test_an_address_that_is_taken_stops_it_too(busy, pod):
    front, job, clients = busy
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = {**front.settings, "listeners": [
            *front.settings["listeners"],
            {"address": "127.0.0.1:%d" % taken.getsockname()[1]}]}
        good = front.directory / "new.json"
        good.write_text(json.dumps(settings))
        command = [*front.process.args[:3], str(good), "--take-over"]
        done = subprocess.run(command, env=front.environment, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"cannot listen on" in done.stderr
    still_works(front, pod, job, clients)


def connect(front):
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(PATIENCE)
    peer.connect(str(front.directory / "upgrade"))
    return peer


def hear(peer):
    data, descriptors, _, _ = socket.recv_fds(peer, 65536, 4)
    for descriptor in descriptors:
        socket.close(descriptor)
    return json.loads(data) if data else None


def say(peer, word, **more):
    peer.send(json.dumps({"say": word, **more}).encode())


def be_offered(peer):
    say(peer, "hello", protocol=2)
    while hear(peer)["say"] != "listening":
        pass


def freeze(peer):
    say(peer, "ready")
    while hear(peer)["say"] != "state":
        pass


@pytest.mark.parametrize("words", [
    b"nonsense", b"{}", b'{"say": "ready"}', b'{"say": "taken"}', b"x" * 60000,
    b'{"say": "hello", "protocol": 99}', b'{"say": "hello", "protocol": "1"}'])
def test_who_does_not_keep_to_the_protocol_is_turned_away(busy, pod, words):
    front, job, clients = busy
    with connect(front) as peer:
        peer.send(words)
        assert hear(peer)["say"] == "no"
    still_works(front, pod, job, clients)


@pytest.mark.parametrize("stage", ["greeted", "offered", "frozen"])
def test_a_new_process_that_ends_half_way_changes_nothing(busy, pod, stage):
    front, job, clients = busy
    with connect(front) as peer:
        if stage != "greeted":
            be_offered(peer)
        if stage == "frozen":
            freeze(peer)
            assert front.figures()["waiting"] == 1
    wait_until(lambda: "no upgrade: the new process ended" in front.log(), "it is noticed")
    still_works(front, pod, job, clients)
    front.upgrade()
    assert front.get("/x").status == 200


def test_what_ends_while_frozen_counts_if_it_is_taken_back(busy, pod):
    front, job, clients = busy
    with connect(front) as peer:
        be_offered(peer)
        freeze(peer)
        job.answer()
        assert clients[0].read_response().status == 200
        told = hear(peer)
        assert told["say"] == "told" and told["event"] == "finished"
        assert pod.paths() == ["/job/0"], "frozen: nothing is granted"
    pod.next().answer()
    assert clients[1].read_response().status == 200


def test_a_program_that_cannot_start_is_told_of(busy, pod):
    front, job, clients = busy
    good = front.config_path.read_text()
    front.config_path.write_text("{")
    front.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: "no upgrade: the new process" in front.log(), "it is noticed")
    front.config_path.write_text(good)
    still_works(front, pod, job, clients)


def test_told_to_stop_amid_an_upgrade_it_stops(busy, pod):
    front, job, clients = busy
    with connect(front) as peer:
        be_offered(peer)
        freeze(peer)
        front.terminate()
        assert hear(peer) == {"say": "no", "why": "slotgate was told to stop"}
    job.answer()
    pod.next().answer()
    assert [client.read_response().status for client in clients] == [200, 200]
    assert front.wait() == 0


def test_without_a_running_one_there_is_nothing_to_take_over(front, pod):
    front = front()
    front.kill()
    new_process_fails(front)
    assert "no slotgate answers at upgradeSocket" in front.log()


# --- an old process that is not what it seems ---

def old_process(path, *words):
    """Says these words to the first who connects, and what it was told."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(PATIENCE)

    def serve():
        peer, _ = listener.accept()
        with listener, peer:
            peer.settimeout(PATIENCE)
            peer.recv(65536)
            for word in words:
                peer.send(word if isinstance(word, bytes) else json.dumps(word).encode())
            heard = b"-"
            while len(words) > 1 and heard and b'"taken"' not in heard:
                heard = peer.recv(65536)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


LISTENING = {"say": "listening"}


@pytest.mark.parametrize("words, said", [
    ([], "it has closed the connection"),
    ([b"nonsense"], "it does not keep to the protocol"),
    ([{"say": "yours"}], "it does not keep to the protocol"),
    ([{"say": "no", "why": "not today"}], "not today"),
    ([LISTENING, {"say": "service", "name": "x", "provider": 7}], "cannot be taken in"),
    ([LISTENING, {"say": "slot", "grant": "1"}], "cannot be taken in"),
    ([LISTENING, {"say": "process", "name": "x"}], "cannot be taken in"),
    ([LISTENING, {"say": "request", "service": "sd", "peer": "127.0.0.1:1"}], "cannot be taken in"),
    ([LISTENING, {"say": "supervisor", "pid": 1}], "cannot be taken in"),
    ([LISTENING, {"say": "service", "name": "sd", "provider": 0}, {"say": "pod", "name": "x" * 500,
                                                                  "state": 2}], "cannot be taken in"),
    ([LISTENING, {"say": "service", "name": "sd", "provider": 0},
      {"say": "pod", "name": "127.0.0.1:9", "state": 2},
      {"say": "slot", "grant": "1", "state": 99}], "cannot be taken in"),
    ([LISTENING, {"say": "state"}], "it has closed the connection"),
])
def test_the_new_process_believes_no_nonsense(front, pod, words, said):
    front = front()
    front.terminate()
    assert front.wait() == 0
    thread = old_process(front.directory / "upgrade", *words)
    new_process_fails(front)
    thread.join(PATIENCE)
    assert said in front.log() and "cannot take over: " in front.log()
    assert front.report() is None


# --- many, and other protocols ---

def test_a_thousand_wait_over_an_upgrade(gateway, pods):
    arrived = []

    def serve(job):
        arrived.append(int(job.path.rsplit("/", 1)[1]))
        job.answer()

    first = []
    pod = pods(script=first.append)
    front = gateway(pod, upgradable=True, top={"drainTimeout": "30s", "log": {"level": "info"}})
    clients = [front.open_post("/job/0")]
    wait_until(lambda: first, "the first is at work")
    for i in range(1, 1001):
        clients.append(front.open_post(f"/job/{i}", b"x" * 2000))
        if i % 100 == 0:
            front.wait_for(waiting=i)
    front.upgrade()
    front.wait_for(waiting=1000)
    pod.script = serve
    first[0].answer()
    assert {client.read_response().status for client in clients} == {200}
    order_of_arrival = list(range(1, 1001))
    assert sorted(arrived) == order_of_arrival
    late = sum(1 for a, b in zip(arrived, order_of_arrival) if abs(a - b) > 100)
    assert late == 0, "in order, but for those that were sent at the same moment"


def test_http2_streams_wait_on(front, pod, tmp_path):
    front = front()
    first = front.open_post("/job/0")
    job = pod.next()
    url = "http://%s:%d" % front.address
    curl = subprocess.Popen(["curl", "-sS", "--http2-prior-knowledge", "-d", "{}", f"{url}/job/1",
                             "--next", "-sS", "--http2-prior-knowledge", "-d", "{}",
                             f"{url}/job/2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    front.wait_for(waiting=1)
    old = front.upgrade()
    job.answer()
    assert first.read_response().status == 200
    for i in (1, 2):
        job = pod.next()
        assert job.path == f"/job/{i}"
        job.answer(b"%d" % i)
    assert curl.communicate(timeout=PATIENCE) == (b"12", b"")
    assert old.wait(PATIENCE) == 0


def test_http2_streams_on_their_way_to_the_old_process_are_answered(front, pod):
    """It says goodbye, and it is final only when the client has heard it."""
    front = front()
    fresh, used, silent = front.http2(), front.http2(), front.http2()
    assert used.answer(used.get("/used")).status == 200
    silent.barrier()
    old = front.upgrade()
    wait_until(lambda: "has taken over" in front.log(), "the old process steps down")
    for client in (fresh, used):  # nothing of the goodbye has been read yet
        assert client.answer(client.get("/crossing")).status == 200
        assert client.end_of_connection() == NO_ERROR
    assert old.wait(PATIENCE) == 0, "also though one client never answers"


def test_if_the_new_process_dies_the_old_one_says_so(front, pod):
    front = front()
    front.open_post("/job/0")
    job = pod.next()
    waiting = front.open_post("/job/1")
    front.wait_for(waiting=1)
    kept = front.client()
    assert kept.get("/x").read_response().status == 200
    old = front.upgrade()
    front.wait_for(waiting=1)
    front.kill()
    response = waiting.read_response()
    assert response.status == 502 and response.problem == "pod_failed"
    response = kept.post("/job/2").read_response()
    assert response.status == 503 and response.problem == "closing"
    assert old.poll() is None, "it still finishes what it has at work"
    job.answer()
    assert old.wait(PATIENCE) == 0
