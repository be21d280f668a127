"""Runs a set of tests, one suite after the other, and counts: `N passed, N failed`.

    tests/run.py rules   the code's own rules
    tests/run.py quick   rules, unit tests and end-to-end tests on the sanitized build
    tests/run.py deep    what takes longer
    tests/run.py torture allocations that fail
    tests/run.py interop     against other projects' own programs
    tests/run.py kubernetes  against the real API server, where it is built; part of quick
    tests/run.py fuzz    each fuzz target for FUZZ_SECONDS

Each suite is a function that yields (name, passed, detail); a suite that dies counts as a failure.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SAN = ROOT / "build" / "san"
SANITIZER_ENV = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
SLOW_SUITE_S = 1500
JOBS = 2  # side by side, where nothing measures time


def run(command, timeout_s=SLOW_SUITE_S, **env):
    """Runs to the end; returns (exit status, output)."""
    try:
        done = subprocess.run(
            [str(word) for word in command], cwd=ROOT, timeout=timeout_s, text=True,
            errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **SANITIZER_ENV, **env})
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        return -1, f"{late.stdout or ''}\ntook longer than {timeout_s} s"


def side_by_side(suite, arguments):
    """suite(argument) for each, JOBS of them at a time; their results in order."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for results in pool.map(lambda argument: list(suite(argument)), arguments):
            yield from results


def part(name, suite):
    """A suite's results, and how long it took."""
    started = time.monotonic()
    yield from suite
    print(f"  {time.monotonic() - started:4.0f} s  {name}", flush=True)


def tap(command, name, **env):
    """A program that speaks TAP (cmocka does when asked): one result a line."""
    status, output = run(command, CMOCKA_MESSAGE_OUTPUT="TAP", **env)
    results = re.findall(r"^(ok|not ok) \d+ -? ?(.*)$", output, re.MULTILINE)
    # cmocka calls one that was skipped "not ok".
    passed = [verdict == "ok" or test.startswith("# SKIP") for verdict, test in results]
    for good, (_, test) in zip(passed, results):
        yield f"{name}: {test}", good, output
    if status != 0 and all(passed) or not results:
        yield f"{name}: exit status {status}", False, output


def unit_programs(build):
    return [program for program in sorted((build / "tests" / "unit").glob("test_*"))
            if program.suffix == "" and os.access(program, os.X_OK)]


def unit_tests(build=SAN, wrapper=(), leave_out=(), **env):
    yield from side_by_side(lambda program: tap([*wrapper, program], program.name, **env),
                            [p for p in unit_programs(build) if p.name not in leave_out])


def pytest(*paths, wrapper=(), jobs=JOBS, must_run=False, **env):
    """A file's tests share their gateways, and so stay together. `must_run`: to be skipped is a
    failure."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        status, output = run(
            [*wrapper, "/usr/bin/python3", "-m", "pytest", "-q",
             "-x" if os.environ.get("STOP") else "-q", "-p", "no:cacheprovider", "-n", jobs,
             "--dist", "loadfile", f"--junit-xml={report.name}", *paths],
            PYTHONDONTWRITEBYTECODE="1", **env)
        try:
            cases = list(xml.parse(report.name).getroot().iter("testcase"))
        except xml.ParseError:
            cases = []
        faults = 0
        for case in cases:
            bad = ("failure", "error", "skipped") if must_run else ("failure", "error")
            fault = next((c for c in case if c.tag in bad), None)
            faults += fault is not None
            name = f"{case.get('classname')}.{case.get('name')}"
            yield name, fault is None, (fault.text or "") if fault is not None else ""
        if not cases or (status != 0 and not faults):
            yield f"end-to-end tests: exit status {status}", False, output


def end_to_end_tests():
    yield from pytest("tests/http", "tests/integration")


def kubernetes():
    """In a network of their own. Skipped where they are not built: make test-kubernetes."""
    sys.path.insert(0, str(ROOT / "tests"))
    from harness.kubernetes import cluster, network
    why_not = cluster.missing() or network.why_not()
    if why_not:
        print(f"skipped: the Kubernetes tests: {why_not}", flush=True)
        return
    # Controllers take their time after an API server that was away.
    yield from pytest("tests/kubernetes", wrapper=network.command(), jobs="0",
                      TEST_PATIENCE=os.environ.get("TEST_PATIENCE", "30"))


def interop():
    """Against other projects' own programs: `make interop` builds them."""
    sys.path.insert(0, str(ROOT / "tests"))
    from harness.kubernetes import network
    yield from pytest("tests/kubernetes/interop", wrapper=network.command(), jobs="0",
                      must_run=True, INTEROP="1")


