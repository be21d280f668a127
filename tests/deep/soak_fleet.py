"""What the soak runs: slotgate, its process pods, and static pods that are started again when a
fault has made them crash."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD", ROOT / "build" / "san")).resolve()
MARK = "SLOTGATE_SOAK"
IDLE = {"httpGet": "/sdapi/v1/progress?skip_current_image=true", "jsonPath": "state.job_count",
        "period": "100ms", "timeout": "2s"}
REPORTS = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|[Aa]ssert|DEADLYSIGNAL")
POD_FLAGS = ["--service-time", "20ms", "--keep-alive", "5s"]
HOSTS = ("static.test", "process.test")
EXTRA_HOST = "extra.test"  # its service comes and goes


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class StaticPod:
    def __init__(self, directory, number):
        self.directory, self.number, self.port = Path(directory), number, free_port()
        self.starts = 0
        self.start()

    def start(self):
        audit = self.directory / f"audit-static-{self.number}-{self.starts}.json"
        self.starts += 1
        with open(self.directory / f"static-{self.number}.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(BUILD / "demo-pod"), "--port", str(self.port), "--audit-file", str(audit),
                 *POD_FLAGS], stdout=log, stderr=subprocess.STDOUT)

    def look(self):
        if self.process.poll() is not None:
            self.start()


class Fleet:
    """Listeners: HTTP, then HTTPS; both speak HTTP/1.1 and HTTP/2."""

    def __init__(self, directory, rng, program="slotgate", **env):
        self.directory, self.rng = Path(directory), rng
        self.static = [StaticPod(directory, i) for i in range(2)]
        self.extra = StaticPod(directory, 2)
        self.ports = free_port(), free_port()
        self.certificates = self.directory / "certificates"
        subprocess.run([ROOT / "tests/tls/make-certificates.sh", self.certificates], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.change_certificate()
        self.config_path = self.directory / "slotgate.json"
        self.log_path = self.directory / "slotgate.log"
        self.write(self.settings())
        env = {**os.environ, MARK: str(directory),
               "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=8",
               "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", **env}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [str(BUILD / program), "serve", "-c", str(self.config_path)], env=env,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        self.address, self.tls_address, self.admin_address = self._ports()

    def _ports(self):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            text = self.log()
            front = re.search(r" listening on http://([\d.]+):(\d+)", text)
            admin = re.search(r" admin on http://([\d.]+):(\d+)", text)
            behind = re.search(r" listening on https://([\d.]+):(\d+)", text)
            if front and behind and admin:
                return tuple((found[1], int(found[2])) for found in (front, behind, admin))
            time.sleep(0.05)
        raise SystemExit(f"slotgate does not start:\n{self.log()}")

    # --- configuration ---

    def service(self, name, host, pods, **more):
        return {"name": name, "hosts": [host], "pods": pods, "idle": IDLE,
                "queue": {"maxRequests": self.rng.choice([500, 1000]), "maxWait": "60s",
                          "coldStartMaxWait": "60s", "maxAttempts": 50},
                "body": {"memory": self.rng.choice(["4KiB", "64KiB"])},
                "spool": {"memory": self.rng.choice([0, "64KiB"]), "maxBytes": "64MiB"},
                "timeouts": {"connect": "2s", "response": "1500ms", "streamIdle": "5s",
                             "podKeepAlive": self.rng.choice(["0s", "1s", "4s"])},
                "ejection": {"base": "100ms", "max": "500ms"},
                "interrupt": {"httpPost": "/sdapi/v1/interrupt"},
                "readiness": {"httpGet": "/sdapi/v1/memory", "period": "100ms"}, **more}

    def settings(self):
        audit = self.directory / "audit-process-$$.json"
        command = f"exec {BUILD}/demo-pod --port {{port}} --audit-file {audit} " + " ".join(POD_FLAGS)
        process = {"command": ["/bin/sh", "-c", command], "stopGracePeriod": "2s",
                   "backoffBase": "50ms", "backoffMax": "200ms", "startupFailures": 1000}
        scale = {"minScale": self.rng.choice([0, 1]), "maxScale": self.rng.choice([2, 3]),
                 "stableWindow": "6s", "scaleToZeroGracePeriod": "500ms", "tickInterval": "200ms"}
        static = {"static": [f"127.0.0.1:{pod.port}" for pod in self.static]}
        tls = {"certificates": [{"certificate": str(self.directory / "server.pem"),
                                 "key": str(self.directory / "server.key")}]}
        extra = [self.service("extra", EXTRA_HOST, {"static": [f"127.0.0.1:{self.extra.port}"]})]
        return {"listeners": [{"address": f"127.0.0.1:{self.ports[0]}"},
                              {"address": f"127.0.0.1:{self.ports[1]}", "tls": tls}],
                "admin": {"address": "127.0.0.1:0"},
                "spoolDirectory": str(self.directory), "drainTimeout": "20s",
                "log": {"level": self.rng.choice(["info", "debug"]), "access": "off"},
                "limits": {"keepAlive": self.rng.choice(["5s", "60s"]), "headerTimeout": "10s"},
                "services": [self.service("static", HOSTS[0], static),
                             self.service("process", HOSTS[1], {"process": process},
                                          autoscaling=scale,
                                          quarantine={"restartAfter": "3s"})]
                            + (extra if self.rng.random() < 0.5 else [])}

    def change_certificate(self):
        """Between the two files, one does not belong to the other."""
        name = self.rng.choice(["local", "one", "rsa", "chain"])
        for suffix in ("pem", "key"):
            new = self.directory / f"new.{suffix}"
            shutil.copy(self.certificates / f"{name}.{suffix}", new)
            new.rename(self.directory / f"server.{suffix}")

    def write(self, settings):
        text = settings if isinstance(settings, str) else json.dumps(settings)
        new = self.directory / "new.json"
        new.write_text(text)
        new.rename(self.config_path)

    def reload(self, turn):
        """By a signal, by the file alone, and now and then one that is wrong."""
        if turn % 3 == 1:
            self.change_certificate()
        if turn % 7 == 6:
            self.write('{"services": [')
        else:
            self.write(self.settings())
        if turn % 2:
            self.process.send_signal(signal.SIGHUP)

    # --- looking ---

    def look(self):
        for pod in (*self.static, self.extra):
            pod.look()
        self.admin("/metrics")

    def admin(self, path):
        connection = http.client.HTTPConnection(*self.admin_address, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def busy_counts(self):
        """Every count of the live state that is not zero and should be, when nothing goes on."""
        self.look()
        busy = {}
        for service in json.loads(self.admin("/v1/services"))["services"]:
            slots = {k: v for k, v in service["slots"].items() if k != "free"}
            queue = {k: v for k, v in service["queue"].items() if k != "maxRequests"}
            counts = {**slots, **queue, "passThrough": service["passThrough"]}
            for name, count in counts.items():
                if count:
                    busy[f"{service['name']}.{name}"] = count
            for pod in service["pods"]:
                if pod["used"] or pod["passThrough"]:
                    busy[f"{pod['name']} {pod['state']}"] = pod["used"]
        return busy

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10

    def log(self):
        return self.log_path.read_text(errors="replace")

    def reports(self):
        return [line for line in self.log().splitlines() if REPORTS.search(line)][:5]

    def audits(self):
        return [json.loads(path.read_text()) for path in self.directory.glob("audit-*.json")]

    def pod_processes(self):
        """All that slotgate has started, however far down: they share a variable."""
        entry, pids = f"{MARK}={self.directory}".encode(), []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    pids.append(int(pid))
            except OSError:
                pass
        return pids

    # --- ends ---

    def terminate(self, limit):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"nothing: it still ran {limit:.0f} s after SIGTERM"

    def kill(self):
        for process in [self.process, *(pod.process for pod in (*self.static, self.extra))]:
            process.kill()
            process.wait()
        for pid in self.pod_processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)
