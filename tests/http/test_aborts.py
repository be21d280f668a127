"""Whatever aborts, and wherever: one client's bytes never reach another, and nothing is left over."""
import random
import threading

import pytest

from harness.client import Broken, Client
from harness.wait import wait_until

STAGES = [b"G", b"GET /aside", b"GET /aside HTTP/1.1\r\n", b"GET /aside HTTP/1.1\r\nHost: g",
          b"POST /aside HTTP/1.1\r\nHost: g\r\nContent-Length: 10\r\n\r\n",
          b"POST /aside HTTP/1.1\r\nHost: g\r\nContent-Length: 10\r\n\r\n12345",
          b"POST /aside HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
          b"POST /aside HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n"]
CLIENTS, ROUNDS = 12, 40
FAULTS = ("whole", "chunked", "cut", "bad chunk", "behind", "head only", "slow", "reset")


def answer(job):
    """As the query says; every byte of a body bears the request's own mark."""
    mark, fault = job.target.replace("_", " ").split("?")[1].split("&")
    body = f"<{mark}>".encode() * 300
    sized = b"HTTP/1.1 200 OK\r\nX-Mark: %s\r\nContent-Length: %d\r\n\r\n" % (mark.encode(), len(body))
    chunked = b"HTTP/1.1 200 OK\r\nX-Mark: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % mark.encode()
    chunk = b"%x\r\n" % len(body) + body + b"\r\n"
    try:
        if fault == "whole":
            job.send(sized + body)
        elif fault == "chunked":
            job.send(chunked + chunk + b"0\r\n\r\n")
        elif fault == "behind":
            job.send(sized + body + sized + body)
        elif fault == "slow":
            for at in range(0, len(body), 100):
                job.send((sized if at == 0 else b"") + body[at:at + 100])
        elif fault == "bad chunk":
            job.send(chunked + chunk + b"xyz\r\n")
        elif fault == "cut":
            job.send(sized + body[:500])
        elif fault == "head only":
            job.send(sized)
    except OSError:
        pass
    job.end()
    if fault == "reset":
        job.reset()
    else:
        job.release(close=fault in ("cut", "head only", "bad chunk"))


@pytest.fixture(scope="module")
def pods(shared_pods):
    return shared_pods(2, script=answer)


@pytest.fixture(scope="module")
def front(shared_gateway, pods):
    return shared_gateway(*pods, top={"log": {"level": "info"}},
                          ejection={"consecutiveFailures": 1000})


def take_turn(client, dice, mark, problems):
    """One exchange, left at a random place; False: the connection is over."""
    fault = dice.choice(FAULTS)
    target = f"/aside?{mark}&{fault.replace(' ', '_')}"
    how = dice.random()
    client.get(target) if dice.random() < 0.7 else client.post(target, b"x" * dice.randrange(5000))
    if how < 0.2:
        client.reset()
        return False
    if how < 0.3:
        client.finish_sending()  # without halfClose it has left
        return False
    response = client.read_response()
    expected = f"<{mark}>".encode() * 300
    if response.status == 502:
        return True
    if response.status != 200 or response.get("x-mark") != mark or response.body != expected:
        problems.append(f"{mark} ({fault}) got {response}")
    return True


def run_client(address, number, problems):
    dice = random.Random(number)
    client = None
    for round_ in range(ROUNDS):
        mark = f"{number}.{round_}"
        try:
            client = client or Client(address)
            if not take_turn(client, dice, mark, problems):
                client.leave()
                client = None
        except (Broken, ConnectionError) as error:
            received = getattr(error, "received", b"")
            if b"<" in received and f"<{mark}>".encode() not in received:
                problems.append(f"{mark} got another's bytes: {received[:200]!r}")
            client.leave()
            client = None
        except Exception as error:  # a thread's own end says nothing to pytest
            problems.append(f"{mark}: {error!r}")
            return


def test_no_answer_reaches_another_client(front, pods):
    problems = []
    threads = [threading.Thread(target=run_client, args=[front.address, n, problems])
               for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, "\n".join(problems[:5])
    front.wait_for(waiting=0, uploading=0, working=0)


@pytest.mark.parametrize("how", ["leave", "reset", "finish_sending"])
@pytest.mark.parametrize("stage", range(len(STAGES)))
def test_leaving_at_each_stage(front, pods, stage, how):
    """Half a request is none, and the next client finds nothing of it."""
    # What the test before has left comes to its end first.
    wait_until(lambda: front.service()["passThrough"] == 0, lambda: front.service())
    before = [len(pod.requests) for pod in pods]
    client = front.client()
    client.send(STAGES[stage])
    getattr(client, how)()
    front.wait_for(uploading=0, waiting=0)
    assert front.get("/follow").status == 200
    seen = [r.path for pod, n in zip(pods, before) for r in pod.requests[n:]]
    assert seen == ["/follow"]
