"""etcd, kube-apiserver and kube-controller-manager as processes, and the identities they know.

Addresses are fixed: the cluster is in a network of its own.
"""
import base64
import contextlib
import http.client
import json
import os
import subprocess
from pathlib import Path

from harness.kubernetes.api import Api, ApiError
from harness.kubernetes.network import LAST
from harness.wait import wait_until

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "tests/kubernetes/build.sh"
ETCD, ETCD_PEER, API = ("127.0.0.1", 2379), ("127.0.0.1", 2380), ("127.0.0.1", 6443)
SERVICES = "10.96.0.0/16"
ISSUER = "https://kubernetes.default.svc.cluster.local"
CONTROLLERS = """deployment replicaset statefulset daemonset endpointslice garbage-collector
    namespace serviceaccount root-ca-certificate-publisher clusterrole-aggregation disruption
    resourcequota horizontal-pod-autoscaler""".split()
START_S = 90  # a loaded machine


def built():
    """The folder of the programs."""
    done = subprocess.run([BUILD, "--where"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


def other(name):
    """The program of another project; None if it is not built."""
    done = subprocess.run([BUILD, "--where", name], stdout=subprocess.PIPE, text=True, check=True)
    path = Path(done.stdout.strip())
    return path if path.exists() else None


def missing():
    """In plain words, what is not there; "" if nothing."""
    done = subprocess.run([BUILD, "--missing"], stdout=subprocess.PIPE, text=True, check=True)
    return ", ".join(done.stdout.splitlines())


class Identities:
    """The authorities, certificates and keys of a cluster, in one directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        for authority in ("ca", "front-proxy-ca"):
            self._key(authority)
            self._openssl("req", "-x509", "-new", "-key", self.path(f"{authority}.key"), "-subj",
                          f"/CN={authority}", "-days", "30", "-out", self.path(f"{authority}.pem"),
                          "-addext", "basicConstraints=critical,CA:TRUE")
        self.leaf("server", "/CN=kube-apiserver", usage="serverAuth", names="DNS:localhost,"
                  "DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1")
        self.leaf("admin", "/O=system:masters/CN=admin")
        self.leaf("controllers", "/CN=system:kube-controller-manager")
        self.leaf("front-proxy", "/CN=front-proxy", authority="front-proxy-ca")
        self._key("accounts")
        self._openssl("ec", "-in", self.path("accounts.key"), "-pubout", "-out",
                      self.path("accounts.pub"))

    def path(self, name):
        return str(self.directory / name)

    def pair(self, name):
        return self.path(f"{name}.pem"), self.path(f"{name}.key")

    def leaf(self, name, subject, usage="clientAuth", names=None, authority="ca"):
        """NAME.pem and NAME.key; a client's user is its CN, its groups are its Os."""
        self._key(name)
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"extendedKeyUsage={usage}\n"
                              + (f"subjectAltName={names}\n" if names else ""))
        self._openssl("req", "-new", "-key", self.path(f"{name}.key"), "-subj", subject, "-out",
                      self.path(f"{name}.csr"))
        certificate, key = self.pair(authority)
        self._openssl("x509", "-req", "-in", self.path(f"{name}.csr"), "-CA", certificate,
                      "-CAkey", key, "-CAcreateserial", "-days", "30", "-extfile", extensions,
                      "-out", self.path(f"{name}.pem"))
        return self.pair(name)

    def _key(self, name):
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
                      self.path(f"{name}.key"))

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)


class Server:
    """A program of the cluster, its log, and its end by pid."""

    def __init__(self, name, command, directory, **environment):
        self.name, self.command = name, [str(word) for word in command]
        self.environment = {**os.environ, **environment}
        self.log_path = Path(directory) / f"{name}.log"
        self.process = None
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, env=self.environment)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_until(self, condition, what):
        def look():
            assert self.process.poll() is None, f"{self.name} has ended:\n{self.log()[-4000:]}"
            with contextlib.suppress(OSError, http.client.HTTPException, ApiError):
                return condition()
            return False

        wait_until(look, lambda: f"{self.name}: {what}\n{self.log()[-4000:]}", START_S, 0.05)


