"""slotgate's metrics APIs behind the real API server: its aggregation layer, and a real HPA."""
import base64

import pytest
from test_deploy import DEPLOY, accept, configuration, documents, normal, rendered

from harness.kubernetes.api import ApiError
from harness.kubernetes.cluster import START_S
from harness.kubernetes.gateway import Account
from harness.kubernetes.objects import deployment, service
from harness.wait import wait_until

EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
OLDER = "/apis/custom.metrics.k8s.io/v1beta1"
KINDS = ("APIService", "RoleBinding", "ClusterRole")
PATHS = (EXTERNAL, CUSTOM, OLDER)
ADDRESS, PORT = "10.244.200.1", 6443
LONG_S = START_S  # controllers that come back after the API server take their time
PROMPT = b'{"prompt": "a dog"}'


def manifests(namespace, *flags):
    """What the chart makes of deploy/hpa/values.yaml, by kind."""
    found = {}
    for manifest in rendered(namespace, "-f", DEPLOY / "hpa/values.yaml", *flags):
        name = manifest["metadata"]["name"]
        if manifest["kind"] in KINDS or name in ("slotgate-metrics", "slotgate-metrics-tls"):
            found.setdefault(manifest["kind"], []).append(manifest)
    [found["RoleBinding"]] = [[m for m in found["RoleBinding"]
                               if m["metadata"].get("namespace") == "kube-system"]]
    return found


