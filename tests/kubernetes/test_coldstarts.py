"""Where cold starts go, on the real API server: what pods, their statuses and their Events tell."""
import json
import threading
import time

import pytest

from harness.kubernetes.gateway import RULES, Account
from harness.kubernetes.objects import deployment, service
from harness.wait import wait_until

LONG_S = 30
STEPS = ["demanded", "ordered", "created", "scheduled", "prepared", "pulling", "pulled", "started",
         "listening", "ready", "requested", "answered"]


def create_sd(api, namespace, replicas=0, **options):
    api.create(service("sd"), namespace)
    api.create(deployment("sd", replicas, **options), namespace)


def start(gateways, account, top=None, **options):
    front = gateways(services=[account.service(**options)], top=top)
    wait_until(lambda: front.metrics()("slotgate_provider_up", service="sd") == 1,
               lambda: front.log()[-6000:], LONG_S)
    return front


def starts_of(front):
    status, _, text = front.admin("/v1/coldstarts")
    assert status == 200, text
    [service_] = json.loads(text)["services"]
    for one in service_["coldStarts"]:
        known = [at for at in one["marks"].values() if at is not None]
        assert known == sorted(known), one
        if one["state"] != "starting":
            assert sum(span["seconds"] for span in one["spans"]) == pytest.approx(
                one["seconds"], abs=1e-4), one
    return service_["coldStarts"]


def wait_for_start(front, what, condition):
    """The newest one, once that is so."""
    def look():
        starts = starts_of(front)
        return starts and condition(starts[0]) and starts[0]
    return wait_until(look, lambda: f"{what}: {front.admin('/v1/coldstarts')[2]}", LONG_S)


def wait_until_at(front, mark):
    return wait_for_start(front, mark, lambda one: one["since"] == mark)


class Client:
    """Asks for an image, and waits in a thread of its own."""

    def __init__(self, front):
        self.front, self.answer = front, None
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()

    def _ask(self):
        with self.front.client(timeout=2 * LONG_S) as client:
            self.answer = client.post("/sdapi/v1/txt2img", b'{"prompt": "a dog"}').read_response()

    def status(self):
        self.thread.join(2 * LONG_S)
        return self.answer and self.answer.status


def phases(one):
    return {" + ".join(span["phases"]): span["seconds"] for span in one["spans"]}


def release(kubelet, namespace, held):
    kubelet.change(namespace, hold=tuple(held))


def test_every_step_from_the_demand_to_the_first_byte(api, namespace, kubelet, gateways, account):
    """The kubelet is held before each step, so each is seen to be under way, and takes its time."""
    create_sd(api, namespace, args=["--cold-start", "400ms", "--api-delay", "200ms",
                                    "--service-time", "200ms"])
    front = start(gateways, account)
    release(kubelet, namespace, ["schedule", "init", "pull", "start"])
    asked = time.time()
    client = Client(front)
    one = wait_until_at(front, "created")
    [pod] = kubelet_pods(kubelet, namespace)
    kubelet.event(pod, "TriggeredScaleUp", "pod triggered scale-up: [gpu 0->1 (max: 10)]",
                  component="cluster-autoscaler")
    wait_until_at(front, "triggered")
    release(kubelet, namespace, ["init", "pull", "start"])
    one = wait_until_at(front, "scheduled")
    assert one["node"] and one["nodeAdded"] and one["state"] == "starting"
    release(kubelet, namespace, ["pull", "start"])
    pulling = wait_until_at(front, "pulling")["marks"]["pulling"] / 1000
    wait_until(lambda: time.time() > pulling + 1.2, "it pulls for more than a stamp's second")
    release(kubelet, namespace, ["start"])
    wait_until_at(front, "pulled")
    release(kubelet, namespace, [])
    assert client.status() == 200
    whole = time.time() - asked
    one = wait_for_start(front, "all of it", lambda one: all(
        one["marks"][step] for step in [*STEPS, "triggered"]))
    assert one["state"] == "answered" and one["imageBytes"] == 18.7e9 and one["pod"] == pod.name
    took = phases(one)
    assert list(took) == ["order", "create", "trigger", "schedule", "prepare", "pull_start", "pull",
                          "start", "listen", "ready", "request", "answer"]
    assert 1 < took["pull"] < whole and took["listen"] + took["start"] >= 0.15
    assert took["ready"] > 0.1 and took["answer"] >= 0.2
    assert one["seconds"] <= whole + 0.01
    assert abs(one["marks"]["demanded"] / 1000 - asked) < 1


def kubelet_pods(kubelet, namespace):
    return wait_until(lambda: [pod for pod in list(kubelet.pods.values())
                               if pod.namespace == namespace], "the kubelet has it", LONG_S)


def test_without_the_right_to_read_events_they_are_unknown(api, namespace, kubelet, gateways,
                                                           cluster):
    """Nothing else suffers by it: it is no fault of the provider's."""
    rules = [rule for rule in RULES if "events" not in rule[1]]
    create_sd(api, namespace)
    front = start(gateways, Account(cluster, namespace, rules))
    assert Client(front).status() == 200
    one = wait_for_start(front, "the pod's own words", lambda one: one["state"] == "answered"
                         and one["marks"]["started"])
    assert one["marks"]["pulling"] is None and one["marks"]["pulled"] is None
    assert one["marks"]["scheduled"] and one["marks"]["listening"]
    [gap] = [phase for phase in phases(one) if "pull" in phase]
    assert "pull_start + pull" in gap
    assert front.admin("/readyz")[2] == "ok\n"
    wait_until(lambda: "Events cannot be read" in front.log(), "it is told", LONG_S)


