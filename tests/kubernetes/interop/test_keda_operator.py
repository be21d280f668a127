"""KEDA's own operator and metrics server, with the real API server and its HPA controller: slotgate's
external scaler takes a Deployment from none to as many pods as have work, and back to none."""
import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from harness.keda import address_of
from harness.kubernetes.api import ApiError
from harness.kubernetes.cluster import ROOT, Server
from harness.kubernetes.gateway import Account
from harness.kubernetes.objects import deployment, service
from harness.wait import wait_until

LONG_S = 90
GROUP = "v1beta1.external.metrics.k8s.io"
ADAPTER, ADAPTER_PORT = "10.244.200.2", 6443
METRICS_SERVICE = "127.0.0.1:9666"


def built():
    done = subprocess.run([Path(__file__).with_name("build.sh"), "--where"], text=True, check=True,
                          stdout=subprocess.PIPE)
    return Path(done.stdout.strip())


def certificates(cluster, directory):
    """For operator and adapter, who prove themselves to each other: tls.crt, tls.key, ca.crt."""
    pair = cluster.identities.leaf("keda", "/CN=keda", usage="serverAuth,clientAuth",
                                   names=f"DNS:keda.keda.svc,IP:127.0.0.1,IP:{ADAPTER}")
    for path, name in zip((*pair, cluster.identities.path("ca.pem")), ("tls.crt", "tls.key",
                                                                      "ca.crt")):
        (directory / name).write_text(Path(path).read_text())
    return directory


def register_adapter(cluster, api):
    """As KEDA's manifests do: a Service, and who answers for external metrics."""
    api.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "keda"},
                "spec": {"ports": [{"name": "https", "port": 443, "targetPort": ADAPTER_PORT}]}},
               "keda")
    api.create({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": "keda", "labels": {"kubernetes.io/service-name": "keda"}},
                "addressType": "IPv4", "ports": [{"name": "https", "port": ADAPTER_PORT}],
                "endpoints": [{"addresses": [ADAPTER], "conditions": {"ready": True}}]}, "keda")
    api.create({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": GROUP}, "spec": {
                    "group": "external.metrics.k8s.io", "version": "v1beta1",
                    "groupPriorityMinimum": 100, "versionPriority": 100,
                    "caBundle": cluster.ca_bundle(),
                    "service": {"namespace": "keda", "name": "keda", "port": 443}}})


def is_available(api):
    conditions = api.get("APIService", None, GROUP).get("status", {}).get("conditions", [])
    return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)


@pytest.fixture(scope="module")
def keda(cluster, tmp_path_factory):
    """The operator and the metrics server, as the cluster's administrator."""
    api, programs = cluster.admin, built()
    directory = certificates(cluster, tmp_path_factory.mktemp("keda"))
    for path in sorted((programs / "keda-crds").glob("*.yaml")):
        for definition in yaml.safe_load_all(path.read_text()):
            if definition and definition["kind"] == "CustomResourceDefinition":
                api.create(definition)
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "keda"}})
    config = cluster.kubeconfig("keda.conf", certificate=cluster.identities.pair("admin"))
    os.environ.update(WATCH_NAMESPACE="", POD_NAMESPACE="keda", POD_NAME="keda-operator",
                      KEDA_CLUSTER_OBJECT_NAMESPACE="keda")
    operator = Server("keda-operator", [
        programs / "keda-operator", f"--kubeconfig={config}", f"--cert-dir={directory}",
        "--metrics-bind-address=127.0.0.1:18080", "--health-probe-bind-address=127.0.0.1:18081",
        f"--metrics-service-bind-address={METRICS_SERVICE}"], directory)
    adapter = None
    try:
        operator.wait_until(lambda: "Starting Controller" in operator.log()
                            or "Starting workers" in operator.log(), "its controllers start")
        adapter = Server("keda-adapter", [
            programs / "keda-adapter", f"--kubeconfig={config}", f"--lister-kubeconfig={config}",
            f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
            f"--bind-address={ADAPTER}", f"--secure-port={ADAPTER_PORT}",
            f"--cert-dir={directory}", f"--tls-cert-file={directory / 'tls.crt'}",
            f"--tls-private-key-file={directory / 'tls.key'}", "--port=18082",
            f"--metrics-service-address={METRICS_SERVICE}"], directory)
        register_adapter(cluster, api)
        adapter.wait_until(lambda: is_available(api), "answers for external metrics")
        yield operator
    finally:
        for server in (adapter, operator):
            if server:
                print(f"--- {server.name}:\n{server.log()[-6000:]}")
                server.kill()
        for what in [("APIService", None, GROUP), ("Namespace", None, "keda")]:
            try:
                api.delete(*what)
            except ApiError:
                pass


