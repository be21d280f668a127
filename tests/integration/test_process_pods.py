"""The process provider: pods from zero, as many as are needed, back to zero, and no orphan ever."""
import json
import os
import socket

import pytest

from harness.demo import GENERATE, PROMPT, demo_command, is_alive
from harness.gateway import service
from harness.wait import wait_until

FAST = {"initialScale": 0, "maxScale": 5, "stableWindow": "1s", "scaleToZeroGracePeriod": "0s",
        "tickInterval": "50ms"}


@pytest.fixture
def fleet(gateway, tmp_path):
    """fleet("--service-time", "50ms", autoscaling={...}): a gateway that starts demo pods."""
    def start(*flags, autoscaling=None, process=None, top=None, command=None, **options):
        command = command or demo_command("--port", "{port}", "--audit-file",
                                          str(tmp_path / "audit-{port}.json"), *flags)
        pods = {"process": {"command": command, "stopGracePeriod": "5s", **(process or {})}}
        one = {**service(slots=["POST " + GENERATE], readiness={"httpGet": "/sdapi/v1/memory"}),
               "pods": pods, "autoscaling": {**FAST, **(autoscaling or {})}, **options}
        return gateway(services=[one], top=top)

    start.audits = lambda: [json.loads(path.read_text()) for path in tmp_path.glob("audit-*.json")]
    yield start
    for audit in start.audits():
        assert audit["highestSimultaneous"] <= 1, audit


def generate(front, n=1, headers=()):
    return [front.open_post(GENERATE, PROMPT, headers) for _ in range(n)]


def statuses(clients):
    return [client.read_response().status for client in clients]


def upgradable(tmp_path, **more):
    return {"upgradeSocket": str(tmp_path / "upgrade"), "drainTimeout": "30s", **more}


def live_pids(fleet):
    return [audit["pid"] for audit in fleet.audits() if is_alive(audit["pid"])]


def test_from_zero_the_first_request_is_held_and_answered(fleet):
    front = fleet("--service-time", "10ms", "--cold-start", "200ms")
    front.wait_for(pods=0, desired=0)
    client, = generate(front, headers=[("X-Request-Id", "first")])
    front.wait_for(waiting=1, starting=1)
    assert client.read_response().json()["images"]
    line = front.access_line("first")
    assert line["queueMs"] >= 150
    assert front.metrics()("slotgate_cold_start_seconds_count") == 1
    assert front.metrics()("slotgate_cold_start_wait_seconds_count") == 1


def test_a_listening_pod_is_not_yet_ready(fleet):
    """Gradio listens before /sdapi exists: 404 there is no answer for a client."""
    front = fleet("--service-time", "10ms", "--cold-start", "300ms", "--api-delay", "200ms")
    assert statuses(generate(front, 3)) == [200] * 3


def test_from_zero_it_asks_for_all_it_needs_in_one_step(fleet):
    front = fleet("--service-time", "50ms", "--cold-start", "300ms")
    with front.paused():
        clients = generate(front, 4)
    front.wait_for(starting=4)
    assert statuses(clients) == [200] * 4


def test_up_to_five_down_to_zero_and_up_again(fleet):
    front = fleet("--service-time", "150ms", "--cold-start", "50ms")
    clients = generate(front, 15)
    front.wait_for(ready=5)
    assert statuses(clients) == [200] * 15
    pids = live_pids(fleet)
    assert len(pids) == 5
    front.wait_for(ready=0, pods=0, desired=0)
    wait_until(lambda: not any(map(is_alive, pids)), "their processes are gone")
    assert statuses(generate(front, 1)) == [200]
    assert sum(audit["served"] for audit in fleet.audits()) == 16
    assert not any(map(is_zombie, descendants(front.process.pid)))


def test_min_scale_is_there_without_a_request(fleet):
    front = fleet("--service-time", "10ms", autoscaling={"minScale": 2})
    front.wait_for(ready=2, starting=0)


def test_a_pass_wakes_the_service(fleet):
    front = fleet("--cold-start", "50ms")
    assert front.get("/sdapi/v1/options").status == 200


def test_scale_down_takes_no_working_pod(fleet):
    front = fleet("--service-time", "10ms")
    assert statuses(generate(front, 5)) == [200] * 5
    long, = generate(front, headers=[("X-Demo-Time", "3s")])
    front.wait_for(working=1)
    front.wait_for(ready=1, pods=1)
    assert long.read_response().status == 200


def test_pods_that_die_at_the_start_are_told_of(fleet):
    front = fleet("--fail-start", process={"startupFailures": 2, "backoffBase": "1s"},
                  queue={"coldStartMaxWait": "60s"})
    clients = generate(front, 3)
    for client in clients:
        response = client.read_response()
        assert response.status == 503 and response.problem == "scaling_failed"
        assert int(response.get("retry-after")) >= 1
    assert front.service()["scale"]["failure"]
    assert front.metrics()("slotgate_scaling_failures_total") >= 2
    wait_until(lambda: "demo-pod: failed to start" in front.log(), "the pod's own words")


