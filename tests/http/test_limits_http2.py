"""The same limits where a client speaks HTTP/2."""
import subprocess

from harness.http2_client import NO_ERROR
from harness.wait import PATIENCE, wait_until


def curl(front, path, *flags, **more):
    host, port = front.address
    return subprocess.Popen(
        ["curl", "-sS", "--http2-prior-knowledge", "-m", str(PATIENCE), "-w", "\n%{http_code}",
         *flags, f"http://{host}:{port}{path}"], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, **more)


def test_a_target_that_is_too_long_is_told(gateway, pod):
    front = gateway(pod, top={"limits": {"maxTargetBytes": 1000}})
    assert curl(front, "/" + "a" * 999).communicate()[0].endswith("\n200")
    answer = curl(front, "/" + "a" * 1000).communicate()[0]
    assert answer.endswith("\n414") and "target_too_long" in answer


def test_a_body_that_trickles_is_too_slow(gateway, pod):
    front = gateway(pod, body={"minRate": "1MiB", "minRateWindow": "200ms"})
    client = curl(front, "/job", "-X", "POST", "-T", "-")
    client.stdin.write("some")
    client.stdin.flush()
    wait_until(lambda: front.metrics()("slotgate_bad_requests_total", reason="body_too_slow"),
               "it is refused")
    assert "body_too_slow" in client.communicate()[0]
    front.wait_for(uploading=0)
    assert pod.paths() == []


def test_a_client_that_takes_too_little_is_reset(gateway, pod):
    front = gateway(pod, top={"limits": {"sendTimeout": "200ms", "minSendRate": "1GiB"}})
    client = curl(front, "/job", "-X", "POST", "-d", "{}", "-H", "X-Request-Id: slow",
                  "--limit-rate", "50k", "-o", "/dev/null")
    pod.next().answer(b"x" * (12 << 20))
    assert front.access_line("slow")["outcome"] == "client_too_slow"
    client.kill()
    client.communicate()
    front.wait_for_metric(0, "slotgate_spooled_bytes")


def test_memory_that_is_tight_refuses_streams_and_ends_idle_connections(gateway, pod):
    front = gateway(pod, top={"limits": {"memory": "4MiB"}})
    idle = front.http2()
    idle.barrier()
    clients = [front.open_post("/job", b"x" * 300_000)]
    job = pod.next()
    while front.metrics()("slotgate_client_memory_bytes") < 4 * 1024 * 1024 * 9 // 10:
        clients.append(front.open_post("/job", b"x" * 300_000))
        front.wait_for(waiting=len(clients) - 1)
    answer = curl(front, "/page").communicate()[0]
    assert answer.endswith("\n503") and "overloaded" in answer
    # Its client does not hear the goodbye yet: what is on its way out is not ended a second time.
    while front.log().count("idle connections ended") < 5:
        curl(front, "/page").communicate()
    assert front.metrics()("slotgate_shed_total", what="idle") == 1
    assert idle.end_of_connection() == NO_ERROR
    job.answer()
    for _ in clients[1:]:
        pod.next().answer()
    assert {client.read_response().status for client in clients} == {200}
    for client in clients:
        client.leave()
    front.wait_for_metric(0, "slotgate_open_connections")
    assert front.metrics()("slotgate_client_memory_bytes") < 64 << 10
