"""A pod inside the test process. It does what the test says, and knows the truth about its work.

Paths that begin with /job are jobs: from the arrival of its head a job runs until the *test* ends
it, whatever becomes of the connection. `highest` is thus the overlap that a GPU would have seen.
Paths that begin with /aside are held for the test just so, but are no jobs. /ready and /idle answer
checks. Anything else is answered at once with what was received, as JSON (see `echo`).
"""
import contextlib
import hashlib
import json
import queue
import select
import socket
import struct
import threading

from harness.wait import PATIENCE, wait_until

FIN_WAIT2, TIME_WAIT, CLOSED = 5, 6, 7


class Job:
    """A request that has reached the pod, and the connection that it came by."""

    def __init__(self, pod, connection, head):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.path = self.target.split("?")[0]
        self.headers = [(name.lower(), value.strip())
                        for name, value in (line.split(":", 1) for line in lines[1:])]
        self.raw_head = head
        self.body = b""
        self.unread = b""  # read behind the head, for before_body
        self.pod, self.connection = pod, connection
        self.is_job = self.path.startswith("/job")
        self.ended = False
        self.released = threading.Event()  # the connection may take its next request

    def __repr__(self):
        return f"<{self.method} {self.target}>"

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)

    # --- what a test can do with it ---

    def end(self):
        """The truth: the pod computes this no more. Says nothing to anybody."""
        with self.pod.lock:
            if not self.ended:
                self.ended = True
                self.pod.working -= self.is_job

    def send(self, data):
        """Any bytes, as they are."""
        self.connection.sendall(data)

    def answer(self, body=b"done", status=200, headers=(), close=False):
        """Ends the job with a whole answer."""
        head = format_head(status, [*headers, ("Content-Length", len(body))], close)
        self.end()  # before its last byte is out
        self.send(head + (b"" if self.method == "HEAD" else body))
        self.release(close)

    def begin(self, headers=(), status=200):
        """The head of a chunked answer."""
        self.send(format_head(status, [*headers, ("Transfer-Encoding", "chunked")]))

    def chunk(self, data):
        self.send(b"%x\r\n" % len(data) + data + b"\r\n")

    def finish(self):
        """The end of a chunked answer."""
        self.end()
        self.send(b"0\r\n\r\n")
        self.release()

    def release(self, close=False):
        if close:
            self.connection.close()
        self.released.set()

    def hang_up(self):
        """Closes the connection. The job goes on until end()."""
        self.connection.shutdown(socket.SHUT_RDWR)  # the pod's thread may be in recv
        self.release(close=True)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.release(close=True)

    def client_is_gone(self):
        """Whether the gateway has closed this connection."""
        if self.connection.fileno() < 0:
            return True  # so did the pod's thread, then
        if not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            return True


def format_head(status, headers, close=False):
    lines = [f"HTTP/1.1 {status} Said"] + [f"{name}: {value}" for name, value in headers]
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def echo(job):
    """Answers with all that was received."""
    seen = {"method": job.method, "target": job.target, "version": job.version,
            "headers": job.headers, "length": len(job.body),
            "sha256": hashlib.sha256(job.body).hexdigest()}
    job.answer(json.dumps(seen).encode(), headers=[("Content-Type", "application/json")])


