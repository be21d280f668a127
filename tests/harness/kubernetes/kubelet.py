"""Plays scheduler and kubelet for all nodes: what is created in the API server really starts.

A Plan says what goes wrong, or waits, in a namespace; change() it while the pods are on their way.
"""
import dataclasses
import http.client
import itertools
import threading
from pathlib import Path

from harness.kubernetes.api import ApiError, path_of
from harness.kubernetes.network import pod_addresses
from harness.kubernetes.objects import micro_now, node, now
from harness.kubernetes.pod import RETRY_S, NodePod
from harness.wait import wait_until


@dataclasses.dataclass
class Plan:
    is_ours: bool = True          # else the test plays this namespace's pods itself
    process: bool = True          # else pods are only told to run
    flags: tuple = ()             # further flags of the demo pods, such as --cold-start
    hold: tuple = ()              # pods wait before: schedule, init, pull, start, stop
    unschedulable: str = ""       # the scheduler's message; set to "" to let the pods go on
    pull_back_off: str = ""       # the registry's message; the same
    probe_period_s: float = 0.05


class Kubelet:
    def __init__(self, api, directory):
        self.api, self.directory = api, Path(directory)
        self.lock = threading.RLock()
        self.plans = {}
        self.pods = {}            # by UID
        self.audits = {}          # pod's name: what it says of its work, once it has ended
        self.faults = []          # what the API server has refused
        self.fresh, self.freed = pod_addresses(), []
        self.recycles = False     # gives out the address that was freed last
        self.nodes = []
        self.numbers = itertools.count(1)
        self.is_closed, self.watch = False, None
        self.add_node("gpu-1")
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    # --- for the tests ---

    def change(self, namespace, **changes):
        with self.lock:
            self.plans[namespace] = dataclasses.replace(self.plan_of(namespace), **changes)
            concerned = [pod for pod in self.pods.values() if pod.namespace == namespace]
        for pod in concerned:
            pod.wake()

    def pod(self, name):
        """The pod of this name that runs here."""
        with self.lock:
            return next(pod for pod in self.pods.values() if pod.name == name)

    def flap(self, name, ready):
        """Whatever its readiness probe says; None: that again."""
        self.pod(name).ready = ready
        self.pod(name).wake()

    def move(self, name):
        """Its node has been rebooted: the same pod at another address."""
        self.pod(name).move()

    def add_node(self, name):
        try:
            self.api.create(node(name))
        except ApiError as error:
            assert error.status == 409, error
        self.nodes.append(name)

    def close(self):
        """Ends all processes; they need not be told to the API server any more."""
        self.is_closed = True
        if self.watch:
            self.watch.close()
        for pod in list(self.pods.values()):
            pod.vanish()
        wait_until(lambda: not self.pods, lambda: f"pods end: {self.pods}", 30)

    def event(self, pod, reason, message, kind="Normal", component="kubelet", container=None):
        """A core/v1 Event, as the kubelet and most others write them."""
        at, about = now(), self._reference(pod)
        if container:
            about["fieldPath"] = f"spec.containers{{{container}}}"
        self._post_event({
            "apiVersion": "v1", "kind": "Event", "involvedObject": about,
            "reason": reason, "message": message, "type": kind, "count": 1,
            "firstTimestamp": at, "lastTimestamp": at, "source": {"component": component},
            "reportingComponent": component, "reportingInstance": ""}, pod)

    def scheduler_event(self, pod, reason, message, kind="Normal"):
        """An events.k8s.io/v1 Event: it has an eventTime, and no first and last timestamp."""
        self._post_event({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "regarding": self._reference(pod),
            "reason": reason, "note": message, "type": kind, "eventTime": micro_now(),
            "action": "Binding" if reason == "Scheduled" else "Scheduling",
            "reportingController": "default-scheduler",
            "reportingInstance": "default-scheduler-1"}, pod)

    # --- for its pods ---

    def plan_of(self, namespace):
        return self.plans.setdefault(namespace, Plan())

    def take_address(self):
        with self.lock:
            return self.freed.pop() if self.recycles and self.freed else next(self.fresh)

    def node_for(self, _pod):
        return self.nodes[next(self.numbers) % len(self.nodes)]

    def forget(self, pod):
        with self.lock:
            self.pods.pop(pod.uid, None)
            if pod.address:
                self.freed.append(pod.address)

    def _reference(self, pod):
        return {"apiVersion": "v1", "kind": "Pod", "namespace": pod.namespace, "name": pod.name,
                "uid": pod.uid}

    def _post_event(self, event, pod):
        """Events may be lost, as real ones are."""
        event["metadata"] = {"name": f"{pod.name}.{next(self.numbers):x}",
                             "namespace": pod.namespace}
        path = (path_of("CoreEvent", pod.namespace) if event["apiVersion"] == "v1"
                else path_of("Event", pod.namespace))
        try:
            self.api.request("POST", path, event)
        except ApiError as error:
            if error.status not in (404, 403):  # its namespace is gone, or going
                self.faults.append(f"event {event['reason']} of {pod.name}: {error}")
        except OSError:
            pass

    # --- the watch ---

    def _follow(self):
        while not self.is_closed:
            try:
                self._list_and_watch()
            except (ApiError, OSError, http.client.HTTPException):
                threading.Event().wait(RETRY_S)  # no API server just now

    def _list_and_watch(self):
        everything = self.api.request("GET", path_of("Pod"))
        present = {pod["metadata"]["uid"] for pod in everything["items"]}
        for pod in everything["items"]:
            self._see("ADDED", pod)
        for uid in set(self.pods) - present:
            self.pods[uid].vanish()
        self.watch = self.api.watch("Pod",
                                    resourceVersion=everything["metadata"]["resourceVersion"])
        if self.is_closed:
            self.watch.close()
        for kind, pod in self.watch:
            self._see(kind, pod)

    def _see(self, kind, manifest):
        meta = manifest["metadata"]
        with self.lock:
            if not self.plan_of(meta["namespace"]).is_ours or self.is_closed:
                return
            pod = self.pods.get(meta["uid"])
            if kind == "DELETED":
                if pod:
                    pod.vanish()
                return
            if not pod:
                pod = self.pods[meta["uid"]] = NodePod(self, manifest)
                pod.thread.start()
        if meta.get("deletionTimestamp"):
            pod.delete(meta.get("deletionGracePeriodSeconds", 0))
