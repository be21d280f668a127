"""What a case of a client's bytes is, and how a list of them is written."""
from dataclasses import dataclass, field

CRITICAL, MAJOR, MINOR = "critical", "major", "minor"
REJECT, PASS, EITHER = "reject", "pass", "either"
BAD = frozenset({400})


@dataclass
class Case:
    name: str
    data: bytes
    want: str                       # REJECT, PASS, or EITHER (the RFC leaves it open)
    statuses: frozenset = BAD       # of a refusal
    severity: str = MAJOR           # of a wrong outcome
    seen: dict = field(default_factory=dict)  # of the request at the pod: target, method, body
    has: dict = field(default_factory=dict)   # its headers' values, by name in lower case
    lacks: tuple = ()               # names that it must not have
    count: int = 1                  # requests that reach the pod, and answers

    def __str__(self):
        return self.name.replace(" ", "_")


def message(line=b"GET /p HTTP/1.1", *headers, body=b"", host=b"g"):
    lines = [line] + ([b"Host: " + host] if host is not None else []) + list(headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def post(*headers, body=b"", line=b"POST /p HTTP/1.1"):
    return message(line, *headers, body=body)


def chunked(body, line=b"POST /p HTTP/1.1"):
    return message(line, b"Transfer-Encoding: chunked", body=body)


def reject(name, data, *statuses, severity=MAJOR):
    return Case(name, data, REJECT, frozenset(statuses) or BAD, severity)


def passes(name, data, severity=MAJOR, has=None, lacks=(), count=1, **seen):
    return Case(name, data, PASS, BAD, severity, seen, has or {}, lacks, count)


def either(name, data, *statuses, severity=MAJOR, has=None, lacks=(), **seen):
    return Case(name, data, EITHER, frozenset(statuses) or BAD, severity, seen, has or {}, lacks)
