"""KEDA's side of its external scaler: a gRPC client, generated from the same .proto."""
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # gateways are started beside it
import grpc  # noqa: E402

from harness.wait import PATIENCE

PROTO = Path(__file__).resolve().parents[2] / "gateway/autoscalers/externalscaler.proto"


def _generate():
    """(messages, stubs); made anew by each process: it takes a tenth of a second."""
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}",
                        f"--python_out={made}", f"--grpc_python_out={made}", PROTO], check=True)
        sys.path.insert(0, made)
        import externalscaler_pb2
        import externalscaler_pb2_grpc
        sys.path.remove(made)
    return externalscaler_pb2, externalscaler_pb2_grpc


messages, stubs = _generate()


def address_of(gateway):
    """Where the newest process of this gateway serves KEDA."""
    host, port = re.findall(r" keda on https?://([\d.]+):(\d+)", gateway.log())[-1]
    return host, int(port)


class Keda:
    """A connection, and the questions as KEDA asks them."""

    def __init__(self, address, credentials=None, options=()):
        target = f"{address[0]}:{address[1]}"
        options = [("grpc.use_local_subchannel_pool", 1), *options]  # no connection of others
        self.channel = (grpc.secure_channel(target, credentials, options) if credentials
                        else grpc.insecure_channel(target, options))
        self.stub = stubs.ExternalScalerStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.channel.close()

    @staticmethod
    def ref(**metadata):
        return messages.ScaledObjectRef(name="sd", namespace="gpu", scalerMetadata=metadata)

    def is_active(self, **metadata):
        return self.stub.IsActive(self.ref(**metadata), timeout=PATIENCE).result

    def spec(self, **metadata):
        [spec] = self.stub.GetMetricSpec(self.ref(**metadata), timeout=PATIENCE).metricSpecs
        return spec

    def value(self, metric="slotgate-sd", **metadata):
        request = messages.GetMetricsRequest(scaledObjectRef=self.ref(**metadata),
                                             metricName=metric)
        [value] = self.stub.GetMetrics(request, timeout=PATIENCE).metricValues
        return value

    def follow(self, **metadata):
        return Following(self.stub.StreamIsActive(self.ref(**metadata)))


class Following:
    """A stream of pushes, read by a thread; each with the time at which it came."""

    def __init__(self, call):
        self.call, self.pushes = call, queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for response in self.call:
                self.pushes.put((response.result, time.monotonic()))
            self.pushes.put((grpc.StatusCode.OK, time.monotonic()))
        except grpc.RpcError as error:
            self.pushes.put((error.code(), time.monotonic()))

    def next(self):
        """The next push: True or False; the status, when the stream has ended."""
        return self.next_with_time()[0]

    def next_with_time(self):
        return self.pushes.get(timeout=PATIENCE)

    def has_none(self):
        return self.pushes.empty()

    def cancel(self):
        self.call.cancel()
