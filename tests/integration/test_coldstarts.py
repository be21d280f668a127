"""Where cold starts go: each pod's marks in order, spans that add up, and nothing guessed."""
import json
import subprocess
import threading
import time

import pytest

from harness.demo import GENERATE, PROMPT, binary, demo_command
from harness.gateway import service
from harness.wait import wait_until

FAST = {"initialScale": 0, "maxScale": 5, "stableWindow": "60s", "tickInterval": "50ms"}
PUBLISHED = "tests/coldstarts/{}.json"


@pytest.fixture
def fleet(gateway):
    """fleet("--cold-start", "300ms"): a gateway that starts demo pods."""
    def start(*flags, autoscaling=None, top=None, command=None, process=None, **options):
        command = command or demo_command("--port", "{port}", *flags)
        one = {**service(slots=["POST " + GENERATE], readiness={"httpGet": "/sdapi/v1/memory"}),
               "pods": {"process": {"command": command, **(process or {})}},
               "autoscaling": {**FAST, **(autoscaling or {})}, **options}
        return gateway(services=[one], top=top)
    return start


def starts_of(front):
    """The service's cold starts, newest first; whatever they are, they make sense."""
    status, _, text = front.admin("/v1/coldstarts")
    assert status == 200, text
    service, = json.loads(text)["services"]
    for start in service["coldStarts"]:
        check(start)
    return service["coldStarts"]


def check(start):
    known = [at for at in start["marks"].values() if at is not None]
    assert known == sorted(known), start
    end = 0
    for span in start["spans"]:
        assert span["seconds"] >= 0 and span["phases"]
        assert span["from"] == pytest.approx(end, abs=1e-5), "one begins where the last ended"
        end = span["from"] + span["seconds"]
    if start["state"] != "starting":
        assert end == pytest.approx(start["seconds"], abs=1e-5), "they add up"


def wait_for_start(front, state, count=1):
    def look():
        starts = starts_of(front)
        return len(starts) == count and starts[0]["state"] == state and starts
    return wait_until(look, lambda: f"{state}: {front.admin('/v1/coldstarts')[2]}")


def phases(start):
    return {" + ".join(span["phases"]): span["seconds"] for span in start["spans"]}


