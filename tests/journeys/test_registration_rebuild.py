"""Everything that registration keeps is in Kafka: rebuilt from the topic alone it is the same, documents by SHA-256."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp

from deploy.local.demo.world import Plan, Student
from services.registration.rebuilding import differences, rebuild
from shared.audit.reader import Reader
from shared.mongo.client import Mongo
from tests.contracts.services_world import FILE, PDF
from tests.full_stack import COUNTRIES, TOPICS, FullStack


async def test_collections_rebuilt_from_kafka_alone_are_the_same(full_stack: FullStack) -> None:
    """Submitted, changed, routed, claimed, commented, decided, suspended, cancelled, attached and replaced."""
    country = next(COUNTRIES)
    soon, later, gone = (full_stack.student(country, Plan.VOLUNTARY, days) for days in ((5, 40), (30, 60), (-3, 30)))
    ids = {student.subject: await full_stack.register(student) for student in (soon, later, gone)}
    path = {student.subject: f"/v1/registrations/{ids[student.subject]}" for student in (soon, later, gone)}
    contact = {"who": "contact", "roles": (f"faculty-contact:{soon.faculty}",)}
    tasks = await _ask(full_stack, "GET", "/v1/tasks?pageSize=250", contact)
    task_id = next(each["taskId"] for each in tasks["items"] if each["registrationId"] == ids[soon.subject])
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
        "adviceSeen": [{name: each[name] for name in ("country", "adviceVersion")} for each in seen["advice"]],
    }
    await _ask(full_stack, "POST", f"{path[soon.subject]}/decisions", contact, decision)
    details = {"givenName": "Student", "surname": "There", "email": gone.email, "mobile": gone.mobile}
    await _ask(full_stack, "PUT", f"{path[gone.subject]}/stay-contact", _as(gone), details)
    await full_stack.raise_to_red(country)
    await full_stack.becomes(ids[later.subject], "suspended")
    await _ask(full_stack, "POST", f"{path[soon.subject]}/cancellation", _as(soon))
    await full_stack.all_is_quiet()

    mongo = Mongo(full_stack.services.stack.mongo, namespace=full_stack.services.choices.namespace)
    try:
        await mongo.drop("registration-rebuilt")
        shadow = mongo.database("registration-rebuilt")
        rebuilt = await rebuild(_values(full_stack), shadow)
        found = [each async for each in differences(mongo.database("registration"), shadow)]
        assert found == []
        assert (rebuilt.unreadable, rebuilt.unknown, rebuilt.gaps) == (0, 0, 0)
        assert {task["queue"] async for task in shadow["tasks"].find({"registrationId": ids[gone.subject]})} >= {
            "faculty-contact", "safety-officer"
        }  # fmt: skip
        kept = await shadow["registrations"].find_one({"_id": ids[later.subject]})
    finally:
        await mongo.drop("registration-rebuilt")
        mongo.close()
    assert kept is not None
    (document,) = kept["documents"]
    content = await _download(full_stack, f"{path[later.subject]}/documents/{document['documentId']}", later)
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (document["sha256"], document["sizeBytes"])
    await full_stack.check()


async def _values(full_stack: FullStack) -> AsyncIterator[Sequence[bytes | None]]:
    """The topic as it is, in batches that cut streams into pieces."""
    batch: list[bytes | None] = []
    async with Reader(full_stack.services.stack.kafka, full_stack.services.choices.namespace) as reader:
        async for record in reader.in_order([TOPICS["registration"]]):
            batch.append(record.value)
            if len(batch) == 7:
                yield batch
                batch = []
    yield batch


async def _ask(full_stack: FullStack, method: str, path: str, who: dict[str, Any], body: Any = None) -> Any:
    headers = {} if method == "GET" else {"If-Match": "*", "Idempotency-Key": f"{method}-{path[-60:]}"}
    answer = await full_stack.insist(
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
