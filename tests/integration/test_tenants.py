"""Who may come in, how much of them, and what is said of it."""
import contextlib
import hashlib
import json
import queue
import subprocess
import threading

import pytest

from harness.client import Broken
from harness.demo import binary
from harness.gateway import service
from harness.keys import KeyFile, bearer, digest, entry
from harness.wait import wait_until


@pytest.fixture
def keys(tmp_path):
    return lambda *entries: KeyFile(tmp_path / "keys.json", *entries)


@pytest.fixture
def secured(gateway, pods, keys):
    """secured(entry("acme"), ..., capacity=2): a gateway with keys, its pod, its file of keys."""
    def make(*entries, capacity=1, api=None, **options):
        file = keys(*entries)
        pod = pods(capacity=capacity)
        front = gateway(pod, apiKeys=file.option(**(api or {})), containerConcurrency=capacity,
                        **options)
        return front, pod, file
    return make


def tenant(front, name):
    return next((t for t in front.service()["tenants"] if t["name"] == name), None)


def wait_for_tenant(front, name, **wanted):
    def look():
        seen = tenant(front, name)
        return seen and all(seen[key] == value for key, value in wanted.items())
    wait_until(look, lambda: f"{wanted}; it is {tenant(front, name)}")


def reloaded(front, file, *entries):
    """Writes the file of keys, which the gateway finds by itself."""
    count = front.metrics()("slotgate_config_reloads_total", result="success")
    file.write(*entries)
    front.wait_for_metric(count + 1, "slotgate_config_reloads_total", result="success")


# --- the door ------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [
    {}, {"x-api-key": "wrong"}, {"Authorization": "Bearer wrong"}, {"x-api-key": ""},
    {"Authorization": "Bearer "}, {"Authorization": "Basic a2V5LW9mLWFjbWU6"},
    {"Authorization": "key-of-acme"}, {"Authorization": "Bearerkey-of-acme"},
    {"x-api-key": "key-of-acme2"}, {"x-api-key": "key-of-acm"}, {"x-api-key": "KEY-OF-ACME"},
    {"x-api-key": digest("key-of-acme")}, {"x-api-key": "k" * 600},
    {"Cookie": "x-api-key=key-of-acme"}, {"Proxy-Authorization": "Bearer key-of-acme"},
])
def test_without_a_good_key_nobody_comes_in(secured, headers):
    front, pod, _ = secured(entry("acme"))
    answer = front.post("/job", headers=headers)
    assert (answer.status, answer.problem) == (401, "unauthorized")
    assert answer.get("www-authenticate") == "Bearer"
    assert front.get("/ui", headers).status == 401  # beside the slots too
    assert front.get("/job?key=key-of-acme&x-api-key=key-of-acme", headers).status == 401
    assert pod.requests == []


@pytest.mark.parametrize("headers", [
    {"Authorization": "Bearer key-of-acme"}, {"authorization": "bEARER   key-of-acme"},
    {"X-API-Key": "key-of-acme"}, {"X-Api-Key": "\tkey-of-acme "},
    {"x-api-key": "key-of-acme", "Authorization": "Bearer key-of-acme"},
    {"x-api-key": "key-of-acme", "Authorization": "Basic other"},
])
def test_a_good_key_comes_in(secured, headers):
    front, _, _ = secured(entry("acme"))
    assert front.get("/ui", headers).status == 200


def test_two_keys_are_one_too_many(secured):
    front, pod, _ = secured(entry("acme"), entry("beta"))
    for headers in ([("x-api-key", "key-of-acme"), ("Authorization", "Bearer key-of-beta")],
                    [("x-api-key", "key-of-acme"), ("x-api-key", "wrong")],
                    [("Authorization", "Bearer x"), ("Authorization", "Bearer y")]):
        answer = front.get("/ui", headers)
        assert (answer.status, answer.problem) == (400, "two_keys")
    assert pod.requests == []