def test_a_missing_command_is_told_at_once(fleet):
    front = fleet(command=["/nonexistent/webui", "{port}"])
    client, = generate(front)
    client.socket.settimeout(2)
    response = client.read_response()
    assert response.status == 503 and response.problem == "scaling_failed"
    assert "/nonexistent/webui" in response.json()["detail"] + front.service()["scale"]["failure"]


def test_a_pod_that_never_gets_ready_is_given_up(fleet):
    front = fleet("--cold-start", "60s", process={"startupTimeout": "100ms", "startupFailures": 2,
                                                  "backoffBase": "10ms"})
    response = generate(front)[0].read_response()
    assert response.status == 503 and response.problem == "scaling_failed"


def test_it_recovers_when_pods_start_again(fleet, tmp_path):
    """The command fails until a file is there."""
    flag = tmp_path / "works-now"
    script = f'test -e {flag} || exit 1; exec "$@"'
    command = ["/bin/sh", "-c", script, "sh",
               *demo_command("--port", "{port}", "--service-time", "10ms")]
    front = fleet(command=command, process={"startupFailures": 1, "backoffBase": "50ms",
                                            "backoffMax": "50ms"})
    assert generate(front)[0].read_response().problem == "scaling_failed"
    flag.touch()
    wait_until(lambda: statuses(generate(front)) == [200], "it works again")


def test_a_pod_that_crashes_at_work_is_replaced(fleet):
    """Its exit is certainty: the slot needs no quarantine."""
    front = fleet("--service-time", "20ms", autoscaling={"maxScale": 1},
                  process={"backoffBase": "10ms"})
    crash, = generate(front, headers=[("X-Demo-Fault", "crash")])
    response = crash.read_response()
    assert response.status == 502 and response.problem == "pod_failed"
    assert statuses(generate(front, 2)) == [200] * 2


def test_a_pod_in_quarantine_is_restarted_in_the_end(fleet):
    front = fleet("--service-time", "20ms", autoscaling={"maxScale": 1},
                  timeouts={"response": "100ms"}, quarantine={"restartAfter": "100ms"},
                  process={"stopGracePeriod": "50ms"})
    hang, = generate(front, headers=[("X-Demo-Fault", "hang")])
    assert hang.read_response().status == 504
    assert statuses(generate(front, 1)) == [200]


def test_the_output_of_pods_is_in_the_log(fleet):
    front = fleet("--service-time", "10ms")
    assert statuses(generate(front, 1)) == [200]
    wait_until(lambda: "listening on 127.0.0.1:" in front.log().replace("http://", "!"),
               "the pod's line")


def test_port_and_index_are_filled_in(fleet, tmp_path):
    out = tmp_path / "said"
    script = f'echo "$0 $1 $GPU" >> {out}; exec "$2" --port "$0"'
    front = fleet(command=["/bin/sh", "-c", script, "{port}", "{index}", demo_command()[0]],
                  process={"env": {"GPU": "cuda:{index}"}})
    assert statuses(generate(front, 1)) == [200]
    words = out.read_text().split()
    assert 1024 <= int(words[0]) <= 65535
    assert words[1] == words[2].removeprefix("cuda:") and words[1] in "01"


def test_sigterm_stops_the_pods(fleet):
    front = fleet("--service-time", "10ms", autoscaling={"minScale": 3})
    front.wait_for(ready=3)
    wait_until(lambda: len(live_pids(fleet)) == 3, "three audits")
    pids = live_pids(fleet)
    front.terminate()
    assert front.wait() == 0
    assert not any(map(is_alive, pids))


def test_a_pod_that_ignores_sigterm_is_killed(fleet, tmp_path):
    """And its children with it: the signal goes to the process group."""
    pid_file = tmp_path / "pids"
    script = (f'trap "" TERM; "$0" --port {{port}} & echo $$ $! > {pid_file}; '
              'while true; do sleep 1; done')
    front = fleet(command=["/bin/sh", "-c", script, demo_command()[0]],
                  autoscaling={"minScale": 1}, process={"stopGracePeriod": "100ms"})
    front.wait_for(ready=1)
    pids = [int(pid) for pid in pid_file.read_text().split()]
    front.terminate()
    assert front.wait() == 0
    wait_until(lambda: not any(map(is_alive, pids)), "they are gone")


def test_sigkill_leaves_no_pod(fleet):
    front = fleet("--service-time", "10ms", autoscaling={"minScale": 3})
    front.wait_for(ready=3)
    wait_until(lambda: len(live_pids(fleet)) == 3, "three audits")
    pids = live_pids(fleet)
    front.kill()
    wait_until(lambda: not any(map(is_alive, pids)), "their processes are gone")


def test_sigkill_amid_the_start_leaves_no_pod(fleet, tmp_path):
    front = fleet("--cold-start", "30s", "--audit-port", "0", autoscaling={"minScale": 2})
    front.wait_for(starting=2)
    children = wait_until(lambda: len(found := descendants(front.process.pid)) >= 2 and found,
                          "two processes")
    front.kill()
    wait_until(lambda: not any(map(is_alive, children)), "they are gone")


