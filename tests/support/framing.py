# SPDX-License-Identifier: Apache-2.0
"""Requests whose end two readers may see in different places, or that are no HTTP: what a server behind a proxy
must refuse. And their neighbours that are in order, so that refusing everything does not pass."""

PATH = b"/v1/llm/request"
POST = b"POST " + PATH + b" HTTP/1.1"
HOST = b"Host: h"
CHUNKED = b"Transfer-Encoding: chunked"
HEADER_MAX, FIELDS_MAX, TARGET_MAX = 16384, 100, 8192


def build(line, fields, body=b""):
    return b"\r\n".join([line, *fields]) + b"\r\n\r\n" + body


def length(body):
    return b"Content-Length: %d" % len(body)


def good(event, *more_fields):
    """One event, in order."""
    return build(POST, [HOST, length(event), *more_fields], event)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(data):
    return chunk(data) + b"0\r\n\r\n"


def lengths(e):
    """Content-Length; `n` is the right one. What follows the event would be a request of its own."""
    n, inner = b"%d" % len(e), good(e)
    more = b"%d" % (len(e) + len(inner))
    values = {
        "a list of equal lengths": n + b", " + n, "a list of lengths": n + b"," + more,
        "a length and a comma": n + b",", "a comma and a length": b"," + n, "a length and a semicolon": n + b";" + n,
        "+n": b"+" + n, "-n": b"-" + n, "-0": b"-0", "0x": b"0x%x" % len(e), "n junk": n + b" junk",
        "n and another, apart by a space": n + b" " + more, "n, tab, n": n + b"\t" + n, "a fraction": n + b".0",
        "an exponent": b"1e2", "n in quotes": b'"' + n + b'"', "nothing": b"", "blanks": b" \t ",
        "2^64 + n": b"%d" % ((1 << 64) + len(e)), "2^64": b"%d" % (1 << 64), "2^64 - 1": b"%d" % ((1 << 64) - 1),
        "2^63": b"%d" % (1 << 63), "2^32 + n": b"%d" % ((1 << 32) + len(e)), "a hundred digits": b"1" * 100,
        "n after a vertical tab": b"\x0b" + n, "n before a vertical tab": n + b"\x0b", "n before a NUL": n + b"\0",
        "n after a NUL": b"\0" + n, "n in full-width digits": "１２".encode(), "n after a no-break space": b"\xa0" + n,
        "n in octal": b"0o17", "a word": b"none", "n and a form feed": n + b"\x0c", "n with an underscore": b"1_0",
    }
    cases = {"Content-Length: " + k: build(POST, [HOST, b"Content-Length: " + v], e + inner) for k, v in values.items()}
    fields = {
        "twice, equal": [length(e), length(e)],
        "twice, equal, in other letters": [length(e), b"content-length: " + n],
        "twice, the shorter first": [length(e), b"Content-Length: " + more],
        "twice, the longer first": [b"Content-Length: " + more, length(e)],
        "twice, 0 first": [b"Content-Length: 0", length(e)],
        "twice, 0 last": [length(e), b"Content-Length: 0"],
        "thrice": [length(e)] * 3,
        "twice, one empty": [length(e), b"Content-Length:"],
        "twice, other fields between": [length(e), b"X: y", b"Accept: a", b"Content-Length: " + more],
        "space before its colon": [b"Content-Length : " + n],
        "tab before its colon": [b"Content-Length\t: " + n],
        "and another with a space before its colon": [length(e), b"Content-Length : " + more],
        "folded": [b"Content-Length:\r\n " + n],
        "folded within": [b"Content-Length: 1\r\n\t2"],
        "after a bare LF": [b"X: y\n" + length(e)],
        "after a bare CR": [b"X: y\r" + length(e)],
        "after a space": [b" " + length(e)],
        "after a NUL": [b"\0" + length(e)],
        "in a name with a NUL": [b"Content\0-Length: " + n, length(e)],
        "another one in a bare LF's line": [length(e), b"X: y\nContent-Length: " + more],
    }
    return {**cases, **{"Content-Length " + k: build(POST, [HOST, *v], e + inner) for k, v in fields.items()}}


