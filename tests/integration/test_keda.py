"""KEDA's external scaler, as KEDA's own client library sees it: what it is told, when, and what it
hears of its mistakes."""
import json
import threading
import time

import grpc
import pytest

from harness.client import Client
from harness.http2_client import Http2Client
from harness.keda import Keda, address_of, messages
from harness.wait import PATIENCE, wait_until

KEDA = {"keda": {"address": "127.0.0.1:0"}}
Code = grpc.StatusCode


@pytest.fixture
def keda():
    """keda(gateway): a client; closed with the test."""
    made = []

    def connect(front, **more):
        made.append(Keda(address_of(front), **more))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def front(gateway, pod):
    return gateway(pod, top=KEDA)


def refused(ask, code, *words):
    """The call fails like this, and the text names all of it."""
    with pytest.raises(grpc.RpcError) as error:
        ask()
    assert error.value.code() == code, error.value
    for word in words:
        assert word in error.value.details(), error.value.details()


# --- the figures ---

def test_concurrency_is_what_works_and_what_waits(front, pod, keda):
    client = keda(front)
    assert client.value().metricValueFloat == 0 and not client.is_active()
    clients = [front.open_post("/job") for _ in range(4)]
    front.wait_for(working=1, waiting=3)
    seen = client.value()
    assert (seen.metricName, seen.metricValue, seen.metricValueFloat) == ("slotgate-sd", 4, 4.0)
    assert client.is_active()
    clients[3].leave()
    front.wait_for(waiting=2)
    assert client.value().metricValueFloat == 3
    clients[0].leave()  # its pod goes on: so does its need of one
    front.wait_for(draining=1)
    assert client.value().metricValueFloat == 3 and client.is_active()
    for _ in range(3):
        pod.next().answer()
    front.wait_for(working=0, draining=0, waiting=0)
    assert client.value().metricValueFloat == 0 and not client.is_active()


def test_what_passes_beside_the_slots_needs_a_pod(gateway, pod, keda):
    pod.stop_listening()
    front = gateway(pod, top=KEDA, ready=False)
    client = keda(front)
    front.open_get("/sdapi/v1/progress")
    front.wait_for(waitingPassThrough=1)
    assert client.is_active() and client.value().metricValueFloat == 0
    pod.listen()
    front.wait_for(waitingPassThrough=0)
    wait_until(lambda: not client.is_active(), "it is served, and no pod is needed")


@pytest.mark.parametrize("options, metadata, target, whole", [
    ({}, {}, 1, 1),
    ({"containerConcurrency": 3}, {}, 3, 3),
    ({"autoscaling": {"target": 2.5, "targetUtilizationPercentage": 50}}, {}, 1.25, 1),
    ({"autoscaling": {"target": 0.5}}, {}, 0.5, 1),
    ({}, {"target": "2"}, 2, 2),
    ({}, {"target": "1000000"}, 1e6, 1000000),
    ({}, {"service": "sd", "target": "0.25", "scalerAddress": "x:1", "unsafeSsl": "true"}, .25, 1),
], ids=["slots", "more slots", "its target", "a half", "the trigger's", "the most", "the trigger's all"])
def test_the_target(gateway, pods, keda, options, metadata, target, whole):
    spec = keda(gateway(pods(capacity=3), top=KEDA, **options)).spec(**metadata)
    assert (spec.metricName, spec.targetSizeFloat, spec.targetSize) == ("slotgate-sd", target,
                                                                        whole)


def test_several_services(gateway, pods, keda):
    one, two = pods(2)
    listeners = [{"address": "127.0.0.1:0", "service": name} for name in ("one", "two")]
    services = [{"name": name, "slots": ["* /job*"], "pods": {"static": [pod.address]}}
                for name, pod in (("one", one), ("two", two))]
    front = gateway(services=services, listeners=listeners, top=KEDA)
    client = keda(front)
    first, second = client.follow(service="one"), client.follow(service="two")
    assert first.next() is False and second.next() is False
    front.client(1).post("/job", b"{}")
    assert second.next() is True and first.has_none()
    assert client.value("slotgate-two", service="two").metricValueFloat == 1
    assert client.value("slotgate-one", service="one").metricValueFloat == 0
    refused(lambda: client.is_active(), Code.INVALID_ARGUMENT, "service: required", "one, two")
    two.next().answer()