def scaled_object(name, gateway):
    """What deploy/ has for `name`, of this gateway and in less time."""
    [manifest] = yaml.safe_load_all((ROOT / "deploy/keda" / f"{name}.yaml").read_text())
    manifest["metadata"]["name"] = manifest["spec"]["scaleTargetRef"]["name"] = "sd"
    manifest["spec"].update(maxReplicaCount=5, cooldownPeriod=3)
    behavior = manifest["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    behavior["scaleDown"]["stabilizationWindowSeconds"] = 10
    metadata = manifest["spec"]["triggers"][0]["metadata"]
    if name == "external-push":
        metadata.update(scalerAddress="%s:%d" % address_of(gateway), service="sd")
    else:
        metadata["url"] = "http://%s:%d/v1/services/sd/demand" % gateway.admin_address
        del metadata["aggregateFromKubeServiceEndpoints"], metadata["aggregationType"]
    return manifest


@pytest.fixture
def gateways(kubelet, gateway):
    assert kubelet
    return gateway


@pytest.fixture
def front(cluster, api, namespace, gateways):
    """slotgate, which leaves the pods' number alone, before a Deployment of none."""
    api.create(service("sd"), namespace)
    api.create(deployment("sd", 0, args=["--service-time", "3s"], grace_s=30), namespace)
    account = Account(cluster, namespace)
    return gateways(services=[account.service(kubernetes={"scaler": "none"})],
                    top={"keda": {"address": "127.0.0.1:0"}})


def replicas(api, namespace):
    return api.get("Deployment", namespace, "sd", "scale")["spec"].get("replicas", 0)


def is_ready(api, namespace):
    found = api.get("ScaledObject", namespace, "sd")
    return any(c["type"] == "Ready" and c["status"] == "True"
               for c in found.get("status", {}).get("conditions") or [])


def paint(front, count):
    """So many clients at once, in threads; where their answers go."""
    answers = []

    def one():
        with front.client(timeout=LONG_S) as client:
            answers.append(client.post("/sdapi/v1/txt2img", b'{"prompt": "a dog"}').read_response())

    clients = [threading.Thread(target=one) for _ in range(count)]
    for client in clients:
        client.start()
    return clients, answers


@pytest.mark.parametrize("name, polls_s", [("external-push", None), ("metrics-api", 5)])
def test_from_none_to_many_and_back(keda, api, namespace, front, name, polls_s, capsys):
    manifest = scaled_object(name, front)
    polling_s = manifest["spec"]["pollingInterval"]
    api.create(manifest, namespace)
    wait_until(lambda: is_ready(api, namespace), lambda: keda.log()[-6000:], LONG_S)
    if name == "external-push":
        wait_until(lambda: "follows sd" in front.log(), "KEDA follows the service", LONG_S)
    assert replicas(api, namespace) == 0
    began = time.monotonic()
    clients, answers = paint(front, 5)
    wait_until(lambda: replicas(api, namespace) >= 1, lambda: keda.log()[-6000:], LONG_S)
    first_s = time.monotonic() - began
    wait_until(lambda: replicas(api, namespace) == 5, lambda: keda.log()[-6000:], LONG_S)
    all_s = time.monotonic() - began
    for client in clients:
        client.join(LONG_S)
    assert [answer.status for answer in answers] == [200] * 5, front.log()[-6000:]
    done = time.monotonic()
    wait_until(lambda: replicas(api, namespace) == 0, lambda: keda.log()[-6000:], LONG_S)
    none_s = time.monotonic() - done
    with capsys.disabled():
        print(f"\n{name}: replicas 0 -> 1 after {1000 * first_s:.0f} ms (KEDA polls each "
              f"{polling_s} s), 5 after {all_s:.1f} s, 0 again {none_s:.1f} s after the last answer",
              flush=True)
    if name == "external-push":
        assert first_s < polling_s / 2, "it was pushed, not polled"
    assert not re.search(r'"error": "rpc error', keda.log()), keda.log()[-6000:]
    api.delete("ScaledObject", namespace, "sd")
    wait_until(lambda: not api.find("ScaledObject", namespace, "sd"), "its finalizer is done",
               LONG_S)
