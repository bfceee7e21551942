"""The table of ``test_evil_clients``: the bytes of a client, and what both servers make of them.

Every case has a project of its own, in place of ``PROJECT``. The only change that a case asks for is that queues are
made, so that the queues of the project show which of its requests were carried out:

* ``q``, ``a`` and ``b`` by requests that are;
* ``smuggled`` by what must not be read as a request, or not be carried out;
* ``early`` by a request with a body that is wrong or does not come. The front door must not forward it.
  marconi-partition makes a queue of version 1 without a look at the body, so it may have done that, and answered 201,
  before the body.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PROJECT = b"{project-of-the-case}"

# Larger than any head that is taken, which is [public] max_head in the one server, [server] max_head in the other.
MAX_HEAD = 65536


@dataclass(frozen=True)
class Case:
    """``sent`` is answered with ``statuses``, and ``queues`` are made in this order.

    ``kept``: one more request on the connection is answered. ``whole``: what was sent ends with a request; else the
    client has nothing to add. ``node_statuses``: those of marconi-partition, where they differ. ``bodiless``: the
    answers have no bodies. ``seen``: the request lines that the partition gets from the front door; None if these are
    the makings of the queues.
    """

    name: str
    sent: bytes = field(repr=False)
    statuses: tuple[int, ...]
    kept: bool = True
    queues: tuple[str, ...] = ()
    whole: bool = True
    node_statuses: tuple[int, ...] | None = None
    bodiless: bool = False
    seen: tuple[str, ...] | None = None


def request(
    line: bytes, *headers: bytes, body: bytes = b"", host: bytes | None = b"x", version: bytes = b"HTTP/1.1"
) -> bytes:
    """Return a request of the case's project. ``line``: method and target."""
    hosts = () if host is None else (b"Host: " + host,)
    return b"\r\n".join([line + b" " + version, *hosts, b"X-Project-Id: " + PROJECT, *headers, b"", body])


def make(queue: bytes, *headers: bytes, **more: bytes) -> bytes:
    """Return a request that makes a queue. Version 1 of the API ignores its body."""
    return request(b"PUT /v1/queues/" + queue, *headers, **more)


SMUGGLED = make(b"smuggled")
# Needs no partition.
PING = request(b"GET /v1/health")
CHUNKED = b"Transfer-Encoding: chunked"
CLOSE = b"Connection: close"


