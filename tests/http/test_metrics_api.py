"""Kubernetes' metrics APIs, asked as its API server asks: whom they answer, and what."""
import datetime
import re
import socket
import ssl
import urllib.parse

import pytest

from harness.gateway import service
from harness.http2_client import Http2Client
from harness.metrics_api import EXTERNAL, MetricsApi
from harness.wait import wait_until

CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"


def settings(certificates, **more):
    return {"address": "127.0.0.1:0", "tls": certificates.tls(),
            "frontProxy": {"ca": certificates.path("other-ca.pem"),
                           "allowedNames": ["aggregator", "other-client"]}, **more}


@pytest.fixture
def start(gateway, certificates):
    """(a gateway, its metrics API)"""
    def make(*pods, front_proxy=None, metrics_api=None, **options):
        api = settings(certificates, **(metrics_api or {}))
        if front_proxy:
            api["frontProxy"].update(front_proxy)
        front = gateway(*pods, top={"metricsApi": api}, **options)
        return front, MetricsApi(front, certificates.client("other-client"))
    return make


def refused(answer, status, reason):
    code, body, headers = answer
    assert code == status
    assert headers["Content-Type"] == "application/json"
    assert (body["kind"], body["apiVersion"], body["status"]) == ("Status", "v1", "Failure")
    assert (body["code"], body["reason"]) == (status, reason)
    return body["message"]


# --- who may ask ---

def test_only_the_front_proxy_is_believed(start, pod, certificates):
    _, api = start(pod)
    path = f"{EXTERNAL}/namespaces/default/slotgate_concurrency"
    assert api.request(path)[0] == 200
    for where in (path, "/apis", "/openapi/v2", "/nothing"):
        why = refused(api.request(where, tls=certificates.client()), 401, "Unauthorized")
        assert "client certificate of its front proxy" in why
        why = refused(api.request(where, user=None), 401, "Unauthorized")
        assert "X-Remote-User" in why
    refused(api.request(path, user=" "), 401, "Unauthorized")


@pytest.mark.parametrize("name", ["client", "expired-client", "stranger", "self"])
def test_a_certificate_that_is_no_good_ends_the_handshake(start, pod, certificates, name):
    """Of another authority, expired, a server's, signed by itself; for those who wait for TLS 1.3's
    late word as for those of 1.2."""
    _, api = start(pod, front_proxy={"allowedNames": []})
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        tls = certificates.client(name)
        tls.maximum_version = version
        with pytest.raises((ssl.SSLError, ConnectionError)):
            api.request("/apis", tls=tls)
    assert api.request("/apis")[0] == 200


def test_the_certificates_name_counts(start, pod):
    _, api = start(pod, front_proxy={"allowedNames": ["aggregator", "other-client2", "other"]})
    assert '"other-client"' in refused(api.request("/apis"), 401, "Unauthorized")


def test_without_names_any_of_the_authority_is_good(start, pod):
    _, api = start(pod, front_proxy={"allowedNames": []})
    assert api.request("/apis")[0] == 200


def test_a_resumed_session_is_who_it_was(start, pod, certificates):
    _, api = start(pod)
    tls = certificates.client("other-client")
    tls.maximum_version = ssl.TLSVersion.TLSv1_2

    def ask(session):
        with socket.create_connection(api.address, timeout=10) as raw:
            with tls.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as client:
                client.sendall(b"GET /apis HTTP/1.1\r\nHost: a\r\nX-Remote-User: b\r\n"
                               b"Connection: close\r\n\r\n")
                answer = client.recv(20)
                while client.recv(4096):
                    pass
                return answer, client.session, client.session_reused

    answer, session, reused = ask(None)
    assert (answer[:12], reused) == (b"HTTP/1.1 200", False)
    answer, _, reused = ask(session)
    assert (answer[:12], reused) == (b"HTTP/1.1 200", True)


def test_a_reload_changes_who_is_believed(start, pod, certificates):
    front, api = start(pod)
    assert api.request("/apis")[0] == 200
    front.settings["metricsApi"]["frontProxy"]["allowedNames"] = ["somebody"]
    front.reload(front.settings)
    wait_until(lambda: api.request("/apis")[0] == 401, "the name is gone")


def test_over_http2(start, pod, certificates):
    _, api = start(pod)
    tls = certificates.client("other-client", protocols=["h2"])
    with Http2Client(api.address, tls=tls) as client:
        assert client.answer(client.get("/apis", {"x-remote-user": "a"})).status == 200
        assert client.answer(client.get("/apis")).status == 401


def test_only_reading(start, pod):
    _, api = start(pod)
    path = f"{EXTERNAL}/namespaces/default/slotgate_concurrency"
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        refused(api.request(path, method=method), 405, "MethodNotAllowed")
    status, answer, headers = api.request(path, method="HEAD")
    assert (status, answer) == (200, None) and int(headers["Content-Length"]) > 0


