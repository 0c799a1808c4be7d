"""The SMS gateway over HTTP: CM.com's wire, receipts, replies, and each of its faults."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import cm_wire
from tests.integration.simulators import Customer, Simulator, running, until

TOKEN = "token-of-the-test"
NUMBER = "0031600000001"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running("sms_gateway", tmp_path_factory.mktemp("sms"), "--product-token", TOKEN) as simulator:
        yield simulator


@pytest.fixture
def customer() -> Iterator[Customer]:
    opened = Customer()
    yield opened
    opened.close()


@pytest.fixture
def gateway(process: Simulator, customer: Customer) -> Iterator[Simulator]:
    """The gateway without faults, posting to this test's customer without delay; it owes nothing afterwards."""
    process.put("/faults", {})
    process.put("/config", urls(customer))
    yield process
    process.put("/config", {"receipts_url": None, "inbound_url": None})
    until(lambda: process.get("/healthz")["callbacks_pending"] == 0, "no callback is pending")


def urls(customer: Customer) -> dict[str, object]:
    return {
        "receipts_url": f"http://{customer.address}/receipts",
        "inbound_url": f"http://{customer.address}/inbound",
        "receipt_delay_seconds": 0,
    }


def message(reference: str, *numbers: str, **other: object) -> dict[str, Any]:
    return {
        "from": "UniAlert",
        "to": [{"number": number} for number in numbers or (NUMBER,)],
        "body": {"type": "auto", "content": "Reisadvies gewijzigd"},
        "reference": reference,
        "minimumNumberOfMessageParts": 1,
        "maximumNumberOfMessageParts": 8,
        "validity": "2h",
        "allowedChannels": ["SMS"],
        **other,
    }


def post(gateway: Simulator, *messages: object, token: str | None = TOKEN, timeout: float = 30) -> httpx.Response:
    return gateway.http.post(
        "/v1.0/message",
        json={"messages": {"msg": list(messages)}},
        headers={"X-CM-PRODUCTTOKEN": token} if token else {},
        timeout=timeout,
    )


def logged(gateway: Simulator, reference: str) -> list[dict[str, Any]]:
    lines = (gateway.state / "sms.jsonl").read_text().splitlines()
    return [entry for line in lines if (entry := json.loads(line))["reference"] == reference]


def test_gateway_accepted_sms_is_answered_and_logged(gateway: Simulator) -> None:
    """The answer is CM's, and the line is in the log by the time it arrives."""
    answer = post(gateway, message("accepted1"))

    (line,) = logged(gateway, "accepted1")
    assert answer.status_code == 200
    assert answer.json() == {
        "details": "Created 1 message(s)",
        "errorCode": 0,
        "messages": [
            {
                "to": NUMBER,
                "status": "Accepted",
                "reference": "accepted1",
                "parts": 1,
                "messageDetails": None,
                "messageErrorCode": 0,
            }
        ],
    }
    assert {name: line[name] for name in ("to", "from", "body", "parts")} == {
        "to": NUMBER,
        "from": "UniAlert",
        "body": "Reisadvies gewijzigd",
        "parts": 1,
    }
    assert line["received_at"].endswith("Z")
    assert gateway.get("/messages", reference="accepted1") == [line]


def test_gateway_token_may_stand_in_the_body(gateway: Simulator) -> None:
    """Without the header the body's product token counts."""
    body = {"messages": {"authentication": {"productToken": TOKEN}, "msg": [message("tokeninbody")]}}

    answer = gateway.http.post("/v1.0/message", json=body)

    assert answer.status_code == 200


@pytest.mark.parametrize("token", ["wrong", None])
def test_gateway_wrong_token_is_400_with_101(gateway: Simulator, token: str | None) -> None:
    """A revoked token refuses everything, in CM's words."""
    answer = post(gateway, message("wrongtoken"), token=token)

    assert answer.status_code == 400
    assert (answer.json()["errorCode"], answer.json()["messages"]) == (101, [])
    assert logged(gateway, "wrongtoken") == []


