"""An alert is closed, and life goes on: a cry for help, a newcomer, open cases, and silence after the all-clear."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.notify import escalation
from services.notify.whereabouts_projection import project_whereabouts
from shared.audit.reader import Record
from shared.clock import utc_now
from shared.envelope import parse
from shared.events import Level, ReturnRecorded
from tests.integration.notify_sending_world import number
from tests.integration.notify_world import leg
from tests.integration.simulators import Simulator
from tests.journeys.alert_world import AlertWorld, alert_world

Y, R = Level.YELLOW, Level.RED
MINUTE = timedelta(minutes=1)
TEAMS = ("central-crisis-team@university.example", "incident-team@university.example")


@pytest.fixture
async def world(
    stack: Any, namespace: str, tmp_path: Path, inbox: Simulator, gateway: Simulator
) -> AsyncIterator[AlertWorld]:
    async with alert_world(stack, namespace, tmp_path, inbox, gateway) as made:
        yield made


async def alerted(world: AlertWorld, *persons: str) -> None:
    """These students are in Spain, which turns red; each gets the alert ES-2 by mail and SMS."""
    await world.notify.handle(*(world.notify.register(person) for person in persons))
    await world.notify.handle(world.notify.change(Y), world.notify.change(R))
    await world.goes_on()


def told_of(world: AlertWorld, words: str) -> list[str]:
    """The teams that were mailed about it."""
    return [mail.partition(":")[0] for mail in world.mails_to_teams() if words in mail]


async def test_i_asked_for_help_by_an_old_link_and_was_called(world: AlertWorld) -> None:
    """ "The alert was closed days ago. I tapped *help* in the old mail, and an officer called me."""
    await alerted(world, "p1", "p2")
    await world.notify.handle(world.notify.register("p3", leg(country="FR")))
    await world.notify.handle(*(world.notify.change(level, country="FR") for level in (Y, R)))
    await world.close()
    assert [alert["alertId"] for alert in await world.alerts()] == ["FR-2", "ES-2"]

    page = await world.answer("p1", "help")
    long_after = utc_now() + timedelta(days=20)
    await world.minutes_pass(long_after)
    await world.minutes_pass(long_after + MINUTE)

    assert "Wij nemen zo snel mogelijk contact met je op" in page
    assert told_of(world, "ES-2") == list(TEAMS)
    assert len(world.mails_to("p1")) == 2, "the alert, and the confirmation that the answer was received"
    first, *_ = await world.alerts()
    assert (first["alertId"], first["state"], first["askingForHelp"], first["helpSinceClosing"]) == (
        "ES-2", "closed", 1, 1,
    )  # fmt: skip
    assert (await world.recipient("p1"))["status"] == "help"

    called = await world.post("/alerts/ES-2/calls", {"personId": "p1", "answer": "safe"})
    assert called.status_code == 201
    assert [alert["askingForHelp"] for alert in await world.alerts()] == [0, 0]
    await world.answer("p1", "help")
    await world.minutes_pass(long_after + 5 * MINUTE)
    assert sorted(told_of(world, "ES-2")) == sorted(TEAMS * 2), "a new cry after the call is told again"

    reopened = await world.post("/alerts/ES-2/reopening", {"reason": "One of them asks for help again."})
    assert reopened.status_code == 201, reopened.text
    assert (await world.alerts())[0]["state"] == "sent"
    assert (await world.post("/alerts/ES-2/reopening", {"reason": "Once more."})).status_code == 409
    assert await world.differences() == set()


async def test_i_texted_help_and_had_never_got_an_alert(world: AlertWorld) -> None:
    """ "Nothing was wrong in my country. I sent HULP, and the team had my message within the minute."""
    await world.notify.handle(world.notify.register("p1", leg(country="FR")))

    for _ in range(2):  # the provider may post it twice
        await world.text(number("p1"), "HULP")
    await world.text("+31699999999", "help, I use somebody else's phone")
    await world.goes_on()

    mails = [mail for mail in world.mails_to_teams() if "hulp" in mail]
    assert len(mails) == 2 * len(TEAMS)
    replies = (await world.ask("/replies"))["items"]
    assert [(reply["text"], reply["persons"]) for reply in replies] == [
        ("HULP", ["p1"]), ("help, I use somebody else's phone", []),
    ]  # fmt: skip
    read = await world.post(f"/replies/{replies[0]['replyId']}/readings", {"answer": "handled"})
    assert read.status_code == 201, read.text
    assert len((await world.ask("/replies"))["items"]) == 1
    assert await world.differences() == set()


