"""TLS with clients: versions, certificates by name, resumption, renewal, and ends."""
import contextlib
import json
import re
import ssl
import subprocess
import threading

import pytest

from harness.client import Client
from harness.wait import PATIENCE, wait_until


@pytest.fixture
def secure(gateway, certificates):
    """secure(pod, tls={...}): a gateway whose listener speaks TLS, and its TLS configuration."""
    def make(*pods, tls=None, **more):
        listener = {"address": "127.0.0.1:0", "tls": tls or certificates.tls(), **more}
        return gateway(*pods, listeners=[listener])

    return make


def s_client(made, *flags, line="GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"):
    """What openssl s_client says when it sends this."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", "%s:%d" % made.address, "-ign_eof", *flags],
        input=line, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=PATIENCE, check=False)
    return done.stdout


def client(made, certificates, name="localhost", **more):
    return Client(made.address, tls=certificates.client(**more), name=name)


def test_a_request_and_its_answer(secure, pod, certificates):
    made = secure(pod)
    with client(made, certificates) as c:
        assert c.socket.version() == "TLSv1.3"
        for _ in range(2):  # it is kept open
            assert c.get("/x").read_response().json()["target"] == "/x"
        body = bytes(range(256)) * 4096
        assert c.post("/x", body).read_response().json()["length"] == len(body)


def test_the_access_log_says_how_it_was_encrypted(gateway, pod, certificates):
    front = gateway(pod, listeners=[{"address": "127.0.0.1:0", "tls": certificates.tls()},
                                    {"address": "localhost:0"}])
    context = certificates.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Client(front.address, tls=context) as old, client(front, certificates) as new, \
            front.client(1) as plain:
        ciphers = {}
        for name, c in (("old", old), ("new", new), ("plain", plain)):
            assert c.get("/x", [("X-Request-Id", name)]).read_response().status == 200
            ciphers[name] = c.socket.cipher()[0] if name != "plain" else ""
    for name, version in (("old", "TLSv1.2"), ("new", "TLSv1.3"), ("plain", "")):
        line = front.access_line(name)
        assert (line["tls"], line["cipher"]) == (version, ciphers[name])


def test_an_answer_of_megabytes_to_a_client_that_reads_slowly(secure, pod, certificates):
    made = secure(pod)
    body = bytes(range(256)) * 40000
    with Client(made.address, receive_buffer=4096, tls=certificates.client()) as c:
        c.post("/job")
        job = pod.next()
        job.answer(body)
        made.wait_for(working=0)  # the pod is done long before the client is
        assert c.read_response().body == body


def test_curl(secure, pod, certificates):
    made = secure(pod)
    for version in ("--http1.1", "--http2"):
        done = subprocess.run(
            ["curl", "-sS", version, "--cacert", certificates.path("ca.pem"),
             "-d", "x" * 100000, "https://localhost:%d/x" % made.address[1]],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert json.loads(done.stdout)["length"] == 100000


def test_small_records(secure, pod):
    """A client may ask for records of 512 bytes: the answer is cut into those, and is whole."""
    made = secure(pod)
    ask = f"GET /x HTTP/1.1\r\nHost: gateway\r\nX-Long: {'y' * 9000}\r\nConnection: close\r\n\r\n"
    said = s_client(made, "-maxfraglen", "512", line=ask)
    assert "y" * 9000 in re.sub(r"\s", "", said)


def test_versions(secure, pod, certificates):
    made = secure(pod)
    for flag in ("-tls1", "-tls1_1"):
        # Our client could speak it.
        assert "Cipher is (NONE)" in s_client(made, flag, "-cipher", "DEFAULT:@SECLEVEL=0")
    assert "TLSv1.2, Cipher is ECDHE" in s_client(made, "-tls1_2")
    assert "TLSv1.3, Cipher is TLS_" in s_client(made)
    assert made.metrics()("slotgate_tls_handshakes_total", result="failed") == 2


def test_only_tls_1_3(secure, pod, certificates):
    made = secure(pod, tls=certificates.tls(minVersion="1.3"))
    assert "Cipher is (NONE)" in s_client(made, "-tls1_2")
    assert "TLSv1.3, Cipher is TLS_" in s_client(made)


def test_weak_ciphers_are_refused(secure, pod):
    made = secure(pod)
    for cipher in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA"):
        assert "Cipher is (NONE)" in s_client(made, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    assert "Compression: NONE" in s_client(made, "-tls1_2")


def test_renegotiation_is_refused(secure, pod):
    made = secure(pod)
    with subprocess.Popen(
            ["openssl", "s_client", "-connect", "%s:%d" % made.address, "-tls1_2"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as asking:
        asking.stdin.write("R\n")
        asking.stdin.flush()  # and it stays open: nothing else ends this
        assert "no renegotiation" in asking.stdout.read()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed(secure, pod, certificates, tmp_path, version):
    made = secure(pod)
    ticket = str(tmp_path / "ticket")
    assert "New, TLS" in s_client(made, version, "-sess_out", ticket)
    assert "Reused, TLS" in s_client(made, version, "-sess_in", ticket)
    # A renewed configuration does not forget.
    made.reload({})
    assert "Reused, TLS" in s_client(made, version, "-sess_in", ticket)
    assert made.metrics()("slotgate_tls_handshakes_total", result="full") == 1
    assert made.metrics()("slotgate_tls_handshakes_total", result="resumed") == 2


def test_a_session_without_a_certificate_is_none_where_one_is_asked_for(
        gateway, pod, certificates, tmp_path):
    asking = certificates.tls(clientCertificates="required", clientCa=certificates.path("ca.pem"))
    made = gateway(pod, listeners=[{"address": "127.0.0.1:0", "tls": certificates.tls()},
                                   {"address": "localhost:0", "tls": asking}])
    ticket = str(tmp_path / "ticket")
    assert "New, TLS" in s_client(made, "-sess_out", ticket)
    made.address = made.addresses[1]
    said = s_client(made, "-sess_in", ticket)
    assert "Reused" not in said and "HTTP/1.1" not in said


def test_two_listeners_on_any_port_keep_their_settings(gateway, pod, certificates):
    """They are configured with the same address; a reload and an upgrade know them by their order."""
    any_port = "127.0.0.1:0"
    listeners = [{"address": any_port}, {"address": any_port, "tls": certificates.tls()},
                 {"address": any_port, "tls": certificates.tls("one")}]

    def look():
        assert made.get("/x").status == 200
        for number, name in ((1, "localhost"), (2, "one.test")):
            with Client(made.addresses[number], tls=certificates.client(), name=name) as c:
                assert c.get("/x").read_response().status == 200

    made = gateway(pod, listeners=listeners, upgradable=True)
    look()
    made.reload({})
    look()
    made.upgrade()
    look()
    made.reload({"listeners": listeners[:2]})  # the third stays as it was until a restart
    look()


def served(made, name):
    """The subject of the certificate that a client is shown, and how many there are with it."""
    flags = ["-servername", name] if name else ["-noservername"]
    said = s_client(made, "-showcerts", *flags)
    return re.search(r"subject=CN = (\S+)", said)[1], said.count("BEGIN CERTIFICATE")


def test_certificates_by_name(secure, pod, certificates):
    made = secure(pod, tls=certificates.tls("local", "one", "wild", "exact", "chain"))
    assert served(made, None) == ("local", 1)
    assert served(made, "nobody.test") == ("local", 1)
    assert served(made, "one.test") == ("one", 1)
    assert served(made, "ONE.test") == ("one", 1)
    assert served(made, "any.wild.test") == ("wild", 1)
    assert served(made, "two.any.wild.test") == ("local", 1)
    assert served(made, "wild.test") == ("wild", 1)
    assert served(made, "exact.wild.test") == ("exact", 1)
    assert served(made, "chain.test") == ("chain", 2)
    with client(made, certificates, name="chain.test") as c:
        assert c.get("/x").read_response().status == 200


def test_two_kinds_of_keys_for_a_name(secure, pod, certificates):
    made = secure(pod, tls=certificates.tls("local", "one", "rsa"))
    ask = ["-tls1_2", "-servername", "one.test", "-cipher"]
    assert "subject=CN = one" in s_client(made, *ask, "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert "subject=CN = rsa" in s_client(made, *ask, "ECDHE-RSA-AES128-GCM-SHA256")


def test_http2_is_agreed_where_it_is_spoken(secure, pod, certificates):
    for http2 in (True, False):
        made = secure(pod, http2=http2)
        both = certificates.client(protocols=["h2", "http/1.1"])
        with Client(made.address, tls=both) as c:
            assert c.socket.selected_alpn_protocol() == ("h2" if http2 else "http/1.1")
        with client(made, certificates, protocols=["http/1.0"]) as c:
            assert c.socket.selected_alpn_protocol() == "http/1.0"
            assert c.get("/x").read_response().status == 200


def test_who_wants_no_http_is_told_so(secure, pod, certificates):
    """RFC 7301, 3.2: else a client of another protocol could be led here to speak HTTP unawares."""
    made = secure(pod, http2=False)
    for protocols in (["spdy/3"], ["h2"]):
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            client(made, certificates, protocols=protocols)
    with client(made, certificates) as c:  # names none
        assert c.get("/x").read_response().status == 200


def is_refused(made, certificates, **more):
    """Whether the server refuses the client's certificate; TLS 1.3 tells it behind the handshake."""
    try:
        with client(made, certificates, **more) as c:
            c.get("/x").read_response()
            return False
    except (ssl.SSLError, ConnectionError):
        return True


