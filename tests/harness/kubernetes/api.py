"""The Kubernetes API over http.client, as little of it as the tests need."""
import contextlib
import http.client
import json
import socket
import ssl
import threading
import urllib.parse

# kind: (group and version, plural, whether it lives in a namespace)
KINDS = {
    "Namespace": ("v1", "namespaces", False),
    "Node": ("v1", "nodes", False),
    "Pod": ("v1", "pods", True),
    "Service": ("v1", "services", True),
    "ServiceAccount": ("v1", "serviceaccounts", True),
    "ConfigMap": ("v1", "configmaps", True),
    "Secret": ("v1", "secrets", True),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims", True),
    "ResourceQuota": ("v1", "resourcequotas", True),
    "CoreEvent": ("v1", "events", True),
    "Event": ("events.k8s.io/v1", "events", True),
    "Deployment": ("apps/v1", "deployments", True),
    "ReplicaSet": ("apps/v1", "replicasets", True),
    "StatefulSet": ("apps/v1", "statefulsets", True),
    "DaemonSet": ("apps/v1", "daemonsets", True),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices", True),
    "Lease": ("coordination.k8s.io/v1", "leases", True),
    "Role": ("rbac.authorization.k8s.io/v1", "roles", True),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings", True),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets", True),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies", True),
    "Ingress": ("networking.k8s.io/v1", "ingresses", True),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers", True),
    "APIService": ("apiregistration.k8s.io/v1", "apiservices", False),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions", False),
    "SelfSubjectAccessReview": ("authorization.k8s.io/v1", "selfsubjectaccessreviews", False),
    "ServiceMonitor": ("monitoring.coreos.com/v1", "servicemonitors", True),
    "NodePool": ("karpenter.sh/v1", "nodepools", False),
    "EC2NodeClass": ("karpenter.k8s.aws/v1", "ec2nodeclasses", False),
    "ScaledObject": ("keda.sh/v1alpha1", "scaledobjects", True),
    "PodAutoscaler": ("autoscaling.internal.knative.dev/v1alpha1", "podautoscalers", True),
    "ServerlessService": ("networking.internal.knative.dev/v1alpha1", "serverlessservices", True),
    "KnativeService": ("serving.knative.dev/v1", "services", True),
}

PATCHES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json",
           "strategic": "application/strategic-merge-patch+json",
           "apply": "application/apply-patch+yaml"}


class ApiError(Exception):
    """An answer of the API server that is a Status of failure."""

    def __init__(self, status, answer):
        answer = answer if isinstance(answer, dict) else {"message": answer}
        self.status, self.reason = status, answer.get("reason", "")
        self.message = answer.get("message", "")
        super().__init__(f"{status} {self.reason}: {self.message}")


def path_of(kind, namespace=None, name=None, subresource=None):
    group, plural, namespaced = KINDS[kind]
    path = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    if namespaced and namespace:
        path += f"/namespaces/{namespace}"
    return "/".join([path, plural, *[part for part in (name, subresource) if part]])


def kind_of(manifest):
    """The key in KINDS of what a manifest describes."""
    group = manifest["apiVersion"]
    return next(kind for kind, (have, _, _) in KINDS.items() if have == group
                and kind.removeprefix("Core").removeprefix("Knative") == manifest["kind"])