async def test_somebody_who_texts_that_they_are_not_safe_is_not_among_the_silent(world: AlertWorld) -> None:
    """ "Ik ben niet veilig" is no answer that a machine may read: the board shows it, and the officer reads it."""
    await alerted(world, "p1", "p2")
    await world.answer("p2", "safe")

    await world.text(number("p1"), "ik ben niet veilig")
    await world.text(number("p2"), "ik ben toch niet veilig")

    counts = (await world.ask("/alerts/ES-2/counts"))["counts"]
    assert {status: count for status, count in counts.items() if count} == {"unclear": 2}
    reply = (await world.ask("/replies"))["items"][0]
    body = {"answer": "help", "alertId": "ES-2", "personId": "p1"}
    assert (await world.post(f"/replies/{reply['replyId']}/readings", body)).status_code == 201
    await world.minutes_pass()
    assert (await world.recipient("p1"))["status"] == "help"
    assert told_of(world, "ES-2") == list(TEAMS)


async def test_i_came_to_a_red_country_after_its_alert_was_closed_and_was_told(world: AlertWorld) -> None:
    """ "The country is red for a year. I came after a month, and was told on the first day, and looked after."""
    await alerted(world, "p1")
    await world.close()

    await world.notify.handle(world.notify.register("p2"))
    await world.goes_on()
    for minutes in (31, 61):
        await world.minutes_pass(utc_now() + minutes * MINUTE)

    assert len(world.mails_to("p2")) == 2, "the alert and the reminder"
    assert world.texts_to("p2") == 2
    assert len(world.mails_to("p1")) == 1, "who was there before the closing is left in peace"
    assert told_of(world, "ES-2") == ["incident-team@university.example"], "nobody has heard of the newcomer"
    assert [alert["alertId"] for alert in await world.alerts()] == ["ES-2"], "one alert for each advice version (R27)"
    assert (await world.recipient("p2"))["late"] is True
    assert await world.not_alerted() == set()
    assert await world.told_by_no_alert() == set()
    assert await world.differences() == set()


async def test_officer_and_auditor_name_the_same_people_whom_no_alert_told(world: AlertWorld) -> None:
    """Newcomers whose registration is stored while the service is down, on both sides of a closing."""
    await alerted(world, "p1")
    await world.close()
    await _only_stored(
        world,
        world.notify.register("p2"),
        world.notify.register("p3", leg(1, 9)),
        world.notify.register("p4", leg(3, 9)),
        world.notify.register("p5", leg(country="FR")),
    )

    untold = await world.not_alerted()

    assert untold == {("p2", "told_by_no_alert"), ("p3", "told_by_no_alert")}
    assert {person for person, _ in untold} == await world.told_by_no_alert()
    await world.notify.sweep(utc_now() + timedelta(days=1))
    assert await world.not_alerted() == set()
    assert {"p2", "p3"} <= {person for _, person, _ in await world.notify.notified()}
    yesterday = (utc_now() - timedelta(days=1)).date().isoformat()
    refused = await world.http.get(
        "/v1/whereabouts", headers=world.officer, params={"country": "ES", "notAlerted": "true", "at": yesterday}
    )
    assert refused.status_code == 400


async def _only_stored(world: AlertWorld, *records: Record) -> None:
    """The registrations are stored, and the process dies before it looks at the advice there."""
    events: list[Any] = [parse(record.value) for record in records]
    notify = world.notify
    await project_whereabouts(notify.whereabouts, events, notify.keyring, notify.deps.resolve)


