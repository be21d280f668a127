"""The first line, the target, the Host and the header lines of a request."""
from .case import CRITICAL, MINOR, either, message, passes, reject

LINE = b"GET /p HTTP/1.1"
TLS = bytes.fromhex("160301007a010000760303") + bytes(range(100))
LONG = (400, 414, 431)


def line(text, *headers):
    return message(text, *headers)


def header(text):
    return message(LINE, text)


def target(text, method=b"GET"):
    return message(method + b" " + text + b" HTTP/1.1")


LINES = [
    *(reject(f"line {name}", line(text), 400, 501, 505) for name, text in {
        "of garbage": b"!@#$%^&*()", "two spaces before the target": b"GET  /p HTTP/1.1",
        "two spaces before the version": b"GET /p  HTTP/1.1", "tab before the target": b"GET\t/p HTTP/1.1",
        "tab before the version": b"GET /p\tHTTP/1.1", "space at the end": b"GET /p HTTP/1.1 ",
        "space at the start": b" GET /p HTTP/1.1", "tab at the start": b"\tGET /p HTTP/1.1",
        "vertical tab": b"GET\x0b/p HTTP/1.1", "without a target": b"GET HTTP/1.1",
        "without a target, two spaces": b"GET  HTTP/1.1", "without a version": b"GET /p",
        "with a word more": b"GET /p HTTP/1.1 x", "bare cr before the target": b"GET\r/p HTTP/1.1",
        "bare cr in the target": b"GET /p\rx HTTP/1.1", "bare cr at the end": b"GET /p HTTP/1.1\r",
        "nul": b"GET /p\0 HTTP/1.1", "version in small letters": b"GET /p http/1.1",
        "version 1.10": b"GET /p HTTP/1.10", "version 01.1": b"GET /p HTTP/01.1",
        "version 1": b"GET /p HTTP/1", "version 1.": b"GET /p HTTP/1.", "version .1": b"GET /p HTTP/.1",
        "version 1,1": b"GET /p HTTP/1,1", "version 1.1.1": b"GET /p HTTP/1.1.1",
        "version 1.x": b"GET /p HTTP/1.x", "version -1.1": b"GET /p HTTP/-1.1",
        "version 2.0": b"GET /p HTTP/2.0", "version 3.9": b"GET /p HTTP/3.9",
        "version 0.9": b"GET /p HTTP/0.9", "version 0.0": b"GET /p HTTP/0.0",
        "version 9.9": b"GET /p HTTP/9.9", "version with a space": b"GET /p HTTP/ 1.1",
        "protocol http2": b"PRI * HTTP/2.0", "protocol rtsp": b"GET /p RTSP/1.0",
        "protocol https": b"GET /p HTTPS/1.1", "protocol icy": b"SOURCE /p ICE/1.0",
        "protocol xhttp": b"GET /p XHTTP/1.1", "method with a control byte": b"GE\x01T /p HTTP/1.1",
        "method with nul": b"GE\0T /p HTTP/1.1", "method in brackets": b"(GET) /p HTTP/1.1",
        "method with a colon": b"GET: /p HTTP/1.1", "method with obs-text": b"G\xc3\x89T /p HTTP/1.1",
        "method with a slash": b"GE/T /p HTTP/1.1", "method empty": b" /p HTTP/1.1",
        "method with at": b"G@T /p HTTP/1.1", "method quoted": b'"GET" /p HTTP/1.1',
    }.items()),
    reject("http 0.9", b"GET /p\r\n\r\n", severity=MINOR),
    reject("tls", TLS + b"\r\n\r\n"),
    reject("method without end", b"A" * 100_000 + b" /p HTTP/1.1\r\n\r\n", 400, 414, 431, 501),
    *(either(f"method {name}", message(method + b" /p HTTP/1.1"), 400, 405, 501,
             method=method.decode()) for name, method in {
        "in small letters": b"get", "in mixed case": b"GeT", "unknown": b"BREW",
        "of one letter": b"X", "with an underscore": b"MY_METHOD", "with odd tokens": b"A!#$%&'*+-.^_`|~9",
        "of webdav": b"PROPFIND", "with a dash": b"M-SEARCH", "nearly get": b"GETX",
        "of 40 letters": b"ABCDEFGHIJ" * 4, "purge": b"PURGE", "put": b"PUT", "delete": b"DELETE",
        "patch": b"PATCH",
    }.items()),
    passes("unknown method", message(b"BREW /p HTTP/1.1"), method="BREW"),
    reject("connect", message(b"CONNECT g:443 HTTP/1.1", host=b"g:443"), 400, 403, 405, 501,
           severity=CRITICAL),
    reject("connect to a path", message(b"CONNECT /p HTTP/1.1"), 400, 403, 405, 501),
    either("trace", message(b"TRACE /p HTTP/1.1"), 400, 403, 405, 501),
    either("version 1.2", line(b"GET /p HTTP/1.2"), 400, 505, target="/p"),
    either("version 1.9", line(b"GET /p HTTP/1.9"), 400, 505, target="/p"),
    passes("version 1.0", line(b"GET /p HTTP/1.0"), target="/p"),
    passes("version 1.0 without a host", message(b"GET /p HTTP/1.0", host=None), target="/p"),
    passes("an empty line before", b"\r\n" + message(), target="/p"),
    either("many empty lines before", b"\r\n" * 20 + message(), target="/p", severity=MINOR),
    either("a bare lf before", b"\n" + message(), target="/p", severity=MINOR),
    either("a bare cr before", b"\rGET /p HTTP/1.1\r\nHost: g\r\n\r\n", target="/p"),
    either("all bare lf", b"GET /p HTTP/1.1\nHost: g\n\n", target="/p"),
    either("line with a bare lf", b"GET /p HTTP/1.1\nHost: g\r\n\r\n", target="/p"),
    either("end with a bare lf", b"GET /p HTTP/1.1\r\nHost: g\r\n\n", target="/p"),
    reject("end with a bare cr", b"GET /p HTTP/1.1\r\nHost: g\r\n\rGET /smuggled HTTP/1.1\r\n\r\n",
           severity=CRITICAL),
    reject("end with cr cr lf", b"GET /p HTTP/1.1\r\nHost: g\r\n\r\r\n", severity=CRITICAL),
]

