"""The pods' side of the story: each pod's own audit file, which outlives the pod."""
import json
import re
from dataclasses import dataclass

import processes


@dataclass
class Pod:
    index: int
    port: int
    started: float  # both as time.monotonic() counts
    ready: float
    audit: dict
    modified: int

    @property
    def served(self):
        return self.audit["served"]

    @property
    def highest(self):
        return self.audit["highestSimultaneous"]

    @property
    def cold_start(self):
        """From the process's start until its API was up."""
        return self.ready - self.started if self.started is not None else None

    @property
    def first_job(self):
        """From then until the first request reached it."""
        first = self.audit["firstRequestMicros"]
        return first / 1e6 - self.ready if first else None


def pattern(directory):
    """The audit's file, for the pod's command line: an index started again gets another port."""
    return f"{directory}/audit-{{index}}-{{port}}.json"


class Pods:
    """Every pod that has been ready since the start."""

    def __init__(self, directory):
        self.directory = directory
        self.found = {}  # by file

    def refresh(self):
        for path in self.directory.glob("audit-*.json"):
            modified = path.stat().st_mtime_ns
            pod = self.found.get(path)
            if pod and pod.modified == modified:
                continue
            audit = json.loads(path.read_bytes())
            if pod:
                pod.audit, pod.modified = audit, modified
            elif audit["readyMicros"]:  # else it was stopped before it was up
                index, port = re.fullmatch(r"audit-(\d+)-(\d+)\.json", path.name).groups()
                self.found[path] = Pod(int(index), int(port), processes.start_time(audit["pid"]),
                                       audit["readyMicros"] / 1e6, audit, modified)

    def all(self):
        return sorted(self.found.values(), key=lambda pod: (pod.index, pod.ready))

    def at(self, port):
        return next((pod for pod in self.found.values() if pod.port == port), None)

    def served(self):
        return sum(pod.served for pod in self.found.values())
