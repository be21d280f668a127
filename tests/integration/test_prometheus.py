"""Prometheus itself reads what slotgate says: both formats, the rules, and their tests."""
import re

import pytest
import yaml

from harness.demo import ROOT
from harness.gateway import OPENMETRICS, PROMETHEUS
from harness.prometheus import RULES, Prometheus, needs_prometheus, promtool
from harness.wait import wait_until

pytestmark = needs_prometheus


@pytest.fixture(scope="module")
def front(shared_gateway, shared_pods):
    """After an answer, a refusal, a client's departure and something that is no HTTP."""
    pod = shared_pods()
    front = shared_gateway(pod, queue={"maxRequests": 1})
    first = front.open_post("/job/1")
    job = pod.next()
    second = front.open_post("/job/2")
    front.wait_for(working=1, waiting=1)
    assert front.post("/job/3").status == 503
    second.leave()
    front.wait_for(waiting=0)
    job.answer()
    assert first.read_response().status == 200
    with front.client() as client:
        client.send(b"BAD\r\n\r\n")
        assert client.read_response().status == 400
    front.wait_for(working=0)
    return front


@pytest.fixture(scope="module")
def prometheus(front, tmp_path_factory):
    host, port = front.admin_address
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), f"{host}:{port}")
    yield prometheus
    prometheus.stop()


def test_the_text_format_is_clean(front):
    _, _, text = front.admin("/metrics", headers={"Accept": PROMETHEUS})
    assert promtool("check", "metrics", text=text) == (0, "")


def test_openmetrics_is_clean(front, tmp_path):
    """promtool's strict parser of OpenMetrics is that of its backfilling, which needs times."""
    _, _, text = front.admin("/metrics", headers={"Accept": OPENMETRICS})
    timed = tmp_path / "metrics.txt"
    timed.write_text(re.sub(r"^([^#\n].*)$", r"\1 1700000000", text, flags=re.M))
    status, said = promtool("tsdb", "create-blocks-from", "openmetrics", timed, tmp_path / "tsdb")
    assert status == 0, said


def test_it_scrapes_openmetrics(front, prometheus):
    wait_until(lambda: prometheus.value("up"), "it is up")
    assert prometheus.target()["lastError"] == ""
    described = prometheus.api("targets/metadata", metric="slotgate_queue_wait_seconds")
    assert [d["unit"] for d in described] == ["seconds"], "only OpenMetrics has units"


def test_counts_arrive_exactly(front, prometheus):
    wait_until(lambda: prometheus.value("up"), "it is up")
    for expression, value in [
            ('slotgate_requests_total{class="2xx"}', 1), ('slotgate_requests_total{class="5xx"}', 1),
            ('slotgate_requests_total{class="aborted"}', 1), ("slotgate_bad_requests_total", 1),
            ('slotgate_refused_total{reason="queue_full"}', 1),
            ('slotgate_queue_outcomes_total{outcome="client_left"}', 1),
            ("slotgate_service_time_seconds_count", 1)]:
        assert prometheus.value(expression) == value, expression


def test_every_series_of_the_page_is_stored(front, prometheus):
    wait_until(lambda: prometheus.value("up"), "it is up")
    page = set(front.metrics().types)
    stored = set(prometheus.api("label/__name__/values"))
    for name in page:
        assert stored & {name, name + "_count"}, name


def test_the_rules_load_and_their_queries_run(front, prometheus):
    def all_run():
        rules = [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"]]
        return len(rules) > 10 and all(rule["health"] == "ok" for rule in rules)

    wait_until(all_run, lambda: f"the rules are evaluated: {prometheus.api('rules')}", timeout=30)


def test_the_rules_are_valid():
    status, said = promtool("check", "rules", RULES)
    assert status == 0, said


def test_every_alert_fires_and_is_silent_where_it_must():
    tests = RULES.with_name("slotgate.rules.test.yml")
    status, said = promtool("test", "rules", tests)
    assert status == 0, said
    for alert in re.findall(r"alert: (\w+)", RULES.read_text()):
        uses = re.findall(rf"alertname: {alert}\b(, exp_alerts: \[\])?", tests.read_text())
        assert sorted(uses) == ["", ", exp_alerts: []"], f"{alert} is tested both ways"


def test_the_rules_name_metrics_that_there_are():
    known = set(re.findall(r"slotgate_\w+", (ROOT / "metrics" / "METRICS.md").read_text()))
    for name in set(re.findall(r"\bslotgate_\w+", RULES.read_text())):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        recorded = f":{name}:" in RULES.read_text()
        assert {name, base} & known or recorded, f"there is no metric {name}"


def test_the_example_is_valid():
    status, said = promtool("check", "config", RULES.with_name("prometheus.yml"))
    assert status == 0, said


def test_the_rules_for_prometheus_adapter_find_what_slotgate_says(front, prometheus):
    """Its templates, filled in as the adapter fills them."""
    rules = yaml.safe_load((ROOT / "deploy/hpa/prometheus-adapter.yaml").read_text())["rules"]
    [rule] = rules["external"]
    wait_until(lambda: prometheus.value("up"), "it is up")
    selector = rule["seriesQuery"].replace(',namespace!=""', "")  # nobody named one here
    assert selector != rule["seriesQuery"]
    found = {series["__name__"] for series in prometheus.api("series", **{"match[]": selector})}
    page = front.metrics()
    assert len(found) == 6
    for name in found:
        query = rule["metricsQuery"].replace("<<.Series>>", name).replace(
            "<<.LabelMatchers>>", 'service="sd"')
        [(labels, value)] = prometheus.query(query)
        assert labels == {"service": "sd"}
        assert value == pytest.approx(page(name, service="sd"), abs=0.5)
