"""Promise 3, slots are for computing: a slow client holds none, coming or going."""
import hashlib
import random
import subprocess

import pytest

from harness.gateway import limits
from harness.wait import wait_until

MIB = 1 << 20
IMAGE = random.Random(3).randbytes(12 * MIB)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def answer_unhindered(job, body):
    """The pod must never be held up: fails the test if it is."""
    job.connection.settimeout(10)
    job.answer(body)


# --- coming ---

def test_an_upload_holds_no_slot(gateway, pod):
    front = gateway(pod)
    slow = front.client()
    slow.send(slow.head("POST", "/job/slow", [("Content-Length", 1000)]) + b"x" * 999)
    front.wait_for(uploading=1, free=1, waiting=0)
    for i in range(3):
        quick = front.open_post(f"/job/quick-{i}")
        pod.next().answer()
        assert quick.read_response().status == 200
    slow.send(b"x")
    pod.next().answer()
    assert slow.read_response().status == 200
    assert pod.paths()[-1] == "/job/slow"


def test_many_uploads_hold_no_slot(gateway, pod):
    front = gateway(pod)
    crowd = [front.client() for _ in range(50)]
    for client in crowd:
        client.send(client.head("POST", "/job/slow", [("Content-Length", 10)]) + b"123")
    front.wait_for(uploading=50, free=1, concurrency=0)
    quick = front.open_post("/job/quick")
    pod.next().answer()
    assert quick.read_response().status == 200
    for client in crowd:
        client.leave()
    front.wait_for(uploading=0)
    assert pod.paths() == ["/job/quick"]


def test_a_ticket_is_drawn_when_the_body_is_whole(gateway, pod):
    """An upload that began first does not overtake what was complete before it."""
    front = gateway(pod)
    holder = front.open_post("/job/holder")
    job = pod.next()
    slow = front.client()
    slow.send(slow.head("POST", "/job/slow", [("Content-Length", 2)]) + b"1")
    front.wait_for(uploading=1)
    quick = front.open_post("/job/quick")
    front.wait_for(waiting=1)
    slow.send(b"2")
    front.wait_for(waiting=2)
    job.answer()
    assert holder.read_response().status == 200
    assert pod.next().path == "/job/quick"
    pod.requests[-1].answer()
    pod.next().answer()
    assert slow.read_response().status == quick.read_response().status == 200


# --- going ---

@pytest.mark.parametrize("memory", ["64MiB", 0, "64KiB"], ids=["memory", "disk", "both"])
def test_a_download_holds_no_slot(gateway, pod, memory):
    front = gateway(pod, spool={"memory": memory, "maxBytes": "64MiB"})
    slow = front.client(receive_buffer=4096).post("/job/slow")
    answer_unhindered(pod.next(), IMAGE)
    front.wait_for(free=1, working=0, concurrency=0)  # while the client has not read a byte
    quick = front.open_post("/job/quick")
    pod.next().answer()
    assert quick.read_response().status == 200
    assert front.metrics()("slotgate_spooled_bytes") > 0
    if memory != "64MiB":
        wait_until(lambda: front.metrics()("slotgate_spooled_bytes", kind="memory") < MIB,
                   "the disk has taken the most of it")
    response = slow.read_response()
    assert sha256(response.body) == sha256(IMAGE)
    front.wait_for_metric(0, "slotgate_spooled_bytes")


def test_a_chunked_download_holds_no_slot(gateway, pod):
    front = gateway(pod, spool={"memory": "64KiB"})
    slow = front.client(receive_buffer=4096).post("/job/slow")
    job = pod.next()
    job.connection.settimeout(10)
    job.begin()
    for at in range(0, len(IMAGE), 300_000):
        job.chunk(IMAGE[at:at + 300_000])
    job.finish()
    front.wait_for(free=1)
    assert sha256(slow.read_response().body) == sha256(IMAGE)


def test_a_client_that_keeps_reading_slowly_gets_all(gateway, pod):
    front = gateway(pod, spool={"memory": "64KiB"})
    slow = front.client(receive_buffer=4096).post("/job/slow")
    body = IMAGE[:3 * MIB]
    answer_unhindered(pod.next(), body)
    head = slow.read_head()
    received = b""
    while len(received) < int(head.get("content-length")):
        received += slow.read_exactly(min(50_000, len(body) - len(received)))
    assert sha256(received) == sha256(body)


def test_past_the_ceiling_the_client_is_reset_and_the_pod_drained(gateway, pod):
    front = gateway(pod, spool={"memory": "64KiB", "maxBytes": "1MiB"})
    slow = front.client(receive_buffer=4096)
    slow.post("/job/slow", headers=[("X-Request-Id", "slow")])
    answer_unhindered(pod.next(), IMAGE)  # to its end: the pod is never held up
    front.wait_for(free=1)
    front.wait_for_metric(1, "slotgate_spool_overflows_total")
    with pytest.raises(ConnectionResetError):
        slow.read_to_end()
    assert front.access_line("slow")["outcome"] not in ("ok", "client_left_streaming")
    front.wait_for_metric(0, "slotgate_spooled_bytes")
    quick = front.open_post("/job/quick")
    pod.next().answer()
    assert quick.read_response().status == 200


