"""Many pods that the test plays itself: their objects are in the API server, their work is that of one
process (tests/pods/hall_pod.py), their slices are the real controller's. All calls may come from
several threads, but each pod has one at a time.
"""
import concurrent.futures
import itertools
import subprocess
import sys
from pathlib import Path

from harness.demo import get_json
from harness.kubernetes.api import ApiError, path_of
from harness.kubernetes.network import pod_addresses
from harness.kubernetes.objects import now
from harness.wait import wait_until

PROGRAM = Path(__file__).resolve().parents[2] / "pods/hall_pod.py"
PORT, CONTROL = 7860, "127.0.0.1:7999"
THREADS = 4


class HallPod:
    def __init__(self, name, address):
        self.name, self.address, self.uid, self.created = name, address, None, None


class Hall:
    def __init__(self, api, namespace, directory):
        self.api, self.namespace = api, namespace
        self.log = open(Path(directory) / "hall.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(PORT), CONTROL.rsplit(":", 1)[1]],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_until(self._listens, "the hall listens", 30)
        self.numbers = itertools.count(1)
        self.fresh, self.freed = pod_addresses(), []
        self.pool = concurrent.futures.ThreadPoolExecutor(THREADS)

    def _listens(self):
        try:
            return self.audit()
        except OSError:
            return None

    def audit(self):
        """highest, served, killed, used, twice, working"""
        return get_json(CONTROL, "/audit")

    def close(self):
        self.pool.shutdown()
        self.api.request("DELETE", path_of("Pod", self.namespace),
                         {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
        self.process.kill()
        self.process.wait()
        self.log.close()

    # --- the life of a pod ---

    def create(self, count):
        return list(self.pool.map(lambda _: self.start(), range(count)))

    def start(self):
        """At the address that was freed last, if there is one."""
        pod = self.order()
        self.place(pod)
        return pod

    def place(self, pod):
        pod.address = self.freed.pop() if self.freed else next(self.fresh)
        self.tell(pod, True)

    def order(self):
        """It waits for its place."""
        pod = HallPod(f"sd-{next(self.numbers)}", None)
        made = self.api.create({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod.name, "labels": {"app": "sd"}},
            "spec": {"nodeName": "gpu-1", "automountServiceAccountToken": False,
                     "containers": [{"name": "webui", "image": "hall"}]}}, self.namespace)
        pod.uid, pod.created = made["metadata"]["uid"], made["metadata"]["creationTimestamp"]
        return pod

    def tell(self, pod, ready):
        status = "True" if ready else "False"
        self.api.patch("Pod", self.namespace, pod.name, {"status": {
            "phase": "Running", "podIP": pod.address, "podIPs": [{"ip": pod.address}],
            "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": now()}]}},
            "strategic", "status")

    def evict(self, pod):
        """Its work is over; its object stays, and says where it was."""
        get_json(CONTROL, f"/end?{pod.address}")
        self.api.patch("Pod", self.namespace, pod.name, {"status": {
            "phase": "Failed", "reason": "Evicted", "conditions": [
                {"type": "Ready", "status": "False", "lastTransitionTime": now()}]}},
            "strategic", "status")
        self.freed.append(pod.address)

    def label(self, pod, is_ours):
        self.api.patch("Pod", self.namespace, pod.name,
                       {"metadata": {"labels": {"app": "sd" if is_ours else "other"}}})

    def retire(self, pod):
        """Tells it to end; it is there until it is finished()."""
        self.api.delete("Pod", self.namespace, pod.name, gracePeriodSeconds=600)

    def finish(self, pod):
        """It has ended, and its address is free."""
        self.kill(pod)

    def kill(self, pod):
        """Its node is gone: its work is over at once, and so is its object."""
        get_json(CONTROL, f"/end?{pod.address}")
        try:
            self.api.delete("Pod", self.namespace, pod.name, gracePeriodSeconds=0)
        except ApiError as error:
            if error.status != 404:
                raise
        self.freed.append(pod.address)
