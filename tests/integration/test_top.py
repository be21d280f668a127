"""`slotgate top`: one frame for scripts, and live in a terminal of any size."""
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import pytest

from harness.demo import binary
from harness.gateway import service
from harness.wait import wait_until


def admin(front):
    host, port = front.admin_address
    return f"{host}:{port}"


def top(*words):
    done = subprocess.run([binary("slotgate"), "top", *words], text=True, timeout=20, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr


class Terminal:
    """A terminal with `slotgate top` in it."""

    def __init__(self, *words, columns=100, lines=30, kind="xterm"):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = kind
            os.environ.pop("NO_COLOR", None)
            os.execv(binary("slotgate"), ["slotgate", "top", *words])
        self.seen = b""
        self.resize(columns, lines)

    def resize(self, columns, lines):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.set_blocking(self.fd, False)

    def read(self):
        try:
            self.seen += os.read(self.fd, 1 << 16)
        except (BlockingIOError, OSError):
            pass
        return self.seen.decode(errors="replace")

    def frame(self):
        """The lines of the last whole frame, without colours."""
        frames = self.read().split("\x1b[H")[1:-1]
        if not frames:
            return None
        text = re.sub(r"\x1b\[[0-9;]*m", "", frames[-1])
        return re.sub(r"\x1b\[[KJ]", "", text).split("\r\n")[:-1]

    def press(self, key):
        os.write(self.fd, key)

    def ends(self):
        wait_until(lambda: self.read() is not None and self._exit(), "it ends")
        return os.waitstatus_to_exitcode(self.status)

    def _exit(self):
        pid, self.status = os.waitpid(self.pid, os.WNOHANG)
        return pid

    def kill(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.fd)


@pytest.fixture
def terminal():
    made = []

    def make(*words, **size):
        made.append(Terminal(*words, **size))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def test_one_frame_for_scripts(gateway, pods):
    idle, pod = pods(2)
    front = gateway(idle, pod)
    client = front.open_post("/job")
    wait_until(lambda: idle.requests or pod.requests, "it works")
    front.wait_for(working=1)
    status, out, err = top("--admin", admin(front), "--once")
    assert (status, err) == (0, "") and "\x1b" not in out
    assert out.startswith("sd\nqueue      0 waiting of at most 10000\nslots      1 at work, 1 free\n")
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines() if ":" in line.split(" ")[0]}
    assert sorted(rows.values()) == ["idle", "working"]
    assert set(rows) == {idle.address, pod.address}
    (idle if idle.requests else pod).next().answer()
    assert client.read_response().status == 200


def test_it_shows_refusals_and_why_a_pod_is_not_ready(gateway):
    front = gateway(services=[service(pods={"static": ["127.0.0.1:9"]}, queue={"maxRequests": 1})])
    front.open_post("/job")
    front.wait_for(waiting=1)
    assert front.post("/job").status == 503
    wait_until(lambda: "its port takes no connections" in top("--admin", admin(front), "--once")[1],
               "why")
    _, out, _ = top("--admin", f"http://{admin(front)}/", "--once")
    assert "refused: queue_full x 1" in out


