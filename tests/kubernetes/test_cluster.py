"""The harness itself: real controllers, our kubelet."""
import re
from pathlib import Path

import pytest

from harness.kubernetes.api import ApiError
from harness.kubernetes.objects import deployment, role, role_binding, service
from harness.wait import wait_until

MODULE = Path(__file__).parent / "binaries/go.mod"
LONG_S = 30
COST = "controller.kubernetes.io/pod-deletion-cost"


def condition(pod, kind):
    return next((c for c in pod["status"].get("conditions", []) if c["type"] == kind), {})


def ready_pods(api, namespace):
    return [pod for pod in api.pods(namespace) if condition(pod, "Ready").get("status") == "True"]


def states(api, namespace):
    """For a message: each pod's phase, and why its containers wait."""
    return {pod["metadata"]["name"]: (
        pod["status"]["phase"], condition(pod, "Ready").get("status"),
        [status["state"] for status in pod["status"].get("containerStatuses", [])])
        for pod in api.list("Pod", namespace)}


def wait_for_ready(api, namespace, count):
    return wait_until(lambda: len(found := ready_pods(api, namespace)) == count and
                      len(api.list("Pod", namespace)) == count and (found or True),
                      lambda: f"{count} pods ready; {states(api, namespace)}", LONG_S)


def create_sd(api, namespace, replicas=0, **options):
    api.create(service("sd"), namespace)
    api.create(deployment("sd", replicas, **options), namespace)


def conditions_of(api, namespace):
    return {name: endpoint["conditions"]
            for name, endpoint in api.endpoints(namespace, "sd").items()}


def events(api, namespace, reason):
    return [event for event in api.list("CoreEvent", namespace) if event["reason"] == reason]


def waiting_reason(api, namespace):
    """Why the containers of the namespace's pods wait."""
    return {status["state"].get("waiting", {}).get("reason") for pod in api.pods(namespace)
            for status in pod["status"].get("containerStatuses", [])}


def test_the_api_server_is_of_the_release_that_it_is_built_from(api):
    release = re.search(r"k8s.io/kubernetes (v[\d.]+)$", MODULE.read_text(), re.M)[1]
    assert api.request("GET", "/version")["gitVersion"] == release


def test_a_deployment_scales_by_the_real_controllers(api, namespace, kubelet):
    create_sd(api, namespace)
    wait_until(lambda: api.list("ReplicaSet", namespace), "its ReplicaSet", LONG_S)
    assert api.endpoints(namespace, "sd") == {}
    api.scale(namespace, "sd", 3)
    pods = wait_for_ready(api, namespace, 3)
    addresses = {pod["status"]["podIP"] for pod in pods}
    assert len(addresses) == 3
    live = {"ready": True, "serving": True, "terminating": False}
    wait_until(lambda: list(conditions_of(api, namespace).values()) == [live] * 3,
               lambda: f"three ready endpoints; {conditions_of(api, namespace)}", LONG_S)
    endpoints = api.endpoints(namespace, "sd")
    assert {address for e in endpoints.values() for address in e["addresses"]} == addresses
    assert ({e["targetRef"]["uid"] for e in endpoints.values()}
            == {pod["metadata"]["uid"] for pod in pods})
    api.scale(namespace, "sd", 1)
    wait_for_ready(api, namespace, 1)
    wait_until(lambda: len(api.endpoints(namespace, "sd")) == 1, "one endpoint", LONG_S)
    assert len([n for n in kubelet.audits if n.startswith("sd-")]) >= 2  # really processes


def test_a_pod_on_its_way_out_serves_and_is_not_ready(api, namespace, kubelet):
    create_sd(api, namespace, 1)
    [pod] = wait_for_ready(api, namespace, 1)
    name = pod["metadata"]["name"]
    wait_until(lambda: name in api.endpoints(namespace, "sd"), "its endpoint", LONG_S)
    kubelet.change(namespace, hold=("stop",))
    api.delete("Pod", namespace, name)
    leaving = {"ready": False, "serving": True, "terminating": True}
    wait_until(lambda: conditions_of(api, namespace).get(name) == leaving,
               lambda: conditions_of(api, namespace), LONG_S)
    kubelet.change(namespace, hold=())
    wait_until(lambda: name not in api.endpoints(namespace, "sd"), "its endpoint goes", LONG_S)