def test_a_disabled_key_and_one_for_elsewhere_are_forbidden(secured):
    front, pod, _ = secured(entry("acme", disabled=True), entry("beta", services=["llm"]),
                            entry("gamma", services=["llm", "sd"]))
    assert front.get("/ui", bearer("acme")).problem == "forbidden"
    answer = front.get("/ui", bearer("beta"))
    assert (answer.status, answer.problem) == (403, "forbidden")
    assert front.get("/ui", bearer("gamma")).status == 200
    assert [request.path for request in pod.requests] == ["/ui"]
    assert tenant(front, "beta") is None


def test_a_denied_body_is_not_read(secured):
    front, _, _ = secured(entry("acme"))
    client = front.client()
    client.send(client.head("POST", "/job", {"Content-Length": "1000000"}))
    answer = client.read_response()
    assert answer.status == 401
    assert client.is_closed_by_peer()


def test_blocked_routes_are_blocked_for_all(secured):
    front, pod, _ = secured(entry("acme"))
    for headers in ({}, bearer("acme"), bearer("wrong")):
        for target in ("/sdapi/v1/server-kill", "/sdapi/v1/server-restart", "/sdapi//v1/%73erver-x"):
            assert front.post(target, headers=headers).problem == "blocked"
    assert pod.requests == []


def test_open_routes_need_no_key(secured):
    front, pod, _ = secured(entry("acme"), api={"open": ["GET /health", "OPTIONS *"]})
    assert front.get("/health").status == 200
    assert front.get("/health", bearer("wrong")).status == 200
    assert front.get("/health/more").status == 401
    assert front.post("/health").status == 401
    preflight = {"Origin": "http://ui", "Access-Control-Request-Method": "POST"}
    with front.client() as client:
        assert client.request("OPTIONS", "/ui", preflight).read_response().status == 200
    front.get("/health", {**bearer("acme"), "X-Request-Id": "known"})
    assert front.access_line("known")["tenant"] == "acme"


@pytest.mark.parametrize("path", [
    "/private/../health", "/private/..%2fhealth", "/public/../private", "/public/..%2fprivate",
    "/public/%2e%2e/private", "/private/../public/x", "/./health", "//health", "/health/..",
])
def test_no_spelling_of_a_path_opens_another(secured, path):
    """A pod may tidy a path or not: a key is needed unless it comes out open either way."""
    front, pod, _ = secured(entry("acme"), api={"open": ["GET /health", "GET /public/*"]})
    assert front.get(path).status == 401
    assert front.get(path, bearer("acme")).status == 200
    for open_path in ("/health?x=/../y", "/public/a%20b", "/public/a/./b", "/public/"):
        assert front.get(open_path).status == 200
    assert [request.path for request in pod.requests][0] == path


def test_a_preflight_needs_a_key_unless_it_is_open(secured):
    """It would wake a pod and reach it."""
    front, _, _ = secured(entry("acme"))
    with front.client() as client:
        client.request("OPTIONS", "/ui", {"Origin": "http://ui",
                                          "Access-Control-Request-Method": "POST"})
        assert client.read_response().status == 401


def test_services_without_keys_are_open(gateway, pods, keys):
    one, two = pods(2)
    front = gateway(services=[
        {**service(one), "name": "closed", "hosts": ["closed"],
         "apiKeys": keys(entry("acme")).option()},
        {**service(two), "name": "open", "hosts": ["open"]}])
    assert front.get("/ui", host="closed").status == 401
    wait_until(lambda: front.get("/ui", host="open").status == 200, "it is there")
    seen = front.get("/ui", bearer("acme"), host="open").json()
    assert ["authorization", "Bearer key-of-acme"] in seen["headers"]


# --- what the pod is shown -----------------------------------------------------------------------


