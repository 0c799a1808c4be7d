"""Registrations and tasks whose programme or faculty the catalogue no longer has."""

from collections.abc import Collection
from datetime import date

from services.registration.model import Status
from shared.catalogue import Catalogue
from shared.mongo.client import Database, Document
from shared.open_work import OpenWork


async def registrations_without_home(database: Database, catalogue: Catalogue, today: date) -> list[OpenWork]:
    """Registrations that are not over, and open tasks, for each programme and faculty that is gone."""
    over = [Status.CANCELLED.value, Status.REFUSED.value]
    running = {"status": {"$nin": over}, "returnDate": {"$gte": today.isoformat()}}

    async def registrations(kind: str, field: str, known: Collection[str], **more: Document) -> list[OpenWork]:
        group = {"id": f"${field}", "facultyId": "$facultyId"}
        match = {**running, field: {"$nin": sorted(known)}, **more}
        return await _grouped(database, "registrations", match, group, kind, "registrations")

    async def tasks(kind: str, queues: list[str], known: Collection[str]) -> list[OpenWork]:
        match = {"queue": {"$in": queues}, "scope": {"$nin": sorted(known)}, "open": True}
        return await _grouped(database, "tasks", match, {"id": "$scope", "facultyId": ""}, kind, "tasks")

    programmes = catalogue.programme_ids
    return [
        *await registrations("programme", "programmeId", programmes),
        *await registrations("faculty", "facultyId", catalogue.faculties, programmeId={"$in": sorted(programmes)}),
        *await tasks("programme", ["coordinator", "board-of-examiners"], programmes),
        *await tasks("faculty", ["faculty-contact"], catalogue.faculties),
    ]


async def _grouped(
    database: Database, collection: str, match: Document, group: dict[str, str], kind: str, what: str
) -> list[OpenWork]:
    pipeline: list[Document] = [
        {"$match": match},
        {"$group": {"_id": group, "count": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
    ]
    return [
        OpenWork(kind, row["_id"]["id"], row["_id"]["facultyId"], row["count"], what)
        async for row in database[collection].aggregate(pipeline)
    ]
