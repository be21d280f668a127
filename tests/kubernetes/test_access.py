"""What is wrong with the way to the API server, or with what the configuration names there, is said
once, by its name; those whom it concerns do not wait in vain, and all else goes on."""
import json
import subprocess

import pytest

from harness.kubernetes.gateway import (LONG_S, RULES, Account, create_sd, paint, start)
from harness.kubernetes.objects import deployment, service
from harness.wait import wait_until


def kubeconfig(account, cluster=None, user=None):
    """One beside the account's, with these things said otherwise; None leaves them out."""
    path = account.mount / "other"
    content = json.loads((account.mount / "config").read_text())
    for place, change in (("cluster", cluster), ("user", user)):
        of = content[f"{place}s"][0][place]
        of.update(change or {})
        content[f"{place}s"][0][place] = {k: v for k, v in of.items() if v is not None}
    path.write_text(json.dumps(content))
    return path


def degraded(gateway):
    return gateway.admin("/readyz")[2]


def expired_certificate(identities):
    """NAME.pem and NAME.key of one that was good until yesterday."""
    certificate, key = identities.leaf("old", "/O=system:masters/CN=old")
    ca, ca_key = identities.pair("ca")
    subprocess.run(["openssl", "x509", "-req", "-in", identities.path("old.csr"), "-CA", ca, "-CAkey",
                    ca_key, "-CAcreateserial", "-days", "-1", "-out", certificate], check=True,
                   capture_output=True)
    return certificate, key


# --- the way there ---

def faults_of_the_way(identities):
    """(cluster, user, what is said besides the kubeconfig's path)"""
    no_token = {"tokenFile": None}
    admin, admin_key = identities.pair("admin")
    old, old_key = expired_certificate(identities)
    return [
        ({"certificate-authority": "gone.crt"}, {}, ["gone.crt: No such file"]),
        ({"certificate-authority": None}, {}, ["local issuer", "see the authority"]),
        ({"certificate-authority": "token"}, {}, ["CA certificate", "see the authority"]),
        ({}, {"tokenFile": None, "token": "not.a.token"}, ["401", "does not accept the token"]),
        ({}, {**no_token, "client-certificate": old, "client-key": old_key},
         ["401", "certificate"]),
        ({}, {**no_token, "client-certificate": admin}, ["client-certificate", "no client-key"]),
        ({}, {**no_token, "client-certificate": admin, "client-key": old_key},
         ["private key", "see the authority, certificate and key"]),
        ({"server": "https://127.0.0.1:1"}, {}, ["https://127.0.0.1:1", "connect"]),
    ]


def test_what_is_wrong_with_a_kubeconfig_is_told_with_its_path(cluster, api, namespace, kubelet,
                                                               gateways, account):
    account.kubeconfig()
    for of_cluster, of_user, words in faults_of_the_way(cluster.identities):
        path = kubeconfig(account, of_cluster, of_user)
        gateway = start(gateways, account, kubernetes={"kubeconfig": str(path)})
        wait_until(lambda g=gateway: degraded(g) != "ok\n", "it is noticed", LONG_S)
        said = wait_until(lambda g=gateway, w=words: all(word in degraded(g) for word in w)
                          and degraded(g), lambda g=gateway: degraded(g), LONG_S)
        if "127.0.0.1:1" not in words[0]:
            assert str(path) in said or "gone.crt" in said, said
        gateway.terminate()
        assert gateway.wait() == 0


@pytest.mark.parametrize("settings, words", [
    ({"kubeconfig": "/nowhere/config"}, "/nowhere/config: No such file"),
    ({"context": "other"}, "has no such context"),
    ({"user": {"tokenFile": None, "token": "not.a.token"}}, "does not accept the token"),
], ids=["kubeconfig", "context", "token"])
def test_who_waits_without_a_way_there_is_told(api, namespace, kubelet, gateways, account, settings,
                                               words):
    create_sd(api, namespace)
    account.kubeconfig()
    if user := settings.get("user"):
        settings = {"kubeconfig": str(kubeconfig(account, user=user))}
    gateway = start(gateways, account, kubernetes=settings)
    [answer] = paint(gateway, 1)
    assert answer.status == 503, answer.body
    told = json.loads(answer.body)
    assert told["reason"] == "scaling_failed" and words in told["detail"], told


# --- what it names ---

