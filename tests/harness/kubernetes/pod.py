"""One pod of the kubelet's: a thread that takes it from Pending to its end, step by step.

The process is the demo pod, on the pod's own address and its container's port; the container's
`args` are its flags. Every step tells the API server what a scheduler and a kubelet tell.
"""
import contextlib
import http.client
import json
import signal
import socket
import subprocess
import threading

from harness.demo import demo_command
from harness.kubernetes.api import ApiError
from harness.kubernetes.objects import now

CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
PORT = 7860
BACK_OFF_S, BACK_OFF_MAX_S = 0.1, 1.0  # a kubelet's: 10 s to 300 s
RETRY_S = 0.1  # while there is no API server


class Leaves(Exception):
    """The pod is being deleted: whatever it was waiting for, it waits no more."""


class Vanished(Exception):
    """There is no such pod any more."""


class NodePod:
    def __init__(self, kubelet, manifest):
        self.kubelet, self.api = kubelet, kubelet.api
        self.name, self.namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        self.uid, self.spec = manifest["metadata"]["uid"], manifest["spec"]
        self.container = self.spec["containers"][0]
        self.port = next((port["containerPort"] for port in self.container.get("ports", [])), PORT)
        self.node, self.address, self.process, self.restarts = None, None, None, 0
        self.ready = None           # a test's word instead of the readiness probe's
        self.is_ready = False       # as it has been told
        self.grace_s = None         # set: it is being deleted
        self.is_gone = False        # deleted without grace
        self.moves = False          # its sandbox is to be made anew
        self.state, self.last_state = {"waiting": {"reason": "ContainerCreating"}}, {}
        self.conditions, self.init_statuses = {}, []
        self.phase = "Pending"
        self.change = threading.Condition()
        self.thread = threading.Thread(target=self._live, daemon=True)

    @property
    def plan(self):
        return self.kubelet.plans[self.namespace]

    def wake(self):
        with self.change:
            self.change.notify_all()

    def delete(self, grace_s):
        with self.change:
            self.grace_s = grace_s
            self.change.notify_all()

    def move(self):
        """As after a reboot of its node: another sandbox, with another address, in the same pod."""
        with self.change:
            self.moves = True
            self.change.notify_all()

    def vanish(self):
        with self.change:
            self.is_gone = True
            self.change.notify_all()

    def wait(self, condition, timeout=None):
        """Until it is true, or the time is over; Leaves when the pod is deleted meanwhile."""
        with self.change:
            self.change.wait_for(
                lambda: self.is_gone or self.grace_s is not None or condition(), timeout)
            if self.is_gone or self.grace_s is not None:
                raise Leaves

    def held(self, step):
        """A test may hold all pods of a namespace before a step."""
        self.wait(lambda: step not in self.plan.hold)

    # --- its life ---

    def _live(self):
        try:
            with contextlib.suppress(Leaves):
                self._schedule()
                self._initialize()
                self._pull()
                while True:
                    self._run()
                    self._back_off()
            self._end()
        except Vanished:
            self._stop_process(0)
        finally:
            self.kubelet.forget(self)

    def _schedule(self):
        if self.spec.get("nodeName"):
            self.node = self.spec["nodeName"]
            return
        if self.plan.unschedulable:
            self._condition("PodScheduled", False, "Unschedulable", self.plan.unschedulable)
            self._tell()
            self._scheduler_event("FailedScheduling", self.plan.unschedulable, "Warning")
        self.wait(lambda: not self.plan.unschedulable)
        self.held("schedule")
        self.node = self.kubelet.node_for(self)
        self._bind()
        self.conditions.pop("PodScheduled", None)  # the API server's word from here on
        self._scheduler_event("Scheduled", f"Successfully assigned {self.namespace}/{self.name} "
                              f"to {self.node}")

    def _bind(self):
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": self.name},
                   "target": {"apiVersion": "v1", "kind": "Node", "name": self.node}}
        try:
            self._call(self.api.request, "POST",
                       f"/api/v1/namespaces/{self.namespace}/pods/{self.name}/binding", binding)
        except Vanished:
            # It may be bound already: the API server can end between the deed and its answer.
            pod = self._call(self.api.find, "Pod", self.namespace, self.name)
            is_it = pod and pod["metadata"]["uid"] == self.uid
            if not is_it or pod["spec"].get("nodeName") != self.node:
                raise

    def _initialize(self):
        for kind in CONDITIONS:
            self._condition(kind, False, "ContainersNotReady")
        self._tell()
        self.held("init")
        self.address = self.kubelet.take_address()
        self._condition("PodReadyToStartContainers", True)
        self.init_statuses = [
            {"name": one["name"], "image": one["image"], "imageID": one["image"], "ready": True,
             "restartCount": 0, "started": False, "state": {"terminated": {
                 "exitCode": 0, "reason": "Completed", "startedAt": now(), "finishedAt": now()}}}
            for one in self.spec.get("initContainers", [])]
        self._condition("Initialized", True)
        self._tell()

    def _pull(self):
        image = self.container["image"]
        self._event("Pulling", f'Pulling image "{image}"')
        while self.plan.pull_back_off:
            why = f'Failed to pull image "{image}": {self.plan.pull_back_off}'
            self._event("Failed", why, "Warning")
            self.state = {"waiting": {"reason": "ErrImagePull", "message": why}}
            self._tell()
            why = f'Back-off pulling image "{image}"'
            self._event("BackOff", why, "Warning")
            self.state = {"waiting": {"reason": "ImagePullBackOff", "message": why}}
            self._tell()
            self.wait(lambda: not self.plan.pull_back_off)
        self.held("pull")
        self._event("Pulled", f'Successfully pulled image "{image}" in 1s (1s including waiting). '
                    "Image size: 18700000000 bytes.")

    def _run(self):
        """One run of its process, until that ends by itself."""
        self.held("start")
        if self.plan.process:
            self._start_process()
        self._event("Created", f"Created container: {self.container['name']}")
        self._event("Started", f"Started container {self.container['name']}")
        self.phase, self.state = "Running", {"running": {"startedAt": now()}}
        self._tell()
        while not self.process or self.process.poll() is None:
            if self.moves:
                self._new_sandbox()
            ready = self._probe() if self.ready is None else self.ready
            if ready != self.is_ready:
                self._ready(ready)
                self._tell()
            self.wait(lambda: self.moves, self.plan.probe_period_s)

    def _new_sandbox(self):
        self._stop_process(0)
        self.address, self.moves = self.kubelet.take_address(), False
        self._start_process()
        self.restarts += 1
        self.state = {"running": {"startedAt": now()}}
        self._ready(False)
        self._tell()

    def _back_off(self):
        code = self.process.returncode
        ended = {"terminated": {"exitCode": code if code >= 0 else 128 - code, "reason": "Error",
                                "startedAt": self.state["running"]["startedAt"],
                                "finishedAt": now()}}
        pause = min(BACK_OFF_S * 2 ** self.restarts, BACK_OFF_MAX_S)
        self.restarts += 1
        why = (f"back-off {pause}s restarting failed container={self.container['name']} "
               f"pod={self.name}_{self.namespace}({self.uid})")
        self.last_state = ended
        self.state = {"waiting": {"reason": "CrashLoopBackOff", "message": why}}
        self._ready(False)
        self._tell()
        self._event("BackOff", f"Back-off restarting failed container {self.container['name']} "
                    f"in pod {self.name}_{self.namespace}({self.uid})", "Warning")
        self.wait(lambda: False, pause)

    def _end(self):
        """Its deletion: preStop, SIGTERM, grace, SIGKILL, then out of the API server."""
        if self.is_gone:
            raise Vanished
        if self.process:
            self._event("Killing", f"Stopping container {self.container['name']}")
        with self.change:
            pause = self.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
            self.change.wait_for(lambda: self.is_gone, min(pause.get("seconds", 0), self.grace_s))
            self.change.wait_for(lambda: self.is_gone or "stop" not in self.plan.hold)
        code = self._stop_process(self.grace_s)
        self.phase = "Succeeded" if code == 0 else "Failed"
        self.state = {"terminated": {"exitCode": abs(code), "finishedAt": now(),
                                     "reason": "Completed" if code == 0 else "Error"}}
        self._ready(False)
        self._tell()
        self._call(self.api.delete, "Pod", self.namespace, self.name, gracePeriodSeconds=0,
                   preconditions={"uid": self.uid})

    # --- its process ---

    def _start_process(self):
        log = self.kubelet.directory / f"{self.name}-{self.uid[:8]}.log"
        command = demo_command("--host", self.address, "--port", str(self.port), "--audit-file",
                               self._audit_path(), *self.container.get("args", []),
                               *self.plan.flags)
        with open(log, "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT)

    def _stop_process(self, grace_s):
        """Its exit code, 0 where there is none; its audit goes to the kubelet."""
        if not self.process:
            return 0
        self.process.send_signal(signal.SIGTERM if grace_s else signal.SIGKILL)
        try:
            code = self.process.wait(grace_s or None)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        with contextlib.suppress(FileNotFoundError), open(self._audit_path(), "rb") as audit:
            self.kubelet.audits[self.name] = json.load(audit)
        return code

    def _audit_path(self):
        return str(self.kubelet.directory / f"{self.uid}.audit")

    def _probe(self):
        """The container's readiness probe, once. Without one, what runs is ready; so is what is
        only told to run."""
        probe = self.container.get("readinessProbe", {}) if self.process else {}
        if "tcpSocket" in probe:
            with socket.socket() as attempt:
                return attempt.connect_ex((self.address, self.port)) == 0
        if "httpGet" not in probe:
            return True
        connection = http.client.HTTPConnection(self.address, self.port, timeout=1)
        try:
            connection.request("GET", probe["httpGet"].get("path", "/"))
            return connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    # --- what the API server is told ---

    def _condition(self, kind, holds, reason=None, message=None):
        status = "True" if holds else "False"
        before = self.conditions.get(kind, {})
        self.conditions[kind] = {
            "type": kind, "status": status, "reason": None if holds else reason,
            "message": message, "lastTransitionTime":
            before["lastTransitionTime"] if before.get("status") == status else now()}

    def _ready(self, ready):
        self.is_ready = ready
        self._condition("Ready", ready, "ContainersNotReady")
        self._condition("ContainersReady", ready, "ContainersNotReady")

    def _tell(self):
        status = {"phase": self.phase, "conditions": list(self.conditions.values())}
        if self.phase != "Pending" or "PodReadyToStartContainers" in self.conditions:
            running = "running" in self.state
            status["containerStatuses"] = [{
                "name": self.container["name"], "image": self.container["image"],
                "imageID": self.container["image"] if running else "", "ready": self.is_ready,
                "started": running, "restartCount": self.restarts, "state": self.state,
                "lastState": self.last_state}]
            status["initContainerStatuses"] = self.init_statuses
            status["hostIP"], status["hostIPs"] = "10.244.255.254", [{"ip": "10.244.255.254"}]
        if self.address:
            status["podIP"] = self.address  # and no other one besides
            status["podIPs"] = [{"ip": self.address}, {"$patch": "replace"}]
        self._call(self.api.patch, "Pod", self.namespace, self.name,
                   {"metadata": {"uid": self.uid}, "status": status}, "strategic", "status")

    def _event(self, reason, message, kind="Normal"):
        self.kubelet.event(self, reason, message, kind, container=self.container["name"])

    def _scheduler_event(self, reason, message, kind="Normal"):
        self.kubelet.scheduler_event(self, reason, message, kind)

    def _call(self, verb, *words, **options):
        """Again and again while there is no API server, as a kubelet does."""
        while not self.kubelet.is_closed:
            try:
                return verb(*words, **options)
            except ApiError as error:
                if error.status in (404, 409):
                    raise Vanished from error
                if error.status < 500 and error.status != 429:
                    self.kubelet.faults.append(f"{self.name}: {error}")
                    raise Vanished from error
            except OSError:
                pass
            with self.change:
                self.change.wait(RETRY_S)
        raise Vanished