def test_sigterm_amid_a_cold_start_answers_who_waits(fleet):
    front = fleet("--service-time", "10ms", "--cold-start", "300ms", top={"drainTimeout": "30s"})
    clients = generate(front, 3)
    front.wait_for(waiting=3)
    front.terminate()
    assert statuses(clients) == [200] * 3
    assert front.wait() == 0


def test_a_reload_keeps_the_pods_and_their_work(fleet):
    front = fleet("--service-time", "10ms", autoscaling={"minScale": 2})
    front.wait_for(ready=2)
    wait_until(lambda: len(live_pids(fleet)) == 2, "two audits")
    pids = sorted(live_pids(fleet))
    long, = generate(front, headers=[("X-Demo-Time", "300ms")])
    front.wait_for(working=1)
    one, = front.settings["services"]
    front.reload({"services": [{**one, "queue": {"maxRequests": 5}}]})
    front.wait_for(maxRequests=5, working=1, ready=2)
    assert statuses([long, *generate(front, 1)]) == [200] * 2
    assert sorted(live_pids(fleet)) == pids


def test_ports_count_from_the_first_where_one_is_named(fleet):
    first = next(port for port in range(20000, 30000, 10) if is_free(port) and is_free(port + 1))
    front = fleet("--service-time", "10ms", process={"firstPort": first},
                  autoscaling={"minScale": 2})
    front.wait_for(ready=2)
    ports = sorted(int(pod["address"].split(":")[1]) for pod in front.pods().values())
    assert ports == [first, first + 1]


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def is_zombie(pid):
    try:
        return not is_alive(pid) and os.path.exists(f"/proc/{pid}")
    except ProcessLookupError:
        return False


def descendants(pid):
    """All processes below this one."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as children:
            for child in map(int, children.read().split()):
                found += [child, *descendants(child)]
    return found


def test_pods_do_not_inherit_the_gateways_descriptors(fleet):
    """Or a listener would stay open in a pod after the gateway has gone."""
    front = fleet("--service-time", "10ms", autoscaling={"minScale": 1})
    front.wait_for(ready=1)
    pid = wait_until(lambda: live_pids(fleet), "its audit")[0]
    sockets = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    mine = [os.readlink(f"/proc/{front.process.pid}/fd/{fd}")
            for fd in os.listdir(f"/proc/{front.process.pid}/fd")]
    shared = [name for name in set(sockets) & set(mine) if name.startswith("socket:")]
    assert not shared


# --- upgrades: the pods go on, whoever they belong to ---

def test_an_upgrade_keeps_the_pods(fleet, tmp_path):
    front = fleet("--service-time", "200ms", autoscaling={"maxScale": 3, "stableWindow": "60s"},
                  top=upgradable(tmp_path))
    clients = generate(front, 6)
    front.wait_for(ready=3, working=3)
    pids = sorted(live_pids(fleet))
    for _ in range(3):
        front.upgrade()
    assert len(front.pods()) == 3
    assert statuses(clients) == [200] * 6
    assert statuses(generate(front, 3)) == [200] * 3
    assert sorted(live_pids(fleet)) == pids
    for old in front.elders:
        assert old.wait() == 0
    assert sorted(live_pids(fleet)) == pids
    front.terminate()
    assert front.wait() == 0
    wait_until(lambda: not live_pids(fleet), "their gateway has stopped them")


def test_a_pod_that_starts_goes_on_starting(fleet, tmp_path):
    front = fleet("--service-time", "10ms", "--cold-start", "500ms", top=upgradable(tmp_path))
    client, = generate(front)
    front.wait_for(starting=1)
    front.upgrade()
    front.wait_for(starting=1, waiting=1)
    assert client.read_response().status == 200
    assert len(fleet.audits()) == 1


def test_a_pod_that_dies_after_an_upgrade_is_missed(fleet, tmp_path):
    front = fleet("--service-time", "10ms", top=upgradable(tmp_path),
                  autoscaling={"minScale": 1, "initialScale": 1})
    front.wait_for(ready=1)
    front.upgrade()
    before = live_pids(fleet)
    os.kill(before[0], 9)
    wait_until(lambda: len(set(live_pids(fleet)) - set(before)) == 1, "another takes its place")
    assert statuses(generate(front)) == [200]


def test_a_service_that_an_upgrade_removes_ends_after_its_jobs(fleet, tmp_path, pod):
    front = fleet("--service-time", "400ms", top=upgradable(tmp_path))
    client, = generate(front)
    front.wait_for(working=1)
    pids = live_pids(fleet)
    front.write_config({**front.settings, "services": [service(pod, name="other")]})
    front.upgrade()
    assert live_pids(fleet) == pids
    assert client.read_response().status == 200
    wait_until(lambda: not live_pids(fleet), "its pods are stopped")
    front.wait_for(ready=1)


def test_the_pods_do_not_outlive_the_new_gateway_killed(fleet, tmp_path):
    front = fleet("--service-time", "10ms", top=upgradable(tmp_path),
                  autoscaling={"minScale": 1, "initialScale": 1})
    front.wait_for(ready=1)
    old = front.upgrade()
    assert old.wait() == 0
    assert len(live_pids(fleet)) == 1
    front.kill()
    wait_until(lambda: not live_pids(fleet), "they end with it")
