"""The soak's clients that speak HTTP/2: many streams at once, some of them reset in any phase."""
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from soak_clients import GENERATE, GONE, Job, Wire, connect, leave, open_socket

RESET = 8  # CANCEL


class Stream:
    """`reset_at` of its steps, if any: "sending", "waiting" or "reading"."""

    def __init__(self, job, reset_at):
        self.job, self.reset_at = job, reset_at
        self.rest, self.status, self.body = job.content, None, b""
        self.outcome = None  # "ended", "reset by us", "reset by them"


class Patient(h2.connection.H2Connection):
    """The library would take nothing more after a GOAWAY; what is under way still comes."""

    def _receive_goaway_frame(self, _):
        return [], []


class Connection:
    def __init__(self, fleet, rng):
        self.socket = open_socket(fleet, rng, "h2")
        self.h2 = Patient(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.streams, self.rng, self.why = {}, rng, None
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    abort = Wire.abort

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def open(self, job, reset_at):
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = Stream(job, reset_at)
        self.h2.send_headers(number, [
            (":method", "POST"), (":scheme", "http"), (":authority", job.host), (":path", GENERATE),
            ("x-request-id", job.id), ("content-length", str(len(job.content)))])

    def reset(self, number):
        try:
            self.h2.reset_stream(number, RESET)
        except h2.exceptions.StreamClosedError:
            pass  # its end came in the same moment
        self.streams[number].outcome = "reset by us"

    def send_bodies(self):
        """As much as the windows allow."""
        for number, stream in self.streams.items():
            while stream.rest and not stream.outcome:
                n = min(len(stream.rest), self.h2.local_flow_control_window(number),
                        self.h2.max_outbound_frame_size)
                if stream.reset_at == "sending" and len(stream.rest) < len(stream.job.content):
                    self.reset(number)
                elif n <= 0:
                    break
                else:
                    piece, stream.rest = stream.rest[:n], stream.rest[n:]
                    self.h2.send_data(number, piece, end_stream=not stream.rest)
            if stream.reset_at == "waiting" and not stream.outcome and self.rng.random() < 0.3:
                self.reset(number)
        self.flush()

    def on_event(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if not stream or stream.outcome:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.status = int(dict(event.headers)[":status"])
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if stream.reset_at == "reading":
                self.reset(event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.outcome = "ended"
        elif isinstance(event, h2.events.StreamReset):
            stream.outcome = "reset by them"

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        for event in self.h2.receive_data(data):
            self.on_event(event)

    def awaits_something(self):
        return any(not stream.outcome for stream in self.streams.values())

    def run(self, slowness):
        """Until each stream has its outcome, or the connection ends."""
        while self.awaits_something():
            self.send_bodies()
            if not self.awaits_something():
                break
            self.receive()
            time.sleep(slowness)
        self.flush()


def judge(connection, tally, began):
    for stream in connection.streams.values():
        if stream.outcome == "reset by us":
            tally.count("HTTP/2: reset")
        elif stream.outcome == "ended":
            stream.job.check(tally, (stream.status, {}, stream.body), began)
            tally.count("HTTP/2: ended")
        elif not tally.may_break(began, len(stream.body) + bool(stream.status)):
            tally.wrong(f"{stream.job.id}, HTTP/2: {stream.outcome or connection.why}, "
                        f"status {stream.status}, {len(stream.body)} bytes")
        else:
            tally.count("closed while it may")


def http2(fleet, rng, tally):
    connection = connect(fleet, rng, tally, Connection)
    if not connection:
        return
    began = time.monotonic()
    with connection:
        try:
            for _ in range(rng.randint(1, 8)):
                reset_at = rng.choice([None, None, None, "sending", "waiting", "reading"])
                connection.open(Job(rng), reset_at)
            connection.run(rng.choice([0, 0, 0, 0.002]))
        except (*GONE, h2.exceptions.ProtocolError) as error:
            connection.why = repr(error)
        judge(connection, tally, began)


def leave_http2(fleet, rng, tally):
    """The connection ends while its streams are in whatever phase."""
    connection = connect(fleet, rng, tally, Connection)
    if not connection:
        return
    with connection:
        try:
            for _ in range(rng.randint(1, 8)):
                connection.open(Job(rng), None)
            connection.send_bodies()
            for _ in range(rng.randint(0, 3)):
                if not connection.awaits_something():
                    break  # the connection would be kept, and say nothing
                connection.receive()
                connection.send_bodies()
        except (*GONE, h2.exceptions.ProtocolError):
            pass
        leave(connection, rng)
    tally.count("HTTP/2: left")


SCENARIOS_HTTP2 = {http2: 20, leave_http2: 5}
