"""Where a request ends: Content-Length, Transfer-Encoding and chunks. Whoever is wrong here smuggles."""
from .case import CRITICAL, chunked, either, message, passes, post, reject

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: g\r\n\r\n"
LAST = b"0\r\n\r\n"
ABC = b"3\r\nabc\r\n" + LAST
SOME = (400, 413)
CODED = (400, 501)


def length(value, body=b"12345"):
    return post(b"Content-Length:" + value, body=body + HIDDEN)


def coding(value, body=LAST):
    return post(b"Transfer-Encoding:" + value, body=body + HIDDEN)


LENGTHS = [
    *(reject(f"length {name}", length(value), *SOME, severity=CRITICAL) for name, value in {
        "signed": b" +5", "negative": b" -5", "negative zero": b" -0", "hex": b" 0x5",
        "octal": b" 0o5", "letters": b" five", "letters behind": b" 5a", "fraction": b" 5.0",
        "exponent": b" 5e0", "empty": b"", "blank": b" \t ", "spaced": b" 5 5", "semicolon": b" 5;",
        "quoted": b' "5"', "underscored": b" 1_0", "comma": b" ,", "comma before": b" ,5",
        "comma behind": b" 5,", "of two": b" 5, 6", "of two without a space": b" 5,6",
        "with nul": b" 5\0", "behind nul": b" \x005", "with vertical tab": b" \x0b5",
        "with form feed": b" 5\x0c", "of obs-text": b" \xb2", "of arabic digits": b" \xd9\xa5",
        "of 2^63": b" 9223372036854775808", "of 2^64": b" 18446744073709551616",
        "of 2^64 and 5": b" 18446744073709551621", "of 2^128": b" 3402823669209384634633746074317682",
        "of 200 digits": b" " + b"9" * 200,
    }.items()),
    reject("length folded", length(b"\r\n 5"), severity=CRITICAL),
    reject("length twice, different", post(b"Content-Length: 5", b"Content-Length: 40",
                                           body=b"12345" + HIDDEN), severity=CRITICAL),
    reject("length twice, one empty", post(b"Content-Length: 5", b"Content-Length:",
                                           body=b"12345" + HIDDEN), severity=CRITICAL),
    reject("length with a space before the colon", post(b"Content-Length : 5", body=b"12345"),
           severity=CRITICAL),
    reject("length with a tab before the colon", post(b"Content-Length\t: 5", body=b"12345"),
           severity=CRITICAL),
    reject("length behind a bare lf", post(b"X: y\nContent-Length: 5", body=b"12345"),
           severity=CRITICAL),
    reject("length behind a bare cr", post(b"X: y\rContent-Length: 5", body=b"12345"),
           severity=CRITICAL),
    either("length twice, the same", post(b"Content-Length: 5", b"Content-Length: 5",
                                          body=b"12345"), severity=CRITICAL, body=b"12345"),
    either("length as a list of the same", post(b"Content-Length: 5, 5", body=b"12345"),
           severity=CRITICAL, body=b"12345"),
    passes("length with leading zeros", post(b"Content-Length: 00000000000000000000005",
                                             body=b"12345"), body=b"12345"),
    passes("length with spaces around", post(b"Content-Length:   5  ", body=b"12345"),
           body=b"12345"),
    # Legal (RFC 9110, 5.6.3) and unseen in the wild; llhttp and nginx refuse it.
    either("length with tabs around", post(b"Content-Length: \t 5 \t", body=b"12345"),
           body=b"12345"),
    passes("length without a space", post(b"Content-Length:5", body=b"12345"), body=b"12345"),
    passes("length in other case", post(b"cOnTeNt-LeNgTh: 5", body=b"12345"), body=b"12345"),
    passes("length zero", post(b"Content-Length: 0"), body=b"", has={"content-length": ["0"]}),
    passes("no length", post(), body=b"", has={"content-length": ["0"]}),
    passes("length of a get", message(b"GET /p HTTP/1.1", b"Content-Length: 5", body=b"12345"),
           body=b"12345"),
    passes("body that looks like a request", post(b"Content-Length: 37", body=HIDDEN + b"\r\n"[:1]
                                                  + b"\n"), body=HIDDEN + b"\r\n"),
    passes("nominated length", post(b"Connection: Content-Length", b"Content-Length: 5",
                                    body=b"12345"), severity=CRITICAL, body=b"12345"),
    passes("name that is nearly a length", post(b"Content_Length: 5", b"Content-Length: 3",
                                                body=b"abc"), severity=CRITICAL, body=b"abc"),
]