# --- pushing ---

def test_the_first_request_is_pushed(gateway, pod, keda, capsys):
    """Nobody polls, and there is no pod. How long it takes is printed; tests/bench measures it."""
    pod.stop_listening()
    front = gateway(pod, top=KEDA, ready=False)
    stream = keda(front).follow()
    assert stream.next() is False
    client = front.client()
    sent = time.monotonic()
    client.post("/job", b"{}")
    active, came = stream.next_with_time()
    assert active is True
    with capsys.disabled():
        print(f" (pushed {1000 * (came - sent):.1f} ms after the request)", end="")
    client.leave()
    assert stream.next() is False


def test_requests_in_a_row_are_one_time_of_activity(gateway, pods, keda):
    """Each push makes KEDA write to the API server."""
    pod = pods(script=lambda job: job.answer())
    front = gateway(pod, top=KEDA)
    stream = keda(front).follow()
    assert stream.next() is False
    for _ in range(50):
        assert front.post("/job").status == 200
    assert stream.next() is True
    assert stream.next() is False
    assert stream.has_none()


def test_it_is_told_again_and_again(front, pod, keda):
    stream = keda(front).follow()
    for _ in range(3):
        assert stream.next() is False
        client = front.open_post("/job")
        job = pod.next()
        assert stream.next() is True
        job.answer()
        assert client.read_response().status == 200
    assert stream.next() is False


def test_who_comes_late_is_told_how_it_is(front, pod, keda):
    front.open_post("/job")
    job = pod.next()
    assert keda(front).follow().next() is True
    job.answer()


def test_many_follow_one_service(front, pod, keda):
    client = keda(front)
    streams = [client.follow() for _ in range(100)]
    assert [stream.next() for stream in streams] == [False] * 100
    for stream in streams[::2]:
        stream.cancel()
    front.open_post("/job")
    assert [stream.next() for stream in streams[1::2]] == [True] * 50
    pod.next().answer()
    assert [stream.next() for stream in streams[1::2]] == [False] * 50


# --- reload, drain, upgrade ---

def once_more(ask):
    """Asks again what has crossed the end of its connection, as KEDA's library does by itself."""
    def look():
        try:
            return [ask()]
        except grpc.RpcError as error:
            assert error.code() == Code.UNAVAILABLE, error
            return None
    return wait_until(look, "it is answered")[0]


def test_a_stream_outlives_a_reload(front, pod, keda):
    client = keda(front)
    stream = client.follow()
    assert stream.next() is False
    [service] = front.settings["services"]
    front.reload({"services": [{**service, "autoscaling": {"target": 7}}]})
    assert client.spec().targetSizeFloat == 7
    front.open_post("/job")
    assert stream.next() is True
    pod.next().answer()


def test_a_service_that_is_taken_out(gateway, pods, keda):
    """Its followers are told, and come back to it when it is there again."""
    pod, other = pods(2)
    services = [{"name": name, "slots": ["* /job*"], "hosts": [name],
                 "pods": {"static": [each.address]}} for name, each in (("sd", pod),
                                                                        ("other", other))]
    front = gateway(services=services, top=KEDA)
    client = keda(front)
    stream, bystander = client.follow(service="sd"), client.follow(service="other")
    assert stream.next() is False and bystander.next() is False
    front.open_post("/job", host="sd")
    job = pod.next()
    assert stream.next() is True
    front.reload({"services": services[1:]})
    assert stream.next() == Code.NOT_FOUND
    refused(lambda: client.is_active(service="sd"), Code.NOT_FOUND, '"sd"', "name one of other")
    assert client.spec().metricName == "slotgate-other"  # the only one now
    front.reload({"services": services})
    stream = client.follow(service="sd")
    assert stream.next() is True, "it has not forgotten its job"
    job.answer()
    assert stream.next() is False and bystander.has_none()


def test_a_drain_is_no_failure(front, pod, keda):
    """What the gateway still holds needs its pods, and KEDA can still ask. A stream ends well: KEDA
    comes again in two seconds, and perhaps to the gateway that comes after this one."""
    client = keda(front)
    stream = client.follow()
    assert stream.next() is False
    clients = [front.open_post("/job") for _ in range(3)]
    front.wait_for(working=1, waiting=2)
    assert stream.next() is True
    front.terminate()
    assert stream.next() == Code.OK
    assert once_more(client.value).metricValueFloat == 3 and once_more(client.is_active)
    again = keda(front).follow()
    assert again.next() is True and again.next() == Code.OK
    for each in clients:
        pod.next().answer()
        assert each.read_response().status == 200
    assert front.wait() == 0


