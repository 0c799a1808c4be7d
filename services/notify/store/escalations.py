"""Which escalation steps were taken for whom: the fold of `AlertEscalated`.

`escalations`: {_id `<alert>:<person>:<step>`, alertId, personId, step, to, reason, by, at}.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from shared.events import AlertEscalated, Part
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session


class EscalationRecord(Part):
    """An escalation step that was taken for one person."""

    person_id: str
    step: int
    to: str
    reason: str
    by: str
    at: datetime

    @classmethod
    def of(cls, event: AlertEscalated, at: datetime) -> "EscalationRecord":
        """The record of an event that happened at that time."""
        return cls(person_id=event.person_id, step=event.step, to=event.to, reason=event.reason, by=event.by, at=at)

    def document(self, alert_id: str) -> Document:
        """The stored document without its id."""
        return {"alertId": alert_id, **self.model_dump(mode="python", by_alias=True)}


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
        """Store records. Idempotent: one record for each alert, person and step."""
        for record in records:
            await self._escalations.update_one(
                {"_id": f"{alert_id}:{record.person_id}:{record.step}"},
                {"$setOnInsert": record.document(alert_id)},
                upsert=True,
                session=session,
            )

    async def by_person(
        self, alert_id: str, persons: Collection[str], session: Session | None = None
    ) -> dict[str, list[EscalationRecord]]:
        """The steps that were taken for these persons, in order. A person without a step is not in the answer."""
        records: dict[str, list[EscalationRecord]] = {}
        query = {"alertId": alert_id, "personId": {"$in": list(persons)}}
        async for document in self._escalations.find(query, session=session).sort("step", 1):
            records.setdefault(str(document["personId"]), []).append(EscalationRecord.model_validate(document))
        return records
