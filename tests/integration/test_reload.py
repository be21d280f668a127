"""Promise 9: a reload drops nothing and forgets nobody who is working."""
import threading

from harness.gateway import limits, service
from harness.wait import wait_until


def test_a_pod_that_leaves_and_comes_back_keeps_its_count(gateway, pods):
    """Knative gives it a fresh counter, and the next job overlaps (issues 15811, 16083)."""
    leaving, staying = pods(2)
    front = gateway(leaving)
    client = front.open_post("/job/long")
    job = leaving.next()
    front.reload({"services": [service(staying)]})
    front.wait_for_pod(staying, "ready")
    assert front.pod(leaving)["state"] == "absent" and front.pod(leaving)["used"] == 1
    front.reload({"services": [service(leaving, staying)]})
    front.wait_for_pod(leaving, "full")
    first = front.open_post("/job/first")
    assert staying.next().path == "/job/first"
    second = front.open_post("/job/second")
    front.wait_for(waiting=1, working=2)
    job.answer(b"long")
    assert client.read_response().body == b"long"
    assert leaving.next().path == "/job/second"
    for each in (first, second):
        each.leave()


def test_what_was_told_of_descriptors_is_not_told_again(gateway, pod):
    front = gateway(pod, in_child=limits(descriptors=200), ready=False)
    told = "limits.maxConnections: at most"
    for reloads, (settings, times) in enumerate([({"log": {"level": "info"}}, 1),
                                                 ({"limits": {"maxConnections": 1000}}, 2)]):
        front.reload(settings)
        wait_until(lambda: front.log().count("configuration reloaded") > reloads, "it is logged")
        assert front.log().count(told) == times


def test_a_job_in_flight_survives_its_pods_removal(gateway, pods):
    leaving, staying = pods(2)
    front = gateway(leaving)
    client = front.open_post("/job")
    job = leaving.next()
    front.reload({"services": [service(staying)]})
    job.answer(b"safe")
    assert client.read_response().body == b"safe"
    wait_until(lambda: front.pod(leaving) is None, "it is forgotten once it is idle")


def test_a_pod_that_comes_back_after_its_client_left_is_still_busy(gateway, pods):
    leaving, staying = pods(2)
    front = gateway(leaving, staying)
    holders = [front.open_post("/job/holder") for _ in range(2)]
    job, other = leaving.next(), staying.next()
    front.reload({"services": [service(staying)]})
    for holder in holders:
        holder.leave()
    front.wait_for(draining=2)
    front.reload({"services": [service(leaving, staying)]})
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1, draining=2)
    job.answer()
    assert leaving.next().path == "/job/waiter"
    other.answer()
    waiter.leave()


def test_a_reload_under_load_loses_nothing(gateway, pods):
    one, two = pods(2, script=lambda job: job.answer())
    front = gateway(one, two)
    done, statuses = threading.Event(), []

    def load():
        with front.client() as client:
            while not done.is_set():
                statuses.append(client.post("/job").read_response().status)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for listed in ((one,), (two,), (two, one), (one,), (one, two)):
            count = len(statuses)
            front.reload({"services": [service(*listed, queue={"maxRequests": 100})]})
            wait_until(lambda: len(statuses) > count + 20, "it goes on")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert statuses == [200] * len(statuses)


def test_waiters_stay_in_line_over_a_reload(gateway, pod):
    front = gateway(pod)
    holder = front.open_post("/job/holder")
    job = pod.next()
    waiters = []
    for i in range(5):
        waiters.append(front.open_post(f"/job/{i}"))
        front.wait_for(waiting=i + 1)
    front.reload({"services": [service(pod, queue={"maxRequests": 50})]})
    front.wait_for(waiting=5, maxRequests=50)
    job.answer()
    assert holder.read_response().status == 200
    for i, waiter in enumerate(waiters):
        job = pod.next()
        assert job.path == f"/job/{i}"
        job.answer()
        assert waiter.read_response().status == 200


