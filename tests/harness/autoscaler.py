"""Knative's autoscaler as far as those are concerned who report to it: a WebSocket that takes
WireStatMessages. Either one inside the test process, with a strict reader of protobuf's wire format,
or Knative's own server, decoder and decisions (tests/go/autoscaler), where Go has built them.
"""
import asyncio
import json
import re
import struct
import subprocess
import threading
import time

import websockets

from harness import go
from harness.wait import PATIENCE, wait_until


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a message; bytes, doubles and integers."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = struct.unpack("<d", data[at:at + 8])[0], at + 8
        else:
            assert kind == 2, f"wire type {kind}"
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size, "cut off"
        yield number, value


class Stat:
    def __init__(self, namespace, revision, pod, concurrency, requests, proxied=0.0, at=None):
        self.key, self.pod = (namespace, revision), pod
        self.concurrency, self.requests, self.proxied = concurrency, requests, proxied
        self.at = at or time.monotonic()

    def __repr__(self):
        return f"<{self.key} {self.concurrency:g} at once, {self.requests:g} new>"


def stats_of(message):
    for number, one in fields(message):
        assert number == 1
        wire = dict(fields(one))
        stat = dict(fields(wire[3]))
        assert set(wire) <= {1, 2, 3} and set(stat) <= set(range(1, 8))
        yield Stat(wire[1].decode(), wire[2].decode(), stat[1].decode(), stat.get(2, 0.0),
                   stat.get(4, 0.0), stat.get(3, 0.0))


class Stats:
    """What has come so far."""

    def __init__(self):
        self.stats = []

    def of(self, revision):
        return [stat for stat in list(self.stats) if stat.key[1] == revision]

    def wait_for(self, count, revision="rev"):
        wait_until(lambda: len(self.of(revision)) >= count,
                   lambda: f"{count} reports; there are {self.stats}")
        return self.of(revision)


class Autoscaler(Stats):
    """In a thread of the test's."""

    def __init__(self):
        super().__init__()
        self.port, self.paths, self.connections, self.pings = 0, [], [], 0
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.listen()

    @property
    def address(self):
        return f"localhost:{self.port}"

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def listen(self):
        self._run(self._listen())

    async def _listen(self):
        self.server = await websockets.serve(self._serve, "127.0.0.1", self.port, ping_interval=None)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _serve(self, connection, path):
        self.paths.append(path)
        self.connections.append(connection)
        try:
            async for message in connection:
                assert isinstance(message, bytes)
                self.stats.extend(stats_of(message))
        except websockets.ConnectionClosed:
            pass

    def wait_for_connection(self, count=1):
        wait_until(lambda: len(self.connections) >= count, "it has connected")

    def say_goodbye(self, code):
        self._run(self.connections[-1].close(code))

    def ping(self):
        """True: it is answered."""
        async def ask():
            await asyncio.wait_for(await self.connections[-1].ping(), PATIENCE)
            return True
        return self._run(ask())

    def stop_listening(self):
        async def stop():
            self.server.close()
            await self.server.wait_closed()
        self._run(stop())

    def close(self):
        self.stop_listening()
        self.loop.call_soon_threadsafe(self.loop.stop)


class RealAutoscaler(Stats):
    """Knative's own stat server, and its autoscaler's averages and decisions for one revision."""

    def __init__(self, *flags):
        super().__init__()
        self.scales = []
        self.process = subprocess.Popen([go.path("autoscaler"), *flags], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.address = re.match(r"listening on (\S+)", self.process.stdout.readline())[1]
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            told = json.loads(line)
            if "scale" in told:
                self.scales.append((time.monotonic(), told["scale"]))
            else:
                self.stats.append(Stat(told["namespace"], told["name"], told["pod"],
                                       told["concurrency"], told["requests"], told["proxied"]))

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