@pytest.mark.parametrize("headers", [
    [("Authorization", "Bearer key-of-acme")], [("x-api-key", "key-of-acme")],
    [("AUTHORIZATION", "bearer key-of-acme"), ("X-API-KEY", "key-of-acme")],
    [("x-api-key", "key-of-acme"), ("x-api-key", "key-of-acme")],
])
def test_the_key_is_not_forwarded(secured, headers):
    front, _, _ = secured(entry("acme"))
    seen = front.get("/ui", [*headers, ("X-Kept", "yes")]).json()["headers"]
    assert ["x-kept", "yes"] in seen
    assert "key-of-acme" not in json.dumps(seen)


def test_a_credential_of_the_pods_own_is_forwarded(secured):
    front, _, _ = secured(entry("acme"))
    seen = front.get("/ui", {"x-api-key": "key-of-acme", "Authorization": "Basic cG9k"}).json()
    assert ["authorization", "Basic cG9k"] in seen["headers"]


def test_a_known_key_is_not_forwarded_on_an_open_route(secured):
    front, _, _ = secured(entry("acme"), entry("beta", disabled=True), api={"open": ["GET /*"]})
    for name in ("acme", "beta"):
        seen = front.get("/ui", bearer(name)).json()
        assert f"key-of-{name}" not in json.dumps(seen)
    assert "key-of-acme" not in json.dumps(front.get("/ui", {"x-api-key": "key-of-acme"}).json())


def test_the_key_is_forwarded_where_that_is_wanted(secured):
    front, _, _ = secured(entry("acme"), api={"forward": True})
    seen = front.get("/ui", {"x-api-key": "key-of-acme"}).json()
    assert ["x-api-key", "key-of-acme"] in seen["headers"]


def test_a_job_and_a_retry_carry_no_key(secured):
    front, pod, _ = secured(entry("acme"))
    client = front.open_post("/job", headers=bearer("acme"))
    job = pod.next()
    assert job.get("authorization") is None
    job.answer()
    assert client.read_response().status == 200


# --- caps ----------------------------------------------------------------------------------------


def test_a_tenant_never_works_on_more_than_it_may(secured):
    front, pod, _ = secured(entry("acme", maxWorking=2), entry("beta"), capacity=4)
    clients = [front.open_post(f"/job/a{i}", headers=bearer("acme")) for i in range(6)]
    jobs = [pod.next() for _ in range(2)]
    wait_for_tenant(front, "acme", working=2, waiting=4)
    other = front.open_post("/job/b", headers=bearer("beta"))
    assert pod.next().path == "/job/b"  # not held up by the four before it
    for _ in range(4):
        jobs.pop(0).answer()
        jobs.append(pod.next())
        assert tenant(front, "acme")["working"] == 2
    assert front.figures()["free"] == 1
    for job in jobs:
        job.answer()
    pod.requests[2].answer()
    for client in (*clients, other):
        assert client.read_response().status == 200


def test_a_job_whose_client_left_is_still_its_tenants(secured):
    front, pod, _ = secured(entry("acme", maxWorking=1), capacity=2)
    leaving = front.open_post("/job/gone", headers=bearer("acme"))
    job = pod.next()
    leaving.leave()
    client = front.open_post("/job/next", headers=bearer("acme"))
    front.wait_for(draining=1, waiting=1)
    wait_for_tenant(front, "acme", working=1, waiting=1)
    job.answer()
    assert pod.next().path == "/job/next"
    pod.requests[-1].answer()
    assert client.read_response().status == 200


