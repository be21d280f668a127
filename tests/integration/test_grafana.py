"""The dashboard's panels, each query run by Prometheus over a recorded run of the main job."""
import json
import math
import re
import subprocess
import sys
import time

import pytest

from harness.demo import GENERATE, PROMPT, ROOT, demo_command
from harness.gateway import service
from harness.keys import KeyFile, bearer, entry
from harness.prometheus import Prometheus, needs_prometheus, promtool
from harness.wait import wait_until

sys.path.insert(0, str(ROOT / "tests" / "demo"))
import hey as demo_hey  # noqa: E402  (the demo's reader of hey's output)

pytestmark = needs_prometheus
BOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
REQUESTS, CLIENTS = 50, 5
STEP_S = 0.5


def queries():
    return [pytest.param(panel, target, id=f"{panel['title']}: {target['legendFormat'] or 'all'}")
            for panel in PANELS for target in panel["targets"]]


def filled_in(expression, service_name, seconds):
    expression = expression.replace("$service", service_name)
    return re.sub(r"\$__(rate_interval|range)\b", f"{seconds}s", expression)


class Run:
    """The main job on "main", and on "odd" all that a quiet day does not have."""

    def __init__(self, directory, gateways, pods, certificates):
        self.begun = time.time()
        keys = KeyFile(directory / "keys.json", entry("acme", requestsPerSecond=1, burst=1))
        self.pod = pods()
        command = demo_command("--port", "{port}", "--service-time", "300ms",
                               "--cold-start", "800ms")  # so that some scrape sees it
        main = {"name": "main", "slots": ["POST " + GENERATE], "hosts": ["main"],
                "pods": {"process": {"command": command, "stopGracePeriod": "5s"}},
                "readiness": {"httpGet": "/sdapi/v1/memory", "period": "20ms"},
                "autoscaling": {"initialScale": 0, "maxScale": 5, "stableWindow": "1s",
                                "scaleToZeroGracePeriod": "0s", "tickInterval": "50ms"}}
        odd = service(self.pod, name="odd", hosts=["gateway", "localhost"],
                      apiKeys=keys.option())
        self.front = gateways(services=[main, odd], listeners=[
            {"address": "127.0.0.1:0", "service": "main"},
            {"address": "127.0.0.1:0", "tls": certificates.tls()}])
        host, port = self.front.admin_address
        self.prometheus = Prometheus(directory, f"{host}:{port}", rules=None)
        wait_until(lambda: self.prometheus.value("up"), "it scrapes")
        self.odd_things(certificates)
        self.main_job(directory)

    def odd_things(self, certificates):
        """A pod that breaks off, a refused newcomer without a key, one above its rate; HTTP/2."""
        tls = certificates.client()
        with self.front.client(1, tls=tls) as client:
            client.post("/job", headers=bearer("acme"))
            self.pod.next().reset()
            assert client.read_response().status == 502
        with self.front.client(1, tls=tls) as client:
            assert client.post("/job", headers=bearer("acme")).read_response().status == 429
        with self.front.client(1, tls=tls) as client:
            assert client.post("/job").read_response().status == 401
        with self.front.http2(1, tls=certificates.client(protocols=["h2"])):
            pass
        with self.front.client() as client:
            client.send(b"BAD\r\n\r\n")
            assert client.read_response().status == 400

    def main_job(self, directory):
        host, port = self.front.addresses[0]
        # The first one finds no pod, and is no part of what hey measures.
        assert self.front.post(GENERATE, PROMPT).status == 200
        wait_until(lambda: self.prometheus.value(
            'slotgate_request_duration_seconds_count{service="main"}') == 1, "it is recorded")
        self.hey_from = time.time()
        done = subprocess.run(
            ["hey", "-n", str(REQUESTS), "-c", str(CLIENTS), "-m", "POST", "-d", PROMPT.decode(),
             f"http://{host}:{port}{GENERATE}"], text=True, stdout=subprocess.PIPE, check=True,
            timeout=50)
        self.hey = demo_hey.parse(done.stdout)
        wait_until(lambda: self.prometheus.value(
            'slotgate_request_duration_seconds_count{service="main"}') == REQUESTS + 1, "all of it")
        self.hey_until = time.time()
        # Back at zero, so that idle time and the pods' end are recorded too.
        wait_until(lambda: self.prometheus.value(
            'sum(slotgate_pods{service="main"})') == 0, "the pods have gone", timeout=20)
        self.ended = time.time()

    def values(self, expression, service_name="main"):
        """Series as (labels, values) over the whole run, up to its very end."""
        steps = math.ceil((self.ended - self.begun) / STEP_S)
        return self.prometheus.query_range(filled_in(expression, service_name, 5),
                                           self.ended - steps * STEP_S, self.ended, STEP_S)

    def over_the_job(self, expression):
        """One value over all that hey did, as a range of that length gives it."""
        seconds = int(self.hey_until - self.hey_from) + 1
        return self.prometheus.query(filled_in(expression, "main", seconds), at=self.hey_until)


