"""slotgate itself: its configuration for the demo, its start, what it tells, and its end."""
import http.client
import json
import re
import subprocess
import time
from pathlib import Path

import pods
import processes

SERVICE = "stable-diffusion"
STOP_GRACE = 2.0  # of a pod, from SIGTERM to SIGKILL
DRAIN = 1.0  # of slotgate: who stops the demo does not want to wait for images
START_LIMIT = 10.0


class Failed(Exception):
    pass


def milliseconds(seconds):
    return f"{round(seconds * 1000)}ms"


def config(settings, directory):
    command = [
        str(Path(settings.pod).resolve()), "--port", "{port}",
        "--cold-start", milliseconds(settings.cold_start),
        "--service-time", milliseconds(settings.image_time),
        "--audit-file", pods.pattern(directory),
    ]
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "admin": {"address": "127.0.0.1:0"},
        "log": {"access": f"{directory}/access.log"},
        "spoolDirectory": str(directory),
        "drainTimeout": milliseconds(DRAIN),
        "services": [{
            "name": SERVICE,
            "containerConcurrency": 1,
            "pods": {"process": {"command": command,
                                 "stopGracePeriod": milliseconds(STOP_GRACE)}},
            "readiness": {"httpGet": "/sdapi/v1/memory"},
            "autoscaling": {
                "minScale": 0,
                "initialScale": 0,
                "maxScale": settings.pods,
                "stableWindow": milliseconds(settings.stable_window),
                "scaleToZeroGracePeriod": milliseconds(settings.grace),
                "tickInterval": milliseconds(settings.tick),
            },
        }],
    }


class Gateway:
    def __init__(self, settings, directory):
        self.program = settings.slotgate
        self.directory = directory
        self.config = directory / "slotgate.json"
        self.log = directory / "slotgate.log"
        self.config.write_text(json.dumps(config(settings, directory), indent=2))
        self.process = None
        self.address = None  # where clients connect to
        self.admin = None
        self.connection = None

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", self.program, "serve", "-c", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=processes.environment(self.directory), start_new_session=True)

    def find_addresses(self, keep_waiting):
        """Waits until the log tells them: both ports are any free one."""
        until = time.monotonic() + START_LIMIT
        while keep_waiting():
            text = self.read_log()
            listener = re.search(r" INFO +listening on http://(\S+)$", text, re.M)
            admin = re.search(r" INFO +admin on http://(\S+)$", text, re.M)
            if listener and admin:
                self.address, self.admin = listener[1], admin[1]
                return
            if self.process.poll() is not None:
                raise Failed(f"slotgate ended at its start with status {self.process.returncode}")
            if time.monotonic() > until:
                raise Failed(f"slotgate has not said where it listens within {START_LIMIT:.0f} s")
            time.sleep(0.01)

    def read_log(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def check(self):
        if self.process.poll() is not None:
            raise Failed(f"slotgate ended with status {self.process.returncode}")

    def get(self, path):
        """A GET of the admin address; None if it gave no answer this time."""
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection(self.admin, timeout=2)
            self.connection.request("GET", path)
            answer = self.connection.getresponse()
            body = answer.read()
            return body if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            return None

    def service(self):
        """The service's live state, or None."""
        body = self.get("/v1/services")
        if body is None:
            return None
        services = json.loads(body)["services"]
        return next(s for s in services if s["name"] == SERVICE)

    def cold_starts(self):
        """How many pods slotgate has seen become ready, and how long they took on average."""
        text = (self.get("/metrics") or b"").decode()
        values = {}
        for name in ("count", "sum"):
            line = re.search(rf"^slotgate_cold_start_seconds_{name}{{.*}} (\S+)$", text, re.M)
            if not line:
                return 0, None
            values[name] = float(line[1])
        n = int(values["count"])
        return n, values["sum"] / n if n else None

    def stop(self):
        """Drains it, or kills it when that takes too long. Returns whether it went by itself."""
        if not self.process:
            return True
        self.process.terminate()
        try:
            return self.process.wait(DRAIN + STOP_GRACE + 3) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
