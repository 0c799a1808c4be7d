"""The same manual alert twice, by a double click or two officers: officers are asked before everybody is told again."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.contracts.services_world import SAFETY_OFFICER, Call, Person, World, operation

SECOND_OFFICER = Person("officer-two", ("safety-officer",))
TEXTS = {"messageNl": "Blijf binnen.", "messageEn": "Stay inside."}
OTHER_TEXTS = {"messageNl": "Ga naar huis.", "messageEn": "Go home."}


async def raised(
    services: World, body: dict[str, Any], person: Person = SAFETY_OFFICER, key: str = ""
) -> httpx.Response:
    """Raise an alert."""
    call = Call(operation("raiseAlert"), person, json={**TEXTS, **body})
    return await services.send(call.under(key) if key else call)


async def alerts_of(services: World, country: str) -> int:
    """How many alerts a country has."""
    return int(await services.mongo.database("notify")["alerts"].count_documents({"state.country": country}))


async def test_three_clicks_without_a_key_are_one_alert(services: World) -> None:
    """At the same moment or one after the other: one is raised, the others name it and ask."""
    clicks = [
        *await asyncio.gather(*(raised(services, {"country": "AT"}) for _ in range(3))),
        await raised(services, {"country": "AT"}),
    ]

    first = next(click for click in clicks if click.status_code == 201)
    problems = [click.json() for click in clicks if click.status_code == 409]
    assert (len(problems), await alerts_of(services, "AT")) == (3, 1)
    for problem in problems:
        assert (problem["rule"], problem["reason"]) == ("R27", "identical_alert")
        assert [(alert["alertId"], alert["identical"]) for alert in problem["alerts"]] == [
            (first.json()["alertId"], True)
        ]


async def test_a_second_officer_is_asked_and_may_mean_it(services: World) -> None:
    """Other words for the same place: the problem says who raised which alert; known and meant, it is raised."""
    first = await raised(services, {"country": "BE"})
    asked = await raised(services, {"country": "BE", **OTHER_TEXTS}, SECOND_OFFICER)
    meant = await raised(services, {"country": "BE", **OTHER_TEXTS, "alertsKnown": True}, SECOND_OFFICER)

    assert (first.status_code, asked.status_code, meant.status_code) == (201, 409, 201)
    (alert,) = asked.json()["alerts"]
    assert asked.json()["reason"] == "alert_for_this_place"
    assert (alert["alertId"], alert["identical"], alert["region"]) == (first.json()["alertId"], False, None)
    assert alert["raisedBy"] == await services.person_id(SAFETY_OFFICER)
    assert await alerts_of(services, "BE") == 2


async def test_two_officers_at_the_same_moment(services: World) -> None:
    """Of two different texts at once one is sent; the other officer sees it first."""
    answers = await asyncio.gather(
        raised(services, {"country": "CZ"}), raised(services, {"country": "CZ", **OTHER_TEXTS}, SECOND_OFFICER)
    )

    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert await alerts_of(services, "CZ") == 1


async def test_a_repeat_under_a_key_is_answered_as_before(services: World) -> None:
    """The same Idempotency-Key: the first answer, not a question about itself."""
    first, second = [await raised(services, {"country": "DK"}, key="one-click") for _ in range(2)]

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()


async def test_what_tells_nobody_twice_is_not_asked_about(services: World) -> None:
    """Another country, another region, a closed alert."""
    for body in ({"country": "ES", "region": "ES-MD"}, {"country": "ES", "region": "ES-CT"}, {"country": "FI"}):
        assert (await raised(services, body)).status_code == 201
    (alert_id,) = [
        alert["_id"] async for alert in services.mongo.database("notify")["alerts"].find({"state.country": "FI"})
    ]
    closing = Call(operation("closeAlert"), SAFETY_OFFICER, path={"alert_id": alert_id}, json={"reason": "Over."})
    assert (await services.send(closing)).status_code == 201

    assert (await raised(services, {"country": "FI"})).status_code == 201


@pytest.mark.parametrize(("first", "second"), [(None, "GR-I"), ("IT-82", "IT-PA"), ("PT-11", None)])
async def test_a_place_within_the_other_is_asked_about(services: World, first: str | None, second: str | None) -> None:
    """The country, or a region that contains the other: people there would get both."""
    country = str(first or second)[:2]
    assert (await raised(services, {"country": country, "region": first})).status_code == 201

    assert (await raised(services, {"country": country, "region": second})).status_code == 409


async def test_the_preview_shows_the_open_alerts(services: World) -> None:
    """An officer sees before raising whom an open alert has told already."""
    raised_first = (await raised(services, {"country": "SI"})).json()["alertId"]
    call = Call(operation("previewAlert"), SECOND_OFFICER, json={"country": "SI", **TEXTS})

    preview = (await services.send(call)).json()

    assert [(alert["alertId"], alert["identical"]) for alert in preview["openAlerts"]] == [(raised_first, True)]


async def test_the_question_is_asked_in_the_language_of_the_reader(services: World) -> None:
    """Dutch and English, and both name the field that confirms."""
    await raised(services, {"country": "SK"})
    call = Call(operation("raiseAlert"), SAFETY_OFFICER, json={"country": "SK", **TEXTS})

    for language, words in (("nl", "staat al open"), ("en", "is open already")):
        detail = (await services.send(call, headers={"Accept-Language": language})).json()["detail"]
        assert words in detail
        assert "alertsKnown" in detail
