"""What the admin shows to people and their page: files, the history, and long pages in slices."""
import http.client
import json
import re
import threading
import time

import pytest

from harness.client import Client
from harness.demo import ROOT
from harness.gateway import service
from harness.wait import wait_until

COLUMNS = ["at", "wanted", "starting", "ready", "working", "waiting", "atWork", "ok",
           "clientErrors", "serverErrors", "aborted", "refused"] + [
    kind + p for kind in ("p", "waitP", "workP") for p in ("50", "90", "95", "99")]


@pytest.mark.parametrize("path, kind", [("/ui", "html"), ("/ui/page.css", "css"),
                                        ("/ui/page.js", "javascript"), ("/ui?x", "html")])
def test_the_page_is_served_as_it_is_in_the_repository(gateway, pod, path, kind):
    front = gateway(pod)
    status, headers, text = front.admin(path)
    assert status == 200 and kind in headers["Content-Type"]
    name = path.split("?")[0].replace("/ui/", "") if "page" in path else "page.html"
    assert text == (ROOT / "gateway" / "admin" / "ui" / name).read_text()
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, headers, body = front.admin(path, "HEAD")
    assert (status, body) == (200, "") and int(headers["Content-Length"]) == len(text.encode())


def test_the_page_needs_nothing_from_elsewhere():
    for file in (ROOT / "gateway" / "admin" / "ui").iterdir():
        urls = re.findall(r"https?://[^\"'\s]+", file.read_text())
        assert set(urls) <= {"http://www.w3.org/2000/svg"}, file