def register(cluster, namespace):
    """Applies them; slotgate is no pod here, so its Service's endpoint is said by hand. The names of
    the APIServices, and the certificate's Secret."""
    api = cluster.admin
    found = manifests(namespace)
    for manifest in [m for kind in ("Service", *KINDS) for m in found[kind]]:
        api.apply(manifest)
    api.create({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": "slotgate-metrics-by-hand",
                             "labels": {"kubernetes.io/service-name": "slotgate-metrics"}},
                "addressType": "IPv4", "ports": [{"name": "https", "port": PORT}],
                "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}]}, namespace)
    return [m["metadata"]["name"] for m in found["APIService"]], found["Secret"][0]


def unregister(cluster, namespace):
    found = manifests(namespace)
    for manifest in [m for kind in KINDS for m in found[kind]]:
        meta = manifest["metadata"]
        cluster.admin.delete(manifest["kind"], meta.get("namespace"), meta["name"])


def without_rights(cluster, namespace):
    cluster.admin.delete("RoleBinding", "kube-system", f"slotgate-{namespace}")


def with_rights(cluster, namespace):
    cluster.admin.apply(manifests(namespace)["RoleBinding"][0])


def availability(api, name):
    conditions = api.get("APIService", None, name).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Available"), {})


def is_served(api, path):
    try:
        return api.request("GET", path)["kind"] == "APIResourceList"
    except ApiError as error:
        assert error.status in (404, 503), error
        return False


@pytest.fixture
def account(cluster, namespace):
    return Account(cluster, namespace)


@pytest.fixture
def start(cluster, api, namespace, kubelet, gateway, account, tmp_path):
    """slotgate before the Kubernetes service "sd", whose scale is somebody else's, as an API that
    is available."""
    names, secret = register(cluster, namespace)
    for name, content in secret["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(content))

    def make(replicas=0, metrics_api=None, available=True, args=("--service-time", "300ms"), **options):
        api.create(service("sd"), namespace)
        api.create(deployment("sd", replicas, args=args), namespace)
        listener = {"address": f"{ADDRESS}:{PORT}", "kubeconfig": account.kubeconfig(),
                    "tls": {"certificates": [{"certificate": str(tmp_path / "tls.crt"),
                                              "key": str(tmp_path / "tls.key")}]},
                    **(metrics_api or {})}
        made = gateway(services=[account.service(kubernetes={"scaler": "none"}, **options)],
                       top={"metricsApi": {k: v for k, v in listener.items() if v}})
        for name in names if available else ():
            wait_until(lambda: availability(api, name).get("status") == "True",
                       lambda: f"{availability(api, name)}\n{made.log()[-3000:]}", LONG_S)
        for path in PATHS if available else ():  # its proxy follows the APIService, a moment behind
            wait_until(lambda: is_served(api, path), f"{path} is handed on", LONG_S)
        return made

    yield make
    unregister(cluster, namespace)


def external(api, namespace, metric, selector=""):
    query = {"labelSelector": selector} if selector else {}
    answer = api.request("GET", f"{EXTERNAL}/namespaces/{namespace}/{metric}", **query)
    return {item["metricLabels"]["service"]: item["value"] for item in answer["items"]}


def custom(api, namespace, what, group=CUSTOM, **query):
    answer = api.request("GET", f"{group}/namespaces/{namespace}/{what}", **query)
    return {item["describedObject"]["name"]: item["value"] for item in answer["items"]}


def work(made, count):
    """So many jobs, one after the other in the queue; their clients."""
    return [made.client(timeout=LONG_S).post("/sdapi/v1/txt2img", PROMPT) for _ in range(count)]


def refusal(api, path, status):
    with pytest.raises(ApiError) as refused:
        api.request("GET", path)
    assert refused.value.status == status, refused.value
    return refused.value.message


# --- the aggregation layer ---

def test_both_apis_through_the_api_server(api, namespace, start):
    """`kubectl get --raw` while requests wait and work."""
    made = start(replicas=2, args=("--service-time", "60s"))
    wait_until(lambda: made.figures()["ready"] == 2, lambda: made.log()[-3000:], LONG_S)
    clients = work(made, 5)
    made.wait_for(working=2, waiting=3)
    assert external(api, namespace, "slotgate_concurrency", "service=sd") == {"sd": "5"}
    assert external(api, namespace, "slotgate_queued_requests") == {"sd": "3"}
    assert custom(api, namespace, "services/sd/slotgate_concurrency") == {"sd": "5"}
    for group in (CUSTOM, OLDER):
        assert custom(api, namespace, "services/*/slotgate_queued_requests", group) == {"sd": "3"}
        working = custom(api, namespace, "pods/*/slotgate_in_flight_requests", group)
        assert sorted(working.values()) == ["1", "1"]
    names = {pod["metadata"]["name"] for pod in api.pods(namespace)}
    assert working.keys() == names
    # Each pod's own work and its share of what waits: over all pods that is the service's.
    shares = custom(api, namespace, "pods/*/slotgate_concurrency")
    assert set(shares.values()) == {"2500m"}
    for name in names:
        assert custom(api, namespace, f"pods/{name}/slotgate_concurrency") == {name: "2500m"}
    clients.pop().leave()
    made.wait_for(waiting=2)
    assert external(api, namespace, "slotgate_concurrency") == {"sd": "4"}
    # Clients that leave while their pods compute: their slots are in use until those have stopped.
    for client in clients:
        client.leave()
    made.wait_for(waiting=0, draining=2)
    assert external(api, namespace, "slotgate_concurrency") == {"sd": "2"}


def test_objects_are_described_as_the_api_server_knows_them(api, namespace, start):
    made = start(replicas=1)
    wait_until(lambda: made.figures()["ready"] == 1, lambda: made.log()[-3000:], LONG_S)
    [pod] = api.pods(namespace)
    sd = api.get("Service", namespace, "sd")
    for what, kind, real in [("pods/*", "Pod", pod), ("services/*", "Service", sd)]:
        [item] = api.request("GET", f"{CUSTOM}/namespaces/{namespace}/{what}/"
                             "slotgate_concurrency")["items"]
        assert item["describedObject"] == {
            "kind": kind, "apiVersion": "v1", "namespace": namespace,
            "name": real["metadata"]["name"], "uid": real["metadata"]["uid"]}
        assert item["metric"] == {"name": "slotgate_concurrency", "selector": None}
        [older] = api.request("GET", f"{OLDER}/namespaces/{namespace}/{what}/"
                              "slotgate_concurrency")["items"]
        assert older["metricName"] == "slotgate_concurrency"


def test_selectors_are_of_the_pods_own_labels(api, namespace, start):
    made = start(replicas=2)
    wait_until(lambda: made.figures()["ready"] == 2, lambda: made.log()[-3000:], LONG_S)
    first, second = [pod["metadata"]["name"] for pod in api.pods(namespace)]
    api.patch("Pod", namespace, first, {"metadata": {"labels": {"tier": "spot"}}})
    path = "pods/*/slotgate_in_flight_requests"

    def is_seen():
        try:
            return custom(api, namespace, path, labelSelector="app=sd,tier=spot").keys() == {first}
        except ApiError as error:
            assert error.status == 404, error  # no pod has that label yet
            return False

    wait_until(is_seen, "its label is seen", LONG_S)
    assert custom(api, namespace, path, labelSelector="app=sd").keys() == {first, second}
    assert custom(api, namespace, path, labelSelector="tier notin (spot)").keys() == {second}
    assert custom(api, namespace, path, metricLabelSelector="service=sd").keys() == {first, second}
    for query in ("labelSelector=app=other", "metricLabelSelector=service=other"):
        why = refusal(api, f"{CUSTOM}/namespaces/{namespace}/{path}?{query}", 404)
        assert "pods.kubernetes.service" in why


def test_a_service_is_seen_in_its_own_namespace_only(api, namespace, start):
    start()
    assert external(api, namespace, "slotgate_concurrency") == {"sd": "0"}
    why = refusal(api, f"{EXTERNAL}/namespaces/default/slotgate_concurrency", 404)
    assert '"default"' in why and "service=NAME" in why


def test_discovery_is_merged(api, namespace, start):
    start()
    groups = {g["name"]: g for g in api.request("GET", "/apis")["groups"]}
    assert groups["custom.metrics.k8s.io"]["preferredVersion"]["version"] == "v1beta2"
    assert "external.metrics.k8s.io" in groups
    for path in PATHS:
        names = {r["name"] for r in api.request("GET", path)["resources"]}
        assert names & {"slotgate_concurrency", "services/slotgate_concurrency"}

    def described():
        return {path.removeprefix("/") for path in PATHS} <= set(
            api.request("GET", "/openapi/v3")["paths"])

    wait_until(described, "its OpenAPI is merged", LONG_S)


def test_only_whom_the_api_server_lets_in(cluster, api, namespace, start):
    """Rights on the metrics are Kubernetes' own, by RBAC."""
    start()
    cluster.account(namespace, "nobody")
    nobody = cluster.as_account(cluster.account(namespace, "nobody"))
    path = f"{EXTERNAL}/namespaces/{namespace}/slotgate_concurrency"
    assert refusal(nobody, path, 403)
    assert external(api, namespace, "slotgate_concurrency") == {"sd": "0"}


def test_without_the_right_to_read_it_nobody_is_believed(cluster, api, namespace, start):
    without_rights(cluster, namespace)
    try:
        made = start(available=False)
        for path in PATHS:
            _, _, group, version = path.split("/")
            wait_until(lambda: "503" in availability(api, f"{version}.{group}").get("message", ""),
                       lambda: availability(api, f"{version}.{group}"), LONG_S)
        wait_until(lambda: "its role lacks a rule" in made.log(), lambda: made.log()[-3000:], LONG_S)
    finally:
        with_rights(cluster, namespace)


def test_a_configured_front_proxy_needs_no_rights(cluster, api, namespace, start):
    without_rights(cluster, namespace)
    try:
        start(metrics_api={"kubeconfig": None, "frontProxy": {
            "ca": cluster.identities.path("front-proxy-ca.pem"), "allowedNames": ["front-proxy"]}})
        assert external(api, namespace, "slotgate_concurrency") == {"sd": "0"}
    finally:
        with_rights(cluster, namespace)


def test_people_who_may_view_a_namespace_may_look(cluster, api, namespace, start):
    start()
    someone = cluster.as_account(cluster.account(namespace, "someone"))
    api.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "views"}, "subjects": [
                    {"kind": "ServiceAccount", "name": "someone", "namespace": namespace}],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                            "name": "view"}}, namespace)

    def may():
        try:
            return external(someone, namespace, "slotgate_concurrency") == {"sd": "0"}
        except ApiError as error:
            assert error.status == 403, error
            return False

    wait_until(may, "the roles are joined", LONG_S)