def test_followers_go_over_to_the_new_process(gateway, pod, keda):
    front = gateway(pod, top=KEDA, upgradable=True)
    client = keda(front)
    stream = client.follow()
    assert stream.next() is False
    waiting = front.open_post("/job")
    job = pod.next()
    assert stream.next() is True
    before = address_of(front)
    front.upgrade()
    assert address_of(front) == before
    assert stream.next() == Code.OK
    stream = client.follow()
    assert stream.next() is True, "the new process knows of the job"
    job.answer()
    assert waiting.read_response().status == 200
    assert stream.next() is False
    assert once_more(client.value).metricValueFloat == 0


# --- TLS ---

def credentials(certificates, own=None):
    def read(name):
        with open(certificates.path(name), "rb") as file:
            return file.read()
    pair = [read(f"{own}.key"), read(f"{own}.pem")] if own else [None, None]
    return grpc.ssl_channel_credentials(read("ca.pem"), *pair)


def secure(certificates, **more):
    return {"keda": {"address": "127.0.0.1:0", "tls": certificates.tls(**more)}}


def test_tls(gateway, pod, keda, certificates):
    front = gateway(pod, top=secure(certificates))
    options = [("grpc.ssl_target_name_override", "localhost")]
    client = keda(front, credentials=credentials(certificates), options=options)
    assert not client.is_active() and client.follow().next() is False
    with Keda(address_of(front)) as plain:
        refused(plain.is_active, Code.UNAVAILABLE)


def test_only_who_has_a_certificate(gateway, pod, keda, certificates):
    front = gateway(pod, top=secure(certificates, clientCertificates="required",
                                    clientCa=certificates.path("ca.pem")))
    options = [("grpc.ssl_target_name_override", "localhost")]
    known = keda(front, credentials=credentials(certificates, "client"), options=options)
    assert not known.is_active()
    stranger = keda(front, credentials=credentials(certificates), options=options)
    refused(stranger.is_active, Code.UNAVAILABLE)


# --- what a trigger may say wrong ---

@pytest.mark.parametrize("metadata, code, words", [
    ({"service": "flux"}, Code.NOT_FOUND, ['"flux"', "name one of sd"]),
    ({"service": ""}, Code.NOT_FOUND, ['""', "sd"]),
    ({"service": "ü\n%"}, Code.NOT_FOUND, ["ü\n%"]),
    ({"servce": "sd"}, Code.INVALID_ARGUMENT, ["scalerMetadata.servce", 'did you mean "service"']),
    ({"Target": "1"}, Code.INVALID_ARGUMENT, ["Target", "target"]),
    ({"x" * 1000: "y" * 10000}, None, []),
], ids=["unknown", "empty", "strange", "a typo", "a case", "long"])
def test_metadata(front, keda, metadata, code, words):
    client = keda(front)
    asks = [client.is_active, client.spec, client.value]
    for ask in asks:
        if code:
            refused(lambda a=ask: a(**metadata), code, *words)
        else:
            ask(**metadata)
    if code:
        assert client.follow(**metadata).next() == code
    assert front.metrics()("slotgate_keda_calls_total", method="IsActive",
                           status=code.name if code else "OK") == 1


@pytest.mark.parametrize("target", ["", "0", "-1", "a", "1x", "nan", "inf", "1e999", " ", "0x10",
                                    "0x1p3", " 2", "2 ", "\t2", "+2", "1,5", "1.2.3", ".", "1e1",
                                    "1e300", "1000001", "1e-320", "0.0009"])
def test_a_target_that_is_none(front, keda, target):
    """Whatever is asked: a trigger is right or wrong, not right for some calls."""
    client = keda(front)
    for ask in (client.spec, client.is_active, client.value):
        refused(lambda ask=ask: ask(target=target), Code.INVALID_ARGUMENT,
                f'scalerMetadata.target: "{target}"', "from 0.001 to 1000000")
    assert client.follow(target=target).next() == Code.INVALID_ARGUMENT


