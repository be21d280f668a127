"""Bytes that are not a request: each has a clear status, reaches no pod, and harms nobody else."""
import pytest

HEAD = b"POST /job HTTP/1.1\r\nHost: gateway\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLIENT_HELLO = bytes.fromhex("160301007a010000760303") + bytes(range(100))


def with_header(line):
    return HEAD + line + b"\r\n\r\n"


# name: (bytes, the statuses that are right)
REQUEST_LINES = {
    "garbage": (b"!@#$%^&*()\r\n\r\n", {400}),
    "tls": (CLIENT_HELLO + b"\r\n\r\n", {400}),
    "http 0.9": (b"GET /job\r\n\r\n", {400}),
    "no target": (b"GET HTTP/1.1\r\nHost: g\r\n\r\n", {400}),
    "tab": (b"GET\t/job\tHTTP/1.1\r\nHost: g\r\n\r\n", {400}),
    "leading space": (b" GET /job HTTP/1.1\r\nHost: g\r\n\r\n", {400}),
    "space behind the version": (b"GET /job HTTP/1.1 \r\nHost: g\r\n\r\n", {400}),
    "space in the target": (b"GET /job /x HTTP/1.1\r\nHost: g\r\n\r\n", {400}),
    "nul in the target": (b"GET /job\0 HTTP/1.1\r\nHost: g\r\n\r\n", {400}),
    "control byte in the target": (b"GET /job\x01 HTTP/1.1\r\nHost: g\r\n\r\n", {400}),
    "bare cr in the target": (b"GET /job\rx HTTP/1.1\r\nHost: g\r\n\r\n", {400}),
    "relative target": (b"GET job HTTP/1.1\r\nHost: g\r\n\r\n", {400}),
    "connect": (b"CONNECT g:443 HTTP/1.1\r\nHost: g:443\r\n\r\n", {400, 405, 501}),
    "method with a control byte": (b"PO\x01ST /job HTTP/1.1\r\nHost: g\r\n\r\n", {400}),
    "endless method": (b"A" * 100_000 + b" /job HTTP/1.1\r\n\r\n", {400, 414, 431, 501}),
    "version in small letters": (b"GET /job http/1.1\r\nHost: g\r\n\r\n", {400}),
    "version 2": (b"GET /job HTTP/2.0\r\nHost: g\r\n\r\n", {400, 505}),
    "version 3.7": (b"GET /job HTTP/3.7\r\nHost: g\r\n\r\n", {400, 505}),
    "version without minor": (b"GET /job HTTP/1\r\nHost: g\r\n\r\n", {400, 505}),
    "version 11.1": (b"GET /job HTTP/11.1\r\nHost: g\r\n\r\n", {400, 505}),
    "rtsp": (b"DESCRIBE /job RTSP/1.0\r\nHost: g\r\n\r\n", {400, 501, 505}),
    "get with rtsp": (b"GET /job RTSP/1.0\r\nHost: g\r\n\r\n", {400, 501, 505}),
    "icecast": (b"SOURCE /job ICE/1.0\r\nHost: g\r\n\r\n", {400, 501, 505}),
    "bare lf": (b"GET /job HTTP/1.1\nHost: g\n\n", {400}),
    "long target": (b"GET /" + b"j" * 100_000 + b" HTTP/1.1\r\nHost: g\r\n\r\n", {414}),
    "long target without an end": (b"GET /" + b"j" * 100_000, {414}),
}

