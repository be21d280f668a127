"""TLS and HTTP/2: CPU per request, and per handshake."""

import json
import re

import figures
import peers
import programs
from rows import Column, Goal, Row, behind

# wrk takes what the server likes best of what it may use; this leaves it one.
ONE_CIPHER = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = one
[one]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
"""


class Encrypted(Row):
    subjects = ("slotgate", "haproxy", "nginx")
    seconds, seconds_full = 3, 5

    def tool_run(self, gateway, seconds):
        """Requests, or handshakes, that a tool has made in so many seconds."""
        raise NotImplementedError

    def run(self, subject, full, **options):
        with behind(subject, 4, **options) as (_, gateway):
            before = gateway.cpu_ns()
            count, seconds = self.tool_run(gateway, self.seconds_full if full else self.seconds)
            return {"rate": count / seconds,
                    "cpu_us": (gateway.cpu_ns() - before) / 1e3 / max(1, count)}

    def goals(self, turns):
        cpu = figures.ratio(turns, "cpu_us")
        yield Goal(f"CPU per {self.unit} no more than HAProxy's", f"{cpu:.2f}x", cpu <= 1.0)


class Requests(Encrypted):
    name, title, unit = "tls", "TLS, 64 B answers", "request"
    what = ("wrk, 64 clients with kept connections, TLS 1.3 with AES-128-GCM, HTTP/1.1. (wrk is the "
            "dearer side: it bounds the rate, and the CPU per request is what tells.)")
    columns = (Column("rate", "requests/s", 0), Column("cpu_us", "CPU us/request", 2))

    def tool_run(self, gateway, seconds):
        config = gateway.write("one-cipher.cnf", ONE_CIPHER)
        text = programs.on_load_core(["wrk", "-t1", "-c64", f"-d{seconds}s",
                                      f"https://127.0.0.1:{gateway.port}/job"],
                                     {"OPENSSL_CONF": str(config)})
        if "Non-2xx" in text or "Socket errors" in text:
            raise SystemExit(f"bench: {gateway.name}: wrk:\n{text}")
        found = re.search(r"(\d+) requests in ([\d.]+)(s|m)", text)
        return int(found[1]), float(found[2])

    def measure(self, subject, full):
        return self.run(subject, full, tls=peers.certificate())


class Handshakes(Encrypted):
    unit = "handshake"
    columns = (Column("rate", "handshakes/s", 0), Column("cpu_us", "CPU us/handshake", 1),
               Column("resumed", "resumed, %", 0))

    def __init__(self, resume):
        self.resume = resume
        self.name = "handshakes_resumed" if resume else "handshakes_new"
        self.title = f"TLS handshakes, {'resumed' if resume else 'new'}"
        self.what = ("One client: connects, shakes hands (TLS 1.3, AES-128-GCM, P-256), sends one "
                     "request and closes.")

    def tool_run(self, gateway, seconds):
        command = [programs.BUILD / "bench-tls", "--to", gateway.addresses[0], "--seconds", seconds]
        text = programs.on_load_core(command + (["--resume"] if self.resume else []))
        seen = json.loads(text)
        self._resumed = 100 * seen["resumed"] / seen["handshakes"]
        return seen["handshakes"], seconds

    def measure(self, subject, full):
        measured = self.run(subject, full, tls=peers.certificate())
        return {**measured, "resumed": self._resumed}


class Http2(Encrypted):
    name, title, unit = "http2", "HTTP/2 in clear text, 64 B answers", "request"
    what = "h2load, 16 connections with 8 requests under way on each; HTTP/1.1 to the pods."
    columns = (Column("rate", "requests/s", 0), Column("cpu_us", "CPU us/request", 2))

    def tool_run(self, gateway, seconds):
        text = programs.on_load_core(["h2load", "-t1", "-c16", "-m8", f"-D{seconds}",
                                      f"http://127.0.0.1:{gateway.port}/job"])
        good = int(re.search(r"status codes: (\d+) 2xx", text)[1])
        failed = re.search(r"(\d+) failed, (\d+) errored", text)
        if not good or int(failed[1]) or re.search(r"2xx, 0 3xx, 0 4xx, 0 5xx", text) is None:
            raise SystemExit(f"bench: {gateway.name}: h2load:\n{text}")
        return good, seconds

    def measure(self, subject, full):
        return self.run(subject, full, http2=True)
