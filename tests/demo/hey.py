"""The load: the real hey, with the published command line, and what it prints."""
import re
import shlex
import shutil
from dataclasses import dataclass, field

import processes

PATH = "/sdapi/v1/txt2img"


class Missing(Exception):
    pass


@dataclass
class Result:
    total: float = 0.0
    fastest: float = 0.0
    slowest: float = 0.0
    average: float = 0.0
    per_second: float = 0.0
    percentiles: dict = field(default_factory=dict)
    statuses: dict = field(default_factory=dict)
    errors: list = field(default_factory=list)  # (how often, what)

    def percentile(self, p):
        """None where hey prints none: of n values it leaves out those above 100 * (n - 1) / n."""
        return self.percentiles.get(p)


def parse(text):
    result = Result()
    keys = {"Total": "total", "Fastest": "fastest", "Slowest": "slowest", "Average": "average",
            "Requests/sec": "per_second"}
    for name, value in re.findall(r"^  ([A-Z][\w/]+):\s+([\d.]+)(?: secs)?$", text, re.M):
        if name in keys:
            setattr(result, keys[name], float(value))
    for p, value in re.findall(r"^  (\d+)% in ([\d.]+) secs$", text, re.M):
        if int(p):
            result.percentiles[int(p)] = float(value)
    for status, n in re.findall(r"^  \[(\d+)\]\t(\d+) responses$", text, re.M):
        result.statuses[int(status)] = int(n)
    errors = text.partition("Error distribution:")[2]
    for n, what in re.findall(r"^  \[(\d+)\]\t(.+)$", errors, re.M):
        result.errors.append((int(n), what))
    return result


def find():
    program = shutil.which("hey")
    if not program:
        raise Missing("hey, the load generator, is not installed: apt-get install hey")
    return program


class Hey:
    def __init__(self, settings, address, directory):
        self.args = ["hey", "-n", str(settings.requests), "-c", str(settings.clients), "-t", "180",
                     "-m", "POST", "-T", "application/json", "-d", '{"prompt": "pretty dog"}',
                     f"http://{address}{PATH}"]
        self.directory = directory
        self.output = directory / "hey.txt"
        self.process = None

    def command(self):
        return shlex.join(self.args)

    def start(self):
        with open(self.output, "wb") as out:
            self.process = processes.start([find(), *self.args[1:]], self.directory, out)

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def read(self):
        return parse(self.output.read_text(encoding="utf-8", errors="replace"))
