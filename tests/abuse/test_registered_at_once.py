"""One registration sent many times at the same moment: one is stored, the others are asked about."""

import asyncio

import httpx

from tests.contracts.services_world import Call, Person, World, operation, registration_body

PATIENT, HURRIED, TRAVELLER, CAREFUL = (Person(f"student-at-once-{number}", ("student",)) for number in range(4))


def submission(person: Person, in_days: int, *, known: bool = False) -> Call:
    """A registration of this person for days in the future."""
    body = {**registration_body(person, in_days=in_days), "overlapsKnown": known}
    return Call(operation("submitRegistration"), person, json=body)


async def stored(services: World, person: Person) -> int:
    """How many registrations a person has."""
    registrations = services.mongo.database("registration")["registrations"]
    return int(await registrations.count_documents({"personId": await services.person_id(person)}))


async def at_once(services: World, *calls: Call) -> list[httpx.Response]:
    """The answers to calls that are sent at the same moment."""
    await services.person_id(calls[0].person or PATIENT)
    return list(await asyncio.gather(*(services.send(call) for call in calls)))


async def test_five_identical_ones_are_one_registration(services: World) -> None:
    """Without an Idempotency-Key: one 201, four questions that name it (R26)."""
    answers = await at_once(services, *[submission(PATIENT, 60)] * 5)

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    first = next(answer.json() for answer in answers if answer.status_code == 201)
    for problem in (answer.json() for answer in answers if answer.status_code == 409):
        assert (problem["rule"], problem["reason"]) == ("R26", "identical_registration")
        assert [overlap["registrationId"] for overlap in problem["overlaps"]] == [first["registrationId"]]
    assert await stored(services, PATIENT) == 1


async def test_one_key_at_once_is_one_registration_and_one_answer(services: World) -> None:
    """A double click under one Idempotency-Key: the same registration in every answer that has one."""
    answers = await at_once(services, *[submission(HURRIED, 60).under("twice")] * 2)

    ids = {answer.json()["registrationId"] for answer in answers if answer.status_code == 201}
    assert len(ids) == await stored(services, HURRIED) == 1
    assert all(answer.status_code == 201 or answer.headers["retry-after"] for answer in answers)


async def test_different_journeys_at_once_are_all_stored(services: World) -> None:
    """A student who sends several journeys is not held up: none overlaps another."""
    answers = await at_once(services, *(submission(TRAVELLER, days) for days in (60, 160, 260)))

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert await stored(services, TRAVELLER) == 3


async def test_whoever_means_two_gets_two(services: World) -> None:
    """`overlapsKnown` confirms each of them."""
    answers = await at_once(services, *[submission(CAREFUL, 60, known=True)] * 2)

    assert [answer.status_code for answer in answers] == [201, 201]
    assert await stored(services, CAREFUL) == 2
