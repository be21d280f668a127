"""slotgate in front of a Kubernetes service: its account, its role, its configuration, its clients."""
import json
import threading

from harness.client import Broken
from harness.kubernetes.cluster import START_S
from harness.kubernetes.objects import deployment, role, role_binding, service
from harness.wait import wait_until

LONG_S = 30
GENERATE = "/sdapi/v1/txt2img"

# The least that it needs, rule by rule.
RULES = [
    ("", ["services"], ["list", "watch"]),
    ("discovery.k8s.io", ["endpointslices"], ["list", "watch"]),
    ("", ["pods"], ["get", "list", "watch", "patch", "delete"]),
    ("", ["events"], ["list", "watch"]),
    ("apps", ["deployments", "statefulsets"], ["get"]),
    ("apps", ["deployments/scale", "statefulsets/scale"], ["get", "update"]),
    ("coordination.k8s.io", ["leases"], ["get", "create", "patch"]),
]


class Account:
    """A service account with a role, and a kubeconfig that reads its mounted token."""

    def __init__(self, cluster, namespace, rules=RULES, name="slotgate"):
        self.cluster, self.namespace, self.name = cluster, namespace, name
        self.mount = cluster.account(namespace, name)
        cluster.admin.create(role(name, rules), namespace)
        cluster.admin.create(role_binding(name, namespace, name), namespace)
        me = cluster.as_account(self.mount)
        group, resources, verbs = rules[-1]
        wait_until(lambda: me.may(verbs[0], namespace, resources[0], group), "the role counts",
                   START_S)

    def kubeconfig(self, server=None):
        """`server` is somebody between slotgate and the API server."""
        path = self.mount / "config"
        path.write_text(json.dumps({
            "current-context": "in", "contexts": [{"name": "in", "context": {
                "cluster": "c", "user": "u", "namespace": self.namespace}}],
            "clusters": [{"name": "c", "cluster": {
                "server": server or self.cluster.url, "certificate-authority": "ca.crt"}}],
            "users": [{"name": "u", "user": {"tokenFile": "token"}}]}))
        return str(path)

    def service(self, autoscaling=None, kubernetes=None, server=None, **options):
        """A slotgate service before the Kubernetes service "sd", with quick decisions."""
        return {
            "name": "sd", "containerConcurrency": 1,
            "pods": {"kubernetes": {"service": "sd", "kubeconfig": self.kubeconfig(server),
                                    "leaseDuration": "2s", **(kubernetes or {})}},
            "readiness": {"httpGet": "/sdapi/v1/memory", "period": "50ms"},
            "idle": {"httpGet": "/sdapi/v1/progress?skip_current_image=true",
                     "jsonPath": "state.job_count", "equals": 0, "period": "20ms"},
            "autoscaling": {"minScale": 0, "maxScale": 10, "initialScale": 0,
                            "stableWindow": "1s", "scaleToZeroGracePeriod": "0s",
                            "tickInterval": "100ms", **(autoscaling or {})}, **options}


def create_sd(api, namespace, replicas=0, kind="Deployment", **options):
    """The service "sd", and demo pods behind it."""
    api.create(service("sd"), namespace)
    api.create(deployment("sd", replicas, kind=kind, **options), namespace)


def start(gateways, account, **options):
    return gateways(services=[account.service(**options)])


def replicas_of(api, namespace, kind="Deployment"):
    return api.get(kind, namespace, "sd", "scale")["spec"].get("replicas", 0)


def wait_for_replicas(api, namespace, count, kind="Deployment"):
    wait_until(lambda: replicas_of(api, namespace, kind) == count,
               lambda: f"{count} replicas; {replicas_of(api, namespace, kind)}", LONG_S)


def is_up(gateway):
    return gateway.metrics()("slotgate_provider_up", service="sd")


def is_writer(gateway):
    return gateway.metrics()("slotgate_provider_writer", service="sd")


def paint(gateway, count, headers=None, patience_s=LONG_S):
    """So many clients at once; their answers."""
    answers = []

    def one():
        with gateway.client(timeout=patience_s) as client:
            answers.append(client.post(GENERATE, b'{"prompt": "a dog"}', headers).read_response())

    clients = [threading.Thread(target=one) for _ in range(count)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(patience_s)
    assert len(answers) == count, gateway.log()[-6000:]
    return answers


class Painting:
    """paint() meanwhile: `with Painting(gateway, 2) as work: ...`, then work.statuses."""

    def __init__(self, gateway, count, **options):
        self.answers, self.gateway = [], gateway
        self.thread = threading.Thread(
            target=lambda: self.answers.extend(paint(gateway, count, **options)))

    @property
    def statuses(self):
        return [answer.status for answer in self.answers]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(4 * LONG_S)


class Load:
    """So many clients that ask one image after the other until the end; anything but 200 is kept.
    `with Load(gateway, 6) as load: ...`, then load.served, load.failed."""

    def __init__(self, gateway, count):
        self.gateway, self.over = gateway, threading.Event()
        self.served, self.failed = 0, []
        self.lock = threading.Lock()
        self.clients = [threading.Thread(target=self._ask) for _ in range(count)]

    def _ask(self):
        while not self.over.is_set():
            try:
                with self.gateway.client(timeout=LONG_S) as client:
                    answer = client.post(GENERATE, b'{"prompt": "a dog"}').read_response()
                    fault = None if answer.status == 200 else (answer.status, answer.body)
            except (OSError, Broken) as error:
                fault = repr(error)
            with self.lock:
                if fault:
                    self.failed.append(fault)
                else:
                    self.served += 1

    def wait_for_more(self, count):
        """Until so many more have been served."""
        wanted = self.served + count
        wait_until(lambda: self.served >= wanted,
                   lambda: f"{wanted}; {self.served}, {self.failed[:3]}", LONG_S)

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for client in self.clients:
            client.join(LONG_S)
