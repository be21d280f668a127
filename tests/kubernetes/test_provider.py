"""slotgate on the real API server: pods found, scaled, spared and given up."""
import json
import threading

import pytest

from harness.kubernetes.gateway import (LONG_S, create_sd, is_up, paint, replicas_of, start,
                                        wait_for_replicas)
from harness.wait import wait_until

AFTER_API_S = 90  # a request under way, and the pause after several failures, may take 30 s each


def test_from_zero_and_back(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, args=["--service-time", "300ms"])
    gateway = start(gateways, account)
    wait_until(lambda: is_up(gateway) == 1, lambda: gateway.log()[-6000:], LONG_S)
    answers = paint(gateway, 3)
    assert [answer.status for answer in answers] == [200] * 3, gateway.log()[-6000:]
    wait_for_replicas(api, namespace, 0)
    wait_until(lambda: not api.list("Pod", namespace), "its pods go", LONG_S)
    wait_until(lambda: gateway.pods() == {}, lambda: gateway.pods(), LONG_S)
    assert [answer.status for answer in paint(gateway, 1)] == [200]


def test_a_pod_gets_work_before_the_kubelet_calls_it_ready(api, namespace, kubelet, gateways,
                                                          account):
    create_sd(api, namespace, readinessProbe={"httpGet": {"path": "/never", "port": "http"}})
    gateway = start(gateways, account)
    assert paint(gateway, 1)[0].status == 200
    assert not any(e["conditions"]["ready"] for e in api.endpoints(namespace, "sd").values())


def test_the_busy_pod_stays(api, namespace, kubelet, gateways, account):
    """The ReplicaSet controller takes the pods that were found idle and marked."""
    create_sd(api, namespace, 4, args=["--service-time", "4s"])
    gateway = start(gateways, account, autoscaling={"maxScaleDownRate": 100})
    gateway.wait_for(ready=4)
    answers = []
    work = threading.Thread(target=lambda: answers.extend(paint(gateway, 1)))
    work.start()
    gateway.wait_for(working=1)
    [busy] = [name for name, pod in gateway.pods().items() if pod["used"]]
    wait_for_replicas(api, namespace, 1)
    wait_until(lambda: len(api.list("Pod", namespace)) == 1, "three go", LONG_S)
    [left] = api.pods(namespace)
    assert busy.endswith(left["metadata"]["uid"])
    work.join()
    assert answers[0].status == 200


@pytest.mark.parametrize("fault, says", [
    ({"pull_back_off": "manifest unknown"}, "ImagePullBackOff"),
    ({"flags": ("--fail-start",)}, "CrashLoopBackOff"),
    ({"unschedulable": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."},
     "Insufficient nvidia.com/gpu"),
])
def test_who_waits_is_told_why_no_pod_comes(api, namespace, kubelet, gateways, account, fault,
                                            says):
    kubelet.change(namespace, **fault)
    create_sd(api, namespace)
    gateway = start(gateways, account, kubernetes={"unschedulableAfter": "0s"})
    [answer] = paint(gateway, 1)
    assert answer.status == 503
    assert json.loads(answer.body)["reason"] == "scaling_failed", answer.body
    assert says in gateway.service()["scale"]["failure"]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_quota_is_told(api, namespace, kubelet, gateways, account, kind):
    """The one has a condition for it, the other says so in Events only."""
    api.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
                "spec": {"hard": {"pods": "0"}}}, namespace)
    create_sd(api, namespace, kind=kind)
    gateway = start(gateways, account, kubernetes={"scale": {"resource": f"{kind.lower()}s"}})
    [answer] = paint(gateway, 1)
    assert answer.status == 503
    assert "quota" in gateway.service()["scale"]["failure"], gateway.log()[-4000:]


def test_without_the_api_server_the_pods_stay(cluster, api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 2)
    gateway = start(gateways, account, autoscaling={"minScale": 2})
    gateway.wait_for(ready=2)
    cluster.kill_api()
    wait_until(lambda: is_up(gateway) == 0, "it is noticed", LONG_S)
    status, _, text = gateway.admin("/readyz")
    assert status == 200 and text.startswith("degraded: sd:"), text
    assert [answer.status for answer in paint(gateway, 4)] == [200] * 4
    cluster.start_api()
    wait_until(lambda: is_up(gateway) == 1, "it is there again", AFTER_API_S)
    assert gateway.admin("/readyz")[2] == "ok\n"
    gateway.wait_for(ready=2)


def test_history_that_is_gone_is_listed_anew(cluster, api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 1)
    gateway = start(gateways, account, autoscaling={"minScale": 1})
    gateway.wait_for(ready=1)
    lists = gateway.metrics()("slotgate_kubernetes_lists_total", service="sd")
    [old] = api.pods(namespace)

    def uids():
        return [pod["metadata"]["uid"] for pod in api.pods(namespace)]

    with gateway.paused():
        api.delete("Pod", namespace, old["metadata"]["name"], gracePeriodSeconds=1)
        wait_until(lambda: len(uids()) == 1 and uids() != [old["metadata"]["uid"]],
                   "another pod", LONG_S)
        cluster.forget_history()
    wait_until(lambda: gateway.metrics()("slotgate_kubernetes_lists_total", service="sd") > lists,
               "a new list", AFTER_API_S)
    wait_until(lambda: [n.split("#")[1] for n in gateway.pods()] == uids(),
               lambda: f"{gateway.pods()}, {api.pods(namespace)}, "
               f"{api.endpoints(namespace, 'sd')}, {gateway.log()[-6000:]}", AFTER_API_S)