TARGETS = [
    *(reject(f"target {name}", target(text)) for name, text in {
        "relative": b"p", "backslash alone": b"\\p", "star of a get": b"*", "star and more": b"*/p",
        "authority": b"g:80", "with nul": b"/\0", "with a control byte": b"/\x01p",
        "with delete": b"/\x7fp", "with a tab": b"/a\tb", "with a space": b"/a b",
        "of another scheme": b"ftp://g/p", "scheme without a host": b"http:///p",
        "scheme alone": b"http://", "scheme with one slash": b"http:/g/p", "with user": b"http://u@g/p",
        "with user and password": b"http://u:p@g/p", "host with a space escaped": b"http://g\\@evil/p",
        "port of letters": b"http://g:x/p", "port too large": b"http://g:99999/p",
        "empty query": b"?x", "javascript": b"javascript:alert(1)", "with vertical tab": b"/\x0bp",
    }.items()),
    reject("star of a post", message(b"POST * HTTP/1.1", b"Content-Length: 0")),
    *(passes(f"target untouched {name}", target(text), target=text.decode("latin-1"))
      for name, text in {
        "root": b"/", "percent": b"/a%20b", "nul": b"/a%00b", "dots": b"/a/../b", "escaped dots": b"/%2e%2e/b",
        "escaped slash": b"/a%2fb%2Fc", "slashes": b"//a///b", "leading slashes": b"//evil.com/p",
        "dot": b"/./a/.", "query": b"/a?b=c&d=%26", "query of queries": b"/a?b?c", "empty query": b"/a?",
        "semicolon": b"/a;b=c", "colon": b"/a:80", "at": b"/@a", "escaped cr lf": b"/a%0d%0aX:%20y",
        "bad percent": b"/a%zz", "percent alone": b"/a%", "plus": b"/a+b", "tilde": b"/~a",
        "escaped high": b"/%ff%c0%af", "unicode escape": b"/%u002e", "brackets": b"/a[0]", "braces": b"/{a}",
        "pipe": b"/a|b", "quotes": b"/a\"b'c", "backslash": b"/a\\..\\b", "caret": b"/a^b`c",
        "comma": b"/a,b", "star": b"/*", "absolute inside": b"/http://evil/", "dots behind": b"/a..;/b",
        "angle": b"/<a>",
    }.items()),
    either("target with obs-text", target(b"/\xc3\xa9"), target="/\xc3\xa9"),
    either("target with a fragment", target(b"/p#f"), target="/p#f"),
    passes("absolute target", message(b"GET http://real/p?q HTTP/1.1", host=b"other"),
           severity=CRITICAL, target="/p?q", has={"host": ["real"]}),
    passes("absolute target with a port", message(b"GET http://real:81/p HTTP/1.1", host=b"real"),
           target="/p", has={"host": ["real:81"]}),
    passes("absolute https target", message(b"GET https://real/p HTTP/1.1", host=b"other"),
           target="/p", has={"host": ["real"]}),
    passes("absolute target in capitals", message(b"GET HTTP://real/p HTTP/1.1", host=b"real"),
           target="/p", has={"host": ["real"]}),
    passes("absolute target without a path", message(b"GET http://real HTTP/1.1", host=b"real"),
           target="/", has={"host": ["real"]}),
    passes("absolute target with a query only", message(b"GET http://real?q=/x HTTP/1.1",
                                                        host=b"real"), target="/?q=/x",
           has={"host": ["real"]}),
    passes("options of an absolute target", message(b"OPTIONS http://real HTTP/1.1", host=b"real"),
           target="*", severity=MINOR),
    passes("options of all", message(b"OPTIONS * HTTP/1.1"), target="*"),
    passes("options of a path", message(b"OPTIONS /p HTTP/1.1"), target="/p"),
    passes("target of 7000 bytes", target(b"/" + b"a" * 7000), target="/" + "a" * 7000),
    reject("target of 100000 bytes", target(b"/" + b"a" * 100_000), *LONG),
    passes("max-forwards of options", message(b"OPTIONS /p HTTP/1.1", b"Max-Forwards: 5"),
           has={"max-forwards": ["4"]}, severity=MINOR),
    passes("max-forwards of a get", message(LINE, b"Max-Forwards: 0"), has={"max-forwards": ["0"]}),
    passes("max-forwards of nonsense", message(b"OPTIONS /p HTTP/1.1", b"Max-Forwards: x"),
           severity=MINOR),
]

