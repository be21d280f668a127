"""An OpenTelemetry collector inside the test process: it takes OTLP over HTTP, or does what the test
wants of a bad one. What it was sent is decoded by OpenTelemetry's own generated protobuf code, with
every unknown member and every wrong type a failure.

That code comes from PyPI, once, into a folder outside of the tree; without it (no network) tests that
need it are skipped with the reason.
"""
import functools
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.wait import PATIENCE, wait_until

PROTO = "opentelemetry-proto==1.45.2"
SERVER, CLIENT, INTERNAL = "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_INTERNAL"

# OTLP's JSON has ids in hexadecimal, where protobuf's has base64.
DECODER = """
import base64, json, sys
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}

def ids(value):
    if isinstance(value, list):
        return [ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    for key, size in IDS.items():
        if key in value:
            assert len(bytes.fromhex(value[key])) == size and value[key].islower() | value[key].isdigit()
    return {key: base64.b64encode(bytes.fromhex(item)).decode() if key in IDS else ids(item)
            for key, item in value.items()}

for line in sys.stdin:
    message = service.ExportTraceServiceRequest()
    json_format.ParseDict(ids(json.loads(line)), message)
    for resource in message.resource_spans:
        said = json_format.MessageToDict(resource.resource)
        for scope in resource.scope_spans:
            for span in scope.spans:
                told = json_format.MessageToDict(span)
                told.update(traceId=span.trace_id.hex(), spanId=span.span_id.hex(),
                            parentSpanId=span.parent_span_id.hex(), resource=said,
                            start=span.start_time_unix_nano, end=span.end_time_unix_nano,
                            links=[(l.trace_id.hex(), l.span_id.hex()) for l in span.links])
                print(json.dumps(told))
"""


@functools.cache
def decoder():
    """(folder of the decoder, None), or (None, why it is not there)."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = cache / "slotgate" / PROTO.replace("==", "-")
    if not folder.exists():
        making = folder.with_name(f".{folder.name}-{os.getpid()}")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--target", making, PROTO],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        if done.returncode:
            return None, f"{PROTO} is not to be had from PyPI: {done.stdout[-300:]}"
        try:
            making.rename(folder)
        except OSError:
            pass  # another test was faster
    return folder, None


def value_of(value):
    (kind, inner), = value.items()
    return {"intValue": int}.get(kind, lambda same: same)(inner)


class Span:
    """One decoded span."""

    def __init__(self, told):
        self.told, self.name = told, told["name"]
        self.trace, self.id, self.parent = told["traceId"], told["spanId"], told["parentSpanId"]
        self.kind, self.state = told["kind"], told.get("traceState", "")
        self.start, self.end = told["start"], told["end"]
        self.is_error = told.get("status", {}).get("code") == "STATUS_CODE_ERROR"
        self.flags, self.links = told.get("flags", 0), [tuple(link) for link in told["links"]]
        self.attributes = {a["key"]: value_of(a["value"]) for a in told.get("attributes", [])}
        self.resource = {a["key"]: value_of(a["value"]) for a in told["resource"]["attributes"]}
        self.events = {e["name"]: int(e["timeUnixNano"]) for e in told.get("events", [])}

    def __repr__(self):
        return f"<{self.name} {self.id} of {self.parent} {self.attributes}>"

    def __getitem__(self, key):
        return self.attributes.get(key)


class Collector:
    def __init__(self):
        self.bodies, self.heads, self.paths, self.times = [], [], [], []
        self.retry_after = None  # of what is not a 200
        self.script = []     # statuses of the next answers; then 200
        self.answer = b"{}"  # of a 200
        self.released = threading.Event()  # cleared, answers are held
        self.released.set()
        self.server = self.tls = None  # an ssl.SSLContext
        self.port = 0
        self.listen()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def listen(self):
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.paths.append(self.path)
                collector.times.append(time.monotonic())
                collector.heads.append(self.headers)
                status = collector.script.pop(0) if collector.script else 200
                if status == 200:
                    collector.bodies.append(body)
                collector.released.wait(PATIENCE)
                answer = collector.answer if status == 200 else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                if status != 200 and collector.retry_after:
                    self.send_header("Retry-After", collector.retry_after)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        if self.tls:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True,
                                                      do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop_listening(self):
        self.server.shutdown()
        self.server.server_close()

    def close(self):
        self.released.set()
        self.stop_listening()

    def spans(self):
        """All that has come so far, by the real decoder."""
        folder, _ = decoder()
        lines = b"".join(body.replace(b"\n", b" ") + b"\n" for body in list(self.bodies))
        done = subprocess.run([sys.executable, "-c", DECODER], input=lines, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(folder)},
                              check=False)
        assert done.returncode == 0, done.stderr.decode()
        return [Span(json.loads(line)) for line in done.stdout.splitlines()]

    def wait_for_spans(self, count):
        """As many, or more if more come along."""
        wait_until(lambda: sum(body.count(b'"traceId"') - body.count(b'"links"')
                               for body in list(self.bodies)) >= count,
                   lambda: f"{count} spans; there are {self.bodies}")
        return self.spans()