def test_a_full_queue_of_a_tenant_refuses_it_before_its_body(secured):
    front, pod, _ = secured(entry("acme", maxQueued=2), entry("beta"))
    holder = front.open_post("/job/holder", headers=bearer("beta"))
    job = pod.next()
    waiters = [front.open_post("/job/w", headers=bearer("acme")) for _ in range(2)]
    front.wait_for(waiting=2)
    client = front.client()
    client.send(client.head("POST", "/job", {**bearer("acme"), "Content-Length": "1000000"}))
    answer = client.read_response()
    assert (answer.status, answer.problem) == (429, "tenant_queue_full")
    assert 1 <= int(answer.get("retry-after")) <= 60
    assert front.get("/ui", bearer("acme")).status == 200  # the UI goes on
    other = front.open_post("/job/other", headers=bearer("beta"))
    front.wait_for(waiting=3)
    job.answer()
    for waiter in (*waiters, other):
        pod.next().answer()
        assert waiter.read_response().status == 200
    assert holder.read_response().status == 200


def finish_all(pod, done, most):
    """Answers jobs in order, each when others have come or none does: they overlap."""
    working = []
    while working or not done.is_set():
        with contextlib.suppress(queue.Empty):
            working.append(pod.arrived.get(timeout=0.002))
            names = [job.path.split("/")[2] for job in working]
            for name in names:
                most[name] = max(most.get(name, 0), names.count(name))
            if len(working) < 3:
                continue
        if working:
            working.pop(0).answer()


