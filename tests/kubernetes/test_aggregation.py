"""Another API server behind the real one: what a metrics API of slotgate's would stand on."""
import http.server
import json
import ssl
import threading

import pytest

from harness.wait import wait_until

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
ADDRESS, PORT = "10.244.200.1", 6443


class MetricsApi(http.server.BaseHTTPRequestHandler):
    """Says which groups it has, and notes who asks, by the word of the API server in front."""
    protocol_version = "HTTP/1.1"
    asked = []

    def do_GET(self):
        self.asked.append((self.path, self.headers["X-Remote-User"],
                           self.headers.get_all("X-Remote-Group")))
        body = json.dumps({"kind": "APIResourceList", "apiVersion": "v1", "resources": [],
                           "groupVersion": f"{GROUP}/{VERSION}"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def metrics_api(cluster, namespace):
    """It takes nobody but the API server, by the certificate that this one presents."""
    identities = cluster.identities
    identities.leaf("metrics", "/CN=metrics", usage="serverAuth",
                    names=f"DNS:metrics.{namespace}.svc")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*identities.pair("metrics"))
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(identities.path("front-proxy-ca.pem"))
    server = http.server.ThreadingHTTPServer((ADDRESS, PORT), MetricsApi)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


def test_the_api_server_hands_on_to_another_one(cluster, api, namespace, metrics_api):
    ports = [{"name": "https", "port": PORT}]
    api.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics"},
                "spec": {"ports": [{"name": "https", "port": 443, "targetPort": PORT}]}}, namespace)
    api.create({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": "metrics",
                             "labels": {"kubernetes.io/service-name": "metrics"}},
                "addressType": "IPv4", "ports": ports,
                "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}]}, namespace)
    name = f"{VERSION}.{GROUP}"
    api.create({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": name}, "spec": {
                    "group": GROUP, "version": VERSION, "groupPriorityMinimum": 100,
                    "versionPriority": 100, "caBundle": cluster.ca_bundle(),
                    "service": {"namespace": namespace, "name": "metrics", "port": 443}}})
    try:
        path = f"/apis/{GROUP}/{VERSION}"
        wait_until(lambda: any(
            c["type"] == "Available" and c["status"] == "True" for c in
            api.get("APIService", None, name).get("status", {}).get("conditions", [])),
            lambda: api.get("APIService", None, name).get("status"), 40)
        assert api.request("GET", path)["groupVersion"] == f"{GROUP}/{VERSION}"
        assert (path, "admin", ["system:masters", "system:authenticated"]) in MetricsApi.asked
    finally:
        api.delete("APIService", None, name)
