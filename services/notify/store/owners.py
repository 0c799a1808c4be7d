"""Who takes care of which recipient: the fold of `RecipientsHandedOver`. The newest hand-over counts.

`owners`: {_id `<alert>:<person>`, alertId, personId, status, owner, by, at}.
"""

from collections.abc import Collection, Sequence

from services.notify.model.owners import OwnerRecord
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, UpdateOne, upsert_guarded


class OwnerStore:
    """Owners by alert and person."""

    def __init__(self, database: Database) -> None:
        self._owners = database["owners"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._owners.create_indexes([IndexModel([("alertId", ASCENDING)], name="alert")])

    async def add(self, alert_id: str, records: Sequence[OwnerRecord]) -> None:
        """Store records; one that is older than the stored one changes nothing. Idempotent."""
        updates = [
            UpdateOne(
                {"_id": f"{alert_id}:{record.person_id}", "at": {"$lt": record.at}},
                {"$set": owner_document(alert_id, record)},
                upsert=True,
            )
            for record in records
        ]
        await upsert_guarded(self._owners, updates)

    async def by_person(self, alert_id: str, persons: Collection[str]) -> dict[str, OwnerRecord]:
        """Person → owner. A person without one is not in the answer."""
        documents = self._owners.find({"_id": {"$in": [f"{alert_id}:{person}" for person in persons]}})
        return {str(document["personId"]): OwnerRecord.model_validate(document) async for document in documents}


def owner_document(alert_id: str, record: OwnerRecord) -> Document:
    """The stored document without its id."""
    return {"alertId": alert_id, **record.model_dump(mode="python", by_alias=True)}
