"""Alerts and who was selected for them. A selection is the durable delivery of everyone in it (docs/decisions/0005).

`alerts`: {_id `<country>-<version>`, state}.
`selections`: {_id `<alert>:<shard>[:<digest>]`, alertId, shard, step, at, who, count, unreachable, tally, roll, rungs,
…}; nobody is in two of one alert and step (R27: `who` is unique). Step 1 is the alert itself, further ones the
ladder; `rungs` of it were looked at already. `roll`: the recipients as columns (columns/recipient_columns.py).
`turns`: {_id country, turn}: written by every selection, so that no two of a country are made at the same time.
`escalations`: {_id `<alert>:<person>:<step>`, alertId, personId, step, to, reason, by, at}: the fold of AlertEscalated.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field

from services.notify.columns.recipient_columns import NO_PERSON
from services.notify.columns.recipient_columns import Recipient as Recipient
from services.notify.columns.recipient_columns import RecipientColumns as RecipientColumns
from services.notify.model.shards import digest
from services.notify.rules.audience import PastNotification
from shared.advice import CountryAdvice
from shared.events import AlertEscalated, AlertTrigger, Identifier, Level, Part
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session, insert

#: What a selection is read by; `who` is only looked for.
LOOKED_FOR = {"who": 0, "rungs": 0}
SELECTIONS_AT_ONCE = 8

ON_ADVICE = [AlertTrigger.ADVICE_CHANGED.value, AlertTrigger.LATE_ARRIVAL.value]


class Alert(Part):
    """One alert with the advice it stands on: its messages say the same whatever the advice becomes."""

    alert_id: Identifier
    country: str
    advice_version: int
    trigger: AlertTrigger
    as_of: datetime
    shard_count: int
    offsets: dict[str, dict[str, int]]
    advice: CountryAdvice
    is_selected: bool = Field(default=False, description="The pass over the whereabouts is over")
    selected: int = 0
    unreachable: int = 0
    is_closed: bool = False
    closed_by: str | None = None
    area: str | None = Field(default=None, description="By hand: region code; null: the whole country")
    message_nl: str = Field(default="", description="By hand: the officer's words")
    message_en: str = ""
    raised_by: str | None = None
    noted_level: Level | None = Field(default=None, description="By hand: the worst level of the country at that time")

    @property
    def is_manual(self) -> bool:
        """An officer raised it, in earnest or as a drill: it says nothing of the travel advice."""
        return self.trigger in (AlertTrigger.MANUAL, AlertTrigger.DRILL)


@dataclass(frozen=True, slots=True)
class Selection:
    """Recipients chosen in one transaction, with everything that their messages need but the addresses.

    `at`: also the Date of every mail of it, at every attempt. `facts`: of a notice; an alert's come from its advice.
    `correlation_id`: what led to it, the request or reading at the beginning. `step` 1: the alert itself; further ones:
    the ladder, see rules/escalation.py.
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
        """As it is kept."""
        return cls(
            str(document["_id"]), document["alertId"], int(document["shard"]), document["late"], document["at"],
            RecipientColumns.decode(document["roll"]), document["facts"], document["correlationId"],
            document["traceparent"], int(document["step"]),
        )  # fmt: skip

    def document(self) -> Document:
        """As it is kept: beside the packed roll only what is looked for."""
        roll = self.recipients
        return {
            "_id": self.selection_id,
            "alertId": self.alert_id,
            "shard": self.shard,
            "step": self.step,
            "late": self.late,
            "at": self.at,
            "who": [digest(person or NO_PERSON) for person in roll.persons],
            "count": len(roll),
            "unreachable": roll.unreachable,
            "tally": roll.count_by_channel,
            "roll": roll.encode(),
            "facts": self.facts,
            "correlationId": self.correlation_id,
            "traceparent": self.traceparent,
        }


class Escalated(Part):
    """A step of the ladder that was taken for one person."""

    person_id: str
    step: int
    to: str
    reason: str
    by: str
    at: datetime

    @classmethod
    def of(cls, fact: AlertEscalated, at: datetime) -> "Escalated":
        """What was said at that instant."""
        return cls(person_id=fact.person_id, step=fact.step, to=fact.to, reason=fact.reason, by=fact.by, at=at)

    def document(self, alert_id: str) -> Document:
        """As it is kept, but for its id."""
        return {"alertId": alert_id, **self.model_dump(mode="python", by_alias=True)}


