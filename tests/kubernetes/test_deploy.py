"""What deploy/ says is what the real API server takes, and what slotgate and its pods need."""
import json
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest
import yaml

from harness.demo import binary, get_json, start_demo_pod
from harness.kubernetes.api import ApiError, kind_of
from harness.kubernetes.cluster import ROOT, built
from harness.kubernetes.objects import deployment
from harness.wait import wait_until

DEPLOY = ROOT / "deploy"
PLAIN = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
EXAMPLES = sorted(path.parent for path in (DEPLOY / "examples/kubernetes").glob("*/pods.yaml"))
SCALED_OBJECTS = sorted(path for path in (DEPLOY / "keda").glob("*.yaml")
                        if path.name != "values.yaml")
KNATIVE = DEPLOY / "knative"
CHART = DEPLOY / "helm/slotgate"
JSON_IN_CONFIG_MAP = "slotgate.json"
OF_HELM = {"app.kubernetes.io/managed-by", "helm.sh/chart"}


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def helm(*words):
    program = built() / "helm"
    if not program.exists():
        pytest.skip("helm is not built; use make test-kubernetes")
    done = subprocess.run([program, *map(str, words)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def rendered(namespace="stable-diffusion", *words):
    return documents(helm("template", "slotgate", CHART, "-n", namespace, *words))


def configuration(manifests):
    """slotgate.json as the manifests have it."""
    [text] = [m["data"][JSON_IN_CONFIG_MAP] for m in manifests if m["kind"] == "ConfigMap"]
    return json.loads(text)


def seconds(duration):
    amount, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", duration).groups()
    return int(amount) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


@pytest.fixture(scope="session")
def schemas(cluster):
    """What other projects add to the API: ServiceMonitor, NodePool, EC2NodeClass, Knative's Service,
    and ScaledObject."""
    folder = built() / "schemas"
    wanted = ["prometheus-operator", "karpenter", "karpenter-aws", "knative", "keda"]
    if missing := [name for name in wanted if not (folder / f"{name}.yaml").exists()]:
        pytest.skip(f"the schemas of {', '.join(missing)} are not there; use make test-kubernetes")
    api = cluster.admin
    for name in wanted:
        for definition in documents((folder / f"{name}.yaml").read_text()):
            definition["spec"].pop("conversion", None)  # a webhook that does not run here
            api.create(definition)

def accept(api, manifests, namespace):
    """Server-side dry run; unknown fields are errors."""
    for manifest in manifests:
        try:
            wait_until(lambda m=manifest: is_served(api, m), f"{manifest['kind']} is known", 30)
            api.apply(manifest, namespace, dry_run=True)
        except ApiError as error:
            raise AssertionError(f"{manifest['kind']} {manifest['metadata']['name']}: {error}")


def is_served(api, manifest):
    """A definition takes a moment until the API has its kind."""
    group = manifest["apiVersion"]
    path = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    try:
        return any(kind["kind"] == manifest["kind"]
                   for kind in api.request("GET", path)["resources"])
    except ApiError:
        return False


# --- accepted ---

@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_plain_manifests_are_accepted(api, namespace, schemas, path):
    accept(api, documents(path.read_text()), namespace)


@pytest.mark.parametrize("values", [
    [], ["serviceMonitor.enabled=true", "rbac.deletePods=true", "replicas=2"],
    ["service.type=LoadBalancer", "service.annotations.a=b", "serviceAccount.annotations.c=d",
     "image.pullSecrets[0].name=registry", "podAnnotations.e=f", "nodeSelector.g=h",
     "extraVolumes[0].name=tls", "extraVolumes[0].secret.secretName=tls",
     "extraVolumeMounts[0].name=tls", "extraVolumeMounts[0].mountPath=/tls"],
    ["serviceAccount.create=false", "serviceAccount.name=mine", "rbac.create=false",
     "podDisruptionBudget.enabled=false", "networkPolicy.enabled=false", "scales=null"],
    ["strategy.type=Recreate", "strategy.rollingUpdate=null"],
], ids=["defaults", "all", "cloud", "least", "exact"])
def test_the_chart_is_accepted(api, namespace, schemas, values):
    flags = [word for value in values for word in ("--set", value)]
    accept(api, rendered(namespace, *flags), namespace)


def test_the_chart_passes_lint():
    helm("lint", "--strict", CHART)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_accepted(api, namespace, schemas, example):
    accept(api, documents((example / "pods.yaml").read_text()), namespace)
    accept(api, rendered(namespace, "-f", example / "values.yaml"), namespace)


@pytest.mark.parametrize("path", SCALED_OBJECTS, ids=lambda path: path.name)
def test_scaled_objects_are_accepted(api, namespace, schemas, path):
    accept(api, documents(path.read_text()), namespace)
    accept(api, rendered(namespace, "-f", DEPLOY / "keda/values.yaml"), namespace)


def test_what_stands_before_a_revision_is_accepted(api, namespace, schemas):
    accept(api, documents((KNATIVE / "service.yaml").read_text()), namespace)
    accept(api, rendered(namespace, "-f", KNATIVE / "values.yaml"), namespace)


def test_what_stands_before_a_revision_is_that_revisions():
    """What Knative is told and what slotgate is told are one thing."""
    kinds = {m["kind"]: m for m in documents((KNATIVE / "service.yaml").read_text())}
    manifests = rendered("stable-diffusion", "-f", KNATIVE / "values.yaml")
    settings = configuration(manifests)
    [service] = settings["services"]
    template = kinds["Service"]["spec"]["template"]
    revision, notes = template["metadata"]["name"], template["metadata"]["annotations"]
    knative = "autoscaling.knative.dev/"
    assert revision.startswith(kinds["Service"]["metadata"]["name"] + "-")
    assert service["knative"] == {"revision": revision, "namespace": "stable-diffusion"}
    assert service["pods"]["kubernetes"] == {
        "service": revision + "-private", "port": "http", "scaler": "none"}
    assert "autoscaler" in settings["knative"]
    assert notes[knative + "target"] == str(service["containerConcurrency"])
    assert notes[knative + "target-burst-capacity"] == "-1"
    # The queue-proxy lets all pass, and outlasts slotgate's patience.
    assert template["spec"]["containerConcurrency"] == 0
    assert template["spec"]["timeoutSeconds"] > seconds(service["timeouts"]["response"])
    [container] = template["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == service["readiness"]["httpGet"]
    [rule] = kinds["Ingress"]["spec"]["rules"]
    assert [rule["host"]] == service["hosts"]
    [path] = rule["http"]["paths"]
    way = path["backend"]["service"]
    [before] = [m for m in manifests if m["kind"] == "Service"
                and m["metadata"]["name"] == way["name"]]
    assert way["port"]["name"] in {port["name"] for port in before["spec"]["ports"]}


def test_what_scaled_objects_ask_for_is_served():
    manifests = rendered("stable-diffusion", "-f", DEPLOY / "keda/values.yaml")
    services = {m["metadata"]["name"]: m for m in manifests if m["kind"] == "Service"}
    ports = {(name, port["port"]) for name, m in services.items() for port in m["spec"]["ports"]}
    names = {service["name"] for service in configuration(manifests)["services"]}
    for path in SCALED_OBJECTS:
        [manifest] = documents(path.read_text())
        [trigger] = manifest["spec"]["triggers"]
        text = trigger["metadata"].get("scalerAddress") or trigger["metadata"]["url"]
        name, port = re.search(r"([\w-]+)\.stable-diffusion\.svc:(\d+)", text).groups()
        assert (name, int(port)) in ports
        assert (trigger["metadata"].get("service") or text.split("/")[-2]) in names
        assert manifest["spec"]["scaleTargetRef"]["name"] in names


def test_a_field_that_does_not_exist_is_refused(api, namespace):
    """So that the tests above mean something."""
    manifest = next(m for m in documents(PLAIN[-1].read_text()) if m["kind"] == "Deployment")
    manifest["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["nap"] = {}
    with pytest.raises(AssertionError, match="nap"):
        accept(api, [manifest], namespace)


# --- the chart and the plain manifests say the same ---

def normal(manifests):
    """By kind and name, without what is Helm's."""
    found = {}
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        for label in OF_HELM & labels.keys():
            del labels[label]
        if manifest["kind"] == "ConfigMap":
            manifest["data"][JSON_IN_CONFIG_MAP] = json.loads(manifest["data"][JSON_IN_CONFIG_MAP])
        found[manifest["kind"], manifest["metadata"]["name"]] = manifest
    return found


def test_the_chart_says_what_the_plain_manifests_say():
    plain = normal(m for path in PLAIN for m in documents(path.read_text()))
    assert normal(rendered("stable-diffusion", "--set", "serviceMonitor.enabled=true")) == plain


TLS = [{"certificate": "/etc/slotgate-tls/tls.crt", "key": "/etc/slotgate-tls/tls.key"}]
ELSEWHERE = {"config": {  # nothing where it is by itself
    "listeners": [{"address": "0.0.0.0:8443", "tls": {"certificates": TLS}},
                  {"address": "[::]:8081"}],
    "admin": {"address": "0.0.0.0:9443", "tls": {"certificates": TLS}},
    "spoolDirectory": "/spool"},
    "service": {"port": 443}, "terminationGracePeriodSeconds": 86400000,
    "serviceMonitor": {"enabled": True, "endpoint": {"tlsConfig": {"insecureSkipVerify": True}}}}


def test_the_chart_follows_the_configuration(api, namespace, schemas, tmp_path):
    """Ports, schemes and the spool: probes ask, and clients are let in, where it listens."""
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(ELSEWHERE))
    manifests = rendered(namespace, "-f", values)
    accept(api, manifests, namespace)
    found = {(m["kind"], m["metadata"]["name"]): m["spec"] for m in manifests if "spec" in m}
    pod = found["Deployment", "slotgate"]["template"]["spec"]
    [container] = pod["containers"]
    numbers = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert numbers == {"http": 8443, "http-1": 8081, "admin": 9443}
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    assert "/spool" in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert pod["terminationGracePeriodSeconds"] == 86400000
    assert found["Service", "slotgate"]["ports"] == [
        {"name": "http", "port": 443, "targetPort": "http", "appProtocol": "https"},
        {"name": "http-1", "port": 8081, "targetPort": "http-1", "appProtocol": "http"}]
    assert found["NetworkPolicy", "slotgate"]["ingress"][0]["ports"] == [
        {"port": "http"}, {"port": "http-1"}]
    [endpoint] = found["ServiceMonitor", "slotgate"]["endpoints"]
    assert endpoint["scheme"] == "https" and endpoint["tlsConfig"] == {"insecureSkipVerify": True}


# --- the rights ---

NEEDED = [  # verb, resource, group, subresource
    *[(verb, "endpointslices", "discovery.k8s.io", "") for verb in ("list", "watch")],
    *[(verb, what, "", "") for what in ("services", "pods", "events")
      for verb in ("list", "watch")],
    *[(verb, "pods", "", "") for verb in ("get", "patch")],
    *[(verb, "leases", "coordination.k8s.io", "") for verb in ("get", "create", "patch")],
]
REFUSED = [
    ("delete", "pods", "", ""), ("create", "pods", "", ""), ("create", "pods", "", "exec"),
    ("update", "pods", "", "status"), ("get", "secrets", "", ""), ("list", "configmaps", "", ""),
    ("update", "deployments", "apps", ""), ("list", "deployments", "apps", ""),
    ("update", "deployments", "apps", "scale"),  # of any name
    ("delete", "leases", "coordination.k8s.io", ""), ("list", "nodes", "", ""),
]


def apply_rights(api, namespace, *flags):
    for manifest in rendered(namespace, *flags):
        if manifest["kind"] in ("ServiceAccount", "Role", "RoleBinding"):
            api.apply(manifest, namespace)


def allowed(api, namespace, *right):
    verb, resource, group, subresource = right
    return api.may(verb, namespace, resource, group, subresource)


def test_the_rights_are_those_that_are_needed_and_no_others(cluster, api, namespace):
    apply_rights(api, namespace)
    gateway = cluster.as_account(cluster.account(namespace, "slotgate"))
    wait_until(lambda: allowed(gateway, namespace, *NEEDED[0]), "the role counts", 30)
    assert [right for right in NEEDED if not allowed(gateway, namespace, *right)] == []
    assert [right for right in REFUSED if allowed(gateway, namespace, *right)] == []
    assert [right for right in NEEDED if allowed(gateway, "default", *right)] == []


def test_it_may_scale_what_is_named_and_nothing_else(cluster, api, namespace, kubelet):
    for name in ("stable-diffusion", "other"):
        api.create(deployment(name), namespace)
    apply_rights(api, namespace)
    gateway = cluster.as_account(cluster.account(namespace, "slotgate"))
    wait_until(lambda: allowed(gateway, namespace, *NEEDED[0]), "the role counts", 30)
    scale = gateway.get("Deployment", namespace, "stable-diffusion", "scale")
    scale["spec"]["replicas"] = 1
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/stable-diffusion/scale"
    assert gateway.request("PUT", path, scale)["spec"]["replicas"] == 1
    assert gateway.get("Deployment", namespace, "stable-diffusion")
    for subresource in (None, "scale"):
        with pytest.raises(ApiError) as refused:
            gateway.get("Deployment", namespace, "other", subresource)
        assert refused.value.status == 403


def test_to_delete_pods_is_asked_for(cluster, api, namespace):
    apply_rights(api, namespace, "--set", "rbac.deletePods=true")
    gateway = cluster.as_account(cluster.account(namespace, "slotgate"))
    wait_until(lambda: allowed(gateway, namespace, "delete", "pods", "", ""), "the role counts", 30)


# --- the configuration ---

def configurations():
    plain = [("plain", lambda: documents((DEPLOY / "kubernetes/slotgate.yaml").read_text()))]
    return plain + [(path.name, lambda path=path: rendered(
        "stable-diffusion", "-f", path / "values.yaml")) for path in [*EXAMPLES, DEPLOY / "keda", KNATIVE]]


@pytest.mark.parametrize("manifests", [pytest.param(make, id=name)
                                       for name, make in configurations()])
def test_the_configuration_passes_slotgate_check(tmp_path, manifests):
    settings = configuration(manifests())
    settings["spoolDirectory"] = str(tmp_path)
    path = tmp_path / "slotgate.json"
    path.write_text(json.dumps(settings))
    done = subprocess.run([binary("slotgate"), "check", "-c", path], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    faults = [line for line in done.stdout.splitlines() if line and "warning:" not in line]
    assert done.returncode == 0 and not faults, done.stdout


@pytest.mark.parametrize("manifests", [pytest.param(make, id=name)
                                       for name, make in configurations()])
def test_slotgate_has_time_and_room_for_what_it_is_configured(manifests):
    manifests = manifests()
    settings = configuration(manifests)
    pod = next(m for m in manifests if m["kind"] == "Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause + seconds(settings["drainTimeout"])
    assert seconds(settings["drainTimeout"]) >= max(
        seconds(service["timeouts"]["response"]) for service in settings["services"])
    assert container["resources"]["limits"]["memory"] == "1Gi"
    assert settings["limits"]["memory"] == "768MiB"
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert settings["spoolDirectory"] in mounts
    ports = {port["containerPort"] for port in container["ports"]}
    assert {int(listener["address"].rsplit(":", 1)[1])
            for listener in [*settings["listeners"], settings["admin"],
                             *filter(None, [settings.get("keda")])]} == ports


# --- the pods behind it ---

def pairs():
    """(example, the service's settings, its Deployment's pod)"""
    for example in EXAMPLES:
        config = yaml.safe_load((example / "values.yaml").read_text())["config"]
        manifests = documents((example / "pods.yaml").read_text())
        for service in config["services"]:
            yield pytest.param(service, manifests, id=f"{example.name}-{service['name']}")


@pytest.mark.parametrize("service, manifests", pairs())
def test_pods_fit_what_slotgate_is_told_of_them(service, manifests):
    name = service["pods"]["kubernetes"]["service"]
    [behind] = [m for m in manifests if kind_of(m) == "Service" and m["metadata"]["name"] == name]
    [workload] = [m for m in manifests if m["kind"] == "Deployment"
                  and m["metadata"]["name"] == name]
    template = workload["spec"]["template"]
    assert behind["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert workload["spec"]["selector"]["matchLabels"] == behind["spec"]["selector"]
    pod, container = template["spec"], template["spec"]["containers"][0]
    assert behind["spec"]["ports"][0]["targetPort"] in {p["name"] for p in container["ports"]}
    # The kubelet and slotgate ask the same; the pod outlives its longest job.
    assert container["readinessProbe"]["httpGet"]["path"] == service["readiness"]["httpGet"]
    assert "livenessProbe" not in container  # a busy runtime may be slow to answer
    assert pod["terminationGracePeriodSeconds"] > seconds(service["timeouts"]["response"])
    startup = container["startupProbe"]
    assert (startup["periodSeconds"] * startup["failureThreshold"]
            >= seconds(service["queue"]["coldStartMaxWait"]))
    assert service["idle"]["httpGet"] in str(container["lifecycle"]["preStop"]["exec"]["command"])
    [policy] = [m for m in manifests if m["kind"] == "NetworkPolicy"
                and m["metadata"]["name"] == name]
    assert policy["spec"]["podSelector"]["matchLabels"] == behind["spec"]["selector"]


def test_pods_of_one_runtime_are_alike_everywhere():
    seen = {}
    for example in EXAMPLES:
        for manifest in documents((example / "pods.yaml").read_text()):
            if manifest["kind"] != "Deployment":
                continue
            container = manifest["spec"]["template"]["spec"]["containers"][0]
            facts = {key: container[key] for key in
                     ("ports", "startupProbe", "readinessProbe", "lifecycle")}
            assert seen.setdefault(container["name"], facts) == facts, example.name
    assert seen.keys() == {"webui", "comfyui"}


def test_the_wait_before_a_pod_stops_lasts_as_long_as_its_job(tmp_path):
    """The preStop of the examples, run beside a demo pod that works."""
    manifests = documents((EXAMPLES[0] / "pods.yaml").read_text())
    container = manifests[0]["spec"]["template"]["spec"]["containers"][0]
    command = container["lifecycle"]["preStop"]["exec"]["command"]
    pod = start_demo_pod(tmp_path, "pod", "--port", "7860", "--service-time", "4s")
    address = "127.0.0.1:7860"
    job = threading.Thread(target=subprocess.run, args=[
        ["curl", "-s", "-o", "/dev/null", "-d", "{}", f"http://{address}/sdapi/v1/txt2img"]])
    try:
        job.start()
        wait_until(lambda: get_json(address, "/sdapi/v1/progress")["state"]["job_count"],
                   "the pod works")
        subprocess.run(command, check=True, timeout=40)
        assert pod.audit()["served"] == 1
        assert get_json(address, "/sdapi/v1/progress")["state"]["job_count"] == 0
    finally:
        pod.kill()
        job.join()
    subprocess.run(command, check=True, timeout=40)  # nobody there: it does not hang


# --- the image ---

def test_the_image_has_the_libraries_that_slotgate_needs():
    """By the packages of this Debian, which is the image's."""
    listed = subprocess.run(["ldd", binary("slotgate")], text=True, stdout=subprocess.PIPE,
                            check=True).stdout
    paths = re.findall(r"=> (/\S+)", listed)
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    install = re.search(r"apt-get -y --no-install-recommends install(.*?)&&", dockerfile, re.S)[1]
    wanted = [re.match(r"lib(event_core|curl|ssl|crypto|cjson|nghttp2|protobuf-c|yaml)", Path(p).name)
              for p in paths]
    packages = {subprocess.run(["dpkg", "-S", os.path.realpath(path)], text=True, check=True,
                               stdout=subprocess.PIPE).stdout.split(":")[0]
                for path, match in zip(paths, wanted) if match}
    assert packages <= set(install.replace("\\", " ").split())
