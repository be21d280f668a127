"""The gateways that are compared, each on a core of its own, started for one measurement.

`direct` is none at all: the clients talk to the pods themselves. It is the ceiling that the load
and the pods set."""

import json
import http.client
import shutil
import socket
import string
import subprocess
import tempfile
import time
from pathlib import Path

import machine
from programs import BUILD, ROOT, free_ports

HERE = Path(__file__).resolve().parent
PATIENCE_S = 20
# HAProxy needs two descriptors for a client, and some more.
HAPROXY_MOST_CLIENTS = 9000


class Gateway:
    """What is common: a process on a port, its CPU time and its memory."""

    name = None
    has_queue = True

    def __init__(self, pods, one_slot=False, tls=None, http2=False, cold=False,
                 warm=True, all_in_memory=False):
        self.pods, self.one_slot, self.tls, self.http2, self.cold = pods, one_slot, tls, http2, cold
        self.warm = warm and not (cold or tls or http2)
        self.all_in_memory = all_in_memory
        self.port = free_ports(1)
        self.addresses = [f"127.0.0.1:{self.port}"]

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="slotgate-bench-"))
        self.log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen(
            [str(word) for word in self.command()], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, preexec_fn=lambda: machine.pin(machine.GATEWAY_CORE))
        self._wait_until_it_serves()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _wait_until_it_serves(self):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self._answers():
                    return
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"bench: {self.name} does not serve:\n" +
                         (self.directory / "log").read_text(errors="replace")[-3000:])

    def _answers(self):
        """A request goes through, or where none can, a connection does."""
        if not self.warm:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            time.sleep(0.1)
            return True
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/warm")
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200
        except http.client.HTTPException:
            return False
        finally:
            connection.close()

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def fill(self, template, **values):
        return string.Template((HERE / "peers" / template).read_text()).substitute(values)

    def cpu_ns(self):
        return machine.cpu_ns(self.process.pid)

    def memory_bytes(self):
        """Its anonymous memory, and the kernel's for its connections."""
        pods = [word for address in self.pods.addresses
                for word in ("or", "dport", "=", f":{address.split(':')[1]}")]
        return (machine.anonymous_bytes(self.process.pid),
                machine.socket_bytes("(", "sport", "=", f":{self.port}", *pods, ")"))


class Slotgate(Gateway):
    name = "slotgate"

    def command(self):
        service = {
            "name": "bench", "pods": {"static": self.pods.addresses},
            "slots": ["* /job*"] if self.one_slot else [],
            "passThrough": {"maxRequestsPerPod": 100000},
            "queue": {"maxRequests": 100000, "maxWait": "600s"},
            "readiness": {"tcpSocket": True}}
        listener = {"address": self.addresses[0]}
        self.admin_port, self.keda_port = free_ports(1), free_ports(1)
        if self.tls:
            listener["tls"] = {"certificates": [
                {"certificate": f"{self.tls}.pem", "key": f"{self.tls}.key"}]}
        config = {"listeners": [listener], "admin": {"address": f"127.0.0.1:{self.admin_port}"},
                  "keda": {"address": f"127.0.0.1:{self.keda_port}"},
                  "log": {"access": "off"}, "services": [service],
                  "spoolDirectory": str(self.directory)}
        if self.all_in_memory:
            config["limits"] = {"spoolMemory": "4GiB"}
        path = self.write("slotgate.json", json.dumps(config, indent=1))
        return [BUILD / "slotgate", "serve", "-c", path]


class HAProxy(Gateway):
    name = "haproxy"

    def command(self):
        slots = " maxconn 1" if self.one_slot else ""
        servers = "\n".join(f"\tserver pod{i} {address}{slots}"
                            for i, address in enumerate(self.pods.addresses))
        options = []
        if self.tls:
            pair = Path(f"{self.tls}.pem").read_text() + Path(f"{self.tls}.key").read_text()
            options += ["ssl", "crt", str(self.write("pair.pem", pair)), "alpn",
                        "h2,http/1.1"]
        elif self.http2:
            options += ["proto", "h2"]
        # While there is no pod it has no queue but that of its retries, which come every
        # `timeout connect`: as often as slotgate looks for a pod.
        cold = {"timeout_connect": "4ms", "retries": 1000000}
        config = self.fill("haproxy.cfg", port=self.port, servers=servers,
                           bind_options=" ".join(options), maxconn=HAPROXY_MOST_CLIENTS,
                           **(cold if self.cold else {"timeout_connect": "2s", "retries": 3}))
        return ["/usr/sbin/haproxy", "-db", "-f", self.write("haproxy.cfg", config)]


class Nginx(Gateway):
    name = "nginx"
    has_queue = False

    def command(self):
        servers = "\n".join(f"\t\tserver {address} max_fails=0;" for address in self.pods.addresses)
        options, tls = [], ""
        if self.tls:
            options += ["ssl"]
            tls = (f"ssl_certificate {self.tls}.pem; ssl_certificate_key {self.tls}.key; "
                   "ssl_session_cache shared:bench:10m; ssl_session_tickets on; "
                   "ssl_protocols TLSv1.2 TLSv1.3;")
        if self.http2:
            options += ["http2"]
        limit = machine.raise_descriptor_limit()
        config = self.fill("nginx.conf", port=self.port, servers=servers, tls=tls,
                           listen_options=" ".join(options), directory=self.directory,
                           connections=limit - 500)
        return ["/usr/sbin/nginx", "-c", self.write("nginx.conf", config)]


class Direct:
    """No gateway."""

    name = "direct"
    has_queue = False

    def __init__(self, pods, **_):
        self.pods, self.addresses = pods, pods.addresses

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def cpu_ns(self):
        return 0


PEERS = {peer.name: peer for peer in (Slotgate, HAProxy, Nginx, Direct)}


def certificate(name="local"):
    """The path of a certificate and its key, less their suffixes (P-256)."""
    directory = BUILD / "certificates"
    subprocess.run([ROOT / "tests" / "tls" / "make-certificates.sh", directory], check=True)
    return directory / name


def versions():
    yield "slotgate", machine.first_line(BUILD / "slotgate", "version")
    yield "haproxy", machine.first_line("/usr/sbin/haproxy", "-v")
    yield "nginx", machine.first_line("/usr/sbin/nginx", "-v")
    yield "openssl", machine.first_line("openssl", "version")