def test_a_slow_client_that_leaves_gives_its_spool_back(gateway, pod):
    front = gateway(pod, spool={"memory": "64KiB"})
    slow = front.client(receive_buffer=4096).post("/job/slow")
    answer_unhindered(pod.next(), IMAGE)
    wait_until(lambda: front.metrics()("slotgate_spooled_bytes", kind="disk") > 0, "it is on disk")
    slow.reset()
    front.wait_for_metric(0, "slotgate_spooled_bytes")


def test_the_spools_of_all_have_a_common_ceiling(gateway, pod):
    front = gateway(pod, spool={"memory": "64MiB", "maxBytes": "64MiB"},
                    top={"limits": {"spoolMemory": "1MiB", "spoolDisk": "8MiB"}})
    slow = [front.client(receive_buffer=4096) for _ in range(3)]
    for client in slow:
        client.post("/job")
        answer_unhindered(pod.next(), IMAGE)
    front.wait_for(free=1)
    assert front.metrics()("slotgate_spool_overflows_total") >= 2
    # What is being written is in memory and on the disk for a moment.
    assert front.metrics()("slotgate_spooled_bytes") <= 10 * MIB
    assert front.metrics()("slotgate_spooled_bytes", kind="disk") <= 8 * MIB
    wait_until(lambda: front.metrics()("slotgate_spooled_bytes", kind="disk") < 7 * MIB,
               "the disk is done with those that were given up")
    quick = front.open_post("/job/quick")
    pod.next().answer()
    assert quick.read_response().status == 200


def test_temporary_files_have_no_name(gateway, pod, tmp_path):
    front = gateway(pod, spool={"memory": 0}, body={"memory": 0},
                    top={"spoolDirectory": str(tmp_path)})
    slow = front.client(receive_buffer=4096).post("/job/slow", IMAGE)
    answer_unhindered(pod.next(), IMAGE)
    wait_until(lambda: front.metrics()("slotgate_spooled_bytes", kind="disk") > 0, "it is on disk")
    assert list(tmp_path.iterdir()) == []
    slow.leave()


# --- a full disk ---

@pytest.fixture(params=["tmpfs", "file-size-limit"])
def full_disk(request, tmp_path):
    """Options of a gateway whose spool directory takes less than a MiB."""
    if request.param == "file-size-limit":
        yield {"in_child": limits(file_size=MIB // 2)}
        return
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(tmp_path)],
                           capture_output=True)
    if mount.returncode != 0:
        pytest.skip("needs the right to mount")
    yield {"top": {"spoolDirectory": str(tmp_path)}}
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk_refuses_the_body_and_nothing_else(full_disk, gateway, pod):
    front = gateway(pod, body={"memory": "64KiB"}, **full_disk)
    with front.client() as client:
        try:
            client.post("/job/large", IMAGE)
        except ConnectionError:
            pass  # refused amid it
        response = client.read_response()
        assert response.status in (500, 503, 507) and response.problem
    front.wait_for(uploading=0, waiting=0)
    small = front.open_post("/job/small", b"x" * 1000)
    pod.next().answer()
    assert small.read_response().status == 200
    assert pod.paths() == ["/job/small"]
    front.wait_for_metric(0, "slotgate_spooled_bytes")


def test_a_full_disk_resets_the_slow_client_and_nobody_else(full_disk, gateway, pod):
    front = gateway(pod, spool={"memory": "64KiB"}, **full_disk)
    slow = front.client(receive_buffer=4096).post("/job/slow")
    answer_unhindered(pod.next(), IMAGE)
    front.wait_for(free=1)
    with pytest.raises(ConnectionResetError):
        slow.read_to_end()
    quick = front.open_post("/job/quick")
    pod.next().answer(IMAGE[:MIB])
    assert sha256(quick.read_response().body) == sha256(IMAGE[:MIB])
    front.wait_for_metric(0, "slotgate_spooled_bytes")


def test_half_an_answer_never_looks_whole(gateway, pod):
    """To a client of HTTP/1.0 the end of the connection is the end of the answer: a FIN would lie.
    The sizes let the disk fail while the pod still answers, and after it has."""
    front = gateway(pod, spool={"memory": "64KiB"}, in_child=limits(file_size=MIB // 2))
    outcomes = set()
    for size in [(8 + i) * MIB // 2 for i in range(16)]:
        slow = front.client(receive_buffer=4096).post("/job", version="1.0")
        job = pod.next()
        job.begin()
        job.chunk(IMAGE[:size])
        job.finish()
        front.wait_for(free=1)
        try:
            slow.read_head()
            outcomes.add("whole" if len(slow.read_to_end()) == size else "half")
        except ConnectionResetError:
            outcomes.add("reset")
    assert outcomes <= {"whole", "reset"} and "reset" in outcomes
