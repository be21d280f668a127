"""A raw HTTP/2 client: frames as the test says, well-formed or not, over plain TCP or TLS.

It acknowledges SETTINGS and PINGs and opens windows as a browser does, unless told not to.
"""
import socket
import struct

from hpack import Decoder, Encoder
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame,
                              PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame)

from harness.client import Broken, Response, as_pairs
from harness.wait import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED,
 FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR,
 ENHANCE_YOUR_CALM) = range(12)
FRAME_BYTES = 16384
FIRST_WINDOW = 65535


class Reset(Exception):
    """The stream was reset."""

    def __init__(self, answer):
        super().__init__(f"reset with {answer.reset}: {answer}")
        self.code, self.answer = answer.reset, answer


class Answer(Response):
    """What has come of a stream's answer so far."""

    def __init__(self):
        self.version, self.status, self.headers = "HTTP/2", None, []
        self.interim, self.pieces = [], []  # statuses before the final one; DATA
        self.trailers = []
        self.ended, self.reset = False, None

    @property
    def body(self):
        return b"".join(self.pieces)

    def take_head(self, fields):
        if ":status" not in dict(fields):
            self.trailers = fields
            return
        self.headers = [(name, value) for name, value in fields if not name.startswith(":")]
        status = int(dict(fields)[":status"])
        if status < 200:
            self.interim.append(status)
        else:
            self.status = status


