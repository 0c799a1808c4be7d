"""The auditor compares the stored documents with the events, while people go on registering and the feed is read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pymongo

from deploy.local.demo.people import People
from tests.full_stack import COUNTRIES, FullStack, passage

#: The only period of the local catalogue with a single slot.
YEAR = 2033
#: Between two registrations. Far shorter than a comparison, and without it the services do nothing else for a minute.
PAUSE_SECONDS = 0.2


async def ask_for_rotation(people: People, student: str) -> str:
    """A student asks for the one slot; returns the approvalId."""
    answer = await people.call(
        "POST", "approval", "/v1/approval-requests", who=student, roles=("student",),
        headers={"Idempotency-Key": f"rotation-{student}"},
        body={
            "facultyId": "example-medical-centre", "programmeId": "example-clinical-medicine",
            "activityType": "clinical_clerkship", "country": "SR", "language": "en",
            "startDate": f"{YEAR}-06-01", "endDate": f"{YEAR}-07-01",
            "details": {"rotation": "regular", "cluster": "example-cutting"},
            "contact": {
                "givenName": "Student", "surname": student.title(), "mobile": "+31612345678",
                "email": f"{student}@students.example.org",
            },
        },
    )  # fmt: skip
    return str(answer.body["approvalId"])


async def withdraw(people: People, student: str, approval_id: str) -> None:
    """The student gives the slot back."""
    path, who = f"/v1/approval-requests/{approval_id}", {"who": student, "roles": ("student",)}
    request: Any = await people.call("GET", "approval", path, **who)  # type: ignore[arg-type]
    headers = {"If-Match": request.etag, "Idempotency-Key": f"withdrawal-{approval_id}"}
    await people.call("POST", "approval", f"{path}/withdrawal", headers=headers, **who)  # type: ignore[arg-type]


async def test_after_a_promotion_from_the_waiting_list_the_comparison_is_clean(full_stack: FullStack) -> None:
    """Contact details for one mail stand beside the registrations; they are no registration and no difference."""
    ids = {}
    for student in ("rotation-first", "rotation-second"):
        ids[student] = await full_stack.retry(lambda people, who=student: ask_for_rotation(people, who))
    await full_stack.retry(lambda people: withdraw(people, "rotation-first", ids["rotation-first"]))
    await full_stack.wait_for_mail("rotation-second@students.example.org")

    _, found = await passage(full_stack, "audit", "diff", "--json")

    assert found["differences"] == []
    assert found["compared"]["notify.whereabouts"] >= 0


async def test_the_comparison_is_clean_while_people_register_and_still_names_what_was_changed(
    full_stack: FullStack,
) -> None:
    """An event that arrives between the two readings is no difference; a document changed by hand is one."""
    async with registering_all_the_time(full_stack) as registered:
        for _ in range(2):
            _, found = await passage(full_stack, "audit", "diff", "--json")
            assert found["differences"] == []

        before = len(registered)
        with changed_by_hand(full_stack, registered[0]):
            code, found = await passage(full_stack, "audit", "diff", "--json", "--patience", "36")
        assert code == 1
        differences = [item["difference"] for item in found["differences"]]
        assert [(item["collection"], item["id"], item["fields"]) for item in differences] == [
            ("registrations", registered[0], ["programmeId"])
        ]
        assert len(registered) > before


@asynccontextmanager
async def registering_all_the_time(full_stack: FullStack) -> AsyncIterator[list[str]]:
    """Some people register in each second of the block; the list of their registrations grows."""
    country = next(COUNTRIES)
    registered = [await full_stack.register(full_stack.student(country))]

    async def go_on() -> None:
        while True:
            registered.append(await full_stack.register(full_stack.student(country)))
            await asyncio.sleep(PAUSE_SECONDS)

    task = asyncio.create_task(go_on())
    try:
        yield registered
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.contextmanager
def changed_by_hand(full_stack: FullStack, registration_id: str) -> Any:
    """The programme of a stored registration is another one during the block."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(full_stack.services.stack.mongo)
    registrations = client[f"{full_stack.services.choices.namespace}registration"]["registrations"]
    try:
        stored = registrations.find_one({"_id": registration_id})
        assert stored is not None
        registrations.update_one({"_id": registration_id}, {"$set": {"programmeId": "changed-by-hand"}})
        yield
        registrations.update_one({"_id": registration_id}, {"$set": {"programmeId": stored["programmeId"]}})
    finally:
        client.close()