def test_a_pod_that_is_not_ready_has_its_address_already(api, namespace, kubelet):
    kubelet.change(namespace, hold=("pull",))
    create_sd(api, namespace, 1)
    waiting = {"ready": False, "serving": False, "terminating": False}
    wait_until(lambda: list(conditions_of(api, namespace).values()) == [waiting],
               lambda: conditions_of(api, namespace), LONG_S)
    kubelet.change(namespace, hold=())
    wait_for_ready(api, namespace, 1)


def test_a_pod_flaps(api, namespace, kubelet):
    create_sd(api, namespace, 1)
    [pod] = wait_for_ready(api, namespace, 1)
    for ready in (False, True):
        kubelet.flap(pod["metadata"]["name"], ready)
        wait_until(lambda: [c["ready"] for c in conditions_of(api, namespace).values()] == [ready],
                   lambda: f"ready: {ready}; {conditions_of(api, namespace)}", LONG_S)


@pytest.mark.parametrize("spared", [0, 1, 2])
def test_the_replicaset_spares_the_pod_that_costs_most(api, namespace, kubelet, spared):
    create_sd(api, namespace, 3)
    names = sorted(pod["metadata"]["name"] for pod in wait_for_ready(api, namespace, 3))
    for number, name in enumerate(names):
        cost = {COST: str(1000 if number == spared else -1000)}
        api.patch("Pod", namespace, name, {"metadata": {"annotations": cost}})
    api.scale(namespace, "sd", 1)
    [left] = wait_for_ready(api, namespace, 1)
    assert left["metadata"]["name"] == names[spared]


def test_an_unready_pod_goes_first_whatever_it_costs(api, namespace, kubelet):
    """The limit of pod-deletion-cost, as the real controller judges: a fact to build on."""
    create_sd(api, namespace, 2)
    busy, idle = (pod["metadata"]["name"] for pod in wait_for_ready(api, namespace, 2))
    api.patch("Pod", namespace, busy, {"metadata": {"annotations": {COST: "1000"}}})
    kubelet.flap(busy, False)
    wait_until(lambda: len(ready_pods(api, namespace)) == 1, "one is not ready", LONG_S)
    wait_until(lambda: api.get("Deployment", namespace, "sd")["status"].get("readyReplicas") == 1,
               "the controllers have seen it", LONG_S)
    api.scale(namespace, "sd", 1)
    [left] = wait_for_ready(api, namespace, 1)
    assert left["metadata"]["name"] == idle


