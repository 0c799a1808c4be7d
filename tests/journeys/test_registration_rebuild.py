"""Everything that registration stores is in Kafka: `audit diff` rebuilds it, and documents agree by SHA-256."""

import hashlib
from typing import Any

import aiohttp

from deploy.local.demo.world import Plan, Student
from shared.mongo.client import Mongo
from tests.contracts.services_world import FILE, PDF
from tests.full_stack import COUNTRIES, FullStack


async def test_collections_rebuilt_from_kafka_alone_are_the_same(full_stack: FullStack) -> None:
    """Submitted, changed, routed, claimed, commented, decided, suspended, cancelled, attached and replaced."""
    country = next(COUNTRIES)
    soon, later, gone = (full_stack.student(country, Plan.VOLUNTARY, days) for days in ((5, 40), (30, 60), (-3, 30)))
    ids = {student.subject: await full_stack.register(student) for student in (soon, later, gone)}
    path = {student.subject: f"/v1/registrations/{ids[student.subject]}" for student in (soon, later, gone)}
    contact = {"who": "contact", "roles": (f"faculty-contact:{soon.faculty}",)}
    tasks = await full_stack.items("registration", "/v1/tasks", **contact)
    task_id = next(task["taskId"] for task in tasks if task["registrationId"] == ids[soon.subject])
    await _ask(full_stack, "POST", f"/v1/tasks/{task_id}/claim", contact)
    await _ask(
        full_stack, "POST", f"/v1/tasks/{task_id}/comments", contact, {"remark": "Called; waits for the letter."}
    )
    for content in (PDF, PDF[:-6] + b"% a newer one\n" + PDF[-6:]):
        await _attach(full_stack, path[later.subject], later, content)
    seen = await full_stack.registration(ids[soon.subject])
    decision = {
        "decision": "approve",
        "remark": "Looked at.",
        "adviceSeen": [{name: advice[name] for name in ("country", "adviceVersion")} for advice in seen["advice"]],
    }
    await _ask(full_stack, "POST", f"{path[soon.subject]}/decisions", contact, decision)
    details = {"givenName": "Student", "surname": "There", "email": gone.email, "mobile": gone.mobile}
    await _ask(full_stack, "PUT", f"{path[gone.subject]}/stay-contact", _as(gone), details)
    await full_stack.raise_to_red(country)
    await full_stack.wait_for_status(ids[later.subject], "suspended")
    await _ask(full_stack, "POST", f"{path[soon.subject]}/cancellation", _as(soon))
    await full_stack.wait_until_idle()

    await full_stack.check()  # `audit diff` finds no difference: the database below is what Kafka alone says
    mongo = Mongo(full_stack.services.stack.mongo, namespace=full_stack.services.choices.namespace)
    try:
        database = mongo.database("registration")
        tasks_of_gone = [task async for task in database["tasks"].find({"registrationId": ids[gone.subject]})]
        registration = await database["registrations"].find_one({"_id": ids[later.subject]})
        misplaced = [
            task["_id"]
            async for task in database["tasks"].find({})
            if await database["registrations"].find_one(
                {"_id": task["registrationId"], "departureDate": task["departureDate"]}
            )
            is None
        ]
    finally:
        mongo.close()
    assert {task["queue"] for task in tasks_of_gone} >= {"faculty-contact", "safety-officer"}
    assert misplaced == [], "a task is sorted by another day than the departure of its registration"
    assert registration is not None
    (document,) = registration["documents"]
    content = await _download(full_stack, f"{path[later.subject]}/documents/{document['documentId']}", later)
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (document["sha256"], document["sizeBytes"])


async def _ask(full_stack: FullStack, method: str, path: str, who: dict[str, Any], body: Any = None) -> Any:
    headers = {} if method == "GET" else {"If-Match": "*", "Idempotency-Key": f"{method}-{path[-60:]}"}
    answer = await full_stack.retry(
        lambda people: people.call(method, "registration", path, body=body, headers=headers, **who)
    )
    return answer.body


async def _attach(full_stack: FullStack, path: str, student: Student, content: bytes) -> None:
    url = f"{full_stack.services.bases()['registration']}{path}/documents?kind=Letter"
    token = {"Authorization": f"Bearer {full_stack.mint(student.subject, ['student'])}"}
    async with aiohttp.ClientSession() as http, http.post(url, data=content, headers={**FILE, **token}) as response:
        assert response.status == 201, await response.text()


async def _download(full_stack: FullStack, path: str, student: Student) -> bytes:
    url = f"{full_stack.services.bases()['registration']}{path}"
    token = {"Authorization": f"Bearer {full_stack.mint(student.subject, ['student'])}"}
    async with aiohttp.ClientSession() as http, http.get(url, headers=token) as response:
        assert response.status == 200, await response.text()
        return await response.read()


def _as(student: Student) -> dict[str, Any]:
    return {"who": student.subject, "roles": ("student",)}
