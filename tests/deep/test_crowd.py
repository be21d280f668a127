"""Many clients: ten thousand that stay and do nothing, fifty thousand that come and go. Whoever wants
something is served meanwhile, and afterwards the memory and the descriptors are as before."""
import os
import re
import resource
from pathlib import Path

import pytest

from harness.client import Client
from harness.demo import GENERATE, PROMPT
from harness.wait import wait_until

IDLE, VISITS, BATCH = 10_000, 50_000, 250
SPARE = 2000  # descriptors, for all else
MAY_KEEP, MAY_GROW = 12 << 20, 2 << 20  # of memory: behind the first so many, and then
PASS_BY = b"GET /sdapi/v1/memory HTTP/1.1\r\nHost: crowd\r\n\r\n"


@pytest.fixture
def crowded(gateway, demo_pod):
    """A gateway, and how many clients it may have here: two descriptors for each."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(most, 2 * IDLE + SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    front = gateway(demo_pod("--service-time", "1ms"), slots=[f"POST {GENERATE}"],
                    top={"log": {"level": "info", "access": "off"},
                         "limits": {"keepAlive": "300s", "headerTimeout": "300s"}})
    yield front, (wanted - SPARE) // 2 // BATCH * BATCH
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))


def memory(front):
    status = Path(f"/proc/{front.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10


def descriptors(front):
    return len(os.listdir(f"/proc/{front.process.pid}/fd"))


def come_idle(front, count):
    """Clients that have had an answer, and keep their connections."""
    clients = []
    while len(clients) < count:
        batch = [Client(front.address) for _ in range(BATCH)]
        for client in batch:
            client.send(PASS_BY)
        for client in batch:
            assert client.read_response().status == 200
        clients += batch
    return clients


def visit(front, number):
    """One of the ways in which a client comes and goes."""
    client = Client(front.address)
    if number % 4 == 1:
        client.send(PASS_BY)
        assert client.read_response().status == 200
    elif number % 4 == 2:
        client.send(PASS_BY)
    elif number % 4 == 3:
        client.send(PASS_BY[:20])
    client.reset()


def at_rest(front):
    front.wait_for_metric(0, "slotgate_open_connections")
    front.wait_for(waiting=0, working=0, waitingPassThrough=0)
    wait_until(lambda: front.service()["passThrough"] == 0, "nothing passes by")


def works(front, times=100):
    with front.client() as client:
        for _ in range(times):
            assert client.post(GENERATE, PROMPT).read_response().status == 200


def test_a_crowd(crowded):
    front, most = crowded
    for client in come_idle(front, BATCH):
        client.reset()
    works(front)
    at_rest(front)
    before = memory(front), descriptors(front)

    idle = come_idle(front, most)
    front.wait_for_metric(most, "slotgate_open_connections")
    each = (memory(front) - before[0]) // most
    works(front)
    for client in idle[::100]:
        client.send(PASS_BY)
        assert client.read_response().status == 200
    for client in idle:
        client.reset()
    at_rest(front)
    after_idle = memory(front)

    for number in range(VISITS):
        visit(front, number)
    works(front)
    at_rest(front)
    after = memory(front), descriptors(front)
    print(f"{most} idle clients, {each} bytes each; resident: {before[0]}, after the idle ones "
          f"{after_idle}, after the visits {after[0]}; descriptors: {before[1]}, {after[1]}")
    assert after_idle <= before[0] + MAY_KEEP
    assert after[0] <= after_idle + MAY_GROW
    assert after[1] <= before[1] + 8