# --- discovery ---

def test_discovery(start, pod):
    _, api = start(pod)
    groups = api.get("/apis")
    assert groups["kind"] == "APIGroupList"
    names = {g["name"]: [v["version"] for v in g["versions"]] for g in groups["groups"]}
    assert names == {"external.metrics.k8s.io": ["v1beta1"],
                     "custom.metrics.k8s.io": ["v1beta2", "v1beta1"]}
    for group, versions in names.items():
        alone = api.get(f"/apis/{group}")
        assert alone["kind"] == "APIGroup" and alone["name"] == group
        assert alone["preferredVersion"] == {"groupVersion": f"{group}/{versions[0]}",
                                             "version": versions[0]}
        for version in versions:
            listed = api.get(f"/apis/{group}/{version}")
            assert listed["kind"] == "APIResourceList"
            assert listed["groupVersion"] == f"{group}/{version}"
            assert all(r["namespaced"] and r["verbs"] == ["get"] for r in listed["resources"])
            assert "/openapi/v3/apis/" + f"{group}/{version}" in str(api.get("/openapi/v3"))
            assert api.get(f"/openapi/v3/apis/{group}/{version}")["openapi"] == "3.0.0"
    custom = {r["name"] for r in api.get(CUSTOM)["resources"]}
    assert {"pods/slotgate_concurrency", "services/slotgate_concurrency",
            "services/slotgate_queued_requests"} <= custom
    assert "pods/slotgate_queued_requests" not in custom
    assert api.get("/openapi/v2")["swagger"] == "2.0"


def test_every_external_metric_that_is_discovered_is_there(start, pod):
    front, api = start(pod)
    front.wait_for(ready=1)
    for resource in api.get(EXTERNAL)["resources"]:
        assert list(api.external(resource["name"])) == ["sd"]
        assert front.metrics()(resource["name"], service="sd") is not None


# --- values ---

def test_the_right_numbers_while_requests_wait_and_work(start, pods):
    pod = pods()
    front, api = start(pod)
    clients = [front.open_post(f"/job/{i}") for i in range(4)]
    front.wait_for(working=1, waiting=3)
    assert api.external("slotgate_concurrency") == {"sd": "4"}
    assert api.external("slotgate_queued_requests") == {"sd": "3"}
    assert api.external("slotgate_in_flight_requests") == {"sd": "1"}
    clients.pop().leave()
    front.wait_for(waiting=2)
    assert api.external("slotgate_concurrency") == {"sd": "3"}
    for name in ("slotgate_concurrency", "slotgate_queued_requests",
                 "slotgate_in_flight_requests", "slotgate_desired_pods"):
        assert api.external(name) == {"sd": f"{front.metrics()(name, service='sd'):.0f}"}
    for client in clients:
        pod.next().answer()
        assert client.read_response().status == 200
    front.wait_for(working=0)
    assert api.external("slotgate_concurrency") == {"sd": "0"}


def test_an_answer_is_of_its_kind_and_time(start, pod):
    _, api = start(pod)
    answer = api.get(f"{EXTERNAL}/namespaces/any/slotgate_concurrency")
    assert answer["kind"] == "ExternalMetricValueList"
    assert answer["apiVersion"] == "external.metrics.k8s.io/v1beta1"
    [item] = answer["items"]
    assert item.keys() == {"metricName", "metricLabels", "timestamp", "value"}
    at = datetime.datetime.strptime(item["timestamp"], "%Y-%m-%dT%H:%M:%SZ")
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert abs((now - at).total_seconds()) < 60


def test_averages_are_in_thousandths(start, pods):
    pod = pods()
    front, api = start(pod, autoscaling={"maxScale": 1, "stableWindow": "60s"})
    client = front.open_post("/job/1")
    pod.next().answer()
    client.read_response()
    front.wait_for(working=0)
    value = api.external("slotgate_stable_concurrency")["sd"]
    assert re.fullmatch(r"\d{1,3}m", value) and value != "0m"


def two(pods):
    return [service(pods(), name="flux", hosts=["flux"]), service(pods(), name="sd")]


@pytest.mark.parametrize("selector, found", [
    ("", {"flux", "sd"}), ("service=sd", {"sd"}), ("service==sd", {"sd"}),
    ("service!=sd", {"flux"}), ("service in (sd, flux)", {"flux", "sd"}),
    ("service in (sd),service notin (flux)", {"sd"}), ("service", {"flux", "sd"}),
    ("!canary", {"flux", "sd"}), ("canary!=yes, service = flux", {"flux"}),
    ("tier notin (gpu)", {"flux", "sd"}), ("service in (sd,\r\n\tgone)\n", {"sd"}),
    ("in!=in,notin notin (notin),!in", {"flux", "sd"})])