def test_gateway_some_refused_is_200_with_201_and_all_refused_400(gateway: Simulator) -> None:
    """Partial success names the result of each recipient; nobody accepted is an error."""
    refused = "0031609999005"
    partial = post(gateway, message("partial1", NUMBER, refused))
    none = post(gateway, message("partial2", refused))

    assert (partial.status_code, partial.json()["errorCode"]) == (200, 201)
    assert [(result["status"], result["messageErrorCode"]) for result in partial.json()["messages"]] == [
        ("Accepted", 0),
        ("Rejected", 402),
    ]
    assert [line["to"] for line in logged(gateway, "partial1")] == [NUMBER]
    assert (none.status_code, none.json()["errorCode"]) == (400, 201)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"from": "MoreThan11Characters"}, 301),
        ({"from": "12345678901234567"}, 301),
        ({"to": []}, 302),
        ({"to": [{"number": "+31600000001"}]}, 303),
        ({"to": [{"number": "31600000001"}]}, 303),
        ({"body": {"type": "auto"}}, 304),
        ({"reference": "0192d3e4-5b6c-7d8e-9f00-112233445566"}, 305),
        ({"reference": "a" * 33}, 305),
        ({"maximumNumberOfMessageParts": 9}, 305),
        ({"allowedChannels": ["WhatsApp"]}, 305),
    ],
)
def test_gateway_invalid_message_is_refused_with_its_code(
    gateway: Simulator, wrong: dict[str, object], code: int
) -> None:
    """Each field has its code."""
    answer = post(gateway, message("invalid1") | wrong)

    assert answer.status_code == 400
    assert [result["messageErrorCode"] for result in answer.json()["messages"]] == [code]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", 202),
        (b'{"messages": []}', 202),
        (b'{"messages": {"msg": {}}}', 203),
        (json.dumps({"messages": {"msg": [message("toomany", *[NUMBER] * 1001)]}}).encode(), 203),
    ],
)
def test_gateway_unreadable_request_is_refused_whole(gateway: Simulator, body: bytes, code: int) -> None:
    """Anything else than a list of messages for at most 1000 recipients sends nothing."""
    answer = gateway.http.post("/v1.0/message", content=body, headers={"X-CM-PRODUCTTOKEN": TOKEN})

    assert (answer.status_code, answer.json()["errorCode"]) == (400, code)
    assert logged(gateway, "toomany") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ş" * 70, 1),
        ("ş" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 67, 3),
    ],
)
def test_parts_at_their_boundaries_counts_what_a_handset_gets(text: str, expected: int) -> None:
    """160/153 septets and 70/67 UTF-16 units; neither an escape nor a surrogate pair is cut in two."""
    assert cm_wire.parts(text) == expected


def test_gateway_text_over_the_limit_of_parts_is_marked_truncated(gateway: Simulator) -> None:
    """The gateway sends no more parts than allowed, and the log says so."""
    content = {"type": "auto", "content": "a" * 500}

    answer = post(gateway, message("truncated1", body=content, maximumNumberOfMessageParts=2))

    assert answer.json()["messages"][0]["parts"] == 2
    assert [line["truncated"] for line in logged(gateway, "truncated1")] == [True]


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (NUMBER, {"code": 2, "errorCode": "", "errorDescription": "Delivered"}),
        ("0031609999002", {"code": 3, "errorCode": "1", "errorDescription": "Unknown subscriber"}),
        ("0031609999003", {"code": 3, "errorCode": "27", "errorDescription": "Absent subscriber"}),
    ],
)
def test_gateway_receipt_tells_what_the_number_stands_for(
    gateway: Simulator, customer: Customer, number: str, status: dict[str, object]
) -> None:
    """The receipt has CM's shape; the last seven digits decide what it says."""
    post(gateway, message("receipt1", number))

    (receipt,) = customer.at("/receipts")
    told = receipt["messages"]["msg"]
    assert (told["to"], told["reference"], told["status"]) == (number, "receipt1", status)
    assert set(told) == {"received", "to", "reference", "status", "operator"}


def test_gateway_number_without_receipts_gets_none(gateway: Simulator, customer: Customer) -> None:
    """A country whose operators report nothing: accepted, and then silence."""
    post(gateway, message("silent1", "0031609999004"))
    post(gateway, message("loud1"))

    customer.at("/receipts")
    until(lambda: gateway.get("/healthz")["callbacks_pending"] == 0, "no callback is pending")
    assert [receipt["messages"]["msg"]["reference"] for receipt in customer.at("/receipts")] == ["loud1"]


