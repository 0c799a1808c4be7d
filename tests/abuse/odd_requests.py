"""What strangers, proxies and broken programs write into headers, parameters and claims."""

import json
from typing import Any

#: Every header that the services read; a test compares them with the code.
HEADERS = (
    "Accept", "Accept-Language", "Access-Control-Request-Method", "Authorization", "Content-Disposition",
    "Content-Encoding", "Content-Length", "Content-Type", "Host", "Idempotency-Key", "If-Match", "Origin",
    "Transfer-Encoding", "X-Request-Id", "X-Twilio-Signature", "traceparent",
)  # fmt: skip
#: Bytes: a header may hold anything but line breaks (RFC 9110 §5.5).
BYTES = (b"", b"\xe9", b"\xff\xfe", b"x" * 4_000, b"9" * 400)
#: Values that come near to what a header means.
NEARLY: dict[str, tuple[bytes, ...]] = {
    "Accept": (b"text/html;q=nan, */*;q=inf", b"," * 600, b"application/json;q="),
    "Accept-Language": (b"nl;q=1e400,en;q=-1", b"*", b"," * 600),
    "Authorization": (b"Basic \xff", b"Basic Og==", b"Basic w6k=", b"Bearer ", b"Bearer a.b.c",
                      b"Bearer \xe9.\xe9.\xe9"),
    "Content-Disposition": (
        b"attachment; filename*=utf-8''%ff%00", b'attachment; filename="..\\..\\x"', b"attachment; filename*=",
        "attachment; filename=\u00e9\u202e".encode(),
    ),
    "Content-Encoding": (b"gzip", b"identity, br"),
    "Content-Length": (b"-1", b"1e3", b"+5", b"5, 5"),
    "Content-Type": (b"application/json; charset=utf-7", b"application/json;charset", b"multipart/form-data"),
    "Host": (b"[::1", b"a:99999999", b"a b"),
    "If-Match": (b'W/"' + b"9" * 30 + b'"', b'"\xe9"', b'"1", "2"', b'"-1"', b"W/*", b'"\xd9\xa3"'),
    "X-Request-Id": (b"a b", b"../../x-y-z", b"-" * 64),
    "traceparent": (b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00", b"00-" + b"\xe9" * 32 + b"-" + b"1" * 16 + b"-01"),
}  # fmt: skip

#: For parameters of a path or a query: what is no number, no known word, and what looks for a weak place behind it.
TEXTS = ("", "\x00", "\u202e\u0660", "x" * 5_000, "$ne", "../../x", "9999-12-31T23:59:59Z")
NUMBERS = ("", "-1", "9" * 30, "nan", "\u0660")
#: Percent-encoded bytes that are no UTF-8, and a percent sign that encodes nothing.
RAW = ("%ff%ed%a0%80", "%zz")

CLAIMS = ("iss", "aud", "sub", "exp", "nbf", "iat", "jti", "roles", "typ", "at_hash", "scope", "cnf")
#: JSON texts, some of which are no JSON for others.
CLAIM_VALUES = (
    "null", "true", "0", "-1", "0.5", "1e400", "-1e400", "NaN", "9" * 400, "253402300799", '""', '"1796000000"',
    r'"\ud800"', r'"\u0000"', '"' + "x" * 300 + '"', "[]", "[[]]", '["student", 7, null]', "{}", '{"sub": "x"}',
    '"student safety-officer"', "[" * 500 + "]" * 500,
)  # fmt: skip


def with_claim(claims: dict[str, Any], name: str, value: str) -> bytes:
    """The claims as JSON, one of them replaced by this JSON text."""
    rest = {key: kept for key, kept in claims.items() if key != name}
    return (json.dumps(rest)[:-1] + f', "{name}": {value}}}').encode()