@pytest.mark.parametrize("fault, reason", [
    ({"unschedulable": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."}, None),
    ({"pull_back_off": "manifest unknown"}, "ImagePullBackOff"),
    ({"flags": ("--fail-start",)}, "CrashLoopBackOff"),
])
def test_faults_look_as_a_kubelet_tells_them_and_can_be_mended(
        api, namespace, kubelet, fault, reason):
    kubelet.change(namespace, **fault)
    create_sd(api, namespace, 1)
    if reason:
        wait_until(lambda: waiting_reason(api, namespace) == {reason},
                   lambda: f"{reason}; {waiting_reason(api, namespace)}", LONG_S)
    else:
        wait_until(lambda: any(condition(pod, "PodScheduled").get("reason") == "Unschedulable"
                               for pod in api.pods(namespace)), "unschedulable", LONG_S)
        wait_until(lambda: events(api, namespace, "FailedScheduling"), "its event", LONG_S)
    kubelet.change(namespace, **{key: type(value)() for key, value in fault.items()})
    wait_for_ready(api, namespace, 1)


def test_a_cold_start_leaves_its_events(api, namespace, kubelet):
    create_sd(api, namespace, 1)
    wait_for_ready(api, namespace, 1)
    for reason in ("Scheduled", "Pulling", "Pulled", "Created", "Started"):
        [event] = wait_until(lambda r=reason: events(api, namespace, r), reason, LONG_S)
        assert bool(event.get("eventTime")) == (reason == "Scheduled")
        assert bool(event.get("firstTimestamp")) == (reason != "Scheduled")


def test_a_slow_start_is_not_ready_until_it_answers(api, namespace, kubelet):
    create_sd(api, namespace, 1, args=["--cold-start", "1h"])
    wait_until(lambda: [pod["status"]["phase"] for pod in api.pods(namespace)] == ["Running"],
               "it runs", LONG_S)
    assert ready_pods(api, namespace) == []


def test_an_address_is_recycled(api, namespace, kubelet):
    create_sd(api, namespace, 1)
    [old] = wait_for_ready(api, namespace, 1)
    kubelet.recycles = True
    api.scale(namespace, "sd", 0)
    wait_until(lambda: not api.list("Pod", namespace), "it goes", LONG_S)
    api.scale(namespace, "sd", 1)
    [new] = wait_for_ready(api, namespace, 1)
    assert new["status"]["podIP"] == old["status"]["podIP"]
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


def test_a_stateful_set_scales(api, namespace, kubelet):
    api.create(service("sd"), namespace)
    api.create(deployment("sd", 1, kind="StatefulSet"), namespace)
    wait_for_ready(api, namespace, 1)
    api.scale(namespace, "sd", 2, "StatefulSet")
    assert ({pod["metadata"]["name"] for pod in wait_for_ready(api, namespace, 2)}
            == {"sd-0", "sd-1"})


def test_the_api_server_is_killed_and_comes_back(cluster, api, namespace, kubelet):
    create_sd(api, namespace, 1)
    [before] = wait_for_ready(api, namespace, 1)
    cluster.kill_api()
    with pytest.raises(OSError):
        api.pods(namespace)
    cluster.start_api()
    api.scale(namespace, "sd", 2)
    after = wait_for_ready(api, namespace, 2)
    assert before["metadata"]["uid"] in {pod["metadata"]["uid"] for pod in after}


def test_history_that_is_gone_is_410(cluster, api, namespace):
    old = api.request("GET", f"/api/v1/namespaces/{namespace}/pods")["metadata"]["resourceVersion"]
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "newer"}}, namespace)
    cluster.forget_history()
    with pytest.raises(ApiError) as gone:
        for _ in api.watch("Pod", namespace, resourceVersion=old):
            pass
    assert gone.value.status == 410


def test_an_account_may_do_what_its_role_says_and_no_more(cluster, api, namespace):
    mount = cluster.account(namespace, "gateway")
    gateway = cluster.as_account(mount)
    with pytest.raises(ApiError) as refused:
        gateway.list("Pod", namespace)
    assert refused.value.status == 403
    api.create(role("gateway", [("", ["pods"], ["list"])]), namespace)
    api.create(role_binding("gateway", namespace, "gateway"), namespace)
    wait_until(lambda: gateway.may("list", namespace, "pods"), "the role counts", LONG_S)
    assert gateway.list("Pod", namespace) == []
    assert not gateway.may("delete", namespace, "pods")
    before = (mount / "token").read_text()
    cluster.rotate(mount, namespace, "gateway")
    assert (mount / "token").read_text() != before
    assert cluster.as_account(mount).list("Pod", namespace) == []


def test_many_pods_come_and_go(api, namespace, kubelet):
    """Without processes, as a test of slotgate with a thousand pods needs it."""
    kubelet.change(namespace, process=False)
    create_sd(api, namespace, 100)
    wait_for_ready(api, namespace, 100)
    wait_until(lambda: len(api.endpoints(namespace, "sd")) == 100, "100 endpoints", LONG_S)
    api.scale(namespace, "sd", 0)
    wait_until(lambda: not api.list("Pod", namespace), "they go", LONG_S)
