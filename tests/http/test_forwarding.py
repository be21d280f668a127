"""Who the client is: what is believed of X-Forwarded-* and Forwarded, and what the pod is told."""
import pytest

FORGED = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Host", "evil"),
          ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "443"), ("X-Real-IP", "203.0.113.9"),
          ("Forwarded", "for=203.0.113.9;proto=https"), ("X_Forwarded_For", "203.0.113.9"),
          ("X-Forwarded_For", "203.0.113.9"), ("x_real_ip", "203.0.113.9")]


@pytest.fixture(scope="module")
def pod(shared_pods):
    return shared_pods()


@pytest.fixture(scope="module")
def fronts(shared_gateway, pod):
    """A gateway for each policy, as they are asked for."""
    made = {}

    def front(*trusted, headers="x-forwarded", **more):
        policy = {"trustedProxies": list(trusted), "headers": headers, **more}
        key = str(policy)
        if key not in made:
            made[key] = shared_gateway(pod, top={"forwarding": policy})
        return made[key]

    return front


def received(front, headers):
    pairs = front.get("/", headers, host="sd.example.com").json()["headers"]
    return {name: [v for n, v in pairs if n == name] for name, _ in pairs}


def test_an_untrusted_peers_word_is_replaced(fronts):
    seen = received(fronts(), FORGED)
    assert seen["x-forwarded-for"] == ["127.0.0.1"] and seen["x-real-ip"] == ["127.0.0.1"]
    assert seen["x-forwarded-host"] == ["sd.example.com"]
    assert seen["x-forwarded-proto"] == ["http"]
    for name in ("forwarded", "x-forwarded-port", "x_forwarded_for", "x-forwarded_for",
                 "x_real_ip"):
        assert name not in seen
    assert "203.0.113.9" not in str(seen)


def test_a_trusted_proxys_word_is_added_to(fronts):
    seen = received(fronts("127.0.0.0/8"), [
        ("X-Forwarded-For", "198.51.100.4, 203.0.113.9"), ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "outside"), ("X-Forwarded-Port", "443")])
    assert seen["x-forwarded-for"] == ["198.51.100.4, 203.0.113.9, 127.0.0.1"]
    assert seen["x-forwarded-proto"] == ["https"] and seen["x-forwarded-host"] == ["outside"]
    assert seen["x-forwarded-port"] == ["443"] and seen["x-real-ip"] == ["203.0.113.9"]


def test_lines_of_a_trusted_proxy_are_joined_in_order(fronts):
    seen = received(fronts("127.0.0.0/8"), [("X-Forwarded-For", "198.51.100.4"),
                                            ("X-Forwarded-For", "203.0.113.9")])
    assert seen["x-forwarded-for"] == ["198.51.100.4, 203.0.113.9, 127.0.0.1"]


@pytest.mark.parametrize("value, client", [
    ("203.0.113.9", "203.0.113.9"),
    ("198.51.100.4, 203.0.113.9", "203.0.113.9"),
    ("203.0.113.9, 10.1.2.3", "203.0.113.9"),             # 10/8 is trusted: one further
    ("203.0.113.9:4711", "203.0.113.9"),
    ("2001:db8::7", "2001:db8::7"),
    ("[2001:db8::7]:80", "2001:db8::7"),
    ("203.0.113.9, fd00::1", "203.0.113.9"),
    ("10.1.2.3, 10.1.2.4", "10.1.2.3"),                   # all are trusted: the first of them
    ("203.0.113.9, unknown", "127.0.0.1"),                # nobody vouches for what is before it
    ("203.0.113.9, 10.1.2.3, 1.2.3.4.5, 10.1.2.4", "10.1.2.4"),
    ("", "127.0.0.1"), (",", "127.0.0.1"), ("[", "127.0.0.1"), ("1.2.3.4]", "127.0.0.1"),
])
def test_the_client_is_the_last_who_is_no_trusted_proxy(fronts, value, client):
    front = fronts("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")
    request_id = f"client-{abs(hash(value))}"
    assert front.get("/", [("X-Forwarded-For", value), ("X-Request-Id", request_id)]).status == 200
    logged = front.access_line(request_id)["client"]
    assert logged == client or (client == "127.0.0.1" and logged.startswith("127.0.0.1:"))


def test_an_untrusted_client_cannot_choose_its_address_in_the_log(fronts):
    fronts().get("/", [("X-Forwarded-For", "203.0.113.9"), ("X-Request-Id", "liar-1")])
    assert fronts().access_line("liar-1")["client"].startswith("127.0.0.1:")


def test_the_standard_header(fronts):
    seen = received(fronts(headers="forwarded"), FORGED)
    assert seen["forwarded"] == ['for=127.0.0.1;host="sd.example.com";proto=http']
    assert not any(name.startswith("x-forwarded") for name in seen)


@pytest.mark.parametrize("value, client", [
    ('for=203.0.113.9;proto=https', "203.0.113.9"),
    ('For="[2001:db8::7]:4711"', "2001:db8::7"),
    ('for=198.51.100.4, proto=http;for=203.0.113.9', "203.0.113.9"),
    ('for=", for=203.0.113.9', "203.0.113.9"),            # a quote left open by who came before
    ('for=_hidden', "127.0.0.1"), ('for=unknown', "127.0.0.1"), ('proto=http', "127.0.0.1"),
])
def test_the_standard_header_of_a_trusted_proxy(fronts, value, client):
    front = fronts("127.0.0.1", headers="forwarded")
    request_id = f"forwarded-{abs(hash(value))}"
    seen = received(front, [("Forwarded", value), ("X-Request-Id", request_id)])
    assert seen["forwarded"] == [f'{value}, for=127.0.0.1;host="sd.example.com";proto=http']
    logged = front.access_line(request_id)["client"]
    assert logged == client or (client == "127.0.0.1" and logged.startswith("127.0.0.1:"))


def test_both_or_none(fronts):
    both = received(fronts(headers="both"), FORGED)
    assert both["x-forwarded-for"] == ["127.0.0.1"] and len(both["forwarded"]) == 1
    none = received(fronts(headers="off"), FORGED)
    assert not any(name in none for name in ("x-forwarded-for", "forwarded", "x-real-ip"))


def test_via_by_another_name_or_none(fronts):
    with_name = fronts(via="edge-1")
    response = with_name.get("/", [("Via", "1.0 older")])
    vias = [v for n, v in response.json()["headers"] if n == "via"]
    assert vias == ["1.0 older", "1.1 edge-1"] and response.all("via") == ["1.1 edge-1"]
    response = fronts(via="off").get("/")
    assert response.get("via") is None
    assert not [v for n, v in response.json()["headers"] if n == "via"]


def test_connection_cannot_drop_what_tells_of_the_client(fronts):
    names = "X-Forwarded-For, X-Forwarded-Host, X-Real-IP, Forwarded, Via, X-Request-Id, Host"
    for front in (fronts(headers="both"), fronts("127.0.0.1", headers="both")):
        seen = received(front, [("Connection", names), ("X-Forwarded-For", "10.0.0.1"),
                                ("Via", "1.1 first")])
        assert seen["x-forwarded-for"][0].endswith("127.0.0.1") and seen["host"]
        assert seen["forwarded"] and seen["x-request-id"] and seen["x-real-ip"]
        assert seen["via"][0] == "1.1 first"
