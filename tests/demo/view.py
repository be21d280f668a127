"""The live view: what is shown, and the kind for logs, which has a line for each change."""
import re
import time

STATES = ("starting", "ready", "working", "draining", "withdrawn", "removing")


def pod_state(pod):
    """What a pod is doing, in one word: slotgate's own, except that where it says ready or full,
    it is told whether the pod works."""
    slots = pod.get("slots", {})
    if pod["state"] in ("ready", "full"):
        if slots.get("draining"):
            return "draining"
        return "working" if pod.get("used") else "ready"
    return pod["state"]


def pod_port(pod):
    match = re.search(r":(\d+)$", pod.get("address") or "")
    return int(match[1]) if match else None


class Row:
    """A pod's line: what it does, and all that it has done, as (time, state)."""

    def __init__(self):
        self.history = []
        self.port = None

    def now(self):
        return self.history[-1][1] if self.history else None

    def note(self, at, state):
        if state != self.now():
            self.history.append((at, state))

    def strip(self, now, seconds):
        """The state at the end of each stretch of `seconds` until now."""
        states = []
        changes = iter(self.history)
        upcoming, state = next(changes, None), None
        for i in range(int(now / seconds) + 1):
            while upcoming and upcoming[0] < (i + 1) * seconds:
                state, upcoming = upcoming[1], next(changes, None)
            states.append(state)
        return states


class View:
    """What both kinds of view show, taken from slotgate's answer."""

    def __init__(self, settings):
        self.settings = settings
        self.start = time.monotonic()
        self.rows = {}  # by the pod's name
        self.queue = 0
        self.scale = {}
        self.done = 0
        self.phase = ""

    def update(self, service, pods):
        now = time.monotonic() - self.start
        self.queue = service["queue"]["waiting"]
        self.scale = service["scale"]
        present = {}
        for pod in service["pods"]:
            present[pod["name"]] = pod
            row = self.rows.setdefault(pod["name"], Row())
            row.port = pod_port(pod) or row.port
            row.note(now, pod_state(pod))
        for name, row in self.rows.items():
            if name not in present:
                row.note(now, None)
        self.done = pods.served()

    def counts(self):
        states = [row.now() for row in self.rows.values() if row.now()]
        return {state: states.count(state) for state in dict.fromkeys([*STATES, *states])
                if state in states}

    def show(self, pods):
        raise NotImplementedError

    def close(self):
        pass


class LineView(View):
    def __init__(self, settings):
        super().__init__(settings)
        self.last = None

    def show(self, pods):
        counts = ", ".join(f"{n} {state}" for state, n in self.counts().items()) or "none"
        line = (f"queue {self.queue:<3} done {self.done:>3}/{self.settings.requests}  "
                f"pods wanted {self.scale['desired']}: {counts}")
        if line != self.last:
            print(f"{time.monotonic() - self.start:6.1f} s  {line}")
        self.last = line
