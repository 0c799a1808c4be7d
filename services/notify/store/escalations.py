"""Which escalation steps were taken for whom: the fold of `AlertEscalated`.

`escalations`: {_id `<alert>:<person>:<step>[:<answer>]`, alertId, personId, step, to, reason, by, at, answerId}.
`answerId`: the cry for help that the step is about; records of an earlier version have none.
"""

from collections.abc import Collection, Sequence

from services.notify.model.escalations import EscalationRecord
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session


class EscalationStore:
    """Escalation records by alert, person and step."""

    def __init__(self, database: Database) -> None:
        self._escalations = database["escalations"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._escalations.create_indexes(
            [IndexModel([("alertId", ASCENDING), ("personId", ASCENDING)], name="person")]
        )

    async def add(self, alert_id: str, records: Sequence[EscalationRecord], session: Session | None = None) -> None:
        """Store records. Idempotent: one record for each alert, person, step and cry for help."""
        for record in records:
            await self._escalations.update_one(
                {"_id": record.id(alert_id)},
                {"$setOnInsert": escalation_document(alert_id, record)},
                upsert=True,
                session=session,
            )

    async def by_person(
        self, alert_id: str, persons: Collection[str], session: Session | None = None
    ) -> dict[str, list[EscalationRecord]]:
        """The steps that were taken for these persons, in order. A person without a step is not in the answer."""
        records: dict[str, list[EscalationRecord]] = {}
        query = {"alertId": alert_id, "personId": {"$in": list(persons)}}
        async for document in self._escalations.find(query, session=session).sort([("step", 1), ("at", 1)]):
            records.setdefault(str(document["personId"]), []).append(EscalationRecord.model_validate(document))
        return records


def escalation_document(alert_id: str, record: EscalationRecord) -> Document:
    """The stored document without its id. A step without a cry for help looks as it did in earlier versions."""
    fields = record.model_dump(mode="python", by_alias=True, exclude_none=True)
    return {"alertId": alert_id, **fields}