@pytest.fixture(scope="module")
def run(tmp_path_factory, shared_gateway, shared_pods, certificates):
    run = Run(tmp_path_factory.mktemp("run"), shared_gateway, shared_pods, certificates)
    yield run
    run.prometheus.stop()


def panel(title):
    return next(panel for panel in PANELS if panel["title"] == title)


def expression(title, legend):
    return next(t["expr"] for t in panel(title)["targets"] if t["legendFormat"] == legend)


def bucket_of(seconds, run):
    """(lower, upper) bound of the histogram's bucket that this time falls into."""
    edges = sorted(float(labels["le"]) for labels, _ in run.prometheus.query(
        'slotgate_request_duration_seconds_bucket{service="main"}', at=run.ended))
    upper = next(edge for edge in edges if seconds <= edge)
    return max([0.0] + [edge for edge in edges if edge < upper]), upper


@pytest.mark.parametrize("panel, target", queries())
def test_every_query_has_data(run, panel, target):
    series = run.values(target["expr"], ".*")
    numbers = [value for _, values in series for value in values if value == value]
    assert numbers, f"{target['expr']} returns nothing"
    for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
        assert all(label in labels for labels, _ in series), f"no label {label}"


def test_counts_are_exact(run):
    totals = run.prometheus.query(filled_in(expression("Totals since the start", ""), "main", 1),
                                  at=run.ended)
    by_class = {labels["class"]: value for labels, value in totals}
    assert by_class == {"aborted": 0, "1xx": 0, "2xx": REQUESTS + 1, "3xx": 0, "4xx": 0, "5xx": 0}
    assert run.hey.statuses == {200: REQUESTS}


def test_percentiles_are_the_load_generators_within_a_bucket(run):
    for percentile in (50, 90, 95):
        (_, seen), = run.over_the_job(expression("Response time", f"P{percentile}"))
        lower, upper = bucket_of(run.hey.percentiles[percentile], run)
        assert lower <= seen <= upper, (percentile, run.hey.percentiles, seen)


def test_waiting_and_working_are_told_apart(run):
    """A pod computes for 300 ms; the rest of the answer's time is the queue's."""
    (_, work), = run.over_the_job(expression("... of which work", "P50"))
    assert 0.25 <= work <= 0.5
    (_, whole), = run.over_the_job(expression("Response time", "P99"))
    (_, wait), = run.over_the_job(expression("... of which waiting", "P99"))
    assert wait < whole


def test_the_queue_and_its_outcomes(run):
    """Rates over the job, times its length: Prometheus reckons to the range's ends."""
    seconds = int(run.hey_until - run.hey_from) + 1
    outcomes = {labels["outcome"]: value * seconds for labels, value in
                run.over_the_job(expression("Outcomes", "{{outcome}}"))}
    assert outcomes.pop("dispatched") == pytest.approx(REQUESTS, rel=0.15)
    assert set(outcomes.values()) == {0}
    assert {value for _, value in run.over_the_job(expression("Refusals", "{{reason}}"))} <= {0}
    (_, depth), = run.values(expression("Queue depth", "{{service}}: waiting"))
    assert 0 <= max(depth) <= CLIENTS and depth[-1] == 0


