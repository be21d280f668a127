"""Everything comes and goes while requests flow, and no promise is broken."""
import random
import re
import signal
import subprocess
import threading

from harness.kubernetes.cutter import Cutter
from harness.kubernetes.gateway import (GENERATE, LONG_S, Load, create_sd, is_up, paint, start)
from harness.kubernetes.objects import service
from harness.wait import wait_until

PODS, EVENTS, CLIENTS = 1000, 1200, 200
STORM_S = 420
BACK_OFF_S = 90  # a watch that is cut again and again is begun anew after up to 30 s


def uids(gateway):
    """Of the pods that the gateway gives work, by its own word: {uid: state}."""
    return {name.split("#")[1]: pod["state"] for name, pod in gateway.pods().items()}


class Storm:
    """Pods leave discovery and return, change their labels, are told to end, and die with their
    nodes; each is another one's address afterwards."""

    def __init__(self, hall, gateway, pods):
        self.hall, self.gateway = hall, gateway
        self.random = random.Random(7)
        self.calm, self.down, self.hidden, self.ending = list(pods), [], [], []
        self.kills = 0

    def blow(self):
        step = self.random.choices((self.flap, self.relabel, self.retire, self.kill),
                                   (6, 2, 3, 1))[0]
        step(self.calm.pop(self.random.randrange(len(self.calm))))
        if len(self.down) > 40:
            self.back(self.down, lambda pod: self.hall.tell(pod, True))
        if len(self.hidden) > 20:
            self.back(self.hidden, lambda pod: self.hall.label(pod, True))
        if len(self.ending) > 30:
            self.end_some()

    def flap(self, pod):
        self.hall.tell(pod, False)
        self.down.append(pod)

    def relabel(self, pod):
        self.hall.label(pod, False)
        self.hidden.append(pod)

    def retire(self, pod):
        self.hall.retire(pod)
        self.ending.append(pod)

    def kill(self, pod):
        self.kills += 1
        self.hall.kill(pod)
        self.calm.append(self.hall.start())

    def back(self, pods, how):
        pod = pods.pop(0)
        how(pod)
        self.calm.append(pod)

    def end_some(self):
        """A kubelet ends a pod when its preStop is through: nobody sends it anything any more, and
        it is idle."""
        known, busy = uids(self.gateway), self.hall.audit()["working"]
        for pod in list(self.ending):
            if pod.uid not in known and pod.address not in busy:
                self.ending.remove(pod)
                self.hall.finish(pod)
                self.calm.append(self.hall.start())

    def calm_down(self):
        while self.down:
            self.back(self.down, lambda pod: self.hall.tell(pod, True))
        while self.hidden:
            self.back(self.hidden, lambda pod: self.hall.label(pod, True))

        def look():
            self.end_some()
            return not self.ending

        wait_until(look, lambda: f"they end: {len(self.ending)}", LONG_S, 0.2)


def hey(gateway):
    host, port = gateway.address
    return subprocess.Popen(
        ["hey", "-z", "30m", "-c", str(CLIENTS), "-t", "60", "-m", "POST", "-d", "{}",
         f"http://{host}:{port}{GENERATE}"], stdout=subprocess.PIPE, text=True)


def answers(client):
    """{status: how often}, and what else has happened."""
    client.send_signal(signal.SIGINT)
    text, _ = client.communicate(timeout=90)
    errors = text.partition("Error distribution:")[2]
    return {int(s): int(n) for s, n in re.findall(r"\[(\d+)\]\s+(\d+) responses", text)}, errors


