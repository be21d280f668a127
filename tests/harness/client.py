"""A raw HTTP/1.1 client: it sends what the test says, when it says so, and leaves as it says."""
import errno
import json
import select
import socket
import struct

from harness.wait import PATIENCE


class Broken(Exception):
    """The connection ended before the message did."""

    def __init__(self, why, received=b""):
        super().__init__(f"{why}, after {len(received)} bytes: {received[:200]!r}")
        self.received = received


class Response:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.version, status, *reason = lines[0].split(" ", 2)
        self.status = int(status)
        self.reason_phrase = reason[0] if reason else ""
        self.headers = [(name.lower(), value.strip())
                        for name, value in (line.split(":", 1) for line in lines[1:])]
        self.trailers = []
        self.body = b""

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)

    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        """The reason of the gateway's own answer; None if this is a pod's."""
        if self.get("content-type") != "application/problem+json":
            return None
        return self.json()["reason"]

    def __repr__(self):
        return f"<{self.version} {self.status} {self.headers} {self.body[:300]!r}>"


class Client:
    """One connection. Nothing is sent or read but by the calls below."""

    def __init__(self, address, receive_buffer=None, timeout=None, source=None, tls=None,
                 name="localhost"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:  # before connect: it bounds the window
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(timeout or PATIENCE)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        if tls:  # an ssl.SSLContext
            self.socket = tls.wrap_socket(self.socket, server_hostname=name,
                                          suppress_ragged_eofs=False)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    @property
    def port(self):
        return self.socket.getsockname()[1]

    # --- sending ---

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def send_what_fits(self, data):
        """Fills the buffers between here and a gateway that reads no further."""
        self.socket.setblocking(False)
        try:
            while data:
                data = data[self.socket.send(data):]
        except BlockingIOError:
            pass
        finally:
            self.socket.settimeout(PATIENCE)

    def head(self, method, target, headers=None, version="1.1", host="gateway"):
        """The bytes of a head."""
        lines = [f"{method} {target} HTTP/{version}"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in as_pairs(headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def request(self, method, target, headers=None, body=None, version="1.1", host="gateway"):
        """Sends a whole request; a body goes by Content-Length."""
        headers = as_pairs(headers)
        if body is not None:
            headers.append(("Content-Length", len(body)))
        self.send(self.head(method, target, headers, version, host) + (body or b""))
        return self

    def get(self, target, headers=None, **more):
        return self.request("GET", target, headers, **more)

    def post(self, target, body=b"{}", headers=None, **more):
        return self.request("POST", target, headers, body, **more)

    def send_chunk(self, data, extension=""):
        self.send(f"{len(data):x}{extension}\r\n".encode() + data + b"\r\n")

    def end_chunks(self):
        self.send(b"0\r\n\r\n")

    # --- leaving ---

    def finish_sending(self):
        """A FIN, while still reading."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # the peer has reset it already
                raise

    def leave(self):
        """Closes: a FIN (a RST if bytes are unread)."""
        self.socket.close()

    def reset(self):
        """A RST, whatever is still on its way."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # --- reading ---

    def _more(self):
        """Reads on; False at the end of the stream."""
        data = self.socket.recv(1 << 18)
        self.buffer += data
        return bool(data)

    def _take(self, n):
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                raise Broken(f"closed before {mark!r}", self.buffer)
        return self._take(self.buffer.index(mark) + len(mark))

    def read_exactly(self, n):
        pieces, have = [self.buffer], len(self.buffer)
        while have < n:  # not by _more: a large body would be copied over and over
            data = self.socket.recv(1 << 18)
            if not data:
                raise Broken(f"closed before {n} bytes", b"".join(pieces))
            pieces.append(data)
            have += len(data)
        self.buffer = b"".join(pieces)
        return self._take(n)

    def read_to_end(self):
        pieces = [self.buffer]
        while pieces[-1] or len(pieces) == 1:
            pieces.append(self.socket.recv(1 << 18))
        self.buffer = b""
        return b"".join(pieces)

    def read_head(self):
        return Response(self.read_until(b"\r\n\r\n")[:-4])

    def read_chunk(self):
        """The next chunk; b"" is the last."""
        size = int(self.read_until(b"\r\n")[:-2].split(b";")[0], 16)
        if size == 0:
            return b""
        return self.read_exactly(size + 2)[:-2]

    def read_response(self, method="GET"):
        """The next final answer, whole."""
        response = self.read_head()
        while 100 <= response.status < 200 and response.status != 101:
            response = self.read_head()
        return self.read_body(response, method)

    def read_body(self, response, method="GET"):
        """The rest of an answer whose head has been read."""
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        if response.get("transfer-encoding", "").lower() == "chunked":
            chunks = iter(self.read_chunk, b"")
            response.body = b"".join(chunks)
            while (line := self.read_until(b"\r\n")) != b"\r\n":
                name, value = line.decode("latin-1").split(":", 1)
                response.trailers.append((name.lower(), value.strip()))
        elif response.get("content-length") is not None:
            response.body = self.read_exactly(int(response.get("content-length")))
        else:
            response.body = self.read_to_end()
        return response

    def is_closed_by_peer(self, within=None):
        """Waits for the other side's FIN or RST; bytes before it are an error."""
        self.socket.settimeout(within or PATIENCE)
        try:
            data = self.buffer + self.socket.recv(4096)
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(PATIENCE)
        assert not data, f"bytes where the end was expected: {data[:200]!r}"
        return True

    def has_bytes(self):
        """Whether an answer, or the end, can be read at this moment."""
        return bool(self.buffer) or bool(select.select([self.socket], [], [], 0)[0])


def as_pairs(headers):
    if isinstance(headers, dict):
        return list(headers.items())
    return list(headers or [])
