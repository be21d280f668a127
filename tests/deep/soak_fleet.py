"""What the soak runs: slotgate, its process pods, and static pods that are started again when a
fault has made them crash. slotgate is one process after the other: each takes over from the one
before."""
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from harness.keys import KeyFile, entry

BUILD = Path(os.environ.get("BUILD", ROOT / "build" / "san")).resolve()
MARK = "SLOTGATE_SOAK"
IDLE = {"httpGet": "/sdapi/v1/progress?skip_current_image=true", "jsonPath": "state.job_count",
        "period": "100ms", "timeout": "2s"}
REPORTS = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|[Aa]ssert|DEADLYSIGNAL")
POD_FLAGS = ["--service-time", "20ms", "--keep-alive", "5s"]
HOSTS = ("static.test", "process.test")
EXTRA_HOST = "extra.test"  # its service comes and goes
KEYED_HOST = "keyed.test"
TAKEN_OVER = re.compile(r"process \d+ has handed over to this one \((\d+)\)")
NOT_TAKEN_OVER = "no upgrade: the new process"
UPGRADE_LIMIT = 20.0
PR_SET_CHILD_SUBREAPER = 36


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


class Descendant:
    """A slotgate that another one has started, and whose child it is until that one has ended (then
    it is ours: see adopt_orphans)."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
            except ChildProcessError:
                if not os.path.exists(f"/proc/{self.pid}"):
                    self.returncode = 0  # as far as can be known; a crash is in the log
        return self.returncode

    def wait(self, limit=UPGRADE_LIMIT):
        if not wait_until(lambda: self.poll() is not None, limit):
            raise subprocess.TimeoutExpired("slotgate", limit)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def adopt_orphans():
    """Of all that is started from here."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def wait_until(true, limit):
    until = time.monotonic() + limit
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.05)
    return False