def rules():
    from tests import rules as code_rules
    yield from code_rules.check(ROOT)


def replayed_corpora():
    """What a fuzzer has found once stays found."""
    status, output = run([SAN / "replay", ROOT / "tests" / "fuzz"])
    yield "fuzz: corpora replayed", status == 0, output


def demo():
    """`make run` in a few seconds."""
    status, output = run(
        ["/usr/bin/python3", "tests/demo/run.py", "--slotgate", SAN / "slotgate", "--pod",
         SAN / "demo-pod"], timeout_s=120, IMAGE_TIME="100ms", COLD_START="300ms",
        STABLE_WINDOW="1s", GRACE="0s", TICK="100ms", PLAIN="1")
    yield "demo: the main job", status == 0, output


def quick():
    yield from part("rules", rules())
    yield from part("unit tests", unit_tests())
    yield from part("fuzzing corpora", replayed_corpora())
    yield from part("end-to-end tests", end_to_end_tests())
    if not os.environ.get("WITHOUT_KUBERNETES"):
        yield from part("Kubernetes", kubernetes())
    yield from part("demo", demo())


FUZZ_TARGETS = {"request": "http.dict", "response": "http.dict", "http2": "http2.dict",
                "grpc": "grpc.dict", "config": "config.dict", "core": "http.dict",
                "kubernetes": "kubernetes.dict"}  # and the words they know


def fuzz(seed=0):
    """Seed 0 is another each time; the deep tests take the same one, so that they tell of a change
    in the code and not of a lucky find: those are for `make fuzz`."""
    yield from side_by_side(lambda target: fuzz_one(target, seed), FUZZ_TARGETS)


def fuzz_one(target, seed):
    seconds = os.environ.get("FUZZ_SECONDS", "40")
    corpus = ROOT / "tests" / "fuzz" / f"corpus-{target}"
    words = ROOT / "tests" / "fuzz" / FUZZ_TARGETS[target]
    with tempfile.TemporaryDirectory() as found:
        status, output = run(
            [ROOT / "build" / "fuzz" / f"fuzz-{target}", f"-max_total_time={seconds}",
             f"-seed={seed}", f"-dict={words}", "-max_len=4096", "-timeout=10",
             "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={found}/", found,
             corpus], timeout_s=int(seconds) + 120)
        for path in pathlib.Path(found).glob("*-*"):
            if path.name.startswith(("crash", "leak", "timeout", "oom")):
                output += f"\n{path.name}: {path.read_bytes()!r}"
    yield f"fuzz: {target} for {seconds} s", status == 0, output


def deep():
    yield from part("unit tests, built with clang", unit_tests(ROOT / "build" / "clang"))
    yield from part("valgrind", valgrind())
    yield from part("end-to-end tests in valgrind", valgrind_end_to_end())
    yield from part("a crowd", crowd())
    yield from part("instructions", instruction_budget())
    yield from part("more worlds", more_worlds())
    yield from part("fuzzing", fuzz(seed=1))
    yield from part("torture", torture())
    yield from part("soak", soak())
    yield from part("slices", slices())
    yield from part("observed", observed())