async def test_an_alert_is_closed_only_when_each_open_case_has_an_owner(world: AlertWorld) -> None:
    """ "One asks for help, two are silent: before I may close it I say who looks for them, and the board keeps it."""
    await alerted(world, "p1", "p2", "p3", "p4")
    await world.answer("p1", "help")
    await world.answer("p4", "safe")

    refused = await world.post("/alerts/ES-2/closure", {"reason": "It is over."})
    half = await world.post(
        "/alerts/ES-2/closure", {"reason": "It is over.", "handOver": [{"owner": "crisis-unit", "status": "help"}]}
    )

    problem = refused.json()
    assert (refused.status_code, problem["rule"], problem["reason"]) == (409, "R38", "open_cases")
    assert problem["open"] == {
        "help": {"count": 1, "personIds": ["p1"]},
        "no_answer": {"count": 2, "personIds": ["p2", "p3"]},
    }
    assert problem["detail"].startswith("3 recipients are not accounted for: 1 asking for help, 2 without an answer.")
    assert (half.status_code, set(half.json()["open"])) == (409, {"no_answer"})
    assert (await world.recipient("p1"))["owner"] is None, "a refused closing hands nobody over"
    assert (await world.alerts())[0]["state"] == "sent"

    owners = [{"owner": "crisis-unit", "status": "help"}, {"owner": "o-7", "personId": "p3"}, {"owner": "o-8"}]
    body = {"reason": "It is over.", "handOver": owners}
    for _ in range(2):  # the second click
        closed = await world.post("/alerts/ES-2/closure", body, **{"Idempotency-Key": "closing"})
        assert closed.status_code == 201, closed.text

    board = [(entry["personId"], entry["status"], entry["owner"])
             for entry in (await world.ask("/alerts/ES-2/recipients"))["items"]]  # fmt: skip
    assert sorted(board) == [
        ("p1", "help", "crisis-unit"), ("p2", "no_answer", "o-8"), ("p3", "no_answer", "o-7"), ("p4", "safe", None),
    ]  # fmt: skip
    counts = await world.ask("/alerts/ES-2/counts")
    assert (counts["withOwner"], counts["counts"]["no_answer"]) == (3, 2)
    assert (await world.post("/alerts/ES-2/closure", body)).status_code == 409


@pytest.mark.parametrize(
    "hand_over",
    [
        [{"owner": ""}], [{"owner": "a b"}], [{"owner": "a@b.example"}], [{"owner": "x" * 81}], [{}], "crisis-unit",
        [{"owner": "o", "status": "safe"}], [{"owner": "o", "status": "lost"}],
        [{"owner": "o", "status": "help", "personId": "p1"}], [{"owner": "o"}] * 251, [{"owner": "o", "more": 1}],
        [{"owner": "o", "personId": "nobody"}, {"owner": "o"}],
    ],
)  # fmt: skip
async def test_garbage_in_a_hand_over_is_refused_field_by_field(world: AlertWorld, hand_over: Any) -> None:
    """400, and the alert stays open."""
    await alerted(world, "p1")

    refused = await world.post("/alerts/ES-2/closure", {"reason": "It is over.", "handOver": hand_over})

    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    assert refused.json()["errors"]
    assert (await world.alerts())[0]["state"] == "sent"


async def test_after_the_all_clear_nobody_writes_that_they_will_search_for_me(world: AlertWorld) -> None:
    """ "The advice got better, I went home, I answered: none of us was reminded, also not by a queued message."""
    await alerted(world, "p1", "p2", "p3", "p4", "p5")
    back = ReturnRecorded(
        registration_id="r-p1", person_id="p1", on=leg(0).start_date, outcome="returned", recorded_by="p1"
    )
    await world.notify.handle(world.notify.publish(back), world.notify.cancel("p3"))
    await world.answer("p2", "safe")

    await escalate_only(world, 31)
    await world.answer("p4", "safe")
    await world.goes_on()
    # Home, answered, cancelled; the fourth answered while the reminder waited.
    reminded = {person: world.texts_to(person) - 1 for person in ("p1", "p2", "p3", "p4", "p5")}
    assert reminded == {"p1": 0, "p2": 0, "p3": 0, "p4": 0, "p5": 1}

    await world.notify.handle(world.notify.change(Y))
    await world.minutes_pass(utc_now() + 90 * MINUTE)

    assert told_of(world, "ES-2") == [], "nobody is searched for after the all-clear"
    assert "verbeterd" in world.mails_to("p5")[-1]
    await world.answer("p5", "help")
    await world.minutes_pass(utc_now() + 91 * MINUTE)
    assert told_of(world, "ES-2") == list(TEAMS), "but a cry for help still is"


async def escalate_only(world: AlertWorld, minutes: int) -> None:
    """The reminders are planned, and the providers have not taken them yet."""
    await escalation.run_escalations(world.notify.escalation, utc_now() + minutes * MINUTE)
