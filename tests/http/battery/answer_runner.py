"""Has a pod answer as a case says, and tells what its client got."""
import socket
import struct
import threading
from dataclasses import dataclass, field

from harness.client import Broken, Client
from harness.pod import Pod
from harness.wait import PATIENCE

from .answers import BROKEN, FIN, KEEP, REFUSED, RST
from .runner import WHOLE, pieces


@dataclass
class Got:
    answer: object = None      # the final one; None: it broke off
    interims: list = field(default_factory=list)
    broken: str = ""
    hangs: bool = False
    followed: object = None    # the answer to another client's request behind it

    def __str__(self):
        return f"{self.answer}{self.broken}, before it {self.interims}"


class Stage:
    """A pod that plays one case after the other, and the connections that it played them on."""

    def __init__(self, make_pod=Pod):
        self.case, self.cut = None, WHOLE
        self.sent = threading.Event()
        self.used = []  # connections of cases after which they must not be used again
        self.pod = make_pod(script=self.answer)

    def answer(self, job):
        if job.path == "/aside/follow":
            if any(job.connection is one for one in self.used):
                job.answer(b"on a connection that was broken")
            else:
                job.answer(b"followed")
            return
        case = self.case
        if case.want != "whole" or case.is_dirty:
            self.used.append(job.connection)
        try:
            for piece in pieces(case.data, self.cut, case.name) if case.data else []:
                job.send(piece)
        except OSError:
            pass  # the gateway has seen enough
        end(job, case.then)
        self.sent.set()


def end(job, then):
    if then == FIN:
        job.connection.shutdown(socket.SHUT_WR)
    elif then == RST:
        threading.Event().wait(0.005)  # what was sent is read before the reset destroys it
        job.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    job.end()
    job.release(close=then != KEEP)


def play(address, stage, case, cut=WHOLE, patience=None):
    stage.case, stage.cut = case, cut
    stage.sent.clear()
    got = Got()
    try:
        with Client(address, timeout=patience) as client:
            client.request(case.method, "/aside/case", case.headers, version=case.version)
            read_answer(client, case, got)
        # What comes behind an answer can be seen only if it comes before the next request does.
        stage.sent.wait(patience or PATIENCE)
        with Client(address, timeout=patience) as client:
            got.followed = client.get("/aside/follow").read_response()
    except TimeoutError:
        got.hangs = True
    return got


def read_answer(client, case, got):
    try:
        head = client.read_head()
        while 100 <= head.status < 200:
            got.interims.append(head.status)
            head = client.read_head()
        got.answer = client.read_body(head, case.method)
    except (Broken, ConnectionError, ValueError) as error:
        got.broken = f"broken: {error!r}"


def fault(case, got):
    """What is wrong with it; None: nothing."""
    if got.hangs:
        return "no answer"
    if got.followed.status != 200 or got.followed.body != b"followed":
        return f"the next request got {got.followed}"
    if case.want == BROKEN:
        refused = got.answer and got.answer.status == 502
        return None if refused or not got.answer else f"taken for whole: {got}"
    if not got.answer:
        return f"not whole: {got}"
    if case.want == REFUSED:
        return None if got.answer.status == 502 else f"not refused: {got}"
    return whole_fault(case, got)


def whole_fault(case, got):
    if got.answer.status != case.status or got.answer.body != case.body:
        return f"another answer: {got}"
    if tuple(got.interims) != case.interims:
        return f"before it came {got.interims}"
    for name, values in case.has.items():
        if got.answer.all(name) != values:
            return f"{name}: {got.answer.all(name)}"
    names = [name for name in case.lacks if got.answer.all(name)]
    return f"with {names}" if names else None
