"""Alerts, each with the advice it stands on.

`alerts`: {_id `<country>-<version>` or `<country>-m<number>`, tag, state}. `turns`: {_id country, turn}: every
transaction that selects writes it, so no two select in the same country at the same time.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from services.notify.columns.recipient_columns import Recipient
from services.notify.model.shards import digest
from services.notify.store.escalations import EscalationStore
from services.notify.store.owners import OwnerStore
from services.notify.store.selections import Selection, SelectionStore
from services.notify.store.senders import SenderStore
from shared.advice import CountryAdvice
from shared.bus.outbox import Outbox
from shared.envelope import parse
from shared.events import AlertClosed, AlertTrigger, Identifier, Level, Part
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session

#: A selection after a closing is later by this much at least: the database keeps milliseconds.
AFTER_CLOSING = timedelta(milliseconds=1)
#: Triggers of alerts about travel advice; the others are manual.
ADVICE_TRIGGERS = [AlertTrigger.ADVICE_CHANGED.value, AlertTrigger.LATE_ARRIVAL.value]


class Alert(Part):
    """One alert. It keeps its advice: its messages stay the same whatever the advice becomes."""

    alert_id: Identifier
    country: str
    advice_version: int
    trigger: AlertTrigger
    as_of: datetime
    shard_count: int
    offsets: dict[str, dict[str, int]]
    advice: CountryAdvice
    is_selected: bool = Field(default=False, description="The selection run is completed")
    selected: int = 0
    unreachable: int = 0
    is_closed: bool = False
    closed_by: str | None = None
    closed_at: datetime | None = Field(
        default=None, description="The conversation ended with everyone selected by then"
    )
    area: str | None = Field(default=None, description="Manual: region code; null: the whole country")
    message_nl: str = Field(default="", description="Manual: the officer's text")
    message_en: str = ""
    raised_by: str | None = None
    noted_level: Level | None = Field(default=None, description="Manual: the worst level of the country at that time")

    @property
    def is_manual(self) -> bool:
        """An officer raised it, in earnest or as a drill: it says nothing of the travel advice."""
        return self.trigger in (AlertTrigger.MANUAL, AlertTrigger.DRILL)


class AlertStore:
    """Alerts by id and by country, with the selections, escalations, owners and confirmed senders of replies."""

    def __init__(self, database: Database) -> None:
        self._alerts = database["alerts"]
        self._turns = database["turns"]
        self.selections = SelectionStore(database)
        self.escalations = EscalationStore(database)
        self.owners = OwnerStore(database)
        self.senders = SenderStore(database)

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._alerts.create_indexes(
            [
                IndexModel([("state.country", ASCENDING), ("state.adviceVersion", ASCENDING)], name="country"),
                IndexModel([("tag", ASCENDING)], name="tag"),
            ]
        )
        await self.selections.create_indexes()
        await self.escalations.create_indexes()
        await self.owners.create_indexes()

    async def get(self, alert_id: str, session: Session | None = None) -> Alert | None:
        """An alert by its id."""
        document = await self._alerts.find_one({"_id": alert_id}, session=session)
        return Alert.model_validate(document["state"]) if document else None

    async def put(self, alert: Alert, session: Session) -> None:
        """Store an alert, new or changed."""
        state = alert.model_dump(mode="json", by_alias=True)
        document = {"tag": alert_tag(alert.alert_id), "state": state}
        await self._alerts.replace_one({"_id": alert.alert_id}, document, upsert=True, session=session)

    async def page(self, skip: int, limit: int, *, first: Collection[str] = ()) -> list[Alert]:
        """Alerts, newest first; before all others those in `first`."""
        pipeline: list[Mapping[str, Any]] = [
            {"$set": {"first": {"$in": ["$_id", sorted(first)]}}},
            {"$sort": {"first": -1, "state.asOf": -1, "_id": 1}},
            {"$skip": skip},
            {"$limit": limit},
        ]
        documents = self._alerts.aggregate(pipeline)
        return [Alert.model_validate(document["state"]) async for document in documents]

    async def of_person(self, person_id: str) -> list[str]:
        """The alerts that a person was selected for, newest selection last. Service mail is not among them."""
        alerts = [str(document["_id"]) async for document in self._alerts.find({}, {"_id": 1})]
        return await self.selections.alerts_of_person(person_id, alerts)

    async def recipient_of_link(self, tag: bytes, who: bytes) -> tuple[Selection, Recipient] | None:
        """Whom an answer link belongs to: it carries the tag of the alert and the digest of the person."""
        alerts = [str(document["_id"]) async for document in self._alerts.find({"tag": tag}, {"_id": 1})]
        return await self.selections.recipient_with_digest(alerts, who)

    async def closed_at(self, alert_id: str) -> datetime | None:
        """When an alert was closed; None: it is open. Service mail is never closed."""
        document = await self._alerts.find_one({"_id": alert_id, "state.isClosed": True}, {"state.closedAt": 1})
        return datetime.fromisoformat(document["state"]["closedAt"]) if document is not None else None

    async def note_closing_times(self, outbox: Outbox) -> None:
        """Give each alert that an earlier version of this service closed the time of its `AlertClosed`. Idempotent."""
        closed = self._alerts.find({"state.isClosed": True, "state.closedAt": None}, {"_id": 1})
        for alert_id in [str(document["_id"]) async for document in closed]:
            *_, body = await outbox.bodies_of_stream(alert_id, [AlertClosed.__name__])
            alert = await self.get(alert_id)
            if alert is not None:
                timed = alert.model_copy(update={"closed_at": parse(body).time})
                state = timed.model_dump(mode="json", by_alias=True)
                await self._alerts.update_one({"_id": alert_id, "state.closedAt": None}, {"$set": {"state": state}})

    async def in_conversation(self, since: datetime) -> list[Alert]:
        """Alerts that selected a recipient since that time and, when closed, one since they were closed."""
        query = {"state.isSelected": True}
        alert_ids = [str(document["_id"]) async for document in self._alerts.find(query, {"_id": 1})]
        recent = sorted(await self.selections.with_recipients_since(alert_ids, since)) if alert_ids else []
        documents = self._alerts.find({"_id": {"$in": recent}}).sort("state.asOf", -1)
        alerts = [Alert.model_validate(document["state"]) async for document in documents]
        return [
            alert
            for alert in alerts
            if alert.closed_at is None or await self.selections.with_recipients_since([alert.alert_id], alert.closed_at)
        ]

    # ------------------------------------------------------------ selecting

    async def versions(self, country: str, session: Session | None = None) -> dict[str, int]:
        """The alerts about the advice of a country: alert → advice version. Manual alerts are not among them."""
        query = {"state.country": country, "state.trigger": {"$in": ADVICE_TRIGGERS}}
        documents = self._alerts.find(query, {"state.adviceVersion": 1}, session=session)
        return {str(document["_id"]): int(document["state"]["adviceVersion"]) async for document in documents}

    async def count_manual(self, country: str, session: Session) -> int:
        """How many manual alerts a country has."""
        query = {"state.country": country, "state.trigger": {"$nin": ADVICE_TRIGGERS}}
        return int(await self._alerts.count_documents(query, session=session))

    async def open_manual(self, country: str, session: Session | None = None) -> list[Alert]:
        """The manual alerts of a country that nobody has closed, the newest first."""
        query = {"state.country": country, "state.trigger": {"$nin": ADVICE_TRIGGERS}, "state.isClosed": False}
        documents = self._alerts.find(query, session=session).sort("state.asOf", -1)
        return [Alert.model_validate(document["state"]) async for document in documents]

    async def with_open_run(self, country: str | None = None) -> list[Alert]:
        """Alerts whose selection run is not completed, the oldest advice version first; None: of all countries."""
        query: Document = {"state.isSelected": False, "state.isClosed": False}
        if country is not None:
            query["state.country"] = country
        documents = self._alerts.find(query).sort("state.adviceVersion", 1)
        return [Alert.model_validate(document["state"]) async for document in documents]

    async def lock_country(self, country: str, session: Session) -> None:
        """Until the transaction ends, no other one selects in this country: it fails on this write and begins again."""
        await self._turns.update_one({"_id": country}, {"$inc": {"turn": 1}}, upsert=True, session=session)

    async def lock(self, alert_id: str, session: Session) -> None:
        """Lock the country of an alert: nobody is selected for it until the transaction ends."""
        await self.lock_country(alert_id.partition("-")[0], session)

    async def hold_open_run(self, alert_id: str, session: Session) -> bool:
        """Whether the run is open; if so, nobody completes it or closes the alert until the transaction ends."""
        # A write, because two transactions that only read what the other one writes would both commit.
        held = await self._alerts.update_one(
            {"_id": alert_id, "state.isSelected": False, "state.isClosed": False},
            {"$inc": {"writes": 1}},
            session=session,
        )
        return bool(held.matched_count)


def alert_tag(alert_id: str) -> bytes:
    """Four bytes that find an alert; two alerts may share them."""
    return digest(alert_id)[:4]