def test_a_thousand_pods_churn_while_requests_flow(api, namespace, gateways, account, hall):
    signal.alarm(STORM_S)
    api.create(service("sd"), namespace)
    pods = hall.create(PODS)
    wait_until(lambda: len(api.endpoints(namespace, "sd")) == PODS, "their slices", LONG_S)
    assert len(api.list("EndpointSlice", namespace)) >= PODS / 100
    gateway = gateways(services=[account.service(
        kubernetes={"scaler": "none"}, autoscaling={"maxScale": PODS},
        idle={"httpGet": "/sdapi/v1/progress?skip_current_image=true",
              "jsonPath": "state.job_count", "equals": 0, "period": "200ms"})],
        top={"log": {"level": "info"}})
    wait_until(lambda: gateway.figures()["ready"] == PODS, lambda: gateway.figures(), 60, 0.2)
    client = hey(gateway)
    try:
        storm = Storm(hall, gateway, pods)
        for _ in range(EVENTS):
            storm.blow()
        storm.calm_down()
    finally:
        statuses, errors = answers(client)
    wait_until(lambda: uids(gateway) == {pod.uid: "ready" for pod in storm.calm},
               lambda: f"just its pods, all ready: {len(storm.calm)}; {gateway.figures()}", 60, 0.2)
    audit = hall.audit()
    print(statuses, {key: audit[key] for key in audit if key != "working"}, storm.kills)
    assert audit["highest"] == 1 and audit["twice"] == 0
    # A job dies only with its pod, and then its client is told so.
    assert not errors and statuses.keys() <= {200, 502}, (statuses, errors)
    assert statuses.get(502, 0) <= storm.kills
    assert statuses[200] == audit["served"] >= EVENTS
    assert audit["used"] >= CLIENTS
    assert gateway.figures()["quarantined"] == 0


def test_the_api_server_dies_under_load(cluster, api, namespace, kubelet, gateways, account):
    """Twice: pods go on working, one that dies meanwhile is left alone, and nothing is forgotten."""
    create_sd(api, namespace, 4, grace_s=20, args=["--service-time", "200ms"])
    gateway = start(gateways, account, autoscaling={"minScale": 4, "maxScale": 4})
    gateway.wait_for(ready=4)
    with Load(gateway, 6) as load:
        for _ in range(2):
            load.wait_for_more(10)
            cluster.kill_api()
            wait_until(lambda: is_up(gateway) == 0, "it is noticed", LONG_S)
            before = uids(gateway).keys()  # it may not have heard of the newest
            load.wait_for_more(20)
            assert uids(gateway).keys() == before
            cluster.start_api()
            wait_until(lambda: is_up(gateway) == 1, "it is there again", LONG_S)
            api.delete("Pod", namespace, api.pods(namespace)[0]["metadata"]["name"])
            wait_until(lambda: {pod["metadata"]["uid"] for pod in api.pods(namespace)} != before
                       and uids(gateway).keys()
                       == {pod["metadata"]["uid"] for pod in api.pods(namespace)},
                       "another pod in its place", LONG_S)
        load.wait_for_more(10)
    assert load.failed == []


def test_watches_are_cut_in_the_middle_of_events(cluster, api, namespace, kubelet, gateways,
                                                 account):
    """Nothing is lost, and nothing has to be listed anew."""
    signal.alarm(STORM_S)
    create_sd(api, namespace, 2)
    cutter = Cutter(cluster)
    try:
        gateway = start(gateways, account, server=cutter.url, kubernetes={"scaler": "none"})
        gateway.wait_for(ready=2)
        lists = gateway.metrics()("slotgate_kubernetes_lists_total", service="sd")
        cutter.is_cutting = True
        for count in (5, 1, 4):
            cuts = cutter.cuts
            api.scale(namespace, "sd", count)
            wait_until(lambda: len(api.list("Pod", namespace)) == count and uids(gateway)
                       == {pod["metadata"]["uid"]: "ready" for pod in api.pods(namespace)},
                       lambda: f"{count} pods: {gateway.pods()}", BACK_OFF_S)
            assert cutter.cuts > cuts
        assert [answer.status for answer in paint(gateway, 3)] == [200] * 3
        assert gateway.metrics()("slotgate_kubernetes_lists_total", service="sd") == lists
        cutter.is_cutting = False
        wait_until(lambda: is_up(gateway) == 1, "the watches stand", BACK_OFF_S)
    finally:
        cutter.close()