class Fleet:
    """Listeners: HTTP, then HTTPS; both speak HTTP/1.1 and HTTP/2."""

    def __init__(self, directory, rng, program="slotgate", **env):
        self.directory, self.rng = Path(directory), rng
        self.static = [StaticPod(directory, i) for i in range(2)]
        self.extra = StaticPod(directory, 2)
        self.keyed = [StaticPod(directory, i) for i in (3, 4)]
        self.keys = KeyFile(self.directory / "keys.json")
        self.change_keys()
        self.ports = free_port(), free_port()
        self.certificates = self.directory / "certificates"
        subprocess.run([ROOT / "tests/tls/make-certificates.sh", self.certificates], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.change_certificate()
        self.config_path = self.directory / "slotgate.json"
        self.log_path = self.directory / "slotgate.log"
        self.write(self.settings())
        self.program = str(BUILD / program)
        self.env = {**os.environ, MARK: str(directory),
                    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=8",
                    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", **env}
        self.is_faulty = False  # the configuration
        self.process, self.elders = self._start(), []
        self.address, self.tls_address, self.admin_address = self._ports()

    def _start(self, *flags):
        with open(self.log_path, "ab") as log:
            return subprocess.Popen(
                [self.program, "serve", "-c", str(self.config_path), *flags], env=self.env,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)

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

    def nobody(self):
        """Where nobody listens, or somebody who understands nothing of it."""
        return f"127.0.0.1:{self.rng.choice([1, self.extra.port])}"

    def tracing(self):
        return {"endpoint": f"http://{self.nobody()}", "interval": "50ms", "timeout": "1s",
                "batchSize": self.rng.choice([1, 100]), "maxQueued": self.rng.choice([100, 2048]),
                "sampleRatio": self.rng.choice([0.1, 1])}

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
        keyed = self.service("keyed", KEYED_HOST, {"static": [f"127.0.0.1:{pod.port}"
                                                              for pod in self.keyed]},
                             apiKeys={"file": self.keys.path})
        return {"listeners": [{"address": f"127.0.0.1:{self.ports[0]}"},
                              {"address": f"127.0.0.1:{self.ports[1]}", "tls": tls}],
                "admin": {"address": "127.0.0.1:0"},
                "upgradeSocket": str(self.directory / "upgrade"),
                "spoolDirectory": str(self.directory), "drainTimeout": "20s",
                "log": {"level": self.rng.choice(["info", "debug"]), "access": "off"},
                "tracing": self.tracing(), "knative": {"autoscaler": self.nobody()},
                "limits": {"keepAlive": self.rng.choice(["5s", "60s"]), "headerTimeout": "10s"},
                "services": [self.service("static", HOSTS[0], static, knative={
                                 "revision": "static", "namespace": "soak"}),
                             self.service("process", HOSTS[1], {"process": process},
                                          autoscaling=scale,
                                          quarantine={"restartAfter": "3s"}), keyed]
                            + (extra if self.rng.random() < 0.5 else [])}

    def change_certificate(self):
        """Between the two files, one does not belong to the other."""
        name = self.rng.choice(["local", "one", "rsa", "chain"])
        for suffix in ("pem", "key"):
            new = self.directory / f"new.{suffix}"
            shutil.copy(self.certificates / f"{name}.{suffix}", new)
            new.rename(self.directory / f"server.{suffix}")

    def change_keys(self):
        """Only what is not in TENANTS stays the same in any file."""
        self.keys.write(
            entry("small", maxWorking=1, maxQueued=3), entry("large"),
            entry("hasty", requestsPerSecond=self.rng.choice([1, 5, 50]), burst=2),
            entry("off", disabled=True), *[entry("guest")] * self.rng.randint(0, 1))

    def write(self, settings):
        text = settings if isinstance(settings, str) else json.dumps(settings)
        new = self.directory / "new.json"
        new.write_text(text)
        new.rename(self.config_path)

    def reload(self, turn):
        """By a signal, by the file alone, and now and then one that is wrong."""
        if turn % 3 == 1:
            self.change_certificate()
        if turn % 3 == 2:
            self.change_keys()
        self.is_faulty = turn % 7 == 6
        self.write('{"services": [' if self.is_faulty else self.settings())
        if turn % 2:
            self.process.send_signal(signal.SIGHUP)

    def upgrade(self):
        """Another process takes over; if the configuration is wrong, none does. What is wrong with
        that, if anything."""
        before, refused = len(TAKEN_OVER.findall(self.log())), self.log().count(NOT_TAKEN_OVER)
        new = None
        if self.rng.random() < 0.5:
            self.process.send_signal(signal.SIGUSR2)
        else:
            new = self._start("--take-over")

        def has_come():
            return len(TAKEN_OVER.findall(self.log())) > before

        def has_failed():
            return new.poll() is not None if new else self.log().count(NOT_TAKEN_OVER) > refused

        wait_until(lambda: has_come() or has_failed(), UPGRADE_LIMIT)
        if has_come():
            pid = int(TAKEN_OVER.findall(self.log())[-1])
            self.elders.append(self.process)
            self.process = new or Descendant(pid)
        if has_come() != (not self.is_faulty):
            return f"an upgrade: {'it came' if has_come() else 'it did not come'} with a " \
                   f"{'faulty' if self.is_faulty else 'good'} configuration"
        return None

    # --- looking ---

    def all_static(self):
        return *self.static, self.extra, *self.keyed

    def revive(self):
        for pod in self.all_static():
            pod.look()

    def look(self):
        self.revive()
        self.admin("/metrics")

    def services(self):
        return json.loads(self.admin("/v1/services"))["services"]

    def over_caps(self):
        """The tenants that have more at work or waiting than they may."""
        for service in self.services():
            for t in service["tenants"]:
                if t["working"] > (t["maxWorking"] or t["working"]) or \
                        t["waiting"] > (t["maxQueued"] or t["waiting"]):
                    yield f"over its caps: {t}"

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
        for service in self.services():
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
        """How the youngest process has ended, and how those before it."""
        self.process.send_signal(signal.SIGTERM)
        return [self._end(process, limit) for process in (self.process, *self.elders)]

    def _end(self, process, limit):
        """What waits for a pod that crashes now is still to be done."""
        def has_ended():
            self.revive()
            return process.poll() is not None

        if wait_until(has_ended, limit):
            return process.returncode
        return f"nothing: {process.pid} still ran {limit:.0f} s after SIGTERM"

    def kill(self):
        for process in [self.process, *self.elders, *(pod.process for pod in self.all_static())]:
            process.kill()
            process.wait()
        for pid in self.pod_processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)
