"""Access to other people's data: route × caller × owner, for the four services.

The rules stand in services/*/access.py. A resource that the caller may not see answers 404, word for word as an id
that does not exist; one that the caller may see but not change answers 403; no answer holds data of other people.
"""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from shared.clock import amsterdam_date, utc_now
from tests.contracts.services_world import (
    ABROAD,
    APPROVER,
    AUDITOR,
    BOARD,
    CLINICAL_APPROVER,
    CRISIS_TEAM,
    FACULTY_CONTACT,
    FILE,
    INTERNATIONAL_OFFICE,
    LINGUIST,
    MACHINE,
    NOBODY,
    OPERATOR,
    OTHER_APPROVER,
    OTHER_FACULTY_CONTACT,
    OTHER_STUDENT,
    PDF,
    SAFETY_OFFICER,
    SECOND_APPROVER,
    SHORT_NOTICE,
    STUDENT,
    Call,
    Person,
    World,
    approval_body,
    clerkship_body,
    join_body,
    operation,
    operations,
    registration_body,
    trip_body,
)
from tests.failures import Failures

#: People in two roles.
STUDENT_AND_APPROVER = Person("student-approver", ("student", "approver:example-biology"))
STUDENT_AND_OTHER_APPROVER = Person("student-approver-2", ("student", "approver:example-physics"))
STUDENT_AND_CONTACT = Person("student-contact", ("student", "faculty-contact:example-sciences"))
CLINICAL_STUDENT_AND_APPROVER = Person(
    "student-approver-3", ("student", "approver:example-clinical-medicine")
)  # fmt: skip
LOOKALIKES = (
    Person("scope-prefix", ("approver:example-bio", "faculty-contact:example-science")),
    Person("scope-longer", ("approver:example-biology-2", "faculty-contact:example-sciences-2")),
    Person("scope-swapped", ("approver:example-sciences", "faculty-contact:example-biology")),
    Person("scope-operator", ("approver:$ne", "faculty-contact:.*")),
)

PEOPLE = (
    STUDENT,
    OTHER_STUDENT,
    STUDENT_AND_APPROVER,
    STUDENT_AND_OTHER_APPROVER,
    STUDENT_AND_CONTACT,
    CLINICAL_STUDENT_AND_APPROVER,
)
#: Contact details that the office enters for a student who calls from another phone; they are no person's canaries.
OFFICE = Person("written-down", ())
OTHER_FILE = {**FILE, "Content-Disposition": "attachment; filename*=UTF-8''letter.pdf"}
TODAY = amsterdam_date(utc_now()).isoformat()

GRANT = {"decision": "grant", "programmeConfirmed": True}

Make = Callable[[World, Person], Awaitable[str]]


@dataclass(frozen=True)
class Case:
    """`who` calls an operation on a resource of `owner`; `rule` and `reason` are those of the problem, if any."""

    operation_id: str
    who: Person
    owner: Person
    status: int
    reason: str | None = None
    rule: str | None = None

    def __str__(self) -> str:
        return f"{self.who.login} on a resource of {self.owner.login}"


async def _approval(world: World, owner: Person) -> str:
    return await world.ask_approval(owner)


async def _clerkship(world: World, owner: Person) -> str:
    return await world.ask_approval(owner, **clerkship_body(owner))


async def _question(world: World, owner: Person) -> str:
    return await world.ask_question(owner)


async def _registration(world: World, owner: Person) -> str:
    return await world.register(owner)


async def _changed_trip(world: World, owner: Person) -> str:
    return await world.offer_trip_change(owner)


async def _trip(world: World, owner: Person) -> str:
    return await world.lead(owner)


async def _joined_trip(world: World, owner: Person) -> str:
    group_id = await world.lead(owner)
    await world.join(group_id, owner)
    return group_id


async def _document(world: World, owner: Person) -> str:
    registration_id = await world.register(owner)
    await world.attach(registration_id, owner)
    return registration_id


async def _routed(world: World, owner: Person) -> str:
    return await world.register(owner, legs=SHORT_NOTICE)


async def _stay(world: World, owner: Person) -> str:
    return await world.register(owner, legs=ABROAD)


async def _claimed_task(world: World, owner: Person) -> str:
    task_id = await _contact_task(world, owner)
    await world.send(Call(operation("claimTask"), FACULTY_CONTACT, path={"task_id": task_id}))
    return task_id


async def _contact_task(world: World, owner: Person) -> str:
    return await world.open_task("faculty-contact", owner, legs=SHORT_NOTICE)


_ANY = {"If-Match": "*"}

