"""Request bodies: read whole before they ask for a slot, exact, spilled to disk past a limit."""
import hashlib
import random

import pytest

MIB = 1 << 20
BIG = random.Random(7).randbytes(8 * MIB)
BIG_SHA256 = hashlib.sha256(BIG).hexdigest()


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods()


@pytest.fixture(scope="module")
def front(shared_gateway, pod):
    return shared_gateway(pod, body={"memory": "64KiB", "maxBytes": "9MiB"})


def in_chunks(client, body, size):
    for at in range(0, len(body), size):
        client.send_chunk(body[at:at + size])
    client.end_chunks()


def is_exact(job, body):
    return hashlib.sha256(job.body).hexdigest() == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000])
def test_a_body_by_length_is_exact(front, pod, size):
    client = front.open_post("/job", BIG[:size])
    job = pod.next()
    assert is_exact(job, BIG[:size])
    job.answer()
    assert client.read_response().status == 200


@pytest.mark.parametrize("size", [0, 1, 65537, 300_000])
def test_a_chunked_body_is_exact(front, pod, size):
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Transfer-Encoding", "chunked")]))
        in_chunks(client, BIG[:size], 7001)
        job = pod.next()
        assert is_exact(job, BIG[:size])
        job.answer()
        assert client.read_response().status == 200


def test_a_large_body_by_length(front, pod):
    client = front.open_post("/job", BIG)
    job = pod.next()
    assert len(job.body) == len(BIG) and is_exact(job, BIG)
    job.answer()
    assert client.read_response().status == 200


def test_a_large_chunked_body(front, pod):
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Transfer-Encoding", "chunked")]))
        in_chunks(client, BIG, 100_003)
        job = pod.next()
        assert len(job.body) == len(BIG) and is_exact(job, BIG)
        job.answer()
        assert client.read_response().status == 200


def test_large_bodies_of_several_clients_are_not_mixed(front, pod):
    bodies = [bytes([i]) * (2 * MIB) for i in range(4)]
    clients = [front.open_post("/job", body) for body in bodies]
    for _ in clients:
        job = pod.next()
        assert job.body in bodies
        bodies.remove(job.body)
        job.answer()
    assert [client.read_response().status for client in clients] == [200] * 4


def test_a_body_that_passes_beside_the_slots_is_exact(front):
    seen = front.post("/upload", BIG).json()
    assert (seen["length"], seen["sha256"]) == (len(BIG), BIG_SHA256)


def test_chunk_extensions_and_trailers_are_harmless(front, pod):
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Transfer-Encoding", "chunked")]))
        client.send_chunk(b"abc", ";name=value")
        client.send(b'3;q="a;b"\r\ndef\r\n0\r\nX-Trailer: 1\r\n\r\n')
        job = pod.next()
        assert job.body == b"abcdef"
        job.answer()
        assert client.read_response().status == 200


def test_requests_cut_in_two_at_any_place(front):
    """A chunked one with all that chunks may have, and another behind it."""
    data = (b"POST /first HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'3;q="a;b"\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n'
            b"PUT /second HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\nok")
    with front.client() as client:
        for cut in range(1, len(data)):
            client.send(data[:cut])
            assert front.get("/barrier").status == 200  # by now the first piece has been read
            client.send(data[cut:])
            first, second = client.read_response().json(), client.read_response().json()
            assert (first["target"], first["length"]) == ("/first", 13), cut
            assert (second["target"], second["length"]) == ("/second", 2), cut


def test_a_chunked_body_has_one_framing_at_the_pod(front, pod):
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Transfer-Encoding", "chunked")]))
        in_chunks(client, b"hello", 2)
        job = pod.next()
        assert len(job.all("content-length")) + len(job.all("transfer-encoding")) == 1
        job.answer()
        assert client.read_response().status == 200


def test_a_body_at_the_limit_passes(front, pod):
    body = b"x" * (9 * MIB)
    client = front.open_post("/job", body)
    job = pod.next()
    assert len(job.body) == len(body)
    job.answer()
    assert client.read_response().status == 200


def test_a_body_over_the_limit_is_refused_by_its_length_alone(front):
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Content-Length", 9 * MIB + 1)]))
        response = client.read_response()
        assert response.status == 413 and response.problem == "body_too_large"
        assert client.is_closed_by_peer()


def test_expect_continue_is_not_said_to_a_body_over_the_limit(front):
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Content-Length", 9 * MIB + 1),
                                                 ("Expect", "100-continue")]))
        assert client.read_head().status == 413


def test_a_chunked_body_over_the_limit_is_refused_where_it_crosses_it(front, pod):
    before = len(pod.requests)
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Transfer-Encoding", "chunked")]))
        for _ in range(9):
            client.send_chunk(b"x" * MIB)
        client.send(b"2\r\nxx")  # and no more: the gateway need not throw any away
        response = client.read_response()
        assert response.status == 413 and response.problem == "body_too_large"
    assert front.get("/barrier").status == 200
    assert [job.path for job in pod.requests[before:]] == ["/barrier"]


def test_the_answer_to_a_body_over_the_limit_survives_the_bytes_behind_it(front):
    with front.client() as client:
        client.send(client.head("POST", "/job", [("Content-Length", 64 * MIB)]))
        client.send_what_fits(b"x" * (2 * MIB))
        assert client.read_response().status == 413


def test_a_pod_may_answer_before_it_has_read_the_body(front, pod):
    """The answer is the client's; what is unsent of the body does not spoil the next exchange."""
    def answer_early(job):
        job.answer(b"early", status=422, close=True)
        return True

    pod.before_body = answer_early
    try:
        with front.client() as client:
            response = client.post("/job", BIG).read_response()
            assert response.status in (422, 502)  # closing over unread bytes may be a reset
    finally:
        pod.before_body = None
    assert front.get("/after").status == 200


def test_bodies_leave_nothing_in_the_spool(front, pod):
    clients = [front.open_post("/job", BIG[:MIB]) for _ in range(3)]
    for _ in clients:
        pod.next().answer()
    assert [client.read_response().status for client in clients] == [200] * 3
    front.wait_for_metric(0, "slotgate_spooled_bytes")
