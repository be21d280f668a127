"""A network of its own, in which every address of the pods' range is this machine's.

The API server refuses endpoints in 127.0.0.0/8, so each pod gets an address of 10.244.0.0/16. On
the loopback device of a network namespace the whole range can be local, and nothing outside of it
notices; the ports are free, too. It has its own process ids as well, so that nothing in it outlives
the command. `python3 tests/harness/kubernetes/network.py COMMAND...` runs a
command in one (without being root, where the kernel lets everybody have namespaces).
"""
import os
import socket
import subprocess
import sys

PODS = "10.244.0.0/16"
LAST = "10.244.255.254"
SET_UP = f'ip link set lo up && ip route add local {PODS} dev lo && exec "$@"'


def command(*words):
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *as_root, "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
            "sh", "-c", SET_UP, "sh", *words]


def is_here():
    """Whether this process is in such a network."""
    with socket.socket() as probe:
        try:
            probe.bind((LAST, 0))
            return True
        except OSError:
            return False


def why_not():
    """In plain words, what stands against making one; None if nothing does."""
    try:
        done = subprocess.run(command("true"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    return None if done.returncode == 0 else f"no network namespace: {done.stdout.strip()}"


def pod_addresses():
    """All of them, one after the other."""
    for number in range(1, 0xfffe):
        if number & 0xff not in (0, 0xff):
            yield f"10.244.{number >> 8}.{number & 0xff}"


if __name__ == "__main__":
    words = command(*sys.argv[1:])
    os.execvp(words[0], words)