def test_under_load_every_cap_holds(secured):
    front, pod, _ = secured(entry("acme", maxWorking=1), entry("beta", maxWorking=2),
                            entry("gamma"), capacity=4)
    most, statuses, done = {}, [], threading.Event()

    def load(name):
        with front.client() as client:
            for _ in range(40):
                statuses.append(client.post(f"/job/{name}", headers=bearer(name))
                                .read_response().status)

    finisher = threading.Thread(target=finish_all, args=[pod, done, most])
    threads = [threading.Thread(target=load, args=[name])
               for name in ("acme", "beta", "gamma") for _ in range(4)]
    for thread in (finisher, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    finisher.join()
    assert statuses == [200] * 480
    assert most["acme"] == 1 and most["beta"] == 2 and most["gamma"] > 1
    for name in ("acme", "beta", "gamma"):
        wait_for_tenant(front, name, working=0, waiting=0, uploading=0)


# --- rates ---------------------------------------------------------------------------------------


def test_above_its_rate_a_tenant_is_told_when_to_come_again(secured):
    front, pod, _ = secured(entry("acme", requestsPerSecond=0.01, burst=3), entry("beta"))
    with front.client() as client:
        for _ in range(3):
            assert client.get("/ui", bearer("acme")).read_response().status == 200
        answer = client.get("/ui", bearer("acme")).read_response()
    assert (answer.status, answer.problem) == (429, "rate_limited")
    assert 60 < int(answer.get("retry-after")) <= 100
    assert front.post("/job", headers=bearer("acme")).status == 429
    assert front.get("/ui", bearer("beta")).status == 200
    assert len(pod.requests) == 4


def test_a_rate_refills(secured):
    front, _, _ = secured(entry("acme", requestsPerSecond=20, burst=1))
    seen = set()

    def both():
        seen.add(front.get("/ui", bearer("acme")).status)
        return seen == {200, 429}

    wait_until(both, lambda: f"some pass and some do not: {seen}", every=0.0)
    wait_until(lambda: front.get("/ui", bearer("acme")).status == 200, "one passes", every=0.1)


def test_keys_of_one_tenant_share_its_rate(secured):
    front, _, _ = secured(entry("acme", requestsPerSecond=0.01, burst=2),
                          entry("acme", key="second"))
    assert front.get("/ui", {"x-api-key": "second"}).status == 200
    assert front.get("/ui", bearer("acme")).status == 200
    assert front.get("/ui", {"x-api-key": "second"}).status == 429


# --- reloads -------------------------------------------------------------------------------------


def test_a_changed_file_of_keys_is_found(secured):
    front, _, file = secured(entry("acme"))
    reloaded(front, file, entry("beta"))
    assert front.get("/ui", bearer("acme")).status == 401
    assert front.get("/ui", bearer("beta")).status == 200
    assert tenant(front, "acme") is None


def test_a_reload_of_keys_under_load_loses_nothing(secured):
    front, pod, file = secured(entry("acme", maxWorking=1), entry("beta"), capacity=2)
    pod.script = lambda job: job.answer()
    done, statuses = threading.Event(), []

    def load(name):
        with front.client() as client:
            while not done.is_set():
                statuses.append(client.post("/job", headers=bearer(name)).read_response().status)

    threads = [threading.Thread(target=load, args=[name]) for name in ("acme", "beta") * 2]
    for thread in threads:
        thread.start()
    try:
        for most in (2, 1, 0):
            count = len(statuses)
            reloaded(front, file, entry("acme", maxWorking=most), entry("beta", maxQueued=50))
            wait_until(lambda: len(statuses) > count + 20, "it goes on")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert statuses == [200] * len(statuses)


def test_caps_change_for_those_who_wait(secured):
    front, pod, file = secured(entry("acme", maxWorking=1), capacity=2)
    clients = [front.open_post("/job", headers=bearer("acme")) for _ in range(3)]
    pod.next()
    front.wait_for(waiting=2, working=1)
    reloaded(front, file, entry("acme", maxWorking=2))
    pod.next()
    wait_for_tenant(front, "acme", working=2, waiting=1)
    for job in list(pod.requests):
        job.answer()
    pod.next().answer()
    for client in clients:
        assert client.read_response().status == 200


def test_a_tenant_that_is_taken_out_finishes_what_it_has(secured):
    front, pod, file = secured(entry("acme", maxWorking=1), entry("beta"), capacity=2)
    clients = [front.open_post("/job", headers=bearer("acme")) for _ in range(2)]
    job = pod.next()
    front.wait_for(waiting=1)
    reloaded(front, file, entry("beta"))
    assert front.post("/job", headers=bearer("acme")).status == 401
    wait_for_tenant(front, "acme", leaving=True, working=1, waiting=1)
    job.answer()
    pod.next().answer()
    assert [client.read_response().status for client in clients] == [200, 200]
    wait_until(lambda: tenant(front, "acme") is None, "it is forgotten")


def test_taking_the_keys_away_opens_the_service(secured):
    front, pod, _ = secured(entry("acme"))
    assert front.get("/ui").status == 401
    front.reload({"services": [service(pod)]})
    assert front.get("/ui").status == 200
    assert front.service()["tenants"] == []


FAULTS = {
    '{"keys": [{"sha256": "abc", "tenant": "a"}]}': "keys[0].sha256",
    '{"keys": [{"sha256": "%s", "tenent": "a"}]}' % digest("a"): 'did you mean "tenant"?',
    '{"keys": [{"sha256": "%s", "tenant": "a b"}]}' % digest("a"): "keys[0].tenant",
    '{"keys": [{"sha256": "%s", "tenant": "other"}]}' % digest("a"): "keys[0].tenant",
    '{"keys": [{"sha256": "%s", "tenant": "%s"}]}' % (digest("a"), "n" * 64): "keys[0].tenant",
    '{"keys": [{"tenant": "a"}]}': "keys[0].sha256: required",
    '{"keys": 5}': "keys: must be a list",
    '{}': "keys: required",
    '[]': "must be one JSON object",
    '{"keys": [}': ":1:11:",
    '': "keys.json",
    json.dumps({"keys": [entry("a"), entry("b", key="key-of-a")]}): "the same key as keys[0]",
    json.dumps({"keys": [entry("a", maxWorking=1), entry("a", "2", maxWorking=2)]}):
        "keys[1].maxWorking: keys[0] gives the same tenant another",
    json.dumps({"keys": [entry("a", burst=5)]}): "keys[0].burst",
    json.dumps({"keys": [entry("a", maxWorking=-1)]}): "keys[0].maxWorking",
    json.dumps({"keys": [entry("a", requestsPerSecond=1e7)]}): "keys[0].requestsPerSecond",
    json.dumps({"keys": [entry("a", services=["A B"])]}): "keys[0].services[0]",
    json.dumps({"keys": [entry("a", f"{i}") for i in range(10001)]}): "a list of 0 to 10000",
    " " * (8 << 20) + " {}": "must not be larger than 8 MiB",
}


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: FAULTS[text][:30])
def test_a_faulty_file_of_keys_is_told_with_its_place(tmp_path, text):
    file = KeyFile(tmp_path / "keys.json")
    file.write_text(text)
    config = tmp_path / "slotgate.json"
    config.write_text(json.dumps({
        "listeners": [{"address": "127.0.0.1:0"}],
        "services": [{"name": "sd", "pods": {"static": ["127.0.0.1:1"]},
                      "apiKeys": file.option()}]}))
    for verb in ("check", "serve"):
        done = subprocess.run([binary("slotgate"), verb, "-c", str(config)], text=True,
                              capture_output=True, timeout=20)
        assert done.returncode == 1
        assert file.path in done.stderr and FAULTS[text] in done.stderr


