"""What the gateway changes of a head on its way: hop-by-hop, X-Forwarded-*, request ids, traces."""
import pytest

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods()


@pytest.fixture(scope="module")
def front(shared_gateway, pod):
    return shared_gateway(pod)


def received(front, headers, **more):
    """The headers that reach the pod, as a list of pairs."""
    return [tuple(pair) for pair in front.get("/", headers, **more).json()["headers"]]


def values(pairs, name):
    return [value for key, value in pairs if key == name.lower()]


def test_end_to_end_headers_pass(front):
    pairs = received(front, [("Accept", "image/png"), ("Cookie", "a=1; b=2"),
                             ("Authorization", "Basic eDp5"), ("X-Twice", "1"), ("X-Twice", "2")])
    assert values(pairs, "accept") == ["image/png"]
    assert values(pairs, "cookie") == ["a=1; b=2"]
    assert values(pairs, "authorization") == ["Basic eDp5"]
    assert values(pairs, "x-twice") == ["1", "2"]


def test_hop_by_hop_headers_end_here(front):
    pairs = received(front, [("Connection", "keep-alive, X-Private"), ("Keep-Alive", "timeout=5"),
                             ("X-Private", "secret"), ("Proxy-Connection", "keep-alive"),
                             ("TE", "gzip"), ("Proxy-Authorization", "Basic eDp5"),
                             ("Upgrade", "h2c")])
    for name in ("x-private", "keep-alive", "proxy-connection", "te", "upgrade",
                 "proxy-authorization"):
        assert values(pairs, name) == [], name
    assert "X-Private" not in " ".join(values(pairs, "connection"))


def test_connection_cannot_strip_what_the_gateway_adds(front):
    pairs = received(front, [("Connection", "Host, X-Request-Id, X-Forwarded-For, Content-Length")])
    assert values(pairs, "host") and values(pairs, "x-request-id")
    assert values(pairs, "x-forwarded-for")


def test_connection_cannot_strip_a_bodys_framing(front):
    seen = front.post("/", b"hello", [("Connection", "Content-Length, Transfer-Encoding")]).json()
    assert seen["length"] == 5


def test_hop_by_hop_headers_of_an_answer_end_here(front, pod):
    with front.client() as client:
        client.get("/aside")
        pod.next().answer(b"x", headers=[("Connection", "X-Private"), ("X-Private", "secret"),
                                         ("Keep-Alive", "timeout=5"), ("X-Public", "1"),
                                         ("Proxy-Authenticate", "Basic")])
        response = client.read_response()
    assert response.get("x-public") == "1"
    assert response.get("x-private") is None
    assert "timeout=5" not in response.get("keep-alive", "")


def test_the_host_is_kept(front):
    assert values(received(front, [], host="sd.example.com:8080"), "host") == [
        "sd.example.com:8080"]


def test_the_host_of_the_absolute_form_is_the_pods_host(front):
    with front.client() as client:
        seen = client.get("http://real.example.com/x", host="other").read_response().json()
    assert values([tuple(pair) for pair in seen["headers"]], "host") == ["real.example.com"]
    assert seen["target"] in ("/x", "http://real.example.com/x")


def test_forwarded_headers_tell_who_asked(front):
    pairs = received(front, [], host="sd.example.com")
    assert values(pairs, "x-forwarded-for") == ["127.0.0.1"]
    assert values(pairs, "x-forwarded-proto") == ["http"]
    assert values(pairs, "x-forwarded-host") == ["sd.example.com"]


def test_a_request_id_is_made_and_told_to_both_sides(front):
    response = front.get("/")
    request_id = response.get("x-request-id")
    pairs = [tuple(pair) for pair in response.json()["headers"]]
    assert len(request_id) >= 8
    assert values(pairs, "x-request-id") == [request_id]
    assert front.get("/").get("x-request-id") != request_id


def test_a_request_id_is_kept(front):
    response = front.get("/", [("X-Request-Id", "from-the-client-1")])
    pairs = [tuple(pair) for pair in response.json()["headers"]]
    assert response.all("x-request-id") == ["from-the-client-1"]
    assert values(pairs, "x-request-id") == ["from-the-client-1"]


def test_a_pods_request_id_does_not_double_ours(front, pod):
    with front.client() as client:
        client.get("/aside", [("X-Request-Id", "mine")])
        pod.next().answer(headers=[("X-Request-Id", "the-pods")])
        assert len(client.read_response().all("x-request-id")) == 1


def test_an_unfit_request_id_is_replaced(front):
    response = front.get("/", [("X-Request-Id", "a b\t\"{}" + "x" * 3000)])
    assert response.status == 200
    assert len(response.get("x-request-id")) < 300


def test_a_refusal_has_a_request_id_too(front):
    with front.client() as client:
        client.request("GET", "/sdapi/v1/server-kill", [("X-Request-Id", "blocked-1")])
        response = client.read_response()
    assert response.status == 403
    assert response.get("x-request-id") == "blocked-1"


def test_a_trace_passes(front):
    pairs = received(front, [("Traceparent", TRACE), ("Tracestate", "vendor=1")])
    assert values(pairs, "tracestate") == ["vendor=1"]
    version, trace, _, flags = values(pairs, "traceparent")[0].split("-")
    assert (version, trace, flags) == ("00", TRACE.split("-")[1], "01")


def test_the_access_log_tells_the_exchange(front, pod):
    with front.client() as client:
        client.post("/job?seed=1", b"12345", [("X-Request-Id", "told-1")])
        pod.next().answer(b"1234567")
        client.read_response()
    line = front.access_line("told-1")
    assert line["service"] == "sd" and line["method"] == "POST"
    assert line["path"].startswith("/job")
    assert line["status"] == 200 and line["outcome"] == "ok" and line["attempts"] == 1
    assert line["pod"] == pod.address and line["client"].startswith("127.0.0.1")
    assert line["bytesIn"] == 5 and line["bytesOut"] == 7
    assert 0 <= line["queueMs"] <= line["totalMs"] and line["firstByteMs"] <= line["totalMs"]


def test_the_access_log_cannot_be_forged(front):
    assert front.get('/"},{"x":"%0a\\"', [("X-Request-Id", "forge-1")]).status == 200
    assert front.access_line("forge-1")["status"] == 200