VALGRIND = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full",
            "--show-leak-kinds=definite,possible", "--errors-for-leak-kinds=definite",
            "--child-silent-after-fork=yes"]


def valgrind():
    # They start the supervisor as /proc/self/exe, which valgrind takes for itself.
    leave_out = {"test_process", "test_supervisor"}
    yield from unit_tests(ROOT / "build", VALGRIND, leave_out, SLOTGATE_TEST_WORLDS="60")


def valgrind_end_to_end():
    """Whole gateways: HTTP/1, HTTP/2 and TLS, answers that stream."""
    files = ("http/test_exchanges", "http/test_http2", "http/test_streams")
    paths = [f"tests/{file}.py" for file in files]
    for name, good, detail in pytest(*paths, SLOTGATE_BUILD="build", TEST_PATIENCE="40",
                                     TEST_WRAPPER=" ".join(VALGRIND)):
        yield f"valgrind: {name}", good, detail


def crowd():
    """Without sanitizers, whose memory does not come back."""
    yield from pytest("tests/deep/test_crowd.py", SLOTGATE_BUILD="build", TEST_PATIENCE="30")


def instruction_budget():
    from tests.bench import budget
    yield from budget.check()


def slices():
    """1,000 pods are shown in slices that hold up nobody."""
    status, output = run(["/usr/bin/python3", "tests/deep/slices.py"], timeout_s=300,
                         SLOTGATE_BUILD=str(ROOT / "build"))
    yield "admin: slices of the loop's time", status == 0, output


def observed():
    """By the real Prometheus and Chromium, which the quick tests do without where they are not."""
    yield from pytest(*(f"tests/integration/test_{name}.py"
                        for name in ("prometheus", "grafana", "ui", "observe")), must_run=True)


def more_worlds():
    """The core's property test over other worlds than in the quick set."""
    def worlds(seed):
        return tap([SAN / "tests/unit/test_core_property"], f"worlds from {seed}",
                   SLOTGATE_TEST_SEED=str(seed))

    yield from side_by_side(worlds, (1_000_000, 2_000_000, 3_000_000))


def soak():
    status, output = run(["/usr/bin/python3", "tests/deep/soak.py"], timeout_s=400,
                         SECONDS=os.environ.get("SOAK_SECONDS", "60"), BUILD="build/san")
    yield "soak", status == 0, output


TORTURED = {"TORTURE_RUNS": "12", "TORTURE_SECONDS": "1", "SLOTGATE_TEST_WORLDS": "5",
            "ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":allow_user_segv_handler=0"}


def torture():
    """Allocations fail: one after the other in the unit tests, and now and then under load."""
    settings = {**TORTURED, **{k: v for k, v in os.environ.items() if k.startswith("TORTURE_")}}
    yield from side_by_side(lambda p: tap([p], f"torture: {p.name}", **settings),
                            unit_programs(SAN))
    status, output = run(["/usr/bin/python3", "tests/deep/torture.py"], timeout_s=400,
                         SECONDS=os.environ.get("SOAK_SECONDS", "18"), BUILD="build/san",
                         CLIENTS="12")
    yield "torture: under load", status == 0, output


def main():
    suites = {"rules": rules, "quick": quick, "deep": deep, "torture": torture, "fuzz": fuzz,
              "kubernetes": kubernetes, "interop": interop}
    suite = suites[sys.argv[1]]
    started, passed, failures = time.monotonic(), 0, []
    for name, good, detail in suite():
        if good:
            passed += 1
            continue
        failures.append(name)
        print(f"\nFAILED {name}\n{detail[-6000:]}", flush=True)
    print(f"\n{sys.argv[1]}: {time.monotonic() - started:.0f} s")
    for name in failures:
        print(f"failed: {name}")
    print(f"{passed} passed, {len(failures)} failed")
    may_be_skipped = suite is kubernetes
    return 1 if failures or not (passed or may_be_skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
