"""Requests that take no slot pass beside them, to a cap, and wake a service that sleeps."""


def test_progress_while_a_job_runs(gateway, pod):
    front = gateway(pod)
    client = front.open_post("/job")
    job = pod.next()
    for _ in range(5):
        assert front.get("/sdapi/v1/progress").status == 200
    front.wait_for(working=1, waiting=0)
    job.answer()
    assert client.read_response().status == 200


def test_passes_do_not_count_as_concurrency(gateway, pod):
    front = gateway(pod)
    client = front.open_get("/aside")
    job = pod.next()
    front.wait_for(concurrency=0, free=1)
    assert front.pod(pod)["passThrough"] == 1
    job.answer()
    assert client.read_response().status == 200


def test_their_number_at_a_pod_is_capped(gateway, pod):
    front = gateway(pod, passThrough={"maxRequestsPerPod": 2})
    clients = [front.open_get(f"/aside/{i}") for i in range(2)]
    jobs = [pod.next() for _ in clients]
    third = front.open_get("/aside/third")
    front.wait_for(waitingPassThrough=1)
    worker = front.open_post("/job")  # slots are another matter
    pod.next().answer()
    assert worker.read_response().status == 200
    assert pod.paths().count("/aside/third") == 0
    jobs[0].answer()
    pod.next().answer()
    jobs[1].answer()
    for client in (*clients, third):
        assert client.read_response().status == 200


def test_their_number_in_all_is_capped(gateway, pod):
    front = gateway(pod, passThrough={"maxRequests": 2, "maxRequestsPerPod": 1})
    first = front.open_get("/aside/1")
    job = pod.next()
    second = front.open_get("/aside/2")
    front.wait_for(waitingPassThrough=1)
    response = front.get("/aside/3")
    assert response.status == 503 and response.problem == "pass_through_full"
    assert response.get("retry-after") == "1"
    worker = front.open_post("/job")  # slots are another matter
    pod.next().answer()
    assert worker.read_response().status == 200
    job.answer()
    pod.next().answer()
    assert first.read_response().status == second.read_response().status == 200
    assert front.get("/page").status == 200
    assert front.metrics()("slotgate_refused_total", reason="pass_through_full") == 1


def test_a_pass_that_leaves_the_queue_never_reaches_a_pod(gateway, pod):
    front = gateway(pod, passThrough={"maxRequestsPerPod": 1})
    first = front.open_get("/aside/1")
    job = pod.next()
    second = front.open_get("/aside/2")
    front.wait_for(waitingPassThrough=1)
    second.leave()
    front.wait_for(waitingPassThrough=0)
    job.answer()
    assert first.read_response().status == 200
    assert front.get("/barrier").status == 200
    assert pod.paths() == ["/aside/1", "/barrier"]


def test_a_client_that_leaves_its_pass_frees_its_place(gateway, pod):
    front = gateway(pod, passThrough={"maxRequestsPerPod": 1})
    first = front.open_get("/aside/1")
    job = pod.next()
    second = front.open_get("/aside/2")
    front.wait_for(waitingPassThrough=1)
    first.leave()
    job.answer()
    pod.next().answer()
    assert second.read_response().status == 200


def test_without_pods_it_waits_for_one(gateway, pods):
    pod = pods()
    pod.stop_listening()
    front = gateway(pod, ready=False)
    client = front.open_get("/page")
    front.wait_for(waitingPassThrough=1)
    pod.listen()
    assert client.read_response().status == 200


def test_without_pods_it_is_refused_where_told_so(gateway, pods):
    pod = pods()
    pod.stop_listening()
    front = gateway(pod, ready=False, passThrough={"whenCold": "refuse"})
    response = front.get("/page")
    assert response.status == 503 and response.problem == "no_pods"
    assert int(response.get("retry-after")) >= 1


def test_a_sticky_cookie_keeps_a_browser_on_its_pod(gateway, pods):
    three = pods(3)
    front = gateway(*three, passThrough={"stickyCookie": "slotgate"})
    for _ in range(3):
        response = front.get("/page")
        cookie = next(c for c in response.all("set-cookie") if c.startswith("slotgate="))
        mine = next(pod for pod in three if pod.paths() and pod.paths()[-1] == "/page")
        before = len(mine.requests)
        for _ in range(5):
            assert front.get("/mine", [("Cookie", cookie.split(";")[0])]).status == 200
        assert len(mine.requests) == before + 5


def test_a_sticky_cookie_of_a_pod_that_is_gone_is_no_obstacle(gateway, pod):
    front = gateway(pod, passThrough={"stickyCookie": "slotgate"})
    for cookie in ("slotgate=", "slotgate=127.0.0.1:1", "slotgate=%00;slotgate=x", "slotgate"):
        assert front.get("/page", [("Cookie", cookie)]).status == 200
