"""prometheus-adapter with the rules of deploy/hpa, between real Prometheus and a real HPA."""

import pytest
import yaml
from test_aggregation import EXTERNAL, availability, external, refusal, wait_for_replicas
from test_deploy import DEPLOY, documents

from harness.gateway import service as slotgate_service
from harness.kubernetes.cluster import Server, other
from harness.kubernetes.objects import deployment
from harness.prometheus import Prometheus, needs_prometheus
from harness.wait import wait_until

pytestmark = needs_prometheus
GROUP = "v1beta1.external.metrics.k8s.io"
ADDRESS, PORT = "10.244.200.3", 6443


def rules(directory):
    """As its chart writes them: rules.external becomes externalRules."""
    [values] = documents((DEPLOY / "hpa/prometheus-adapter.yaml").read_text())
    assert list(values["rules"]) == ["external"]
    path = directory / "rules.yaml"
    path.write_text(yaml.safe_dump({"externalRules": values["rules"]["external"]}))
    return path


def register(cluster, api, namespace):
    api.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "adapter"},
                "spec": {"ports": [{"name": "https", "port": 443, "targetPort": PORT}]}}, namespace)
    api.create({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": "adapter",
                             "labels": {"kubernetes.io/service-name": "adapter"}},
                "addressType": "IPv4", "ports": [{"name": "https", "port": PORT}],
                "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}]}, namespace)
    api.create({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": GROUP}, "spec": {
                    "group": "external.metrics.k8s.io", "version": "v1beta1",
                    "groupPriorityMinimum": 100, "versionPriority": 100,
                    "caBundle": cluster.ca_bundle(),
                    "service": {"namespace": namespace, "name": "adapter", "port": 443}}})


@pytest.fixture
def two(kubelet, gateway):
    """Two gateways whose pods are away: what comes waits in their queues, and each counts its own."""
    assert kubelet
    return [gateway(services=[slotgate_service(pods={"static": ["127.0.0.1:9"]})], ready=False)
            for _ in range(2)]


@pytest.fixture
def prometheus(tmp_path, namespace, two):
    """With the label that the ServiceMonitor's operator gives to what it scrapes."""
    one = Prometheus(tmp_path, ["%s:%d" % gateway.admin_address for gateway in two],
                     labels={"namespace": namespace})
    yield one
    one.stop()


@pytest.fixture
def adapter(cluster, api, namespace, prometheus, tmp_path):
    program = other("prometheus-adapter")
    if not program:
        pytest.skip("prometheus-adapter is not built; use make test-kubernetes")
    certificate, key = cluster.identities.leaf(
        "adapter", "/CN=adapter", usage="serverAuth", names=f"DNS:adapter.{namespace}.svc")
    config = cluster.kubeconfig("adapter.conf", certificate=cluster.identities.pair("admin"))
    server = Server("prometheus-adapter", [
        program, f"--prometheus-url=http://{prometheus.address}/", f"--config={rules(tmp_path)}",
        "--metrics-relist-interval=1s", "--metrics-max-age=1m", f"--lister-kubeconfig={config}",
        f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
        f"--bind-address={ADDRESS}", f"--secure-port={PORT}", f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}"], tmp_path)
    try:
        register(cluster, api, namespace)
        server.wait_until(lambda: availability(api, GROUP).get("status") == "True",
                          "answers for external metrics")
        yield server
    finally:
        print(f"--- {server.log()[-6000:]}")
        server.kill()
        api.delete("APIService", None, GROUP)


def autoscaler():
    """What deploy/ has, of this Deployment and service."""
    [manifest] = documents((DEPLOY / "hpa/external.yaml").read_text())
    manifest["metadata"]["name"] = manifest["spec"]["scaleTargetRef"]["name"] = "sd"
    manifest["spec"]["metrics"][0]["external"]["metric"]["selector"]["matchLabels"] = {
        "service": "sd"}
    manifest["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = 0
    return manifest


def test_an_hpa_scales_by_what_several_gateways_count(api, namespace, two, adapter):
    def sees(count):
        return lambda: external(api, namespace, "slotgate_concurrency") == {"sd": str(count)}

    adapter.wait_until(sees(0), "it sees the service")
    clients = [two[number % 2].open_post("/job") for number in range(5)]
    adapter.wait_until(sees(5), "it adds up")
    names = {r["name"] for r in api.request("GET", EXTERNAL)["resources"]}
    assert names == {f"slotgate_{name}" for name in (
        "concurrency", "stable_concurrency", "panic_concurrency", "queued_requests",
        "in_flight_requests", "desired_pods")}
    assert external(api, namespace, "slotgate_queued_requests", "service=sd") == {"sd": "5"}
    assert external(api, namespace, "slotgate_concurrency", "service=other") == {}
    assert refusal(api, f"{EXTERNAL}/namespaces/{namespace}/slotgate_restarts", 404)
    api.create(deployment("sd", 1), namespace)
    api.create(autoscaler(), namespace)
    wait_for_replicas(api, namespace, 5)
    for client in clients[1:]:
        client.leave()
    wait_for_replicas(api, namespace, 1)