def test_slots_are_used_in_part_or_wholly(run):
    (_, used), = run.values(expression("Slot utilisation", "{{service}}"))
    used = [value for value in used if value == value]
    assert all(0 <= value <= 1 for value in used) and max(used) >= 0.5


def test_tenants_have_what_they_did(run):
    def total(title):
        """Of a rate's counter, since the start."""
        counter = re.search(r"slotgate_\w+_total", expression(title, "{{tenant}}"))[0]
        return {labels["tenant"]: value for labels, value in run.prometheus.query(
            f'sum by (tenant) ({counter}{{service="odd"}})', at=run.ended)}

    assert total("Requests by tenant")["acme"] == 2
    assert total("Refused for their rate")["acme"] == 1
    # The pod broke off: nobody knows whether it still works, so the job counts.
    for title, last in (("Waiting by tenant", 0), ("At work by tenant", 1)):
        series = {labels["tenant"]: values for labels, values in
                  run.values(expression(title, "{{tenant}}"), "odd")}
        assert series["acme"][-1] == last


def test_all_succeeded(run):
    (_, values), = run.values(panel("Success rate")["targets"][0]["expr"])
    assert {value for value in values if value == value} == {1.0}


def test_pods_come_work_and_go(run):
    seen = {name: run.values(expression("Pods", name))[0][1]
            for name in ("wanted", "ready", "working")}
    assert max(seen["wanted"]) >= 2 and seen["wanted"][-1] == 0
    assert max(seen["ready"]) >= 2 and seen["ready"][-1] == 0
    seconds = int(run.ended - run.begun) + 1
    starting = filled_in(expression("Pods", "starting"), "main", 5)
    assert run.prometheus.value(f"max_over_time(({starting})[{seconds}s:100ms])", at=run.ended) >= 1
    assert 0 < max(seen["working"]) <= 5


def test_the_time_of_gpus_adds_up(run):
    """What pods worked is what the jobs took, and is 300 ms for each at least."""
    at = {"at": run.ended}
    worked = run.prometheus.value(
        'slotgate_pod_seconds_total{service="main",use="working"}', **at)
    jobs = run.prometheus.value('slotgate_service_time_seconds_sum{service="main"}', **at)
    assert worked == pytest.approx(jobs, abs=0.01)
    assert worked >= 0.3 * (REQUESTS + 1)
    idle = run.prometheus.value('slotgate_pod_seconds_total{service="main",use="idle"}', **at)
    assert idle > 0


def test_each_pod_that_came_had_a_cold_start(run):
    starts = run.prometheus.value('slotgate_cold_start_seconds_count{service="main"}', at=run.ended)
    assert 2 <= starts <= 20
    quantiles = run.over_the_job(expression("Cold starts", "P50"))
    assert all(value >= 0.1 for _, value in quantiles if value == value)


def test_the_phases_of_cold_starts_add_up(run):
    """Until a pod is ready they are what the provider was asked for; those after it come on top."""
    at = {"at": run.ended}
    whole = run.prometheus.value('slotgate_cold_start_seconds_sum{service="main"}', **at)
    phases = run.prometheus.value(
        'sum(slotgate_cold_start_phase_seconds_sum{service="main",phase!~"order|check|request|answer"})',
        **at)
    assert phases == pytest.approx(whole, rel=0.15)
    starts = run.prometheus.value('slotgate_cold_start_seconds_count{service="main"}', **at)
    shown = sum(values[-1] for _, values in run.values(expression("Cold starts by phase", "{{phase}}")))
    assert shown >= whole / starts * 0.85


def test_the_dashboard_is_whole():
    """Unique ids, no overlap, nothing beyond the 24 columns, every query on the chosen source."""
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert len({t["refId"] for t in panel["targets"]}) == len(panel["targets"])


def test_promtool_can_read_every_query(tmp_path):
    rules = [{"record": f"panel:{panel['id']}:{target['refId']}",
              "expr": filled_in(target["expr"], "main", 300)}
             for panel in PANELS for target in panel["targets"]]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    status, said = promtool("check", "rules", "--lint=none", file)
    assert status == 0, said