class Cluster:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.programs = built()
        self.identities = Identities(directory)
        self.etcd = self.api_server = self.controllers = None
        self.admin = Api(API, self.identities.path("ca.pem"),
                         certificate=self.identities.pair("admin"))
        self.url = f"https://{API[0]}:{API[1]}"
        self.api_server_address = API

    def start(self):
        self.etcd = Server("etcd", self._etcd(), self.directory)
        self.etcd.wait_until(lambda: self._etcd_says("/health"), "is healthy")
        self.api_server = Server("kube-apiserver", self._api_server(), self.directory)
        self.wait_for_api()
        self.controllers = Server("kube-controller-manager", self._controllers(), self.directory)
        self.controllers.wait_until(
            lambda: self.admin.find("ServiceAccount", "default", "default"), "makes accounts")

    def stop(self):
        for server in (self.controllers, self.api_server, self.etcd):
            if server:
                server.kill()

    # --- the commands ---

    def _etcd(self):
        client, peer = (f"http://{host}:{port}" for host, port in (ETCD, ETCD_PEER))
        return ["etcd", "--data-dir", self.directory / "etcd", "--unsafe-no-fsync",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"default={peer}"]

    def _api_server(self):
        path = self.identities.path
        flags = {
            "etcd-servers": f"http://{ETCD[0]}:{ETCD[1]}",
            "bind-address": API[0], "secure-port": API[1],
            "advertise-address": LAST,  # it looks for a default route otherwise
            "tls-cert-file": path("server.pem"), "tls-private-key-file": path("server.key"),
            "client-ca-file": path("ca.pem"), "authorization-mode": "RBAC",
            "service-account-issuer": ISSUER,
            "service-account-key-file": path("accounts.pub"),
            "service-account-signing-key-file": path("accounts.key"),
            "service-cluster-ip-range": SERVICES, "endpoint-reconciler-type": "none",
            "allow-privileged": "true", "profiling": "false",
            # Other API servers behind this one; nobody plays kube-proxy, so it goes to their pods.
            "enable-aggregator-routing": "true",
            "requestheader-client-ca-file": path("front-proxy-ca.pem"),
            "requestheader-allowed-names": "front-proxy",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "proxy-client-cert-file": path("front-proxy.pem"),
            "proxy-client-key-file": path("front-proxy.key"),
        }
        return [self.programs / "kube-apiserver", *(f"--{k}={v}" for k, v in flags.items())]

    def _controllers(self):
        path = self.identities.path
        kubeconfig = self.kubeconfig("controllers.conf",
                                     certificate=self.identities.pair("controllers"))
        flags = {
            "kubeconfig": kubeconfig, "leader-elect": "false", "bind-address": "127.0.0.1",
            "cert-dir": self.directory / "controllers",
            "controllers": ",".join(f"{name}-controller" for name in CONTROLLERS),
            "use-service-account-credentials": "true", "root-ca-file": path("ca.pem"),
            "service-account-private-key-file": path("accounts.key"),
            "kube-api-qps": 1000, "kube-api-burst": 2000,
            "horizontal-pod-autoscaler-sync-period": "1s",
        }
        return [self.programs / "kube-controller-manager",
                *(f"--{k}={v}" for k, v in flags.items())]

    # --- its faults ---

    def wait_for_api(self):
        self.api_server.wait_until(
            lambda: self.admin.request("GET", "/readyz") == "ok", "is ready")

    def kill_api(self):
        """SIGKILL: its clients' connections are reset, and new ones refused."""
        self.api_server.kill()

    def start_api(self):
        self.api_server.start()
        self.wait_for_api()

    def forget_history(self):
        """Compacts etcd and starts the API server anew: to watch from an older resourceVersion is
        410 Gone from now on."""
        revision = self._etcd_says("/v3/kv/range", {
            "key": base64.b64encode(b"/").decode(), "count_only": True})["header"]["revision"]
        self.kill_api()
        self._etcd_says("/v3/kv/compaction", {"revision": revision, "physical": True})
        self.start_api()

    @staticmethod
    def _etcd_says(path, body=None):
        connection = http.client.HTTPConnection(*ETCD, timeout=10)
        try:
            connection.request("POST" if body else "GET", path, body and json.dumps(body))
            return json.load(connection.getresponse())
        finally:
            connection.close()

    # --- who may come in ---

    def ca_bundle(self):
        """The authority, as manifests carry it."""
        return base64.b64encode(Path(self.identities.path("ca.pem")).read_bytes()).decode()

    def account(self, namespace, name, seconds=3600):
        """A directory as it is mounted into a pod of this service account: token, ca.crt and
        namespace. Write another token into it, and it is rotated."""
        if not self.admin.find("ServiceAccount", namespace, name):
            self.admin.create({"apiVersion": "v1", "kind": "ServiceAccount",
                               "metadata": {"name": name}}, namespace)
        mount = self.directory / f"{namespace}-{name}"
        mount.mkdir(exist_ok=True)
        (mount / "ca.crt").write_text(Path(self.identities.path("ca.pem")).read_text())
        (mount / "namespace").write_text(namespace)
        self.rotate(mount, namespace, name, seconds)
        return mount

    def rotate(self, mount, namespace, name, seconds=3600):
        """Puts a fresh token in the place of the old one, at once."""
        fresh = mount / "token.new"
        fresh.write_text(self.admin.token_for(namespace, name, seconds))
        fresh.rename(mount / "token")

    def as_account(self, mount):
        """An Api that speaks for such a directory."""
        return Api(API, str(mount / "ca.crt"), token=(mount / "token").read_text())

    def kubeconfig(self, name, certificate=None, token=None):
        """The path of one that names the server, the CA, and who it is for."""
        user = {"token": token} if token else {"client-certificate": certificate[0],
                                               "client-key": certificate[1]}
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {
                "server": self.url, "certificate-authority": self.identities.path("ca.pem")}}],
            "users": [{"name": "tests", "user": user}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}]}
        path = self.directory / name
        path.write_text(json.dumps(content, indent=1))  # which is YAML, too
        return str(path)
