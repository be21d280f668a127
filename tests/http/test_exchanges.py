"""HTTP/1.1 and 1.0 as a client sees it: framing, keep-alive, pipelining, answers without a body."""
import socket

import pytest


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods()


@pytest.fixture(scope="module")
def front(shared_gateway, pod):
    return shared_gateway(pod)


def exchange(front, pod, method, answer):
    """Sends a request that the pod answers with `answer(job)`; the client, still to read."""
    client = front.client().request(method, "/aside")
    answer(pod.next())
    return client


def test_an_answer_passes_as_it_is(front, pod):
    client = exchange(front, pod, "GET", lambda job: job.answer(
        b"teapot", status=418, headers=[("X-Kind", "tea"), ("Set-Cookie", "a=1"),
                                        ("Set-Cookie", "b=2"), ("Content-Type", "text/tea")]))
    response = client.read_response()
    assert (response.status, response.body) == (418, b"teapot")
    assert response.get("x-kind") == "tea" and response.get("content-type") == "text/tea"
    assert response.all("set-cookie") == ["a=1", "b=2"]


def test_a_connection_serves_many_requests(front):
    with front.client() as client:
        for i in range(20):
            assert client.get(f"/{i}").read_response().json()["target"] == f"/{i}"


def test_a_connection_serves_slots_and_passes_in_turn(front, pod):
    with front.client() as client:
        for _ in range(3):
            client.post("/job")
            pod.next().answer(b"image")
            assert client.read_response().body == b"image"
            assert client.get("/progress").read_response().status == 200


def test_connection_close_is_honoured(front):
    client = front.open_get("/", [("Connection", "close")])
    response = client.read_response()
    assert response.status == 200
    assert response.get("connection", "").lower() == "close"
    assert client.is_closed_by_peer()


def test_a_pod_that_closes_does_not_close_the_client(front, pod):
    with front.client() as client:
        client.get("/aside")
        pod.next().answer(close=True)
        assert client.read_response().status == 200
        assert client.get("/").read_response().status == 200


def test_http_1_0_gets_its_answer_and_the_end(front):
    client = front.open_get("/", version="1.0")
    response = client.read_response()
    assert response.status == 200 and response.json()["target"] == "/"
    assert client.is_closed_by_peer()


def test_http_1_0_without_host(front):
    with front.client() as client:
        client.send("GET /old HTTP/1.0\r\n\r\n")
        assert client.read_response().json()["target"] == "/old"


def test_http_1_0_keep_alive_when_asked_for(front):
    with front.client() as client:
        for _ in range(3):
            client.get("/", [("Connection", "keep-alive")], version="1.0")
            response = client.read_response()
            assert response.status == 200
            assert response.get("connection", "").lower() == "keep-alive"


def test_http_1_0_gets_no_chunks(front, pod):
    def answer(job):
        job.begin()
        job.chunk(b"one ")
        job.chunk(b"two")
        job.finish()

    client = front.open_get("/aside", version="1.0")
    answer(pod.next())
    response = client.read_head()
    assert response.get("transfer-encoding") is None
    assert client.read_to_end() == b"one two"


def test_pipelined_requests_are_answered_in_order(front):
    with front.client() as client:
        client.send(b"".join(client.head("GET", f"/{i}") for i in range(30)))
        for i in range(30):
            assert client.read_response().json()["target"] == f"/{i}"


def test_a_pipelined_request_waits_for_the_slow_one_before_it(front, pod):
    with front.client() as client:
        client.send(client.head("GET", "/aside/slow") + client.head("GET", "/quick"))
        slow = pod.next()
        assert front.get("/barrier").status == 200
        assert not client.has_bytes()
        slow.answer(b"slow")
        assert client.read_response().body == b"slow"
        assert client.read_response().json()["target"] == "/quick"


def test_pipelined_bodies_are_told_apart(front):
    with front.client() as client:
        for i in range(5):
            client.post(f"/{i}", b"x" * i)
        for i in range(5):
            assert client.read_response().json()["length"] == i


def test_nothing_is_read_behind_connection_close(front, pod):
    before = len(pod.requests)
    client = front.client()
    client.send(client.head("GET", "/last", [("Connection", "close")])
                + client.head("GET", "/behind-it"))
    assert client.read_response().json()["target"] == "/last"
    assert client.is_closed_by_peer()
    assert front.get("/barrier").status == 200
    assert [job.path for job in pod.requests[before:]] == ["/last", "/barrier"]


def test_a_head_that_comes_byte_by_byte(front):
    with front.client() as client:
        for byte in client.head("POST", "/slowly", [("Content-Length", 3)]) + b"abc":
            client.send(bytes([byte]))
        assert client.read_response().json()["length"] == 3


def test_head_has_the_headers_and_no_body(front, pod):
    with front.client() as client:
        client.request("HEAD", "/aside")
        job = pod.next()
        assert job.method == "HEAD"
        job.answer(b"12345")
        response = client.read_response("HEAD")
        assert response.get("content-length") == "5"
        assert client.get("/after").read_response().json()["target"] == "/after"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_ends_with_its_head(front, pod, status):
    with front.client() as client:
        client.get("/aside")
        job = pod.next()
        job.send(b"HTTP/1.1 %d None\r\nETag: x\r\n\r\n" % status)
        job.release()
        response = client.read_response()
        assert response.status == status and response.get("etag") == "x"
        assert client.get("/after").read_response().json()["target"] == "/after"