def encodings(e):
    """Transfer-Encoding, alone and beside a length."""
    inner, body = good(e), chunked(e)
    cases = {}
    values = {
        "xchunked": b"xchunked", "chunkedx": b"chunkedx", "chunk": b"chunk", "a cow": b"cow", "identity": b"identity",
        "gzip": b"gzip", "gzip, chunked": b"gzip, chunked", "chunked, gzip": b"chunked, gzip",
        "chunked, identity": b"chunked, identity", "identity, chunked": b"identity, chunked",
        "chunked, chunked": b"chunked, chunked", "a comma after": b"chunked,", "a comma before": b", chunked",
        "chunked;q=1": b"chunked;q=1", "chunked; a=b": b"chunked; a=b", "in quotes": b'"chunked"',
        "in single quotes": b"'chunked'", "twice, apart by a space": b"chunked chunked", "nothing": b"",
        "after a vertical tab": b"\x0bchunked", "before a vertical tab": b"chunked\x0b",
        "after a form feed": b"\x0cchunked", "after a NUL": b"\0chunked", "before a NUL": b"chunked\0",
        "after a no-break space": b"\xa0chunked", "before a no-break space": b"chunked\xa0",
        "before a bare CR": b"chunked\r", "after a bare CR": b"\rchunked", "after a bare LF": b"\nchunked",
        "with an accent": "chünked".encode(), "after a control character": b"\x01chunked",
        "before DEL": b"chunked\x7f", "with a parameter in quotes": b'chunked;a="b"', "deflate": b"deflate",
    }
    for k, v in values.items():
        cases["Transfer-Encoding: " + k] = build(POST, [HOST, b"Transfer-Encoding: " + v], body + inner)
        cases["Content-Length and Transfer-Encoding: " + k] = build(
            POST, [HOST, length(body), b"Transfer-Encoding: " + v], body)
    fields = {
        "twice": [CHUNKED, CHUNKED],
        "chunked and identity": [CHUNKED, b"Transfer-Encoding: identity"],
        "identity and chunked": [b"Transfer-Encoding: identity", CHUNKED],
        "a cow and chunked": [b"Transfer-Encoding: cow", CHUNKED],
        "chunked and a cow": [CHUNKED, b"Transfer-Encoding: cow"],
        "chunked and nothing": [CHUNKED, b"Transfer-Encoding:"],
        "space before its colon": [b"Transfer-Encoding : chunked", length(body)],
        "tab before its colon": [b"Transfer-Encoding\t: chunked", length(body)],
        "vertical tab before its colon": [b"Transfer-Encoding\x0b: chunked", length(body)],
        "NUL before its colon": [b"Transfer-Encoding\0: chunked", length(body)],
        "NUL in its name": [b"Transfer\0-Encoding: chunked", length(body)],
        "space in its name": [b"Transfer Encoding: chunked", length(body)],
        "after a space": [b"X: y", b" Transfer-Encoding: chunked", length(body)],
        "after a tab": [b"X: y", b"\tTransfer-Encoding: chunked", length(body)],
        "folded": [b"Transfer-Encoding:\r\n chunked"],
        "folded with a tab": [b"Transfer-Encoding:\r\n\tchunked"],
        "folded at its end": [b"Transfer-Encoding: chunked\r\n , identity"],
        "after a bare LF": [length(body), b"X: y\nTransfer-Encoding: chunked"],
        "after a bare CR": [length(body), b"X: y\rTransfer-Encoding: chunked"],
        "after CR and a letter": [length(body), b"X: \rxTransfer-Encoding: chunked"],
        "after two CR": [length(body), b"X: y\r\rTransfer-Encoding: chunked"],
        "in a folded line": [length(body), b"X: y\r\n Transfer-Encoding: chunked"],
        "in quotes over lines": [length(body), b'X: "y\r\n Transfer-Encoding: chunked\r\n z"'],
    }
    for k, v in fields.items():
        cases["Transfer-Encoding " + k] = build(POST, [HOST, *v], body + inner)
    both = {
        "CL.TE": ([length(body + inner), CHUNKED], body + inner),
        "CL.TE, the encoding first": ([CHUNKED, length(body + inner)], body + inner),
        "TE.CL": ([b"Content-Length: %d" % len(b"%x\r\n" % len(inner)), CHUNKED], chunked(inner)),
        "TE.CL, the encoding first": ([CHUNKED, b"Content-Length: %d" % len(b"%x\r\n" % len(inner))], chunked(inner)),
        "length 0 and chunks": ([b"Content-Length: 0", CHUNKED], body + inner),
        "chunks and length 0": ([CHUNKED, b"Content-Length: 0"], body + inner),
        "the same in both": ([length(body), CHUNKED], body),
        "an empty length and chunks": ([b"Content-Length:", CHUNKED], body),
        "a broken length and chunks": ([b"Content-Length: x", CHUNKED], body),
        "two lengths and chunks": ([length(e), length(body), CHUNKED], body),
        "lengths on both sides of chunks": ([length(e), CHUNKED, length(body)], body),
    }
    for k, (v, data) in both.items():
        cases["both: " + k] = build(POST, [HOST, *v], data)
    old = b"POST " + PATH + b" HTTP/1.0"
    keep = b"Connection: keep-alive"
    cases["HTTP/1.0 with chunks"] = build(old, [HOST, keep, CHUNKED], body)
    cases["HTTP/1.0 with chunks and a length"] = build(old, [HOST, keep, length(body), CHUNKED], body)
    cases["HTTP/1.0 with chunks, no Host"] = build(old, [keep, CHUNKED], body)
    return cases


