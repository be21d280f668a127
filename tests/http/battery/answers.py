"""What pods answer, and what a client may make of it."""
from dataclasses import dataclass, field

WHOLE, REFUSED, BROKEN = "whole", "refused", "broken"
KEEP, FIN, RST = "keep", "fin", "rst"  # what the pod does behind its last byte


@dataclass
class Answer:
    name: str
    data: bytes
    want: str              # WHOLE, REFUSED (502), or BROKEN (never taken for a whole one)
    then: str = KEEP
    status: int = 200
    body: bytes = b""
    method: str = "GET"
    version: str = "1.1"
    has: dict = field(default_factory=dict)  # headers of the answer that the client gets
    lacks: tuple = ()
    interims: tuple = ()   # statuses before it
    headers: tuple = ()    # of the request
    is_dirty: bool = False  # whole, but the pod's connection must not be used again

    def __str__(self):
        return self.name.replace(" ", "_")


OK = b"HTTP/1.1 200 OK\r\n"
LAST = b"0\r\n\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"


def ok(*headers, body=b""):
    return OK + b"".join(line + b"\r\n" for line in headers) + b"\r\n" + body


def sized(body=b"abc", *headers, length=None):
    return ok(b"Content-Length: %d" % (len(body) if length is None else length), *headers, body=body)


def chunked(raw, *headers):
    return ok(b"Transfer-Encoding: chunked", *headers, body=raw)


def whole(name, data, **more):
    return Answer(name, data, WHOLE, **more)


def refused(name, data, then=KEEP, **more):
    return Answer(name, data, REFUSED, then, **more)


def broken(name, data, then=KEEP, **more):
    return Answer(name, data, BROKEN, then, **more)


