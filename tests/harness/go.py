"""Programs around other projects' own code, which Go has built or not: tests/go."""
import pathlib
import subprocess

BUILD = pathlib.Path(__file__).resolve().parent.parent / "go" / "build.sh"


def ask(flag, name):
    return subprocess.run([BUILD, flag, name], text=True, stdout=subprocess.PIPE,
                          check=True).stdout.strip()


def path(name):
    return ask("--where", name)


def missing(name):
    """Why it is not there; "" where it is."""
    return ask("--missing", name)
