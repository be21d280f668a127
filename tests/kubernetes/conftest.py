"""Fixtures of the tests against the real Kubernetes API server: `make test-kubernetes`.

They run in a network of their own (harness/kubernetes/network.py):

    PYTHONPATH=tests python3 tests/harness/kubernetes/network.py \\
        /usr/bin/python3 -m pytest tests/kubernetes
"""
import itertools
import signal

import pytest

from harness.kubernetes import network
from harness.kubernetes.api import ApiError
from harness.kubernetes.cluster import START_S, Cluster, missing
from harness.kubernetes.gateway import Account
from harness.kubernetes.hall import Hall
from harness.kubernetes.kubelet import Kubelet
from harness.wait import wait_until

NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items):
    why = missing()
    if not why and not network.is_here():
        why = "the network is not theirs alone"
    for item in items:
        if why and "tests/kubernetes" in str(item.path):
            item.add_marker(pytest.mark.skip(reason=f"{why}; use make test-kubernetes"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """etcd, the API server and the controllers, for all tests."""
    signal.alarm(0)  # the first test's time does not count until they run
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def session_kubelet(cluster, tmp_path_factory):
    kubelet = Kubelet(cluster.admin, tmp_path_factory.mktemp("kubelet"))
    yield kubelet
    kubelet.close()


@pytest.fixture
def api(cluster):
    """The API, for somebody who may do everything."""
    return cluster.admin


@pytest.fixture
def namespace(cluster, api):
    """One for this test alone; deleted afterwards, with all that is in it."""
    name = f"test-{next(NUMBERS)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    wait_until(lambda: api.find("ServiceAccount", name, "default"), "the namespace's account",
               START_S)
    yield name
    if cluster.api_server.process.poll() is not None:
        cluster.start_api()
    api.delete("Namespace", None, name)


def remove(api, *what, **options):
    """Deletes what may be on its way out by itself."""
    try:
        api.delete(*what, **options)
    except ApiError as error:
        if error.status != 404:
            raise


@pytest.fixture
def kubelet(session_kubelet, namespace, api):
    """The one of the session. No pod of this test may ever have worked on two jobs."""
    faults = len(session_kubelet.faults)
    session_kubelet.change(namespace)
    yield session_kubelet
    session_kubelet.recycles = False
    session_kubelet.change(namespace, hold=(), pull_back_off="", unschedulable="")
    ours = {pod.name for pod in session_kubelet.pods.values() if pod.namespace == namespace}
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        for item in api.list(kind, namespace):
            if not item["metadata"].get("ownerReferences"):
                remove(api, kind, namespace, item["metadata"]["name"])
    for pod in api.list("Pod", namespace):
        remove(api, "Pod", namespace, pod["metadata"]["name"], gracePeriodSeconds=1)
    wait_until(lambda: not any(pod.namespace == namespace
                               for pod in list(session_kubelet.pods.values())), "pods end", 30)
    assert session_kubelet.faults[faults:] == []
    for name in ours & session_kubelet.audits.keys():
        assert session_kubelet.audits[name]["highestSimultaneous"] <= 1, name


@pytest.fixture
def hall(api, namespace, kubelet, tmp_path):
    """Pods that the test plays itself, in the kubelet's stead."""
    kubelet.change(namespace, is_ours=False)
    hall = Hall(api, namespace, tmp_path)
    yield hall
    hall.close()


@pytest.fixture
def gateways(kubelet, gateway):
    """Made after the kubelet's fixture: a gateway ends before its pods do."""
    assert kubelet
    return gateway


@pytest.fixture
def account(cluster, namespace):
    return Account(cluster, namespace)