GOOD = [
    whole("sized", sized(), body=b"abc"),
    whole("sized, then closed", sized(), then=FIN, body=b"abc"),
    whole("sized with blanks", ok(b"Content-Length:   3  ", body=b"abc"), body=b"abc"),
    whole("sized with zeros", ok(b"Content-Length: 0003", body=b"abc"), body=b"abc"),
    whole("empty", EMPTY),
    whole("chunked", chunked(b"1\r\na\r\n2\r\nbc\r\n" + LAST), body=b"abc"),
    whole("chunked with extensions", chunked(b'3;a="b"\r\nabc\r\n0;x\r\n\r\n'), body=b"abc"),
    whole("chunked with a trailer", chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), body=b"abc"),
    whole("chunked with a forbidden trailer",
          chunked(b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nSet-Cookie: a\r\n\r\n"), body=b"abc",
          lacks=("set-cookie",)),
    whole("until the end", ok(body=b"abc"), then=FIN, body=b"abc"),
    whole("until the end, nothing", ok(), then=FIN),
    whole("of http 1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", body=b"abc"),
    whole("of http 1.0 until the end", b"HTTP/1.0 200 OK\r\n\r\nabc", then=FIN, body=b"abc"),
    whole("without a reason", b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    whole("without a reason or a space", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
    whole("with an odd reason", b"HTTP/1.1 200 \xc3\xa4 (:;) x\r\nContent-Length: 0\r\n\r\n"),
    *(whole(f"status {n}", b"HTTP/1.1 %d X\r\nContent-Length: 3\r\n\r\nabc" % n, status=n, body=b"abc")
      for n in (201, 206, 299, 302, 404, 418, 499, 500, 503, 599)),
    whole("status 205", b"HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n", status=205),
    whole("status 204", b"HTTP/1.1 204 X\r\n\r\n", status=204, lacks=("content-length", "transfer-encoding")),
    whole("status 204 with a length", b"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n", status=204,
          lacks=("content-length", "transfer-encoding")),
    whole("status 204 with a body", b"HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\nabc", status=204,
          lacks=("content-length",), is_dirty=True),
    whole("status 204 with chunks", b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
          status=204, lacks=("transfer-encoding",), is_dirty=True),
    whole("status 304 with a length", b"HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", status=304,
          has={"content-length": ["9"]}),
    whole("status 304 with a body", b"HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\nabc", status=304,
          is_dirty=True),
    whole("head with a length", ok(b"Content-Length: 500"), method="HEAD",
          has={"content-length": ["500"]}),
    whole("head with chunks", ok(b"Transfer-Encoding: chunked"), method="HEAD"),
    whole("head with nothing", ok(), method="HEAD"),
    whole("head with a body", sized(), method="HEAD", is_dirty=True),
    whole("head with a chunked body", chunked(b"3\r\nabc\r\n" + LAST), method="HEAD", is_dirty=True),
    whole("bytes behind it", sized() + b"xyz", body=b"abc", is_dirty=True),
    whole("another answer behind it", sized() + sized(b"evil"), body=b"abc", is_dirty=True),
    whole("another answer behind chunks", chunked(b"3\r\nabc\r\n" + LAST) + sized(b"evil"), body=b"abc",
          is_dirty=True),
    whole("an empty line behind it", sized() + b"\r\n", body=b"abc", is_dirty=True),
    whole("connection close", sized(b"abc", b"Connection: close"), body=b"abc", is_dirty=True),
    whole("to http 1.0, chunked", chunked(b"3\r\nabc\r\n" + LAST), version="1.0", body=b"abc",
          lacks=("transfer-encoding",)),
    whole("to http 1.0, until the end", ok(body=b"abc"), then=FIN, version="1.0", body=b"abc"),
    whole("continue before it", b"HTTP/1.1 100 Continue\r\n\r\n" + EMPTY),
    whole("hints before it", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + EMPTY, interims=(103,)),
    whole("processing before it", b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + EMPTY, interims=(102,) * 3),
    whole("hints to http 1.0", b"HTTP/1.1 103 Early Hints\r\n\r\n" + EMPTY, version="1.0"),
    whole("hints with a length", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + EMPTY,
          interims=(103,)),
    whole("cookies in order", ok(b"Set-Cookie: a=1", b"Set-Cookie: b=2, c", b"Set-Cookie: a=3",
                                 b"Content-Length: 0"), has={"set-cookie": ["a=1", "b=2, c", "a=3"]}),
    whole("obs-text", ok(b"X: \xff\xc3\xa9", b"Content-Length: 0"), has={"x": ["\xff\xc3\xa9"]}),
    whole("hop-by-hop fields", ok(b"Connection: X-Hop, keep-alive", b"X-Hop: 1", b"Keep-Alive: timeout=9",
                                  b"Proxy-Connection: x", b"Upgrade: h2c", b"Trailer: X-Sum",
                                  b"X-End: 1", b"Content-Length: 0"),
          has={"x-end": ["1"]}, lacks=("x-hop", "keep-alive", "proxy-connection", "upgrade", "trailer")),
    whole("nominated length", ok(b"Connection: Content-Length", b"Content-Length: 3", body=b"abc"),
          body=b"abc"),
    whole("via", ok(b"Via: 1.0 inner", b"Content-Length: 0"), has={"via": ["1.0 inner", "1.1 slotgate"]}),
    whole("date", ok(b"Date: Thu, 01 Jan 1970 00:00:00 GMT", b"Content-Length: 0"),
          has={"date": ["Thu, 01 Jan 1970 00:00:00 GMT"]}),
]

STATUS_LINES = {
    "garbage": b"\x00\x01\x02\x03", "html": b"<html>hello</html>\r\n\r\n", "text": b"hello\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n", "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "version 2": b"HTTP/2 200 OK\r\n\r\n", "version 2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "version 0.9": b"HTTP/0.9 200 OK\r\n\r\n", "version in small letters": b"http/1.1 200 OK\r\n\r\n",
    "icy": b"ICY 200 OK\r\n\r\n", "two spaces": b"HTTP/1.1  200 OK\r\n\r\n", "tab": b"HTTP/1.1\t200 OK\r\n\r\n",
    "status 99": b"HTTP/1.1 99 X\r\n\r\n", "status 099": b"HTTP/1.1 099 X\r\n\r\n",
    "status 1000": b"HTTP/1.1 1000 X\r\n\r\n", "status abc": b"HTTP/1.1 abc X\r\n\r\n",
    "status 20": b"HTTP/1.1 20 X\r\n\r\n", "status 000": b"HTTP/1.1 000 X\r\n\r\n",
    "status -200": b"HTTP/1.1 -200 X\r\n\r\n", "status 2x0": b"HTTP/1.1 2x0 X\r\n\r\n",
    "status with a point": b"HTTP/1.1 200.1 X\r\n\r\n", "no status": b"HTTP/1.1 OK\r\n\r\n",
    "nothing but a version": b"HTTP/1.1\r\n\r\n", "an empty line first": b"\r\n" + EMPTY,
    "reason with bare cr": b"HTTP/1.1 200 O\rK\r\n\r\n", "reason with nul": b"HTTP/1.1 200 O\0K\r\n\r\n",
}

FIELDS = {
    "without a colon": b"NoColon", "without a name": b": v", "space before the colon": b"A : v",
    "name with a space": b"A B: v", "name with nul": b"A\0: v", "name with obs-text": b"A\xe9: v",
    "value with nul": b"A: \0", "value with a control byte": b"A: \x01", "value with bare cr": b"A: v\rSet-Cookie: x",
    "value with bare lf": b"A: v\nSet-Cookie: x", "folded": b"A: v\r\n w", "folded by a tab": b"A: v\r\n\tw",
    "behind a space": b" A: v",
}

FRAMINGS = {
    "length signed": b"Content-Length: +3", "length negative": b"Content-Length: -3", "length hex": b"Content-Length: 0x3",
    "length of letters": b"Content-Length: abc", "length empty": b"Content-Length:", "length of two": b"Content-Length: 3, 4",
    "length fraction": b"Content-Length: 3.0", "length overflow": b"Content-Length: 18446744073709551619",
    "length of 2^63": b"Content-Length: 9223372036854775808", "length twice": b"Content-Length: 3\r\nContent-Length: 4",
    "length and coding": b"Content-Length: 3\r\nTransfer-Encoding: chunked",
    "coding and length": b"Transfer-Encoding: chunked\r\nContent-Length: 3", "coding unknown": b"Transfer-Encoding: xchunked",
    "coding gzip": b"Transfer-Encoding: gzip", "coding gzip, chunked": b"Transfer-Encoding: gzip, chunked",
    "coding chunked, identity": b"Transfer-Encoding: chunked, identity", "coding identity": b"Transfer-Encoding: identity",
    "coding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "coding empty": b"Transfer-Encoding:",
    "coding with a vertical tab": b"Transfer-Encoding: \x0bchunked",
}

WRONG = [
    *(refused(name, data) for name, data in STATUS_LINES.items()),
    *(refused(f"field {name}", ok(line, b"Content-Length: 0")) for name, line in FIELDS.items()),
    *(refused(name, ok(line, body=b"abc")) for name, line in FRAMINGS.items()),
    refused("coding in http 1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST),
    refused("head too large", ok(b"A: " + b"v" * 100_000)),
    refused("head without end", OK + b"A: " + b"v" * 300_000),
    refused("status line without end", b"HTTP/1.1 200 " + b"v" * 300_000),
    refused("fields by the thousand", ok(*[b"A: v"] * 3000)),
    refused("protocols switched unasked", b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    *(refused(f"switch to {name}", b"HTTP/1.1 101 X\r\nConnection: upgrade\r\n" + line + b"\r\n",
              headers=(("Connection", "upgrade"), ("Upgrade", "websocket")))
      for name, line in {"nothing": b"", "h2c": b"Upgrade: h2c\r\n"}.items()),
    refused("nothing", b"", FIN), refused("nothing but a reset", b"", RST),
    refused("half a status line", b"HTTP/1.1 20", FIN), refused("half a head", OK + b"Content-Le", FIN),
    refused("half a head and a reset", OK + b"Content-Le", RST),
    refused("a head without its last line", OK + b"Content-Length: 3\r\n", FIN),
    refused("continue and no more", b"HTTP/1.1 100 Continue\r\n\r\n", FIN),
    refused("continue and garbage", b"HTTP/1.1 100 Continue\r\n\r\nxyz\r\n"),
    refused("interim answers by the thousand", b"HTTP/1.1 102 Processing\r\n\r\n" * 3000),
]

CUT = [
    broken("short of its length", sized(b"abc", length=9), FIN),
    broken("short of its length and a reset", sized(b"abc", length=9), RST),
    broken("no byte of its length", sized(b"", length=9), FIN),
    broken("chunks without the last", chunked(b"3\r\nabc\r\n"), FIN),
    broken("chunks without the last and a reset", chunked(b"3\r\nabc\r\n"), RST),
    broken("no chunk at all", chunked(b""), FIN),
    broken("half a chunk", chunked(b"9\r\nabc"), FIN), broken("half a chunk's size", chunked(b"3\r\nabc\r\n1"), FIN),
    broken("last chunk without its end", chunked(b"3\r\nabc\r\n0\r\n"), FIN),
    broken("half a trailer", chunked(b"3\r\nabc\r\n0\r\nX: y"), FIN),
    broken("chunk size of letters", chunked(b"3\r\nabc\r\nxyz\r\n")),
    broken("chunk size negative", chunked(b"3\r\nabc\r\n-1\r\n")),
    broken("chunk size overflow", chunked(b"3\r\nabc\r\nfffffffffffffffff\r\n")),
    broken("chunk too long", chunked(b"3\r\nabcd\r\n" + LAST)),
    broken("chunk size with bare lf", chunked(b"3\nabc\r\n" + LAST)),
    broken("chunk data with bare lf", chunked(b"3\r\nabc\n" + LAST)),
    broken("bad trailer", chunked(b"3\r\nabc\r\n0\r\nA B: c\r\n\r\n")),
    broken("trailer without end", chunked(b"3\r\nabc\r\n0\r\nX: " + b"y" * 200_000)),
    broken("until the end, and a reset", ok(body=b"abc"), RST),
    broken("short of its length, to http 1.0", sized(b"abc", length=9), FIN, version="1.0"),
    broken("chunks without the last, to http 1.0", chunked(b"3\r\nabc\r\n"), FIN, version="1.0"),
    broken("until the end and a reset, to http 1.0", ok(body=b"abc"), RST, version="1.0"),
]

CASES = GOOD + WRONG + CUT