CODINGS = [
    *(reject(f"coding {name}", coding(value), *CODED, severity=CRITICAL) for name, value in {
        "unknown": b" xchunked", "behind": b" chunkedx", "gzip": b" gzip", "identity": b" identity",
        "empty": b"", "blank": b" ", "comma": b" ,", "before gzip": b" chunked, gzip",
        "before identity": b" chunked, identity", "behind identity": b" identity, chunked",
        "behind gzip": b" gzip, chunked", "twice": b" chunked, chunked",
        "comma before": b" , chunked", "comma behind": b" chunked,", "in quotes": b' "chunked"',
        "in single quotes": b" 'chunked'", "semicolon": b" chunked;", "parameter": b" chunked;q=1",
        "vertical tab": b" \x0bchunked", "vertical tab behind": b" chunked\x0b",
        "form feed": b" chunked\x0c", "nul": b" chunked\0", "nul before": b" \0chunked",
        "obs-text": b" \xa0chunked", "fullwidth": b" \xef\xbd\x83hunked", "spaced": b" chun ked",
        "in brackets": b" [chunked]", "with a colon": b": chunked", "escaped": b" chunked\\r",
        "with delete": b" chunked\x7f", "of two words": b" chunked identity",
    }.items()),
    reject("coding folded", coding(b"\r\n chunked"), *CODED, severity=CRITICAL),
    reject("coding folded by a tab", coding(b" x\r\n\tchunked"), *CODED, severity=CRITICAL),
    reject("coding behind a fold", post(b"X: y\r\n Transfer-Encoding: chunked", body=ABC),
           severity=CRITICAL),
    *(reject(f"coding's name {name}", post(line, body=LAST + HIDDEN), *CODED, severity=CRITICAL)
      for name, line in {
          "with a space": b"Transfer-Encoding : chunked",
          "with a tab": b"Transfer-Encoding\t: chunked",
          "behind a space": b" Transfer-Encoding: chunked",
          "with nul": b"Transfer-Encoding\0: chunked",
          "behind nul": b"\0Transfer-Encoding: chunked",
          "behind a bare cr": b"X: y\rTransfer-Encoding: chunked",
          "behind a bare lf": b"X: y\nTransfer-Encoding: chunked",
          "with obs-text": b"Transfer-Encoding\xff: chunked",
          "without a colon": b"Transfer-Encoding chunked",
      }.items()),
    *(reject(f"coding in two lines {name}", post(b"Transfer-Encoding: " + one,
                                                 b"Transfer-Encoding: " + two,
                                                 body=LAST + HIDDEN), *CODED, severity=CRITICAL)
      for name, one, two in [("the same", b"chunked", b"chunked"), ("x first", b"x", b"chunked"),
                             ("x last", b"chunked", b"x"), ("empty", b"chunked", b""),
                             ("identity first", b"identity", b"chunked")]),
    reject("coding, then length", post(b"Transfer-Encoding: chunked", b"Content-Length: 5",
                                       body=ABC + HIDDEN), severity=CRITICAL),
    reject("length, then coding", post(b"Content-Length: 5", b"Transfer-Encoding: chunked",
                                       body=ABC + HIDDEN), severity=CRITICAL),
    reject("length zero, then coding", post(b"Content-Length: 0", b"Transfer-Encoding: chunked",
                                            body=ABC + HIDDEN), severity=CRITICAL),
    reject("coding unknown and length", post(b"Transfer-Encoding: x", b"Content-Length: 5",
                                             body=b"12345"), *CODED, severity=CRITICAL),
    reject("coding in http 1.0", chunked(ABC, b"POST /p HTTP/1.0"), *CODED, severity=CRITICAL),
    reject("coding and length in http 1.0", post(b"Transfer-Encoding: chunked",
                                                 b"Content-Length: 5", body=ABC,
                                                 line=b"POST /p HTTP/1.0"), *CODED,
           severity=CRITICAL),
    passes("coding in capitals", coding(b" CHUNKED", ABC)[:-len(HIDDEN)], body=b"abc"),
    passes("coding with blanks around", coding(b" chunked  ", ABC)[:-len(HIDDEN)], body=b"abc"),
    passes("coding without a space", coding(b"chunked", ABC)[:-len(HIDDEN)], body=b"abc"),
    passes("coding of a get", chunked(ABC, b"GET /p HTTP/1.1"), body=b"abc",
           lacks=("transfer-encoding",)),
    either("coding behind a tab", coding(b"\tchunked", ABC)[:-len(HIDDEN)], *CODED, body=b"abc"),
    either("coding before a tab", coding(b" chunked\t", ABC)[:-len(HIDDEN)], *CODED, body=b"abc"),
    passes("nominated coding", post(b"Connection: Transfer-Encoding",
                                    b"Transfer-Encoding: chunked", body=ABC), severity=CRITICAL,
           body=b"abc"),
    passes("name that is nearly a coding", post(b"Transfer_Encoding: chunked",
                                                b"Content-Length: 3", body=b"abc"),
           severity=CRITICAL, body=b"abc"),
]