def test_a_metric_that_there_is_not(front, keda):
    client = keda(front)
    assert client.value("").metricName == "slotgate-sd"
    refused(lambda: client.value("s0-slotgate-sd"), Code.NOT_FOUND, "s0-slotgate-sd",
            '"slotgate-sd"')


def test_methods_that_there_are_not(front, keda):
    client = keda(front)
    stream = client.stub.StreamMetricSpec(client.ref())
    refused(lambda: next(stream), Code.UNIMPLEMENTED, "StreamMetricSpec", "StreamIsActive")
    other = client.channel.unary_unary("/grpc.health.v1.Health/Check")
    refused(lambda: other(b""), Code.UNIMPLEMENTED, "/grpc.health.v1.Health/Check")


def test_a_deadline(front, keda):
    """Of a stream: as the server tells it, not the client's own clock."""
    with Http2Client(address_of(front)) as client:
        stream = begin(client, "StreamIsActive", timeout="20m")
        client.data(stream, framed(b""), end=True)
        answer = client.answer(stream)
        assert answer.body == framed(b"")
        assert dict(answer.trailers)["grpc-status"] == "4"
        silent = begin(client, "IsActive", timeout="1m")
        assert status_of(client.answer(silent)) == "4"
        at_once = begin(client, "IsActive", timeout="1n")
        assert status_of(client.answer(at_once)) == "4"


# --- what no client library does ---

def framed(message, flag=0, length=None):
    length = len(message) if length is None else length
    return bytes([flag]) + length.to_bytes(4, "big") + message


def begin(client, method, content_type="application/grpc", encoding=None, timeout=None, end=False,
          path=None):
    headers = [("content-type", content_type), ("te", "trailers")]
    headers += [("grpc-encoding", encoding)] if encoding else []
    headers += [("grpc-timeout", timeout)] if timeout else []
    return client.begin("POST", path or f"/externalscaler.ExternalScaler/{method}", headers, end)


def status_of(answer):
    """The status of an answer, wherever it stands."""
    return dict([*answer.headers, *answer.trailers]).get("grpc-status")


REF = messages.ScaledObjectRef(name="sd", namespace="gpu", scalerMetadata={"service": "sd"})


@pytest.fixture(scope="module")
def shared(shared_gateway, shared_pods):
    return shared_gateway(shared_pods(), top=KEDA)


@pytest.fixture
def raw(shared):
    """A connection that the test may break, and one beside it that must not notice."""
    with Http2Client(address_of(shared)) as client, Http2Client(address_of(shared)) as bystander:
        yield client
        stream = begin(bystander, "IsActive")
        bystander.data(stream, framed(REF.SerializeToString()), end=True)
        assert status_of(bystander.answer(stream)) == "0"


@pytest.mark.parametrize("body, status, words", [
    (b"", "12", "none was sent"),
    (b"\0\0", "13", "ends within"),
    (framed(b"abc", length=5), "13", "ends within"),
    (framed(b"\xff\xff\xff"), "13", "protobuf"),
    (framed(b"\x0a\x05ab"), "13", "protobuf"),            # a text longer than the message
    (framed(b"\x0b" * 100), "13", "protobuf"),            # a group, which there is no more
    (framed(b"\x1a\x80\x80\x80\x80\x10"), "13", "protobuf"),  # 4 GiB of metadata
    (framed(b"\x08\x01"), "13", "protobuf"),              # a number where the name must be
    (framed(b"", flag=1), "13", "compressed"),
    (framed(b"", flag=2), "13", "begins with 2"),
    (framed(b"", length=65537), "8", "at most 65536"),
    (framed(b"", length=2**32 - 1), "8", "4294967295"),
    (framed(b"") + framed(b""), "12", "one message"),
    (framed(b"") + b"\0", "12", "one message"),
    (framed(b"\x78\x01"), "0", ""),                       # a field of a later KEDA
    (framed(b"\x1a\x00" * 32768), "0", ""),               # as many empty pairs as fit
    (framed(b"\x1a\x00" * 10 + b"\x12\x01\x00"), "0", ""),
], ids=range(17))
def test_bodies(raw, body, status, words):
    for method in ("IsActive", "StreamIsActive"):
        stream = begin(raw, method)
        raw.data(stream, body, end=True)
        answer = raw.answers[stream]
        if status == "0" and method == "StreamIsActive":
            raw.until(lambda a=answer: a.body)
            raw.reset_stream(stream)
            continue
        raw.answer(stream)
        assert status_of(answer) == status, answer.headers
        assert words in dict(answer.headers).get("grpc-message", words)