HEADERS = {
    "no host": (b"GET /job HTTP/1.1\r\n\r\n", {400}),
    "two hosts": (b"GET /job HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    "the same host twice": (b"GET /job HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", {400}),
    "space in the host": (b"GET /job HTTP/1.1\r\nHost: a b\r\n\r\n", {400}),
    "path in the host": (b"GET /job HTTP/1.1\r\nHost: a/b\r\n\r\n", {400}),
    "user in the host": (b"GET /job HTTP/1.1\r\nHost: u@a\r\n\r\n", {400}),
    "no colon": (with_header(b"NoColon"), {400}),
    "empty name": (with_header(b": value"), {400}),
    "space before the colon": (with_header(b"X-Name : v"), {400}),
    "tab before the colon": (with_header(b"X-Name\t: v"), {400}),
    "space in a name": (with_header(b"X Name: v"), {400}),
    "bracket in a name": (with_header(b"X(Name): v"), {400}),
    "control byte in a name": (with_header(b"X\x02Name: v"), {400}),
    "high byte in a name": (with_header(b"X\xe4Name: v"), {400}),
    "nul in a name": (with_header(b"X\0Name: v"), {400}),
    "nul in a value": (with_header(b"X-Name: a\0b"), {400}),
    "control byte in a value": (with_header(b"X-Name: a\x01b"), {400}),
    "bare cr in a value": (with_header(b"X-Name: a\rb"), {400}),
    "bare lf in a value": (with_header(b"X-Name: a\nX-Other: b"), {400}),
    "folded": (with_header(b"X-Name: a\r\n b"), {400}),
    "folded first line": (b"GET /job HTTP/1.1\r\n Host: g\r\n\r\n", {400}),
    "huge value": (with_header(b"X-Name: " + b"v" * 70_000), {431}),
    "huge name": (with_header(b"N" * 70_000 + b": v"), {431}),
    "huge without an end": (HEAD + b"X-Name: " + b"v" * 100_000, {431}),
    "too many": (HEAD + b"X: y\r\n" * 200 + b"\r\n", {431}),
    "too large together": (HEAD + (b"X: " + b"y" * 900 + b"\r\n") * 100 + b"\r\n", {431}),
}

FRAMING = {
    "length of letters": (with_header(b"Content-Length: abc"), {400}),
    "length empty": (with_header(b"Content-Length: "), {400}),
    "length negative": (with_header(b"Content-Length: -1"), {400}),
    "length with a plus": (with_header(b"Content-Length: +5") + b"12345", {400}),
    "length in hex": (with_header(b"Content-Length: 0x5") + b"12345", {400}),
    "length with a fraction": (with_header(b"Content-Length: 5.0") + b"12345", {400}),
    "length with an exponent": (with_header(b"Content-Length: 1e1") + b"12345", {400}),
    "length with a space inside": (with_header(b"Content-Length: 5 5") + b"12345", {400}),
    "length of two values": (with_header(b"Content-Length: 5, 6") + b"12345", {400}),
    "length beyond 64 bits": (with_header(b"Content-Length: 99999999999999999999"), {400, 413}),
    "length of 2^64 and 5": (with_header(b"Content-Length: 18446744073709551621") + b"12345",
                             {400, 413}),
    "two lengths": (with_header(b"Content-Length: 5\r\nContent-Length: 6") + b"12345", {400}),
    "length and chunked": (with_header(b"Content-Length: 5\r\nTransfer-Encoding: chunked")
                           + b"0\r\n\r\n", {400}),
    "chunked and length": (with_header(b"Transfer-Encoding: chunked\r\nContent-Length: 5")
                           + b"0\r\n\r\n", {400}),
    "unknown encoding": (with_header(b"Transfer-Encoding: xchunked"), {400, 501}),
    "gzip encoding": (with_header(b"Transfer-Encoding: gzip"), {400, 501}),
    "identity": (with_header(b"Transfer-Encoding: identity"), {400, 501}),
    "chunked, then gzip": (with_header(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
                           {400, 501}),
    "gzip, then chunked": (with_header(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
                           {400, 501}),
    "chunked twice": (with_header(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
                      {400, 501}),
    "chunked in two lines": (with_header(b"Transfer-Encoding: chunked\r\n"
                                         b"Transfer-Encoding: identity") + b"0\r\n\r\n",
                             {400, 501}),
    "chunked behind a control byte": (with_header(b"Transfer-Encoding: \x0bchunked")
                                      + b"0\r\n\r\n", {400, 501}),
    "chunked in quotes": (with_header(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n", {400, 501}),
    "chunked folded": (with_header(b"Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n", {400}),
    "chunked in http 1.0": (b"POST /job HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                            {400, 501}),
}

CHUNKS = {
    "size of letters": (CHUNKED + b"zz\r\n", {400}),
    "size empty": (CHUNKED + b"\r\nabc\r\n0\r\n\r\n", {400}),
    "size negative": (CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", {400}),
    "size with 0x": (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", {400}),
    "size with a leading space": (CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n", {400}),
    "size beyond 64 bits": (CHUNKED + b"FFFFFFFFFFFFFFFFF\r\n", {400, 413}),
    "size of 2^64": (CHUNKED + b"10000000000000000\r\n", {400, 413}),
    "size behind bare lf": (CHUNKED + b"3\nabc\r\n0\r\n\r\n", {400}),
    "data longer than its size": (CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n", {400}),
    "no end of data": (CHUNKED + b"3\r\nabc0\r\n\r\n", {400}),
    "bare cr behind the data": (CHUNKED + b"3\r\nabc\r0\r\n\r\n", {400}),
    "nul in an extension": (CHUNKED + b"3;a=\0\r\nabc\r\n0\r\n\r\n", {400}),
    "lf in an extension": (CHUNKED + b"3;a=b\nabc\r\n0\r\n\r\n", {400}),
    "endless extension": (CHUNKED + b"3;" + b"x" * 200_000, {400, 413, 431}),
    "trailer without colon": (CHUNKED + b"0\r\nNoColon\r\n\r\n", {400}),
    "endless trailer": (CHUNKED + b"0\r\nX: " + b"y" * 200_000, {400, 413, 431}),
}

TABLES = {"line": REQUEST_LINES, "header": HEADERS, "framing": FRAMING, "chunk": CHUNKS}
CASES = [pytest.param(data, right, id=f"{table}-{name}".replace(" ", "_"))
         for table, rows in TABLES.items() for name, (data, right) in rows.items()]


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods(script=lambda job: job.answer())  # a leak shall not stop the others


@pytest.fixture(scope="module")
def front(shared_gateway, pod):
    return shared_gateway(pod, top={"limits": {"headerTimeout": "2s"}})


def send(client, data):
    """The answer may come, and the connection end, before all is sent."""
    try:
        client.send(data)
    except (ConnectionError, TimeoutError):
        pass


def assert_only_the_next_reaches_the_pod(front, pod, before):
    assert front.get("/barrier").status == 200
    assert [request.path for request in pod.requests[before:]] == ["/barrier"]


@pytest.mark.parametrize("data, right", CASES)
def test_malformed(front, pod, data, right):
    before = len(pod.requests)
    with front.client() as client:
        send(client, data)
        response = client.read_response()
        assert response.status in right, response
        assert response.problem, "not a problem+json with a reason"
        assert client.is_closed_by_peer()
    assert_only_the_next_reaches_the_pod(front, pod, before)


@pytest.mark.parametrize("data", [b"G", b"GET /job HTTP/1.1\r\n", HEAD, HEAD + b"Content-Length: 5",
                                  HEAD + b"Content-Length: 5\r\n\r\n123", CHUNKED + b"5\r\n123"],
                         ids=range(6))
@pytest.mark.parametrize("how", ["leave", "reset"])
def test_half_a_request(front, pod, data, how):
    before = len(pod.requests)
    client = front.client()
    client.send(data)
    getattr(client, how)()
    front.wait_for(uploading=0, waiting=0)
    assert_only_the_next_reaches_the_pod(front, pod, before)


def test_a_malformed_request_behind_a_good_one(front, pod):
    """The good one has its answer; the other one ends the connection."""
    before = len(pod.requests)
    with front.client() as client:
        client.send(client.head("GET", "/good") + b"BAD\0\r\n\r\n" + client.head("GET", "/job"))
        assert client.read_response().json()["target"] == "/good"
        assert client.read_response().status == 400
        assert client.is_closed_by_peer()
    assert [request.path for request in pod.requests[before:]] == ["/good"]


def test_what_follows_a_malformed_request_is_not_a_request(front, pod):
    before = len(pod.requests)
    with front.client() as client:
        client.send(with_header(b"Content-Length: abc") + client.head("GET", "/smuggled"))
        assert client.read_response().status == 400
        assert client.is_closed_by_peer()
    assert_only_the_next_reaches_the_pod(front, pod, before)


def test_endless_empty_lines_are_no_request(gateway, pod):
    """They may stand before one, so they are no error; but they do not keep a connection alive."""
    front = gateway(pod, top={"limits": {"keepAlive": "200ms", "headerTimeout": "200ms"}})
    with front.client() as client:
        with pytest.raises((ConnectionError, TimeoutError)):
            while True:
                client.send(b"\r\n" * 1000)


def test_a_star_is_no_target_of_a_get(front):
    with front.client() as client:
        client.send(b"GET * HTTP/1.1\r\nHost: g\r\n\r\n")
        assert client.read_response().status in (400, 404)


def test_malformed_requests_are_counted(front):
    before = front.metrics()("slotgate_bad_requests_total")
    with front.client() as client:
        client.send(b"GARBAGE\r\n\r\n")
        assert client.read_response().status == 400
    front.wait_for_metric(before + 1, "slotgate_bad_requests_total")