HOSTS = [
    *(reject(f"host {name}", message(host=text)) for name, text in {
        "with a space": b"a b", "with a tab": b"a\tb", "with a path": b"a/b", "with user": b"u@a",
        "with a query": b"a?b", "with a fragment": b"a#b", "with nul": b"a\0b", "joined": b"a, b",
        "joined without a space": b"a,b", "port of letters": b"a:b", "port negative": b"a:-1",
        "port too large": b"a:65536", "two ports": b"a:80:81", "port alone": b":80", "with backslash": b"a\\b",
        "open bracket": b"[::1", "bracket and more": b"[::1]x", "empty bracket": b"[]", "angle": b"<a>",
        "quoted": b'"a"', "a url": b"http://a", "with delete": b"a\x7f", "with braces": b"{a}",
        "with a pipe": b"a|b", "with a caret": b"a^b",
    }.items()),
    reject("no host", message(host=None), severity=CRITICAL),
    reject("no host, absolute target", message(b"GET http://g/p HTTP/1.1", host=None)),
    reject("two hosts", message(LINE, b"Host: b"), severity=CRITICAL),
    reject("two hosts, the same", message(LINE, b"Host: g"), severity=CRITICAL),
    reject("two hosts, absolute target", message(b"GET http://g/p HTTP/1.1", b"Host: b"),
           severity=CRITICAL),
    reject("two hosts in http 1.0", message(b"GET /p HTTP/1.0", b"Host: b"), severity=CRITICAL),
    reject("host with a space before the colon", message(LINE, b"Host : g", host=None)),
    reject("host folded", message(LINE, b"Host:\r\n g", host=None)),
    reject("bad host, absolute target", message(b"GET http://g/p HTTP/1.1", host=b"a b")),
    either("host empty", message(host=b"")),
    *(passes(f"host {name}", message(host=text), has={"host": [text.decode()]})
      for name, text in {"with a port": b"a:80", "of ipv4": b"1.2.3.4", "of ipv6": b"[::1]:80",
                         "in capitals": b"EXAMPLE.com", "with a dot behind": b"a.", "with a dash": b"a-b_c"}.items()),
]

