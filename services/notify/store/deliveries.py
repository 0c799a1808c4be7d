"""Deliveries, folded from notify's own events: right after each is appended, and again from notify's topic.

A delivery gets its row with the first update. Until then it is implied by its selection, in the state `created`.
`deliveries`: pages of rows, see delivery_pages.py.
`resends`: {_id `<delivery>/<round>`, lane}: the id of the send job in which a delivery is sent again.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from services.notify.columns.delivery_rows import (
    PERSON_ID,
    RESENDS,
    STATE,
    UNKNOWN_SINCE,
    DeliveryPageKey,
    awaiting_receipt_since,
    decode,
)
from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.model.deliveries import (
    FAILURES,
    Delivery,
    DeliveryState,
    StatusUpdate,
    delivery_id,
    status_updates,
)
from services.notify.store.answers import AnswerStore
from services.notify.store.delivery_pages import (
    NEVER,
    PAGE_SIZE,
    DeliveryPage,
    EventUpdate,
    PagesMoved,
    apply_updates,
    load_pages,
    store_pages,
)
from shared.events import Channel, Event, OutcomeEvent, PersonAnswered
from shared.mongo.client import ASCENDING, BulkWriteError, Database, Document, IndexModel, raise_unless_duplicates
from shared.mongo.retry import retry
from shared.privacy.service_key import ServiceKey

ATTEMPTS, PAUSE_SECONDS = 12, 0.02
#: `counts()` of all alerts covers what changed within this time: it feeds a gauge, not a history.
COUNTED_AGE = timedelta(days=1)
_FAILURES = frozenset(state.value for state in FAILURES)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of notify as it stands in its stream, to be folded.

    `updates`: what it reports of deliveries, where its writer has that at hand; then of `data` only the shard is read.
    """

    event_id: str
    at: datetime
    data: Event
    updates: Sequence[StatusUpdate] | None = None

    def status_updates(self) -> Sequence[StatusUpdate]:
        """What the event reports of deliveries."""
        if self.updates is not None:
            return self.updates
        return status_updates(self.data) if isinstance(self.data, OutcomeEvent) else ()


