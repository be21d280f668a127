"""Push: the first request after a pause, until KEDA hears of it."""

import queue
import socket
import sys
import time

import figures
import programs
from rows import Column, Goal, Row, behind

REQUEST = b"POST /job HTTP/1.1\r\nHost: bench\r\nContent-Length: 2\r\n\r\n{}"


class Push(Row):
    name, title = "push", "KEDA hears of the first request"
    what = ("There is no pod. From the first request's last byte on its connection to the push, as a "
            "gRPC client in Python reads it; between two requests the service becomes inactive. The "
            "others are streams on the same connection.")
    subjects = ("one stream", "500 streams")
    columns = (Column("p50_ms", "P50 ms", 2), Column("worst_ms", "worst, ms", 2))
    turns, turns_full = 1, 3
    times, times_full = 10, 20

    def measure(self, subject, full):
        sys.path.insert(0, str(programs.ROOT / "tests"))
        from harness.keda import Keda
        count = 500 if subject == self.subjects[1] else 1
        with behind("slotgate", 1, shut=True, one_slot=True, warm=False) as (_, gateway):
            clients = [Keda(("127.0.0.1", gateway.keda_port)) for _ in range((count + 199) // 200)]
            streams = [clients[i % len(clients)].follow(service="bench") for i in range(count)]
            took = [self._push(gateway, streams)
                    for _ in range(self.times_full if full else self.times)]
            for client in clients:
                client.close()
        return {"p50_ms": figures.median(took), "worst_ms": max(took)}

    @staticmethod
    def _push(gateway, streams):
        """To the last of the streams."""
        seen = [stream.next() for stream in streams]
        assert seen == [False] * len(seen), seen
        host, port = gateway.addresses[0].split(":")
        with socket.create_connection((host, int(port))) as client:
            sent = time.monotonic()
            client.sendall(REQUEST)
            try:
                pushes = [stream.next_with_time() for stream in streams]
            except queue.Empty:
                raise SystemExit("bench: nothing was pushed") from None
            assert all(active is True for active, _ in pushes)
        return 1e3 * (max(came for _, came in pushes) - sent)

    def goals(self, turns):
        worst = max(figures.of(turns, self.subjects[0], "worst_ms"))
        yield Goal("within 50 ms", f"{worst:.1f} ms at worst", worst < 50)