FIELDS = [
    *(reject(f"field {name}", header(text), severity=CRITICAL) for name, text in {
        "without a colon": b"NoColon", "without a name": b": v", "name with a space behind": b"A : v",
        "name with a tab behind": b"A\t: v", "name with a space": b"A B: v", "name with nul": b"A\0: v",
        "name with a control byte": b"A\x01: v", "name with delete": b"A\x7f: v",
        "name with obs-text": b"A\xe9: v", "name in brackets": b"(A): v", "name with at": b"A@: v",
        "name with a slash": b"A/B: v", "name quoted": b'"A": v', "name with a comma": b"A,B: v",
        "name with a semicolon": b"A;: v", "name in braces": b"{A}: v", "name with equals": b"A=: v",
        "name with a backslash": b"A\\: v", "value with nul": b"A: v\0", "value with bare cr": b"A: v\rB: w",
        "value with control byte": b"A: \x01", "value with vertical tab": b"A: \x0b", "value with delete": b"A: \x7f",
        "value with escape": b"A: \x1b[0m", "folded": b"A: v\r\n w", "folded by a tab": b"A: v\r\n\tw",
        "folded of nothing": b"A: v\r\n  \r\nB: w", "value of bare cr": b"A: \r\r", "name of bare cr": b"A\r: v",
    }.items()),
    reject("field before the first", message(b"GET /p HTTP/1.1\r\n X: y"), severity=CRITICAL),
    reject("field before the first by a tab", message(b"GET /p HTTP/1.1\r\n\tX: y"), severity=CRITICAL),
    either("field with a bare lf", header(b"A: v\nB: w"), severity=CRITICAL),
    reject("field too long", header(b"A: " + b"v" * 300_000), 400, 431, 413),
    reject("field's name too long", header(b"A" * 300_000 + b": v"), 400, 431, 413),
    reject("fields too many", message(LINE, *[b"A: v"] * 3000), 400, 431, 413),
    *(passes(f"field {name}", header(text), has={"a": values}) for name, text, values in [
        ("empty", b"A:", [""]), ("of blanks", b"A: \t ", [""]), ("trimmed", b"A: \t v \t", ["v"]),
        ("with a colon", b"A: b: c", ["b: c"]), ("with a tab", b"A: b\tc", ["b\tc"]),
        ("of obs-text", b"A: \xc3\xa9\xff", ["\xc3\xa9\xff"]), ("twice", b"A: 1\r\nA: 2", ["1", "2"]),
        ("quoted", b'A: "b\\"c"', ['"b\\"c"']), ("in other case", b"a: v", ["v"]),
        ("long", b"A: " + b"v" * 5000, ["v" * 5000]),
    ]),
    passes("field of all tokens", header(b"!#$%&'*+-.^_`|~09azAZ: v")),
]

