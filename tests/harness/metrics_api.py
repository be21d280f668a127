"""The metrics API as Kubernetes' API server asks it: with its front proxy's certificate."""
import http.client
import json
import re

from harness.wait import PATIENCE, wait_until

EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"


class MetricsApi:
    """Of a gateway that has one. `tls`: an ssl.SSLContext, with the front proxy's certificate."""

    def __init__(self, gateway, tls):
        self.tls = tls
        found = wait_until(lambda: re.search(r" metrics API on https://([\d.]+):(\d+)",
                                             gateway.log()), gateway.log)
        self.address = found[1], int(found[2])

    def request(self, path, method="GET", user="system:kube-aggregator", tls=None, headers=None):
        """(status, the answer, its headers)"""
        connection = http.client.HTTPSConnection(*self.address, timeout=PATIENCE,
                                                 context=tls or self.tls)
        try:
            connection.request(method, path, headers={**({"X-Remote-User": user} if user else {}),
                                                      **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text else None, answer.headers
        finally:
            connection.close()

    def get(self, path):
        status, answer, _ = self.request(path)
        assert status == 200, answer
        return answer

    def external(self, metric, namespace="default", selector=None):
        """{service: value} of an external metric."""
        query = f"?labelSelector={selector}" if selector else ""
        answer = self.get(f"{EXTERNAL}/namespaces/{namespace}/{metric}{query}")
        return {item["metricLabels"]["service"]: item["value"] for item in answer["items"]}
