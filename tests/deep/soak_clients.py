"""The soak's clients: good ones, whose answers must be whole and theirs, and all kinds of bad ones."""
import collections
import itertools
import json
import socket
import ssl
import struct
import threading
import time

from soak_fleet import EXTRA_HOST, HOSTS, KEYED_HOST

GENERATE = "/sdapi/v1/txt2img"
ASIDE = ("/sdapi/v1/memory", "/sdapi/v1/progress?skip_current_image=true", "/sdapi/v1/samplers")
PATIENCE = 60.0  # no good request takes longer
STOP_MARGIN = 1.0  # a request begun so shortly before SIGTERM may be on either side of it
serial = itertools.count(1)
GONE = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Tally:
    def __init__(self):
        self.counts, self.faults = collections.Counter(), []
        self.lock = threading.Lock()
        self.stopping = None  # when SIGTERM was sent
        self.is_short_of_memory = False

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def wrong(self, what):
        with self.lock:
            self.faults.append(what)

    def may_refuse(self, began):
        """Whether slotgate may have been short of memory, or already draining."""
        return self.is_short_of_memory or (
            self.stopping is not None and began > self.stopping - STOP_MARGIN)

    def refusals(self):
        """A body that is missing a piece for want of memory is one that comes too slowly."""
        return (502, 503, 408) if self.is_short_of_memory else (502, 503)

    def may_break(self, began, got):
        """Whether it may have closed when so many bytes of the answer had come."""
        return self.may_refuse(began) and (got == 0 or self.is_short_of_memory)


class Ended(Exception):
    """The peer closed: `got` bytes of this answer had come."""

    def __init__(self, got):
        super().__init__(f"closed after {got} bytes of the answer")
        self.got = got


def open_socket(fleet, rng, protocol, receive_bytes=None):
    """To the one listener or to the other. A receive buffer that shrank after the connection was made
    would get two pages with each of the peer's probes, five times a second."""
    is_tls = rng.random() < 0.4
    raw = socket.socket()
    try:
        raw.settimeout(PATIENCE)
        if receive_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        raw.connect(fleet.tls_address if is_tls else fleet.address)
        if not is_tls:
            return raw
        context = ssl.create_default_context(cafile=fleet.certificates / "ca.pem")
        context.check_hostname = False  # it changes with the certificates
        context.set_alpn_protocols([protocol])
        return context.wrap_socket(raw)
    except BaseException:
        raw.close()
        raise


