"""The pods that are processes: the C demo pod, and a real uvicorn + FastAPI application."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from harness.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]
FASTAPI_POD = ROOT / "tests" / "pods" / "fastapi_pod.py"
GENERATE = "/sdapi/v1/txt2img"
PROMPT = b'{"prompt": "pretty dog", "steps": 1, "width": 8, "height": 8}'
IDLE_CHECK = {"httpGet": "/sdapi/v1/progress?skip_current_image=true",
              "jsonPath": "state.job_count", "period": "20ms"}


def binary(name):
    """A program of the build under test: the one with sanitizers where there is one."""
    places = [Path(os.environ["SLOTGATE_BUILD"])] if "SLOTGATE_BUILD" in os.environ else [
        ROOT / "build" / "san", ROOT / "build"]
    return next((str(place / name) for place in places if (place / name).exists()),
                str(places[0] / name))


def demo_command(*flags):
    return [binary("demo-pod"), *flags]


def get_json(address, path):
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request("GET", path)
        return json.load(connection.getresponse())
    finally:
        connection.close()


def is_alive(pid):
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class PodProcess:
    """A pod on a port of its own. `audit` is its own account of what it has worked on."""

    def __init__(self, command, log, audit_at):
        self.log = Path(log)
        with open(log, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        self.address = self._port_in_log("listening")
        self.audit_address = self._port_in_log("audit") if audit_at == "/audit" else self.address
        self.audit_path = audit_at

    def _port_in_log(self, name):
        def look():
            assert self.process.poll() is None, self.log.read_text()
            return re.search(rf"^{name} on (\S+)$", self.log.read_text(), re.M)

        return wait_until(look, f"the pod says: {name}", timeout=30)[1]

    def audit(self):
        return get_json(self.audit_address, self.audit_path)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def start_demo_pod(directory, name, *flags):
    command = demo_command("--port", "0", "--audit-port", "0", *flags)
    return PodProcess(command, Path(directory) / f"{name}.log", "/audit")


def start_fastapi_pod(directory, name, *flags):
    command = [sys.executable, str(FASTAPI_POD), "--port", "0", *flags]
    return PodProcess(command, Path(directory) / f"{name}.log", "/demo/audit")
