"""The little of RFC 6455 that a test needs to talk WebSocket over a raw Client."""
import base64
import hashlib
import os
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()


class WebSocket:
    def __init__(self, client, target, headers=()):
        self.client = client
        key = base64.b64encode(os.urandom(16)).decode()
        client.get(target, [("Connection", "Upgrade"), ("Upgrade", "websocket"),
                            ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key), *headers])
        self.response = client.read_head()
        assert self.response.status == 101, self.response
        assert self.response.get("sec-websocket-accept") == accept_key(key)

    def send(self, payload, opcode=TEXT):
        payload = payload.encode() if isinstance(payload, str) else payload
        n, mask = len(payload), os.urandom(4)
        if n < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | n)
        elif n < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, n)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, n)
        keys = int.from_bytes((mask * (n // 4 + 1))[:n], "big")
        masked = (int.from_bytes(payload, "big") ^ keys).to_bytes(n, "big")
        self.client.send(head + mask + masked)

    def read(self):
        """(opcode, payload) of the next frame."""
        first, n = self.client.read_exactly(2)
        if n == 126:
            n, = struct.unpack("!H", self.client.read_exactly(2))
        elif n == 127:
            n, = struct.unpack("!Q", self.client.read_exactly(8))
        return first & 0x0F, self.client.read_exactly(n)

    def close(self, code=1000):
        """Says goodbye; the code that the other side says in return."""
        self.send(struct.pack("!H", code), CLOSE)
        opcode, payload = self.read()
        assert opcode == CLOSE
        return struct.unpack("!H", payload[:2])[0]
