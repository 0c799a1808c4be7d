"""An officer finds whom an SMS is from, and reads what no machine could read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.notify.callbacks.replies import process_replies
from shared.clock import utc_now
from shared.events import ReplySenderConfirmed
from tests.integration.notify_sending_world import number
from tests.integration.notify_world import contact_of
from tests.integration.simulators import Simulator
from tests.journeys.alert_world import WEBHOOK_SECRET, AlertWorld, alert_world
from tests.journeys.test_alert_closed import TEAMS, alerted

MEXICAN = "+525512345678"


@pytest.fixture
async def world(
    stack: Any, namespace: str, tmp_path: Path, inbox: Simulator, gateway: Simulator
) -> AsyncIterator[AlertWorld]:
    async with alert_world(stack, namespace, tmp_path, inbox, gateway) as made:
        yield made


async def posted(world: AlertWorld, body: bytes) -> None:
    """The provider posts something, and the worker has processed it."""
    answer = await world.http.post("/v1/webhooks/cm/inbound", content=body, auth=("cm", WEBHOOK_SECRET))
    assert answer.status_code == 200, answer.text
    await process_replies(world.callbacks, utc_now())


async def test_i_wrote_from_another_sim_and_the_officer_knew_me_by_my_last_digits(world: AlertWorld) -> None:
    """ "My number came with another country's code. The team called, the officer confirmed that it was me." """
    await alerted(world, "p1", "p2")
    alike = number("p1").replace("+31", "+49")
    await world.text(alike, "HULP")
    (reply,) = (await world.ask("/replies"))["items"]
    assert (reply["persons"], [entry["personId"] for entry in reply["proposed"]]) == ([], ["p1"])
    assert reply["number"] == alike
    assert (await world.recipient("p1"))["status"] == "no_answer", "nothing is taken silently"

    path = f"/replies/{reply['replyId']}/senders"
    assert (await world.post(path, {"personId": "p2"})).status_code == 409
    assert (await world.post("/replies/unknown/senders", {"personId": "p1"})).status_code == 404
    key = {"Idempotency-Key": "confirm-sender-1"}
    confirmed = [await world.post(path, {"personId": "p1"}, **key) for _ in range(2)]
    assert [answer.status_code for answer in confirmed] == [201, 201], confirmed[0].text
    await process_replies(world.callbacks, utc_now())

    assert (await world.recipient("p1"))["status"] == "help"
    assert (await world.ask("/replies"))["items"] == []
    (event,) = await world.notify.events_of(ReplySenderConfirmed)
    assert isinstance(event, ReplySenderConfirmed)
    assert (event.reply_id, event.person_id) == (reply["replyId"], "p1")
    assert event.confirmed_by
    await world.minutes_pass()
    assert await world.differences() == set()


async def test_an_unclear_reply_of_a_confirmed_sender_stays_in_the_list_under_their_name(world: AlertWorld) -> None:
    """Whom it is from is known; what it means a person still has to say. A second confirmation is refused."""
    await alerted(world, "p1")
    await world.text(number("p1").replace("+31", "+49"), "er is iets gebeurd")
    reply_id = (await world.ask("/replies"))["items"][0]["replyId"]

    assert (await world.post(f"/replies/{reply_id}/senders", {"personId": "p1"})).status_code == 201
    await process_replies(world.callbacks, utc_now())
    await world.minutes_pass()
    await process_replies(world.callbacks, utc_now())

    (reply,) = (await world.ask("/replies"))["items"]
    assert (reply["persons"], reply["proposed"]) == (["p1"], [])
    assert (await world.recipient("p1"))["status"] == "unclear"
    again = await world.post(f"/replies/{reply_id}/senders", {"personId": "p1"})
    assert (again.status_code, again.json()["reason"]) == (409, "already_confirmed")


async def test_my_mexican_number_came_with_a_one_in_it_and_my_answer_counted(world: AlertWorld) -> None:
    """ "My phone shows +52 1 55…, the university has +52 55…: HULP was mine at once." """
    world.notify.keyring.contacts["p1"] = contact_of("p1").model_copy(update={"mobile": MEXICAN})
    await alerted(world, "p1", "p2")

    await world.text("+5215512345678", "HULP")

    assert (await world.recipient("p1"))["status"] == "help"
    assert (await world.ask("/replies"))["items"] == []


async def test_what_no_machine_could_read_stood_in_the_list_until_an_officer_read_it(world: AlertWorld) -> None:
    """A post cut off in the middle: listed with its words, counted, told to the teams, and put away by a person."""
    await alerted(world, "p1")
    await posted(world, b'{"from":{"number":"0031610000001"},"message":{"text":"HULP ik ben')
    await posted(world, orjson.dumps({"from": {"number": "12345"}, "message": {"text": "HELP"}}))
    await world.goes_on()

    cut, short = (await world.ask("/replies"))["items"]
    assert (cut["readable"], cut["number"], "HULP ik ben" in cut["text"]) == (False, "", True)
    assert (short["readable"], short["number"], short["text"], short["kind"]) == (True, "12345", "HELP", "reply")
    assert (await world.ask("/alerts/ES-2"))["unclearReplies"] == 2
    assert len([mail for mail in world.mails_to_teams() if "hulp" in mail]) == 2 * len(TEAMS)
    checks = (await world.http.get("/readyz")).json()["checks"]
    (check,) = (check for check in checks if check["name"] == "posts to be read")
    assert not check["ok"]

    for reply in (cut, short):
        answer = await world.post(f"/replies/{reply['replyId']}/readings", {"answer": "handled"})
        assert answer.status_code == 201, answer.text
    assert (await world.ask("/replies"))["items"] == []
    assert (await world.ask("/alerts/ES-2"))["unclearReplies"] == 0
