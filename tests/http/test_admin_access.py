"""Who may ask the admin: a bearer token, a client's certificate, or anybody."""
import http.client
import ssl

import pytest

from harness.wait import wait_until

SECRET = "0123456789abcdef-secret"


@pytest.fixture
def guarded(gateway, pod, tmp_path):
    """A gateway whose admin asks for a token, and the token's file."""
    file = tmp_path / "token"
    file.write_text(SECRET + "\n")
    made = gateway(pod, top={"admin": {"address": "localhost:0", "bearerTokenFile": str(file)}},
                   ready=False)
    return made, file


def ask(made, token=None, path="/v1/services", **more):
    headers = {"Authorization": token} if token else {}
    return made.admin(path, headers=headers, **more)


def test_a_token_is_needed(guarded):
    made, _ = guarded
    for path in ("/v1/services", "/metrics", "/nothing", "/v1/services/sd/pods/x/release"):
        status, headers, text = ask(made, path=path)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert headers["Content-Type"] == "application/problem+json"
        assert '"reason":"unauthorized"' in text and SECRET not in text
    assert ask(made, path="/v1/services/sd/pods/x/release", method="POST")[0] == 401


def test_only_the_right_one(guarded):
    made, _ = guarded
    for token in (f"Bearer {SECRET}", f"bearer  {SECRET}"):
        assert ask(made, token)[0] == 200
    for token in (SECRET, f"Basic {SECRET}", "Bearer", "Bearer ", f"Bearer {SECRET}x",
                  f"Bearer {SECRET[:-1]}", f"Bearer {SECRET[:-1]}X", f"Bearer {SECRET} {SECRET}"):
        assert ask(made, token)[0] == 401
    assert ask(made, f"Bearer {SECRET}", path="/nothing")[0] == 404


def test_two_of_them_are_none(guarded):
    made, _ = guarded
    connection = http.client.HTTPConnection(*made.admin_address)
    connection.putrequest("GET", "/metrics")
    connection.putheader("Authorization", "Bearer wrong")
    connection.putheader("Authorization", f"Bearer {SECRET}")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_health_is_open(guarded):
    made, _ = guarded
    assert ask(made, path="/healthz")[0] == 200
    assert ask(made, path="/readyz")[0] == 200


def test_a_new_token(guarded):
    made, file = guarded
    file.write_text("another-secret-0123456789")
    wait_until(lambda: ask(made, "Bearer another-secret-0123456789")[0] == 200, "it is taken")
    assert ask(made, f"Bearer {SECRET}")[0] == 401
    file.write_text("short")
    wait_until(lambda: "admin.bearerTokenFile" in made.log(), "the fault is told")
    assert ask(made, "Bearer another-secret-0123456789")[0] == 200
    assert "short\n" not in made.log().replace(str(file), "")


def test_tls_and_a_certificate(gateway, pod, certificates):
    tls = certificates.tls(clientCertificates="required", clientCa=certificates.path("ca.pem"))
    made = gateway(pod, top={"admin": {"address": "localhost:0", "tls": tls}}, ready=False)
    made.admin_tls = certificates.client(own="client")
    assert ask(made)[0] == 200
    assert ask(made, path="/healthz")[0] == 200
    made.admin_tls = certificates.client()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(made)
    made.admin_tls = certificates.client(own="client")  # for the fixture