CHUNKS = [
    *(reject(f"chunk {name}", chunked(body + HIDDEN), *SOME, severity=CRITICAL)
      for name, body in {
          "size empty": b"\r\nabc\r\n" + LAST, "size of letters": b"xyz\r\n" + LAST,
          "size negative": b"-3\r\nabc\r\n" + LAST, "size signed": b"+3\r\nabc\r\n" + LAST,
          "size with 0x": b"0x3\r\nabc\r\n" + LAST, "size behind a space": b" 3\r\nabc\r\n" + LAST,
          "size behind a tab": b"\t3\r\nabc\r\n" + LAST, "size spaced": b"1 0\r\nabc\r\n" + LAST,
          "size with a point": b"3.0\r\nabc\r\n" + LAST, "size with nul": b"3\0\r\nabc\r\n" + LAST,
          "size underscored": b"0_3\r\nabc\r\n" + LAST, "size in quotes": b'"3"\r\nabc\r\n' + LAST,
          "size comma": b"3,\r\nabc\r\n" + LAST, "size with h": b"3h\r\nabc\r\n" + LAST,
          "size of 2^63": b"8000000000000000\r\nabc\r\n" + LAST,
          "size of 2^64": b"10000000000000000\r\nabc\r\n" + LAST,
          "size of 2^64 and 3": b"10000000000000003\r\nabc\r\n" + LAST,
          "size of 2^32 more digits": b"f" * 40 + b"\r\nabc\r\n" + LAST,
          "size and bare cr": b"3\rabc\r\n" + LAST, "size and cr cr lf": b"3\r\r\nabc\r\n" + LAST,
          "size and lf cr": b"3\n\rabc\r\n" + LAST,
          "data too long": b"3\r\nabcd\r\n" + LAST, "data too short": b"5\r\nabc\r\n" + LAST,
          "data without an end": b"3\r\nabc" + LAST, "data and bare cr": b"3\r\nabc\r" + LAST,
          "data and lf cr": b"3\r\nabc\n\r" + LAST, "data and two ends": b"3\r\nabc\r\n\r\n" + LAST,
          "extension with bare cr": b"3;a\rb\r\nabc\r\n" + LAST,
          "extension with nul": b"3;a=\0\r\nabc\r\n" + LAST,
          "last of letters": b"3\r\nabc\r\n0x\r\n\r\n", "last negative": b"3\r\nabc\r\n-0\r\n\r\n",
          "trailer folded": b"0\r\nA: b\r\n c\r\n\r\n", "trailer with nul": b"0\r\nA: \0\r\n\r\n",
          "trailer without a colon": b"0\r\nA\r\n\r\n", "trailer without a name": b"0\r\n: b\r\n\r\n",
          "trailer with a space": b"0\r\nA : b\r\n\r\n", "trailer behind a space": b"0\r\n A: b\r\n\r\n",
          "trailer with bare cr": b"0\r\nA: b\rC: d\r\n\r\n", "end with bare cr": b"0\r\n\rX",
          "end with cr cr lf": b"0\r\n\r\r\n",
      }.items()),
    # RFC 9112, 2.2: a lone LF may be taken for a line's end. In chunks that is what smuggles.
    *(either(f"chunk {name}", chunked(body), severity=CRITICAL, body=b"abc") for name, body in {
        "size and bare lf": b"3\nabc\r\n" + LAST, "extension and bare lf": b"3;a\nabc\r\n" + LAST,
        "data and bare lf": b"3\r\nabc\n" + LAST, "last and bare lf": b"3\r\nabc\r\n0\n\r\n",
        "end with bare lf": b"3\r\nabc\r\n0\r\n\n", "trailer with bare lf": b"3\r\nabc\r\n0\r\nA: b\n\r\n",
        "size before a space": b"3 \r\nabc\r\n" + LAST, "size before a tab": b"3\t\r\nabc\r\n" + LAST,
        "extension empty": b"3;\r\nabc\r\n" + LAST, "extensions of nothing": b"3;;;\r\nabc\r\n" + LAST,
        "size with thousands of zeros": b"0" * 5000 + b"3\r\nabc\r\n" + LAST,
        "last with thousands of zeros": b"3\r\nabc\r\n" + b"0" * 5000 + b"\r\n\r\n",
        "extension of 5000 bytes": b"3;a=" + b"x" * 5000 + b"\r\nabc\r\n" + LAST,
    }.items()),
    *(passes(f"chunks {name}", chunked(body), body=want) for name, body, want in [
        ("none", LAST, b""), ("one", ABC, b"abc"), ("of one byte", b"1\r\na\r\n1\r\nb\r\n" + LAST, b"ab"),
        ("in capitals", b"A\r\n0123456789\r\n" + LAST, b"0123456789"),
        ("in small letters", b"a\r\n0123456789\r\n" + LAST, b"0123456789"),
        ("with leading zeros", b"0000000000000000000003\r\nabc\r\n" + LAST, b"abc"),
        ("last of many zeros", b"3\r\nabc\r\n00000000\r\n\r\n", b"abc"),
        ("with an extension", b"3;a\r\nabc\r\n" + LAST, b"abc"),
        ("with a valued extension", b"3;a=b;c=d\r\nabc\r\n" + LAST, b"abc"),
        ("with a quoted extension", b'3;a="b;c"\r\nabc\r\n' + LAST, b"abc"),
        ("with blanks before an extension", b"3 ; a\r\nabc\r\n" + LAST, b"abc"),
        ("last with an extension", b"3\r\nabc\r\n0;a=b\r\n\r\n", b"abc"),
        ("holding line ends", b"6\r\n\r\n0\r\n\r\r\n" + LAST, b"\r\n0\r\n\r"),
        ("with a trailer", b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", b"abc"),
    ]),
    *(passes(f"forbidden trailer {name}", chunked(b"3\r\nabc\r\n0\r\n" + line + b"\r\n\r\n"),
             severity=CRITICAL, body=b"abc", has=has, lacks=lacks) for name, line, has, lacks in [
        ("length", b"Content-Length: 50", {"content-length": ["3"]}, ()),
        ("coding", b"Transfer-Encoding: chunked", {"content-length": ["3"]}, ()),
        ("host", b"Host: evil", {"host": ["g"]}, ()),
        ("authorization", b"Authorization: Basic eDp5", {}, ("authorization",)),
        ("cookie", b"Cookie: a=b", {}, ("cookie",)),
        ("client", b"X-Forwarded-For: 1.2.3.4", {"x-forwarded-for": ["127.0.0.1"]}, ()),
    ]),
    either("trailers by the hundred", chunked(b"3\r\nabc\r\n0\r\n" + b"X-T: y\r\n" * 300 + b"\r\n"),
           400, 413, 431, body=b"abc"),
    reject("trailer without end", chunked(b"3\r\nabc\r\n0\r\nX: " + b"y" * 300_000), 400, 413, 431),
    reject("extension without end", chunked(b"3;" + b"y" * 300_000), 400, 413, 431),
]

CASES = LENGTHS + CODINGS + CHUNKS
