"""What pods and their slices may look like, and what becomes of those that change."""
import pytest

from harness.kubernetes.gateway import LONG_S, paint, start
from harness.kubernetes.objects import deployment
from harness.wait import wait_until

PORTS = {"http": {"name": "http", "port": 80, "targetPort": 7860},
         "metrics": {"name": "metrics", "port": 90, "targetPort": 9090},
         "admin": {"name": "admin", "port": 70, "targetPort": 9091}}


@pytest.mark.parametrize("second", ["metrics", "admin"])
def test_of_several_ports_the_services_first_counts(api, namespace, kubelet, gateways, account,
                                                    second):
    """A slice has them in another order."""
    api.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sd"}, "spec": {
        "selector": {"app": "sd"}, "ports": [PORTS["http"], PORTS[second]]}}, namespace)
    api.create(deployment("sd", 1), namespace)
    wait_until(lambda: [e["conditions"]["ready"] for e in api.endpoints(namespace, "sd").values()]
               == [True], "its endpoint", LONG_S)
    print([part["ports"] for part in api.list("EndpointSlice", namespace)])
    gateway = start(gateways, account, autoscaling={"minScale": 1})
    gateway.wait_for(ready=1)
    [name] = gateway.pods()
    assert ":7860#" in name
    assert paint(gateway, 1)[0].status == 200