def test_a_key_in_place_of_its_digest_is_not_repeated(tmp_path):
    file = KeyFile(tmp_path / "keys.json", {"sha256": "my-secret-key", "tenant": "a"})
    config = tmp_path / "slotgate.json"
    config.write_text(json.dumps({
        "listeners": [{"address": "127.0.0.1:0"}],
        "services": [{"name": "sd", "pods": {"static": ["127.0.0.1:1"]},
                      "apiKeys": file.option()}]}))
    done = subprocess.run([binary("slotgate"), "check", "-c", str(config)], text=True,
                          capture_output=True, timeout=20)
    assert done.returncode == 1 and "my-secret-key" not in done.stderr


@pytest.mark.parametrize("path", ["/nowhere/keys.json", "/tmp", "/dev/zero"])
def test_a_file_of_keys_must_be_there(tmp_path, path):
    config = tmp_path / "slotgate.json"
    config.write_text(json.dumps({
        "listeners": [{"address": "127.0.0.1:0"}],
        "services": [{"name": "sd", "pods": {"static": ["127.0.0.1:1"]},
                      "apiKeys": {"file": path}}]}))
    done = subprocess.run([binary("slotgate"), "check", "-c", str(config)], text=True,
                          capture_output=True, timeout=20)
    assert done.returncode == 1 and path in done.stderr


def test_a_broken_new_file_keeps_the_old_keys(secured):
    front, _, file = secured(entry("acme"))
    failures = front.metrics()("slotgate_config_reloads_total", result="failure")
    file.write_text('{"keys": [{"sha256": "zz", "tenant": "beta"}]}')
    front.wait_for_metric(failures + 1, "slotgate_config_reloads_total", result="failure")
    assert front.get("/ui", bearer("acme")).status == 200
    assert front.get("/ui", bearer("beta")).status == 401
    wait_until(lambda: f"{file.path}: keys[0].sha256: must be the SHA-256" in front.log(),
               "the log says so")
    reloaded(front, file, entry("acme"), entry("beta"))
    assert front.get("/ui", bearer("beta")).status == 200


# --- what is said of it --------------------------------------------------------------------------


def test_the_access_log_names_the_tenant(secured):
    front, _, _ = secured(entry("acme"), entry("beta", disabled=True))
    front.get("/ui", {**bearer("acme"), "X-Request-Id": "in"})
    front.get("/ui", {"X-Request-Id": "out"})
    front.get("/ui", {**bearer("beta"), "X-Request-Id": "off"})
    assert front.access_line("in")["tenant"] == "acme"
    line = front.access_line("out")
    assert (line["tenant"], line["status"], line["reason"]) == ("", 401, "unauthorized")
    assert front.access_line("off")["tenant"] == "beta"