def coldstarts(*words, **options):
    done = subprocess.run([binary("slotgate"), "coldstarts", *words], text=True, timeout=20,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    return done.returncode, done.stdout, done.stderr


def address(front):
    host, port = front.admin_address
    return f"{host}:{port}"


# --- local processes ---

def test_a_process_from_the_demand_to_the_first_byte(fleet):
    front = fleet("--cold-start", "500ms", "--api-delay", "200ms", "--service-time", "150ms")
    asked = time.time()
    assert front.post(GENERATE, PROMPT).status == 200
    whole = time.time() - asked
    start, = wait_for_start(front, "answered")
    took = phases(start)
    assert list(took) == ["order", "create", "start", "listen", "ready", "request", "answer"]
    assert 0.25 < took["listen"] < whole and 0.15 < took["ready"] < whole
    assert 0.15 <= took["answer"] < whole and took["request"] < 0.1
    assert start["seconds"] <= whole + 0.001
    assert -0.005 < start["marks"]["demanded"] / 1000 - asked < 1
    assert start["pod"] in front.pods()


def test_each_pod_has_the_demand_that_it_was_for(fleet):
    front = fleet("--service-time", "1s", autoscaling={"maxScaleUpRate": 10})
    first = front.open_post(GENERATE, PROMPT)
    front.wait_for(working=1)  # so a cold start lies between the two
    asked = time.time() * 1000
    second = front.open_post(GENERATE, PROMPT)
    new, old = wait_for_start(front, "starting", 2)
    assert new["marks"]["demanded"] >= asked - 5 > old["marks"]["demanded"]
    assert new["marks"]["ordered"] >= new["marks"]["demanded"]
    assert [first.read_response().status, second.read_response().status] == [200, 200]


def test_what_no_work_asks_for_is_demanded_by_the_decision(fleet):
    front = fleet(autoscaling={"minScale": 1, "initialScale": 1})
    start, = wait_for_start(front, "ready")
    assert start["marks"]["demanded"] == start["marks"]["ordered"]
    assert start["marks"]["requested"] is None and "answer" not in phases(start)


def test_while_it_starts_it_says_how_far_it_is(fleet):
    front = fleet("--cold-start", "60s")
    client = front.open_post(GENERATE, PROMPT)
    start, = wait_for_start(front, "starting")
    assert start["since"] in ("created", "started")
    front.wait_for(starting=1)
    start, = starts_of(front)
    assert start["since"] == "started" and start["seconds"] >= start["sinceSeconds"] > 0
    _, out, _ = coldstarts("--admin", address(front))
    assert "since started" in out and "so far" in out and "in all" not in out
    client.leave()


def test_who_comes_in_place_of_one_that_died_came_for_the_same_demand(fleet, tmp_path):
    """The first run of the program dies; the demand is as old as before."""
    died = tmp_path / "died"
    pod = " ".join(demo_command("--port", "$1"))
    command = ["/bin/sh", "-c", f"if [ -e {died} ]; then exec {pod}; fi; touch {died}; exit 3",
               "sh", "{port}"]
    front = fleet(command=command, process={"backoffBase": "100ms"})
    assert front.post(GENERATE, PROMPT).status == 200
    new, old = wait_for_start(front, "answered", 2)
    assert old["state"] == "gone" and old["marks"]["listening"] is None
    assert new["marks"]["demanded"] == old["marks"]["demanded"]
    assert new["marks"]["created"] >= old["marks"]["created"] + 100


# --- pods that are there ---

def test_a_static_pod_has_the_phases_that_it_can_have(gateway, pods):
    pod = pods()
    front = gateway(services=[service(pod, idle={"httpGet": "/idle", "period": "10ms"})])
    client = front.open_post("/job")
    pod.next().answer()
    assert client.read_response().status == 200
    start, = wait_for_start(front, "answered")
    assert set(start["marks"]) == {"created", "listening", "ready", "checked", "requested",
                                   "answered"}
    assert (start["pod"], start["node"]) == (pod.address, "")


def test_what_passes_beside_the_slots_is_not_the_first_request(gateway, pods):
    pod = pods()
    front = gateway(services=[service(pod, slots=["POST /job"])])
    passing = front.open_get("/progress")
    assert passing.read_response().status == 200
    start, = wait_for_start(front, "ready")
    assert start["marks"]["requested"] is None
    client = front.open_post("/job")
    pod.next().answer()
    assert client.read_response().status == 200
    wait_for_start(front, "answered")


def test_a_pod_that_is_taken_out_ends_its_cold_start(gateway, pod):
    front = gateway(services=[service(pods={"static": ["127.0.0.1:9", pod.address]})])
    front.wait_for(ready=1)
    front.reload({**front.settings, "services": [service(pod)]})
    wait_until(lambda: {start["pod"]: start["state"] for start in starts_of(front)}
               == {"127.0.0.1:9": "gone", pod.address: "ready"}, "it is gone")


# --- upgrades ---

def upgradable(tmp_path):
    return {"upgradeSocket": str(tmp_path / "upgrade"), "drainTimeout": "30s"}


def test_a_cold_start_goes_on_over_an_upgrade(fleet, tmp_path):
    front = fleet("--cold-start", "900ms", "--service-time", "10ms", top=upgradable(tmp_path))
    client = front.open_post(GENERATE, PROMPT)
    front.wait_for(starting=1)
    before, = starts_of(front)
    front.upgrade()
    after, = starts_of(front)
    assert after["state"] == "starting"
    assert {k: v for k, v in after["marks"].items() if before["marks"][k]} == \
        {k: v for k, v in before["marks"].items() if v}
    assert client.read_response().status == 200
    start, = wait_for_start(front, "answered")
    assert list(phases(start)) == ["order", "create", "start", "listen", "ready", "request",
                                   "answer"]
    assert phases(start)["listen"] > 0.5


def test_an_answer_that_came_to_the_process_before_is_not_guessed(fleet, tmp_path):
    front = fleet("--service-time", "700ms", top=upgradable(tmp_path), autoscaling={"maxScale": 1})
    first = front.open_post(GENERATE, PROMPT)
    front.wait_for(working=1)
    front.upgrade()
    start, = starts_of(front)
    assert start["state"] == "unseen" and start["marks"]["requested"]
    assert first.read_response().status == 200
    assert front.post(GENERATE, PROMPT).status == 200
    start, = starts_of(front)
    assert start["state"] == "unseen" and start["marks"]["answered"] is None


def test_demand_from_before_an_upgrade_is_unknown_later(fleet, tmp_path):
    """What waited in the old process waits anew in this one: since when, nobody knows here."""
    front = fleet("--service-time", "1500ms", top=upgradable(tmp_path),
                  autoscaling={"maxScale": 1})
    clients = [front.open_post(GENERATE, PROMPT) for _ in range(2)]
    front.wait_for(working=1, waiting=1)
    one, = front.settings["services"]
    front.write_config({**front.settings, "services": [
        {**one, "autoscaling": {**one["autoscaling"], "maxScale": 2}}]})
    front.upgrade()
    new, _ = wait_until(lambda: len(starts_of(front)) == 2 and starts_of(front), "a second pod")
    assert new["marks"]["demanded"] is None and new["marks"]["ordered"]
    assert [client.read_response().status for client in clients] == [200, 200]


# --- metrics ---

def test_the_phases_add_up_in_the_metrics(fleet):
    front = fleet("--cold-start", "300ms", "--service-time", "50ms")
    assert front.post(GENERATE, PROMPT).status == 200
    start, = wait_for_start(front, "answered")
    name = "slotgate_cold_start_phase_seconds"
    wait_until(lambda: f'{name}_count{{service="sd",phase="answer"}}' in front.admin("/metrics")[2],
               "late words have had their time", timeout=30)
    told = front.metrics()
    for phase, seconds in phases(start).items():
        assert told(f"{name}_count", phase=phase) == 1
        assert told(f"{name}_sum", phase=phase) == pytest.approx(seconds, abs=1e-5)


# --- the command ---

def test_the_command_draws_what_the_admin_says(fleet):
    front = fleet("--cold-start", "400ms", "--service-time", "10ms")
    assert front.post(GENERATE, PROMPT).status == 200
    start, = wait_for_start(front, "answered")
    status, out, err = coldstarts("--admin", address(front), "--service", "sd", "--last", "1")
    assert (status, err) == (0, "") and "\x1b" not in out
    assert out.startswith(f"sd\n\n{start['pod']}  answered, ")
    rows = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert rows == [*phases(start), "in"]
    assert all(len(line) <= 100 for line in out.splitlines())
    status, out, _ = coldstarts("--json", "--admin", address(front))
    assert status == 0 and json.loads(out)["services"][0]["coldStarts"][0]["pod"] == start["pod"]
    status, out, err = coldstarts("--admin", address(front), "--service", "other")
    assert (status, out) == (1, "") and '"other"' in err


@pytest.mark.parametrize("words, said", [
    (["--what"], "--what: unknown"), (["--last", "0"], "--last: unknown"),
    (["--last", "x"], "--last: unknown"), (["--events"], "--events: unknown"),
    (["--admin", ""], "not an address")])
def test_misuse(words, said):
    status, out, err = coldstarts(*words)
    assert (status, out) == (2, "") and said in err


def test_nobody_there():
    status, _, err = coldstarts("--admin", "127.0.0.1:9")
    assert status == 1 and "127.0.0.1:9" in err and "--admin" in err


# --- the published ones, out of files ---

TABLES = {
    "gke-before": [("schedule", 225), ("prepare + pull_start", 4), ("pull", 323), ("start", 1),
                   ("listen + ready", 120)],
    "gke-after": [("trigger", 38), ("schedule", 89), ("prepare", 4), ("pull_start", 10),
                  ("pull", 1), ("start", 1), ("listen + ready", 65)],
    "volcano-new-node": [("schedule", 90), ("prepare + pull_start", 0), ("pull", 240),
                         ("start", 0), ("listen + ready", 0)],
    "volcano-image-cache": [("schedule + prepare + pull_start + pull + start + listen + ready",
                             20)],
}


def replay(path, **options):
    status, out, err = coldstarts("--events", str(path), "--json", **options)
    assert (status, err) == (0, ""), err
    service, = json.loads(out)["services"]
    for start in service["coldStarts"]:
        check(start)
    return service["coldStarts"]


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_the_published_deployments(name):
    start, = replay(PUBLISHED.format(name))
    assert list(phases(start).items()) == TABLES[name]
    assert start["seconds"] == sum(seconds for _, seconds in TABLES[name])
    assert start["nodeAdded"] is (True if name == "gke-after" else None)
    assert start["imageBytes"] == (18.7e9 if name == "volcano-new-node" else 0)
    status, out, _ = coldstarts("--events", PUBLISHED.format(name))
    assert status == 0
    for phase, seconds in TABLES[name]:
        assert any(line.startswith(f"  {phase}") for line in out.splitlines()), phase
        assert not seconds or f"{seconds:.0f} s" in out or f"{seconds:.1f} s" in out


def test_what_the_published_ones_gained():
    """93.9 % less with an image cache; 12 minutes become 3 and a half."""
    seconds = {name: replay(PUBLISHED.format(name))[0]["seconds"] for name in TABLES}
    assert round(100 * (1 - seconds["volcano-image-cache"] / seconds["volcano-new-node"]), 1) == 93.9
    assert seconds["gke-before"] / 60 == pytest.approx(11.2, abs=0.1)
    assert seconds["gke-after"] / 60 == pytest.approx(3.5, abs=0.1)


def published(name, change):
    """The document, changed item by item; None leaves one out."""
    document = json.load(open(PUBLISHED.format(name), encoding="utf-8"))
    document["items"] = [it for it in map(change, document["items"]) if it]
    return json.dumps(document)


def test_it_reads_from_a_pipe_what_kubectl_lists():
    pods = published("gke-before", lambda it: it if it["kind"] == "Pod" else None)
    pods = json.loads(pods)
    for it in pods["items"]:
        del it["kind"]
    start, = replay("-", input=json.dumps({**pods, "kind": "PodList"}))
    assert list(phases(start).items()) == [
        ("schedule", 225), ("prepare + pull_start + pull + start", 328), ("listen + ready", 120)]


def test_events_outlive_their_pod():
    start, = replay("-", input=published(
        "gke-after", lambda it: it if it["kind"] == "Event" else None))
    assert start["state"] == "starting" and start["marks"]["created"] is None
    assert phases(start)["pull"] == 1 and "listen + ready" not in phases(start)


def test_without_events_the_pods_own_words_are_the_last_ones():
    """They are kept for an hour; a pod may wait for longer."""
    def at(second):
        return f"2026-01-01T00:00:{second:02}Z"

    def pod(name, created, scheduled):
        condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(scheduled)}
        return {"metadata": {"name": name, "uid": name, "creationTimestamp": at(created)},
                "status": {"conditions": [condition]}}

    later, first = replay("-", input=json.dumps({"kind": "PodList", "items": [
        pod("first", 0, 5), pod("later", 10, 30)]}))
    assert (first["state"], first["seconds"], first["sinceSeconds"]) == ("starting", 30, 25)
    assert (later["state"], later["seconds"], later["sinceSeconds"]) == ("starting", 20, 0)


