"""How an operating system runs it: socket activation, notifications, users, a read-only root."""
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.demo import GENERATE, PROMPT, binary, demo_command
from harness.gateway import config, service
from harness.wait import PATIENCE, wait_until

NOBODY = pwd.getpwnam("nobody")
NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0:exitcode=99"}  # it needs a process it may trace
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def open_directory():
    """One that other users can reach."""
    path = Path(tempfile.mkdtemp(prefix="slotgate-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


# --- a service manager ---

class Manager:
    """Listens in slotgate's place, and hears how it goes."""

    def __init__(self, address):
        self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notes.bind(address)
        self.notes.settimeout(PATIENCE)
        self.environment = {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def hear(self):
        return dict(line.split("=", 1) for line in self.notes.recv(4096).decode().splitlines())


@pytest.fixture(params=["a path", "abstract"])
def manager(request, tmp_path):
    name = str(tmp_path / "notify")
    manager = Manager(name if request.param == "a path" else "\0" + name)
    yield manager
    manager.notes.close()


def test_the_manager_hears_how_it_goes(gateway, pod, manager):
    front = gateway(pod, upgradable=True, environment=manager.environment)
    assert manager.hear() == {"READY": "1", "MAINPID": str(front.process.pid)}
    front.reload({"drainTimeout": "5s"})
    assert "RELOADING" in manager.hear()
    assert manager.hear()["READY"] == "1"
    front.reload(text="{")
    assert "RELOADING" in manager.hear()
    assert manager.hear()["READY"] == "1", "it goes on as it was"
    front.write_config(front.settings)
    front.upgrade()
    said = manager.hear()
    while "MAINPID" not in said or said["MAINPID"] != str(front.process.pid):
        said = manager.hear()
    assert said["READY"] == "1"
    front.terminate()
    while "STOPPING" not in said:
        said = manager.hear()


def test_pods_do_not_hear_of_the_manager(gateway, manager, tmp_path):
    env = tmp_path / "environment"
    command = ["sh", "-c", f"env > {env}; exec sleep 60", "{port}"]
    one = {**service(), "pods": {"process": {"command": command}},
           "autoscaling": {"minScale": 1, "maxScale": 1}}
    gateway(services=[one], environment=manager.environment)
    assert "NOTIFY_SOCKET" not in wait_until(lambda: env.exists() and env.read_text(), "it runs")


ACTIVATE = """
import os, sys
count = int(sys.argv[1])
copies = [os.dup(int(number)) for number in sys.argv[2:2 + count]]
high = [os.dup2(copy, 100 + i) for i, copy in enumerate(copies)]
for i, copy in enumerate(high):
    os.dup2(copy, 3 + i)
    os.close(copy)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES="x")
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


def activated(*listeners):
    """Starts the command behind it as systemd would, with these sockets."""
    numbers = [str(listener.fileno()) for listener in listeners]
    return ["/usr/bin/python3", "-c", ACTIVATE, str(len(numbers)), *numbers]


def test_it_serves_on_the_managers_sockets(gateway, pod):
    with socket.socket() as one, socket.socket() as two:
        for listener in (one, two):
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        early = socket.create_connection(one.getsockname())
        early.sendall(b"GET /early HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        descriptors = [one.fileno(), two.fileno()]
        address = "127.0.0.1:%d" % one.getsockname()[1]
        front = gateway(pod, listeners=[{"address": address}], descriptors=descriptors,
                        wrapper=activated(one, two))
        assert early.recv(12) == b"HTTP/1.1 200", "who came before it is served, too"
        early.close()
        assert front.get("/x").status == 200
        assert "no listener has the address 127.0.0.1:%d" % two.getsockname()[1] in front.log()
        inode = os.fstat(one.fileno()).st_ino
    held = [os.stat(f"/proc/{front.process.pid}/fd/{fd}").st_ino
            for fd in os.listdir(f"/proc/{front.process.pid}/fd")]
    assert inode in held


def test_a_descriptor_that_listens_to_nothing_is_said(gateway, pod):
    with socket.socket(socket.AF_UNIX) as other:
        front = gateway(pod, descriptors=[other.fileno()], wrapper=activated(other))
    assert "socket 0 of LISTEN_FDS listens to no TCP address" in front.log()


# --- users ---

def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: line.split(":")[1].split() for line in lines}


@needs_root
def test_root_becomes_the_user(open_directory, gateway):
    os.chown(open_directory, NOBODY.pw_uid, NOBODY.pw_gid)
    command = demo_command("--port", "{port}", "--service-time", "10ms")
    # The tree may stand where only root can go.
    command[0] = shutil.copy(command[0], open_directory)
    one = {**service(slots=["POST " + GENERATE], readiness={"httpGet": "/sdapi/v1/memory"}),
           "pods": {"process": {"command": command}}, "autoscaling": {"maxScale": 1}}
    front = gateway(services=[one], environment=NO_LEAK_CHECK, directory=open_directory,
                    upgradable=True, top={"user": "nobody"})
    assert front.post(GENERATE, PROMPT).status == 200
    children = subprocess.run(["ps", "-eo", "pid,uid,args"], stdout=subprocess.PIPE, text=True,
                              check=True).stdout
    pods = [line.split() for line in children.splitlines() if command[0] in line]
    assert any(uid == str(NOBODY.pw_uid) for _, uid, *_ in pods)
    for pid in (front.process.pid, front.upgrade().pid, front.process.pid):
        now = status_of(pid)
        assert now["Uid"] == [str(NOBODY.pw_uid)] * 4 and now["Gid"] == [str(NOBODY.pw_gid)] * 4
        assert now["NoNewPrivs"] == ["1"]
        assert int(now["CapEff"][0], 16) == 0
    assert front.post(GENERATE, PROMPT).status == 200


def fails_to_start(tmp_path, settings, wrapper=()):
    path = tmp_path / "slotgate.json"
    one = {**service(), "pods": {"static": ["127.0.0.1:1"]}}
    path.write_text(json.dumps(config([one], spoolDirectory=str(tmp_path), **settings)))
    done = subprocess.run([*wrapper, binary("slotgate"), "serve", "-c", str(path)], text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                          env={**os.environ, **NO_LEAK_CHECK}, timeout=PATIENCE)
    assert done.returncode == 1
    return done.stderr


@needs_root
@pytest.mark.parametrize("settings, said", [
    ({"user": "no-such-user"}, 'there is no user "no-such-user"'),
    ({"group": "no-such-group"}, 'there is no group "no-such-group"'),
    ({"user": "54321"}, 'name its "group" too'),
    ({"user": "nobody"}, "spoolDirectory: the user nobody cannot write to"),
])
def test_what_fails_is_said(tmp_path, settings, said):
    tmp_path.chmod(0o700)
    assert said in fails_to_start(tmp_path, settings)


@needs_root
def test_who_is_not_root_cannot_become_another(open_directory):
    open_directory.chmod(0o777)
    wrapper = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    assert "only root can become" in fails_to_start(open_directory, {"user": "daemon"}, wrapper)


def test_a_directory_that_others_write_to_takes_no_upgrade_socket(tmp_path):
    tmp_path.chmod(0o777)
    said = fails_to_start(tmp_path, {"upgradeSocket": str(tmp_path / "upgrade")})
    assert "upgradeSocket: others can write to" in said


@needs_root
def test_another_users_process_cannot_take_over(open_directory, gateway, pod):
    """The socket's mode keeps it out."""
    gateway(pod, upgradable=True, directory=open_directory)
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c",
         "import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(sys.argv[1])",
         str(open_directory / "upgrade")], stderr=subprocess.PIPE, text=True, check=False)
    assert "PermissionError" in done.stderr


# --- a container ---

READ_ONLY = """
set -e
mount --bind "$1" "$1"
for at in / /tmp /var /work /home /root; do
    mountpoint -q $at && mount -o remount,ro,bind $at
done
spool=$1; shift
! touch "$spool/../written" 2>/dev/null
exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "$@"
"""


def can_unshare():
    try:
        return subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0
    except FileNotFoundError:
        return False


@needs_root
@pytest.mark.skipif(not can_unshare(), reason="no unshare(1), or no mount namespaces here")
def test_it_runs_on_a_read_only_root_as_an_ordinary_user(open_directory, gateway, pod):
    spool = open_directory / "spool"
    spool.mkdir()
    os.chown(spool, 65534, 65534)
    wrapper = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(spool)]
    front = gateway(pod, directory=open_directory, wrapper=wrapper, body={"memory": 0},
                    top={"spoolDirectory": str(spool)})
    client = front.open_post("/job", b"x" * (1 << 20))  # goes to the disk
    job = pod.next()
    assert len(job.body) == 1 << 20
    job.answer()
    assert client.read_response().status == 200
    front.process.send_signal(signal.SIGTERM)
    front.told_to_stop = True
    assert front.wait() == 0
