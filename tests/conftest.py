"""Fixtures of the end-to-end tests. See harness/ for what they hand out.

    make SAN=1 build/san/slotgate build/san/demo-pod && /usr/bin/python3 -m pytest tests/http

SLOTGATE_BUILD names the folder of the binaries (default: build/san, else build), TEST_PATIENCE the
seconds that a test waits for what must happen (default 10); with more, tests may take longer too.
"""
import resource
import signal

import pytest

from harness.certificates import Certificates
from harness.demo import start_demo_pod, start_fastapi_pod
from harness.gateway import Gateway, config, service
from harness.pod import Pod
from harness.wait import PATIENCE

TEST_SECONDS = round(6 * PATIENCE)

# Two thousand clients are one test; the gateway inherits this, too.
_, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(_most, 65536), _most))


@pytest.fixture(autouse=True)
def _ends():
    """No test hangs the run."""
    def on_alarm(*_):
        raise TimeoutError(f"the test took over {TEST_SECONDS} s")

    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)


def make_pods():
    """A factory of scripted pods, and what follows from it: no pod ever had more than it may."""
    made = []

    def make(count=None, **options):
        pods = [Pod(**options) for _ in range(count or 1)]
        made.extend(pods)
        return pods if count else pods[0]

    make.close = lambda: [pod.close() for pod in made]
    yield make
    make.close()
    for pod in made:
        assert pod.highest <= pod.capacity, f"{pod.highest} jobs at once: {pod.requests}"


def make_gateways(tmp_path_factory, close_pods):
    made = []

    def make(*pods, top=None, listeners=None, services=None, ready=True, in_child=None,
             environment=None, descriptors=(), wrapper=(), upgradable=False, directory=None,
             **options):
        services = services or [service(*pods, **options)]
        settings = config(services, listeners, **(top or {}))
        directory = directory or tmp_path_factory.mktemp("gateway")
        if upgradable:
            settings = {"upgradeSocket": str(directory / "upgrade"), **settings}
        gateway = Gateway(directory, settings, in_child, environment, descriptors, wrapper)
        made.append(gateway)
        if ready and pods:
            gateway.wait_for(ready=len(pods))
        return gateway

    yield make
    close_pods()  # so that nothing is left to drain
    for gateway in made:
        print(f"--- the last of the gateway's log:\n{gateway.log()[-8000:]}")
    for gateway in made:
        gateway.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def pods():
    """pods(3): scripted pods. pods(): one."""
    yield from make_pods()


@pytest.fixture
def pod(pods):
    return pods()


@pytest.fixture
def gateway(tmp_path_factory, pods):
    """gateway(pod, queue={...}, top={...}): starts slotgate and waits until it knows its pods."""
    yield from make_gateways(tmp_path_factory, pods.close)


@pytest.fixture(scope="module")
def shared_pods():
    yield from make_pods()


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory, shared_pods):
    """The same for a whole file, for tests that leave nothing behind."""
    yield from make_gateways(tmp_path_factory, shared_pods.close)


@pytest.fixture
def demo_pod(tmp_path):
    """demo_pod("--service-time", "50ms"): the C demo pod, which must never work on two."""
    yield from make_processes(start_demo_pod, tmp_path)


@pytest.fixture
def fastapi_pod(tmp_path):
    yield from make_processes(start_fastapi_pod, tmp_path)


def make_processes(start, directory):
    made = []

    def make(*flags):
        made.append(start(directory, f"pod-{len(made)}", *flags))
        return made[-1]

    yield make
    audits = [pod.audit() for pod in made if pod.process.poll() is None]
    for pod in made:
        pod.kill()
    for audit in audits:
        assert audit["highestSimultaneous"] <= 1, audit