def test_a_pod_that_tells_no_time_has_none():
    document = json.dumps({"kind": "PodList", "items": [{"metadata": {"name": "a", "uid": "u"}}]})
    start, = replay("-", input=document)
    assert start["at"] is None and start["seconds"] is None and start["sinceSeconds"] is None
    assert set(start["marks"].values()) == {None} and start["spans"] == []
    status, out, _ = coldstarts("--events", "-", input=document)
    assert status == 0 and "a  starting, of which no time is told" in out and "1970" not in out


def test_an_event_that_was_lost_leaves_a_gap():
    def lose(it):
        return None if it.get("reason") == "Pulled" else it
    start, = replay("-", input=published("gke-before", lose))
    assert phases(start)["pull + start"] == 324
    assert start["marks"]["pulled"] is None


def test_other_containers_do_not_count():
    def of_another(it):
        if it.get("reason") in ("Pulling", "Pulled"):
            it["involvedObject"]["fieldPath"] = "spec.initContainers{warm-up}"
        if it.get("reason") == "Started":
            it["involvedObject"]["fieldPath"] = "spec.containers{proxy}"
        return it
    start, = replay("-", input=published("gke-before", of_another))
    assert start["marks"]["pulling"] is None and start["marks"]["pulled"] is None
    assert phases(start)["prepare + pull_start + pull + start"] == 328