def test_required_client_certificates(secure, pod, certificates):
    made = secure(pod, tls=certificates.tls(clientCertificates="required",
                                            clientCa=certificates.path("ca.pem")))
    assert not is_refused(made, certificates, own="client")
    assert is_refused(made, certificates)
    assert is_refused(made, certificates, own="other-client")
    assert is_refused(made, certificates, own="one")  # ours, but a server's
    assert len(pod.requests) == 1


def test_optional_client_certificates(secure, pod, certificates):
    made = secure(pod, tls=certificates.tls(clientCertificates="optional",
                                            clientCa=certificates.path("ca.pem")))
    assert not is_refused(made, certificates, own="client")
    assert not is_refused(made, certificates)
    assert is_refused(made, certificates, own="other-client")


# --- renewal -------------------------------------------------------------------------------------


def test_a_renewed_certificate_under_load(secure, pods, certificates, tmp_path):
    pod = pods(capacity=1000, script=lambda job: job.answer())
    file = tmp_path / "site"
    certificates.copy("one", file)
    pair = {"certificate": f"{file}.pem", "key": f"{file}.key"}
    made = secure(pod, tls={"certificates": [pair]})
    expiry = made.metrics()("slotgate_tls_certificate_expiry_timestamp_seconds")
    old = client(made, certificates, name="one.test")
    failures, rounds, stop = [], [0], threading.Event()

    def load():
        while not stop.is_set():
            try:
                with client(made, certificates, name="one.test") as c:
                    assert c.get("/x").read_response().status == 200
            except Exception as error:  # pylint: disable=broad-except
                failures.append(error)
            rounds[0] += 1

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: rounds[0] > 10, "some rounds before")
        certificates.copy("renewed", file)  # nobody says a word to slotgate
        wait_until(lambda: served(made, "one.test")[0] == "renewed", "it is in use")
        before = rounds[0]
        wait_until(lambda: rounds[0] > before + 10, "some rounds behind")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert old.get("/x").read_response().status == 200  # a connection from before
    new_expiry = made.metrics()("slotgate_tls_certificate_expiry_timestamp_seconds")
    assert 29 * 86400 < new_expiry - expiry < 31 * 86400


