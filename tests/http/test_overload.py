"""limits.memory: near it new work is turned away, at it nothing grows, and then all is well again."""

from harness.wait import wait_until

MIB = 1 << 20
LIMIT = 4 * MIB
TIGHT = LIMIT * 9 // 10
BODY = b"x" * 300_000


def front_with_little(gateway, pod, **options):
    return gateway(pod, top={"limits": {"memory": LIMIT}}, **options)


def used(front):
    return front.metrics()("slotgate_client_memory_bytes")


def shed(front, what):
    return front.metrics()("slotgate_shed_total", what=what)


def fill(front, pod, body=BODY):
    """One works and so many wait that memory is tight: (clients, the job that works)."""
    clients = [front.open_post("/job", body)]
    job = pod.next()
    while used(front) < TIGHT:
        clients.append(front.open_post("/job", body))
        front.wait_for(waiting=len(clients) - 1)
    return clients, job


def serve_all(front, pod, clients, job):
    job.answer()
    for _ in clients[1:]:
        pod.next().answer()
    assert [client.read_response().status for client in clients] == [200] * len(clients)


def test_its_gauges(gateway, pod):
    front = front_with_little(gateway, pod)
    assert front.metrics()("slotgate_client_memory_limit_bytes") == LIMIT
    client = front.open_post("/job", BODY)
    pod.next().answer()
    assert client.read_response().status == 200
    client.leave()
    front.wait_for_metric(0, "slotgate_open_connections")
    assert used(front) < 64 << 10  # the admin's own connection


def test_a_new_request_is_refused_before_its_body(gateway, pod):
    front = front_with_little(gateway, pod)
    clients, job = fill(front, pod)
    with front.client() as late:
        late.send(late.head("POST", "/job", [("Content-Length", len(BODY)),
                                             ("Expect", "100-continue")]))
        response = late.read_head()  # and not a 100
        assert response.status == 503 and int(response.get("retry-after")) >= 1
    assert front.post("/job").problem == front.get("/page").problem == "overloaded"
    assert shed(front, "request") == 3
    assert front.metrics()("slotgate_refused_total", reason="overloaded") == 3
    assert used(front) <= LIMIT
    assert front.admin("/healthz")[0] == 200
    serve_all(front, pod, clients, job)
    wait_until(lambda: front.get("/page").status == 200, "it serves again")


def test_idle_connections_make_room(gateway, pod):
    front = front_with_little(gateway, pod)
    idle = [front.client() for _ in range(20)]
    for client in idle[:15]:
        assert client.get("/page").read_response().status == 200
    clients, job = fill(front, pod)
    assert front.get("/page").problem == "overloaded"
    for client in idle:  # also those that have never said a word
        assert client.is_closed_by_peer()
    assert shed(front, "idle") == 20
    serve_all(front, pod, clients, job)


def test_what_is_sent_ahead_has_less_room(gateway, pod):
    front = front_with_little(gateway, pod)
    clients, job = fill(front, pod)
    clients[-1].send_what_fits(b"GET / HTTP/1.1\r\nHost: g\r\nX: " + b"x" * 500_000)
    front.wait_for(waiting=len(clients) - 2)
    assert shed(front, "ahead") >= 1
    clients.pop()
    serve_all(front, pod, clients, job)


def test_bodies_go_to_the_disk_when_memory_is_tight(gateway, pod):
    """Admitted while there was room, and larger than all of it: at the disk's pace it is served."""
    front = front_with_little(gateway, pod, body={"memory": "64MiB", "minRate": 0})
    piece = b"x" * 100_000
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Content-Length", 60 * len(piece))]))
        for _ in range(60):
            client.send(piece)
            wait_until(lambda: used(front) < LIMIT - 2 * len(piece), "the disk has taken some")
        assert client.has_bytes() is False
        job = pod.next()
        assert len(job.body) == 60 * len(piece)
        job.answer()
        assert client.read_response().status == 200


def test_a_body_that_the_disk_cannot_follow_is_refused(gateway, pod):
    front = front_with_little(gateway, pod, body={"memory": "64MiB"})
    with front.paused():  # so that it finds all of it at once
        crowd = [front.client() for _ in range(20)]
        for client in crowd:
            client.send(client.head("POST", "/job", [("Content-Length", 8 * MIB)]))
            client.send_what_fits(b"x" * (8 * MIB - 1))
    refused = wait_until(lambda: [client for client in crowd if client.has_bytes()], "refusals")
    assert {client.read_response().problem for client in refused} == {"overloaded"}
    assert used(front) < LIMIT + MIB
    for client in crowd:
        client.leave()
    wait_until(lambda: serves(front), "it serves again")


def test_heads_that_never_end_do_not_take_all_memory(gateway, pod):
    front = front_with_little(gateway, pod)
    crowd = [front.client() for _ in range(120)]
    for client in crowd:
        try:
            client.send("GET / HTTP/1.1\r\nHost: g\r\n"
                        + "".join(f"X-{i}: {'x' * 990}\r\n" for i in range(60)))
        except ConnectionError:
            pass  # it was told, and closed
    wait_until(lambda: (shed(front, "head") or 0) + (shed(front, "connection") or 0) > 10,
               "the last ones are refused")
    assert used(front) < LIMIT + 256 * 1024
    assert front.admin("/healthz")[0] == 200
    for client in crowd:
        client.leave()
    wait_until(lambda: serves(front), "it serves again")


def serves(front):
    try:
        return front.get("/page").status == 200
    except ConnectionError:
        return False


def test_at_the_limit_the_door_is_shut_but_for_the_admin(gateway, pod):
    front = front_with_little(gateway, pod)
    crowd = []
    while used(front) < LIMIT:
        crowd.append(front.client())
        crowd[-1].send("GET / HTTP/1.1\r\nHost: g\r\n" + "".join(
            f"X-{i}: {'x' * 990}\r\n" for i in range(60)))
        crowd[-1].send("X: ")
        front.admin("/healthz")
    with front.client() as late:
        response = late.read_response()
        assert (response.status, response.problem) == (503, "overloaded")
        assert late.is_closed_by_peer()
    assert shed(front, "connection") == 1
    assert front.admin("/healthz")[0] == 200


def test_a_reload_gives_more(gateway, pod):
    front = front_with_little(gateway, pod)
    clients, job = fill(front, pod)
    assert front.get("/page").problem == "overloaded"
    front.reload({"limits": {"memory": "1GiB"}})
    assert front.get("/page").status == 200
    serve_all(front, pod, clients, job)


def test_by_default_there_is_plenty(gateway, pod):
    front = gateway(pod)
    assert front.metrics()("slotgate_client_memory_limit_bytes") > 16 * MIB