def test_gateway_receipt_comes_again_until_it_is_taken(gateway: Simulator, customer: Customer) -> None:
    """A customer that answers 500 gets the same receipt again, one that answers any 2xx does not."""
    customer.answers = [500, 202]
    post(gateway, message("again1"))

    first, second = customer.at("/receipts", 2)
    until(lambda: gateway.get("/healthz")["callbacks_pending"] == 0, "no callback is pending")
    assert first == second
    assert len(customer.posts) == 2


def test_gateway_receipts_url_with_credentials_sends_them_as_basic(gateway: Simulator, customer: Customer) -> None:
    """`http://user:secret@…` reaches the customer as HTTP Basic."""
    gateway.put("/config", {"receipts_url": f"http://cm:secret@{customer.address}/receipts"})
    post(gateway, message("basic1"))

    customer.at("/receipts")
    assert customer.headers[0]["Authorization"] == "Basic Y206c2VjcmV0"


def test_gateway_reply_reaches_the_customer_until_exactly_200(gateway: Simulator, customer: Customer) -> None:
    """A handset's reply is posted to the sender it had an SMS from, again after a 201."""
    post(gateway, message("ask1", "0031600000077", **{"from": "0031970000042"}))
    customer.at("/receipts")
    customer.answers = [201]

    answer = gateway.http.post("/control/reply", json={"number": "+31 6 0000 0077", "text": "VEILIG ❤"})

    first, second = customer.at("/inbound", 2)
    assert answer.status_code == 202
    assert first == second
    assert first["from"]["number"] == "0031600000077"
    assert first["to"]["number"] == "0031970000042"
    assert first["message"]["text"] == "VEILIG ❤"
    assert first["reference"] == answer.json()["id"]
    assert set(first) == {
        "from",
        "to",
        "message",
        "reference",
        "groupings",
        "timeUtc",
        "channel",
        "messageContext",
    }


def test_gateway_reply_without_anywhere_to_go_is_refused(gateway: Simulator) -> None:
    """A reply nobody would get, or from no number, is the caller's mistake."""
    no_number = gateway.http.post("/control/reply", json={"number": "612345678", "text": "SAFE"})
    gateway.put("/config", {"inbound_url": None})
    nowhere = gateway.http.post("/control/reply", json={"number": "+31600000001", "text": "SAFE"})

    assert (no_number.status_code, nowhere.status_code) == (400, 400)
    assert "inbound_url" in nowhere.json()["error"]


@pytest.mark.parametrize(
    ("fault", "status", "said", "accepted"),
    [
        ({"too_many_requests": 1}, 429, "Too many", False),
        ({"http_500": 1}, 500, "Internal", False),
        ({"refuse": 1, "refuse_code": 401}, 400, '"errorCode": 401', False),
        ({"non_json_200": 1}, 200, "<html>", False),
        ({"accept_then_500": 1}, 500, "Internal", True),
    ],
)
def test_gateway_counted_fault_hits_once(
    gateway: Simulator, customer: Customer, fault: dict[str, int], status: int, said: str, accepted: bool
) -> None:
    """The next request meets the fault, the one after it does not; only accepted messages get a receipt."""
    gateway.put("/faults", fault)
    hit = post(gateway, message("hit1"))
    spared = post(gateway, message("spared1"))

    receipts = customer.at("/receipts", 2 if accepted else 1)
    assert hit.status_code == status
    assert said in hit.text
    assert spared.json()["errorCode"] == 0
    references = {receipt["messages"]["msg"]["reference"] for receipt in receipts}
    assert references == ({"hit1", "spared1"} if accepted else {"spared1"})


def test_gateway_accept_then_cut_leaves_the_caller_in_doubt(gateway: Simulator, customer: Customer) -> None:
    """No answer at all, but the SMS is in the log and its receipt comes."""
    gateway.put("/faults", {"accept_then_cut": 1})

    with pytest.raises(httpx.TransportError):
        post(gateway, message("cut1"))

    (receipt,) = customer.at("/receipts")
    assert receipt["messages"]["msg"]["reference"] == "cut1"
    assert len(logged(gateway, "cut1")) == 1