def test_any_bytes_are_answered(raw):
    import random
    source = random.Random(1)
    for _ in range(300):
        message = source.randbytes(source.randrange(40))
        stream = begin(raw, source.choice(["IsActive", "GetMetrics", "GetMetricSpec"]))
        raw.data(stream, framed(message), end=True)
        assert status_of(raw.answer(stream)) in ("0", "3", "5", "13")


@pytest.mark.parametrize("message", [REF.SerializeToString()], ids=["ref"])
def test_cut_anywhere(raw, message):
    """The message's frame in two pieces, and byte by byte."""
    body = framed(message)
    for cut in range(len(body) + 1):
        stream = begin(raw, "IsActive")
        raw.data(stream, body[:cut])
        raw.barrier()
        raw.data(stream, body[cut:], end=True)
        answer = raw.answer(stream)
        assert answer.body == framed(b"") and status_of(answer) == "0", cut
    stream = begin(raw, "IsActive")
    for at in range(len(body)):
        raw.data(stream, body[at:at + 1])
    raw.data(stream, b"", end=True)
    assert status_of(raw.answer(stream)) == "0"


@pytest.mark.parametrize("head, status", [
    ({"content_type": "application/grpc+proto"}, "0"),
    ({"content_type": "application/grpc;charset=utf-8"}, "0"),
    ({"content_type": "application/grpc+json"}, "12"),
    ({"content_type": "application/grpcx"}, "12"),
    ({"encoding": "identity"}, "0"), ({"encoding": "gzip"}, "12"),
    ({"timeout": "99999999H"}, "0"), ({"timeout": "10S"}, "0"),
    ({"timeout": ""}, "0"),  # as if it were not there
    ({"timeout": "S"}, "13"), ({"timeout": "1"}, "13"), ({"timeout": "-1S"}, "13"),
    ({"timeout": "123456789S"}, "13"), ({"timeout": "1s"}, "13"), ({"timeout": "1 S"}, "13"),
    ({"path": "/"}, "12"), ({"path": "/externalscaler.ExternalScaler/"}, "12"),
    ({"path": "/externalscaler.ExternalScaler/IsActive/"}, "12"),
    ({"path": "/externalscaler.ExternalScaler/isactive"}, "12"),
    ({"path": "/externalscaler.ExternalScaler/IsActive?x"}, "12"),
    ({"path": "/" + "x" * 5000}, "12"),
], ids=str)
def test_heads(raw, head, status):
    stream = begin(raw, "IsActive", **head)
    raw.data(stream, framed(b""), end=True)
    answer = raw.answer(stream)
    assert answer.status == 200 and status_of(answer) == status, answer.headers
    assert ("content-type", "application/grpc") in answer.headers


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/grp", ""])
def test_what_is_not_grpc_is_told_so_in_http(raw, content_type):
    answer = raw.answer(begin(raw, "IsActive", content_type, end=True))
    assert answer.status == 415 and json.loads(answer.body)["reason"] == "not_grpc"


def test_other_methods_of_http(raw):
    answer = raw.answer(raw.get("/externalscaler.ExternalScaler/IsActive",
                                [("content-type", "application/grpc")]))
    assert answer.status == 405


def test_http1_is_told_what_is_spoken(shared):
    with Client(address_of(shared)) as client:
        answer = client.get("/").read_response()
        assert answer.status == 505 and "HTTP/2" in answer.json()["detail"]


def test_a_call_that_is_taken_back(raw):
    for method in ("IsActive", "StreamIsActive"):
        for sent in (b"", framed(b"abc", length=5), framed(b"")):
            stream = begin(raw, method)
            raw.data(stream, sent)
            raw.reset_stream(stream)
    raw.barrier()


# --- floods ---