class AlertStore:
    """Alerts by country and version; selections by alert and shard."""

    def __init__(self, database: Database) -> None:
        self._alerts = database["alerts"]
        self._selections = database["selections"]
        self._turns = database["turns"]
        self._escalations = database["escalations"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._alerts.create_indexes(
            [
                IndexModel([("state.country", ASCENDING), ("state.adviceVersion", ASCENDING)], name="country"),
                IndexModel([("tag", ASCENDING)], name="tag"),
            ]
        )
        await self._selections.create_indexes(
            [
                IndexModel([("alertId", ASCENDING), ("shard", ASCENDING)], name="shard"),
                # Digests in the order of the shards: a pass appends to this index, it does not search its place.
                IndexModel([("alertId", ASCENDING), ("step", ASCENDING), ("who", ASCENDING)], name="who", unique=True),
                IndexModel([("alertId", ASCENDING), ("at", ASCENDING)], name="at"),
                IndexModel([("at", ASCENDING)], name="newest"),
            ]
        )
        await self._escalations.create_indexes(
            [IndexModel([("alertId", ASCENDING), ("personId", ASCENDING)], name="person")]
        )

    async def get(self, alert_id: str, session: Session | None = None) -> Alert | None:
        """An alert by its id."""
        document = await self._alerts.find_one({"_id": alert_id}, session=session)
        return Alert.model_validate(document["state"]) if document else None

    async def is_closed(self, alert_id: str) -> bool:
        """Whether a safety officer closed it; a notice is no alert and is never closed."""
        return await self._alerts.find_one({"_id": alert_id, "state.isClosed": True}, {"_id": 1}) is not None

    async def versions(self, country: str, session: Session | None = None) -> dict[str, int]:
        """Every alert on the advice of a country with its version; what an officer raised is none."""
        query = {"state.country": country, "state.trigger": {"$in": ON_ADVICE}}
        found = self._alerts.find(query, {"state.adviceVersion": 1}, session=session)
        return {str(document["_id"]): int(document["state"]["adviceVersion"]) async for document in found}

    async def with_open_run(self, country: str | None = None) -> list[Alert]:
        """Alerts whose pass was begun and is not over, the oldest version first; of one country where given."""
        query: Document = {"state.isSelected": False, "state.isClosed": False}
        if country is not None:
            query["state.country"] = country
        found = self._alerts.find(query).sort("state.adviceVersion", 1)
        return [Alert.model_validate(document["state"]) async for document in found]

    async def page(self, skip: int, limit: int) -> list[Alert]:
        """Alerts, newest first."""
        found = self._alerts.find({}).sort([("state.asOf", -1), ("_id", 1)]).skip(skip).limit(limit)
        return [Alert.model_validate(document["state"]) async for document in found]

    async def put(self, alert: Alert, session: Session) -> None:
        """Keep an alert, new or changed."""
        state = alert.model_dump(mode="json", by_alias=True)
        document = {"tag": alert_tag(alert.alert_id), "state": state}
        await self._alerts.replace_one({"_id": alert.alert_id}, document, upsert=True, session=session)

    async def lock_country(self, country: str, session: Session) -> None:
        """From here until the transaction ends nobody else selects for this country; who tries begins again."""
        await self._turns.update_one({"_id": country}, {"$inc": {"turn": 1}}, upsert=True, session=session)

    async def hold_open_run(self, alert_id: str, session: Session) -> bool:
        """Whether the pass goes on; from here until the transaction ends nobody else can end it."""
        # A write, not a read: two transactions that only read what the other writes would both commit.
        held = await self._alerts.update_one(
            {"_id": alert_id, "state.isSelected": False, "state.isClosed": False},
            {"$inc": {"writes": 1}},
            session=session,
        )
        return bool(held.matched_count)

    async def insert_selection(self, selection: Selection, session: Session) -> None:
        """Keep a selection for ever. Raises DuplicateKeyError when it was made already."""
        await self.insert_selections([selection], session)

    async def insert_selections(self, selections: Sequence[Selection], session: Session) -> None:
        """Keep selections for ever. Raises DuplicateKeyError when one of them was made already."""
        await insert(self._selections, [each.document() for each in selections], session)

    async def has_selection(self, selection_id: str, session: Session) -> bool:
        """Whether a selection was made already."""
        return bool(await self.existing_selections([selection_id], session))

    async def existing_selections(self, selection_ids: Sequence[str], session: Session) -> set[str]:
        """Which of these selections were made already."""
        found = self._selections.find({"_id": {"$in": list(selection_ids)}}, {"_id": 1}, session=session)
        return {str(document["_id"]) for document in await found.to_list(None)}

    async def selection(self, selection_id: str) -> Selection | None:
        """A selection by its id."""
        document = await self._selections.find_one({"_id": selection_id}, LOOKED_FOR)
        return Selection.read(document) if document else None

    async def selections(self, alert_id: str, shards: tuple[int, int] | None = None) -> list[Selection]:
        """The selections of an alert, of the shards first <= shard <= last where given."""
        query: Document = {"alertId": alert_id}
        if shards is not None:
            query["shard"] = {"$gte": shards[0], "$lte": shards[1]}
        return [Selection.read(document) async for document in self._selections.find(query, LOOKED_FOR)]

    async def selected_shards(self, alert_id: str) -> set[int]:
        """The shards that the pass has selected already; empty shards have no selection."""
        found = self._selections.find({"alertId": alert_id, "step": 1, "late": False}, {"shard": 1})
        return {int(document["shard"]) async for document in found}

    async def totals(self, alert_id: str) -> tuple[int, int]:
        """How many recipients an alert's selections hold, and how many of them cannot be reached."""
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"alertId": alert_id, "step": 1}},
            {"$group": {"_id": None, "all": {"$sum": "$count"}, "mute": {"$sum": "$unreachable"}}},
        ]
        async for document in self._selections.aggregate(pipeline):
            return int(document["all"]), int(document["mute"])
        return 0, 0

    async def past_notifications(
        self, versions: Mapping[str, int], persons: Collection[str], session: Session | None = None
    ) -> dict[str, list[PastNotification]]:
        """Which of these alerts (with their advice version) the persons were selected for, and at which level."""
        found: dict[str, list[PastNotification]] = {}
        if not versions:
            return found
        wanted = set(persons)
        query = _holding(persons, {"$in": list(versions)})
        async for document in self._selections.find(query, {"roll": 1, "alertId": 1}, session=session):
            roll, version = RecipientColumns.decode(document["roll"]), versions[document["alertId"]]
            for person, variant in roll.variants_of(wanted):
                if variant.level is not None:
                    found.setdefault(person, []).append(PastNotification(version, variant.level))
        return found

    async def alerts_of_person(self, person_id: str) -> list[str]:
        """Alerts that a person was selected for, newest selection last."""
        alerts = [str(document["_id"]) async for document in self._alerts.find({}, {"_id": 1})]
        query = _holding([person_id], {"$in": alerts})
        found = self._selections.find(query, {"alertId": 1, "at": 1}).sort("at", 1)
        return [str(document["alertId"]) async for document in found]

    async def chosen(self, alert_id: str, person_id: str) -> tuple[Selection, Recipient] | None:
        """How a person was selected for an alert; None when they were not."""
        return (await self.chosen_of(alert_id, [person_id])).get(person_id)

    async def chosen_behind(self, tag: bytes, who: bytes) -> tuple[Selection, Recipient] | None:
        """Whom an answer link belongs to: by the tag of the alert and the digest of the person."""
        alerts = [str(document["_id"]) async for document in self._alerts.find({"tag": tag}, {"_id": 1})]
        query = {"alertId": {"$in": alerts}, "step": 1, "who": who}
        document = await self._selections.find_one(query, LOOKED_FOR) if alerts else None
        if document is None:
            return None
        selection = Selection.read(document)
        return selection, next(each for each in selection.recipients if digest(each.who) == who)

    async def page_of_recipients(self, alert_id: str, skip: int, limit: int) -> list[tuple[Selection, Recipient]]:
        """Recipients of an alert in a fixed order."""
        query = {"alertId": alert_id, "step": 1}
        found: list[tuple[Selection, Recipient]] = []
        order = [("shard", 1), ("_id", 1)]
        for document in await self._selections.find(query, {"count": 1}).sort(order).to_list(None):
            if skip < document["count"] and len(found) < limit:
                selection = await self.selection(str(document["_id"]))
                assert selection is not None, "selections are kept for ever"
                last = min(skip + limit - len(found), len(selection.recipients))
                found += [(selection, selection.recipients[index]) for index in range(skip, last)]
            skip = max(0, skip - document["count"])
        return found

    async def count_manual(self, country: str, session: Session) -> int:
        """How many alerts of a country officers have raised."""
        query = {"state.country": country, "state.trigger": {"$nin": ON_ADVICE}}
        return int(await self._alerts.count_documents(query, session=session))

    async def open_since(self, since: datetime) -> list[Alert]:
        """Alerts that are selected, not closed, and not older than that; the newest first."""
        query = {"state.isSelected": True, "state.isClosed": False}
        found = self._alerts.find(query).sort("state.asOf", -1)
        alerts = [Alert.model_validate(document["state"]) async for document in found]
        return [alert for alert in alerts if alert.as_of >= since]

    async def all_recipients(self, alert_id: str) -> AsyncIterator[Selection]:
        """Everybody that an alert selected, selection by selection in a fixed order."""
        found = self._selections.find({"alertId": alert_id, "step": 1}, LOOKED_FOR).sort([("shard", 1), ("_id", 1)])
        async for document in found.batch_size(SELECTIONS_AT_ONCE):
            yield Selection.read(document)

    async def with_unreachable(self, alert_id: str) -> list[Selection]:
        """The selections of an alert that hold somebody without a usable channel."""
        query = {"alertId": alert_id, "step": 1, "unreachable": {"$gt": 0}}
        return [Selection.read(document) async for document in self._selections.find(query, LOOKED_FOR)]

    async def due_for(self, alert_id: str, rung: str, before: datetime, limit: int) -> list[Selection]:
        """Selections of an alert, made before that, for which nobody has looked at this rung of the ladder."""
        query = {"alertId": alert_id, "step": 1, "at": {"$lte": before}, "rungs": {"$ne": rung}}
        found = self._selections.find(query, LOOKED_FOR).sort("at", 1).limit(limit)
        return [Selection.read(document) async for document in found]

    async def note_rung(self, selection_id: str, rung: str) -> None:
        """Everybody of the selection was looked at for this rung."""
        await self._selections.update_one({"_id": selection_id}, {"$addToSet": {"rungs": rung}})

    async def chosen_of(self, alert_id: str, persons: Collection[str]) -> dict[str, tuple[Selection, Recipient]]:
        """How these persons were selected for an alert."""
        wanted = set(persons)
        found: dict[str, tuple[Selection, Recipient]] = {}
        async for document in self._selections.find(_holding(persons, alert_id), LOOKED_FOR):
            selection = Selection.read(document)
            for index, person in enumerate(selection.recipients.persons):
                if person in wanted:
                    found[str(person)] = (selection, selection.recipients[index])
        return found

    async def in_step(
        self, alert_id: str, step: int, persons: Collection[str], session: Session | None = None
    ) -> set[str]:
        """Which of these persons are in a selection of this step already."""
        found = self._selections.find(_holding(persons, alert_id, step), {"who": 1}, session=session)
        there = {bytes(who) async for document in found for who in document["who"]}
        return {person for person in persons if digest(person) in there}

    async def note_escalated(
        self, alert_id: str, escalated: Sequence[Escalated], session: Session | None = None
    ) -> None:
        """Keep which steps were taken; the same one twice is one."""
        for each in escalated:
            await self._escalations.update_one(
                {"_id": f"{alert_id}:{each.person_id}:{each.step}"},
                {"$setOnInsert": each.document(alert_id)},
                upsert=True,
                session=session,
            )

    async def escalated(
        self, alert_id: str, persons: Collection[str], session: Session | None = None
    ) -> dict[str, list[Escalated]]:
        """The steps that were taken for these persons."""
        steps: dict[str, list[Escalated]] = {}
        query = {"alertId": alert_id, "personId": {"$in": list(persons)}}
        async for document in self._escalations.find(query, session=session).sort("step", 1):
            steps.setdefault(str(document["personId"]), []).append(Escalated.model_validate(document))
        return steps


def alert_tag(alert_id: str) -> bytes:
    """Four bytes that find an alert; two may share them."""
    return digest(alert_id)[:4]


def _holding(persons: Collection[str], alerts: str | Document, step: int = 1) -> Document:
    return {"alertId": alerts, "step": step, "who": {"$in": [digest(each) for each in persons]}}
