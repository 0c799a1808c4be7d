"""Requests whose programme, faculty or slot pool the catalogue no longer has."""

from collections.abc import Collection
from datetime import date

from services.approval.model import Status
from services.approval.store.queries import is_open
from shared.catalogue import Catalogue
from shared.mongo.client import Database, Document
from shared.open_work import OpenWork


async def requests_without_home(database: Database, catalogue: Catalogue, today: date) -> list[OpenWork]:
    """Requests, undecided or granted and not over, for each programme, faculty and slot pool that is gone."""
    running = {"$or": [is_open(), {"status": Status.GRANTED.value, "endDate": {"$gte": today.isoformat()}}]}

    async def gone(kind: str, field: str, known: Collection[str], **more: Document) -> list[OpenWork]:
        pipeline: list[Document] = [
            {"$match": {"$and": [running, {field: {"$nin": [None, *sorted(known)]}, **more}]}},
            {"$group": {"_id": {"id": f"${field}", "facultyId": "$facultyId"}, "count": {"$sum": 1}}},
            {"$sort": {"_id": 1}},
        ]
        return [
            OpenWork(kind, group["_id"]["id"], group["_id"]["facultyId"], group["count"], "requests")
            async for group in database["requests"].aggregate(pipeline)
        ]

    programmes = catalogue.programme_ids
    return [
        *await gone("programme", "programmeId", programmes),
        *await gone("faculty", "facultyId", catalogue.faculties, programmeId={"$in": sorted(programmes)}),
        *await gone("slot pool", "slotPoolId", catalogue.pools()),
    ]