# --- what deploy/ has for it ---

@pytest.mark.parametrize("name", ["metrics-api", "external", "object"])
def test_the_manifests_are_accepted(api, name):
    for manifest in documents((DEPLOY / f"hpa/{name}.yaml").read_text()):
        where = manifest["metadata"].get("namespace", "default")
        if where == "stable-diffusion":
            manifest["metadata"]["namespace"] = where = "default"
        accept(api, [manifest], where)


@pytest.mark.parametrize("flags", [
    [], ["--set", "metricsApi.tlsSecret=mine,metricsApi.caBundle=QQ==,metricsApi.annotations.a=b"],
    ["--set", "rbac.create=false,networkPolicy.enabled=false"]], ids=["own", "given", "least"])
def test_the_chart_is_accepted(api, namespace, flags):
    made = rendered(namespace, "-f", DEPLOY / "hpa/values.yaml", *flags)
    for manifest in made:
        accept(api, [manifest], manifest["metadata"].get("namespace", namespace))
    assert any(m["kind"] == "Secret" for m in made) == ("tlsSecret" not in str(flags))


def test_the_chart_says_what_the_plain_manifests_say():
    plain = normal(documents((DEPLOY / "hpa/metrics-api.yaml").read_text()))
    made = normal(rendered("stable-diffusion", "-f", DEPLOY / "hpa/values.yaml"))
    for what, manifest in plain.items():
        made[what].get("spec", {}).pop("caBundle", None)
        manifest.get("spec", {}).pop("caBundle", None)
        assert made[what] == manifest