def test_a_faulty_config_changes_nothing(gateway, pod):
    front = gateway(pod)
    client = front.open_post("/job")
    job = pod.next()
    for text in ("", "{", '{"listeners": 7}', '{"servces": []}', "\0\xff"):
        front.reload(text=text)
    assert front.metrics()("slotgate_config_last_reload_success") == 0
    assert front.figures()["maxRequests"] == 10000
    job.answer()
    assert client.read_response().status == 200
    front.reload({})
    assert front.metrics()("slotgate_config_last_reload_success") == 1


def test_a_faulty_config_is_told_with_its_place(gateway, pod):
    front = gateway(pod)
    front.reload(text='{"listeners": [{"address": "127.0.0.1:0"}], "services": [{"name": "sd", '
                      '"pods": {"static": ["127.0.0.1:1"]}, "queue": {"maxReqests": 5}}]}')
    wait_until(lambda: "services[0].queue.maxReqests" in front.log(), "the log tells")


def test_a_changed_file_is_noticed_without_a_signal(gateway, pod):
    front = gateway(pod)
    front.write_config({**front.settings, "services": [service(pod, queue={"maxRequests": 7})]})
    front.wait_for(maxRequests=7)


def test_a_service_that_was_taken_out_and_put_back_has_not_forgotten(gateway, pod):
    """The job of before is still at the pod: the next one waits for its end."""
    front = gateway(pod)
    client = front.open_post("/job/before")
    job = pod.next()
    front.reload({"services": [service(pod, name="other", hosts=["other.example.com"])]})
    front.reload({"services": [service(pod)]})
    waiter = front.open_post("/job/after")
    wait_until(lambda: front.service("sd")["queue"]["waiting"] or len(pod.requests) > 1, "it waits")
    assert pod.paths() == ["/job/before"]
    job.answer(b"before")
    assert client.read_response().body == b"before"
    pod.next().answer(b"after")
    assert waiter.read_response().body == b"after"


def test_a_service_may_come_and_go(gateway, pods):
    first, second = pods(2)
    front = gateway(first)
    more = service(second, name="more", hosts=["more.example.com"])
    front.reload({"services": [service(first), more]})
    with front.client() as client:
        assert wait_until(lambda: front.service("more")["scale"]["ready"], "its pod is ready")
        assert client.get("/page", host="more.example.com").read_response().status == 200
    assert second.paths() == ["/page"]
    held = front.client().post("/job", host="more.example.com")
    job = second.next()
    waiting = front.client().post("/job", host="more.example.com")
    wait_until(lambda: front.service("more")["queue"]["waiting"], "it waits")
    front.reload({"services": [service(first)]})
    response = waiting.read_response()
    assert response.status == 503 and response.problem in ("closing", "no_service")
    job.answer(b"finished")
    assert held.read_response().body == b"finished"
    with front.client() as client:
        client.get("/page", host="more.example.com").read_response()
    assert second.paths().count("/page") == 1


def test_fewer_slots_take_effect_as_jobs_end(gateway, pods):
    pod = pods(capacity=3)
    front = gateway(pod, containerConcurrency=3)
    clients = [front.open_post(f"/job/{i}") for i in range(3)]
    jobs = [pod.next() for _ in clients]
    front.reload({"services": [service(pod, containerConcurrency=1)]})
    waiter = front.open_post("/job/waiter")
    front.wait_for(waiting=1, working=3)
    jobs[0].answer()
    front.wait_for(waiting=1, working=2)
    jobs[1].answer()
    front.wait_for(waiting=1, working=1)
    jobs[2].answer()
    assert pod.next().path == "/job/waiter"
    pod.requests[-1].answer()
    assert [c.read_response().status for c in (*clients, waiter)] == [200] * 4


def test_more_slots_are_used_at_once(gateway, pods):
    pod = pods(capacity=2)
    front = gateway(pod)
    clients = [front.open_post("/job/0")]
    jobs = [pod.next()]
    clients.append(front.open_post("/job/1"))
    front.wait_for(waiting=1)
    front.reload({"services": [service(pod, containerConcurrency=2)]})
    jobs.append(pod.next())
    for job in jobs:
        job.answer()
    assert [client.read_response().status for client in clients] == [200] * 2
