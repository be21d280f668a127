"""What pods and their slices may look like, and what becomes of those that change."""
import pytest

from harness.kubernetes.gateway import LONG_S, Painting, create_sd, is_up, paint, start
from harness.kubernetes.objects import deployment, now, service
from harness.wait import wait_until

PORTS = {"http": {"name": "http", "port": 80, "targetPort": 7860},
         "metrics": {"name": "metrics", "port": 90, "targetPort": 9090},
         "admin": {"name": "admin", "port": 70, "targetPort": 9091}}


def wait_for_endpoint(api, namespace):
    """The kubelet, too, calls the pod ready."""
    wait_until(lambda: [e["conditions"]["ready"] for e in api.endpoints(namespace, "sd").values()]
               == [True], "its endpoint", LONG_S)


@pytest.mark.parametrize("second", ["metrics", "admin"])
def test_of_several_ports_the_services_first_counts(api, namespace, kubelet, gateways, account,
                                                    second):
    """A slice has them in another order."""
    api.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sd"}, "spec": {
        "selector": {"app": "sd"}, "ports": [PORTS["http"], PORTS[second]]}}, namespace)
    api.create(deployment("sd", 1), namespace)
    wait_for_endpoint(api, namespace)
    gateway = start(gateways, account, autoscaling={"minScale": 1})
    gateway.wait_for(ready=1)
    [name] = gateway.pods()
    assert ":7860#" in name
    assert paint(gateway, 1)[0].status == 200


def test_a_pod_whose_address_changes_while_it_works(api, namespace, kubelet, gateways, account):
    """Its node was rebooted: the job is over, its client is told so, and the pod works again as soon
    as it answers at its new address, though its kubelet has not called it Ready yet."""
    create_sd(api, namespace, 1)
    gateway = start(gateways, account, autoscaling={"minScale": 1, "maxScale": 1})
    gateway.wait_for(ready=1)
    wait_for_endpoint(api, namespace)
    [pod] = api.pods(namespace)
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    with Painting(gateway, 1, headers={"X-Demo-Time": "10m"}) as work:
        gateway.wait_for(working=1)
        kubelet.flap(name, False)
        wait_until(lambda: [p["state"] for p in gateway.pods().values()] == ["absent"],
                   lambda: gateway.pods(), LONG_S)
        kubelet.move(name)
        wait_until(lambda: not work.thread.is_alive(), "its client is told", LONG_S)
    assert work.statuses == [502]
    assert paint(gateway, 1)[0].status == 200
    address = kubelet.pod(name).address
    assert address != pod["status"]["podIP"]
    assert list(gateway.pods()) == [f"{name}@{address}:7860#{uid}"]
    assert gateway.figures()["quarantined"] == 0


def test_a_pod_that_was_evicted_keeps_no_address(api, namespace, hall, gateways, account):
    """It stays in the API for long, and the one that has its address now may be the older one."""
    api.create(service("sd"), namespace)
    older = hall.order()
    wait_until(lambda: now() > older.created, "another second")
    younger = hall.start()
    gateway = start(gateways, account, kubernetes={"scaler": "none"})
    gateway.wait_for(ready=1)
    hall.evict(younger)
    gateway.wait_for(pods=0)
    hall.place(older)
    assert older.address == younger.address
    for again in (False, True):
        assert paint(gateway, 1)[0].status == 200
        assert list(gateway.pods()) == [f"{older.name}@{older.address}:7860#{older.uid}"]
        if not again:
            gateway.terminate()
            assert gateway.wait() == 0
            gateway = start(gateways, account, kubernetes={"scaler": "none"})


def test_pods_of_a_megabyte_each(api, namespace, kubelet, gateways, account):
    """A page of them would be longer than an answer may be: it is asked for in parts."""
    kubelet.change(namespace, process=False)
    create_sd(api, namespace, 16, env=[{"name": f"E{n}", "value": 100_000 * "x"} for n in range(11)])
    wait_until(lambda: len(api.list("Pod", namespace)) == 16, "their objects", LONG_S)
    gateway = start(gateways, account, autoscaling={"minScale": 16, "maxScale": 16})
    gateway.wait_for(pods=16)
    wait_until(lambda: is_up(gateway) == 1, lambda: gateway.admin("/readyz")[2], LONG_S)
