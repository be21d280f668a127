"""Who writes replicas, and which pods go: judged by the real controllers."""
import re

import pytest

from harness.kubernetes.api import ApiError
from harness.kubernetes.gateway import (LONG_S, RULES, Account, Painting, create_sd, is_writer,
                                        paint, replicas_of, start, wait_for_replicas)
from harness.kubernetes.objects import deployment, service
from harness.wait import wait_until

COST = "controller.kubernetes.io/pod-deletion-cost"
POOLS = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "gpupools.example.com"},
    "spec": {"group": "example.com", "scope": "Namespaced",
             "names": {"plural": "gpupools", "singular": "gpupool", "kind": "GpuPool"},
             "versions": [{
                 "name": "v1beta1", "served": True, "storage": True,
                 "subresources": {"scale": {"specReplicasPath": ".spec.replicas",
                                            "statusReplicasPath": ".status.replicas"}},
                 "schema": {"openAPIV3Schema": {
                     "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}


def left(api, namespace):
    return {pod["metadata"]["uid"] for pod in api.pods(namespace)}


def busy_pod(gateway):
    """(name, uid) of the one that works."""
    [name] = [name for name, pod in gateway.pods().items() if pod["used"]]
    return name.split("@")[0], name.split("#")[1]


# --- a busy pod is never taken while an idle one could be ---

def adversity_none(api, namespace, kubelet, name):
    """Nothing but the controller's own wish to take the youngest."""


def adversity_marked(api, namespace, kubelet, name):
    """Somebody who is gone has left the mark on the one that works."""
    api.patch("Pod", namespace, name, {"metadata": {"annotations": {COST: "-1000"}}})


@pytest.mark.parametrize("adversity", [adversity_none, adversity_marked])
def test_a_busy_pod_is_never_taken(api, namespace, kubelet, gateways, account, adversity):
    """The one that works is each time the youngest, which a ReplicaSet takes first by itself. A pod
    that is taken ends at once, and its job with it."""
    create_sd(api, namespace, 1, grace_s=1, args=["--service-time", "3s"])
    gateway = start(gateways, account, autoscaling={"maxScaleDownRate": 100})
    gateway.wait_for(ready=1)
    for _ in range(2):
        [old] = left(api, namespace)
        gateway.wait_for(ready=1)
        with Painting(gateway, 3) as first:  # two more pods come, and all three work
            gateway.wait_for(working=3)
        assert first.statuses == [200] * 3
        # It works until it is told to stop, however long the controllers take.
        with Painting(gateway, 1, headers={"X-Demo-Time": "10m"}, patience_s=4 * LONG_S) as work:
            gateway.wait_for(working=1)
            name, uid = busy_pod(gateway)
            adversity(api, namespace, kubelet, name)
            wait_for_replicas(api, namespace, 1)
            wait_until(lambda: len(api.list("Pod", namespace)) == 1, "the others go", LONG_S)
            assert left(api, namespace) == {uid}, (old, gateway.log()[-6000:])
            assert gateway.post("/sdapi/v1/interrupt").status == 200
        assert work.statuses == [200]


def test_of_a_stateful_set_those_above_the_busy_one_go(api, namespace, kubelet, gateways, account):
    """Its ordinals begin at five: sd-7 is the third."""
    create_sd(api, namespace, kind="StatefulSet", grace_s=1, args=["--service-time", "1s"])
    api.patch("StatefulSet", namespace, "sd", {"spec": {"ordinals": {"start": 5}}})
    gateway = start(gateways, account, kubernetes={"scale": {"resource": "statefulsets"}},
                    autoscaling={"maxScaleDownRate": 100})
    with Painting(gateway, 1, headers={"X-Demo-Time": "10m"}, patience_s=4 * LONG_S) as work:
        gateway.wait_for(working=1)
        assert busy_pod(gateway)[0] == "sd-5"
        with Painting(gateway, 2) as others:
            wait_for_replicas(api, namespace, 3, "StatefulSet")
        assert others.statuses == [200, 200]
        wait_for_replicas(api, namespace, 1, "StatefulSet")
        wait_until(lambda: [pod["metadata"]["name"] for pod in api.list("Pod", namespace)]
                   == ["sd-5"], "the others go", LONG_S)
        assert gateway.post("/sdapi/v1/interrupt").status == 200
    assert work.statuses == [200]


def test_idle_pods_wait_for_a_busy_one_that_is_not_ready(api, namespace, kubelet, gateways,
                                                         account):
    """A ReplicaSet would take that one first, whatever it costs."""
    create_sd(api, namespace, 3, grace_s=1, args=["--service-time", "6s"])
    gateway = start(gateways, account, autoscaling={"maxScaleDownRate": 100})
    gateway.wait_for(ready=3)
    with Painting(gateway, 1) as work:
        gateway.wait_for(working=1)
        name, uid = busy_pod(gateway)
        kubelet.flap(name, False)
        wait_until(lambda: f"pod {name} may have work" in gateway.log(), "the others wait", LONG_S)

        def look():
            kept = replicas_of(api, namespace) == 3 and uid in left(api, namespace)
            works = gateway.figures()["working"] == 1
            assert kept or not works
            return not works

        wait_until(look, "it has finished", LONG_S, 0.05)
    assert work.statuses == [200]
    assert gateway.figures()["desired"] <= 1
    kubelet.flap(name, None)
    wait_for_replicas(api, namespace, 0)


def test_marks_are_taken_back_from_those_that_may_stay(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 2, args=["--service-time", "300ms"])
    for pod in wait_until(lambda: len(api.pods(namespace)) == 2 and api.pods(namespace), "two"):
        adversity_marked(api, namespace, kubelet, pod["metadata"]["name"])
    gateway = start(gateways, account, autoscaling={"minScale": 2})
    gateway.wait_for(ready=2)
    wait_until(lambda: not any(COST in pod["metadata"].get("annotations", {})
                               for pod in api.pods(namespace)), "no marks", LONG_S)


# --- one writer ---

def writes(gateway):
    return gateway.metrics()("slotgate_kubernetes_scale_writes_total", service="sd")


def lines(gateways, pattern):
    """(time, whose) of all logs, in order."""
    found = [(line.split(" ")[0], identity) for identity, gateway in gateways.items()
             for line in gateway.log().splitlines() if re.search(pattern, line)]
    return sorted(found)


def test_gateways_fight_for_the_lease(api, namespace, kubelet, gateways, account):
    """The holder is killed, and the next one stands still for longer than its lease: each time
    another one takes over, and no one writes that did not take it last."""
    create_sd(api, namespace, args=["--service-time", "300ms"])
    every = {name: start(gateways, account, kubernetes={"identity": name})
             for name in ("one", "two", "three")}

    def holder(among):
        """The one that says it is, once there is just one."""
        def look():
            say = [name for name in among if is_writer(every[name])]
            return say[0] if len(say) == 1 else None

        return wait_until(look, lambda: {name: is_writer(every[name]) for name in among}, LONG_S)

    first = holder(every)
    for gateway in every.values():  # also by those that write nothing
        assert [answer.status for answer in paint(gateway, 1)] == [200]
    every[first].kill()
    rest = [name for name in every if name != first]
    second = holder(rest)
    [third] = [name for name in rest if name != second]
    assert paint(every[third], 1)[0].status == 200
    wait_for_replicas(api, namespace, 0)
    wait_until(lambda: not api.list("Pod", namespace), "all pods go", LONG_S)
    before = writes(every[second])
    with every[second].paused():
        assert holder([third]) == third
        client = every[second].client(timeout=LONG_S)  # it will want a pod as soon as it goes on
        client.post("/sdapi/v1/txt2img", b"{}")
    assert client.read_response().status == 200  # by the other one's hand
    assert holder(rest) == third
    assert writes(every[second]) == before
    for name in rest:
        assert paint(every[name], 1)[0].status == 200
    wait_for_replicas(api, namespace, 0)
    holds = lines(every, r"sd: \w+ holds the lease")
    for at, name in lines(every, r": replicas \d+ -> \d+"):
        assert [who for when, who in holds if when <= at][-1] == name, (at, name, holds)
    lease = api.get("Lease", namespace, "slotgate-sd")
    assert lease["spec"]["leaseTransitions"] >= 2
    every[first].wait()


def test_of_two_gateways_of_one_name_one_takes_another(api, namespace, kubelet, gateways, account):
    """Else both would write, each what it alone wants."""
    create_sd(api, namespace, args=["--service-time", "300ms"])
    both = {name: start(gateways, account, kubernetes={"identity": "same"}) for name in "ab"}
    wait_until(lambda: sum("another gateway is called same, too" in g.log() for g in both.values())
               == 1, lambda: [g.log()[-2000:] for g in both.values()], LONG_S)
    wait_until(lambda: sum(is_writer(g) for g in both.values()) == 1, "one writer", LONG_S)
    for gateway in both.values():
        assert [answer.status for answer in paint(gateway, 2)] == [200, 200]
    assert sum("pods.kubernetes.identity" in g.log() for g in both.values()) == 1
    wait_for_replicas(api, namespace, 0)


# --- whatever has a scale ---

def has_scale(api):
    try:
        known = api.request("GET", "/apis/example.com/v1beta1")["resources"]
    except ApiError:  # not even its group is known yet
        return False
    return "gpupools/scale" in {resource["name"] for resource in known}


def test_any_kind_that_has_a_scale(cluster, api, namespace, kubelet, gateways):
    """The test is its controller."""
    api.create(POOLS)
    path = f"/apis/example.com/v1beta1/namespaces/{namespace}/gpupools"
    template = deployment("sd", args=["--service-time", "100ms"])["spec"]["template"]
    try:
        wait_until(lambda: has_scale(api), "its scale", LONG_S)
        api.request("POST", path, {"apiVersion": "example.com/v1beta1", "kind": "GpuPool",
                                   "metadata": {"name": "pool"}, "spec": {"replicas": 0}})
        api.create(service("sd"), namespace)
        account = Account(cluster, namespace, RULES + [
            ("example.com", ["gpupools"], ["get"]),
            ("example.com", ["gpupools/scale"], ["get", "update"])])
        gateway = start(gateways, account, kubernetes={"scale": {
            "group": "example.com", "version": "v1beta1", "resource": "gpupools", "name": "pool"}})

        def wanted():
            return api.request("GET", f"{path}/pool")["spec"]["replicas"]

        with Painting(gateway, 1) as work:
            wait_until(lambda: wanted() == 1, "one is wanted", LONG_S)
            api.create({"apiVersion": "v1", "kind": "Pod", **template,
                        "metadata": {"name": "pool-a", "labels": {"app": "sd"}}}, namespace)
        assert work.statuses == [200]
        wait_until(lambda: wanted() == 0, "none is", LONG_S)
    finally:
        api.delete("CustomResourceDefinition", None, POOLS["metadata"]["name"])


# --- where somebody else scales ---

def test_a_quarantined_pod_is_replaced_whoever_scales(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 1, grace_s=1, args=["--service-time", "50ms"])
    gateway = start(gateways, account, kubernetes={"scaler": "none"}, timeouts={"response": "1s"},
                    quarantine={"restartAfter": "300ms"})
    gateway.wait_for(ready=1)
    before = left(api, namespace)
    assert gateway.post("/sdapi/v1/txt2img", b"{}", {"X-Demo-Fault": "hang"}).status == 504
    wait_until(lambda: left(api, namespace) not in (set(), before), "another pod", LONG_S)
    gateway.wait_for(ready=1)
    assert paint(gateway, 1)[0].status == 200


def test_without_the_right_to_delete_it_is_taken_back_when_it_is_idle(cluster, api, namespace,
                                                                      kubelet, gateways):
    rules = [(group, what, [verb for verb in verbs if verb != "delete"])
             for group, what, verbs in RULES]
    create_sd(api, namespace, 1, args=["--service-time", "3s"])
    gateway = start(gateways, Account(cluster, namespace, rules), timeouts={"response": "1s"},
                    autoscaling={"minScale": 1, "maxScale": 1},
                    quarantine={"restartAfter": "300ms"})
    gateway.wait_for(ready=1)
    before = left(api, namespace)
    assert gateway.post("/sdapi/v1/txt2img").status == 504
    wait_until(lambda: "cannot be deleted" in gateway.log(), "it is told", LONG_S)
    gateway.wait_for(ready=1)
    assert left(api, namespace) == before


# --- when none can come ---

def test_who_waits_may_go_on_waiting(api, namespace, kubelet, gateways, account):
    kubelet.change(namespace, pull_back_off="manifest unknown")
    create_sd(api, namespace, args=["--service-time", "50ms"])
    gateway = start(gateways, account, kubernetes={"onFailure": "wait"})
    with Painting(gateway, 1) as work:
        wait_until(lambda: any(status["state"].get("waiting", {}).get("reason")
                               == "ImagePullBackOff" for pod in api.pods(namespace)
                               for status in pod["status"].get("containerStatuses", [])),
                   "the image cannot be pulled", LONG_S)
        gateway.wait_for(waiting=1)
        kubelet.change(namespace, pull_back_off="")
    assert work.statuses == [200]


# --- as it is deployed ---

def test_in_the_cluster(cluster, api, namespace, kubelet, gateways, account):
    """By the service account that is mounted into its pod, whose token is rotated; and a port that
    has a name."""
    api.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sd"}, "spec": {
        "selector": {"app": "sd"}, "ports": [
            {"name": "metrics", "port": 90, "targetPort": 9090},
            {"name": "api", "port": 80, "targetPort": "http"}]}}, namespace)
    api.create(deployment("sd", args=["--service-time", "100ms"]), namespace)
    settings = account.service(kubernetes={"port": "api", "watchTimeout": "2s"})
    del settings["pods"]["kubernetes"]["kubeconfig"]
    place = "/run/secrets/kubernetes.io/serviceaccount"
    mounted = ("unshare", "--mount", "--", "sh", "-c",
               f"mount -t tmpfs tmpfs /run && mkdir -p {place} && "
               f'mount --bind "$0" {place} && exec "$@"', str(account.mount))
    gateway = gateways(services=[settings], wrapper=mounted, environment={
        "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"})
    assert paint(gateway, 1)[0].status == 200
    wait_for_replicas(api, namespace, 0)
    (account.mount / "token").write_text("not.a.token")
    up = "slotgate_provider_up"
    wait_until(lambda: gateway.metrics()(up, service="sd") == 0, "a bad token", LONG_S)
    cluster.rotate(account.mount, namespace, account.name)
    wait_until(lambda: gateway.metrics()(up, service="sd") == 1, "a good one", LONG_S)
    assert paint(gateway, 1)[0].status == 200
