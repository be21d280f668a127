"""The manifests that tests begin with, and the time as the API says it."""
import datetime


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def node(name):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"capacity": {"nvidia.com/gpu": "64", "cpu": "64", "memory": "256Gi"},
                       "conditions": [{"type": "Ready", "status": "True",
                                       "lastHeartbeatTime": now(), "lastTransitionTime": now()}]}}


def service(name, port=7860):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name},
                     "ports": [{"name": "http", "port": 80, "targetPort": port}]}}


def deployment(name, replicas=0, args=(), kind="Deployment", grace_s=5, **of_container):
    """One whose pods are demo pods with these flags, ready when A1111's /memory answers."""
    container = {
        "name": "webui", "image": "demo-pod", "args": list(args),
        "ports": [{"name": "http", "containerPort": 7860}],
        "readinessProbe": {"httpGet": {"path": "/sdapi/v1/memory", "port": "http"}},
        **of_container}
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     **({"serviceName": name} if kind == "StatefulSet" else {}),
                     "template": {"metadata": {"labels": labels},
                                  "spec": {"terminationGracePeriodSeconds": grace_s,
                                           "containers": [container]}}}}


def role(name, rules):
    """rules: (group, resources, verbs), ..."""
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": name},
            "rules": [{"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
                      for group, resources, verbs in rules]}


def role_binding(name, namespace, account):
    """Of the role of this name, to a service account of its namespace."""
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]}
