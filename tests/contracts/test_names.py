"""Who sees who a student is: every role in every list and on every page that shows students.

Those responsible for a person see the name, the student number and the mail address; those who have to find the person
also see the phone. An auditor sees none of it.
"""

from dataclasses import dataclass

from tests.contracts.services_world import (
    APPROVER,
    AUDITOR,
    BOARD,
    CLINICAL_APPROVER,
    CRISIS_TEAM,
    FACULTY_CONTACT,
    INTERNATIONAL_OFFICE,
    LINGUIST,
    MACHINE,
    NOBODY,
    OPERATOR,
    OTHER_APPROVER,
    OTHER_FACULTY_CONTACT,
    OTHER_STUDENT,
    SAFETY_OFFICER,
    SHORT_NOTICE,
    STUDENT,
    Call,
    Person,
    World,
    clerkship_body,
    operation,
)
from tests.failures import Failures

NAME = frozenset({"surname", "studentNumber", "email"})
ALL = NAME | {"mobile"}
NOTHING: frozenset[str] = frozenset()
#: Roles that may not even ask, or see no student of this programme.
STRANGERS = (OTHER_STUDENT, OTHER_APPROVER, OTHER_FACULTY_CONTACT, LINGUIST, BOARD, AUDITOR, OPERATOR, MACHINE, NOBODY)


@dataclass(frozen=True)
class Row:
    """What a caller sees of the student in the answers of these operations."""

    operations: tuple[str, ...]
    who: Person
    sees: frozenset[str]


TABLE = [
    *(
        Row(("listApprovalRequests", "getApprovalRequest"), who, sees)
        for who, sees in (
            (STUDENT, ALL), (APPROVER, NAME), (SAFETY_OFFICER, NOTHING), (CRISIS_TEAM, NOTHING),
            (FACULTY_CONTACT, NOTHING), *((stranger, NOTHING) for stranger in STRANGERS),
        )
    ),
    # The office lists the requests in which a rule gives it a part; this is none of them.
    Row(("getApprovalRequest",), INTERNATIONAL_OFFICE, NOTHING),
    *(
        Row(("listRegistrations", "getRegistration"), who, sees)
        for who, sees in (
            (STUDENT, ALL), (APPROVER, NAME), (FACULTY_CONTACT, ALL), (INTERNATIONAL_OFFICE, ALL),
            (SAFETY_OFFICER, ALL), (CRISIS_TEAM, NOTHING), *((stranger, NOTHING) for stranger in STRANGERS),
        )
    ),
    *(
        Row(("listTasks", "getTask"), who, sees)
        for who, sees in (
            (FACULTY_CONTACT, ALL), (STUDENT, NOTHING), (CRISIS_TEAM, NOTHING),
            *((stranger, NOTHING) for stranger in STRANGERS),
        )
    ),
    # The others see the tasks of their own queues, and not this one.
    *(Row(("getTask",), who, NOTHING) for who in (APPROVER, INTERNATIONAL_OFFICE, SAFETY_OFFICER)),
    *(
        Row(("listAlertRecipients",), who, sees)
        for who, sees in (
            (SAFETY_OFFICER, ALL), (CRISIS_TEAM, ALL), (INTERNATIONAL_OFFICE, ALL), (APPROVER, NOTHING),
            (STUDENT, NOTHING), (FACULTY_CONTACT, NOTHING), *((stranger, NOTHING) for stranger in STRANGERS),
        )
    ),
    *(
        Row(("getAlert", "getAlertBoard", "listAlerts"), who, NOTHING)
        for who in (SAFETY_OFFICER, CRISIS_TEAM, INTERNATIONAL_OFFICE, AUDITOR)
    ),
    *(
        Row(("listWhereabouts",), who, sees)
        for who, sees in (
            (SAFETY_OFFICER, ALL), (CRISIS_TEAM, ALL), (INTERNATIONAL_OFFICE, NOTHING), (APPROVER, NOTHING),
            (STUDENT, NOTHING), (FACULTY_CONTACT, NOTHING), *((stranger, NOTHING) for stranger in STRANGERS),
        )
    ),
]  # fmt: skip


async def test_names_are_for_those_who_are_responsible_for_the_person(world: World) -> None:
    """Every role × every list and page: exactly the fields of the table, and nothing of the student for the others."""
    alert_id = await world.raise_alert(STUDENT, country="NO")
    places: dict[str, dict[str, dict[str, str]]] = {
        "getApprovalRequest": {"path": {"approval_id": await world.ask_approval(STUDENT)}},
        "getRegistration": {"path": {"registration_id": await world.register(STUDENT)}},
        "getTask": {"path": {"task_id": await world.open_task("faculty-contact", STUDENT, legs=SHORT_NOTICE)}},
        "getAlert": {"path": {"alert_id": alert_id}},
        "getAlertBoard": {"path": {"alert_id": alert_id}},
        "listAlertRecipients": {"path": {"alert_id": alert_id}},
        "listWhereabouts": {"query": {"country": "NO"}},
    }
    with Failures() as failures:
        for row in TABLE:
            for operation_id in row.operations:
                with failures.case(f"{row.who.login} {operation_id}"):
                    place = places.get(operation_id, {"query": {"pageSize": "250"}})
                    text = (await world.send(Call(operation(operation_id), row.who, **place))).text
                    assert {field for field in ALL if STUDENT.contact[field] in text} == row.sees


async def test_office_sees_who_asks_for_what_a_rule_gives_to_it(world: World) -> None:
    """R34: the International Office calls the student; the coordinator of the programme needs no phone number."""
    approval_id = await world.ask_approval(OTHER_STUDENT, **clerkship_body(OTHER_STUDENT))

    for who, sees in ((INTERNATIONAL_OFFICE, ALL), (CLINICAL_APPROVER, NAME)):
        path = {"approval_id": approval_id}
        text = (await world.send(Call(operation("getApprovalRequest"), who, path=path))).text
        assert {field for field in ALL if OTHER_STUDENT.contact[field] in text} == sees
