"""Posts of SMS providers: whatever else is in them, a cry for help is found, and one bad entry takes no other along."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.notify.channels.cm import CmProvider, CmSettings
from services.notify.channels.lenient import REPLACEMENT, text_of_body
from services.notify.channels.sms_callbacks import SmsReply
from services.notify.channels.sms_provider import SmsProvider, WebhookPost
from services.notify.channels.spryng import SpryngProvider, SpryngSettings
from services.notify.channels.twilio import TwilioProvider, TwilioSettings, signature
from services.notify.rules.answers import ReplyMeaning, names_help, read_reply
from services.notify.store.callbacks import Callback
from services.notify.unread_replies import read_replies

CM = CmProvider(CmSettings(url="http://cm.example", product_token=SecretStr("t"), sender="+31970000000"))
SPRYNG = SpryngProvider(SpryngSettings(api_key=SecretStr("k"), account_reference="SPNL0000000", sender="UniAlert"))
TWILIO = TwilioProvider(TwilioSettings(account_sid="AC00000000", auth_token=SecretStr("token"), sender="+31970000000"))
PROVIDERS: dict[str, SmsProvider] = {provider.provider: provider for provider in (CM, SPRYNG, TWILIO)}
PARSERS = {name: provider.parse_replies for name, provider in PROVIDERS.items()}
NUMBER = "+31610000005"
CRY = '{"from":{"number":"0031610000005"},"message":{"text":"HULP %s"}}'

#: Half of an emoji, as the first half of a text that was cut between two SMS ends.
HALF = "\\ud83c"
#: Name → a reply of CM whose number and cry for help a person reads at once.
READ_BY_ANYBODY: dict[str, bytes] = {
    "half an emoji": (CRY % HALF).encode(),
    "the other half": (CRY % "\\udf0a").encode(),
    "raw line break": (CRY % "\n").encode(),
    "raw tab and other control signs": (CRY % "\t\x01\x1f\x7f").encode(),
    "NUL, escaped": (CRY % "\\u0000").encode(),
    "NUL, raw": (CRY % "\0").encode(),
    "byte order mark": b"\xef\xbb\xbf" + (CRY % "").encode(),
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf" + (CRY % "").encode(),
    "UTF-16 with its mark": (CRY % "").encode("utf-16"),
    "UTF-16 without": (CRY % "").encode("utf-16-le"),
    "UTF-32": (CRY % "").encode("utf-32"),
    "latin-1": (CRY % "café").encode("latin-1"),
    "a surrogate in UTF-8": (CRY % "").encode().replace(b"HULP ", b"HULP \xed\xa0\xbc"),
    "half a sign": (CRY % "").encode().replace(b"HULP ", b"HULP \xf0\x9f\x8c"),
    "ctrl-Z and NUL behind": (CRY % "").encode() + b"\x1a\0\0",
    "NUL in front": b"\0" + (CRY % "").encode(),
    "blanks around": b" \r\n" + (CRY % "").encode() + b"\r\n",
    "an invented escape": (CRY % "\\x41 \\' \\u12").encode(),
    "a last comma": (CRY % "").encode().replace(b'"}}', b'",},}'),
    "number as a JSON number": (CRY % "").encode().replace(b'"0031610000005"', b"31610000005"),
    "number with zeros as a JSON number": (CRY % "").encode().replace(b'"0031610000005"', b"0031610000005"),
    "number with a plus as a JSON number": (CRY % "").encode().replace(b'"0031610000005"', b"+31610000005"),
    "number as a fraction": (CRY % "").encode().replace(b'"0031610000005"', b"31610000005.0"),
    "number as an exponent": (CRY % "").encode().replace(b'"0031610000005"', b"3.1610000005E10"),
    "number in a list": (CRY % "").encode().replace(b'"0031610000005"', b'["0031610000005"]'),
    "sender without an object": b'{"from":"0031610000005","message":"HULP"}',
    "text in a list": b'{"from":"0031610000005","message":["HULP","nu"]}',
    "a list around it": b"[" + (CRY % "").encode() + b"]",
    "a list of lists": b"[[" + (CRY % "").encode() + b"]]",
    "an envelope as of receipts": b'{"messages":{"msg":[' + (CRY % "").encode() + b"]}}",
    "upper case": (CRY % "").encode().replace(b'"from"', b'"FROM"').replace(b'"text"', b'"Text"'),
    "the text twice": (CRY % "").encode().replace(b'"text"', b'"text":"","text"'),
    "the text twice, help first": b'{"from":"0031610000005","message":"HULP","message":""}',
    "a form": b"from=0031610000005&message=HULP%20%ff",
    "a form with JSON in it": b"payload=" + quote(CRY % HALF).encode(),
    "JSON in a JSON text": json.dumps(CRY % HALF).encode(),
    "an endless number beside it": (CRY % "").encode()[:-1] + b',"id":' + b"9" * 9_000 + b"}",
    "deep beside it": (CRY % "").encode()[:-1] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}",
    "a lone zero-width sign in the number": (CRY % "").encode().replace(b"0031", "\u200b0031".encode()),
}
#: Name → a post in which nobody can name the sender, or nobody can read anything, but it asks for help.
FOR_A_PERSON: dict[str, bytes] = {
    "short code": b'{"from":{"number":"12345"},"message":{"text":"HULP"}}',
    "a name": b'{"from":{"number":"MijnApp"},"message":{"text":"HULP"}}',
    "a name in the number's place, long": b'{"from":{"number":"' + b"x" * 500 + b'"},"message":{"text":"HULP"}}',
    "hidden": b'{"from":{"number":"anonymous"},"message":{"text":"HULP"}}',
    "empty": b'{"from":{"number":""},"message":{"text":"HULP"}}',
    "null": b'{"from":null,"message":{"text":"HULP"}}',
    "true": b'{"from":true,"message":{"text":"HULP"}}',
    "missing": b'{"message":{"text":"HULP"}}',
    "two senders": b'{"from":"0031610000005","from":"0031610000006","message":"HULP"}',
    "half an emoji as the sender": b'{"from":{"number":"\\ud83c"},"message":{"text":"HULP"}}',
    "cut off": b'{"from":{"number":"0031610000005"},"message":{"text":"HULP',
    "another shape": b'{"event":{"payload":{"msisdn":"31610000005","sms":"HULP"}}}',
    "no JSON": b"HULP",
    "XML": b"<sms><from>0031610000005</from><text>HULP</text></sms>",
    "too deep": b"[" * 40_000 + b'"HULP"' + b"]" * 40_000,
    "deep and whole": b'{"message":' * 900 + b'"HULP"' + b"}" * 900,
}


def stored(body: bytes, content_type: str = "application/json") -> bytes:
    """The body as the webhook stores it."""
    return text_of_body(body, content_type).encode()


def replies_in(body: bytes, provider: str = "cm", content_type: str = "") -> list[SmsReply]:
    """The replies that the worker finds in a body."""
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return read_replies(Callback("c", "inbound", stored(body, content_type), at, 0, provider), PARSERS)


def is_storable(reply: SmsReply) -> bool:
    """Whether BSON, UTF-8, JSON and a hash take every text of a reply, and it is read again as it was."""
    assert "\0" not in reply.text + reply.number
    (reply.text + reply.number).encode()
    return SmsReply.stored(reply.to_store()) == reply


@pytest.mark.parametrize("name", READ_BY_ANYBODY)
def test_lenient_reading_finds_number_and_cry_for_help(name: str) -> None:
    """A post that a strict parser refuses for one odd sign is read: the number is known, and it asks for help."""
    (reply,) = replies_in(READ_BY_ANYBODY[name])

    assert (reply.number, reply.is_readable) == (NUMBER, True)
    assert read_reply(reply.text).meaning is ReplyMeaning.HELP
    assert is_storable(reply)


@pytest.mark.parametrize("name", FOR_A_PERSON)
def test_lenient_reading_leaves_the_rest_to_a_person_with_its_words(name: str) -> None:
    """Nobody is named by a guess; the words are kept, and the word for help is seen."""
    body = FOR_A_PERSON[name]
    (reply,) = replies_in(body)

    assert reply.number != NUMBER
    assert reply.is_readable or names_help(stored(body).decode())
    assert not reply.is_readable or names_help(reply.text)
    assert is_storable(reply)


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]), st.booleans())
def test_lenient_reading_keeps_a_cry_among_any_signs(before: str, after: str, encoding: str, ascii_only: bool) -> None:
    """Any text around it, in any encoding of JSON, with surrogates as escapes: the sender and the word stay."""
    text = f"{before} HULP {after}"
    post = json.dumps({"from": {"number": "0031610000005"}, "message": {"text": text}}, ensure_ascii=ascii_only)

    (reply,) = replies_in(post.encode(encoding, "replace"))

    assert reply.number == NUMBER
    assert names_help(reply.text)
    assert is_storable(reply)


@given(
    st.binary(max_size=400),
    st.sampled_from(sorted(PROVIDERS)),
    st.sampled_from(["", "a/b; charset=utf-16", "x; charset=\x00"]),
)
def test_lenient_reading_of_any_bytes_is_one_reply_at_least(body: bytes, provider: str, content_type: str) -> None:
    """Whatever strangers post, a person can read it, and nothing that stores it breaks."""
    for post in (body, b'{"from":"' + body + b'","message":"' + body + b'"}', b"[" + body + b"," + body + b"]"):
        replies = replies_in(post, provider, content_type)

        assert replies
        assert all(is_storable(reply) for reply in replies)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON_VALUES, max_size=4), st.lists(JSON_VALUES, max_size=4))
def test_lenient_reading_takes_every_good_receipt_of_a_post(before: list[Any], after: list[Any]) -> None:
    """Of CM and Spryng: entries of any shape beside a receipt leave it as it is, and are left to a person."""
    cm = {"reference": "r" * 32, "status": {"code": 2}}
    spryng = {"MessageId": "m-1", "Status": "Delivered"}

    of_cm = CM.parse_receipts(json.dumps({"messages": {"msg": [*before, cm, *after]}}).encode())
    of_spryng = SPRYNG.parse_receipts(json.dumps({"Messages": [*before, spryng, *after]}).encode())

    assert [(receipt.reference, receipt.state) for receipt in of_cm if receipt.state == "delivered"] == [
        ("r" * 32, "delivered")
    ]
    assert [receipt.reference for receipt in of_spryng if receipt.state == "delivered"] == ["spryng:m-1"]


@pytest.mark.parametrize(
    ("provider", "post"),
    [
        (SPRYNG, {"Messages": [{"MessageId": 77, "Status": "Delivered"}, None, {"MessageId": None}]}),
        (SPRYNG, {"status": "Delivered", "messages": {"messageId": "77"}}),
        (CM, {"messages": {"msg": [{"reference": 77, "status": {"code": "2"}}, "x", {"reference": {}}]}}),
        (CM, [{"reference": "77", "status": {"code": 2.0e0, "errorDescription": "\ud83c"}}]),
    ],
)
def test_lenient_reading_of_a_receipt_in_another_shape(provider: SmsProvider, post: object) -> None:
    """A number where a text is expected, a list where an object is, half an emoji in its reason."""
    receipts = provider.parse_receipts(json.dumps(post).encode())

    assert receipts[0].reference.removeprefix("spryng:") == "77"
    assert {receipt.state for receipt in receipts[1:]} <= {"unread"}


def test_lenient_reading_finds_every_reply_of_a_post() -> None:
    """Spryng may post several messages at once: none is left out, and a broken one is left to a person."""
    messages: list[Any] = [{"Originator": f"3161000000{n}", "Body": f"{n}"} for n in range(5)]
    body = orjson.dumps({"Messages": [*messages, {"Body": "HELP"}, None, 7]})

    *replies, rest = replies_in(body, "spryng")

    assert [(reply.number, reply.text) for reply in replies] == [(f"+3161000000{n}", str(n)) for n in range(5)]
    assert not rest.is_readable
    assert names_help(rest.text)


def _signed(form: bytes, query: dict[str, str], url: str, signed_body: bytes) -> bool:
    headers = {"x-twilio-signature": signature("token", url, signed_body)}
    return TWILIO.is_authentic(WebhookPost(url, query, headers, form))


@given(st.binary(max_size=60))
def test_twilio_signature_covers_bytes_that_are_no_text(text: bytes) -> None:
    """Twilio signs the bytes: a text that is not UTF-8 is authentic all the same, and another text is not."""
    form = b"From=%2B31610000005&Body=HULP" + quote(text).encode()
    url = "http://notify.example/v1/webhooks/twilio/inbound"

    assert _signed(form, {}, url, form)
    assert not _signed(form + b"x", {}, url, form)
    (reply,) = replies_in(b"ref=&" + form, "twilio")
    assert reply.number == NUMBER
    assert reply.text.startswith("HULP")
    assert text.isascii() or REPLACEMENT in reply.text or text.decode("utf-8", "replace") in reply.text


def test_twilio_post_of_json_is_signed_by_its_digest() -> None:
    """A JSON post of Twilio has the digest of its body in the signed address; another body is refused."""
    body = b'{"From":"+31610000005","Body":"HULP"}'
    digest = "".join(f"{byte:02X}" for byte in __import__("hashlib").sha256(body).digest())
    url = f"http://notify.example/v1/webhooks/twilio/inbound?bodySHA256={digest}"

    assert _signed(body, {"bodySHA256": digest}, url, b"")
    assert not _signed(body + b" ", {"bodySHA256": digest}, url, b"")
    (reply,) = replies_in(TWILIO.stored_body(WebhookPost(url, {}, {}, body)), "twilio")
    assert (reply.number, reply.text) == (NUMBER, "HULP")


@pytest.mark.parametrize(
    "make", [lambda n: b"[" * n, lambda n: b'{"a":' * n, lambda n: b'"' * n, lambda n: b'{"a":"' + b'\\"' * n,
             lambda n: b"a=1&" * n, lambda n: b"[" + b"1," * n + b"1]",
             lambda n: b"{" + b",".join(b'"a":%d' % i for i in range(n)) + b"}"]
)  # fmt: skip
def test_lenient_reading_is_bounded_for_hostile_shapes(make: Callable[[int], bytes]) -> None:
    """A body of the largest size, made to nest, to escape or to repeat a key: read, without an error."""
    body = make(40_000)[:100_000]

    assert all(is_storable(reply) for reply in replies_in(body))