def test_the_page_is_open_and_what_it_shows_is_not(gateway, pod, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("sesame-open-yourself")
    front = gateway(pod, ready=False, top={"admin": {"address": "localhost:0",
                                                     "bearerTokenFile": str(secret)}})
    assert front.admin("/ui")[0] == 200 and front.admin("/ui/page.js")[0] == 200
    for path in ("/v1/history", "/v1/services", "/metrics"):
        assert front.admin(path)[0] == 401
        assert front.admin(path, headers={"Authorization": "Bearer sesame-open-yourself"})[0] == 200
    assert front.admin("/uix", headers={"Authorization": "Bearer sesame-open-yourself"})[0] == 404


def history(front, query=""):
    told = json.loads(front.admin("/v1/history" + query)[2])
    assert told["columns"] == COLUMNS and told["intervalSeconds"] == 5
    return told


def test_the_history_has_what_happened(gateway, pods):
    pod = pods()
    front = gateway(pod, queue={"maxRequests": 1}, ejection={"consecutiveFailures": 1})
    first = front.open_post("/job/1")
    job = pod.next()
    front.open_post("/job/2")
    front.wait_for(waiting=1)
    for _ in range(3):
        assert front.post("/job/3").status == 503

    def point():
        points = history(front)["services"][0]["points"]
        return points and dict(zip(COLUMNS, points[-1]))

    at = wait_until(point, "a point")
    if at["refused"] == 0:  # it was taken before
        at = wait_until(lambda: point()["refused"] and point(), "the next", timeout=12)
    assert (at["refused"], at["serverErrors"], at["waiting"], at["atWork"]) == (3, 3, 1, 1)
    assert (at["ready"], at["working"], at["p50"] < 1) == (1, 1, True)
    service, = history(front)["services"]
    trouble, = service["troubles"]
    assert (trouble["kind"], trouble["what"], trouble["count"]) == ("refused", "queue_full", 3)
    newest = service["points"][-1][0]
    assert history(front, f"?since={newest}")["services"][0]["points"] in ([], [
        p for p in history(front)["services"][0]["points"] if p[0] > newest])
    job.answer()
    assert first.read_response().status == 200


def test_percentiles_are_what_people_measure(gateway, pods):
    """Prometheus' buckets are too wide for that: of a second and a bit they would make 1.25 to 1.5."""
    pod = pods()
    front = gateway(pod)
    took = []
    for _ in range(2):
        begun = time.monotonic()
        client = front.open_post("/job")
        job = pod.next()
        threading.Timer(1.05, job.answer).start()
        assert client.read_response().status == 200
        took.append(time.monotonic() - begun)

    def last():
        points = history(front)["services"][0]["points"]
        at = dict(zip(COLUMNS, points[-1])) if points else {}
        return at.get("workP99") and sum(dict(zip(COLUMNS, p))["ok"] for p in points) == 2 and at

    at = wait_until(last, "both are in it", timeout=12)
    assert abs(at["p50"] / min(took) - 1) < 0.12 and abs(at["p99"] / max(took) - 1) < 0.12, (at, took)
    assert at["workP50"] <= at["p50"]


def test_a_point_between_two_jobs_shows_the_next_one(gateway, pods):
    """The answer's end and the point's time are met in one turn: the slot is free in neither."""
    pod = pods()
    front = gateway(pod)
    clients = [front.open_post(f"/job/{i}") for i in range(2)]
    first = pod.next()
    front.wait_for(working=1, waiting=1)

    def points():
        told = history(front)
        columns = told["columns"]
        return [dict(zip(columns, point)) for point in told["services"][0]["points"]]

    wait_until(points, "the first point")
    count, due = len(points()), time.time() + 5.5
    with front.paused():
        first.answer()
        wait_until(lambda: time.time() > due, "the next point is due")
    wait_until(lambda: len(points()) > count, "the next point")
    assert points()[count]["atWork"] == 1
    pod.next().answer()
    assert [client.read_response().status for client in clients] == [200] * 2


@pytest.mark.parametrize("query", ["?since=", "?since=x", "?since=99999999999999999999999", "?",
                                   "?since=-1", "?other=1"])
def test_a_strange_question_for_the_history_does_no_harm(gateway, pod, query):
    assert len(history(gateway(pod), query)["services"]) == 1


# --- many pods -------------------------------------------------------------------------------

def fleet(services, pods):
    """That many services with as many pods in all, which nobody asks anything."""
    each = pods // services
    return [service(name=f"service-{s}", hosts=[f"host-{s}"], readiness={"none": True},
                    pods={"static": [f"127.{1 + s}.{p // 250}.{1 + p % 250}:9"
                                     for p in range(each)]}) for s in range(services)]


@pytest.fixture(scope="module")
def large(shared_gateway):
    front = shared_gateway(services=fleet(50, 1000), ready=False)
    wait_until(lambda: front.metrics()("slotgate_actual_pods") == 1000, "all are there", timeout=30)
    return front


def test_a_long_page_is_whole(large):
    services = json.loads(large.admin("/v1/services")[2])["services"]
    assert [s["name"] for s in services] == [f"service-{s}" for s in range(50)]
    assert all(len(s["pods"]) == 20 and s["slots"]["free"] == 20 for s in services)
    metrics = large.metrics()
    assert metrics("slotgate_slots", state="free") == 1000
    assert metrics("slotgate_pods", state="ready") == 1000
    assert len(history(large)["services"]) == 50
    slices = re.findall(r"admin: (\S+) in (\d+) slices", large.log())
    assert {path for path, n in slices if int(n) > 3} >= {"/metrics", "/v1/services"}


def test_head_of_a_long_page(large):
    status, headers, body = large.admin("/v1/services", "HEAD")
    assert (status, body) == (200, "") and int(headers["Content-Length"]) > 100_000


def test_pages_at_the_same_time_do_not_disturb_each_other(large):
    clients = [Client(large.admin_address) for _ in range(20)]
    for i, client in enumerate(clients):
        client.get("/metrics" if i % 2 else "/v1/services")
    for i, client in enumerate(clients):
        answer = client.read_response()
        assert answer.status == 200
        if i % 2:
            assert answer.body.count(b'state="free"') == 1000
        else:
            assert len(json.loads(answer.body)["services"]) == 50
        client.leave()


def test_too_many_pages_at_once_are_refused(large):
    with large.paused():
        clients = [Client(large.admin_address) for _ in range(90)]
        for client in clients:
            client.get("/v1/services")
    statuses = [client.read_response().status for client in clients]
    for client in clients:
        client.leave()
    assert statuses.count(200) >= 64 and set(statuses) <= {200, 503}
    assert large.admin("/v1/services")[0] == 200


def test_who_leaves_in_the_middle_of_a_page_holds_up_nobody(large):
    for i in range(10):
        client = Client(large.admin_address)
        client.get("/metrics")
        client.read_head()
        client.reset() if i % 2 else client.leave()
    assert large.metrics()("slotgate_slots", state="free") == 1000


def test_pods_may_go_while_they_are_shown(gateway):
    front = gateway(services=fleet(2, 600), ready=False)
    wait_until(lambda: front.metrics()("slotgate_actual_pods") == 600, "all", timeout=30)
    clients = [Client(front.admin_address) for _ in range(10)]
    for i, client in enumerate(clients):
        client.get("/metrics" if i % 2 else "/v1/services")
    front.reload({"services": fleet(1, 100)})
    for client in clients:
        answer = client.read_response()
        assert answer.status == 200
        if answer.get("content-type") == "application/json":
            json.loads(answer.body)
        client.leave()
    wait_until(lambda: front.metrics()("slotgate_slots", state="free") == 100, "the rest")


def test_a_client_of_http_1_0_gets_a_long_page_too(large):
    connection = http.client.HTTPConnection(*large.admin_address)
    connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"
    connection.request("GET", "/v1/services")
    assert len(json.load(connection.getresponse())["services"]) == 50
    connection.close()
