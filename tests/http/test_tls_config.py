"""What `slotgate check` says of TLS."""
import json
import subprocess

import pytest

from harness.demo import binary


@pytest.fixture
def check(tmp_path):
    """check(listener's tls, podTls=..., admin=...): the lines that it prints."""
    def run(tls=None, pod_tls=None, admin=None):
        listener = {"address": "127.0.0.1:0"}
        service = {"name": "sd", "pods": {"static": ["127.0.0.1:1"]}}
        settings = {"listeners": [listener], "services": [service]}
        if tls is not None:
            listener["tls"] = tls
        if pod_tls is not None:
            service["podTls"] = pod_tls
        if admin is not None:
            settings["admin"] = admin
        path = tmp_path / "slotgate.json"
        path.write_text(json.dumps(settings))
        done = subprocess.run([binary("slotgate"), "check", "-c", path], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (done.returncode == 0) == (not done.stdout)
        return done.stdout.splitlines()

    return run


def test_what_is_right(check, certificates):
    ca = certificates.path("ca.pem")
    assert check(tls=certificates.tls("local", "one", "rsa", "chain")) == []
    assert check(tls=certificates.tls(minVersion="1.3", clientCertificates="optional",
                                      clientCa=ca)) == []
    assert check(pod_tls={}) == []
    assert check(pod_tls={"ca": ca, "serverName": "one.test", **certificates.pair("client")}) == []
    assert check(admin={"tls": certificates.tls()}) == []


def test_faults_of_a_listener(check, certificates):
    path, pair = certificates.path, certificates.pair
    tls = "listeners[0].tls"
    cases = [
        ({}, f"{tls}.certificates: required"),
        ({"certificates": []}, f"{tls}.certificates: must be a list of 1 to 100 certificates"),
        ({"certificates": ["x"]}, f"{tls}.certificates[0]: must be an object"),
        ({"certificates": [{"key": path("one.key")}]},
         f"{tls}.certificates[0].certificate: required"),
        ({"certificates": [pair("local"), pair("none")]},
         f"{tls}.certificates[1].certificate: {path('none.pem')}: No such file"),
        ({"certificates": [{**pair("local"), "key": path("one.key")}]},
         f"{tls}.certificates[0].key: {path('one.key')}: the key does not belong"),
        ({"certificates": [{**pair("local"), "key": path("encrypted.key")}]},
         f"{tls}.certificates[0].key: {path('encrypted.key')}: the key is encrypted"),
        (certificates.tls(minVersion="1.1"), f'{tls}.minVersion: must be "1.2" or "1.3"'),
        (certificates.tls(clientCertificates="required"), f"{tls}.clientCa: required"),
        (certificates.tls(clientCa=path("ca.pem")), f"{tls}.clientCertificates: must be"),
        (certificates.tls(clientCa=path("one.key"), clientCertificates="optional"),
         f"{tls}.clientCa: {path('one.key')}: holds no certificate"),
        (certificates.tls(certificate="x"), f'{tls}.certificate: unknown key; did you mean "cert'),
    ]
    for settings, fault in cases:
        lines = check(tls=settings)
        assert len(lines) == 1 and lines[0].startswith(fault), (settings, lines)


def test_faults_towards_pods(check, certificates):
    path, pair = certificates.path, certificates.pair
    tls = "services[0].podTls"
    cases = [
        ({"ca": path("none.pem")}, f"{tls}.ca: {path('none.pem')}: No such file"),
        ({"certificate": path("one.pem")}, f"{tls}.key: required"),
        ({"key": path("one.key")}, f"{tls}.certificate: required"),
        ({**pair("one"), "key": path("local.key")}, f"{tls}.key: {path('local.key')}: the key"),
        ({"serverName": "*.one.test"}, f'{tls}.serverName: "*.one.test": must be'),
        ({"insecureSkipVerify": True, "ca": path("ca.pem")}, f"{tls}.ca: is of no use"),
        (True, f"{tls}: must be an object, not true"),
    ]
    for settings, fault in cases:
        lines = check(pod_tls=settings)
        assert len(lines) == 1 and lines[0].startswith(fault), (settings, lines)


def test_faults_of_the_admin(check, certificates, tmp_path):
    lines = check(admin={"tls": {"certificates": [certificates.pair("none")]}})
    assert lines[0].startswith("admin.tls.certificates[0].certificate: ")
    token = tmp_path / "token"
    for text in ("", "short", "with a space in between", "two-lines-of-them\nare-one-too-many",
                 "x" * 5000):
        token.write_text(text)
        lines = check(admin={"bearerTokenFile": str(token)})
        assert len(lines) == 1 and lines[0].startswith("admin.bearerTokenFile: ")
        assert not text or text.split("\n", maxsplit=1)[0] not in lines[0]  # it is a secret
    lines = check(admin={"bearerTokenFile": str(tmp_path / "none")})
    assert "No such file" in lines[0]