def test_an_image_that_was_there_was_not_pulled():
    def present(it):
        if it.get("reason") == "Pulling":
            return None
        if it.get("reason") == "Pulled":
            it["message"] = 'Container image "sd" already present on machine'
        return it
    start, = replay("-", input=published("gke-before", present))
    assert start["imageWasThere"] and phases(start)["pull"] == 0


def test_a_clock_that_disagrees_is_not_believed():
    """The node's is an hour late: what it says is unknown, not a phase before the pod was there."""
    def late(it):
        if it["kind"] == "Pod":
            it["status"] = json.loads(json.dumps(it["status"]).replace("T08:", "T07:"))
            it["status"]["conditions"][0]["lastTransitionTime"] = "2023-06-01T08:03:45Z"
        elif it["source"]["component"] == "kubelet":
            it["firstTimestamp"] = it["firstTimestamp"].replace("T08:", "T07:")
        return it
    start, = replay("-", input=published("gke-before", late))
    assert phases(start) == {"schedule": 225}


@pytest.mark.parametrize("text, said", [
    ("{", "/dev/stdin:1:2: "), ("", "/dev/stdin"), ("[]", "neither Pods nor Events"),
    ('{"items": {}}', "neither Pods nor Events"),
    ('{"items": [{"kind": "Pod"}, {"kind": "Event"}, 7, null]}', "neither Pods nor Events"),
    ("[" * 100, "/dev/stdin:1:")])
