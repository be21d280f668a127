"""The battery's other half: what pods answer (battery/answers.py). A client never takes a broken
answer for a whole one, and the connection that brought it is never used again."""
import pytest

from battery import answers
from battery.answer_runner import Stage, fault, play
from battery.runner import BYTES, RANDOM, WHOLE


@pytest.fixture(scope="module")
def stage(shared_pods):
    return Stage(shared_pods)


@pytest.fixture(scope="module")
def front(shared_gateway, stage):
    return shared_gateway(stage.pod, top={"log": {"level": "info"}},
                          ejection={"consecutiveFailures": 1000})


@pytest.mark.parametrize("case", answers.CASES, ids=str)
def test_answer(front, stage, case):
    for cut in (WHOLE, RANDOM, BYTES):
        problem = fault(case, play(front.address, stage, case, cut))
        assert not problem, f"{cut}: {problem}"