#: operationId → path parameter, how to make the resource, and the rest of a request that would succeed.
OBJECTS: dict[str, tuple[str, Make, dict[str, Any]]] = {
    "getApprovalRequest": ("approval_id", _approval, {}),
    "decideApprovalRequest": (
        "approval_id", _approval, {"json": GRANT, "headers": {"If-Match": "*"}}
    ),
    "withdrawApprovalRequest": ("approval_id", _approval, {"headers": {"If-Match": "*"}}),
    "recordApprovalStep": (
        "approval_id", _clerkship, {"json": {"step": "criteria_confirmed", "positive": True}, "headers": _ANY}
    ),
    "answerApprovalQuestion": ("approval_id", _question, {"json": {"answer": "In Madrid."}, "headers": _ANY}),
    "getRegistration": ("registration_id", _registration, {}),
    "changeRegistration": (
        "registration_id", _registration, {"json": registration_body(), "headers": {"If-Match": "*"}}
    ),
    "getChecklist": ("registration_id", _registration, {}),
    "cancelRegistration": ("registration_id", _registration, {"headers": {"If-Match": "*"}}),
    "takeOverTripChange": ("registration_id", _changed_trip, {"headers": {"If-Match": "*"}}),
    "decideRegistration": (
        "registration_id", _routed, {"json": {"decision": "refuse", "remark": "No."}, "headers": {"If-Match": "*"}}
    ),
    "putStayContact": ("registration_id", _registration, {"json": OFFICE.contact, "headers": {"If-Match": "*"}}),
    "recordReturn": (
        "registration_id", _stay, {"json": {"on": TODAY, "outcome": "returned"}, "headers": {"If-Match": "*"}}
    ),
    "attachDocument": (
        "registration_id", _registration, {"content": PDF, "headers": OTHER_FILE, "query": {"kind": "Letter"}}
    ),
    "listDocuments": ("registration_id", _document, {}),
    "getGroupTrip": ("group_id", _trip, {}),
    "changeGroupTrip": ("group_id", _trip, {"json": trip_body(), "headers": {"If-Match": "*"}}),
    "closeGroupTrip": ("group_id", _trip, {"headers": {"If-Match": "*"}}),
    "joinGroupTrip": ("group_id", _trip, {"json": join_body(OFFICE)}),
    "listParticipants": ("group_id", _joined_trip, {}),
    "putSafetySession": (
        "registration_id", _registration, {"json": {"attended": True}, "headers": {"If-Match": "*"}}
    ),
    "getTask": ("task_id", _contact_task, {}),
    "claimTask": ("task_id", _contact_task, {}),
    "releaseTask": ("task_id", _claimed_task, {}),
    "commentTask": ("task_id", _contact_task, {"json": {"remark": "I called."}}),
    "closeTask": ("task_id", _contact_task, {"json": {"remark": "It is settled."}}),
}  # fmt: skip

READ_REGISTRATION = [
    (STUDENT, STUDENT, 200, None),
    (OTHER_STUDENT, STUDENT, 404, None),
    (FACULTY_CONTACT, STUDENT, 200, None),
    (OTHER_FACULTY_CONTACT, STUDENT, 404, None),
    (APPROVER, STUDENT, 200, None),
    (OTHER_APPROVER, STUDENT, 404, None),
    (INTERNATIONAL_OFFICE, STUDENT, 200, None),
    (SAFETY_OFFICER, STUDENT, 200, None),
    (STUDENT_AND_OTHER_APPROVER, STUDENT, 404, None),
    *((who, STUDENT, 404, None) for who in LOOKALIKES),
    *((who, STUDENT, 403, "role") for who in (AUDITOR, OPERATOR, MACHINE, NOBODY)),
]
CHANGE_REGISTRATION = [
    (OTHER_STUDENT, STUDENT, 404, None),
    (STUDENT_AND_OTHER_APPROVER, STUDENT, 404, None),
    (STUDENT_AND_APPROVER, STUDENT, 403, "not_the_student"),
    (STUDENT_AND_CONTACT, STUDENT, 403, "not_the_student"),
    *(
        (who, STUDENT, 403, "role")
        for who in (FACULTY_CONTACT, APPROVER, INTERNATIONAL_OFFICE, SAFETY_OFFICER, AUDITOR, OPERATOR, MACHINE, NOBODY)
    ),
]