def test_metrics_count_by_tenant(secured):
    front, pod, file = secured(entry("acme", requestsPerSecond=0.01, burst=2, maxWorking=1),
                               entry("beta"), capacity=2)
    for _ in range(2):
        front.open_post("/job", headers=bearer("acme"))
    pod.next()
    front.wait_for_metric(1, "slotgate_tenant_queued_requests", tenant="acme")
    front.wait_for_metric(1, "slotgate_tenant_working_requests", tenant="acme")
    assert front.get("/ui", bearer("acme")).status == 429
    assert front.get("/ui", bearer("beta")).status == 200
    assert front.get("/ui").status == 401
    seen = front.metrics()
    assert seen("slotgate_tenant_rate_limited_total", tenant="acme") == 1
    front.wait_for_metric(1, "slotgate_tenant_requests_total", tenant="acme", **{"class": "4xx"})
    front.wait_for_metric(1, "slotgate_tenant_requests_total", tenant="beta", **{"class": "2xx"})
    assert seen("slotgate_refused_total", reason="unauthorized") == 1
    assert seen("slotgate_refused_total", reason="rate_limited") == 1
    reloaded(front, file, entry("beta"))
    seen = front.metrics()
    assert not any(("tenant", "acme") in labels for _, labels in seen.samples)
    assert seen("slotgate_tenant_requests_total", tenant="beta", **{"class": "2xx"}) == 1


def test_series_are_bounded(secured):
    front, pod, file = secured(*[entry(f"t{i}") for i in range(230)])
    for i in (5, 210, 220):
        assert front.get("/ui", bearer(f"t{i}")).status == 200

    def tenants():
        return {dict(labels)["tenant"] for name, labels in front.metrics().samples
                if "tenant" in dict(labels)}

    assert len(tenants()) == 201 and "other" in tenants() and "t210" not in tenants()
    front.wait_for_metric(2, "slotgate_tenant_requests_total", tenant="other", **{"class": "2xx"})
    reloaded(front, file, *[entry(f"t{i}") for i in range(100, 230)])
    front.get("/ui", bearer("t210"))
    front.wait_for_metric(1, "slotgate_tenant_requests_total", tenant="t210", **{"class": "2xx"})
    assert "t5" not in tenants() and "t100" in tenants()


def test_guesses_do_not_fill_the_log(secured):
    front, _, _ = secured(entry("acme"))
    with front.client() as client:
        for i in range(50):
            client.get("/ui", {"x-api-key": f"guess-{i}"}).read_response()
    front.wait_for_metric(50, "slotgate_refused_total", reason="unauthorized")
    wait_until(lambda: "were denied" in front.log(), "it is logged")
    log = front.log()
    assert log.count("were denied") == 1 and "guess-" not in log
    assert "key-of-acme" not in log and "guess-" not in front.access_path.read_text()


def test_a_key_is_made(keys, gateway, pod):
    done = subprocess.run([binary("slotgate"), "key", "acme"], text=True, capture_output=True,
                          check=True)
    key, line = done.stdout.splitlines()
    assert json.loads(line) == {"sha256": hashlib.sha256(key.encode()).hexdigest(),
                                "tenant": "acme"}
    front = gateway(pod, apiKeys=keys(json.loads(line)).option())
    assert front.get("/ui", {"x-api-key": key}).status == 200
    for arguments in ([], ["a", "b"], ["no spaces"], ["other"]):
        done = subprocess.run([binary("slotgate"), "key", *arguments], capture_output=True)
        assert done.returncode == 2


def test_bounded_heads_with_keys(secured):
    """A key as large as a head may be is unknown; a larger one is no head."""
    front, _, _ = secured(entry("acme"))
    assert front.get("/ui", {"x-api-key": "k" * 50000}).status == 401
    with contextlib.suppress(Broken, ConnectionError):
        assert front.get("/ui", {"x-api-key": "k" * 70000}).status == 431