def test_label_selectors(start, pods, selector, found):
    _, api = start(services=two(pods))
    assert set(api.external("slotgate_concurrency",
                            selector=urllib.parse.quote(selector))) == found


@pytest.mark.parametrize("query, found", [
    ("%6CabelSelector=service%3Dsd", {"sd"}), ("label%53elector=service=sd&x", {"sd"}),
    ("a=b&labelSelector=service%3dsd&labelSelector=service%3Dflux", {"sd"}),
    ("labelSelector=service+in+(sd)", {"sd"}), ("labelselector=service=sd", {"flux", "sd"})])
def test_queries(start, pods, query, found):
    """However it is written, a selector counts: without it an HPA would add up all services."""
    _, api = start(services=two(pods))
    answer = api.get(f"{EXTERNAL}/namespaces/default/slotgate_concurrency?{query}")
    assert {item["metricLabels"]["service"] for item in answer["items"]} == found


def test_selectors_that_fit_nothing_name_the_remedy(start, pods):
    _, api = start(services=two(pods))
    for selector in ("service=other", "!service", "service in (a,b)", "tier=gpu", "service="):
        answer = api.request(f"{EXTERNAL}/namespaces/default/slotgate_concurrency?"
                             + urllib.parse.urlencode({"labelSelector": selector}))
        assert "/v1/services" in refused(answer, 404, "NotFound")


@pytest.mark.parametrize("selector", [
    "=", "service=sd,", "service in sd", "service in (sd", ",", "service sd", "service<3", "!",
    "service=a=b", "service=(sd)", "a" * 5000, "%00", "service in (a))"])
def test_what_is_no_selector_is_refused(start, pod, selector):
    _, api = start(pod)
    quoted = selector if selector == "%00" else urllib.parse.quote(selector)
    answer = api.request(f"{EXTERNAL}/namespaces/default/slotgate_concurrency"
                         f"?labelSelector={quoted}")
    refused(answer, 400, "BadRequest")


def test_what_is_not_there_is_told_with_the_remedy(start, pod):
    _, api = start(pod)
    why = refused(api.request(f"{EXTERNAL}/namespaces/default/queue_length"), 404, "NotFound")
    assert "slotgate_queued_requests" in why
    why = refused(api.request(f"{CUSTOM}/namespaces/x/pods/*/slotgate_queued_requests"),
                  404, "NotFound")
    assert "of pods" in why and "slotgate_concurrency" in why
    for subject in ("pods/*", "pods/a", "services/*", "services/sd"):
        why = refused(api.request(f"{CUSTOM}/namespaces/x/{subject}/slotgate_concurrency"),
                      404, "NotFound")
        assert "pods.kubernetes.service" in why
    for path in ("/", "/api", "/apis/apps", "/apis/external.metrics.k8s.io/v1",
                 f"{EXTERNAL}/namespaces", f"{EXTERNAL}/namespaces/x", f"{EXTERNAL}/nodes",
                 f"{EXTERNAL}/namespaces/x/slotgate_concurrency/y",
                 f"{CUSTOM}/namespaces/x/slotgate_concurrency",
                 f"{CUSTOM}/namespaces/x/nodes/y/slotgate_concurrency",
                 f"{CUSTOM}/namespaces/{'x' * 300}/pods/y/slotgate_concurrency",
                 f"{EXTERNAL}/namespaces/x%00/slotgate_concurrency"):
        assert "GET /apis" in refused(api.request(path), 404, "NotFound")


def test_services_of_no_namespace_are_seen_where_it_is_said(start, pod):
    _, api = start(pod, metrics_api={"namespace": "gpu"})
    assert api.external("slotgate_concurrency", namespace="gpu") == {"sd": "0"}
    refused(api.request(f"{EXTERNAL}/namespaces/default/slotgate_concurrency"), 404, "NotFound")


def test_a_retired_service_is_no_more(start, pods):
    services = two(pods)
    front, api = start(services=services)
    assert set(api.external("slotgate_concurrency")) == {"flux", "sd"}
    front.settings["services"] = services[1:]
    front.reload(front.settings)
    wait_until(lambda: set(api.external("slotgate_concurrency")) == {"sd"}, "it is gone")


def test_many_services_come_in_slices(start, pods):
    count = 300
    services = [service(name=f"s{i}", hosts=[f"s{i}"], pods={"static": [f"127.0.0.1:{i + 1}"]})
                for i in range(count)]
    _, api = start(services=services, ready=False)
    assert len(api.external("slotgate_concurrency")) == count
    assert api.external("slotgate_concurrency", selector="service=s299") == {"s299": "0"}
    refused(api.request(f"{EXTERNAL}/namespaces/a/slotgate_concurrency?labelSelector=service=no"),
            404, "NotFound")