CASES = [
    # approval: students their own, approvers those of their programmes (services/approval/access.py)
    *(
        Case("getApprovalRequest", *row)
        for row in (
            (STUDENT, STUDENT, 200, None),
            (OTHER_STUDENT, STUDENT, 404, None),
            (APPROVER, STUDENT, 200, None),
            (OTHER_APPROVER, STUDENT, 404, None),
            (STUDENT_AND_OTHER_APPROVER, STUDENT, 404, None),
            (STUDENT_AND_APPROVER, STUDENT, 200, None),
            *((who, STUDENT, 404, None) for who in (INTERNATIONAL_OFFICE, *LOOKALIKES)),
            *(
                (who, STUDENT, 403, "role")
                for who in (FACULTY_CONTACT, SAFETY_OFFICER, AUDITOR, OPERATOR, MACHINE, NOBODY)
            ),
        )
    ),
    # steps: the coordinator's by an approver of the programme; the office sees what a rule gives to it
    Case("recordApprovalStep", CLINICAL_APPROVER, STUDENT, 201),
    Case("recordApprovalStep", INTERNATIONAL_OFFICE, STUDENT, 403, "wrong_role", "R33"),
    Case("recordApprovalStep", CLINICAL_STUDENT_AND_APPROVER, STUDENT, 201),
    Case("recordApprovalStep", CLINICAL_STUDENT_AND_APPROVER, CLINICAL_STUDENT_AND_APPROVER, 403, "own_request", "R5"),
    *(
        Case("recordApprovalStep", who, STUDENT, 404)
        for who in (APPROVER, OTHER_APPROVER, STUDENT_AND_APPROVER, *LOOKALIKES)
    ),
    *(
        Case("recordApprovalStep", who, STUDENT, 403, "role")
        for who in (STUDENT, OTHER_STUDENT, FACULTY_CONTACT, SAFETY_OFFICER, AUDITOR, OPERATOR, MACHINE, NOBODY)
    ),
    Case("answerApprovalQuestion", STUDENT, STUDENT, 201),
    Case("answerApprovalQuestion", OTHER_STUDENT, STUDENT, 404),
    Case("answerApprovalQuestion", STUDENT_AND_APPROVER, STUDENT, 403, "not_the_student"),
    Case("answerApprovalQuestion", STUDENT_AND_OTHER_APPROVER, STUDENT, 404),
    *(
        Case("answerApprovalQuestion", who, STUDENT, 403, "role")
        for who in (APPROVER, FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER, AUDITOR, OPERATOR, MACHINE, NOBODY)
    ),
    Case("decideApprovalRequest", APPROVER, STUDENT, 201),
    Case("decideApprovalRequest", STUDENT_AND_APPROVER, STUDENT, 201),
    Case("decideApprovalRequest", STUDENT, STUDENT, 403, "own_request", "R5"),
    Case("decideApprovalRequest", STUDENT_AND_APPROVER, STUDENT_AND_APPROVER, 403, "own_request", "R5"),
    Case("decideApprovalRequest", STUDENT_AND_OTHER_APPROVER, STUDENT_AND_OTHER_APPROVER, 403, "own_request", "R5"),
    Case("decideApprovalRequest", OTHER_STUDENT, STUDENT, 404),
    Case("decideApprovalRequest", OTHER_APPROVER, STUDENT, 404),
    Case("decideApprovalRequest", STUDENT_AND_OTHER_APPROVER, STUDENT, 404),
    *(Case("decideApprovalRequest", who, STUDENT, 404) for who in LOOKALIKES),
    *(
        Case("decideApprovalRequest", who, STUDENT, 403, "role")
        for who in (FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER, AUDITOR, OPERATOR, MACHINE, NOBODY)
    ),
    Case("withdrawApprovalRequest", STUDENT, STUDENT, 201),
    Case("withdrawApprovalRequest", OTHER_STUDENT, STUDENT, 404),
    Case("withdrawApprovalRequest", STUDENT_AND_APPROVER, STUDENT, 403, "not_the_student"),
    Case("withdrawApprovalRequest", STUDENT_AND_OTHER_APPROVER, STUDENT, 404),
    *(
        Case("withdrawApprovalRequest", who, STUDENT, 403, "role")
        for who in (APPROVER, FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER, AUDITOR, OPERATOR, NOBODY)
    ),
    # registration: also the faculty's contact person, International Office and safety officers (access.py there)
    *(Case("getRegistration", *row) for row in READ_REGISTRATION),
    *(Case("getChecklist", *row) for row in READ_REGISTRATION),
    Case("changeRegistration", STUDENT, STUDENT, 200),
    *(Case("changeRegistration", *row) for row in CHANGE_REGISTRATION),
    Case("cancelRegistration", STUDENT, STUDENT, 201),
    *(Case("cancelRegistration", *row) for row in CHANGE_REGISTRATION),
    Case("takeOverTripChange", STUDENT, STUDENT, 200),
    *(Case("takeOverTripChange", *row) for row in CHANGE_REGISTRATION),
    *(Case("putSafetySession", *row) for row in READ_REGISTRATION),
    # decisions: staff of the student's programme and faculty, and never the student
    Case("decideRegistration", FACULTY_CONTACT, STUDENT, 201),
    Case("decideRegistration", APPROVER, STUDENT, 201),
    Case("decideRegistration", SAFETY_OFFICER, STUDENT, 201),
    Case("decideRegistration", STUDENT_AND_CONTACT, STUDENT, 201),
    Case("decideRegistration", STUDENT_AND_CONTACT, STUDENT_AND_CONTACT, 403, "own_registration"),
    Case("decideRegistration", STUDENT_AND_OTHER_APPROVER, STUDENT_AND_OTHER_APPROVER, 403, "own_registration"),
    Case("decideRegistration", INTERNATIONAL_OFFICE, STUDENT, 403, "not_yours_to_decide", "R7"),
    *(
        Case("decideRegistration", who, STUDENT, 404)
        for who in (OTHER_FACULTY_CONTACT, OTHER_APPROVER, STUDENT_AND_OTHER_APPROVER, *LOOKALIKES)
    ),
    *(Case("decideRegistration", who, STUDENT, 403, "role") for who in (STUDENT, AUDITOR, OPERATOR, MACHINE, NOBODY)),
    # during the stay: the student, and for the contact details the International Office
    Case("putStayContact", STUDENT, STUDENT, 200),
    Case("putStayContact", INTERNATIONAL_OFFICE, STUDENT, 200),
    Case("putStayContact", OTHER_STUDENT, STUDENT, 404),
    Case("putStayContact", STUDENT_AND_OTHER_APPROVER, STUDENT, 404),
    Case("putStayContact", STUDENT_AND_APPROVER, STUDENT, 403, "not_the_student"),
    Case("putStayContact", STUDENT_AND_CONTACT, STUDENT, 403, "not_the_student"),
    *(
        Case("putStayContact", who, STUDENT, 403, "role")
        for who in (FACULTY_CONTACT, APPROVER, SAFETY_OFFICER, AUDITOR, OPERATOR, MACHINE, NOBODY)
    ),
    *(
        Case("recordReturn", who, STUDENT, 201)
        for who in (STUDENT, FACULTY_CONTACT, APPROVER, INTERNATIONAL_OFFICE, SAFETY_OFFICER)
    ),
    *(
        Case("recordReturn", who, STUDENT, 404)
        for who in (OTHER_STUDENT, OTHER_FACULTY_CONTACT, OTHER_APPROVER, STUDENT_AND_OTHER_APPROVER, *LOOKALIKES)
    ),
    *(Case("recordReturn", who, STUDENT, 403, "role") for who in (AUDITOR, OPERATOR, MACHINE, NOBODY)),
    *(Case("listDocuments", *row) for row in READ_REGISTRATION),
    Case("attachDocument", STUDENT, STUDENT, 201),
    Case("attachDocument", INTERNATIONAL_OFFICE, STUDENT, 201),
    Case("attachDocument", OTHER_STUDENT, STUDENT, 404),
    Case("attachDocument", STUDENT_AND_OTHER_APPROVER, STUDENT, 404),
    Case("attachDocument", STUDENT_AND_APPROVER, STUDENT, 403, "not_the_student"),
    *(
        Case("attachDocument", who, STUDENT, 403, "role")
        for who in (FACULTY_CONTACT, APPROVER, SAFETY_OFFICER, AUDITOR, OPERATOR, MACHINE, NOBODY)
    ),
    # group trips: everybody with the link reads the prefilled journey and joins; the rest is for the leader alone
    *(Case("getGroupTrip", who, STUDENT, 200) for who in (STUDENT, OTHER_STUDENT, FACULTY_CONTACT, APPROVER)),
    *(Case("getGroupTrip", who, STUDENT, 403, "role") for who in (SAFETY_OFFICER, AUDITOR, OPERATOR, MACHINE, NOBODY)),
    *(Case("joinGroupTrip", who, STUDENT, 201) for who in (STUDENT, OTHER_STUDENT, STUDENT_AND_CONTACT)),
    *(
        Case("joinGroupTrip", who, STUDENT, 403, "role")
        for who in (FACULTY_CONTACT, APPROVER, INTERNATIONAL_OFFICE, SAFETY_OFFICER, AUDITOR, OPERATOR, NOBODY)
    ),
    *(
        case
        for name, status in (("changeGroupTrip", 200), ("closeGroupTrip", 201), ("listParticipants", 200))
        for case in (
            Case(name, STUDENT, STUDENT, status),
            *(
                Case(name, who, STUDENT, 404)
                for who in (OTHER_STUDENT, FACULTY_CONTACT, APPROVER, INTERNATIONAL_OFFICE, STUDENT_AND_APPROVER)
            ),
            *(Case(name, who, STUDENT, 403, "role") for who in (SAFETY_OFFICER, AUDITOR, OPERATOR, MACHINE, NOBODY)),
        )
    ),
    # tasks: who has the queue, for the scope of the registration
    *(
        case
        for name in ("getTask", "claimTask", "releaseTask", "commentTask", "closeTask")
        for case in (
            Case(name, FACULTY_CONTACT, STUDENT, 200 if name == "getTask" else 201),
            Case(name, STUDENT_AND_CONTACT, STUDENT, 200 if name == "getTask" else 201),
            *(
                Case(name, who, STUDENT, 404)
                for who in (OTHER_FACULTY_CONTACT, APPROVER, INTERNATIONAL_OFFICE, SAFETY_OFFICER, *LOOKALIKES)
            ),
            *(Case(name, who, STUDENT, 403, "role") for who in (STUDENT, AUDITOR, OPERATOR, MACHINE, NOBODY)),
        )
    ),
]


