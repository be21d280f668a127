"""Which service a request is for, and what it may not reach."""
import pytest

from harness.gateway import service


@pytest.fixture(scope="module")
def town(shared_gateway, shared_pods):
    """Two services by host, a wildcard, and a listener that serves one whatever the host."""
    a, b, wild = shared_pods(3)
    gateway = shared_gateway(
        services=[service(a, name="a", hosts=["a.example.com"]),
                  service(b, name="b", hosts=["b.example.com"]),
                  service(wild, name="wild", hosts=["*.wild.example.com"])],
        listeners=[{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "service": "b"}])
    gateway.ports_of = {str(pod.port): name
                        for name, pod in (("a", a), ("b", b), ("wild", wild))}
    gateway.pods_by_name = {"a": a, "b": b, "wild": wild}
    return gateway


def served_by(town, host, listener=0, target="/"):
    """The service whose pod has answered; or the status."""
    before = {name: len(pod.requests) for name, pod in town.pods_by_name.items()}
    with town.client(listener) as client:
        response = client.get(target, host=host).read_response()
    if response.status != 200:
        return response.status
    grown = [name for name, pod in town.pods_by_name.items() if len(pod.requests) > before[name]]
    assert len(grown) == 1
    return grown[0]


@pytest.mark.parametrize("host, name", [
    ("a.example.com", "a"), ("b.example.com", "b"), ("A.Example.COM", "a"),
    ("a.example.com:8080", "a"), ("x.wild.example.com", "wild"), ("x.y.wild.example.com", "wild")])
def test_by_host(town, host, name):
    assert served_by(town, host) == name


@pytest.mark.parametrize("host", ["c.example.com", "wild.example.com", "a.example.com.evil.org",
                                  "127.0.0.1"])
def test_an_unknown_host_is_told(town, host):
    with town.client() as client:
        response = client.get("/", host=host).read_response()
    assert response.status in (404, 421) and response.problem == "no_service"


def test_a_listener_may_serve_one_service_only(town):
    assert served_by(town, "whatever.example.org", listener=1) == "b"
    assert served_by(town, "a.example.com", listener=1) == "b"


def test_the_target_of_the_absolute_form_decides_over_host(town):
    assert served_by(town, "a.example.com", target="http://b.example.com/") == "b"


def test_what_a_runtime_should_not_expose_is_blocked(gateway, pod):
    front = gateway(pod)
    for target in ("/sdapi/v1/server-kill", "/sdapi/v1/server-restart", "/sdapi/v1//server-stop",
                   "/sdapi/v1/%73erver-kill", "/x/../sdapi/v1/server-kill"):
        assert front.post(target).status == 403
    assert front.get("/barrier").status == 200
    assert pod.paths() == ["/barrier"]


@pytest.mark.parametrize("target", ["/job", "/job?x=1", "/%6aob", "/./job", "/x/../job", "//job",
                                    "/j%6Fb/"])
def test_no_spelling_of_a_path_gets_around_its_slot(gateway, pods, target):
    pod = pods(capacity=2)  # it may be told of more: that is the test
    front = gateway(pod, slots=["* /job"])
    first = front.open_get("/job")
    pod.next()
    other = front.open_get(target)
    front.wait_for(working=1, waiting=1)
    first.leave()
    other.leave()


def test_without_patterns_nothing_takes_a_slot(gateway, pods):
    pod = pods(capacity=5)
    front = gateway(pod, slots=[])
    clients = [front.open_get("/job") for _ in range(5)]
    for _ in clients:
        pod.next().answer()
    assert [client.read_response().status for client in clients] == [200] * 5


def test_options_that_may_go_no_further_are_answered_here(gateway, pod):
    front = gateway(pod)
    before = len(pod.requests)
    with front.client() as client:
        client.request("OPTIONS", "/p", [("Max-Forwards", "0")])
        response = client.read_response()
        assert response.status == 200 and response.get("via") is None
        assert client.get("/next").read_response().status == 200
    assert [request.path for request in pod.requests[before:]] == ["/next"]


def test_a_method_in_small_letters_takes_its_slot_too(gateway, pod):
    """A pod may take "post" for POST; a job under that name must be counted."""
    front = gateway(pod, slots=["POST /job"])
    client = front.client()
    client.request("post", "/job", body=b"{}")
    job = pod.next()
    front.wait_for(working=1)
    job.answer()
    assert client.read_response().status == 200


def test_our_own_answers_are_dated(gateway, pod):
    front = gateway(pod)
    response = front.get("/sdapi/v1/server-kill")
    assert response.status == 403
    assert response.get("date").endswith(" GMT") and len(response.get("date")) == 29
