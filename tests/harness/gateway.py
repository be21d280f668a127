"""slotgate as a process under test: its config, ports, live state and logs.

A sanitizer's report or a wrong exit code fails the test that started it.
"""
import contextlib
import http.client
import json
import os
import re
import resource
import signal
import subprocess
from pathlib import Path

from harness.client import Client
from harness.demo import binary
from harness.http2_client import Http2Client
from harness.metrics import Metrics
from harness.wait import PATIENCE, wait_until

REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:|Assertion .* failed")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROMETHEUS = "text/plain; version=0.0.4"
WRAPPER = os.environ.get("TEST_WRAPPER", "").split()  # what each slotgate runs in: valgrind


def service(*pods, **options):
    """A service before these pods: tests take slots with /job, and look for pods often."""
    return {"name": "sd", "slots": ["* /job*"], "pods": {"static": [pod.address for pod in pods]},
            "readiness": {"tcpSocket": True, "period": "20ms"}, **options}


def config(services, listeners=None, **top):
    return {"listeners": listeners or [{"address": "127.0.0.1:0"}],
            "admin": {"address": "localhost:0"},  # unlike the listener's, for its metrics' label
            "log": {"level": "debug"}, "drainTimeout": "3s",
            "services": services, **top}


def limits(descriptors=None, file_size=None):
    """To be called in the child: resource limits that a test wants the gateway to meet."""
    def apply():
        if descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        if file_size:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    return apply