@pytest.mark.parametrize("operation_id", OBJECTS)
async def test_resource_is_for_its_owner_and_the_roles_of_the_table(world: World, operation_id: str) -> None:
    """Every row of the table; a refused request records no event and tells nothing of the owner."""
    with Failures() as failures:
        for case in (case for case in CASES if case.operation_id == operation_id):
            with failures.case(case):
                await _check_access(world, case)


async def _check_access(world: World, case: Case) -> None:
    parameter, make, rest = OBJECTS[case.operation_id]
    identity = await make(world, case.owner)
    route = operation(case.operation_id)
    events = await world.facts(route.service)

    response = await world.send(Call(route, case.who, path={parameter: identity}, **rest))

    assert response.status_code == case.status, response.text
    if case.status >= 400:
        body = response.json()
        assert body.get("reason") == case.reason
        assert body.get("rule") == case.rule
        assert await world.facts(route.service) == events
        _tells_nothing_of(response, case.owner, await world.person_id(case.owner), identity)
    else:
        _tells_nothing_of(response, *(set(PEOPLE) - {case.owner}))


#: Everybody with the link may call these.
FOR_THE_LINK = {"getGroupTrip", "joinGroupTrip"}


@pytest.mark.parametrize("operation_id", sorted(OBJECTS.keys() - FOR_THE_LINK))
async def test_resource_of_another_person_looks_like_one_that_does_not_exist(world: World, operation_id: str) -> None:
    """The 404 of a hidden resource equals that of an unknown id, so that nobody learns ids by trying."""
    parameter, make, rest = OBJECTS[operation_id]
    identity = await make(world, STUDENT)
    route = operation(operation_id)
    staff = parameter == "task_id" or operation_id == "decideRegistration"
    others = {"recordApprovalStep": OTHER_APPROVER}
    who = OTHER_FACULTY_CONTACT if staff else others.get(operation_id, OTHER_STUDENT)

    there = await world.send(Call(route, who, path={parameter: identity}, **rest))
    nowhere = await world.send(Call(route, who, path={parameter: "01a20f19-0000-7000-8000-000000000000"}, **rest))

    assert there.status_code == nowhere.status_code == 404
    assert there.json() == nowhere.json()
    varying = {"x-request-id", "traceparent"}
    assert {k: v for k, v in there.headers.items() if k not in varying} == {
        k: v for k, v in nowhere.headers.items() if k not in varying
    }


