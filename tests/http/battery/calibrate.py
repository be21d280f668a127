#!/usr/bin/python3
"""Plays the battery to HAProxy, nginx and slotgate, and prints where they differ.

    /usr/bin/python3 tests/http/battery/calibrate.py [haproxy nginx slotgate]

Where both peers reject what we accept, or accept what we reject, the RFC decides; the table tells
where to look. Needs the packages haproxy and nginx (deploy/deps.sh peers); everything stays on
loopback, in a temporary folder.
"""
import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1])]

from battery import answer_runner, answers, framing, heads  # noqa: E402
from battery.runner import fault, play  # noqa: E402
from harness.demo import binary  # noqa: E402
from harness.pod import Pod  # noqa: E402

REQUESTS = framing.CASES + heads.CASES
PATIENCE = 2  # seconds without an answer: that is one, too

HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  timeout http-request 5s
  option forwardfor
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s 127.0.0.1:{pod}
"""

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{pod};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""

SLOTGATE = """
{{"listeners": [{{"address": "127.0.0.1:{port}"}}], "admin": {{"address": "127.0.0.1:0"}},
 "services": [{{"name": "sd", "slots": [], "pods": {{"static": ["127.0.0.1:{pod}"]}},
               "readiness": {{"none": true}}, "ejection": {{"consecutiveFailures": 1000}}}}]}}
"""

PEERS = {
    "haproxy": (HAPROXY, lambda path, _: ["haproxy", "-db", "-q", "-f", path]),
    "nginx": (NGINX, lambda path, folder: ["nginx", "-p", folder, "-c", path]),
    "slotgate": (SLOTGATE, lambda path, _: [binary("slotgate"), "serve", "-c", path]),
}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def running(name, pod):
    """The address of a peer in front of the pod."""
    text, command = PEERS[name]
    with tempfile.TemporaryDirectory() as folder:
        port, path = free_port(), f"{folder}/config"
        pathlib.Path(path).write_text(text.format(port=port, pod=pod.port, folder=folder))
        process = subprocess.Popen([str(word) for word in command(path, folder)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_port(port)
            yield "127.0.0.1", port
        finally:
            process.terminate()
            process.wait()


def wait_for_port(port):
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError("the peer does not listen: is its package installed?")


def request_verdict(case, outcome):
    """A word or two: what it did, and "!" where that is a fault by our reckoning."""
    statuses = "/".join(map(str, outcome.statuses[:1])) or "closed"
    word = f"rejects {statuses}" if outcome.was_rejected else f"accepts {statuses}"
    return word + ("!" if fault(case, outcome) else "")


def answer_verdict(case, got):
    word = "hangs" if got.hangs else f"gives {got.answer.status}" if got.answer else "breaks off"
    return word + ("!" if answer_runner.fault(case, got) else "")


def play_requests(address, pod):
    return [request_verdict(case, play(address, pod, case, patience=PATIENCE))
            for case in REQUESTS]


def play_answers(address, stage):
    return [answer_verdict(case, answer_runner.play(address, stage, case, patience=PATIENCE))
            for case in answers.CASES]


def print_differences(cases, names, columns):
    print(f"{'case':45} {'wanted':8}" + "".join(f"{name:18}" for name in names))
    for case, *row in zip(cases, *columns):
        if len({word.split()[0] for word in row}) > 1 or any("!" in word for word in row):
            print(f"{case.name:45} {case.want:8}" + "".join(f"{word:18}" for word in row))


def main():
    names = sys.argv[1:] or list(PEERS)
    of_requests, of_answers = [], []
    for name in names:
        stage = answer_runner.Stage()
        with running(name, stage.pod) as address:
            of_requests.append(play_requests(address, stage.pod))
            of_answers.append(play_answers(address, stage))
        stage.pod.close()
    print_differences(REQUESTS, names, of_requests)
    print()
    print_differences(answers.CASES, names, of_answers)


if __name__ == "__main__":
    main()