def test_the_ports_and_files_are_those_of_the_configuration():
    made = rendered("stable-diffusion", "-f", DEPLOY / "hpa/values.yaml")
    listener = configuration(made)["metricsApi"]
    [pod] = [m["spec"]["template"]["spec"] for m in made if m["kind"] == "Deployment"]
    [container] = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert listener["address"].endswith(f":{ports['metrics-api']}")
    [secret] = [m for m in made if m["kind"] == "Secret"]
    [mount] = [m["mountPath"] for m in container["volumeMounts"] if m["name"] == "metrics-tls"]
    for path in listener["tls"]["certificates"][0].values():
        folder, name = path.rsplit("/", 1)
        assert folder == mount and name in secret["data"]


# --- an HPA ---

def autoscaler(metric, least=1, most=6):
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "sd"}, "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "sd"},
                "minReplicas": least, "maxReplicas": most, "metrics": [metric],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0},
                             "scaleUp": {"stabilizationWindowSeconds": 0}}}}


def external_metric(name, target="1"):
    return {"type": "External", "external": {
        "metric": {"name": name, "selector": {"matchLabels": {"service": "sd"}}},
        "target": {"type": "AverageValue", "averageValue": target}}}


def object_metric(name, target="1"):
    return {"type": "Object", "object": {
        "metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": target},
        "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "sd"}}}


def pods_metric(name, target="1"):
    return {"type": "Pods", "pods": {
        "metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": target}}}


def replicas_of(api, namespace):
    return api.get("Deployment", namespace, "sd", "scale")["spec"].get("replicas", 0)


def wait_for_replicas(api, namespace, count):
    def told():
        hpa = api.get("HorizontalPodAutoscaler", namespace, "sd")
        return f"{count} replicas; {replicas_of(api, namespace)}; {hpa.get('status')}"

    wait_until(lambda: replicas_of(api, namespace) == count, told, LONG_S)


@pytest.mark.parametrize("metric", [
    external_metric("slotgate_concurrency"), object_metric("slotgate_concurrency"),
    pods_metric("slotgate_concurrency")], ids=["external", "object", "pods"])
def test_an_hpa_scales_with_the_true_concurrency(api, namespace, start, metric):
    """Four images wait or work: four pods, whatever the processors are doing. Then one again."""
    made = start(replicas=1, args=("--service-time", "4s"))
    wait_until(lambda: made.figures()["ready"] == 1, lambda: made.log()[-3000:], LONG_S)
    api.create(autoscaler(metric), namespace)
    clients = work(made, 4)
    wait_for_replicas(api, namespace, 4)
    assert [client.read_response().status for client in clients] == [200] * 4
    wait_for_replicas(api, namespace, 1)


@pytest.mark.parametrize("name", ["slotgate_concurrency", "slotgate_desired_pods"])
def test_an_hpa_scales_to_zero_and_from_it(api, namespace, start, name):
    """(An HPA wakes only what it has put to sleep itself.)"""
    made = start(replicas=1)
    api.create(autoscaler(external_metric(name), least=0), namespace)
    for _ in range(2):
        wait_for_replicas(api, namespace, 0)
        wait_until(lambda: not made.pods(), lambda: made.pods(), LONG_S)
        clients = work(made, 3)
        assert [client.read_response().status for client in clients] == [200] * 3
    wait_for_replicas(api, namespace, 0)


def test_what_waits_beside_the_slots_wakes_a_pod_too(api, namespace, start):
    """slotgate's own autoscaler decides, if its wish is the metric."""
    made = start(replicas=1)
    api.create(autoscaler(external_metric("slotgate_desired_pods"), least=0), namespace)
    wait_for_replicas(api, namespace, 0)
    wait_until(lambda: not made.pods(), lambda: made.pods(), LONG_S)
    with made.client(timeout=LONG_S) as client:
        assert client.get("/sdapi/v1/samplers").read_response().status == 200
