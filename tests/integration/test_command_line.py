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


def with_listeners(*addresses, admin="127.0.0.1:9090", pod="127.0.0.1:7860"):
    settings = config([{"name": "sd", "pods": {"static": [pod]}}],
                      [{"address": address} for address in addresses])
    return {**settings, "admin": {"address": admin}}


@pytest.mark.parametrize("settings, path, says", [
    (with_listeners("0.0.0.0:8080", "127.0.0.1:8080"), "listeners[1].address", "0.0.0.0:8080"),
    (with_listeners("127.0.0.1:8080", ":8080"), "listeners[1].address", "127.0.0.1:8080"),
    (with_listeners("[::]:8080", "10.0.0.1:8080"), "listeners[1].address", "[::]:8080"),
    (with_listeners("0.0.0.0:9090"), "listeners[0].address", "admin.address"),
    (with_listeners("127.0.0.1:8080", pod="127.0.0.1:8080"), "services[0].pods.static[0]", "own"),
    (with_listeners("0.0.0.0:8080", pod="127.0.0.1:8080"), "services[0].pods.static[0]", "own"),
    (with_listeners("[::]:8080", pod="[::1]:8080"), "services[0].pods.static[0]", "own"),
    (with_listeners("127.0.0.1:80", pod="127.0.0.1:9090"), "services[0].pods.static[0]", "admin"),
])
def test_addresses_that_cannot_all_be_had_are_told(check, settings, path, says):
    result = check(settings)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(path + ": ") and says in result.stderr


@pytest.mark.parametrize("settings", [
    with_listeners("10.0.0.1:8080", "10.0.0.2:8080"), with_listeners("[::1]:8080", "0.0.0.0:8080"),
    with_listeners("0.0.0.0:8080", pod="10.0.0.9:8080"), with_listeners(":0", ":0"),
])
def test_addresses_that_only_look_alike_are_no_fault(check, settings):
    result = check(settings)
    assert (result.returncode, result.stderr) == (0, "")


def with_process(command, **options):
    return config([{"name": "sd", "autoscaling": {"maxScale": 1},
                    "pods": {"process": {"command": command, **options}}}])


def test_what_this_machine_lacks_is_a_warning(check, tmp_path):
    settings = {**with_process(["/opt/none/webui.sh", "{port}"], directory="/nonexistent"),
                "spoolDirectory": "/nonexistent/spool",
                "log": {"access": "/nonexistent/access.log"}}
    result = check(settings)
    lines = result.stderr.splitlines()
    assert result.returncode == 0 and all(line.startswith("warning: ") for line in lines)
    assert [line.split(": ")[1] for line in lines] == [
        "spoolDirectory", "log.access", "services[0].pods.process.directory",
        "services[0].pods.process.command"]


def with_secrets(certificates, directory, mode):
    files = {name: directory / name for name in ("keys.json", "token", "local.pem", "local.key")}
    files["keys.json"].write_text('{"keys": []}')
    files["token"].write_text("a-secret-of-16-characters")
    certificates.copy("local", files["local.pem"])
    for name in ("keys.json", "token", "local.key"):
        files[name].chmod(mode)
    tls = {"certificates": [{"certificate": str(files["local.pem"]),
                             "key": str(files["local.key"])}]}
    settings = config([{"name": name, "hosts": [name], "apiKeys": {"file": str(files["keys.json"])},
                        "pods": {"static": [pod]}}
                       for name, pod in (("a", "127.0.0.1:1"), ("b", "127.0.0.1:2"))],
                      [{"address": "127.0.0.1:0", "tls": tls}, {"address": ":0", "tls": tls}])
    return {**settings, "admin": {"address": ":0", "bearerTokenFile": str(files["token"])}}


@pytest.mark.parametrize("mode, says", [(0o644, "read it"), (0o666, "write to it")])
def test_secrets_that_everybody_reads_are_told_once_each(check, certificates, tmp_path, mode, says):
    result = check(with_secrets(certificates, tmp_path, mode))
    lines = result.stderr.splitlines()
    assert result.returncode == 0 and all(says in line and "chmod" in line for line in lines)
    assert [line.split(": ")[1] for line in lines] == [
        "admin.bearerTokenFile", "listeners[0].tls.certificates[0].key", "services[0].apiKeys.file"]


def test_secrets_of_a_group_are_no_news(check, certificates, tmp_path):
    result = check(with_secrets(certificates, tmp_path, 0o640))
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("address, clients, is_open", [
    ("0.0.0.0:0", None, True), ("[::]:0", "none", True), ("10.0.0.1:9090", "optional", True),
    ("0.0.0.0:0", "required", False), ("[::1]:0", None, False), ("127.0.0.2:0", "none", False),
])
def test_an_admin_address_that_is_open_to_all_is_told(check, certificates, address, clients,
                                                      is_open):
    admin = {"address": address}
    if clients:
        ca = {} if clients == "none" else {"clientCa": certificates.path("ca.pem")}
        admin["tls"] = certificates.tls(clientCertificates=clients, **ca)
    result = check({**one_service(), "admin": admin})
    assert result.returncode == 0
    assert ("warning: admin.address: " in result.stderr) is is_open, result.stderr


@pytest.mark.parametrize("name", ["none/upgrade", "open/upgrade", "own/file", "own/socket"])
def test_a_bad_upgrade_socket_is_told_and_nothing_is_overwritten(check, tmp_path, name):
    for directory, mode in (("open", 0o777), ("own", 0o700)):
        (tmp_path / directory).mkdir()
        (tmp_path / directory).chmod(mode)
    for file in ("own/file", "own/socket.new"):  # the latter is where it would be made first
        (tmp_path / file).write_text("precious")
    settings = {**config([{"name": "sd", "pods": {"static": ["127.0.0.1:1"]}}]),
                "upgradeSocket": str(tmp_path / name)}
    result = check(settings)
    assert result.returncode == 0 and result.stderr.startswith("warning: upgradeSocket: ")
    assert "will not start" in result.stderr
    result = check(settings, "serve")
    assert result.returncode == 1 and "upgradeSocket: " in result.stderr
    for file in ("own/file", "own/socket.new"):
        assert (tmp_path / file).read_text() == "precious"


@pytest.mark.parametrize("command, there", [
    ("sh", True), ("/bin/sh", True), ("no-such-program", False), ("/etc/passwd", False),
    ("/etc", False), ("/opt/gpu-{index}/run", True),
])
def test_a_program_is_looked_for_as_it_will_be(check, command, there):
    result = check(with_process([command, "{port}"]))
    assert result.returncode == 0
    assert (result.stderr == "") is there, result.stderr


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


@pytest.mark.parametrize("arguments, says", [
    (["serve", "-c", "x", "--foo"], "--foo"), (["serve", "--takeover", "-c", "x"], "--takeover"),
    (["serve", "-c", "x", "y"], "not y"), (["check", "-c", "x", "--take-over"], "--take-over"),
    (["serve", "-c"], "FILE"), (["serve", "-c", "x", "-c", "y"], "twice"),
    (["serve", "--take-over"], "-c FILE"),
])
def test_a_word_that_is_too_much_or_missing_is_named(arguments, says):
    result = slotgate(*arguments)
    assert result.returncode == 2 and says in result.stderr and "slotgate help" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_options_come_in_any_order(check):
    result = slotgate("serve", "--take-over", "-c", "/nonexistent/slotgate.json")
    assert result.returncode == 1 and "/nonexistent/slotgate.json" in result.stderr


def test_help_and_version():
    assert "serve" in slotgate("help").stdout
    assert slotgate("version").stdout.startswith("slotgate ")
