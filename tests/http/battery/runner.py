"""Plays a client's bytes to a gateway, and says what came of them on both sides of it."""
import random
import socket
from dataclasses import dataclass, field

from harness.client import Broken, Client

from .case import PASS, REJECT

WHOLE, BYTES, RANDOM = "whole", "bytes", "random"
MOST_BYTES = 3000  # a case longer than this is not sent byte by byte


def pieces(data, cut, seed):
    if cut == WHOLE:
        return [data]
    if cut == BYTES and len(data) <= MOST_BYTES:
        return [data[i:i + 1] for i in range(len(data))]
    places = sorted(random.Random(seed).sample(range(1, len(data)), min(6, len(data) - 1)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)])]


@dataclass
class Outcome:
    statuses: list = field(default_factory=list)  # of the final answers, in order
    closed: bool = False  # by the gateway, behind them
    broken: str = ""      # how the last answer broke off
    seen: list = field(default_factory=list)      # requests at the pod

    @property
    def was_rejected(self):
        return not self.seen and self.closed and all(s >= 400 for s in self.statuses)

    def __str__(self):
        then = ", closed" if self.closed else ""
        return f"{self.statuses}{then}{self.broken}; the pod saw {self.seen}"


def send(client, data):
    try:
        client.send(data)
        return True
    except (ConnectionError, TimeoutError):
        return False  # it has answered and closed before all was sent


def play(address, pod, case, cut=WHOLE, patience=None):
    before = len(pod.requests)
    outcome = Outcome()
    with Client(address, timeout=patience) as client:
        for piece in pieces(case.data, cut, case.name):
            if not send(client, piece):
                break
        read_answers(client, case, outcome)
        if not outcome.closed and not outcome.broken:
            follow(client, outcome)
    outcome.seen = pod.requests[before:]
    return outcome


def read_answers(client, case, outcome):
    try:
        for _ in range(case.count):
            answer = client.read_response(method=case.seen.get("method", "GET"))
            outcome.statuses.append(answer.status)
            if "close" in answer.get("connection", "").lower():
                outcome.closed = client.is_closed_by_peer()
                return
    except Broken as broken:
        outcome.closed = True
        outcome.broken = "" if not broken.received else f", broken: {broken.received[:60]!r}"
    except ConnectionError:
        outcome.closed = True
    except (TimeoutError, socket.timeout):
        outcome.broken = ", no answer"
    except (ValueError, AssertionError) as error:
        outcome.broken = f", not an answer: {error}"


def follow(client, outcome):
    """A kept connection is at the start of a next message: not one byte before or behind it."""
    try:
        client.send(b"GET /follow HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")
        outcome.statuses.append(client.read_response().status)
        outcome.closed = client.is_closed_by_peer()
    except (Broken, ConnectionError):
        outcome.closed = True
    except (TimeoutError, ValueError, AssertionError) as error:
        outcome.broken = f", the next is lost: {error}"


def accepted_fault(case, outcome):
    """What is wrong with a request that was let through; None: nothing."""
    seen = [request for request in outcome.seen if request.path != "/follow"]
    if outcome.broken or len(seen) != case.count or any(s != 200 for s in outcome.statuses):
        return f"not {case.count} whole exchanges: {outcome}"
    request = seen[0]
    for key, value in case.seen.items():
        if getattr(request, key) != value:
            return f"the pod saw {key} {getattr(request, key)!r}"
    for name, values in case.has.items():
        if request.all(name) != values:
            return f"the pod saw {name}: {request.all(name)}"
    names = [name for name in case.lacks if request.all(name)]
    return f"the pod saw {names}" if names else None


def rejected_fault(case, outcome):
    if not outcome.was_rejected:
        return f"not rejected: {outcome}"
    if len(outcome.statuses) != 1 or outcome.statuses[0] not in case.statuses:
        return f"rejected with {outcome.statuses}, not one of {sorted(case.statuses)}"
    return None


def fault(case, outcome):
    if case.want == REJECT:
        return rejected_fault(case, outcome)
    if case.want == PASS or not outcome.was_rejected:
        return accepted_fault(case, outcome)
    return rejected_fault(case, outcome)