class Http2Client:
    def __init__(self, address, tls=None, settings=None, opens_windows=True, receive_buffer=None,
                 begins=True):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = b""
        self.encoder, self.decoder = Encoder(), Decoder()
        self.opens_windows = opens_windows
        self.next_id = 1
        self.answers = {}
        self.frames = []          # all that came, in order
        self.goaway = None        # the last one
        self.pongs = 0
        self.peer_settings = {}
        self.windows = {0: FIRST_WINDOW}  # what we may send
        self.head_fragments = {}
        if begins:
            self.send(PREFACE)
            self.send_frame(SettingsFrame(0, settings=settings or {}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    # --- sending ---

    def send(self, data):
        self.socket.sendall(data)

    def send_frame(self, frame, *flags):
        for flag in flags:
            frame.flags.add(flag)
        self.send(frame.serialize())

    def fields(self, method, path, headers=(), host="gateway", scheme="http"):
        return [(":method", method), (":scheme", scheme), (":authority", host), (":path", path),
                *as_pairs(headers)]

    def open_stream(self):
        stream, self.next_id = self.next_id, self.next_id + 2
        self.answers[stream] = Answer()
        self.windows[stream] = self.peer_settings.get(SettingsFrame.INITIAL_WINDOW_SIZE,
                                                      FIRST_WINDOW)
        return stream

    def begin_fields(self, fields, end=True):
        """A request of any fields; its stream's id."""
        stream = self.open_stream()
        self.send(self.head_bytes(stream, fields, end))
        return stream

    def head_bytes(self, stream, fields, end=True):
        block = self.encoder.encode([(str(name), str(value)) for name, value in fields])
        frames = [HeadersFrame(stream, block[:FRAME_BYTES])]
        for at in range(FRAME_BYTES, len(block), FRAME_BYTES):
            frames.append(ContinuationFrame(stream, block[at:at + FRAME_BYTES]))
        frames[-1].flags.add("END_HEADERS")
        if end:
            frames[0].flags.add("END_STREAM")
        return b"".join(frame.serialize() for frame in frames)

    def begin(self, method, path, headers=(), end=True, **more):
        return self.begin_fields(self.fields(method, path, headers, **more), end)

    def get(self, path, headers=(), **more):
        return self.begin("GET", path, headers, **more)

    def post(self, path, body=b"{}", headers=(), **more):
        stream = self.begin("POST", path, headers, end=False, **more)
        self.data(stream, body, end=True)
        return stream

    def data(self, stream, body, end=False):
        """Sends a body as the windows allow, reading meanwhile."""
        while body or end:
            room = min(self.windows[0], self.windows[stream], FRAME_BYTES)
            if body and room <= 0:
                self.read_frame()
                continue
            piece, body = body[:max(room, 0)], body[max(room, 0):]
            frame = DataFrame(stream, piece)
            if end and not body:
                frame.flags.add("END_STREAM")
                end = False
            self.send(frame.serialize())
            self.windows[0] -= len(piece)
            self.windows[stream] -= len(piece)

    def reset_stream(self, stream, code=CANCEL):
        self.send_frame(RstStreamFrame(stream, error_code=code))

    def open_window(self, stream, by):
        self.send_frame(WindowUpdateFrame(stream, window_increment=by))

    # --- leaving ---

    def leave(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # --- reading ---

    def _read(self, n):
        while len(self.buffer) < n:
            data = self.socket.recv(1 << 18)
            if not data:
                raise Broken("closed", self.buffer)
            self.buffer += data
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_frame(self):
        frame, length = Frame.parse_frame_header(memoryview(self._read(9)))
        frame.parse_body(memoryview(self._read(length)))
        self.frames.append(frame)
        self._take(frame)
        return frame

    def _take(self, frame):
        stream = frame.stream_id
        answer = self.answers.setdefault(stream, Answer()) if stream else None
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            old = self.peer_settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, FIRST_WINDOW)
            self.peer_settings.update(frame.settings)
            new = self.peer_settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, FIRST_WINDOW)
            for each in self.windows:
                self.windows[each] += (new - old) if each else 0
            self.send_frame(SettingsFrame(0), "ACK")
        elif isinstance(frame, PingFrame):
            self.pongs += "ACK" in frame.flags
            if "ACK" not in frame.flags:
                self.send_frame(PingFrame(0, frame.opaque_data), "ACK")
        elif isinstance(frame, WindowUpdateFrame):
            self.windows[stream] = self.windows.get(stream, 0) + frame.window_increment
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame
        elif isinstance(frame, RstStreamFrame):
            answer.reset = frame.error_code
        elif isinstance(frame, (HeadersFrame, ContinuationFrame)):
            self._take_head(answer, frame)
        elif isinstance(frame, DataFrame):
            answer.pieces.append(frame.data)
            if self.opens_windows and frame.data:
                self.open_window(0, len(frame.data))
                if "END_STREAM" not in frame.flags:
                    self.open_window(stream, len(frame.data))
        if answer is not None and "END_STREAM" in frame.flags:
            answer.ended = True

    def _take_head(self, answer, frame):
        block = self.head_fragments.pop(frame.stream_id, b"") + frame.data
        if "END_HEADERS" in frame.flags:
            answer.take_head(self.decoder.decode(block))
        else:
            self.head_fragments[frame.stream_id] = block

    def until(self, condition):
        """Reads on until this holds; its value."""
        while not (value := condition()):
            self.read_frame()
        return value

    def head(self, stream):
        """The answer, as soon as its head is here."""
        answer = self.answers[stream]
        self.until(lambda: answer.status or answer.reset is not None)
        if answer.status is None:
            raise Reset(answer)
        return answer

    def answer(self, stream):
        """The whole answer."""
        answer = self.answers[stream]
        self.until(lambda: answer.ended or answer.reset is not None)
        if not answer.ended:
            raise Reset(answer)
        return answer

    def reset_of(self, stream):
        """The code with which a stream is reset."""
        answer = self.answers[stream]
        return self.until(lambda: answer.reset is not None and (answer.reset,))[0]

    def barrier(self):
        """A PING and its answer: what was sent before has been read there."""
        wanted = self.pongs + 1
        self.send_frame(PingFrame(0, b"barrier!"))
        self.until(lambda: self.pongs >= wanted)

    def end_of_connection(self):
        """Reads to the end; the code of the last GOAWAY, None if there was none."""
        try:
            while True:
                self.read_frame()
        except (Broken, ConnectionError):
            return self.goaway.error_code if self.goaway else None