@pytest.mark.parametrize("settings, words", [
    ({"service": "other", "scale": {"name": "sd"}}, ["no Service other", "pods.kubernetes.service"]),
    ({"port": "grpc"}, ['Service sd has no port "grpc"', 'it has "http"']),
    ({"scale": {"name": "other"}}, ["404", '"other" not found']),
    ({"scale": {"resource": "deploymentz"}}, ["403", "deploymentz/scale"]),
    ({"scale": {"version": "v9"}}, ["/apis/apps/v9/namespaces/", "/deployments/sd",
                                    "see pods.kubernetes.scale"]),
    ({"namespace": "gone"}, ["403", 'namespace "gone"']),
], ids=["service", "port", "deployment", "resource", "version", "namespace"])
def test_who_waits_for_what_is_not_there_is_told(api, namespace, kubelet, gateways, account,
                                                 settings, words):
    create_sd(api, namespace)
    gateway = start(gateways, account, kubernetes=settings)
    [answer] = paint(gateway, 1)
    assert answer.status == 503, answer.body
    if "gone" in str(settings):
        words = words[:1]  # whichever of the refusals came last
    assert json.loads(answer.body)["reason"] == "scaling_failed", answer.body
    wait_until(lambda: all(word in degraded(gateway) for word in words), lambda: degraded(gateway),
               LONG_S)


def test_a_service_is_named_again_when_it_is_there(api, namespace, kubelet, gateways, account):
    api.create(deployment("sd", args=["--service-time", "50ms"]), namespace)
    gateway = start(gateways, account)
    assert paint(gateway, 1)[0].status == 503
    api.create(service("sd"), namespace)
    wait_until(lambda: degraded(gateway) == "ok\n", lambda: degraded(gateway), LONG_S)
    assert paint(gateway, 1)[0].status == 200
    api.delete("Service", namespace, "sd")
    wait_until(lambda: "no Service sd" in degraded(gateway), lambda: degraded(gateway), LONG_S)


def test_a_pod_without_the_named_port_is_told(api, namespace, kubelet, gateways, account):
    api.create(service("sd", port="api"), namespace)
    api.create(deployment("sd"), namespace)
    gateway = start(gateways, account)
    assert paint(gateway, 1)[0].status == 503
    wait_until(lambda: 'has no port "api", to which Service sd sends' in degraded(gateway),
               lambda: degraded(gateway), LONG_S)


# --- rights ---

def without(verb, resource, rules=RULES):
    return [(group, what, [v for v in verbs if not (v == verb and resource in what)])
            for group, what, verbs in rules]


@pytest.mark.parametrize("verb, resource, word", [
    ("list", "services", 'cannot list resource "services"'),
    ("watch", "services", "services"),
    ("list", "endpointslices", 'cannot list resource "endpointslices"'),
    ("watch", "endpointslices", "endpointslices"),
    ("list", "pods", 'cannot list resource "pods"'),
    ("watch", "pods", "pods"),
])
def test_a_rule_that_is_missing_is_named_and_pods_work(cluster, api, namespace, kubelet, gateways,
                                                       verb, resource, word):
    create_sd(api, namespace, 1, args=["--service-time", "50ms"])
    gateway = start(gateways, Account(cluster, namespace, without(verb, resource)),
                    kubernetes={"watchTimeout": "2s"}, autoscaling={"minScale": 1})
    wait_until(lambda: "403 (its role lacks a rule)" in degraded(gateway) and word in
               degraded(gateway), lambda: degraded(gateway), LONG_S)
    assert [answer.status for answer in paint(gateway, 2)] == [200, 200]


def test_who_waits_for_pods_that_nobody_may_see_is_told(cluster, api, namespace, kubelet, gateways):
    create_sd(api, namespace, 1)
    rules = without("list", "pods", without("list", "endpointslices"))
    gateway = start(gateways, Account(cluster, namespace, rules), kubernetes={"scaler": "none"})
    [answer] = paint(gateway, 1)
    assert answer.status == 503, answer.body
    told = json.loads(answer.body)
    assert told["reason"] == "scaling_failed"
    assert 'cannot list resource "endpointslices"' in told["detail"], told


@pytest.mark.parametrize("verb, resource, line", [
    ("update", "deployments/scale", "sd: scaling: "), ("patch", "leases", "sd: lease slotgate-sd: "),
    ("create", "leases", "sd: lease slotgate-sd: ")])
def test_what_may_not_be_written_is_told_once(cluster, api, namespace, kubelet, gateways, verb,
                                              resource, line):
    """To those who wait at once; in the log not with every try; and the tries become rare."""
    create_sd(api, namespace)
    if verb == "patch":
        api.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": "slotgate-sd"}}, namespace)
    gateway = start(gateways, Account(cluster, namespace, without(verb, resource)),
                    kubernetes={"leaseDuration": "1s"}, autoscaling={"minScale": 1})
    for _ in range(3):
        [answer] = paint(gateway, 1)
        assert json.loads(answer.body)["reason"] == "scaling_failed", answer.body
        assert f"cannot {verb} resource" in gateway.service()["scale"]["failure"]
    failures = gateway.metrics()("slotgate_kubernetes_failures_total", service="sd")
    wait_until(lambda: gateway.metrics()("slotgate_kubernetes_failures_total", service="sd")
               > failures + 2, "it tries again", LONG_S)
    assert gateway.log().count(line) == 1, gateway.log()[-4000:]
