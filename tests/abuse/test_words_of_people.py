"""What a person writes about themselves or about a student is stored in clear nowhere, and no record on Kafka has it.

The fields are found in the routes' schemas: a new field that takes any text is tried by itself.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
import pytest_asyncio
from bson import BSON

from tests.conftest import Stack
from tests.contracts.services_world import (
    CALLS,
    FILE,
    INTERNATIONAL_OFFICE,
    PDF,
    STUDENT,
    Call,
    Operation,
    Person,
    World,
    documents,
    operation,
    operations,
    running,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
CANARY = "Canaryfeather"
#: In these services people write about themselves, or staff about a student.
SERVICES = ("approval", "registration")
#: A text with one of these is no text that a person chooses freely.
BOUND = {"enum", "const", "format"}
Path = tuple[str | int, ...]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The four services."""
    async with running(stack.mongo, tmp_path_factory.mktemp("keys")) as world:
        yield world


def text_fields(schema: Mapping[str, Any], components: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """Where a body takes a text that is bound to no list of values; of a list its first item."""
    while "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from text_fields(choice, components, path)
    if schema.get("type") == "string" and not BOUND & schema.keys():
        yield path
    for name, part in schema.get("properties", {}).items():
        yield from text_fields(part, components, (*path, name))
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        yield from text_fields(schema["items"], components, (*path, 0))


def fields_of(route: Operation) -> list[Path]:
    """The text fields of a route's body, without those that name another thing by its id."""
    schema = (route.body or {}).get("application/json", {}).get("schema")
    if schema is None:
        return []
    found = text_fields(schema, documents()[route.service]["components"]["schemas"])
    return list(dict.fromkeys(path for path in found if path and not str(path[-1]).lower().endswith(("id", "ids"))))


def with_canary(body: Any, path: Path) -> Any | None:
    """The body with the canary there; None where the body has no such part."""
    changed = deepcopy(body)
    holder = changed
    for step in path[:-1]:
        try:
            holder = holder[step]
        except (KeyError, IndexError, TypeError):
            return None
        if holder is None:
            return None
    if not isinstance(holder, dict | list) or (isinstance(holder, list) and not holder):
        return None
    holder[path[-1]] = CANARY  # type: ignore[call-overload]
    return changed


WRITING = [route for route in operations() if route.service in SERVICES and route.method in ("POST", "PUT", "DELETE")]


async def test_every_text_of_a_person_is_sealed(world: World) -> None:
    """The canary goes through every text field that takes it; then it stands in no collection, in events neither."""
    taken: dict[str, list[str]] = {}
    for route in WRITING:
        for path in fields_of(route):
            call = await CALLS[route.id](world, route)
            body = with_canary(call.json, path)
            if body is None:
                continue
            answer = await world.send(Call(call.operation, call.person, call.path, call.query, call.headers, body))
            if answer.is_success:
                taken.setdefault(route.id, []).append(".".join(map(str, path)))
    registration_id = await world.register(STUDENT)
    named = {**FILE, "Content-Disposition": f'attachment; filename="{CANARY}.pdf"'}
    upload = Call(operation("attachDocument"), STUDENT, {"registration_id": registration_id}, {"kind": CANARY}, named,
                  content=PDF)  # fmt: skip
    assert (await world.send(upload)).status_code == 201

    found = [
        f"{service}.{name}"
        for service in (*SERVICES, "safety", "notify", "keyring")
        for name, stored in (await world.content(service)).items()
        for document in stored
        if CANARY.lower().encode() in BSON.encode(document).lower()
    ]

    assert sorted(set(found)) == []
    expected = {"requestApproval": "description", "submitRegistration": "legs.0.place", "createGroupTrip": "name",
                "changeRegistration": "legs.0.place", "commentTask": "remark", "closeTask": "remark",
                "decideRegistration": "remark", "putStayContact": "surname"}  # fmt: skip
    assert {name for name, field in expected.items() if field not in taken.get(name, ())} == set()


async def test_who_may_see_a_registration_sees_its_place_and_the_kinds_of_its_documents(world: World) -> None:
    """As they were written: in the registration, in its documents, in the trip; after the erasure nobody."""
    student = Person("traveller-with-a-place", ("student",))
    registration_id = await world.register(student)
    path = {"registration_id": registration_id}
    await world.attach(registration_id, student, kind="Letter of my host")
    again = await world.attach(registration_id, student, kind="Letter of my host")
    group_id = await world.lead(student)

    details = (await world.send(Call(operation("getRegistration"), student, path))).json()
    listed = (await world.send(Call(operation("listDocuments"), student, path))).json()
    trip = (await world.send(Call(operation("getGroupTrip"), student, {"group_id": group_id}))).json()

    assert set(details["legs"][0]) == {"startDate", "endDate", "country", "region", "place", "kind"}
    assert [details["legs"][0]["place"], trip["legs"][0]["place"]] == ["Madrid", "Madrid"]
    assert [(entry["kind"], entry["documentId"]) for entry in listed["items"]] == [("Letter of my host", again)]
    assert [entry["kind"] for entry in details["documents"]] == ["Letter of my host"]

    await world.send(Call(operation("cancelRegistration"), student, path, headers={"If-Match": "*"}))
    person = {"id": await world.person_id(student)}
    for officer in (INTERNATIONAL_OFFICE, Person("office-2", ("international-office",))):
        erase = Call(operation("erasePerson"), officer, person, {"reason": "request"}, {"If-Match": "*"})
        assert (await world.send(erase)).status_code == 200
    details = (await world.send(Call(operation("getRegistration"), INTERNATIONAL_OFFICE, path))).json()
    assert (details["legs"][0]["place"], details["documents"][0]["kind"]) == (None, "")


async def test_trip_and_registration_say_the_same_though_they_are_sealed_differently(world: World) -> None:
    """A participant whose places are the trip's does not deviate; one who writes another town does."""
    leader, same, other = (Person(f"trip-{name}", ("student",)) for name in ("leader", "same", "other"))
    group_id = await world.lead(leader)
    await world.join(group_id, same)
    registration_id = await world.join(group_id, other)
    details = Call(operation("getRegistration"), other, {"registration_id": registration_id})
    shown = (await world.send(details)).json()
    legs = [{**leg, "place": "Toledo"} for leg in shown["legs"]]
    names = ("approvalId", "facultyId", "programmeId", "activityType", "answers", "contact", "language", "groupId")
    body = {**{name: shown[name] for name in names}, "legs": legs, "overlapsKnown": True}
    changed = Call(operation("changeRegistration"), other, {"registration_id": registration_id}, {}, {"If-Match": "*"},
                   body)  # fmt: skip
    assert (await world.send(changed)).status_code == 200

    listed = (await world.send(Call(operation("listParticipants"), leader, {"group_id": group_id}))).json()

    assert sorted(entry["deviates"] for entry in listed["items"]) == [False, True]