#: Operations with two ids in their path; DOCUMENT_READERS is their table.
BELOW_AN_OBJECT = {"getDocument"}
DOCUMENT_READERS = [
    *((who, 200) for who in (STUDENT, FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER)),
    *((who, 404) for who in (APPROVER, STUDENT_AND_APPROVER, OTHER_STUDENT, OTHER_FACULTY_CONTACT, *LOOKALIKES)),
    *((who, 403) for who in (AUDITOR, OPERATOR, MACHINE, NOBODY)),
]


async def test_document_is_for_the_student_and_the_roles_of_the_table(world: World) -> None:
    """A coordinator does not see a passport, and a document is found below its own registration only."""
    mine, others = await world.register(STUDENT), await world.register(OTHER_STUDENT)
    document_id = await world.attach(mine, STUDENT)
    route = operation("getDocument")
    with Failures() as failures:
        for who, status in DOCUMENT_READERS:
            with failures.case(who.login):
                document = await world.send(Call(route, who, {"registration_id": mine, "document_id": document_id}))
                elsewhere = await world.send(Call(route, who, {"registration_id": others, "document_id": document_id}))
                assert document.status_code == status
                assert (document.content == PDF) is (status == 200)
                assert elsewhere.status_code in (403, 404)


def test_every_route_with_a_resource_of_a_person_is_in_the_table() -> None:
    """A new route below such a resource needs its rows."""
    personal = {"approval_id", "registration_id", "task_id", "group_id"}

    routes = {route.id for route in operations() if personal & set(route.parameters("path"))}
    assert routes == set(OBJECTS) | BELOW_AN_OBJECT
    assert {case.operation_id for case in CASES} == set(OBJECTS)


def _tells_nothing_of(response: httpx.Response, *things: Person | str) -> None:
    """Neither body nor headers hold the names and numbers of these persons, or these ids."""
    answer = f"{response.text} {response.headers}"
    for thing in things:
        for canary in thing.canaries if isinstance(thing, Person) else (thing,):
            assert canary not in answer


# ---------------------------------------------------------------- content of an answer, by caller


async def test_words_of_a_request_are_for_student_and_approver_alone(world: World) -> None:
    """The description is opened for the student and the programme's approver; a list holds none."""
    approval_id = await world.ask_approval(STUDENT)
    words = approval_body(STUDENT)["description"]

    for who in (STUDENT, APPROVER):
        one = await world.send(Call(operation("getApprovalRequest"), who, path={"approval_id": approval_id}))
        listed = await world.send(Call(operation("listApprovalRequests"), who))
        assert one.json()["description"] == words
        assert words not in listed.text


# ---------------------------------------------------------------- lists

LISTS = [
    # operation, who, whose are in it, whose are not
    ("listApprovalRequests", STUDENT, {STUDENT}),
    ("listApprovalRequests", OTHER_STUDENT, {OTHER_STUDENT}),
    ("listApprovalRequests", APPROVER, {STUDENT, OTHER_STUDENT}),
    ("listApprovalRequests", SECOND_APPROVER, {STUDENT, OTHER_STUDENT}),
    ("listApprovalRequests", OTHER_APPROVER, set()),
    ("listApprovalRequests", STUDENT_AND_OTHER_APPROVER, set()),
    ("listRegistrations", STUDENT, {STUDENT}),
    ("listRegistrations", OTHER_STUDENT, {OTHER_STUDENT}),
    ("listRegistrations", FACULTY_CONTACT, {STUDENT, OTHER_STUDENT}),
    ("listRegistrations", OTHER_FACULTY_CONTACT, set()),
    ("listRegistrations", APPROVER, {STUDENT, OTHER_STUDENT}),
    ("listRegistrations", OTHER_APPROVER, set()),
    ("listRegistrations", INTERNATIONAL_OFFICE, {STUDENT, OTHER_STUDENT}),
    ("listRegistrations", SAFETY_OFFICER, {STUDENT, OTHER_STUDENT}),
    ("listGroupTrips", STUDENT, {STUDENT}),
    ("listGroupTrips", OTHER_STUDENT, {OTHER_STUDENT}),
    ("listGroupTrips", FACULTY_CONTACT, set()),
    ("listTasks", FACULTY_CONTACT, {STUDENT, OTHER_STUDENT}),
    ("listTasks", OTHER_FACULTY_CONTACT, set()),
    ("listTasks", APPROVER, set()),
    ("listTasks", INTERNATIONAL_OFFICE, set()),
    *(
        (name, who, set())
        for name, who in itertools.product(("listApprovalRequests", "listRegistrations", "listTasks"), LOOKALIKES)
    ),
]
IDS = {
    "listApprovalRequests": "approvalId",
    "listRegistrations": "registrationId",
    "listTasks": "taskId",
    "listGroupTrips": "groupId",
}
MAKE: dict[str, Make] = {
    "listApprovalRequests": _approval, "listRegistrations": _registration, "listTasks": _contact_task,
    "listGroupTrips": _trip,
}  # fmt: skip