class Api:
    """One identity at one API server. Each thread has a connection of its own."""

    def __init__(self, address, ca, token=None, certificate=None):
        self.address, self.ca, self.token, self.certificate = address, ca, token, certificate
        self.context = ssl.create_default_context(cafile=ca)
        if certificate:
            self.context.load_cert_chain(*certificate)
        self.local = threading.local()

    def connect(self, timeout=30):
        host, port = self.address
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self.context)

    def headers(self, content_type=None):
        return {"Accept": "application/json",
                **({"Authorization": f"Bearer {self.token}"} if self.token else {}),
                **({"Content-Type": content_type} if content_type else {})}

    def request(self, method, path, body=None, content_type="application/json", **query):
        """The answer as an object (text, where it is none); ApiError, or OSError without server."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        status, text = self._exchange(method, path, data, self.headers(body and content_type))
        try:
            answer = json.loads(text)
        except ValueError:
            answer = text
        if status >= 400:
            raise ApiError(status, answer)
        return answer

    def _exchange(self, *request):
        """A kept connection may have been closed meanwhile: then once more, on a new one."""
        for kept in (getattr(self.local, "connection", None), None):
            connection = kept or self.connect()
            self.local.connection = None
            try:
                connection.request(*request)
                answer = connection.getresponse()
                status, text = answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if kept:
                    continue
                raise ConnectionError(f"no answer of the API server: {error!r}") from error
            self.local.connection = connection
            return status, text
        raise AssertionError("unreachable")

    # --- the verbs ---

    def get(self, kind, namespace=None, name=None, subresource=None):
        return self.request("GET", path_of(kind, namespace, name, subresource))

    def find(self, kind, namespace=None, name=None):
        """The same; None where there is none."""
        try:
            return self.get(kind, namespace, name)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def list(self, kind, namespace=None, **query):
        return self.request("GET", path_of(kind, namespace), **query)["items"]

    def create(self, manifest, namespace=None, **query):
        namespace = namespace or manifest["metadata"].get("namespace")
        return self.request("POST", path_of(kind_of(manifest), namespace), manifest, **query)

    def update(self, manifest, subresource=None):
        meta = manifest["metadata"]
        path = path_of(kind_of(manifest), meta.get("namespace"), meta["name"], subresource)
        return self.request("PUT", path, manifest)

    def patch(self, kind, namespace, name, body, how="merge", subresource=None, **query):
        return self.request("PATCH", path_of(kind, namespace, name, subresource), body,
                            PATCHES[how], **query)

    def apply(self, manifest, namespace=None, dry_run=False):
        """Server-side apply; a field that the schema does not know is an error."""
        meta = manifest["metadata"]
        query = {"fieldManager": "tests", "force": "true", "fieldValidation": "Strict",
                 **({"dryRun": "All"} if dry_run else {})}
        return self.patch(kind_of(manifest), namespace or meta.get("namespace"), meta["name"],
                          manifest, "apply", **query)

    def delete(self, kind, namespace, name, **options):
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **options}
        return self.request("DELETE", path_of(kind, namespace, name), body)

    # --- what tests say often ---

    def scale(self, namespace, name, replicas, kind="Deployment"):
        return self.patch(kind, namespace, name, {"spec": {"replicas": replicas}},
                          subresource="scale")

    def pods(self, namespace, **query):
        """Those that are not on their way out, the oldest first."""
        found = [pod for pod in self.list("Pod", namespace, **query)
                 if not pod["metadata"].get("deletionTimestamp")]
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def endpoints(self, namespace, service):
        """{pod's name: endpoint} of all slices of the service."""
        slices = self.list("EndpointSlice", namespace,
                           labelSelector=f"kubernetes.io/service-name={service}")
        return {endpoint["targetRef"]["name"]: endpoint
                for part in slices for endpoint in part.get("endpoints") or []}

    def may(self, verb, namespace, resource, group="", subresource=""):
        """Whether RBAC lets this identity do it."""
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                  "metadata": {}, "spec": {"resourceAttributes": {
                      "namespace": namespace, "verb": verb, "group": group,
                      "resource": resource, "subresource": subresource}}}
        return self.create(review)["status"]["allowed"]

    def token_for(self, namespace, account, seconds=3600):
        """A token of a service account, as a kubelet mounts it; 600 s is the shortest life."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                   "spec": {"expirationSeconds": seconds}}
        path = path_of("ServiceAccount", namespace, account, "token")
        return self.request("POST", path, request)["status"]["token"]

    def watch(self, kind, namespace=None, **query):
        return Watch(self, path_of(kind, namespace), query)


class Watch:
    """A list and its changes: iterate over (type, object). It ends when the server ends it, at a
    close() from another thread, or with an ApiError (410: list again)."""

    def __init__(self, api, path, query):
        self.connection = api.connect(timeout=None)
        query = {"watch": "1", "allowWatchBookmarks": "true", **query}
        self.connection.request("GET", path + "?" + urllib.parse.urlencode(query),
                                headers=api.headers())
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        if self.answer.status >= 400:
            raise ApiError(self.answer.status, json.loads(self.answer.read()))

    def __iter__(self):
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            while line := self.answer.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"]["code"], event["object"])
                if event["type"] != "BOOKMARK":
                    yield event["type"], event["object"]

    def close(self):
        with contextlib.suppress(OSError):  # beneath TLS, whose object the reader is using
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)