@pytest.mark.parametrize("status, told", [(599, 599), (600, 502), (999, 502)])
def test_a_status_that_http_does_not_have_is_a_server_error(front, pod, status, told):
    """RFC 9110, 15. The answer is whole: its connection and its slot are as good as before."""
    before = front.metrics()("slotgate_requests_total", **{"class": "5xx"})
    for name in (f"odd-{status}-1", f"odd-{status}-2"):
        with front.client() as client:
            client.post("/job", b"", [("X-Request-Id", name)])
            pod.next().answer(b"odd", status=status, headers=[("X-Odd", "1")])
            response = client.read_response()
        assert (response.status, response.body, response.get("x-odd")) == (told, b"odd", "1")
        line = front.access_line(name)
        assert (line["status"], line["outcome"]) == (told, "ok")
    front.wait_for_metric(before + 2, "slotgate_requests_total", **{"class": "5xx"})
    front.wait_for(quarantined=0, working=0)


def test_not_modified_may_name_a_length_that_does_not_come(front, pod):
    with front.client() as client:
        client.get("/aside")
        job = pod.next()
        job.send(b"HTTP/1.1 304 None\r\nContent-Length: 1000\r\n\r\n")
        job.release()
        assert client.read_response().status == 304
        assert client.get("/after").read_response().json()["target"] == "/after"


def test_an_empty_answer(front, pod):
    response = exchange(front, pod, "GET", lambda job: job.answer(b"")).read_response()
    assert (response.status, response.body) == (200, b"")


def test_an_answer_that_ends_with_the_connection(front, pod):
    def answer(job):
        job.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")
        job.hang_up()

    assert exchange(front, pod, "GET", answer).read_response().body == b"until the end"


def test_a_chunked_answer_with_trailers(front, pod):
    def answer(job):
        job.begin([("Trailer", "X-Sum")])
        job.chunk(b"abc")
        job.send(b"0\r\nX-Sum: 3\r\n\r\n")
        job.release()

    response = exchange(front, pod, "GET", answer).read_response()
    assert response.body == b"abc"


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n",
                                     b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
                                     b"HTTP/1.1 102 Processing\r\n\r\n" * 3])
def test_interim_answers_of_a_pod_do_not_end_the_exchange(front, pod, interim):
    def answer(job):
        job.send(interim)
        job.answer(b"final")

    assert exchange(front, pod, "GET", answer).read_response().body == b"final"


def test_expect_continue_is_answered_before_the_body(front):
    with front.client() as client:
        client.send(client.head("POST", "/", [("Expect", "100-continue"), ("Content-Length", 5)]))
        assert client.read_head().status == 100
        client.send(b"hello")
        assert client.read_response().json()["length"] == 5


def test_expect_continue_of_a_client_that_does_not_wait(front):
    with front.client() as client:
        client.post("/", b"hello", [("Expect", "100-continue")])
        assert client.read_response().json()["length"] == 5


def test_http_1_0_is_never_told_to_continue(front):
    with front.client() as client:
        client.post("/", b"hello", [("Expect", "100-continue")], version="1.0")
        assert client.read_head().status == 200


def test_expect_continue_does_not_reach_the_pod(front):
    with front.client() as client:
        client.post("/", b"hello", [("Expect", "100-continue")])
        names = [name for name, _ in client.read_response().json()["headers"]]
        assert "expect" not in names


def test_the_absolute_form_names_the_target(front):
    seen = front.get("http://gateway/path?q=1").json()
    assert seen["target"] in ("/path?q=1", "http://gateway/path?q=1")


def test_the_query_and_odd_bytes_of_a_target_are_kept(front):
    target = "/a%20b/%2e%2E/c;d=1,2?x=%00&y=[]&z=~!$'()*+"
    assert front.get(target).json()["target"] == target


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "POST"])
def test_methods_pass(front, method):
    with front.client() as client:
        assert client.request(method, "/x", body=b"b").read_response().json()["method"] == method


def test_empty_lines_before_a_request_are_skipped(front):
    with front.client() as client:
        client.send(b"\r\n\r\n" + client.head("GET", "/after"))
        assert client.read_response().json()["target"] == "/after"


def test_a_post_without_a_length_has_no_body(front):
    with front.client() as client:
        client.request("POST", "/empty")
        assert client.read_response().json()["length"] == 0


def test_a_client_that_reuses_its_socket_late_is_still_served(front):
    with front.client() as client:
        assert client.get("/1").read_response().status == 200
        for i in range(5):
            assert front.get(f"/{i}").status == 200
        assert client.get("/2").read_response().status == 200


def test_urgent_data_does_no_harm(front):
    with front.client() as client:
        client.socket.send(b"!", socket.MSG_OOB)
        client.get("/after-oob")
        assert client.read_response().status in (200, 400)
    assert front.get("/next").status == 200