@pytest.mark.parametrize("operation_id", MAKE)
async def test_list_holds_what_the_caller_may_see_and_nothing_else(world: World, operation_id: str) -> None:
    """On every page: the same access as to a single resource."""
    ids = {owner: await MAKE[operation_id](world, owner) for owner in (STUDENT, OTHER_STUDENT)}
    with Failures() as failures:
        for who, owners in ((who, owners) for listed, who, owners in LISTS if listed == operation_id):
            with failures.case(who.login):
                found = await _all(world, operation_id, who)
                assert {owner for owner, identity in ids.items() if identity in found} == owners
                if not owners and who not in PEOPLE:
                    assert found == set()


async def _all(world: World, operation_id: str, who: Person, **query: str) -> set[str]:
    found: set[str] = set()
    for number in itertools.count(1):
        asked = {"pageSize": "250", "pageNumber": str(number), **query}
        response = await world.send(Call(operation(operation_id), who, query=asked))
        body = response.json()
        found |= {item[IDS[operation_id]] for item in body["items"]}
        if not body["hasNextPage"]:
            break
    return found


async def test_office_lists_what_a_rule_gives_to_it_and_nothing_else(world: World) -> None:
    """R34, R35: the International Office sees requests with a step or a slot of its own, also with filters."""
    ordinary, theirs = await world.ask_approval(STUDENT), await _clerkship(world, STUDENT)

    for query in ({}, {"open": "true"}, {"programmeId": "example-biology"}, {"sort": "-requestedAt"}):
        found = await _all(world, "listApprovalRequests", INTERNATIONAL_OFFICE, **query)
        assert ordinary not in found
        assert (theirs in found) is ("programmeId" not in query)


async def test_filter_does_not_widen_what_one_sees(world: World) -> None:
    """A filter for a programme, a country, a state or a queue of others finds nothing."""
    await world.ask_approval(STUDENT)
    await world.register(STUDENT)
    await world.open_task("faculty-contact", STUDENT, legs=SHORT_NOTICE)

    for operation_id, who, query in (
        ("listApprovalRequests", OTHER_APPROVER, {"programmeId": "example-biology"}),
        ("listApprovalRequests", OTHER_APPROVER, {"status": "requested"}),
        ("listRegistrations", OTHER_FACULTY_CONTACT, {"country": "ES"}),
        ("listRegistrations", OTHER_APPROVER, {"status": "held"}),
        ("listTasks", OTHER_FACULTY_CONTACT, {"queue": "faculty-contact"}),
        ("listTasks", INTERNATIONAL_OFFICE, {"queue": "faculty-contact"}),
        ("listTasks", APPROVER, {"queue": "faculty-contact"}),
    ):
        assert await _all(world, operation_id, who, **query) == set(), (operation_id, who, query)


# ---------------------------------------------------------------- what a body may not say

FORBIDDEN_FIELDS = {
    "personId": "somebody-else", "status": "approved", "approved": True, "role": "safety-officer",
    "roles": ["operator"],
    "decidedBy": "somebody", "registrationId": "chosen", "approvalStatus": "granted", "$where": "1", "_id": "chosen",
    "__proto__": {}, "isStudyRelated": False, "studyRelated": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "operation_id",
    ["requestApproval", "decideApprovalRequest", "submitRegistration", "changeRegistration", "closeAlert"],
)
async def test_body_cannot_set_what_is_not_the_callers_to_set(world: World, operation_id: str) -> None:
    """Mass assignment: each such field is refused by name, on the body and inside it."""
    call = await world.fresh(operation(operation_id))
    events = await world.facts(call.operation.service)
    with Failures() as failures:
        for name, value in FORBIDDEN_FIELDS.items():
            with failures.case(name):
                response = await world.send(replace(call, json={**call.json, name: value}))
                assert response.status_code == 400
                assert f"body.{name}" in {error["field"] for error in response.json()["errors"]}
        if "contact" in call.json:
            with failures.case("contact.personId"):
                inside = {**call.json, "contact": {**call.json["contact"], "personId": "somebody-else"}}
                assert (await world.send(replace(call, json=inside))).status_code == 400
        with failures.case("events afterwards"):
            assert await world.facts(call.operation.service) == events