def test_streams_without_end(gateway, pod, keda):
    """Calls are bounded over all connections; who has one keeps it, and what is given up is free."""
    front = gateway(pod, top=KEDA)
    bystander = keda(front).follow()
    assert bystander.next() is False
    clients, begun = [], 0
    while begun < 1200:
        client = Http2Client(address_of(front))
        clients.append(client)
        client.barrier()
        streams = [begin(client, "StreamIsActive") for _ in range(200)]
        for stream in streams:
            client.data(stream, framed(b""), end=True)
        begun += len(streams)
        client.until(lambda c=client: all(a.body or a.ended for a in c.answers.values()))
    states = [status_of(answer) for client in clients for answer in client.answers.values()]
    assert set(states) == {None, "8"} and states.count(None) == 1023
    front.open_post("/job")
    assert bystander.next() is True
    pod.next().answer()
    for client in clients:
        client.leave()
    fresh = keda(front)
    wait_until(lambda: fresh.follow().next() in (True, False), "there is room again")
    assert bystander.next() is False


def test_unfinished_messages_without_end(gateway, pod, keda):
    """Each call holds as much as it may."""
    front = gateway(pod, top=KEDA)
    message = framed(b"x" * 65535, length=65536)
    clients = [Http2Client(address_of(front)) for _ in range(6)]
    for client in clients:
        for _ in range(200):
            client.data(begin(client, "IsActive"), message)
    held = front.metrics()("slotgate_client_memory_bytes")
    assert 1000 * 65536 < held < 1100 * 2 * 65536
    for client in clients:
        client.leave()
    wait_until(lambda: front.metrics()("slotgate_client_memory_bytes") < 65536, "all is given back")
    assert not keda(front).is_active()


def test_connections_without_end(gateway, pod):
    front = gateway(pod, top=KEDA)
    clients = [Client(address_of(front)) for _ in range(64)]
    for client in clients:  # who has said nothing yet would make room
        client.send("PRI * HTTP/2.0\r\n")
    with Client(address_of(front)) as late:
        assert late.read_response().json()["reason"] == "too_many_connections"
    assert front.get("/x").status == 200 and front.admin("/healthz")[0] == 200
    for client in clients:
        client.leave()

    def has_room():
        with Http2Client(address_of(front)) as client:
            client.barrier()
            return True
    wait_until(has_room, "there is room again")


# --- the admin's JSON, for the metrics-api scaler ---

def test_demand_as_json(front, pod):
    def demand():
        status, headers, text = front.admin("/v1/services/sd/demand")
        assert status == 200 and headers["Content-Type"] == "application/json"
        return json.loads(text)

    seen = demand()
    assert seen["service"] == "sd" and seen["active"] is False and seen["concurrency"] == 0
    assert seen["target"] == 1 and seen["readyPods"] == 1
    clients = [front.open_post("/job") for _ in range(3)]
    front.wait_for(working=1, waiting=2)
    seen = demand()
    assert (seen["active"], seen["concurrency"], seen["working"], seen["waiting"]) == (True, 3, 1,
                                                                                       2)
    for _ in clients:
        pod.next().answer()
    front.wait_for(concurrency=0)
    assert front.admin("/v1/services/sd/demand", "HEAD")[2] == ""
    assert 0 < demand()["stableConcurrency"] <= 3


@pytest.mark.parametrize("path", ["/v1/services/flux/demand", "/v1/services/sd/demand/",
                                  "/v1/services/sd/demands", "/v1/services//demand",
                                  "/v1/services/" + "x" * 3000 + "/demand"])
def test_demand_of_what_there_is_not(shared, path):
    status, _, text = shared.admin(path)
    assert status == 404 and json.loads(text)["reason"] in ("no_such_service", "no_such_page")


def test_demand_is_for_those_with_the_secret(gateway, pod, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef\n")
    front = gateway(pod, ready=False, top={
        "admin": {"address": "localhost:0", "bearerTokenFile": str(secret)}})
    assert front.admin("/v1/services/sd/demand")[0] == 401
    headers = {"Authorization": "Bearer 0123456789abcdef"}
    assert front.admin("/v1/services/sd/demand", headers=headers)[0] == 200
    front.admin_headers = headers


def test_asked_by_many_at_once(front, pod, keda):
    """Unary calls of several clients beside a load: each is answered with what is true."""
    client = keda(front)
    front.open_post("/job")
    job = pod.next()
    values = []

    def ask():
        for _ in range(100):
            values.append(client.value().metricValueFloat)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert values == [1.0] * 400
    job.answer()
