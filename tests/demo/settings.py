"""The demo's settings: flags, the environment variables of the same names, and two presets."""
import argparse
import os
import re
from dataclasses import dataclass

UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not match:
        raise argparse.ArgumentTypeError(f'"{text}" is not a time such as 250ms, 1.5s or 2m')
    return float(match[1]) * UNITS[match[2]]


def count(text):
    if not re.fullmatch(r"[1-9]\d{0,4}", text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from 1 to 99999')
    return int(text)


@dataclass(frozen=True)
class Option:
    name: str
    type: callable
    quick: str  # the default
    published: str  # the default with PUBLISHED=1
    help: str


# The published test does not say how long its pods took to start. Its fastest answer came after
# 9.94 s, an image; its slowest after 62.42 s, which is a start and an image: so about 50 s.
OPTIONS = (
    Option("requests", count, "50", "50", "requests that hey sends"),
    Option("clients", count, "5", "5", "hey's clients, each with one request at a time"),
    Option("pods", count, "5", "5", "maxScale: the most pods"),
    Option("image-time", duration, "1s", "10s", "how long a pod computes for one request"),
    Option("cold-start", duration, "3s", "50s", "from a pod's start until its API is up"),
    Option("stable-window", duration, "6s", "60s", "the autoscaler's stableWindow"),
    Option("grace", duration, "2s", "30s", "the autoscaler's scaleToZeroGracePeriod"),
    Option("tick", duration, "500ms", "2s", "the autoscaler's tickInterval"),
)


@dataclass(frozen=True)
class Settings:
    slotgate: str
    pod: str
    log: str
    plain: bool
    published: bool
    requests: int
    clients: int
    pods: int
    image_time: float
    cold_start: float
    stable_window: float
    grace: float
    tick: float

    @property
    def rounds(self):
        """How many images the busiest pod makes at least: a client has one request at a time, so
        no more than min(pods, clients) pods work at once."""
        return -(-self.requests // min(self.pods, self.clients))

    @property
    def lower_bound(self):
        """No gateway can be faster: the first image begins when the first pod is up, which is a
        cold start after the first request; from then on so many pods make an image each
        `image_time`."""
        return self.cold_start + self.rounds * self.image_time

    @property
    def time_to_zero(self):
        """What scaling down takes by the algorithm: the load must leave the stable window, then
        comes the grace."""
        return self.stable_window + self.grace + 2 * self.tick


def variable(option):
    return option.name.upper().replace("-", "_")


def is_set(name):
    return os.environ.get(name, "") not in ("", "0")


def parser():
    p = argparse.ArgumentParser(
        prog="run.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs slotgate with no pods, sends it the published test with hey, shows the "
        "pods come,\nwork and go, and checks the outcome.",
        epilog="Each is also an environment variable: REQUESTS=100 PODS=8 IMAGE_TIME=500ms make "
        "run.\nExit status: 0 if all went as it must, 1 if not, 2 if it could not start, 130 "
        "after Ctrl-C.",
    )
    p.add_argument("--slotgate", required=True, metavar="FILE", help="the gateway's program")
    p.add_argument("--pod", required=True, metavar="FILE", help="the demo pod's program")
    for o in OPTIONS:
        default = f"{o.quick}; published: {o.published}" if o.quick != o.published else o.quick
        p.add_argument(f"--{o.name}", type=o.type, metavar="N" if o.type is count else "TIME",
                       help=f"{o.help} ({default})")
    p.add_argument("--published", action="store_true", default=is_set("PUBLISHED"),
                   help="the timings of the published test and Knative's default windows, its "
                   "figures beside ours; takes four minutes")
    p.add_argument("--plain", action="store_true", default=is_set("PLAIN"),
                   help="a line for each change, as without a terminal")
    p.add_argument("--log", metavar="FILE", default=os.environ.get("LOG"),
                   help="keep slotgate's log here")
    return p


def read(argv):
    p = parser()
    args = p.parse_args(argv)
    for o in OPTIONS:
        key = o.name.replace("-", "_")
        if getattr(args, key) is not None:
            continue
        text = os.environ.get(variable(o)) or (o.published if args.published else o.quick)
        try:
            setattr(args, key, o.type(text))
        except argparse.ArgumentTypeError as error:
            p.error(f"{variable(o)}: {error}")
    for program in (args.slotgate, args.pod):
        if not os.access(program, os.X_OK):
            p.error(f"there is no program {program}: has it been built?")
    if args.requests % args.clients:
        p.error("REQUESTS must be a multiple of CLIENTS: hey gives each client as many, and drops "
                "the rest")
    return Settings(**vars(args))
