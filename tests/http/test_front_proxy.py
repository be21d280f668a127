"""Whom the metrics API believes, as a cluster says it: a ConfigMap that an API server may not have,
not give, or change."""
import http.server
import json
import subprocess
import threading

import pytest

from harness.demo import binary
from harness.gateway import config, service
from harness.metrics_api import MetricsApi
from harness.wait import wait_until

PATH = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"


class Cluster(http.server.ThreadingHTTPServer):
    """An API server that knows one ConfigMap."""

    def __init__(self):
        self.status, self.data, self.asked = 200, {}, []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def kubeconfig(self, directory):
        path = directory / "kubeconfig"
        path.write_text(json.dumps({
            "current-context": "in", "users": [{"name": "u", "user": {"token": "tests-own"}}],
            "contexts": [{"name": "in", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {
                "server": f"http://127.0.0.1:{self.server_address[1]}"}}]}))
        return str(path)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        cluster = self.server
        cluster.asked.append((self.path, self.headers["Authorization"]))
        answer = ({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": cluster.data}
                  if cluster.status == 200 else
                  {"kind": "Status", "message": "not for slotgate", "code": cluster.status})
        body = json.dumps(answer).encode()
        self.send_response(cluster.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.shutdown()
    cluster.server_close()


@pytest.fixture
def data(certificates):
    """As the ConfigMap has it; "other-client" is the front proxy's certificate."""
    with open(certificates.path("other-ca.pem"), encoding="utf-8") as file:
        return {"requestheader-client-ca-file": file.read(),
                "requestheader-allowed-names": '["aggregator","other-client"]'}


@pytest.fixture
def start(gateway, pod, certificates, cluster, tmp_path):
    def make(**more):
        front = gateway(pod, top={"metricsApi": {
            "address": "127.0.0.1:0", "tls": certificates.tls(),
            "kubeconfig": cluster.kubeconfig(tmp_path)}}, **more)
        return front, MetricsApi(front, certificates.client("other-client"))
    return make


def status_of(api):
    return api.request("/apis")[0]


def reason(api):
    """Why not yet."""
    status, answer, _ = api.request("/apis")
    assert (status, answer["reason"]) == (503, "ServiceUnavailable")
    return answer["message"]


def test_it_is_read_from_the_cluster(start, cluster, data):
    cluster.data = data
    front, api = start()
    wait_until(lambda: status_of(api) == 200, front.log)
    assert cluster.asked[0] == (PATH, "Bearer tests-own")
    assert front.log().count("trusts the front proxy that the cluster names") == 1


@pytest.mark.parametrize("change, why", [
    ({"requestheader-allowed-names": '["somebody"]'}, None),
    ({"requestheader-allowed-names": '["other-client2", "other"]'}, None),
    ({"requestheader-client-ca-file": None}, "has no front proxy"),
    ({"requestheader-client-ca-file": "nonsense"}, "holds no certificate"),
    ({"requestheader-allowed-names": "other-client"}, "no list of texts"),
    ({"requestheader-allowed-names": "[1]"}, "no list of texts")])
def test_it_believes_nobody_else(start, cluster, data, change, why):
    cluster.data = {key: value for key, value in {**data, **change}.items() if value is not None}
    front, api = start()
    if why:
        wait_until(lambda: why in reason(api), front.log)
    else:
        wait_until(lambda: status_of(api) == 401, front.log)


@pytest.mark.parametrize("names", ["[]", None])
def test_without_names_any_is_good(start, cluster, data, names):
    cluster.data = {**data, "requestheader-allowed-names": names}
    if names is None:
        del cluster.data["requestheader-allowed-names"]
    front, api = start()
    wait_until(lambda: status_of(api) == 200, front.log)


def test_it_asks_until_it_may(start, cluster, data):
    cluster.status = 403
    front, api = start()
    wait_until(lambda: "its role lacks a rule" in reason(api), front.log)
    cluster.status, cluster.data = 200, data
    wait_until(lambda: status_of(api) == 200, front.log)


def test_what_was_known_stays_while_the_cluster_is_away(start, cluster, data):
    cluster.data = data
    front, api = start()
    wait_until(lambda: status_of(api) == 200, front.log)
    cluster.status = 500
    asked = len(cluster.asked)
    front.reload(front.settings)  # which asks at once
    wait_until(lambda: len(cluster.asked) > asked, "it has asked")
    assert status_of(api) == 200


def test_a_change_counts(start, cluster, data):
    cluster.data = data
    front, api = start()
    wait_until(lambda: status_of(api) == 200, front.log)
    cluster.data = {**data, "requestheader-allowed-names": '["another"]'}
    front.reload(front.settings)
    wait_until(lambda: status_of(api) == 401, front.log)


def test_a_reload_names_the_front_proxy_itself_and_no_more(start, cluster, data, certificates):
    cluster.data = data
    front, api = start()
    wait_until(lambda: status_of(api) == 200, front.log)
    settings = front.settings
    metrics_api = {key: value for key, value in settings["metricsApi"].items()
                   if key != "kubeconfig"}
    own = {"ca": certificates.path("other-ca.pem"), "allowedNames": ["another"]}
    front.reload({**settings, "metricsApi": {**metrics_api, "frontProxy": own}})
    wait_until(lambda: status_of(api) == 401, front.log)
    front.reload(settings)
    wait_until(lambda: status_of(api) == 200, front.log)


def test_another_process_takes_over(start, cluster, data):
    cluster.data = data
    front, api = start(upgradable=True)
    wait_until(lambda: status_of(api) == 200, front.log)
    front.upgrade()
    wait_until(lambda: status_of(api) == 200, front.log)
    assert api.external("slotgate_concurrency") == {"sd": "0"}


# --- faults of the configuration ---

@pytest.mark.parametrize("more, fault", [
    ({"tls": None}, "metricsApi.tls: required"),
    ({"address": None}, "metricsApi.address: required"),
    ({"frontProxy": {}}, "metricsApi.frontProxy.ca: required"),
    ({"frontProxy": {"ca": "/none"}}, "metricsApi.frontProxy.ca: /none: No such file"),
    ({"frontProxy": {"ca": "CA", "allowedNames": [1]}},
     "metricsApi.frontProxy.allowedNames[0]: must be a text, not 1"),
    ({"frontProxy": {"ca": "CA", "names": []}}, "known here are ca, allowedNames"),
    ({"frontProxy": {"ca": "CA"}, "kubeconfig": "/k"}, "metricsApi.kubeconfig: is of no use"),
    ({"context": "c"}, 'metricsApi.context: needs a "kubeconfig"'),
    ({"address": "127.0.0.1:9"}, 'metricsApi.address: "127.0.0.1:9": admin.address has it'),
    ({"tls": {"clientCa": "x"}}, "metricsApi.tls.clientCa: unknown key"),
])
def test_faults(certificates, tmp_path, more, fault):
    api = {"address": "127.0.0.1:0", "tls": certificates.tls(), **more}
    if api["tls"]:
        api["tls"] = {**certificates.tls(), **api["tls"]}
    if "frontProxy" in api and api["frontProxy"].get("ca") == "CA":
        api["frontProxy"] = {**api["frontProxy"], "ca": certificates.path("other-ca.pem")}
    path = tmp_path / "slotgate.json"
    path.write_text(json.dumps(config(
        [service(pods={"static": ["127.0.0.1:1"]})], admin={"address": "127.0.0.1:9"},
        metricsApi={key: value for key, value in api.items() if value is not None})))
    done = subprocess.run([binary("slotgate"), "check", "-c", path], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 1 and fault in done.stdout, done.stdout