def test_gateway_hang_accepts_nothing_from_a_caller_that_left(gateway: Simulator) -> None:
    """Who gives up while the gateway hangs was not heard; who waits is."""
    gateway.put("/faults", {"hang_seconds": 0.6})
    with pytest.raises(httpx.ReadTimeout):
        post(gateway, message("left1"), timeout=0.2)
    waited = post(gateway, message("waited1"))

    until(lambda: "caller_left" in gateway.log(), "the gateway notices")
    assert waited.json()["errorCode"] == 0
    assert (len(logged(gateway, "left1")), len(logged(gateway, "waited1"))) == (0, 1)


def test_gateway_accept_then_hang_has_accepted_before_the_timeout(gateway: Simulator, customer: Customer) -> None:
    """Who gives up is texted all the same."""
    gateway.put("/faults", {"accept_then_hang_seconds": 1})
    with pytest.raises(httpx.ReadTimeout):
        post(gateway, message("late1"), timeout=0.2)

    customer.at("/receipts")
    assert len(logged(gateway, "late1")) == 1


def test_gateway_duplicate_receipts_come_twice(gateway: Simulator, customer: Customer) -> None:
    """The same receipt, two times."""
    gateway.put("/faults", {"duplicate_receipts": True})
    post(gateway, message("twice1"))

    first, second = customer.at("/receipts", 2)
    assert first == second


def test_gateway_late_receipt_comes_after_a_later_one(gateway: Simulator, customer: Customer) -> None:
    """Receipts out of order: the late one is owed while the next is already there."""
    gateway.put("/faults", {"late_receipt_seconds": 1.5})
    post(gateway, message("slow1"))
    gateway.put("/faults", {})
    post(gateway, message("fast1"))

    receipts = customer.at("/receipts", 2)
    assert [receipt["messages"]["msg"]["reference"] for receipt in receipts] == ["fast1", "slow1"]


def test_gateway_no_receipts_withholds_them_for_good(gateway: Simulator, customer: Customer) -> None:
    """Messages accepted during the fault never get a receipt, also after the fault is cleared."""
    gateway.put("/faults", {"no_receipts": True})
    post(gateway, message("withheld1"))
    gateway.put("/faults", {})
    post(gateway, message("sent1"))

    until(lambda: customer.posts and gateway.get("/healthz")["callbacks_pending"] == 0, "no callback is pending")
    assert [receipt["messages"]["msg"]["reference"] for receipt in customer.at("/receipts")] == ["sent1"]


def test_gateway_killed_still_owes_its_receipts_and_cuts_the_torn_line(tmp_path: Path, customer: Customer) -> None:
    """After kill -9 the log holds every answered message, half a line is cut off, and the receipt is posted once."""
    flags = ("--product-token", TOKEN, "--receipts-url", f"http://{customer.address}/receipts")
    with running("sms_gateway", tmp_path, *flags, "--receipt-delay-seconds", "0") as first:
        post(first, message("settled1"))
        customer.at("/receipts")
        until(lambda: first.get("/healthz")["callbacks_pending"] == 0, "no callback is pending")
        first.put("/config", {"receipt_delay_seconds": 3600})
        post(first, message("owed1"))
        first.kill()
    with (tmp_path / "sms.jsonl").open("a") as log:
        log.write('{"id": "torn')
    with running("sms_gateway", tmp_path, *flags, "--receipt-delay-seconds", "0") as second:
        receipts = customer.at("/receipts", 2)
        until(lambda: second.get("/healthz")["callbacks_pending"] == 0, "no callback is pending")
        post(second, message("after1"))
        listed = [line["reference"] for line in second.get("/messages")]

    assert [receipt["messages"]["msg"]["reference"] for receipt in receipts[:2]] == ["settled1", "owed1"]
    assert listed == ["settled1", "owed1", "after1"]
    assert [json.loads(line)["reference"] for line in (tmp_path / "sms.jsonl").read_text().splitlines()] == listed