class Gateway:
    def __init__(self, directory, settings, in_child=None, environment=None, descriptors=(),
                 wrapper=()):
        self.directory = Path(directory)
        self.config_path = self.directory / "slotgate.json"
        self.log_path = self.directory / "slotgate.log"
        self.access_path = self.directory / "access.log"
        self.write_config({"spoolDirectory": str(directory), **settings})
        self.environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
                            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
                            **(environment or {})}
        self.elders = []  # processes that have handed over
        self.process = self.start(in_child=in_child, pass_fds=descriptors, wrapper=wrapper)
        self.told_to_stop = self.was_killed = False
        self.clients = []
        self.admin_tls, self.admin_headers = None, {}  # how the admin is asked
        self.addresses, self.admin_address = self._find_ports(len(settings["listeners"]))
        self.address = self.addresses[0]

    def start(self, *flags, in_child=None, pass_fds=(), wrapper=()):
        command = [*wrapper, *WRAPPER, binary("slotgate"), "serve", "-c", str(self.config_path),
                   *flags]
        with open(self.log_path, "ab") as log, open(self.access_path, "ab") as access:
            return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL,
                                    stdout=access, stderr=log, preexec_fn=in_child,
                                    pass_fds=pass_fds)

    def upgrade(self):
        """Another process takes over; the old one is left to its clients, as the last elder."""
        done = "has handed over to this one"
        before = self.log().count(done)
        new = self.start("--take-over")

        def look():
            assert new.poll() is None, f"the new process has ended:\n{self.log()[-6000:]}"
            return self.log().count(done) > before

        wait_until(look, lambda: f"it takes over:\n{self.log()[-6000:]}")
        self.elders.append(self.process)
        self.process = new
        return self.elders[-1]

    def _find_ports(self, count):
        def look():
            text = self.log()
            assert self.process.poll() is None, f"slotgate has ended:\n{text}"
            found = re.findall(r" listening on https?://([\d.]+):(\d+)", text)
            admin = re.search(r" admin on https?://([\d.]+):(\d+)", text)
            if len(found) < count or not admin:
                return None
            return [(host, int(port)) for host, port in found], (admin[1], int(admin[2]))

        return wait_until(look, lambda: f"slotgate listens:\n{self.log()}")

    # --- clients ---

    def client(self, listener=0, **options):
        """A connection. It stays open until the test closes it, even if nobody holds it."""
        self.clients.append(Client(self.addresses[listener], **options))
        return self.clients[-1]

    def http2(self, listener=0, **options):
        """The same in HTTP/2."""
        self.clients.append(Http2Client(self.addresses[listener], **options))
        return self.clients[-1]

    def get(self, target, headers=None, **more):
        """A whole exchange on a connection of its own."""
        with self.client() as client:
            return client.get(target, headers, **more).read_response()

    def post(self, target, body=b"{}", headers=None, **more):
        with self.client() as client:
            return client.post(target, body, headers, **more).read_response()

    def open_get(self, target, headers=None, **more):
        """A client that has sent its request and not read its answer."""
        return self.client().get(target, headers, **more)

    def open_post(self, target, body=b"{}", headers=None, **more):
        return self.client().post(target, body, headers, **more)

    # --- the admin's view ---

    def admin(self, path, method="GET", headers=None):
        """(status, headers, text)"""
        connection = http.client.HTTPConnection(*self.admin_address, timeout=PATIENCE)
        if self.admin_tls:
            connection = http.client.HTTPSConnection(*self.admin_address, timeout=PATIENCE,
                                                     context=self.admin_tls)
        try:
            connection.request(method, path, headers={**self.admin_headers, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def service(self, name=None):
        status, _, text = self.admin("/v1/services")
        assert status == 200
        services = json.loads(text)["services"]
        return next(s for s in services if name in (None, s["name"]))

    def pods(self, name=None):
        """The pods by their names."""
        return {pod["name"]: pod for pod in self.service(name)["pods"]}

    def pod(self, pod):
        """The gateway's view of one pod; None when it knows none such."""
        return next((p for p in self.service()["pods"] if p["address"] == pod.address), None)

    def figures(self, name=None):
        """The numbers of the queue, the slots and the scale, in one flat dict."""
        seen = self.service(name)
        return {**seen["queue"], **seen["slots"], **seen["scale"],
                "concurrency": seen["concurrency"], "pods": len(seen["pods"])}

    def wait_for(self, **wanted):
        """Until the live figures are these: wait_for(waiting=2, working=1)."""
        seen = {}

        def look():
            seen.update(self.figures())
            return all(seen[key] == value for key, value in wanted.items())

        wait_until(look, lambda: f"{wanted}; it is {seen}\n{self.log()[-3000:]}")

    def wait_for_pod(self, pod, state):
        seen = {}

        def look():
            seen["pod"] = self.pod(pod)
            return seen["pod"] and seen["pod"]["state"] == state

        wait_until(look, lambda: f"{state}; it is {seen}\n{self.log()[-3000:]}")

    def metrics(self, accept=PROMETHEUS):
        status, headers, text = self.admin("/metrics", headers={"Accept": accept})
        assert status == 200
        return Metrics(text, "openmetrics" in headers["Content-Type"])

    def wait_for_metric(self, value, name, **labels):
        wait_until(lambda: self.metrics()(name, **labels) == value,
                   lambda: f"{name}{labels} = {value}; it is {self.metrics()(name, **labels)}")

    # --- logs ---

    def log(self):
        return self.log_path.read_text(errors="replace")

    def access(self):
        """The access log, a dict for each line."""
        text = self.access_path.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def access_line(self, request_id):
        """The one line of this request, as soon as it is there."""
        lines = wait_until(lambda: [line for line in self.access() if line["id"] == request_id],
                           f"the access log's line of {request_id}")
        assert len(lines) == 1
        return lines[0]

    # --- its life ---

    def write_config(self, settings):
        self.settings = settings
        self.config_path.write_text(json.dumps(settings, indent=1))

    def reload(self, settings=None, text=None):
        """SIGHUP with another config (or a text that may be none), until it has taken effect."""
        before = self.metrics()
        if text is None:
            self.write_config({**self.settings, **settings})
        else:
            self.config_path.write_text(text)
        result = "success" if text is None else "failure"
        count = before("slotgate_config_reloads_total", result=result)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for_metric(count + 1, "slotgate_config_reloads_total", result=result)

    @contextlib.contextmanager
    def paused(self):
        """SIGSTOP: what happens inside, the gateway finds all at once."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self._state() == "T", "it is stopped")
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _state(self):
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0]

    def terminate(self, with_signal=signal.SIGTERM):
        self.told_to_stop = True
        self.process.send_signal(with_signal)

    def kill(self):
        """SIGKILL, by the test's own wish."""
        self.was_killed = True
        self.process.kill()
        self.process.wait()

    def wait(self, timeout=None):
        """Its exit code."""
        try:
            return self.process.wait(timeout or PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"slotgate does not exit:\n{self.log()[-3000:]}")

    def is_stopped(self):
        """By SIGSTOP. One that runs must not get a SIGCONT: it would take from the leak check, which
        stops its own process in the end, the signal that it waits for."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def stop(self):
        """For the fixture: SIGTERM, then what must be true of every run."""
        for client in self.clients:
            client.leave()
        for elder in self.elders:
            try:
                code = elder.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                elder.kill()
                raise AssertionError(f"an old process hangs:\n{self.log()[-3000:]}")
            assert code in (0, -signal.SIGKILL), f"an old process: exit code {code}\n{self.report()}"
        if self.process.poll() is None:
            if self.is_stopped():
                self.process.send_signal(signal.SIGCONT)
            if not self.told_to_stop:
                self.terminate()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = f"none: it hangs, {PATIENCE:g} s after SIGTERM {self.process.wait()}"
        report = self.report()
        assert not report, report
        assert code == 0 or self.was_killed, f"exit code {code}"

    def report(self):
        """What a sanitizer or an assertion has said, if anything."""
        lines = self.log().splitlines()
        first = next((i for i, line in enumerate(lines) if REPORT.search(line)), None)
        return None if first is None else "\n".join(lines[first:first + 60])