def test_a_broken_renewal_keeps_the_old_certificate(secure, pod, certificates, tmp_path):
    file = tmp_path / "site"
    certificates.copy("one", file)
    pair = {"certificate": f"{file}.pem", "key": f"{file}.key"}
    made = secure(pod, tls={"certificates": [pair]})
    (tmp_path / "site.pem").write_text("rubbish")
    fault = f"listeners[0].tls.certificates[0].certificate: {file}.pem: holds no certificate"
    wait_until(lambda: fault in made.log(), lambda: made.log())
    assert served(made, "one.test") == ("one", 1)
    certificates.copy("renewed", file)
    wait_until(lambda: served(made, "one.test")[0] == "renewed", "the whole one is in use")
    assert made.log().count(fault) == 1  # it was not tried again and again


# --- ends ----------------------------------------------------------------------------------------


def test_an_answer_that_ends_with_its_connection_ends_properly(secure, pod, certificates):
    made = secure(pod)
    with client(made, certificates) as c:
        c.request("GET", "/x", {"Connection": "close"})
        assert c.read_response().status == 200
        assert c.socket.recv(1) == b""  # close_notify, or this raises


def test_a_broken_answer_does_not_end_properly(secure, pod, certificates):
    made = secure(pod)
    with client(made, certificates) as c:
        c.request("POST", "/job", body=b"{}", version="1.0")  # its answer runs to the end
        job = pod.next()
        job.begin()
        job.chunk(b"half")
        assert c.read_head().status == 200
        job.end()
        job.reset()
        with pytest.raises(OSError):
            while c.socket.recv(1000):
                pass


def test_a_client_that_leaves_leaves_the_queue(secure, pod, certificates):
    made = secure(pod)
    with client(made, certificates) as first, client(made, certificates) as second:
        first.post("/job")
        job = pod.next()
        second.post("/job")
        made.wait_for(waiting=1)
        second.leave()
        made.wait_for(waiting=0)
        job.answer()
        assert first.read_response().status == 200
    assert len(pod.requests) == 1


def test_a_client_that_does_not_speak_tls(secure, pod, certificates):
    made = secure(pod)
    with made.client() as c:
        c.get("/x")
        assert not c.read_to_end().startswith(b"HTTP")
    with made.client() as c:
        c.send(bytes(range(256)) * 100)
        with contextlib.suppress(ConnectionError):
            c.read_to_end()
    wait_until(lambda: made.metrics()("slotgate_tls_handshakes_total", result="failed") == 2,
               "both are counted")
    wait_until(lambda: "http request" in made.log(), made.log)


def test_a_handshake_that_stalls_is_ended(gateway, pod, certificates):
    made = gateway(pod, listeners=[{"address": "127.0.0.1:0", "tls": certificates.tls()}],
                   top={"limits": {"headerTimeout": "300ms"}})
    with made.client() as silent, made.client() as slow:
        slow.send(b"\x16\x03\x01")
        assert silent.is_closed_by_peer()
        assert slow.is_closed_by_peer()
    made.wait_for_metric(2, "slotgate_tls_handshakes_total", result="timeout")


def test_a_drain_ends_idle_connections_properly(secure, pod, certificates):
    made = secure(pod)
    with client(made, certificates) as c:
        assert c.get("/x").read_response().status == 200
        made.terminate()
        assert c.socket.recv(1) == b""
    assert made.wait() == 0
