"""The battery: what clients send (battery/framing.py, heads.py), whole, cut at random, byte by byte.

A case that is rejected reaches no pod and ends its connection; one that passes leaves the connection
at the start of the next message. battery/calibrate.py plays the same to HAProxy and nginx.
"""
import pytest

from battery import framing, heads
from battery.runner import BYTES, RANDOM, WHOLE, fault, play

CASES = framing.CASES + heads.CASES


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods()


@pytest.fixture(scope="module")
def front(shared_gateway, pod):
    return shared_gateway(pod, top={"log": {"level": "info"}})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(front, pod, case):
    for cut in (WHOLE, RANDOM, BYTES):
        outcome = play(front.address, pod, case, cut)
        problem = fault(case, outcome)
        assert not problem, f"{case.severity}, {cut}: {problem}"