def test_the_secret(gateway, pod, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("a-long-enough-secret\n")
    front = gateway(pod, ready=False, top={"admin": {"address": "localhost:0",
                                                     "bearerTokenFile": str(secret)}})
    status, out, err = top("--admin", admin(front), "--once")
    assert (status, out) == (1, "") and "--token-file" in err
    assert top("--admin", admin(front), "--token-file", str(secret), "--once")[0] == 0


@pytest.mark.parametrize("words, said", [
    (["--what"], "--what: unknown"), (["--admin"], "--admin: unknown"),
    (["--token-file", "/nonexistent"], "No such file"), (["--admin", ""], "not an address")])
def test_misuse(words, said):
    status, out, err = top(*words)
    assert (status, out) == (2, "") and said in err


@pytest.mark.parametrize("words", [["top"], ["top", "--once"], ["coldstarts"],
                                   ["coldstarts", "--json"]])
def test_an_output_that_is_full_is_told(gateway, pod, words):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([binary("slotgate"), *words, "--admin", admin(gateway(pod))], timeout=20,
                              text=True, check=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == \
        (1, "slotgate: standard output: No space left on device\n")


def test_nobody_there():
    status, _, err = top("--once", "--admin", "127.0.0.1:9")
    assert status == 1 and "127.0.0.1:9" in err and "--admin" in err


def test_live_in_a_terminal(gateway, pod, terminal):
    front = gateway(pod)
    screen = terminal("--admin", admin(front))
    wait_until(screen.frame, lambda: f"a frame: {screen.seen}")
    assert "slots      0 at work, 1 free" in screen.frame()
    client = front.open_post("/job")
    job = pod.next()
    wait_until(lambda: "slots      1 at work, 0 free" in screen.frame(), "it follows")
    job.answer()
    client.read_response()
    screen.press(b"q")
    assert screen.ends() == 0
    assert screen.seen.endswith(b"\x1b[?25h\x1b[?1049l"), "the terminal is as it was"


def test_it_fits_the_terminal_whatever_its_size(gateway, terminal):
    front = gateway(services=[service(readiness={"none": True}, pods={"static": [
        f"127.1.1.{n}:9" for n in range(1, 60)]})], ready=False)
    front.wait_for(ready=59)
    screen = terminal("--admin", admin(front), columns=100, lines=30)
    wait_until(screen.frame, "a frame")
    for columns, lines in ((40, 12), (100, 30), (20, 11), (160, 80)):
        screen.resize(columns, lines)

        def fits():
            frame = screen.frame()
            more = any(line.startswith("and ") for line in frame)
            return len(frame) <= lines and all(len(line) <= columns for line in frame) \
                and more == (lines < 70) and len(frame) >= min(lines - 2, 60)

        wait_until(fits, lambda: f"{columns}x{lines}: {screen.frame()}", timeout=15)


@pytest.mark.parametrize("columns, lines", [(80, 8), (60, 5), (30, 2), (7, 1), (1, 1)])
def test_a_small_terminal_shows_the_first_lines_and_does_not_scroll(gateway, pod, terminal, columns,
                                                                    lines):
    front = gateway(pod)
    screen = terminal("--admin", admin(front), columns=columns, lines=lines)

    def shown():
        frames = screen.read().split("\x1b[H")[1:-1]
        text = re.sub(r"\x1b\[[0-9;]*[mKJ]", "", frames[-1]) if frames else ""
        return text.split("\r\n") if text and text.count("\r\n") < lines else None

    first = ["sd", "queue      0 waiting of at most 10000", "slots      0 at work, 1 free"]
    found = wait_until(shown, lambda: screen.seen[-2000:])
    assert len(found) == lines
    assert found[:3] == [line[:columns] for line in first[:lines]]


def test_a_full_line_is_whole(gateway, pod, terminal):
    """What clears the rest of a line would take the last column of one that has no rest."""
    front = gateway(pod)
    line = "queue      0 waiting of at most 10000"
    screen = terminal("--admin", admin(front), columns=len(line), lines=2)
    wait_until(lambda: f"{line}\x1b[H" in screen.read(), lambda: screen.seen, timeout=10)


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_terminal_that_knows_only_text_gets_only_text(gateway, pod, terminal, kind):
    front = gateway(pod)
    screen = terminal("--admin", admin(front), kind=kind)
    wait_until(lambda: screen.read().count("\r\nsd\r\n") >= 1, lambda: screen.seen)
    assert b"\x1b" not in screen.seen
    assert "\r\n\r\nsd\r\n" in screen.read(), "frames are apart"
    os.kill(screen.pid, signal.SIGTERM)
    assert screen.ends() == 0


def test_it_waits_for_a_gateway_that_is_away(gateway, pod, terminal):
    front = gateway(pod)
    screen = terminal("--admin", "127.0.0.1:9")
    wait_until(lambda: "trying again" in screen.read(), "it says so")
    os.kill(screen.pid, signal.SIGTERM)
    assert screen.ends() == 0
    assert front.admin("/healthz")[0] == 200


def test_what_could_steer_a_terminal_does_not(gateway, terminal, tmp_path):
    """A pod's name may come from elsewhere, some day; a failure's reason does already."""
    command = ["/nonexistent\x1b]0;title\x07/program", "{port}"]
    front = gateway(services=[service(pods={"process": {"command": command}},
                                      autoscaling={"minScale": 1, "maxScale": 1})], ready=False)
    wait_until(lambda: front.service()["scale"]["failure"], "it fails")
    _, out, _ = top("--admin", admin(front), "--once")
    assert "no pod can be started" in out and "\x1b" not in out and "\x07" not in out