HOPS = [
    passes("hop-by-hop fields", message(
        LINE, b"Connection: keep-alive, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive", b"TE: trailers", b"Trailer: X", b"X-End: 1"),
        has={"x-end": ["1"]}, lacks=("x-hop", "keep-alive", "proxy-connection", "trailer")),
    passes("connection in two lines", message(LINE, b"Connection: X-A", b"Connection: X-B",
                                              b"X-A: 1", b"X-B: 1"), lacks=("x-a", "x-b")),
    passes("connection with odd blanks", message(LINE, b"Connection: ,, X-A\t,,x-b ,",
                                                 b"X-A: 1", b"X-B: 1"), lacks=("x-a", "x-b")),
    passes("connection of 64 options", message(LINE, b"Connection: " + b"x-a," * 64, b"X-A: 1"),
           lacks=("x-a",)),
    either("connection of thousands of options",
           message(LINE, b"Connection: " + b"x-a," * 5000, b"X-A: 1"), 400, 431, lacks=("x-a",)),
    passes("nominated host", message(LINE, b"Connection: Host"), has={"host": ["g"]},
           severity=CRITICAL),
    passes("nominated connection", message(LINE, b"Connection: Connection, close"), lacks=("close",)),
    passes("nominated forwarded-for", message(LINE, b"Connection: X-Forwarded-For"),
           has={"x-forwarded-for": ["127.0.0.1"]}),
    passes("upgrade to h2c", message(LINE, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                                     b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
           lacks=("upgrade", "http2-settings"), severity=CRITICAL),
    passes("upgrade that is not nominated", message(LINE, b"Upgrade: websocket"), lacks=("upgrade",)),
    passes("upgrade in http 1.0", message(b"GET /p HTTP/1.0", b"Connection: Upgrade",
                                          b"Upgrade: websocket"), lacks=("upgrade",)),
    passes("upgrade of a post", message(b"POST /p HTTP/1.1", b"Connection: Upgrade",
                                        b"Upgrade: websocket", b"Content-Length: 3", body=b"abc"),
           body=b"abc", lacks=("upgrade",)),
    passes("conditions and ranges", message(LINE, b"Range: bytes=0-1", b'If-None-Match: "a"',
                                            b"If-Range: x", b"If-Modified-Since: y"),
           has={"range": ["bytes=0-1"], "if-none-match": ['"a"'], "if-range": ["x"]}),
    passes("forged client", message(LINE, b"X-Forwarded-For: 1.2.3.4", b"X-Real-IP: 1.2.3.4"),
           has={"x-forwarded-for": ["127.0.0.1"], "x-real-ip": ["127.0.0.1"]}),
    reject("expectation unknown", message(b"POST /p HTTP/1.1", b"Expect: cookies",
                                          b"Content-Length: 3", body=b"abc"), 417),
    passes("expectation in http 1.0", message(b"POST /p HTTP/1.0", b"Expect: 100-continue",
                                              b"Content-Length: 3", body=b"abc"), body=b"abc",
           lacks=("expect",)),
    passes("expectation with the body", message(b"POST /p HTTP/1.1", b"Expect: 100-Continue",
                                                b"Content-Length: 3", body=b"abc"), body=b"abc"),
    passes("expectation without a body", message(LINE, b"Expect: 100-continue")),
]

PIPELINES = [
    passes("pipelined", message() + message(b"GET /p2 HTTP/1.1"), count=2, target="/p"),
    passes("pipelined behind a body", message(b"POST /p HTTP/1.1", b"Content-Length: 3", body=b"abc")
           + message(b"GET /p2 HTTP/1.1"), count=2, body=b"abc"),
    passes("pipelined behind chunks", message(b"POST /p HTTP/1.1", b"Transfer-Encoding: chunked",
                                              body=b"3\r\nabc\r\n0\r\n\r\n")
           + message(b"GET /p2 HTTP/1.1"), count=2, body=b"abc"),
    passes("pipelined behind an empty line", message() + b"\r\n" + message(), count=2),
    passes("ten pipelined", message() * 10, count=10),
]

CASES = LINES + TARGETS + HOSTS + FIELDS + HOPS + PIPELINES