def test_pods_that_were_up_before_have_no_cold_start(api, namespace, kubelet, gateways, account):
    create_sd(api, namespace, 2)
    wait_until(lambda: len([1 for pod in api.pods(namespace) if any(
        c["type"] == "Ready" and c["status"] == "True"
        for c in pod["status"].get("conditions", []))]) == 2, "both are ready", LONG_S)
    front = start(gateways, account, autoscaling={"minScale": 2})
    front.wait_for(ready=2)
    assert starts_of(front) == []


def test_a_gateway_that_comes_in_the_middle_knows_what_the_api_server_tells(
        api, namespace, kubelet, gateways, account):
    """What it did not see itself, who asked for the pod, stays unknown."""
    create_sd(api, namespace, 1)
    release(kubelet, namespace, ["start"])
    wait_until(lambda: any(event["reason"] == "Pulled"
                           for event in api.list("CoreEvent", namespace)), "pulled", LONG_S)
    front = start(gateways, account, autoscaling={"minScale": 1})
    one = wait_until_at(front, "pulled")
    assert one["marks"]["demanded"] is None and one["marks"]["ordered"] is None
    assert one["marks"]["pulling"] and list(one["marks"])[0] == "demanded"
    release(kubelet, namespace, [])
    one = wait_for_start(front, "ready", lambda one: one["state"] == "ready")
    assert one["marks"]["demanded"] is None


def test_it_goes_on_over_an_upgrade(api, namespace, kubelet, gateways, account, tmp_path):
    create_sd(api, namespace)
    front = start(gateways, account, top={"upgradeSocket": str(tmp_path / "upgrade"),
                                          "drainTimeout": "30s"})
    release(kubelet, namespace, ["pull"])
    client = Client(front)
    before = wait_until_at(front, "pulling")
    front.upgrade()
    after = wait_until_at(front, "pulling")
    assert {step: after["marks"][step] for step in STEPS[:6]} == \
        {step: before["marks"][step] for step in STEPS[:6]}
    release(kubelet, namespace, [])
    assert client.status() == 200
    one = wait_for_start(front, "all of it", lambda one: all(one["marks"][s] for s in STEPS))
    assert len(starts_of(front)) == 1 and one["marks"]["demanded"] == before["marks"]["demanded"]


def test_a_pod_that_was_ordered_before_an_upgrade_and_comes_after(
        api, namespace, kubelet, gateways, account, tmp_path):
    """The order moves too; its quota lets the pod come only then."""
    create_sd(api, namespace)
    api.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
                "spec": {"hard": {"pods": "0"}}}, namespace)
    front = start(gateways, account, kubernetes={"onFailure": "wait"},
                  top={"upgradeSocket": str(tmp_path / "upgrade"), "drainTimeout": "30s"})
    wait_until(lambda: api.get("ResourceQuota", namespace, "none").get("status", {}).get("hard"),
               "the quota holds", LONG_S)
    asked = time.time() * 1000
    client = Client(front)
    wait_until(lambda: api.get("Deployment", namespace, "sd", "scale")["spec"].get("replicas") == 1,
               "it is ordered", LONG_S)
    front.upgrade()
    upgraded = time.time() * 1000
    assert starts_of(front) == []
    # The API says whole seconds: one of the same second may be there already, says who only lists it.
    wait_until(lambda: time.time() // 1 > upgraded // 1000, "the next second", LONG_S)
    api.delete("ResourceQuota", namespace, "none")
    assert client.status() == 200
    one = wait_for_start(front, "its order", lambda one: one["state"] == "answered")
    assert None not in (one["marks"]["demanded"], one["marks"]["ordered"]), one
    assert asked - 5 <= one["marks"]["demanded"] <= one["marks"]["ordered"] <= upgraded


def test_a_pod_in_the_place_of_another_came_for_the_same_demand(api, namespace, kubelet, gateways,
                                                               account):
    create_sd(api, namespace)
    front = start(gateways, account)
    release(kubelet, namespace, ["pull"])
    client = Client(front)
    first = wait_until_at(front, "pulling")
    api.delete("Pod", namespace, first["pod"], gracePeriodSeconds=0)
    release(kubelet, namespace, [])
    assert client.status() == 200
    second = wait_for_start(front, "another", lambda one: one["state"] == "answered"
                            and one["pod"] != first["pod"])
    assert second["marks"]["demanded"] == first["marks"]["demanded"]
    assert {one["pod"]: one["state"] for one in starts_of(front)} == {
        first["pod"]: "gone", second["pod"]: "answered"}


def test_where_another_writes_replicas_the_demand_is_known_all_the_same(
        api, namespace, kubelet, gateways, account):
    create_sd(api, namespace)
    front = start(gateways, account, kubernetes={"scaler": "none"})
    asked = time.time() * 1000
    client = Client(front)
    front.wait_for(waiting=1)
    api.scale(namespace, "sd", 1)
    assert client.status() == 200
    one = wait_for_start(front, "answered", lambda one: one["state"] == "answered")
    assert one["marks"]["demanded"] >= asked - 5 and one["marks"]["ordered"] is None
    assert "order + create" in phases(one)


def test_why_it_does_not_come_up_is_told(api, namespace, kubelet, gateways, account):
    kubelet.change(namespace, unschedulable="0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    create_sd(api, namespace)
    front = start(gateways, account)
    client = Client(front)
    wait_for_start(front, "why", lambda one: "Insufficient nvidia.com/gpu" in one["why"])
    kubelet.change(namespace, unschedulable="")
    assert client.status() == 200
