"""Knative's own autoscaler, as a whole program at the real API server: on slotgate's word alone it
takes a Deployment from none to as many pods as have work, and back to none.

The test is in the place of Knative's controllers: it makes the PodAutoscaler of a revision, and says
that the ServerlessService which the autoscaler makes of it is there.
"""
import time

import pytest

from harness.kubernetes.cluster import START_S, Server, other
from harness.kubernetes.gateway import Account, Painting, replicas_of, wait_for_replicas
from harness.kubernetes.objects import deployment, service
from harness.wait import PATIENCE, wait_until

SYSTEM = "knative-serving"
ADDRESS = "10.244.200.4"  # its port is 8080, on all addresses
SERVING = "serving.knative.dev"
REVISION = "sd-00001"
RESOURCES = {"autoscaling": ("PodAutoscaler", "Metric"), "networking": ("ServerlessService",)}
# What its installation has there; the rest is as it comes. Six seconds are its shortest window.
CONFIGURATION = {
    "autoscaler": {"allow-zero-initial-scale": "true", "scale-to-zero-grace-period": "1s",
                   "max-scale-down-rate": "1000", "stable-window": "6s",
                   "panic-window-percentage": "20"},
    "deployment": {"queue-sidecar-image": "queue"},
    "leader-election": {}, "logging": {}, "network": {}, "observability": {},
}


def definition(group, kind):
    """A resource of any content, whose status is a subresource."""
    group, singular = f"{group}.internal.knative.dev", kind.lower()
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{singular}s.{group}"}, "spec": {
                "group": group, "scope": "Namespaced",
                "names": {"kind": kind, "plural": f"{singular}s", "singular": singular},
                "versions": [{"name": "v1alpha1", "served": True, "storage": True,
                              "subresources": {"status": {}},
                              "schema": {"openAPIV3Schema": free}}]}}


def install(api):
    for group, kinds in RESOURCES.items():
        for kind in kinds:
            api.create(definition(group, kind))
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    for name, data in CONFIGURATION.items():
        api.create({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
                    "metadata": {"name": f"config-{name}"}}, SYSTEM)


def uninstall(api):
    for group, kinds in RESOURCES.items():
        for kind in kinds:
            api.delete("CustomResourceDefinition", None,
                       definition(group, kind)["metadata"]["name"])
    api.delete("Namespace", None, SYSTEM)


@pytest.fixture
def autoscaler(cluster, api, tmp_path):
    program = other("knative-autoscaler")
    if not program:
        pytest.skip("Knative's autoscaler is not built; use make test-kubernetes")
    install(api)
    config = cluster.kubeconfig("knative.conf", certificate=cluster.identities.pair("admin"))
    server = Server("knative-autoscaler", [program, f"--kubeconfig={config}"], tmp_path,
                    SYSTEM_NAMESPACE=SYSTEM, POD_NAME="autoscaler", POD_IP=ADDRESS,
                    METRICS_DOMAIN="knative.dev/serving", METRICS_PROMETHEUS_PORT="19090")
    try:
        server.wait_until(lambda: "Created Endpoints for Lease" in server.log(), "leads")
        yield server
    finally:
        print(f"--- {server.log()[-9000:]}")
        server.kill()
        uninstall(api)


@pytest.fixture
def front(cluster, api, namespace, gateways, autoscaler):
    """slotgate before a revision's pods, of which there are none."""
    api.create(service("sd"), namespace)
    labels = {f"{SERVING}/{name}": value for name, value in (
        ("revision", REVISION), ("revisionUID", "1"), ("configuration", "sd"))}
    pods = deployment("sd", 0, args=["--service-time", "6s"], grace_s=30)
    pods["spec"]["template"]["metadata"]["labels"].update(labels)
    api.create(pods, namespace)
    account = Account(cluster, namespace)
    made = gateways(services=[account.service(
        kubernetes={"scaler": "none"}, knative={"revision": REVISION, "namespace": namespace})],
        top={"knative": {"autoscaler": f"{ADDRESS}:8080"}})
    made.wait_for_metric(1, "slotgate_knative_connected")
    stand_for_controllers(api, namespace, labels, autoscaler)
    return made


def stand_for_controllers(api, namespace, labels, autoscaler):
    annotations = {f"autoscaling.knative.dev/{name}": value for name, value in {
        "class": "kpa.autoscaling.knative.dev", "metric": "concurrency", "target": "1",
        "target-utilization-percentage": "100", "target-burst-capacity": "-1",
        "initial-scale": "0", "max-scale": "5"}.items()}
    api.create({"apiVersion": "autoscaling.internal.knative.dev/v1alpha1", "kind": "PodAutoscaler",
                "metadata": {"name": REVISION, "labels": labels, "annotations": annotations},
                "spec": {"protocolType": "http1", "reachability": "Reachable", "scaleTargetRef": {
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": "sd"}}}, namespace)
    autoscaler.wait_until(lambda: api.find("ServerlessService", namespace, REVISION),
                          "makes a ServerlessService")
    made = api.get("ServerlessService", namespace, REVISION)
    assert made["spec"]["mode"] == "Proxy"
    api.patch("ServerlessService", namespace, REVISION, {"status": {
        "observedGeneration": made["metadata"]["generation"], "serviceName": "sd",
        "privateServiceName": "sd", "conditions": [{"type": "Ready", "status": "True"}]}},
        subresource="status")


def test_it_scales_from_none_to_many_and_back(api, namespace, front, autoscaler):
    autoscaler.wait_until(lambda: api.get("PodAutoscaler", namespace, REVISION).get(
        "status", {}).get("metricsServiceName"), "knows the revision")
    assert replicas_of(api, namespace) == 0
    with Painting(front, 5) as work:
        wait_for_replicas(api, namespace, 5)
    assert work.statuses == [200] * 5, front.log()[-6000:]
    wait_until(lambda: replicas_of(api, namespace) == 0,
               lambda: api.get("PodAutoscaler", namespace, REVISION)["status"], START_S)
    began = time.monotonic()
    with Painting(front, 1) as work:
        wait_for_replicas(api, namespace, 1)
        # It looks each 2 s; of the first request after none it is told at once.
        assert time.monotonic() - began < max(1, PATIENCE / 10)
    assert work.statuses == [200]