async def test_registration_on_somebody_elses_approval_gets_nothing_from_it(world: World) -> None:
    """R2: the id of another student's approval gives no clearance and reveals nothing of the approval."""
    approval_id = await world.ask_approval(STUDENT)
    await world.send(
        Call(
            operation("decideApprovalRequest"), APPROVER, path={"approval_id": approval_id},
            json=GRANT, headers={"If-Match": "*"},
        )
    )  # fmt: skip
    body = registration_body(OTHER_STUDENT, approval_id=approval_id)

    response = await world.send(Call(operation("submitRegistration"), OTHER_STUDENT, json=body))

    assert response.status_code == 201
    assert response.json()["status"] != "approved"
    _tells_nothing_of(response, STUDENT, await world.person_id(STUDENT))


async def test_approver_scope_is_what_the_catalogue_makes_of_it(world: World) -> None:
    """R5: a board of examiners decides where the catalogue says so, and only there."""
    linguistics = {"facultyId": "example-humanities", "programmeId": "example-linguistics"}
    history = {"facultyId": "example-humanities", "programmeId": "example-history"}
    decide = operation("decideApprovalRequest")
    for who, where, status in (
        (BOARD, linguistics, 201),
        (LINGUIST, linguistics, 201),
        (BOARD, history, 404),
        (LINGUIST, history, 404),
        (APPROVER, linguistics, 404),
    ):
        approval_id = await world.ask_approval(STUDENT, **where)
        call = Call(
            decide,
            who,
            path={"approval_id": approval_id},
            json=GRANT,
            headers={"If-Match": "*"},
        )

        assert (await world.send(call)).status_code == status, (who, where)


# ---------------------------------------------------------------- safety and notify

EVERY_ROLE = (
    STUDENT,
    APPROVER,
    FACULTY_CONTACT,
    INTERNATIONAL_OFFICE,
    SAFETY_OFFICER,
    CRISIS_TEAM,
    AUDITOR,
    OPERATOR,
    MACHINE,
    NOBODY,
)
WHO_MAY = {
    # everybody with a good token may read the advice
    "getPersonData": (STUDENT, INTERNATIONAL_OFFICE),
    "erasePerson": (INTERNATIONAL_OFFICE, SAFETY_OFFICER),
    "listErasures": (INTERNATIONAL_OFFICE, SAFETY_OFFICER),
    "listTravelAdvice": EVERY_ROLE,
    "getTravelAdvice": EVERY_ROLE,
    "listTravelAdviceHistory": EVERY_ROLE,
    "listSources": EVERY_ROLE,
    "listHolds": (SAFETY_OFFICER, INTERNATIONAL_OFFICE, AUDITOR),
    "decideHold": (SAFETY_OFFICER,),
    "listOverrides": (SAFETY_OFFICER, INTERNATIONAL_OFFICE, AUDITOR),
    "setOverride": (SAFETY_OFFICER,),
    "endOverride": (SAFETY_OFFICER,),
    "listCountrySources": (SAFETY_OFFICER, INTERNATIONAL_OFFICE, AUDITOR),
    "listCapMessages": (SAFETY_OFFICER, INTERNATIONAL_OFFICE, AUDITOR),
    "listDisagreements": (SAFETY_OFFICER, INTERNATIONAL_OFFICE, AUDITOR),
    "listWhereabouts": (SAFETY_OFFICER, CRISIS_TEAM),
    "summarizeWhereabouts": (SAFETY_OFFICER, CRISIS_TEAM, INTERNATIONAL_OFFICE),
    "listAlerts": (SAFETY_OFFICER, CRISIS_TEAM, INTERNATIONAL_OFFICE, AUDITOR),
    "getAlert": (SAFETY_OFFICER, CRISIS_TEAM, INTERNATIONAL_OFFICE, AUDITOR),
    "listAlertRecipients": (SAFETY_OFFICER, CRISIS_TEAM, INTERNATIONAL_OFFICE, AUDITOR),
    "getAlertBoard": (SAFETY_OFFICER, CRISIS_TEAM, INTERNATIONAL_OFFICE, AUDITOR),
    "closeAlert": (SAFETY_OFFICER,),
    "reopenAlert": (SAFETY_OFFICER,),
    "previewAlert": (SAFETY_OFFICER,),
    "raiseAlert": (SAFETY_OFFICER,),
    "recordCall": (SAFETY_OFFICER, CRISIS_TEAM),
    "listUnclearReplies": (SAFETY_OFFICER, CRISIS_TEAM),
    "readReply": (SAFETY_OFFICER, CRISIS_TEAM),
    "confirmSender": (SAFETY_OFFICER, CRISIS_TEAM),
    "listProgrammes": (STUDENT, APPROVER, FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER),
    "getActivityNeeds": (STUDENT, APPROVER, FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER),
    "requestApproval": (STUDENT,),
    "decideApprovalRequests": (APPROVER,),
    "listRotationSlots": (STUDENT, APPROVER, INTERNATIONAL_OFFICE),
    "submitRegistration": (STUDENT,),
    "searchRegistrations": (APPROVER, FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER),
    "listUnregisteredApprovals": (APPROVER, FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER),
    "createGroupTrip": (STUDENT, APPROVER, FACULTY_CONTACT, INTERNATIONAL_OFFICE),
    "getTaskCounts": (APPROVER, FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER),
}