class Pod:
    def __init__(self, capacity=1, script=None, one_at_a_time=False, tls=None):
        self.capacity = capacity  # what the gateway was told; checked when the test ends
        self.script = script      # called for each job instead of holding it for the test
        self.one_at_a_time = one_at_a_time  # one connection; the others wait in the backlog
        self.tls = tls            # an ssl.SSLContext, which the test may change
        self.resumed = []         # for each TLS connection: whether its session was resumed
        self.before_body = None   # called with a job at its head; true: its body is not read
        self.is_ready = True      # the answer of /ready
        self.says_busy = []       # the next numbers that /idle tells; none left: the truth
        self.lock = threading.RLock()
        self.working = self.highest = 0
        self.requests = []        # every one whose head has come, but for checks, in order
        self.checks = 0           # answers of /ready and /idle
        self.last_checks = {}     # the newest of each, by its path
        self.arrived = queue.Queue()
        self.connections = []
        self.port = 0
        self.listen()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    # --- for the test ---

    def next(self, timeout=None):
        """The next job (or aside) to have arrived whole."""
        try:
            return self.arrived.get(timeout=timeout or PATIENCE)
        except queue.Empty:
            raise AssertionError(f"no request has reached the pod; before: {self.requests}")

    def paths(self):
        with self.lock:
            return [request.path for request in self.requests]

    def listen(self):
        """On the same port as before, if it was listening."""
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=[self.listener], daemon=True).start()

    def stop_listening(self):
        """New connections are refused, those that stand go on."""
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.listener.close()
        wait_until(self._is_refused, "the port refuses")

    def _is_refused(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def close_idle_connections(self):
        """FINs on all connections, of which each has reached the gateway's kernel."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                continue
            wait_until(lambda c=connection: tcp_state(c) in (FIN_WAIT2, TIME_WAIT, CLOSED),
                       "the FIN is acknowledged")

    def close(self):
        """Ends everything. For the fixture."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for request in list(self.requests):
            request.released.set()

    # --- its threads ---

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(connection)
            if self.one_at_a_time:
                self._serve(connection)
            else:
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _shake_hands(self, plain):
        """The connection behind TLS, in the place of the plain one."""
        connection = self.tls.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
        self.connections[self.connections.index(plain)] = connection
        self.resumed.append(connection.session_reused)
        return connection

    def _serve(self, connection):
        buffer = b""
        try:
            if self.tls:
                connection = self._shake_hands(connection)
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = connection.recv(1 << 18)
                    if not data:
                        return
                    buffer += data
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                job = Job(self, connection, head)
                self._note(job)
                job.unread = buffer
                if not (self.before_body and self.before_body(job)):
                    job.body, buffer = read_body(connection, job, buffer)
                    self._dispatch(job)
                job.released.wait()
        except OSError:
            pass  # it was closed, from here or from there
        finally:
            connection.close()
            self.connections.remove(connection)

    def _note(self, job):
        with self.lock:
            if job.path in ("/ready", "/idle"):
                return
            self.requests.append(job)
            self.working += job.is_job
            self.highest = max(self.highest, self.working)

    def _dispatch(self, job):
        if job.path in ("/ready", "/idle"):
            self.last_checks[job.path] = job
        if job.path == "/ready":
            self.checks += 1
            job.answer(status=200 if self.is_ready else 503)
        elif job.path == "/idle":
            busy = self.says_busy.pop(0) if self.says_busy else self.working
            self.checks += 1
            job.answer(json.dumps({"state": {"busy": busy}}).encode())
        elif not job.path.startswith(("/job", "/aside")):
            echo(job)
        elif self.script:
            self.script(job)
        else:
            self.arrived.put(job)


def read_body(connection, job, buffer):
    """(body, what came behind it)"""
    def more():
        data = connection.recv(1 << 18)
        if not data:
            raise ConnectionError("closed amid a body")
        return data

    if job.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            while b"\r\n" not in buffer:
                buffer += more()
            line, buffer = buffer.split(b"\r\n", 1)
            size = int(line.split(b";")[0], 16)
            while len(buffer) < size + 2:
                buffer += more()
            chunk, buffer = buffer[:size], buffer[size + 2:]
            body += chunk
            if size == 0:
                return body, buffer
    length = int(job.get("content-length", "0"))
    pieces, have = [buffer], len(buffer)
    while have < length:
        pieces.append(more())
        have += len(pieces[-1])
    data = b"".join(pieces)
    return data[:length], data[length:]


def tcp_state(connection):
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        return CLOSED


@contextlib.contextmanager
def wall():
    """The address of a pod whose backlog is full: a connection is neither made nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"