def test_a_rotated_token_is_read_again(cluster, api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 1)
    gateway = start(gateways, account, kubernetes={"watchTimeout": "2s"},
                    autoscaling={"minScale": 1})
    gateway.wait_for(ready=1)
    (account.mount / "token").write_text("not.a.token")
    wait_until(lambda: is_up(gateway) == 0, "a bad token is noticed", LONG_S)
    cluster.rotate(account.mount, namespace, account.name)
    wait_until(lambda: is_up(gateway) == 1, "a good one too", LONG_S)


def test_a_pod_that_flaps_keeps_its_count(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 1, args=["--service-time", "3s"])
    gateway = start(gateways, account, autoscaling={"minScale": 1, "maxScale": 1})
    gateway.wait_for(ready=1)
    [name] = [pod["metadata"]["name"] for pod in api.pods(namespace)]
    wait_until(lambda: name in api.endpoints(namespace, "sd")
               and api.endpoints(namespace, "sd")[name]["conditions"]["ready"], "ready", LONG_S)
    answers = []
    work = threading.Thread(target=lambda: answers.extend(paint(gateway, 2)))
    work.start()
    gateway.wait_for(working=1, waiting=1)
    kubelet.flap(name, False)
    wait_until(lambda: [pod["state"] for pod in gateway.pods().values()] == ["absent"],
               lambda: gateway.pods(), LONG_S)
    kubelet.flap(name, None)
    wait_until(lambda: [(pod["state"], pod["used"]) for pod in gateway.pods().values()]
               == [("full", 1)], lambda: gateway.pods(), LONG_S)
    work.join()
    assert [answer.status for answer in answers] == [200, 200]


def test_two_gateways_and_one_writer(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, args=["--service-time", "1s"])
    both = [start(gateways, account, kubernetes={"identity": name}) for name in ("one", "two")]

    def writers():
        return [gateway.metrics()("slotgate_provider_writer", service="sd") for gateway in both]

    wait_until(lambda: sum(writers()) == 1, writers, LONG_S)
    other = both[writers().index(0)]
    assert paint(other, 1)[0].status == 200  # by the writer's hand
    first = both[writers().index(1)]
    first.terminate()
    assert first.wait() == 0
    wait_until(lambda: other.metrics()("slotgate_provider_writer", service="sd") == 1,
               "the other takes over", LONG_S)
    assert paint(other, 2)[0].status == 200
    wait_for_replicas(api, namespace, 0)


def test_a_stateful_set(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, kind="StatefulSet", args=["--service-time", "300ms"])
    gateway = start(gateways, account,
                    kubernetes={"scale": {"resource": "statefulsets"}})
    assert [answer.status for answer in paint(gateway, 2)] == [200, 200]
    wait_for_replicas(api, namespace, 0, "StatefulSet")


def test_somebody_else_scales(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 2)
    gateway = start(gateways, account, kubernetes={"scaler": "none"})
    gateway.wait_for(ready=2)
    api.scale(namespace, "sd", 1)
    gateway.wait_for(ready=1)
    assert paint(gateway, 1)[0].status == 200
    assert gateway.metrics()("slotgate_kubernetes_scale_writes_total", service="sd") == 0


def test_a_quarantined_pod_is_deleted_and_replaced(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 1, grace_s=1, args=["--service-time", "50ms"])
    gateway = start(gateways, account, autoscaling={"minScale": 1, "maxScale": 1},
                    timeouts={"response": "1s"}, quarantine={"restartAfter": "300ms"})
    gateway.wait_for(ready=1)
    [before] = api.pods(namespace)
    answer = gateway.post("/sdapi/v1/txt2img", b"{}", {"X-Demo-Fault": "hang"})
    assert answer.status == 504
    wait_until(lambda: [p["metadata"]["uid"] for p in api.pods(namespace)]
               not in ([], [before["metadata"]["uid"]]), "another pod", LONG_S)
    gateway.wait_for(ready=1)
    assert gateway.metrics()("slotgate_kubernetes_pod_deletions_total", service="sd") == 1
    assert paint(gateway, 1)[0].status == 200


def test_pods_that_run_are_kept_at_the_start(api, namespace, kubelet, gateways, account):
    """What runs is not surplus because this process has seen no request yet."""
    create_sd(api, namespace, 3)
    gateway = start(gateways, account, autoscaling={"stableWindow": "60s"})
    gateway.wait_for(ready=3)
    assert gateway.figures()["desired"] == 3
    assert replicas_of(api, namespace) == 3


def test_an_upgrade_keeps_pods_and_their_work(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 2, args=["--service-time", "3s"])
    gateway = gateways(services=[account.service(autoscaling={"minScale": 2})], upgradable=True)
    gateway.wait_for(ready=2)
    answers = []
    work = threading.Thread(target=lambda: answers.extend(paint(gateway, 3)))
    work.start()
    gateway.wait_for(working=2, waiting=1)
    gateway.upgrade()
    gateway.wait_for(pods=2)
    work.join()
    assert [answer.status for answer in answers] == [200] * 3
    gateway.wait_for(ready=2)
    assert paint(gateway, 1)[0].status == 200


def test_a_conflict_is_tried_again(api, namespace, kubelet, gateways, account):
    """Somebody changes the Deployment all the time; the scale is written nevertheless."""
    create_sd(api, namespace)
    gateway = start(gateways, account)
    over = threading.Event()

    def disturb():
        for number in range(10_000):
            if over.is_set():
                return
            api.patch("Deployment", namespace, "sd",
                      {"metadata": {"annotations": {"disturbed": str(number)}}})

    other = threading.Thread(target=disturb)
    other.start()
    try:
        assert [answer.status for answer in paint(gateway, 2)] == [200, 200]
        wait_for_replicas(api, namespace, 0)
    finally:
        over.set()
        other.join()