@pytest.mark.parametrize("operation_id", WHO_MAY)
async def test_route_is_for_these_roles(world: World, operation_id: str) -> None:
    """The roles of each route are stated here a second time, so that a `require()` cannot lose or gain one unseen."""
    call = await world.call(operation(operation_id))
    with Failures() as failures:
        for who in EVERY_ROLE:
            with failures.case(who.login):
                is_allowed = who in WHO_MAY[operation_id]
                fresh = await world.fresh(call.operation) if is_allowed else call
                # Some routes are for the data of the caller alone: the call knows which student that is.
                caller = fresh.person if fresh.person and fresh.person.roles == who.roles else who
                response = await world.send(fresh.by(caller))
                assert (response.status_code < 300) is is_allowed, response.text
                assert response.status_code in (200, 201, 403)


def test_every_route_without_an_object_is_in_a_table() -> None:
    """Every route for people is in one of the tables of this file."""
    with_token = {route.id for route in operations() if route.described.get("security")}
    webhooks = {"takeReceipts", "takeReply"}

    assert with_token - webhooks == set(OBJECTS) | set(WHO_MAY) | set(IDS) | BELOW_AN_OBJECT


async def test_whereabouts_hold_numbers_for_safety_officers_of_that_country_alone(world: World) -> None:
    """The safety officer sees the contact details of people in that country, and of nobody elsewhere."""
    await world.be_in("NO", STUDENT)
    await world.be_in("SE", OTHER_STUDENT)

    response = await world.send(Call(operation("listWhereabouts"), SAFETY_OFFICER, query={"country": "NO"}))

    assert all(canary in response.text for canary in STUDENT.canaries)
    _tells_nothing_of(response, OTHER_STUDENT)


async def test_answer_link_is_for_one_person_and_shows_nothing_of_them(world: World) -> None:
    """An answer changes the answering person's page only, and no page holds a name, a number or an id."""
    alert_id = await world.raise_alert(STUDENT, OTHER_STUDENT)
    own, others = await world.answer_token(alert_id, STUDENT), await world.answer_token(alert_id, OTHER_STUDENT)
    show, form = operation("showAnswerPage"), {"Content-Type": "application/x-www-form-urlencoded"}
    empty = (await world.send(Call(show, None, path={"token": others}))).text

    answered = await world.send(
        Call(operation("answerAlert"), None, path={"token": own}, content=b"answer=help&personId=x", headers=form)
    )

    assert answered.status_code == 303
    assert (await world.send(Call(show, None, path={"token": others}))).text == empty
    page = await world.send(Call(show, None, path={"token": own}))
    assert page.text != empty
    for person in (STUDENT, OTHER_STUDENT):
        _tells_nothing_of(page, person, await world.person_id(person))
    recipients = (
        await world.send(Call(operation("listAlertRecipients"), SAFETY_OFFICER, path={"alert_id": alert_id}))
    ).json()["items"]
    assert {recipient["personId"]: recipient["answer"] for recipient in recipients} == {
        await world.person_id(STUDENT): "help",
        await world.person_id(OTHER_STUDENT): None,
    }


async def test_return_link_reports_one_return_of_one_person_and_shows_nothing_of_them(world: World) -> None:
    """Opening it changes nothing; sending the form twice reports one return; an answer link is no return link."""
    token, show, report = await world.return_token(STUDENT), operation("showReturnPage"), operation("reportReturn")
    answer = await world.answer_token(await world.raise_alert(STUDENT), STUDENT)
    before = await world.facts("notify")

    page = await world.send(Call(show, None, path={"token": token}))
    after_looking = await world.facts("notify")
    reported = [await world.send(Call(report, None, path={"token": token})) for _ in range(2)]
    told = await world.send(Call(show, None, path={"token": token}))

    assert after_looking == before
    assert [response.status_code for response in reported] == [303, 303]
    assert await world.facts("notify") == before + 1
    assert "noted that you are back" in told.text
    for shown in (page, told):
        _tells_nothing_of(shown, STUDENT, await world.person_id(STUDENT))
    assert (await world.send(Call(report, None, path={"token": answer}))).status_code == 404


@pytest.mark.parametrize("token", ["x", "0" * 43, "a" * 3_000, "..%2F..", "%00", "{}", "$ne"])
async def test_answer_link_that_leads_nowhere_is_a_page(world: World, token: str) -> None:
    """A guessed link answers 404 with a page that tells what to do, and records no event."""
    before = await world.facts("notify")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    calls = (("showAnswerPage", None), ("answerAlert", b"answer=safe"), ("showReturnPage", None), ("reportReturn", b""))
    for operation_id, content in calls:
        route = operation(operation_id)
        response = await world.send(Call(route, None, {"token": token}, headers=form, content=content))
        assert response.status_code == 404
        if response.headers["content-type"].startswith("text/html"):
            assert "university" in response.text.lower()
    assert await world.facts("notify") == before
