"""Who was selected for which alert. A selection is the durable delivery of all its recipients (docs/decisions/0005).

`selections`: {_id `<alert>:<shard>[:<digest>]`, alertId, shard, step, at, who, count, unreachable, tally, roll, rungs,
…}. `roll`: the recipients (columns/recipient_columns.py). `who`: their digests; a unique index keeps a person out of
two selections of the same alert and step (R27). `step`: 1 is the alert itself, higher steps are escalations. `rungs`:
the escalation steps that have been checked for everyone in the selection.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.notify.columns.recipient_columns import NO_PERSON, Recipient, RecipientColumns
from services.notify.model.shards import digest
from services.notify.rules.audience import PastNotification
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session, insert

#: What reading a selection leaves out: fields that only queries use.
PROJECTION = {"who": 0, "rungs": 0}
#: Selections in one batch of a cursor.
READ_BATCH = 8


@dataclass(frozen=True, slots=True)
class Selection:
    """Recipients selected in one transaction, with all that their messages need except the addresses.

    `at`: also the Date header of every mail of the selection, at every attempt. `facts`: the content of a notice; an
    alert's content comes from its advice. `correlation_id`: the request or the reading of a feed that led to it.
    """

    selection_id: str
    alert_id: str
    shard: int
    late: bool
    at: datetime
    recipients: RecipientColumns
    facts: dict[str, Any] | None = None
    correlation_id: str = ""
    traceparent: str | None = None
    step: int = 1

    @classmethod
    def read(cls, document: Document) -> "Selection":
        """The selection in a stored document."""
        return cls(
            str(document["_id"]), document["alertId"], int(document["shard"]), document["late"], document["at"],
            RecipientColumns.decode(document["roll"]), document["facts"], document["correlationId"],
            document["traceparent"], int(document["step"]),
        )  # fmt: skip

    def document(self) -> Document:
        """The stored document: the encoded recipients, and beside them only what queries use."""
        return {
            "_id": self.selection_id,
            "alertId": self.alert_id,
            "shard": self.shard,
            "step": self.step,
            "late": self.late,
            "at": self.at,
            "who": [digest(person or NO_PERSON) for person in self.recipients.persons],
            "count": len(self.recipients),
            "unreachable": self.recipients.unreachable,
            "tally": self.recipients.count_by_channel,
            "roll": self.recipients.encode(),
            "facts": self.facts,
            "correlationId": self.correlation_id,
            "traceparent": self.traceparent,
        }


class SelectionStore:
    """Selections by alert and shard. They are kept for ever."""

    def __init__(self, database: Database) -> None:
        self._selections = database["selections"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._selections.create_indexes(
            [
                IndexModel([("alertId", ASCENDING), ("shard", ASCENDING)], name="shard"),
                # Digests have the order of the shards, so a selection run only appends to this index.
                IndexModel([("alertId", ASCENDING), ("step", ASCENDING), ("who", ASCENDING)], name="who", unique=True),
                IndexModel([("alertId", ASCENDING), ("at", ASCENDING)], name="at"),
                IndexModel([("at", ASCENDING)], name="newest"),
            ]
        )

    # ------------------------------------------------------------ write

    async def insert(self, selections: Sequence[Selection], session: Session) -> None:
        """Store selections. Raises DuplicateKeyError when one of them, or a person in them, is stored already."""
        await insert(self._selections, [selection.document() for selection in selections], session)

    async def existing(self, selection_ids: Sequence[str], session: Session) -> set[str]:
        """Which of these selections are stored."""
        documents = self._selections.find({"_id": {"$in": list(selection_ids)}}, {"_id": 1}, session=session)
        return {str(document["_id"]) for document in await documents.to_list(None)}

    async def note_checked(self, selection_id: str, step_name: str) -> None:
        """The escalation step was checked for everyone in the selection."""
        await self._selections.update_one({"_id": selection_id}, {"$addToSet": {"rungs": step_name}})

    # ------------------------------------------------------------ selections

    async def get(self, selection_id: str) -> Selection | None:
        """A selection by its id."""
        document = await self._selections.find_one({"_id": selection_id}, PROJECTION)
        return Selection.read(document) if document else None

    async def of_alert(self, alert_id: str, shards: tuple[int, int] | None = None) -> list[Selection]:
        """The selections of an alert; only those with first <= shard <= last when `shards` is given."""
        query: Document = {"alertId": alert_id}
        if shards is not None:
            query["shard"] = {"$gte": shards[0], "$lte": shards[1]}
        return [Selection.read(document) async for document in self._selections.find(query, PROJECTION)]

    async def stream(self, alert_id: str) -> AsyncIterator[Selection]:
        """The selections of an alert in a fixed order, without escalations."""
        documents = self._selections.find({"alertId": alert_id, "step": 1}, PROJECTION)
        async for document in documents.sort([("shard", 1), ("_id", 1)]).batch_size(READ_BATCH):
            yield Selection.read(document)

    async def shards_of_run(self, alert_id: str) -> set[int]:
        """The shards that the selection run has stored. An empty shard has no selection."""
        documents = self._selections.find({"alertId": alert_id, "step": 1, "late": False}, {"shard": 1})
        return {int(document["shard"]) async for document in documents}

    async def with_unreachable(self, alert_id: str) -> list[Selection]:
        """The selections of an alert with recipients that have no usable channel."""
        query = {"alertId": alert_id, "step": 1, "unreachable": {"$gt": 0}}
        return [Selection.read(document) async for document in self._selections.find(query, PROJECTION)]

    async def with_recipients_since(self, alert_ids: Sequence[str], since: datetime) -> set[str]:
        """Which of these alerts selected a recipient after that time."""
        query = {"alertId": {"$in": list(alert_ids)}, "at": {"$gt": since}, "step": 1}
        return {str(alert_id) for alert_id in await self._selections.distinct("alertId", query)}

    async def not_checked(
        self, alert_id: str, step_name: str, after: datetime, before: datetime, limit: int
    ) -> list[Selection]:
        """Selections of an alert between two times for which the escalation step was not checked, oldest first."""
        query = {"alertId": alert_id, "step": 1, "at": {"$gt": after, "$lte": before}, "rungs": {"$ne": step_name}}
        documents = self._selections.find(query, PROJECTION).sort("at", 1).limit(limit)
        return [Selection.read(document) async for document in documents]

    async def newest(self, alert_id: str, session: Session) -> datetime | None:
        """When an alert last selected a recipient; None: never."""
        query = {"alertId": alert_id, "step": 1}
        document = await self._selections.find_one(query, {"at": 1}, sort=[("at", -1)], session=session)
        return document["at"] if document is not None else None

    async def totals(self, alert_id: str, session: Session | None = None) -> tuple[int, int]:
        """How many recipients an alert has, and how many of them have no usable channel."""
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"alertId": alert_id, "step": 1}},
            {"$group": {"_id": None, "all": {"$sum": "$count"}, "mute": {"$sum": "$unreachable"}}},
        ]
        async for document in self._selections.aggregate(pipeline, session=session):
            return int(document["all"]), int(document["mute"])
        return 0, 0

    # ------------------------------------------------------------ recipients

    async def recipient(self, alert_id: str, person_id: str) -> tuple[Selection, Recipient] | None:
        """The selection of a person for an alert; None when they were not selected."""
        return (await self.recipients_by_person(alert_id, [person_id])).get(person_id)

    async def recipients_by_person(
        self, alert_id: str, persons: Collection[str]
    ) -> dict[str, tuple[Selection, Recipient]]:
        """The selections of these persons for an alert. A person who was not selected is not in the answer."""
        wanted = set(persons)
        recipients: dict[str, tuple[Selection, Recipient]] = {}
        async for document in self._selections.find(_query(persons, alert_id), PROJECTION):
            selection = Selection.read(document)
            for index, person in enumerate(selection.recipients.persons):
                if person in wanted:
                    recipients[str(person)] = (selection, selection.recipients[index])
        return recipients

    async def recipient_with_digest(self, alert_ids: Sequence[str], who: bytes) -> tuple[Selection, Recipient] | None:
        """The person with this digest in one of these alerts: an answer link carries no ids."""
        query = {"alertId": {"$in": alert_ids}, "step": 1, "who": who}
        document = await self._selections.find_one(query, PROJECTION) if alert_ids else None
        if document is None:
            return None
        selection = Selection.read(document)
        return selection, next(recipient for recipient in selection.recipients if digest(recipient.who) == who)

    async def page_of_recipients(self, alert_id: str, skip: int, limit: int) -> list[tuple[Selection, Recipient]]:
        """Recipients of an alert in a fixed order. Reads only the selections that the page touches."""
        query = {"alertId": alert_id, "step": 1}
        page: list[tuple[Selection, Recipient]] = []
        order = [("shard", 1), ("_id", 1)]
        for document in await self._selections.find(query, {"count": 1}).sort(order).to_list(None):
            if skip < document["count"] and len(page) < limit:
                selection = await self.get(str(document["_id"]))
                assert selection is not None, "selections are kept for ever"
                last = min(skip + limit - len(page), len(selection.recipients))
                page += [(selection, selection.recipients[index]) for index in range(skip, last)]
            skip = max(0, skip - document["count"])
        return page

    async def persons_in_step(
        self, alert_id: str, step: int, persons: Collection[str], session: Session | None = None
    ) -> set[str]:
        """Which of these persons are in a selection of this step."""
        documents = self._selections.find(_query(persons, alert_id, step), {"who": 1}, session=session)
        digests = {bytes(who) async for document in documents for who in document["who"]}
        return {person for person in persons if digest(person) in digests}

    async def alerts_of_person(self, person_id: str, alert_ids: Sequence[str]) -> list[str]:
        """Which of these alerts a person was selected for, newest selection last."""
        query = _query([person_id], {"$in": list(alert_ids)})
        documents = self._selections.find(query, {"alertId": 1, "at": 1}).sort("at", 1)
        return [str(document["alertId"]) async for document in documents]

    async def past_notifications(
        self, versions: Mapping[str, int], persons: Collection[str], session: Session | None = None
    ) -> dict[str, list[PastNotification]]:
        """What these alerts (alert → advice version) told the persons. A person told nothing is not in the answer."""
        notifications: dict[str, list[PastNotification]] = {}
        if not versions:
            return notifications
        wanted = set(persons)
        query = _query(persons, {"$in": list(versions)})
        async for document in self._selections.find(query, {"roll": 1, "alertId": 1}, session=session):
            version = versions[document["alertId"]]
            for person, variant in RecipientColumns.decode(document["roll"]).variants_of(wanted):
                if variant.level is not None:
                    notifications.setdefault(person, []).append(PastNotification(version, variant.level))
        return notifications


def _query(persons: Collection[str], alerts: str | Document, step: int = 1) -> Document:
    return {"alertId": alerts, "step": step, "who": {"$in": [digest(person) for person in persons]}}
