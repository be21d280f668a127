"""slotgate in front of a Kubernetes service: its account, its role, its configuration."""
import json

from harness.kubernetes.objects import role, role_binding
from harness.wait import wait_until

# The least that it needs, rule by rule.
RULES = [
    ("", ["services"], ["list", "watch"]),
    ("discovery.k8s.io", ["endpointslices"], ["list", "watch"]),
    ("", ["pods"], ["get", "list", "watch", "patch", "delete"]),
    ("apps", ["deployments", "statefulsets"], ["get"]),
    ("apps", ["deployments/scale", "statefulsets/scale"], ["get", "update"]),
    ("coordination.k8s.io", ["leases"], ["get", "create", "patch"]),
]


class Account:
    """A service account with a role, and a kubeconfig that reads its mounted token."""

    def __init__(self, cluster, namespace, rules=RULES, name="slotgate"):
        self.cluster, self.namespace, self.name = cluster, namespace, name
        self.mount = cluster.account(namespace, name)
        cluster.admin.create(role(name, rules), namespace)
        cluster.admin.create(role_binding(name, namespace, name), namespace)
        me = cluster.as_account(self.mount)
        group, resources, verbs = rules[-1]
        wait_until(lambda: me.may(verbs[0], namespace, resources[0], group), "the role counts", 30)

    def kubeconfig(self):
        path = self.mount / "config"
        path.write_text(json.dumps({
            "current-context": "in", "contexts": [{"name": "in", "context": {
                "cluster": "c", "user": "u", "namespace": self.namespace}}],
            "clusters": [{"name": "c", "cluster": {
                "server": self.cluster.url, "certificate-authority": "ca.crt"}}],
            "users": [{"name": "u", "user": {"tokenFile": "token"}}]}))
        return str(path)

    def service(self, autoscaling=None, kubernetes=None, **options):
        """A slotgate service before the Kubernetes service "sd", with quick decisions."""
        return {
            "name": "sd", "containerConcurrency": 1,
            "pods": {"kubernetes": {"service": "sd", "kubeconfig": self.kubeconfig(),
                                    "leaseDuration": "2s", **(kubernetes or {})}},
            "readiness": {"httpGet": "/sdapi/v1/memory", "period": "50ms"},
            "idle": {"httpGet": "/sdapi/v1/progress?skip_current_image=true",
                     "jsonPath": "state.job_count", "equals": 0, "period": "20ms"},
            "autoscaling": {"minScale": 0, "maxScale": 10, "initialScale": 0,
                            "stableWindow": "1s", "scaleToZeroGracePeriod": "0s",
                            "tickInterval": "100ms", **(autoscaling or {})}, **options}