class Wire:
    """A raw connection that reads answers one after another."""

    receive_bytes = None

    def __init__(self, fleet, rng):
        self.socket, self.data = open_socket(fleet, rng, "http/1.1", self.receive_bytes), b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def abort(self):
        """A reset rather than a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self, size=65536):
        try:
            piece = self.socket.recv(size)
        except GONE:
            piece = b""
        if not piece:
            raise Ended(len(self.data))
        self.data += piece

    def _line(self):
        while b"\r\n" not in self.data:
            self._more()
        line, self.data = self.data.split(b"\r\n", 1)
        return line

    def _exactly(self, n, slow):
        while len(self.data) < n:
            self._more(2048 if slow else 65536)
            if slow:
                time.sleep(0.002)
        got, self.data = self.data[:n], self.data[n:]
        return got

    def answer(self, slow=False):
        """(status, headers, body) of one whole answer, those before it with 1xx left out."""
        while (status := int(self._line().split(b" ")[1])) < 200:
            while self._line():
                pass
        headers = {}
        try:
            while line := self._line():
                name, value = line.split(b":", 1)
                headers[name.lower().decode()] = value.strip().decode()
            return status, headers, self._body(headers, slow)
        except Ended as error:
            raise Ended(error.got + 1) from None

    def _body(self, headers, slow):
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]), slow)
        if headers.get("transfer-encoding") != "chunked":
            raise ValueError(f"no framing: {headers}")
        body = b""
        while size := int(self._line(), 16):
            body += self._exactly(size + 2, slow)[:-2]
        self._line()
        return body


class NarrowWire(Wire):
    receive_bytes = 4096


class Job:
    """A generation: its bytes, and what must come back."""

    def __init__(self, rng, fault=None, extra="", chunked=False, host=None):
        self.id = f"soak-{next(serial)}"
        side = rng.choice([8, 8, 64, 256])
        padding = "x" * rng.choice([0, 100, 5000, 200000])
        body = json.dumps({"prompt": self.id, "steps": 1, "width": side, "height": side,
                           "negative_prompt": padding}).encode()
        self.host, self.content = host or rng.choice(HOSTS), body
        head = f"POST {GENERATE} HTTP/1.1\r\nHost: {self.host}\r\nX-Request-Id: {self.id}\r\n"
        head += f"X-Demo-Fault: {fault}\r\n" if fault else ""
        head += extra
        if chunked:
            head += "Transfer-Encoding: chunked\r\n"
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces(rng, body)) + b"0\r\n\r\n"
        else:
            head += f"Content-Length: {len(body)}\r\n"
        self.head, self.body = head.encode() + b"\r\n", body

    @property
    def wire(self):
        return self.head + self.body

    def check(self, tally, answer, began, status=200):
        got, headers, body = answer
        if got in tally.refusals() and tally.may_refuse(began):
            tally.count("refused while it may")
        elif got != status:
            tally.wrong(f"{self.id}: {got} instead of {status}: {body[:300]}")
        elif status == 200 and json.loads(body)["parameters"]["prompt"] != self.id:
            tally.wrong(f"{self.id}: the answer of another")
        else:
            tally.count("answered")
        return "close" not in headers.get("connection", "")


def pieces(rng, data, most=None):
    most = most or rng.choice([7, 1000, 70000]) if len(data) < 10000 else most or 70000
    while data:
        n = rng.randint(1, most)
        yield data[:n]
        data = data[n:]


def expect(tally, job, wire, began, **more):
    """One whole and right answer; while slotgate goes away, it may also close without any."""
    try:
        slow = more.pop("slow", False)
        return job.check(tally, wire.answer(slow), began, **more)
    except Ended as error:
        if not tally.may_break(began, error.got):
            ago = f"{time.monotonic() - began:.1f} s after it was sent"
            tally.wrong(f"{job.id}: {error}, {ago}, stopping: {tally.stopping is not None}")
        else:
            tally.count("closed while it may")
        return False


def connect(fleet, rng, tally, kind):
    """None once slotgate is going away."""
    try:
        return kind(fleet, rng)
    except OSError:
        if tally.stopping is None and not tally.is_short_of_memory:
            raise
        time.sleep(0.1)
        return None


def scenario_on(kind):
    """Runs it with a connection; a write that fails is the scenario's own wish or the drain's."""
    def decorate(run):
        def wrapped(fleet, rng, tally):
            wire = connect(fleet, rng, tally, kind)
            if not wire:
                return
            began = time.monotonic()
            with wire:
                try:
                    run(wire, rng, tally, began)
                except (*GONE, Ended):
                    if not tally.may_refuse(began):
                        raise
                    tally.count("broken while it may")
        wrapped.__name__ = run.__name__
        return wrapped
    return decorate


scenario = scenario_on(Wire)


# --- good clients ---

@scenario
def generate(wire, rng, tally, began):
    for _ in range(rng.randint(1, 4)):
        began = time.monotonic()
        job = Job(rng, chunked=rng.random() < 0.3)
        wire.send(job.wire)
        if not expect(tally, job, wire, began):
            return


@scenario
def write_slowly(wire, rng, tally, began):
    job = Job(rng, chunked=rng.random() < 0.5)
    for piece in pieces(rng, job.wire, max(20, len(job.wire) // 15)):
        wire.send(piece)
        time.sleep(rng.random() * 0.02)
    expect(tally, job, wire, time.monotonic())  # before its last byte it is no request yet


@scenario_on(NarrowWire)
def read_slowly(wire, rng, tally, began):
    job = Job(rng)
    wire.send(job.wire)
    time.sleep(rng.random() * 0.3)
    expect(tally, job, wire, began, slow=True)


@scenario
def pipeline(wire, rng, tally, began):
    jobs = [Job(rng, chunked=rng.random() < 0.3) for _ in range(rng.randint(2, 4))]
    data = b"".join(job.wire for job in jobs)
    if len(data) > 150000:  # both sides would wait for the other to read
        jobs, data = jobs[:1], jobs[0].wire
    wire.send(data)
    for job in jobs:
        if not expect(tally, job, wire, began):
            return


@scenario
def go_on_expect(wire, rng, tally, began):
    job = Job(rng, extra="Expect: 100-continue\r\n")
    wire.send(job.head)
    time.sleep(rng.random() * 0.02)
    wire.send(job.body)
    expect(tally, job, wire, began)


@scenario
def framing(wire, rng, tally, began):
    """Faults of form only: the answer must arrive whole."""
    job = Job(rng, fault=rng.choice(["chunked", "until-close", "status=500", "slow-body=200000"]))
    wire.send(job.wire)
    expect(tally, job, wire, began, status=500 if b"status=500" in job.head else 200)


@scenario
def pass_by(wire, rng, tally, began):
    """Beside the slots. Its pod may be made to crash by others, so only the framing is sure."""
    for _ in range(rng.randint(1, 5)):
        wire.send(f"GET {rng.choice(ASIDE)} HTTP/1.1\r\nHost: {rng.choice(HOSTS)}\r\n\r\n".encode())
        status, headers, _ = wire.answer()
        tally.count(f"passed: {status}")
        if "close" in headers.get("connection", ""):
            return


@scenario
def come_and_go(wire, rng, tally, began):
    """To the service that reloads take out and put back: a whole answer of either kind."""
    job = Job(rng, host=EXTRA_HOST)
    wire.send(job.wire)
    try:
        status, headers, body = answer = wire.answer()
    except Ended as error:
        if not tally.may_break(began, error.got):
            tally.wrong(f"{job.id}, extra: {error}")
        return
    if status == 200:
        job.check(tally, answer, began)
    elif tally.is_short_of_memory and not body:
        tally.count("refused while it may")
    elif "problem+json" in headers.get("content-type", "") and json.loads(body)["status"] == status:
        tally.count(f"extra: {status} {json.loads(body)['reason']}")
    else:
        tally.wrong(f"{job.id}, extra: {status} {body[:200]}")


# What a tenant may be told, beside its answer.
TENANTS = {"large": (), "small": ("tenant_queue_full",), "hasty": ("rate_limited",),
           "guest": ("unauthorized",), "off": ("forbidden",), "nobody": ("unauthorized",)}
SHUT_OUT = ("off", "nobody")
STATUS = {"unauthorized": 401, "forbidden": 403, "rate_limited": 429, "tenant_queue_full": 429}


@scenario
def with_key(wire, rng, tally, began):
    for _ in range(rng.randint(1, 3)):
        began, tenant = time.monotonic(), rng.choice(list(TENANTS))
        job = Job(rng, host=KEYED_HOST, extra=f"Authorization: Bearer key-of-{tenant}\r\n")
        wire.send(job.wire)
        try:
            status, headers, body = answer = wire.answer()
        except Ended as error:
            if not tally.may_break(began, error.got):
                tally.wrong(f"{job.id} of {tenant}: {error}")
            return
        reason = json.loads(body).get("reason") if body and status != 200 else None
        if not body and tally.may_break(began, 0):  # no memory for it
            reason = next((r for r in TENANTS[tenant] if STATUS[r] == status), None)
        if status != 200 and reason in TENANTS[tenant]:
            tally.count(f"tenant {tenant}: {status} {reason}")
        elif status == 200 and tenant in SHUT_OUT:
            tally.wrong(f"{job.id}: {tenant} was let in")
        else:
            job.check(tally, answer, began)
        if "close" in headers.get("connection", ""):
            return


# --- bad clients ---

@scenario
def leave_while_sending(wire, rng, tally, _):
    job = Job(rng, chunked=rng.random() < 0.3)
    wire.send(job.wire[:rng.randrange(len(job.wire))])
    time.sleep(rng.random() * 0.02)
    leave(wire, rng)


@scenario
def leave_while_waiting(wire, rng, tally, _):
    wire.send(Job(rng).wire + (Job(rng).wire[:5000] if rng.random() < 0.3 else b""))
    time.sleep(rng.random() * 0.15)
    leave(wire, rng)


@scenario
def leave_while_reading(wire, rng, tally, _):
    wire.send(Job(rng, fault=rng.choice([None, "slow-body=100000", "chunked"])).wire)
    wire.socket.recv(rng.choice([1, 100, 5000]))
    leave(wire, rng)


def leave(wire, rng):
    if rng.random() < 0.5:
        wire.abort()


@scenario
def fault(wire, rng, tally, began):
    """Whatever comes back, something must: an answer or a closed connection."""
    kind = rng.choices(["close-before-headers", "close-mid-headers", "close-mid-body", "reset",
                        "garbage", "early-response", "no-answer", "hang", "crash"],
                       [4, 4, 4, 4, 4, 2, 1, 1, 1])[0]
    wire.send(Job(rng, fault=kind).wire)
    try:
        status = wire.answer()[0]
    except (Ended, ValueError):
        status = "closed"
    tally.count(f"fault {kind}: {status}")


@scenario
def nonsense(wire, rng, tally, _):
    data = bytes(rng.randrange(256) for _ in range(rng.randint(1, 300)))
    wire.send(rng.choice([b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST /"]) + data + b"\r\n\r\n")
    wire.socket.settimeout(1)
    try:
        while wire.socket.recv(65536):
            pass
    except OSError:
        pass
    tally.count("nonsense")


SCENARIOS = {generate: 30, write_slowly: 5, read_slowly: 6, pipeline: 8, go_on_expect: 3,
             framing: 6, pass_by: 8, come_and_go: 3, with_key: 12, leave_while_sending: 6,
             leave_while_waiting: 8, leave_while_reading: 6, fault: 5, nonsense: 3}
