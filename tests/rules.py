"""The code's own rules, checked by a machine: which way includes point, what only one file may
include, headers that compile alone, files and functions that stay small, functions that are banned,
format, and generated pages that are up to date."""

import re
import subprocess
import tempfile

LAYERS = ["base", "config", "metrics", "activator/core", "activator/providers", "activator",
          "gateway"]
MAY_INCLUDE = {
    "base": {"base"},
    "config": {"base", "config"},
    "metrics": {"base", "metrics"},
    "activator/core": {"base", "config", "metrics", "activator/core"},
    "activator/providers": {"base", "config", "metrics", "activator/core", "activator/providers"},
    "activator": set(LAYERS) - {"gateway"},
    "gateway": set(LAYERS),
}
ONE_INCLUDER = {
    "event2/": r"base/loop\.c",
    "llhttp.h": r"gateway/http/http\.c",
    "openssl/": r"base/crypto\.c|base/tls\w*\.[ch]",
    "cjson/": r"base/json\.c",
    "curl/": r"base/http_client\.c",
    "nghttp2/": r"base/h2\.c",
    "autoscaler.pb-c.h": r"gateway/autoscalers/knative_messages\.c",
    "externalscaler.pb-c.h": r"gateway/autoscalers/keda_messages\.c",
    "protobuf-c/": r"nothing but generated files",
    "yaml.h": r"base/yaml\.c",
}
NO_IO = re.compile(r"<(sys/socket|sys/epoll|netinet|arpa|time\.h|sys/time|poll|unistd|fcntl|pthread)")
NO_IO_BASE = {"base/loop.h", "base/net.h", "base/worker.h", "base/spool.h", "base/log.h"}
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|alloca|usleep|sleep|system|popen)\s*\(")
RAW_MEMORY = re.compile(r"(?<![\w>.])(malloc|calloc|realloc|free)\s*\(")
LINES_MAX, FUNCTION_MAX = 700, 80


def layer_of(path):
    folder = path.rsplit("/", 1)[0]
    if folder.startswith("gateway/"):  # its rooms know each other
        return "gateway"
    return folder if folder in LAYERS else None


def sources(root, *suffixes):
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, text=True,
                             stdout=subprocess.PIPE, check=True).stdout.split()
    return [p for p in tracked if p.endswith(suffixes) and (root / p).exists()]


def includes(text):
    return re.findall(r'^\s*#\s*include\s+(["<])([^">]+)[">]', text, re.MULTILINE)


def include_direction(root, files):
    for path in files:
        layer = layer_of(path)
        if not layer:
            continue
        for kind, name in includes((root / path).read_text()):
            if kind == '"' and layer_of(name) and layer_of(name) not in MAY_INCLUDE[layer]:
                yield f"{path} includes {name}: includes point one way, see ARCHITECTURE.md"
            for library, only in ONE_INCLUDER.items():
                if kind == "<" and name.startswith(library) and not re.fullmatch(only, path):
                    yield f"{path} includes <{name}>: only {only} does"


def core_does_no_io(root, files):
    for path in files:
        if not path.startswith("activator/core/"):
            continue
        for kind, name in includes((root / path).read_text()):
            if NO_IO.match(f"<{name}") or name in NO_IO_BASE:
                yield f"{path} includes {name}: the core does no I/O and reads no clock"
        if re.search(r"\bclock_now_us|\bclock_wall_us", (root / path).read_text()):
            yield f"{path} reads a clock: the core is told the time"


def headers_compile_alone(root, files):
    for path in files:
        if not path.endswith(".h") or not layer_of(path) or "<" in path:
            continue
        done = subprocess.run(
            ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-I.", "-Wall", "-Wextra", "-Werror",
             "-fsyntax-only", "-x", "c", "-"], input=f'#include "{path}"\nint unused_;\n', cwd=root,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            yield f"{path} does not compile alone:\n{done.stdout}"


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", " ", text, flags=re.DOTALL)


def banned_functions(root, files):
    for path in files:
        if not layer_of(path):
            continue
        text = without_comments((root / path).read_text())
        for hit in BANNED.finditer(text):
            yield f"{path} calls {hit.group(1)}, which is banned"
        if path != "base/mem.c":
            for hit in RAW_MEMORY.finditer(text):
                yield f"{path} calls {hit.group(1)}: memory comes from base/mem.h"


def small(root, files):
    for path in files:
        lines = (root / path).read_text().split("\n")
        if len(lines) > LINES_MAX:
            yield f"{path} has {len(lines)} lines: a second job may live in it"
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                if number - start > FUNCTION_MAX:
                    yield f"{path}:{start}: a function of {number - start} lines"
                start = None


def formatted(root, files):
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], cwd=root, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    names = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", done.stdout, re.MULTILINE)))
    for name in names:
        yield f"{name} is not formatted: make format"


def pages_up_to_date(root, _files):
    for topic, page in (("options", "config/OPTIONS.md"), ("metrics", "metrics/METRICS.md")):
        made = subprocess.run([root / "build/san/slotgate", "help", topic], text=True,
                              stdout=subprocess.PIPE, check=False).stdout
        if made != (root / page).read_text():
            yield f"{page} is out of date: build/slotgate help {topic} > {page}"


def examples_are_valid(root, _files):
    for path in sorted((root / "deploy").glob("**/*.json")):
        if '"services"' not in path.read_text():
            continue
        done = subprocess.run([root / "build/san/slotgate", "check", "-c", path], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            yield f"{path} is refused:\n{done.stdout}"
    readme = (root / "README.md").read_text()
    for number, text in enumerate(re.findall(r"```json\n(.*?)```", readme, re.DOTALL), 1):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as example:
            example.write(text)
            example.flush()
            done = subprocess.run([root / "build/san/slotgate", "check", "-c", example.name],
                                  text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  check=False)
        if done.returncode:
            yield f"README.md: its JSON example {number} is refused:\n{done.stdout}"


def check(root):
    files = sources(root, ".c", ".h")
    for rule in (include_direction, core_does_no_io, headers_compile_alone, banned_functions, small,
                 formatted, pages_up_to_date, examples_are_valid):
        faults = list(rule(root, files))
        yield f"rules: {rule.__name__}", not faults, "\n".join(faults)