def test_what_cannot_be_read_is_told(text, said):
    status, out, err = coldstarts("--events", "-", input=text)
    assert (status, out) == (1, "") and said in err


def test_a_file_that_is_not_there_or_too_long():
    status, _, err = coldstarts("--events", "/nonexistent")
    assert status == 1 and "/nonexistent: No such file" in err
    status, _, err = coldstarts("--events", "/dev/zero")
    assert status == 1 and "16 MiB" in err


def test_what_could_steer_a_terminal_does_not():
    def hostile(it):
        if it["kind"] == "Pod":
            it["spec"]["nodeName"] = "\u001b]0;title\u0007"
        elif it["reason"] == "FailedScheduling":
            it["message"] = "\u001b[2J" + "x" * 5000
        return it
    status, out, _ = coldstarts("--events", "-", input=published("gke-after", hostile))
    assert status == 0 and "\x1b" not in out and "\x07" not in out


def test_many_are_shown_and_too_many_refused():
    def pods(count):
        return json.dumps({"kind": "PodList", "items": [
            {"metadata": {"name": f"pod-{n}", "uid": f"uid-{n}",
                          "creationTimestamp": "2026-01-01T00:00:00Z"}} for n in range(count)]})
    status, out, _ = coldstarts("--events", "-", "--last", "1000", input=pods(1000))
    assert status == 0 and out.count("starting") == 1000
    status, _, err = coldstarts("--events", "-", input=pods(1025))
    assert status == 1 and "1024" in err


def test_many_clients_see_one_page(gateway, pods):
    front = gateway(services=[service(*pods(3), name=f"s-{n}", hosts=[f"h-{n}"])
                              for n in range(3)], ready=False)
    wait_until(lambda: front.admin("/v1/coldstarts")[2].count('"state":"ready"') == 9, "all are ready")
    seen = []
    readers = [threading.Thread(target=lambda: seen.append(front.admin("/v1/coldstarts")))
               for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    for status, headers, text in seen:
        assert status == 200 and headers["Content-Type"] == "application/json"
        assert [len(it["coldStarts"]) for it in json.loads(text)["services"]] == [3, 3, 3]
