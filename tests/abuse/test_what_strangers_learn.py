"""What the services tell and keep of people: nothing by a guess, nothing by a text that looks like our own format."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from shared.ids import new_id
from tests.conftest import Stack
from tests.contracts.services_world import (
    AUDITOR,
    INTERNATIONAL_OFFICE,
    NOBODY,
    OTHER_STUDENT,
    SAFETY_OFFICER,
    STUDENT,
    Call,
    Person,
    World,
    operation,
    registration_body,
    running,
)
from tests.failures import Failures

pytestmark = pytest.mark.asyncio(loop_scope="module")
#: Texts that look like a sealed field.
LOOKS_SEALED = ("sealed:v1:a:b:c", "sealed:v1:dry-run", "sealed:v1:stranger:event:AAAA")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The four services."""
    async with running(stack.mongo, tmp_path_factory.mktemp("keys")) as world:
        yield world


# ---------------------------------------------------------------- the history of a country's advice


async def test_history_shows_levels_to_all_and_officers_to_those_who_list_overrides(world: World) -> None:
    """Who decided, on which document and why is nobody else's: neither ids nor words are in the answer."""
    country = await world.advised_country()
    await world.override(country)
    officer = await world.person_id(SAFETY_OFFICER)
    listed = (await world.send(Call(operation("listOverrides"), SAFETY_OFFICER, query={"country": country}))).json()
    secrets = {officer, *(entry[name] for entry in listed["items"] for name in ("document", "reason"))}

    with Failures() as failures:
        for who in (STUDENT, NOBODY, Person("machine-x", ("machine",)), SAFETY_OFFICER, INTERNATIONAL_OFFICE, AUDITOR):
            with failures.case(who.login):
                answer = await world.send(Call(operation("listTravelAdviceHistory"), who, {"country": country}))
                assert answer.status_code == 200
                kinds = {entry["kind"] for entry in answer.json()["items"]}
                assert {"changed", "override_set"} <= kinds
                sees = who in (SAFETY_OFFICER, INTERNATIONAL_OFFICE, AUDITOR)
                assert {secret for secret in secrets if secret in answer.text} == (secrets if sees else set())


# ---------------------------------------------------------------- the approval of another student


async def test_approval_of_another_person_answers_as_one_that_does_not_exist(world: World) -> None:
    """Registering, reading and the checklist say the same for both ids: trying ids tells nothing."""
    theirs = await world.ask_approval(OTHER_STUDENT)
    await _copied(world, theirs)

    said = [await _said_of(world, approval_id) for approval_id in (theirs, new_id())]

    assert said[0] == said[1]
    assert "approval_missing" in str(said[0])


async def _copied(world: World, approval_id: str) -> None:
    """Registration knows the approval, as after its event has arrived."""
    document = {
        "_id": approval_id, "version": 2, "approvalId": approval_id, "personId": await world.person_id(OTHER_STUDENT),
        "status": "granted", "facultyId": "example-sciences", "programmeId": "example-biology",
        "activityType": "internship", "country": "ES", "startDate": None, "endDate": None,
    }  # fmt: skip
    await world.mongo.database("registration")["approvals"].insert_one(document)


async def _said_of(world: World, approval_id: str) -> list[Any]:
    """Everything that the student reads of a registration that names this approval; ids and times left out."""
    student = Person(f"prober-{new_id()[-6:]}", ("student",))
    body = registration_body(student, approval_id=approval_id)
    submitted = await world.send(Call(operation("submitRegistration"), student, json=body))
    assert submitted.status_code == 201, submitted.text
    registration_id, person_id = submitted.json()["registrationId"], await world.person_id(student)
    answers = [submitted.json()]
    for name in ("getRegistration", "getChecklist"):
        answers.append((await world.send(Call(operation(name), student, {"registration_id": registration_id}))).json())
    own = {registration_id, approval_id, person_id, *student.contact.values()}
    return [_without(answer, own) for answer in answers]


def _without(value: Any, own: set[Any]) -> Any:
    if isinstance(value, dict):
        return {name: _without(part, own) for name, part in value.items() if not name.endswith("At") and name != "at"}
    if isinstance(value, list):
        return [_without(part, own) for part in value]
    return None if isinstance(value, str) and any(str(text) in value for text in own) else value


# ---------------------------------------------------------------- texts that look like our own format


async def test_text_that_looks_sealed_is_a_text(world: World) -> None:
    """In every field that a person writes: their own data come back whole, and the keyring gets no key of it."""
    with Failures() as failures:
        for text in LOOKS_SEALED:
            with failures.case(text):
                student = Person(f"writer-{new_id()[-6:]}", ("student",))
                body = registration_body(student)
                body["legs"][0]["place"] = text
                body["contact"] |= {"givenName": text, "surname": text, "preferredName": text}
                registered = await world.send(Call(operation("submitRegistration"), student, json=body))
                assert registered.status_code == 201, registered.text
                path = {"registration_id": registered.json()["registrationId"]}
                shown = (await world.send(Call(operation("getRegistration"), student, path))).json()
                assert shown["legs"][0]["place"] == text

                for who in (student, INTERNATIONAL_OFFICE):
                    call = Call(operation("getPersonData"), who, {"id": await world.person_id(student)})
                    data = await world.send(call)
                    assert data.status_code == 200
                    (submitted,) = [
                        fact for entry in data.json()["registrations"] for fact in entry["facts"]
                        if fact["what"] == "RegistrationSubmitted"
                    ]  # fmt: skip
                    assert submitted["contact"]["surname"] == text
                    assert text in (submitted["legs"][0]["place"], submitted["legs"][0].get("placeSealed"))
    keys = world.mongo.database("keyring")["keys"]
    assert await keys.count_documents({"_id": {"$in": ["a", "dry-run", "stranger"]}}) == 0


# ---------------------------------------------------------------- links of an erased person


async def test_links_of_an_erased_person_lead_nowhere(world: World) -> None:
    """The answer link and the link "I am back" show the page of an unknown link, and record nothing."""
    alert_id = await world.raise_alert(STUDENT, closed=True)
    links = {
        "answers": await world.answer_token(alert_id, STUDENT),
        "returns": await world.return_token(STUDENT),
    }
    notify = world.clients["notify"]
    for route, token in links.items():
        assert (await notify.get(f"/v1/{route}/{token}")).status_code == 200

    await world.forget(STUDENT)

    before = await world.facts("notify")
    unknown = await notify.get(f"/v1/answers/{links['answers'][::-1]}")
    for route, token in links.items():
        shown = await notify.get(f"/v1/{route}/{token}")
        posted = await notify.post(f"/v1/{route}/{token}", data={"answer": "help"})
        assert (shown.status_code, posted.status_code) == (404, 404)
        assert shown.text == posted.text == unknown.text
    assert await world.facts("notify") == before
