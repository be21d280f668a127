"""What `slotgate` says and with which exit code, before it serves anybody."""
import json
import subprocess

import pytest

from harness.demo import binary
from harness.gateway import config


def slotgate(*arguments):
    return subprocess.run([binary("slotgate"), *map(str, arguments)], capture_output=True,
                          text=True, timeout=10)


@pytest.fixture
def check(tmp_path):
    """check(settings or text): the outcome of `slotgate check`."""
    def run(settings, verb="check"):
        path = tmp_path / "slotgate.json"
        path.write_text(settings if isinstance(settings, str) else json.dumps(settings))
        return slotgate(verb, "-c", path)
    return run


def one_service(**options):
    return config([{"name": "sd", "pods": {"static": ["127.0.0.1:7860"]}, **options}])


def test_a_good_config_is_no_news(check):
    result = check(one_service())
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_each_fault_has_its_path_and_the_nearest_name(check):
    result = check(one_service(queue={"maxReqests": 1}, containerConcurrency=-1))
    assert result.returncode == 1
    assert "services[0].queue.maxReqests" in result.stderr and "maxRequests" in result.stderr
    assert "services[0].containerConcurrency" in result.stderr
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"listeners": []}', "\0"])
def test_what_is_no_config_is_told(check, text):
    result = check(text)
    assert result.returncode == 1 and result.stderr.strip()


def test_serve_refuses_a_faulty_config(check):
    result = check(one_service(queue=7), verb="serve")
    assert result.returncode == 1 and "services[0].queue" in result.stderr


def test_a_missing_file_is_told():
    result = slotgate("serve", "-c", "/nonexistent/slotgate.json")
    assert result.returncode == 1 and "/nonexistent/slotgate.json" in result.stderr


def test_an_address_in_use_is_told(check, pod):
    settings = one_service()
    settings["listeners"] = [{"address": pod.address}]
    result = check(settings, verb="serve")
    assert result.returncode != 0 and pod.address in result.stderr


@pytest.mark.parametrize("arguments", [[], ["serve"], ["fly"], ["serve", "-x", "y"], ["check"]])
def test_wrong_usage_is_told(arguments):
    result = slotgate(*arguments)
    assert result.returncode == 2 and "slotgate help" in result.stderr


def test_help_and_version():
    assert "serve" in slotgate("help").stdout
    assert slotgate("version").stdout.startswith("slotgate ")