def chunks(e):
    """What stands between the bytes of a chunked body."""
    size, end, inner = b"%x" % len(e), b"0\r\n\r\n", good(e)
    lines = {
        "+size": b"+" + size, "-size": b"-" + size, "0xsize": b"0x" + size, "size junk": size + b" junk",
        "size and a letter": size + b"g", "a space before": b" " + size, "a space after": size + b" ",
        "a tab after": size + b"\t", "a vertical tab before": b"\x0b" + size, "nothing": b"",
        "2^64 + size": b"1" + b"%016x" % len(e), "2^64 - 1": b"f" * 16, "a hundred digits": b"f" * 100,
        "size and NUL": size + b"\0", "NUL and size": b"\0" + size, "in quotes": b'"' + size + b'"',
        "size and a comma": size + b",", "size and a colon": size + b":x", "a fraction": size + b".0",
        "a NUL in an extension": size + b";a\0b", "a CR in an extension": size + b";a\rb",
        "a LF in an extension": size + b";a\nb", "a LF right after the semicolon": size + b";\n",
        "two CR at its end": size + b"\r", "an underscore": b"0_" + size, "a LF before": b"\n" + size,
        "two semicolons and a LF": size + b";;\n;", "a control character in an extension": size + b";a\x01b",
    }
    bodies = {"size: " + k: v + b"\r\n" + e + b"\r\n" + end for k, v in lines.items()}
    bodies.update({
        "a bare LF after the size": size + b"\n" + e + b"\r\n" + end,
        "a bare CR after the size": size + b"\r" + e + b"\r\n" + end,
        "a bare LF after an extension": size + b";a=b\n" + e + b"\r\n" + end,
        "a bare LF after an extension hides a chunk": size + b";\n" + e + b"\r\n" + end + inner,
        "nothing after the data": size + b"\r\n" + e + end,
        "a bare LF after the data": size + b"\r\n" + e + b"\n" + end,
        "a bare CR after the data": size + b"\r\n" + e + b"\r" + end,
        "two bytes that are no CRLF after the data": size + b"\r\n" + e + b"xx" + end,
        "CR and another byte after the data": size + b"\r\n" + e + b"\rx" + end,
        "LF CR after the data": size + b"\r\n" + e + b"\n\r" + end,
        "an empty line more after the data": size + b"\r\n" + e + b"\r\n\r\n" + end,
        "data longer than the size": b"%x\r\n" % (len(e) - 1) + e + b"\r\n" + end,
        "data shorter than the size": b"%x\r\n" % (len(e) + 1) + e + b"\r\n" + end,
        "a last size with a sign": chunk(e) + b"+0\r\n\r\n",
        "a last size in 0x": chunk(e) + b"0x0\r\n\r\n",
        "a last size below zero": chunk(e) + b"-0\r\n\r\n",
        "a last size with junk": chunk(e) + b"0 junk\r\n\r\n",
        "a bare LF after the last size": chunk(e) + b"0\n\r\n",
        "a bare LF at the very end": chunk(e) + b"0\r\n\n",
        "two bare LF at the very end": chunk(e) + b"0\n\n",
        "a bare CR at the very end": chunk(e) + b"0\r\n\r",
        "the next request in place of the end": chunk(e) + b"0\r\n" + inner,
        "a bare LF in a trailer": chunk(e) + b"0\r\nX: y\n\r\n",
        "a bare LF after a trailer": chunk(e) + b"0\r\nX: y\r\n\n",
        "a bare CR in a trailer": chunk(e) + b"0\r\nX: y\rz\r\n\r\n",
        "a folded trailer": chunk(e) + b"0\r\nX: y\r\n z\r\n\r\n",
        "a trailer without a colon": chunk(e) + b"0\r\nx\r\n\r\n",
        "a trailer without a name": chunk(e) + b"0\r\n: x\r\n\r\n",
        "a trailer with a space before its colon": chunk(e) + b"0\r\nX : y\r\n\r\n",
        "a NUL in a trailer": chunk(e) + b"0\r\nX: \0\r\n\r\n",
        "a control character in a trailer": chunk(e) + b"0\r\nX: a\x01b\r\n\r\n",
        "trailers without end": chunk(e) + b"0\r\n" + b"X: y\r\n" * (HEADER_MAX // 6 + 1) + b"\r\n",
        "a trailer without end": chunk(e) + b"0\r\nX: " + b"y" * HEADER_MAX + b"\r\n\r\n",
        "an extension without end": size + b";" + b"a" * (HEADER_MAX + 100) + b"\r\n" + e + b"\r\n" + end,
        "small extensions without end": (b"1;" + b"a" * 100 + b"\r\n{\r\n") * 300 + end,
        "zeros without end": b"0" * (HEADER_MAX + 100) + size + b"\r\n" + e + b"\r\n" + end,
    })
    return {"chunks: " + k: build(POST, [HOST, CHUNKED], v) for k, v in bodies.items()}


def lines(e):
    """The request line."""
    rest = [HOST, length(e)]
    first = {
        "no version": b"POST " + PATH,
        "a version in lower case": b"POST " + PATH + b" http/1.1", "version 1": b"POST " + PATH + b" HTTP/1",
        "version 1.": b"POST " + PATH + b" HTTP/1.", "version 0.9": b"POST " + PATH + b" HTTP/0.9",
        "version 1.2": b"POST " + PATH + b" HTTP/1.2", "version 1.10": b"POST " + PATH + b" HTTP/1.10",
        "version 01.1": b"POST " + PATH + b" HTTP/01.1", "version 2.0": b"POST " + PATH + b" HTTP/2.0",
        "version 9.9": b"POST " + PATH + b" HTTP/9.9", "a comma in the version": b"POST " + PATH + b" HTTP/1,1",
        "a space in the version": b"POST " + PATH + b" HTTP /1.1", "HTTPS/1.1": b"POST " + PATH + b" HTTPS/1.1",
        "RTSP/1.0": b"POST " + PATH + b" RTSP/1.0", "ICE/1.0": b"SOURCE " + PATH + b" ICE/1.0",
        "words after the version": POST + b" x", "a space after the version": POST + b" ",
        "a tab after the version": POST + b"\t", "a NUL after the version": POST + b"\0",
        "two spaces": b"POST  " + PATH + b" HTTP/1.1", "two spaces before the version": b"POST " + PATH + b"  HTTP/1.1",
        "a tab": b"POST\t" + PATH + b" HTTP/1.1", "a tab before the version": b"POST " + PATH + b"\tHTTP/1.1",
        "a vertical tab": b"POST\x0b" + PATH + b" HTTP/1.1", "a space before the method": b" " + POST,
        "a NUL before the method": b"\0" + POST, "a bare LF before the method": b"\n" + POST,
        "a bare CR before the method": b"\r" + POST, "two empty lines": b"\r\n\r\n" + POST,
        "post in lower case": b"post " + PATH + b" HTTP/1.1", "an unknown method": b"BREW " + PATH + b" HTTP/1.1",
        "CONNECT": b"CONNECT h:80 HTTP/1.1", "a method of a later day": b"QUERY " + PATH + b" HTTP/1.1",
        "a method that is no token": b"PO@ST " + PATH + b" HTTP/1.1", "no method": PATH + b" HTTP/1.1",
        "a method and NUL": b"POST\0 " + PATH + b" HTTP/1.1", "a long method": b"P" * 5000 + b" " + PATH + b" HTTP/1.1",
        "no target": b"POST HTTP/1.1", "an empty target": b"POST  HTTP/1.1",
        "a space in the target": b"POST " + PATH + b" /x HTTP/1.1", "a NUL in the target": b"POST " + PATH + b"\0 HTTP/1.1",
        "a control character in the target": b"POST " + PATH + b"\x01 HTTP/1.1",
        "ESC in the query": b"POST " + PATH + b"?\x1b[0m HTTP/1.1", "DEL in the target": b"POST " + PATH + b"\x7f HTTP/1.1",
        "a raw byte in the target": b"POST " + PATH + b"\xff HTTP/1.1", "a fragment": b"POST " + PATH + b"#x HTTP/1.1",
        "a bare CR in the target": b"POST " + PATH + b"\r HTTP/1.1", "a target of *": b"POST * HTTP/1.1",
        "a target without a slash": b"POST v1/llm/request HTTP/1.1", "two slashes": b"POST /" + PATH + b" HTTP/1.1",
        "dots in the path": b"POST /v1/llm/../llm/request HTTP/1.1", "an escaped NUL": b"POST " + PATH + b"%00 HTTP/1.1",
        "an escaped slash": b"POST /v1%2fllm/request HTTP/1.1", "another scheme": b"POST ftp://h" + PATH + b" HTTP/1.1",
        "an authority of nothing": b"POST http://" + PATH + b" HTTP/1.1",
        "a user in the authority": b"POST http://u:p@h" + PATH + b" HTTP/1.1",
        "a backslash in the authority": b"POST http://h\\x" + PATH + b" HTTP/1.1",
        "a letter in the port": b"POST http://h:8x" + PATH + b" HTTP/1.1",
        "one slash after the scheme": b"POST http:" + PATH + b" HTTP/1.1",
        "a target without end": b"POST " + PATH + b"?" + b"q" * TARGET_MAX + b" HTTP/1.1",
    }
    cases = {"line: " + k: build(v, rest, e) for k, v in first.items()}
    cases["line: HTTP/0.9"] = b"GET /livez\r\n"
    cases["line: HTTP/2's preface"] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
    cases["line: a bare LF at its end"] = POST + b"\n" + b"\r\n".join(rest) + b"\r\n\r\n" + e
    cases["line: a bare CR at its end"] = POST + b"\r" + b"\r\n".join(rest) + b"\r\n\r\n" + e
    cases["line: only bare LFs"] = good(e).replace(b"\r\n", b"\n")
    cases["line: a TLS hello"] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 60 + b"\r\n\r\n"
    cases["line: PROXY protocol"] = b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + good(e)
    cases["line: PROXY protocol, binary"] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\0" * 12 + good(e)
    return cases


def fields(e):
    """Header fields, Host among them."""
    one = {
        "folded": [b"X: a\r\n b"], "folded with a tab": [b"X: a\r\n\tb"], "no colon": [b"foo"], "no name": [b": x"],
        "a space before the colon": [b"X : y"], "a tab before the colon": [b"X\t: y"], "a space in the name": [b"a b: c"],
        "a NUL in the name": [b"a\0b: c"], "a NUL in the value": [b"X: a\0b"], "a byte above ASCII in the name": [b"\xe9: x"],
        "a control character in the value": [b"X: a\x01b"], "ESC in the value": [b"X: \x1b[0m"],
        "DEL in the value": [b"X: a\x7fb"], "brackets in the name": [b"(x): y"], "quotes in the name": [b'"x": y'],
        "an at sign in the name": [b"x@y: z"], "a slash in the name": [b"x/y: z"], "a bare LF": [b"X: a\nY: b"],
        "a bare CR": [b"X: a\rY: b"], "CR CR LF": [b"X: a\r"], "a CR before the name": [b"\rX: a"],
        "a vertical tab before the colon": [b"X\x0b: y"], "101 fields": [b"a:"] * (FIELDS_MAX - 1),
        "a field without end": [b"X: " + b"y" * HEADER_MAX], "fields without end": [b"X: " + b"y" * 400] * 42,
        "a name without end": [b"x" * HEADER_MAX + b": y"],
        "a second Host": [b"Host: other"], "the same Host again": [HOST], "a Host with a space before its colon": [b"Host : i"],
        "Expect: miracles": [b"Expect: miracles"], "Expect twice": [b"Expect: 100-continue"] * 2,
        "Expect in a list": [b"Expect: 100-continue, 100-continue"], "Expect with a word before": [b"Expect: y 100-continue"],
        "Expect after a vertical tab": [b"Expect: \x0b100-continue"], "Expect after a bare LF": [b"Expect:\n 100-continue"],
        "Expect of nothing": [b"Expect:"], "Expect folded": [b"Expect:\r\n 100-continue"],
    }
    cases = {"field: " + k: build(POST, [HOST, *v, length(e)], e) for k, v in one.items()}
    hosts = {
        "none": None, "two in a list": b"h, i", "a space": b"h i", "a path": b"h/x", "a tab": b"h\ti", "a user": b"u@h",
        "a query": b"h?x", "a fragment": b"h#x", "a NUL": b"h\0i", "a raw byte": b"h\xff", "a quote": b'h"', "a comma": b"h,",
        "a backslash": b"h\\i", "a letter in the port": b"h:8x", "two ports": b"h:1:2", "no end of the bracket": b"[::1", "only the end of a bracket": b"::1]", "words after the bracket": b"[::1]x",
        "a scheme": b"http://h", "a control character": b"h\x01",
    }
    for k, v in hosts.items():
        cases["Host: " + k] = build(POST, [*([b"Host: " + v] if v is not None else []), length(e)], e)
    cases["Host: none, absolute-form"] = build(b"POST http://h" + PATH + b" HTTP/1.1", [length(e)], e)
    cases["Host: folded"] = build(POST, [b"Host:\r\n h", length(e)], e)
    cases["Host: twice in HTTP/1.0"] = build(b"POST " + PATH + b" HTTP/1.0", [HOST, HOST, length(e)], e)
    cases["field: a blank line of spaces first"] = build(POST, [b" ", HOST, length(e)], e)
    cases["field: a space before the first"] = build(POST, [b" X: y", HOST, length(e)], e)
    for k, v in {"LF LF": b"\n\n", "CRLF LF": b"\r\n\n", "LF CRLF": b"\n\r\n", "CRLF CR": b"\r\n\r", "CR CR": b"\r\r",
                 "CRLF, NUL, CRLF": b"\r\n\0\r\n", "CRLF, space, CRLF": b"\r\n \r\n"}.items():
        cases["field: the last ends in " + k] = b"\r\n".join([POST, HOST, length(e)]) + v + e
    return cases


def bodies(e):
    """Bodies where none is taken, and more than is taken: what is in them must not become a request."""
    inner = good(e)
    cases = {
        "GET": build(b"GET /livez HTTP/1.1", [HOST, length(inner)], inner),
        "GET in chunks": build(b"GET /livez HTTP/1.1", [HOST, CHUNKED], chunked(inner)),
        "GET that expects": build(b"GET /livez HTTP/1.1", [HOST, b"Expect: 100-continue", length(inner)], inner),
        "HEAD": build(b"HEAD /livez HTTP/1.1", [HOST, length(inner)], inner),
        "HEAD in chunks": build(b"HEAD /livez HTTP/1.1", [HOST, CHUNKED], chunked(inner)),
        "HEAD of the events' path": build(b"HEAD " + PATH + b" HTTP/1.1", [HOST, length(inner)], inner),
        "GET of the events' path": build(b"GET " + PATH + b" HTTP/1.1", [HOST, length(inner)], inner),
        "HEAD that expects": build(b"HEAD /livez HTTP/1.1", [HOST, b"Expect: 100-continue", length(inner)], inner),
        "DELETE": build(b"DELETE " + PATH + b" HTTP/1.1", [HOST, length(inner)], inner),
        "OPTIONS": build(b"OPTIONS * HTTP/1.1", [HOST, length(inner)], inner),
        "TRACE": build(b"TRACE " + PATH + b" HTTP/1.1", [HOST, length(inner)], inner),
        "POST where GET is meant": build(b"POST /livez HTTP/1.1", [HOST, length(inner)], inner),
        "POST to nowhere": build(b"POST /nothing HTTP/1.1", [HOST, length(inner)], inner),
        "POST to nowhere in chunks": build(b"POST /nothing HTTP/1.1", [HOST, CHUNKED], chunked(inner)),
        "POST to nowhere that expects": build(b"POST /nothing HTTP/1.1", [HOST, b"Expect: 100-continue", length(inner)],
                                              inner),
        "more than is taken": build(POST, [HOST, b"Content-Length: 300000"], inner),
        "more than is taken, expected": build(POST, [HOST, b"Expect: 100-continue", b"Content-Length: 300000"], inner),
        "more than is taken in a chunk": build(POST, [HOST, CHUNKED], b"493e0\r\n" + inner),
    }
    return {"body: " + k: v for k, v in cases.items()}


def abuse(event):
    """Name to bytes. None of it may be executed, in whole or in part."""
    groups = [lengths(event), encodings(event), chunks(event), lines(event), fields(event), bodies(event)]
    cases = {k: v for group in groups for k, v in group.items()}
    assert len(cases) == sum(map(len, groups)), "two cases of one name"
    return cases


def in_order(event):
    """Name to bytes: each is one event that is to be taken, and leaves the connection as it was."""
    n = len(event)
    return {
        "plain": good(event),
        "zeros before the length": build(POST, [HOST, b"Content-Length: 000%d" % n], event),
        "blanks around the length": build(POST, [HOST, b"Content-Length:  %d  " % n], event),
        "no blank before the length": build(POST, [HOST, b"Content-Length:%d" % n], event),
        "chunks": build(POST, [HOST, CHUNKED], chunked(event)),
        "chunks in other letters": build(POST, [HOST, b"tRANSFER-eNCODING: cHuNkEd"], chunked(event)),
        "blanks around chunked": build(POST, [HOST, b"Transfer-Encoding:  chunked  "], chunked(event)),
        "chunks of one byte": build(POST, [HOST, CHUNKED], b"".join(chunk(event[i:i + 1]) for i in range(n))
                                    + b"0\r\n\r\n"),
        "zeros before a size": build(POST, [HOST, CHUNKED], b"000%X\r\n" % n + event + b"\r\n000\r\n\r\n"),
        "extensions": build(POST, [HOST, CHUNKED], b'%x;b="c d"\r\n' % n + event + b"\r\n0;x\r\n\r\n"),
        "trailers": build(POST, [HOST, CHUNKED], chunk(event) + b"0\r\nX: y\r\nContent-Length: 9\r\n"
                          b"Transfer-Encoding: chunked\r\nHost: i\r\n\r\n"),
        "an empty line before": b"\r\n" + good(event),
        "no name of a host": build(POST, [b"Host:", length(event)], event),
        "a host with a port": build(POST, [b"Host: a.example:8080", length(event)], event),
        "a host of IPv6": build(POST, [b"Host: [::1]:8080", length(event)], event),
        "absolute-form": build(b"POST http://h:80" + PATH + b" HTTP/1.1", [HOST, length(event)], event),
        "a query": build(b"POST " + PATH + b"?a=%0d%0a&b HTTP/1.1", [HOST, length(event)], event),
        "100 fields": build(POST, [HOST, length(event), *[b"a:"] * (FIELDS_MAX - 2)], event),
        "Expect: 100-continue": build(POST, [HOST, b"Expect: 100-continue", length(event)], event),
        "an offer to upgrade": build(POST, [HOST, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                                            b"HTTP2-Settings: AAMAAABkAAQAAP__", length(event)], event),
        "fields that name other methods and paths": build(
            POST, [HOST, b"X-HTTP-Method-Override: GET", b"X-Original-URL: /livez", length(event)], event),
        "bytes above ASCII in a value": build(POST, [HOST, b"X: \xe9\xff", length(event)], event),
    }