def sized(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


def refused(group: str, sent: dict[str, bytes], status: int = 400) -> list[Case]:
    """Cases that are answered with a refusal in JSON and the end of the connection."""
    return [Case(f"{group}: {name}", data, (status,), kept=False) for name, data in sent.items()]


def unfinished(group: str, sent: dict[str, bytes]) -> list[Case]:
    """Cases that end before their request does, after which there is no answer to give."""
    return [Case(f"{group}: {name}", data, (), kept=False, whole=False) for name, data in sent.items()]


def made(group: str, sent: dict[str, bytes]) -> list[Case]:
    """Cases that make the queue ``q``, and leave the connection usable."""
    return [Case(f"{group}: {name}", data, (201,), queues=("q",)) for name, data in sent.items()]


def served(group: str, sent: dict[str, bytes], *statuses: int, kept: bool = True) -> list[Case]:
    """Cases that are answered so, and do nothing."""
    return [Case(f"{group}: {name}", data, statuses, kept=kept, seen=()) for name, data in sent.items()]


def _versions() -> list[Case]:
    lines = (
        *(
            b"HTTP/0.9",
            b"HTTP/1.2",
            b"HTTP/1.10",
            b"HTTP/01.1",
            b"HTTP/1.",
            b"HTTP/1",
            b"HTTP/2.0",
            b"HTTP/3",
            b"http/1.1",
        ),
        *(
            b"HTTP/1.1x",
            b"HTTP/-1.1",
            b"HTTP/1,1",
            b"HTP/1.1",
            b"HTTPS/1.1",
            b"HTTP/1.1 ",
            b"HTTP/ 1.1",
            b"HTTP1.1",
            b"1.1",
        ),
        *(b"HTTP/1.1 HTTP/1.1", b"HTTP/1.1\t", b"ICY/1.1", b"RTSP/1.0"),
    )
    return refused("version", {repr(line)[1:]: make(b"smuggled", version=line) for line in lines})


def _request_lines() -> list[Case]:
    rest = b" HTTP/1.1\r\nHost: x\r\n\r\n"
    lines = {
        "of HTTP/0.9": b"GET /v1/queues\r\n\r\n",
        "no method": b" /v1/queues" + rest,
        "no target": b"GET" + rest,
        "only a method": b"GET\r\n\r\n",
        "two spaces": b"GET  /v1/queues" + rest,
        "tabs": b"GET\t/v1/queues" + rest,
        "a space in the target": b"GET /v1/queues /x" + rest,
        "a tab in the target": b"GET /v1/\tqueues" + rest,
        "NUL in the target": b"GET /v1/\x00queues" + rest,
        "control byte in the target": b"GET /v1/\x1fqueues" + rest,
        "DEL in the target": b"GET /v1/\x7fqueues" + rest,
        "UTF-8 in the target": b"GET /v1/queues/\xc3\xa9" + rest,
        "vertical tab for a space": b"GET\x0b/v1/queues" + rest,
        "form feed for a space": b"GET /v1/queues\x0cHTTP/1.1\r\nHost: x\r\n\r\n",
        "a carriage return in the line": b"GET /v1/queues\r HTTP/1.1\r\nHost: x\r\n\r\n",
        "a line feed in the line": b"GET /v1/queues\n HTTP/1.1\r\nHost: x\r\n\r\n",
        "line feeds for line ends": make(b"smuggled").replace(b"\r\n", b"\n"),
        "carriage returns for line ends": make(b"smuggled").replace(b"\r\n", b"\r"),
        "a line feed after the line": b"PUT /v1/queues/smuggled HTTP/1.1\nHost: x\r\n\r\n",
        "a line feed before the empty line": b"PUT /v1/queues/smuggled HTTP/1.1\r\nHost: x\n\r\n",
        "a line feed for the empty line": b"PUT /v1/queues/smuggled HTTP/1.1\r\nHost: x\r\n\n",
        "two carriage returns at an end": b"PUT /v1/queues/smuggled HTTP/1.1\r\r\nHost: x\r\n\r\n",
        "a line feed before it": b"\n" + make(b"smuggled"),
        "a space before it": b" " + make(b"smuggled"),
        "an indented empty line before it": b" \r\n" + make(b"smuggled"),
        "a byte order mark before it": b"\xef\xbb\xbf" + make(b"smuggled"),
        "NUL before it": b"\x00" + make(b"smuggled"),
        "a method in parentheses": b"(PUT) /v1/queues/smuggled" + rest,
        "a method with a colon": b"PUT: /v1/queues/smuggled" + rest,
        "a method with a slash": b"P/UT /v1/queues/smuggled" + rest,
        "NUL in the method": b"P\x00UT /v1/queues/smuggled" + rest,
        "UTF-8 in the method": b"P\xc3\x9cT /v1/queues/smuggled" + rest,
        "a quoted method": b'"PUT" /v1/queues/smuggled' + rest,
        "a response": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    }
    return refused("request line", lines)


def _other_protocols() -> list[Case]:
    return refused(
        "protocol",
        {
            "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
            "SSL 2": bytes.fromhex("802e010002001500000010"),
            "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
            "SMTP": b"EHLO example.org\r\n\r\n",
            "redis": b"*1\r\n$4\r\nPING\r\n\r\n",
            "memcached": b"get a\r\n\r\n",
            "PROXY version 1": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + SMUGGLED,
            "PROXY version 2": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + SMUGGLED,
            "SOCKS 4": b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00",
            "SOCKS 5": b"\x05\x01\x00",
            "NULs": bytes(1000),
            "0xFF": b"\xff" * 1000,
            "WebSocket": b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
            "MongoDB": bytes.fromhex("3a0000000100000000000000d4070000") + b"admin.$cmd\x00",
            "a JSON document": b'{"messages": [{"body": 1}]}\r\n\r\n',
            "FastCGI": bytes.fromhex("0101000100080000") + bytes(8),
            "DNS over TCP": bytes.fromhex("001d1234010000010000000000000161036e6574000001"),
        },
    )


def _methods() -> list[Case]:
    def line(method: bytes) -> bytes:
        return request(method + b" /v1/queues/q")

    unknown = {
        "unknown": b"BREW",
        "in lower case": b"put",
        "of one letter": b"P",
        "of WebDAV": b"M-SEARCH",
        "of marks": b"!#$%&'*+-.^_`|~",
        "of digits": b"0123",
        "of 1000 letters": b"P" * 1000,
        "one letter too many": b"PUTT",
        "PRI": b"PRI",
        "constructor": b"__init__",
        "PATCH": b"PATCH",
        "POST": b"POST",
    }
    cases = [
        Case(f"method {name}", line(method), (405,), seen=(f"{method.decode()} /v1/queues/q",))
        for name, method in unknown.items()
    ]
    tunnel = b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: elsewhere:80\r\n"
    cases += refused(
        "CONNECT",
        {
            "alone": tunnel + b"\r\n",
            "with a request for its body": tunnel + sized(SMUGGLED) + b"\r\n\r\n" + SMUGGLED,
            "with a request behind it": tunnel + b"\r\n" + SMUGGLED,
            "with chunks": tunnel + CHUNKED + b"\r\n\r\n0\r\n\r\n" + SMUGGLED,
            "of a path": b"CONNECT /v1/queues/smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
            "of this server": b"CONNECT 127.0.0.1:8888 HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
            "of HTTP/1.0": b"CONNECT elsewhere:80 HTTP/1.0\r\n\r\n",
        },
        501,
    )
    return cases


def _hosts() -> list[Case]:
    line = b"PUT /v1/queues/smuggled HTTP/1.1\r\n"
    absent = line + b"X-Project-Id: " + PROJECT + b"\r\n"
    cases = refused(
        "Host",
        {
            "absent": absent + b"\r\n",
            "twice": line + b"Host: x\r\nHost: x\r\n\r\n",
            "twice and different": line + b"Host: x\r\nHost: y\r\n\r\n",
            "twice in different cases": line + b"Host: x\r\nhOST: x\r\n\r\n",
            "twice with others between": line + b"Host: x\r\nA: b\r\nHost: x\r\n\r\n",
            "before the colon a space": line + b"Host : x\r\n\r\n",
            "before it a space": line + b" Host: x\r\n\r\n",
            "twice in HTTP/1.0": line.replace(b"1.1", b"1.0") + b"Host: x\r\nHost: x\r\n\r\n",
        }
        | {
            f"{value!r}"[1:]: make(b"smuggled", host=value)
            for value in (
                *(
                    b"x y",
                    b"x/y",
                    b"u@x",
                    b"x\\y",
                    b"x:y",
                    b"x:123456",
                    b"[::1",
                    b"::1",
                    b"[zz]",
                    b"x?",
                    b"x#",
                    b"x%",
                    b"x%zz",
                ),
                *(b"http://x", b"x:80:80", b"\xc3\xa9", b'"x"', b"<x>", b"x^", b"{x}", b"x|y", b"x:-1", b"[::1]x"),
            )
        },
    )
    return cases + made(
        "Host",
        {
            f"{value!r}"[1:]: make(b"q", host=value)
            for value in (b"", b"x:80", b"x:", b"[::1]:8888", b"192.0.2.1", b"x.", b"a_b", b"%41", b"  x  ", b"X" * 255)
        }
        | {"absent in HTTP/1.0": make(b"q", b"Connection: keep-alive", host=None, version=b"HTTP/1.0")},
    )


def _targets() -> list[Case]:
    bad = (
        *(
            b"v1/queues",
            b"x",
            b"x:80",
            b"*",
            b"http:",
            b"http:/",
            b"http://",
            b"http:///v1/queues",
            b"http://:80/",
            b"?a",
        ),
        *(b"ftp://x/v1/queues", b"file:///etc/passwd", b"javascript:1", b"http://u@x/v1/queues", b"http://x y/", b"#"),
        *(b"\\v1\\queues", b"http://[::1/", b"http://x:999999/", b"http://%zz/", b"%2fv1%2fqueues", b"unix:/tmp/x"),
    )
    cases = refused("target", {f"{target!r}"[1:]: request(b"PUT " + target) for target in bad})
    dots = {
        "a dot segment": b"/v1/./queues/smuggled",
        "two dots": b"/v1/queues/../queues/smuggled",
        "encoded dots": b"/v1/%2e%2e/v1/queues/smuggled",
        "half encoded dots": b"/v1/.%2e/queues/smuggled",
    }
    unknown = {
        "encoded slashes": b"/v1/queues%2fsmuggled%2fx%2fy%2fz",
        "an unknown version": b"/v3/queues/smuggled",
        "a parameter": b"/v1;x=y/queues/smuggled",
        "empty segments": b"/v1//queues//smuggled",
        "an encoded version that is unknown": b"/%76%33/queues/smuggled",
        "a backslash": b"/v1\\queues/smuggled",
        "a file": b"/etc/passwd",
        "a script": b"/cgi-bin/.%252e/.%252e/bin/sh",
        "an authority after two slashes": b"//elsewhere/v1/queues/smuggled",
        "another server's": b"/.env",
        "a metric": b"/metrics",
        "the inventory": b"/v1/inventory",
        "the admin API": b"/v1/partitions",
    }
    names = {
        "NUL in a name": b"/v1/queues/%00",
        "a line end in a name": b"/v1/queues/a%0d%0aX:%20b",
        "half an escape": b"/v1/queues/a%",
        "a bad escape": b"/v1/queues/a%zz",
        "invalid UTF-8": b"/v1/queues/%ff%fe",
        "an overlong slash": b"/v1/queues/a%c0%afb",
        "an overlong dot": b"/v1/queues/%c0%ae",
        "a surrogate": b"/v1/queues/%ed%a0%80",
        "an escape that is escaped": b"/v1/queues/a%252fb",
        "a name of 65 letters": b"/v1/queues/" + b"a" * 65,
        "a name of 60,000 letters": b"/v1/queues/" + b"a" * 60_000,
        "a parameter in a name": b"/v1/queues/a;b",
        "a backslash in a name": b"/v1/queues/..\\..\\a",
    }
    cases += [
        Case(f"target with {name}", request(b"PUT " + target), (400,), node_statuses=(404,), seen=())
        for name, target in dots.items()
    ]
    cases += [
        Case(f"target with {name}", request(b"PUT " + target), (404,), seen=()) for name, target in unknown.items()
    ]
    cases.append(Case("target with dots at the end", request(b"PUT /v1/queues/.."), (400,), seen=()))
    # A legal name is the partition's to judge.
    cases += [
        Case(f"target with {name}", request(b"PUT " + target), (400,), seen=(f"PUT {target.decode()}",))
        for name, target in names.items()
    ]
    cases += [
        Case(f"target with {name}", make(target), (201,), queues=("q",), seen=(f"PUT /v1/queues/{target.decode()}",))
        for name, target in {
            "escapes": b"%71",
            "a query": b"q?a=b&a=c&&;%00",
            "a query that looks like a path": b"q?/../v1/queues/smuggled",
            "a query of 60,000 bytes": b"q?" + b"a" * 60_000,
        }.items()
    ]
    cases += made(
        "target",
        {
            "in absolute form": make(b"q").replace(b"/v1", b"http://elsewhere:81/v1", 1),
            "in absolute form of https": make(b"q").replace(b"/v1", b"HTTPS://elsewhere/v1", 1),
            "with two slashes at its beginning": make(b"q").replace(b"/v1", b"//v1", 1),
            "with many slashes at its beginning": make(b"q").replace(b"/v1", b"/" * 100 + b"v1", 1),
            "in absolute form with two slashes": make(b"q").replace(b"/v1", b"http://x//v1", 1),
            "in absolute form of an address": make(b"q").replace(b"/v1", b"http://[::1]:1/v1", 1),
        },
    )
    return cases + served(
        "target",
        {
            "in absolute form without a path": request(b"GET http://elsewhere"),
            "in absolute form with a query only": request(b"GET http://elsewhere?a"),
            "of a single slash": request(b"GET /"),
        },
        300,
    )


def _headers() -> list[Case]:
    cases = refused(
        "header name",
        {
            f"with {bytes([byte])!r}": make(b"smuggled", b"A" + bytes([byte]) + b"B: c")
            for byte in (*range(32), *b' "(),/;<=>?@[\\]{}', 127, 128, 255)
        }
        | {
            "empty": make(b"smuggled", b": c"),
            "without a colon": make(b"smuggled", b"nonsense"),
            "with a space before the colon": make(b"smuggled", b"Content-Length : 5"),
            "with a tab before the colon": make(b"smuggled", b"Transfer-Encoding\t: chunked"),
            "after a space": make(b"smuggled", b" A: b"),
            "of a second request line": make(b"smuggled", b"GET / HTTP/1.1"),
        },
    )
    cases += refused(
        "header value",
        {
            f"with {bytes([byte])!r}": make(b"smuggled", b"A: b" + bytes([byte]) + b"c")
            for byte in (*range(9), *range(10, 32), 127)
        }
        | {
            "folded by a space": make(b"smuggled", b"A: b", b" c"),
            "folded by a tab": make(b"smuggled", b"A: b", b"\tc"),
            "folded and empty": make(b"smuggled", b"A:", b" "),
            "folded over a length": make(b"smuggled", b"Content-Length:", b" 5", body=b"hello"),
            "folded over a coding": make(b"smuggled", b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
            "with a line end and a header": make(b"smuggled", b"A: b\nContent-Length: 5", body=b"hello"),
        },
    )
    return cases + made(
        "header",
        {
            "without a value": make(b"q", b"A:"),
            "without a space": make(b"q", b"A:b"),
            "with white space around": make(b"q", b"A: \t b \t "),
            "with bytes beyond ASCII": make(b"q", b"A: \x80\xc3\xa9\xff"),
            "a thousand times": make(b"q", *[b"A: b"] * 1000),
            "of a thousand names": make(b"q", *[b"A%d: b" % n for n in range(1000)]),
            "with a name of marks": make(b"q", b"!#$%&'*+-.^`|~: b"),
            "with an underscore for a dash": make(b"q", b"X_Project_Id: other", b"Content_Length: 50"),
            "with an underscore in a coding": make(b"q", b"Transfer_Encoding: chunked"),
            "of 60,000 bytes": make(b"q", b"A: " + b"b" * 60_000),
            "Range": make(b"q", b"Range: bytes=0-0,1-1"),
            "If-Match": make(b"q", b'If-Match: "a", "b"'),
            "X-Forwarded-For": make(b"q", b"X-Forwarded-For: 127.0.0.1, 127.0.0.1"),
            "Content-Encoding": make(b"q", b"Content-Encoding: gzip"),
            "X-HTTP-Method-Override": make(b"q", b"X-HTTP-Method-Override: DELETE"),
            "Max-Forwards, which is not about this method": make(b"q", b"Max-Forwards: 0"),
        },
    )


def _limits() -> list[Case]:
    large = b"b" * MAX_HEAD
    cases = refused(
        "limit",
        {
            "a header": make(b"smuggled", b"A: " + large),
            "a header of a million bytes": make(b"smuggled", b"A: " + large * 16),
            "a name": make(b"smuggled", large + b": b"),
            "headers": make(b"smuggled", *[b"A: b"] * 20_000),
            "a target": make(large),
            "a query": make(b"smuggled?" + large),
            "a method": request(large + b" /v1/queues/smuggled"),
            "a line without end": large + large,
            "empty lines": b"\r\n" * MAX_HEAD + SMUGGLED,
            "a version": make(b"smuggled", version=b"HTTP/1." + b"1" * MAX_HEAD),
            "a host": make(b"smuggled", host=large),
            "one byte": make(b"smuggled", b"A: " + b"b" * (MAX_HEAD - len(make(b"smuggled", b"A: ")) + 1)),
        },
    )
    exact = b"A: " + b"b" * (MAX_HEAD - len(make(b"q", b"A: ")))
    return cases + made("limit", {"of a head, kept to the byte": make(b"q", exact)})


def _lengths() -> list[Case]:
    body = b"hello"
    bad = (
        *(
            b"+5",
            b"-5",
            b"-0",
            b"0x5",
            b"5 5",
            b"5,5",
            b"5, 5",
            b"5;",
            b"5.0",
            b"5e0",
            b"",
            b"x",
            b"5x",
            b"x5",
            b"0b101",
        ),
        *(
            b"9" * 19,
            b"9" * 400,
            b"1_0",
            b"\xd9\xa5",
            b"5\xa0",
            b'"5"',
            b"(5)",
            b"5,",
            b",5",
            b"NaN",
            b"Infinity",
            b"5%",
        ),
    )
    cases = refused(
        "Content-Length",
        {f"{value!r}"[1:23]: make(b"smuggled", b"Content-Length: " + value, body=body) for value in bad}
        | {
            "twice": make(b"smuggled", b"Content-Length: 5", b"Content-Length: 5", body=body),
            "twice and different": make(b"smuggled", b"Content-Length: 5", b"Content-Length: 0", body=body),
            "twice in different cases": make(b"smuggled", b"Content-Length: 5", b"content-length: 5", body=body),
            "and a coding": make(b"smuggled", b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
            "after a coding": make(b"smuggled", CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n"),
            "0 and a coding": make(b"smuggled", b"Content-Length: 0", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
            "and a coding in HTTP/1.0": make(
                b"smuggled", b"Content-Length: 5", CHUNKED, version=b"HTTP/1.0", body=b"0\r\n\r\n"
            ),
        },
    )
    cases += made(
        "Content-Length",
        {
            "5": make(b"q", b"Content-Length: 5", body=body),
            "0": make(b"q", b"Content-Length: 0"),
            "05": make(b"q", b"Content-Length: 05", body=body),
            "of eighteen digits": make(b"q", b"Content-Length: 000000000000000005", body=body),
            "in white space": make(b"q", b"Content-Length: \t 5 \t", body=body),
            "in capitals": make(b"q", b"CONTENT-LENGTH: 5", body=body),
            "of a body that is a request": make(b"q", sized(SMUGGLED), body=SMUGGLED),
            "of 10,000 bytes": make(b"q", b"Content-Length: 10000", body=b"x" * 10_000),
        },
    )
    return [
        *cases,
        Case(
            "Content-Length: of a terabyte",
            make(b"early", b"Content-Length: 1099511627776", body=b"x"),
            (400,),
            kept=False,
            whole=False,
        ),
        Case(
            "Content-Length: shorter than the body",
            make(b"q", b"Content-Length: 4", body=b"hell\x00"),
            (201, 400),
            kept=False,
            queues=("q",),
        ),
        Case("Content-Length: without one", make(b"q", body=b"\x00hello"), (201, 400), kept=False, queues=("q",)),
    ]


def _codings() -> list[Case]:
    def coded(value: bytes) -> bytes:
        return make(b"smuggled", b"Transfer-Encoding: " + value, body=b"0\r\n\r\n" + SMUGGLED)

    unknown = (b"gzip, chunked", b"deflate, chunked", b"identity, chunked", b"x, chunked", b"gzip,deflate,chunked")
    bad = (
        *(b"gzip", b"identity", b"x", b"", b",", b"chunk", b"xchunked", b"chunkedx", b"chunked;q=1", b'"chunked"'),
        *(b"chunked, gzip", b"chunked, identity", b"chunked, chunked", b"chunked,", b"chunked;", b"[chunked]"),
        *(b"chunked gzip", b"ch unked", b"\xe3chunked", b"chunked\xa0", b"chun,ked", b"'chunked'", b"0", b"chunked, ,"),
    )
    cases = refused("Transfer-Encoding", {f"{value!r}"[1:]: coded(value) for value in unknown}, 501)
    cases += refused(
        "Transfer-Encoding",
        {f"{value!r}"[1:]: coded(value) for value in bad}
        | {
            "twice": make(b"smuggled", CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
            "chunked and then identity": make(b"smuggled", CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
            "gzip and then chunked": make(b"smuggled", b"Transfer-Encoding: gzip", CHUNKED, body=b"0\r\n\r\n"),
            "in HTTP/1.0": make(b"smuggled", CHUNKED, version=b"HTTP/1.0", body=b"0\r\n\r\n" + SMUGGLED),
        },
    )
    return cases + made(
        "Transfer-Encoding",
        {
            "in capitals": make(b"q", b"TRANSFER-ENCODING: CHUNKED", body=b"0\r\n\r\n"),
            "in white space": make(b"q", b"Transfer-Encoding: \t chunked \t", body=b"0\r\n\r\n"),
            "named in Connection": make(b"q", CHUNKED, b"Connection: transfer-encoding", body=b"0\r\n\r\n"),
        },
    )


def _chunks() -> list[Case]:
    def chunked(body: bytes) -> bytes:
        return make(b"early", CHUNKED, body=body)

    def good(body: bytes) -> bytes:
        return make(b"q", CHUNKED, body=body)

    rest = b"\r\nx\r\n0\r\n\r\n"
    sizes = (
        *(
            b"",
            b"g",
            b"-1",
            b"+1",
            b"0x1",
            b" 1",
            b"1 ",
            b"1\t",
            b"\t1",
            b"1,1",
            b"1_0",
            b"1.0",
            b"1h",
            b"\xb9",
            b"1\x00",
        ),
        *(b"1" * 16, b"f" * 17, b"f" * 400, b"0 1", b"1 x", b'"1"', b"1=", b"=1", b"1;a\x00", b"1;a\rb", b";", b"x;1"),
    )
    cases = refused(
        "chunks",
        {f"size {size!r}"[:30]: chunked(size + rest) for size in sizes}
        | {
            "a line feed after the size": chunked(b"1\nx\r\n0\r\n\r\n"),
            "a carriage return after the size": chunked(b"1\rx\r\n0\r\n\r\n"),
            "two carriage returns after the size": chunked(b"1\r\r\nx\r\n0\r\n\r\n"),
            "a line feed in an extension": chunked(b"1;a\nb\r\nx\r\n0\r\n\r\n"),
            "an extension that hides a line end": chunked(b'1;a="\r\nx\r\n0\r\n\r\n'.replace(b"\r\n", b"\n", 1)),
            "a line feed after the data": chunked(b"1\r\nx\n0\r\n\r\n"),
            "a carriage return after the data": chunked(b"1\r\nx\r0\r\n\r\n"),
            "nothing after the data": chunked(b"1\r\nx0\r\n\r\n"),
            "more data than the size": chunked(b"1\r\nxy\r\n0\r\n\r\n"),
            "less data than the size": chunked(b"3\r\nx\r\n0\r\n\r\n"),
            "other bytes for the end of the data": chunked(b"1\r\nx\x00\x000\r\n\r\n"),
            "a line feed after the last": chunked(b"0\n\r\n"),
            "a line feed at the end": chunked(b"0\r\n\n"),
            "a carriage return at the end": chunked(b"0\r\n\r\r\n"),
            "an extension without end": chunked(b"1;" + b"a" * MAX_HEAD),
            "extensions without end": chunked(b"1;aaaaaaaa\r\nx\r\n" * 10_000),
            "a size without end": chunked(b"0" * MAX_HEAD),
            "trailers without end": chunked(b"0\r\n" + b"A: b\r\n" * 20_000),
            "a trailer without end": chunked(b"0\r\nA: " + b"b" * MAX_HEAD),
            "a trailer without a colon": chunked(b"0\r\nnonsense\r\n\r\n"),
            "a trailer that is folded": chunked(b"0\r\nA: b\r\n c\r\n\r\n"),
            "a trailer without a name": chunked(b"0\r\n: b\r\n\r\n"),
            "a trailer with a space in its name": chunked(b"0\r\nA B: c\r\n\r\n"),
            "a trailer with NUL": chunked(b"0\r\nA: \x00\r\n\r\n"),
            "a trailer with a line feed": chunked(b"0\r\nA: b\nC: d\r\n\r\n"),
            "a request in place of trailers": chunked(b"0\r\n" + SMUGGLED),
        },
    )
    return cases + made(
        "chunks",
        {
            "none": good(b"0\r\n\r\n"),
            "one": good(b"5\r\nhello\r\n0\r\n\r\n"),
            "with capitals": good(b"A\r\n0123456789\r\n0\r\n\r\n"),
            "with zeros": good(b"0005\r\nhello\r\n000\r\n\r\n"),
            "of a byte each": good(b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"),
            "with an extension": good(b"5;a\r\nhello\r\n0\r\n\r\n"),
            "with a value of an extension": good(b"5;a=b;c=d\r\nhello\r\n0\r\n\r\n"),
            "with a quoted extension": good(b'5;a="b;\\"c"\r\nhello\r\n0\r\n\r\n'),
            "with a space before the extension": good(b"5 ; a = b\r\nhello\r\n0\r\n\r\n"),
            "with an extension of the last": good(b"0;a=b\r\n\r\n"),
            "with trailers": good(b"0\r\nA: b\r\nC: d\r\n\r\n"),
            "with trailers of framing": good(b"0\r\nContent-Length: 50\r\nTransfer-Encoding: gzip\r\nHost: y\r\n\r\n"),
            "with a trailer of another project": good(b"0\r\nX-Project-Id: other\r\n\r\n"),
            "of a body that is a request": good(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
            "of data that look like the last": good(b"7\r\n0\r\n\r\n0\r\r\n0\r\n\r\n"),
        },
    )


def _expectations() -> list[Case]:
    body = b"hello"
    cases = refused(
        "Expect",
        {
            "another": make(b"smuggled", b"Expect: the worst", sized(body), body=body),
            "a list": make(b"smuggled", b"Expect: 100-continue, 100-continue", sized(body), body=body),
            "a list with another": make(b"smuggled", b"Expect: 100-continue, x", sized(body), body=body),
            "empty": make(b"smuggled", b"Expect:", sized(body), body=body),
            "101": make(b"smuggled", b"Expect: 101-switching", sized(body), body=body),
        },
        417,
    )
    cases += refused(
        "Expect",
        {"twice": make(b"smuggled", b"Expect: 100-continue", b"Expect: 100-continue", sized(body), body=body)},
    )
    return cases + made(
        "Expect",
        {
            "with its body": make(b"q", b"Expect: 100-continue", sized(body), body=body),
            "in capitals": make(b"q", b"EXPECT: 100-CONTINUE", sized(body), body=body),
            "without a body": make(b"q", b"Expect: 100-continue"),
            "with chunks": make(b"q", b"Expect: 100-continue", CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),
            "of a body that is a request": make(b"q", b"Expect: 100-continue", sized(SMUGGLED), body=SMUGGLED),
            "in HTTP/1.0": make(
                b"q", b"Expect: 100-continue", b"Connection: keep-alive", sized(body), body=body, version=b"HTTP/1.0"
            ),
        },
    )


def _upgrades() -> list[Case]:
    h2c = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAA")
    web_socket = (
        *(b"Connection: Upgrade", b"Upgrade: websocket"),
        *(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    )
    return made(
        "Upgrade",
        {
            "to h2c": make(b"q", *h2c),
            "to h2c with a body": make(b"q", *h2c, sized(b"hello"), body=b"hello"),
            "to h2c with a body that is a request": make(b"q", *h2c, sized(SMUGGLED), body=SMUGGLED),
            "to h2c with chunks": make(b"q", *h2c, CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),
            "to h2c with chunks that are a request": make(
                b"q", *h2c, CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
            ),
            "to WebSocket": make(b"q", *web_socket),
            "to WebSocket with a body": make(b"q", *web_socket, sized(SMUGGLED), body=SMUGGLED),
            "to TLS": make(b"q", b"Connection: Upgrade", b"Upgrade: TLS/1.0"),
            "without Connection": make(b"q", b"Upgrade: h2c", sized(SMUGGLED), body=SMUGGLED),
            "without a protocol": make(b"q", b"Connection: Upgrade", sized(SMUGGLED), body=SMUGGLED),
            "to several": make(b"q", b"Connection: Upgrade", b"Upgrade: a/1, b/2, c", sized(SMUGGLED), body=SMUGGLED),
            "and Expect": make(b"q", *h2c, b"Expect: 100-continue", sized(SMUGGLED), body=SMUGGLED),
        },
    )


def _connections() -> list[Case]:
    def last(*headers: bytes, version: bytes = b"HTTP/1.1") -> bytes:
        return make(b"q", *headers, version=version) + SMUGGLED

    ends = {
        "close": last(CLOSE),
        "in capitals": last(b"CONNECTION: CLOSE"),
        "close and keep-alive": last(b"Connection: close, keep-alive"),
        "keep-alive and close": last(b"Connection: keep-alive, close"),
        "close in the second": last(b"Connection: keep-alive", CLOSE),
        "close among others": last(b"Connection: a, ,close,b"),
        "close of a request with a body": make(b"q", CLOSE, sized(b"hello"), body=b"hello") + SMUGGLED,
        "close of a request with chunks": make(b"q", CLOSE, CHUNKED, body=b"0\r\n\r\n") + SMUGGLED,
        "none in HTTP/1.0": last(version=b"HTTP/1.0"),
        "close in HTTP/1.0": last(b"Connection: keep-alive, close", version=b"HTTP/1.0"),
        "another in HTTP/1.0": last(b"Connection: x", version=b"HTTP/1.0"),
        "of a proxy in HTTP/1.0": last(b"Proxy-Connection: keep-alive", version=b"HTTP/1.0"),
    }
    cases = [Case(f"Connection: {name}", sent, (201,), kept=False, queues=("q",)) for name, sent in ends.items()]
    return cases + made(
        "Connection",
        {
            "keep-alive": make(b"q", b"Connection: keep-alive"),
            "empty": make(b"q", b"Connection:"),
            "of commas": make(b"q", b"Connection: ,,,"),
            "that names the project": make(b"q", b"Connection: X-Project-Id"),
            "that names the length": make(b"q", b"Connection: content-length", sized(b"hello"), body=b"hello"),
            "that names Host": make(b"q", b"Connection: host"),
            "that is quoted": make(b"q", b'Connection: "close"'),
            "of a proxy": make(b"q", b"Proxy-Connection: close"),
            "Keep-Alive with a timeout": make(b"q", b"Keep-Alive: timeout=0, max=0"),
            "keep-alive in HTTP/1.0": make(b"q", b"Connection: Keep-Alive", version=b"HTTP/1.0"),
            "of a thousand options": make(b"q", b"Connection: " + b",".join(b"a%d" % n for n in range(1000))),
        },
    )


def _pipelines() -> list[Case]:
    two = ("a", "b")
    return [
        Case("pipeline of two", make(b"a") + make(b"b"), (201, 201), queues=two),
        Case("pipeline with bodies", make(b"a", sized(b"{}"), body=b"{}") * 1 + make(b"b"), (201, 201), queues=two),
        Case("pipeline with chunks", make(b"a", CHUNKED, body=b"0\r\n\r\n") + make(b"b"), (201, 201), queues=two),
        Case("pipeline with empty lines", make(b"a") + b"\r\n" * 10 + make(b"b"), (201, 201), queues=two),
        Case(
            "pipeline with Expect",
            make(b"a", b"Expect: 100-continue", sized(b"x"), body=b"x") + make(b"b"),
            (201, 201),
            queues=two,
        ),
        Case("pipeline and nonsense", make(b"q") + b"\x00" + SMUGGLED, (201, 400), kept=False, queues=("q",)),
        Case("pipeline and a line feed", make(b"q") + b"\n" + SMUGGLED, (201, 400), kept=False, queues=("q",)),
        Case(
            "pipeline and CONNECT",
            make(b"q") + b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n" + SMUGGLED,
            (201, 501),
            kept=False,
            queues=("q",),
        ),
        Case(
            "pipeline and a bad length",
            make(b"q") + make(b"smuggled", b"Content-Length: -1"),
            (201, 400),
            kept=False,
            queues=("q",),
        ),
        Case(
            "pipeline and a bad chunk",
            make(b"q") + make(b"early", CHUNKED, body=b"z\r\n"),
            (201, 400),
            kept=False,
            queues=("q",),
        ),
        Case(
            "pipeline and a bad version",
            make(b"q") + make(b"smuggled", version=b"HTTP/2.0"),
            (201, 400),
            kept=False,
            queues=("q",),
        ),
        Case("pipeline and half a request", make(b"q") + SMUGGLED[:-2], (201,), kept=False, whole=False, queues=("q",)),
        Case(
            "pipeline and half a body",
            make(b"q") + make(b"early", b"Content-Length: 9", body=b"x"),
            (201,),
            kept=False,
            whole=False,
            queues=("q",),
        ),
        Case(
            "pipeline and half a chunk",
            make(b"q") + make(b"early", CHUNKED, body=b"9\r\nx"),
            (201,),
            kept=False,
            whole=False,
            queues=("q",),
        ),
        Case("pipeline of a hundred pings", PING * 100, (204,) * 100, seen=()),
        Case("pipeline of a thousand pings", PING * 1000, (204,) * 1000, seen=()),
        Case(
            "pipeline of twenty makings of one queue",
            make(b"q") * 20,
            (201, *(204,) * 19),
            seen=("PUT /v1/queues/q",) * 20,
            queues=("q",),
        ),
        Case(
            "pipeline that ends midway",
            PING + request(b"GET /v1/health", CLOSE) + SMUGGLED,
            (204, 204),
            kept=False,
            seen=(),
        ),
        Case(
            "pipeline of HTTP/1.0",
            request(b"GET /v1/health", b"Connection: keep-alive", version=b"HTTP/1.0") * 3,
            (204,) * 3,
            seen=(),
        ),
        Case("pipeline of HEAD", request(b"HEAD /v1/health") * 3, (204,) * 3, bodiless=True, seen=()),
    ]


def _hops() -> list[Case]:
    """RFC 9110 section 7.6.2. marconi-partition is where requests end in any case."""
    line = b" /v1/queues/q"
    cases = [
        Case(
            f"Max-Forwards of OPTIONS: {value!r}",
            request(b"OPTIONS" + line, b"Max-Forwards: " + value),
            (200,),
            seen=(),
        )
        for value in (b"0", b"00", b"000000000")
    ]
    # The partition of the tests does not know OPTIONS.
    cases += [
        Case(
            f"Max-Forwards of OPTIONS: {value!r}",
            request(b"OPTIONS" + line, b"Max-Forwards: " + value),
            (405,),
            node_statuses=(200,),
            seen=("OPTIONS /v1/queues/q",),
        )
        for value in (b"1", b"999999999", b"x", b"-1", b"")
    ]
    return [
        *cases,
        Case(
            "Max-Forwards of TRACE: 0",
            request(b"TRACE" + line, b"Max-Forwards: 0"),
            (501,),
            node_statuses=(405,),
            seen=(),
        ),
        Case(
            "Max-Forwards of TRACE: 3",
            request(b"TRACE" + line, b"Max-Forwards: 3"),
            (405,),
            seen=("TRACE /v1/queues/q",),
        ),
        Case(
            "TRACE with a body",
            request(b"TRACE" + line, sized(SMUGGLED), body=SMUGGLED),
            (405,),
            seen=("TRACE /v1/queues/q",),
        ),
        Case("OPTIONS of the server", request(b"OPTIONS *"), (200,), seen=()),
        Case("OPTIONS of the server in absolute form", request(b"OPTIONS http://x"), (200,), seen=()),
        Case(
            "OPTIONS of the server with a body", request(b"OPTIONS *", sized(SMUGGLED), body=SMUGGLED), (200,), seen=()
        ),
    ]


def _old_clients() -> list[Case]:
    old = b"HTTP/1.0"
    return [
        Case("HTTP/1.0 without Host", request(b"GET /v1/health", host=None, version=old), (204,), kept=False, seen=()),
        Case("HTTP/1.0 without headers", b"GET /v1/health HTTP/1.0\r\n\r\n", (204,), kept=False, seen=()),
        Case("HTTP/1.0 of versions", b"GET / HTTP/1.0\r\n\r\n", (300,), kept=False, seen=()),
        Case("HTTP/1.0 in absolute form", b"GET http://x/v1/health HTTP/1.0\r\n\r\n", (204,), kept=False, seen=()),
        Case("HTTP/1.0 with an invalid Host", request(b"GET /v1/health", host=b"x y", version=old), (400,), kept=False),
        Case(
            "HTTP/1.0 with a body",
            make(b"q", sized(b"hello"), body=b"hello", version=old),
            (201,),
            kept=False,
            queues=("q",),
        ),
        Case(
            "HTTP/1.0 with a body without a length",
            make(b"q", body=SMUGGLED, version=old),
            (201,),
            kept=False,
            queues=("q",),
        ),
    ]


CASES: tuple[Case, ...] = (
    *_versions(),
    *_request_lines(),
    *_other_protocols(),
    *_methods(),
    *_hosts(),
    *_targets(),
    *_headers(),
    *_limits(),
    *_lengths(),
    *_codings(),
    *_chunks(),
    *_expectations(),
    *_upgrades(),
    *_connections(),
    *_pipelines(),
    *_hops(),
    *_old_clients(),
    *unfinished(
        "unfinished",
        {
            "nothing": b"",
            "an empty line": b"\r\n",
            "half an empty line": b"\r",
            "a letter": b"G",
            "half a line": b"PUT /v1/queues/smug",
            "a line without its end": b"PUT /v1/queues/smuggled HTTP/1.1",
            "a line with half its end": b"PUT /v1/queues/smuggled HTTP/1.1\r",
            "a line": b"PUT /v1/queues/smuggled HTTP/1.1\r\n",
            "half a head": SMUGGLED[:-4],
            "a head without its end": SMUGGLED[:-2],
            "a head with half its end": SMUGGLED[:-1],
            "a head without its body": make(b"early", b"Content-Length: 9"),
            "half a body": make(b"early", b"Content-Length: 9", body=b"hell"),
            "a body without its last byte": make(b"early", b"Content-Length: 9", body=b"hellhell"),
            "no chunk": make(b"early", CHUNKED),
            "half a chunk size": make(b"early", CHUNKED, body=b"5"),
            "a chunk size": make(b"early", CHUNKED, body=b"5\r\n"),
            "half a chunk": make(b"early", CHUNKED, body=b"5\r\nhe"),
            "a chunk without its end": make(b"early", CHUNKED, body=b"5\r\nhello"),
            "no last chunk": make(b"early", CHUNKED, body=b"5\r\nhello\r\n"),
            "half a last chunk": make(b"early", CHUNKED, body=b"5\r\nhello\r\n0\r\n"),
            "a trailer": make(b"early", CHUNKED, body=b"0\r\nA: b\r\n"),
            "half an end": make(b"early", CHUNKED, body=b"0\r\n\r"),
            "Expect without the body": make(b"early", b"Expect: 100-continue", b"Content-Length: 9", b"X: y")[:-2],
            "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n",
        },
    ),
)