class DeliveryStore:
    """State and history of each delivery. Folding an event twice, or events in another order, gives the same state."""

    def __init__(self, database: Database, key: ServiceKey, *, page_size: int = PAGE_SIZE) -> None:
        self._deliveries = database["deliveries"]
        self._selections = database["selections"]
        self._resends = database["resends"]
        self._page_size = page_size
        #: Folded from the same stream.
        self.answers = AnswerStore(database, key)

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._deliveries.create_indexes(
            [
                IndexModel([("refs", ASCENDING)], name="references"),
                IndexModel([("alertId", ASCENDING), ("shard", ASCENDING)], name="alert"),
                IndexModel([("touched", ASCENDING)], name="touched"),
                IndexModel(
                    [("unknownSince", ASCENDING)],
                    name="unknown_since",
                    partialFilterExpression={"unknownSince": {"$type": "date"}},
                ),
                IndexModel(
                    [("waitingSince", ASCENDING)],
                    name="waiting_since",
                    partialFilterExpression={"waitingSince": {"$type": "date"}},
                ),
            ]
        )
        await self._resends.create_indexes([IndexModel([("lane", ASCENDING)], name="lane")])
        await self.answers.create_indexes()

    async def fold(self, events: Sequence[StoredEvent]) -> None:
        """Apply events in order. Events that report neither deliveries nor answers change nothing here."""
        updates: dict[DeliveryPageKey, list[EventUpdate]] = defaultdict(list)
        for event in events:
            if isinstance(event.data, OutcomeEvent):
                # When one event reports a delivery more than once, its last report counts.
                last = {update.delivery_id: update for update in event.status_updates()}
                for update in last.values():
                    key = DeliveryPageKey(event.data.alert_id, event.data.shard, update.channel)
                    updates[key].append((event.event_id, event.at, update))
        if updates:
            alerts = sorted({key.alert_id for key in updates})
            await retry(
                partial(self._apply, updates),
                what=f"deliveries of alert {', '.join(alerts)}",
                retry_on=(PagesMoved,),
                attempts=ATTEMPTS,
                pause_seconds=PAUSE_SECONDS,
            )
        for event in events:
            if isinstance(event.data, PersonAnswered):
                await self.answers.store(event.event_id, event.at, event.data)

    async def by_reference(self, references: Collection[str]) -> dict[str, Delivery]:
        """Our reference → delivery, without the references that belong to none."""
        if not references:
            return {}
        wanted = set(references)
        deliveries: dict[str, Delivery] = {}
        async for document in self._deliveries.find({"refs": {"$in": list(wanted)}}):
            page = DeliveryPage.read(document)
            for reference, row in zip(page.references, page.rows.values(), strict=True):
                if reference in wanted:
                    deliveries[reference] = decode(page.key, row)
        return deliveries

    async def of_recipients(self, alert_id: str, shards: Mapping[str, int]) -> dict[str, list[Delivery]]:
        """Person → their deliveries of an alert. `shards`: the persons, and the shard each was selected in."""
        deliveries: dict[str, list[Delivery]] = {}
        of_shards = {"alertId": alert_id, "shard": {"$in": sorted(set(shards.values()))}}
        async for document in self._deliveries.find(of_shards):
            page = DeliveryPage.read(document)
            for row in page.rows.values():
                if row[PERSON_ID] in shards:
                    deliveries.setdefault(row[PERSON_ID], []).append(decode(page.key, row))
        return {
            person: sorted(of_person, key=lambda delivery: delivery.delivery_id)
            for person, of_person in deliveries.items()
        }

    async def alerts_with_deliveries(self, alert_ids: Collection[str]) -> set[str]:
        """Those of these alerts or notices of which an outcome of a message is known."""
        documents = self._deliveries.find({"alertId": {"$in": list(alert_ids)}}, {"alertId": 1})
        return {str(document["alertId"]) async for document in documents}

    async def all_of(self, alert_id: str) -> list[Delivery]:
        """Every delivery of an alert, those that were only created too."""
        documents = self._deliveries.find({"alertId": alert_id}).sort("_id", 1)
        deliveries = {
            delivery.delivery_id: delivery
            async for document in documents
            for delivery in DeliveryPage.read(document).deliveries()
        }
        async for document in self._selections.find({"alertId": alert_id}, {"who": 0}).sort("_id", 1):
            for recipient in RecipientColumns.decode(document["roll"]):
                for delivery in created(alert_id, int(document["shard"]), recipient, int(document["step"])):
                    deliveries.setdefault(delivery.delivery_id, delivery)
        return list(deliveries.values())

    async def unresolved(self, before: datetime, limit: int) -> list[Delivery]:
        """Deliveries that have been unknown since before that time and are not resolved, the oldest first."""
        documents = self._deliveries.find({"unknownSince": {"$lte": before}}).sort("unknownSince", 1).limit(limit)
        unknown: list[Delivery] = []
        async for document in documents:
            page = DeliveryPage.read(document)
            on_page = [decode(page.key, row) for row in page.rows.values() if row[UNKNOWN_SINCE] is not None]
            unknown += [
                delivery
                for delivery in on_page
                if delivery.unknown_since is not None and delivery.unknown_since <= before
            ]
            if len(unknown) >= limit:
                break
        return sorted(unknown, key=lambda delivery: delivery.unknown_since or before)[:limit]

    async def without_receipt(self, channel: Channel, before: datetime, limit: int) -> list[Delivery]:
        """Deliveries over a channel that were accepted before that time and have no receipt since."""
        query = {"channel": channel.value, "waitingSince": {"$lte": before}}
        latest = before.timestamp()
        waiting: list[Delivery] = []
        async for document in self._deliveries.find(query).limit(limit):
            page = DeliveryPage.read(document)
            for row in page.rows.values():
                since = awaiting_receipt_since(channel, row)
                if since is not None and since <= latest:
                    waiting.append(decode(page.key, row))
            if len(waiting) >= limit:
                break
        return waiting[:limit]

    async def plan_resend(self, job_id: str, deliveries: Collection[Delivery]) -> dict[str, list[Delivery]]:
        """Send job → deliveries that it sends again. Each round of a delivery belongs to one job for ever.

        A second plan for the same round, by another process or after a crash, gets the job that was planned first.
        """
        rounds = {f"{delivery.delivery_id}/{delivery.resends}": delivery for delivery in deliveries}
        if not rounds:
            return {}
        try:
            await self._resends.insert_many([{"_id": name, "lane": job_id} for name in rounds], ordered=False)
        except BulkWriteError as error:
            raise_unless_duplicates(error)
        jobs: dict[str, list[Delivery]] = {}
        async for document in self._resends.find({"_id": {"$in": list(rounds)}}).sort("_id", 1):
            jobs.setdefault(str(document["lane"]), []).append(rounds[str(document["_id"])])
        return jobs

    async def mark_resolved(self, deliveries: Collection[Delivery], *, resent: bool) -> None:
        """Unknown deliveries are sent again, or held until a receipt comes. One that changed meanwhile stays."""
        by_key: dict[DeliveryPageKey, dict[str, Delivery]] = defaultdict(dict)
        for delivery in deliveries:
            key = DeliveryPageKey(delivery.alert_id, delivery.shard, delivery.channel)
            by_key[key][delivery.delivery_id] = delivery
        for key, resolved in by_key.items():
            await retry(
                partial(self._mark_resolved, key, resolved, resent),
                what=f"deliveries of alert {key.alert_id}, shard {key.shard}",
                retry_on=(PagesMoved,),
                attempts=ATTEMPTS,
            )

    async def counts(self, alert_id: str | None = None) -> dict[str, dict[str, int]]:
        """Channel → state → number of deliveries: of one alert, or of all that changed within the last day.

        Recipients without a row yet are created: their number is the recipients less the rows.
        """
        of_pages: Document = {"alertId": alert_id}
        of_selections: Document = {"alertId": alert_id}
        if alert_id is None:
            newest = [
                document[name]
                for collection, name in ((self._deliveries, "touched"), (self._selections, "at"))
                if (document := await collection.find_one({}, {name: 1}, sort=[(name, -1)])) is not None
            ]
            since = {"$gte": max(newest, default=NEVER + COUNTED_AGE) - COUNTED_AGE}
            of_pages, of_selections = {"touched": since}, {"at": since}
        selected: Counter[str] = Counter()
        async for document in self._selections.find(of_selections, {"tally": 1}):
            selected.update(document["tally"])
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        async for document in self._deliveries.find(of_pages, {"channel": 1, "tally": 1}):
            counts[str(document["channel"])].update(document["tally"])
        for channel, count in selected.items():
            without_row = count - counts[channel].total()
            if without_row > 0:
                counts[channel][DeliveryState.CREATED] += without_row
        return {channel: dict(counter) for channel, counter in counts.items() if counter}

    async def resent(self, alert_id: str) -> int:
        """How many deliveries of an alert were sent again after they were unknown."""
        documents = self._deliveries.find({"alertId": alert_id, "resent": {"$gt": 0}}, {"resent": 1})
        return sum([int(document["resent"]) async for document in documents])

    async def persons_with_failures(self, alert_id: str) -> list[str]:
        """The persons for whom a message of the alert definitely failed."""
        failed: set[str] = set()
        query = {"alertId": alert_id, "$or": [{f"tally.{state.value}": {"$gt": 0}} for state in sorted(FAILURES)]}
        async for document in self._deliveries.find(query):
            rows = DeliveryPage.read(document).rows.values()
            failed |= {row[PERSON_ID] for row in rows if row[STATE] in _FAILURES and row[PERSON_ID] is not None}
        return sorted(failed)

    async def _apply(self, updates: Mapping[DeliveryPageKey, Sequence[EventUpdate]]) -> None:
        """Read the pages, apply the updates, store them. After PagesMoved, pages that were stored skip these events."""
        delivery_ids = {key: [update.delivery_id for _, _, update in of_key] for key, of_key in updates.items()}
        pages = await load_pages(self._deliveries, delivery_ids, self._page_size)
        for key, of_key in updates.items():
            apply_updates(key, pages[key], of_key, self._page_size)
        await store_pages(self._deliveries, [page for of_key in pages.values() for page in of_key])

    async def _mark_resolved(self, key: DeliveryPageKey, resolved: Mapping[str, Delivery], resent: bool) -> None:
        pages = (await load_pages(self._deliveries, {key: resolved}, self._page_size))[key]
        for page in pages:
            for identity, row in page.rows.items():
                delivery = resolved.get(identity)
                if delivery is None or row[UNKNOWN_SINCE] is None or row[RESENDS] != delivery.resends:
                    continue
                row[UNKNOWN_SINCE] = None
                row[RESENDS] += int(resent)
                page.changed = True
        await store_pages(self._deliveries, pages)


def created(alert_id: str, shard: int, recipient: Recipient, step: int = 1) -> list[Delivery]:
    """The deliveries of a recipient before any update: one for each channel."""
    return [
        Delivery(
            delivery_id(alert_id, recipient.who, channel, step), alert_id, shard, recipient.person_id,
            recipient.registration_id, channel, DeliveryState.CREATED,
        )
        for channel in recipient.channels
    ]  # fmt: skip


def deliveries_of(document: Document) -> dict[str, Delivery]:
    """Delivery id → delivery, of one document of `deliveries`."""
    return {delivery.delivery_id: delivery for delivery in DeliveryPage.read(document).deliveries()}
