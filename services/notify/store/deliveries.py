"""Deliveries and answers: the fold of notify's own facts, applied right after writing them and from its own topic.

`deliveries`: {_id `<alert>:<shard>:<channel>#<page>`, …, refs, rows, tally, events, rev}: hundreds of
deliveries in one document, so that a window of messages is one write (docs/decisions/0015-deliveries-in-pages.md).
A delivery comes to its page with the first thing that is said of it: until then the selection is all there is.
`resends`: {_id `<delivery>/<round>`, lane}: whose second attempt stands in which lane.
`answers`: {_id `<alert>:<person>`, alertId, personId, answer, given}.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.model.answers import AnswerRecord, standing_answer
from services.notify.model.deliveries import (
    FAILURES,
    Delivery,
    DeliveryState,
    StatusChange,
    StatusUpdate,
    delivery_id,
    reference,
    status_updates,
)
from services.notify.model.shards import digest
from shared.errors import TransientError
from shared.events import Channel, Event, OutcomeEvent, PersonAnswered
from shared.mongo.client import (
    ASCENDING,
    BulkWriteError,
    Database,
    Document,
    DuplicateKeyError,
    IndexModel,
    InsertOne,
    UpdateOne,
)
from shared.privacy.service_key import ServiceKey

ATTEMPTS, PAUSE_SECONDS = 12, 0.02
_DUPLICATE = 11_000
#: So many deliveries stand in one document, and so many ids of what was folded into it are remembered.
PAGE_SIZE = 1_000
EVENTS_KEPT = 500
#: `counts()` of everything looks at what was touched in this time: a gauge, not a history.
COUNTED = timedelta(days=1)
NEVER = datetime.fromtimestamp(0, UTC)
_WAITING = frozenset({DeliveryState.ACCEPTED.value, DeliveryState.PENDING.value})
_FAILURES = frozenset(state.value for state in FAILURES)

#: alert, shard, channel: whose deliveries stand together.
Shelf = tuple[str, int, Channel]

#: A delivery as it is kept: the columns below. A turn: event, state, when (seconds since 1970), reason, counted.
Row = list[Any]
_ID, _PERSON, _REGISTRATION, _STATE, _ATTEMPTS, _RESENDS, _UNKNOWN, _TURNS = range(8)


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of notify with its id and time.

    `said`: what it says of deliveries, where its writer has that at hand; then `data` need only know its shard.
    """

    event_id: str
    at: datetime
    data: Event
    said: Sequence[StatusUpdate] | None = None

    def of_deliveries(self) -> Sequence[StatusUpdate]:
        """What it says of deliveries."""
        if self.said is not None:
            return self.said
        return status_updates(self.data) if isinstance(self.data, OutcomeEvent) else ()


@dataclass(slots=True)
class _Page:
    """One document in hand. `rev` 0: not kept yet. `references` are in the order of the rows."""

    shelf: Shelf
    number: int
    rev: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    references: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    touched: datetime = NEVER
    grown: bool = False
    changed: bool = False

    @property
    def id(self) -> str:
        return _page_id(self.shelf, self.number)

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= PAGE_SIZE

    def add(self, event_id: str, said: StatusUpdate) -> None:
        """A delivery of which this is the first thing that is said."""
        self.rows[said.delivery_id] = _first_row(event_id, said)
        self.references.append(reference(said.delivery_id))
        self.grown = True

    def deliveries(self) -> list[Delivery]:
        """All of them."""
        return [_delivery(self.shelf, row) for row in self.rows.values()]


class DeliveryStore:
    """Folding the same fact twice, or in another order than it was written, ends in the same."""

    def __init__(self, database: Database, key: ServiceKey) -> None:
        self._deliveries = database["deliveries"]
        self._selections = database["selections"]
        self._resends = database["resends"]
        self._answers = database["answers"]
        self._key = key

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
        await self._answers.create_indexes([IndexModel([("alertId", ASCENDING)], name="alert")])

    def token(self, alert_id: str, person_id: str) -> str:
        """The end of the person's answer link for an alert: it says itself whose it is, to nobody but us."""
        return self._key.ticket(digest(alert_id)[:4] + digest(person_id))

    def read_token(self, token: str) -> tuple[bytes, bytes] | None:
        """The tag of the alert and the digest of the person that a link says it belongs to; None: that is no token."""
        block = self._key.read_ticket(token)
        return (block[:4], block[4:]) if block is not None else None

    async def fold(self, facts: Sequence[Fact]) -> None:
        """Apply facts in order; what is not about deliveries or answers changes nothing here."""
        shelves: dict[Shelf, list[_Entry]] = defaultdict(list)
        for fact in facts:
            if isinstance(fact.data, OutcomeEvent):
                # Of several things that one fact says of a delivery the last one counts.
                for said in {each.delivery_id: each for each in fact.of_deliveries()}.values():
                    shelves[fact.data.alert_id, fact.data.shard, said.channel].append((fact.event_id, fact.at, said))
        if shelves:
            await self._merge(shelves)
        for fact in facts:
            if isinstance(fact.data, PersonAnswered):
                await self._answer(fact, fact.data)

    async def by_reference(self, references: Collection[str]) -> dict[str, Delivery]:
        """Deliveries by the reference that a provider was given."""
        if not references:
            return {}
        wanted = set(references)
        found: dict[str, Delivery] = {}
        async for document in self._deliveries.find({"refs": {"$in": list(wanted)}}):
            page = _read(document)
            for ours, row in zip(page.references, page.rows.values(), strict=True):
                if ours in wanted:
                    found[ours] = _delivery(page.shelf, row)
        return found

    async def of_recipients(self, alert_id: str, shards: Mapping[str, int]) -> dict[str, list[Delivery]]:
        """The deliveries of an alert by person; `shards`: the persons, and in which shard they were selected."""
        found: dict[str, list[Delivery]] = {}
        here = {"alertId": alert_id, "shard": {"$in": sorted(set(shards.values()))}}
        async for document in self._deliveries.find(here):
            page = _read(document)
            for row in page.rows.values():
                if row[_PERSON] in shards:
                    found.setdefault(row[_PERSON], []).append(_delivery(page.shelf, row))
        return {person: sorted(each, key=lambda one: one.delivery_id) for person, each in found.items()}

    async def all_of(self, alert_id: str) -> list[Delivery]:
        """Every delivery of an alert, also those of which nothing is known but that they were selected."""
        pages = self._deliveries.find({"alertId": alert_id}).sort("_id", 1)
        found = {each.delivery_id: each async for page in pages for each in _read(page).deliveries()}
        async for document in self._selections.find({"alertId": alert_id}, {"who": 0}).sort("_id", 1):
            roll = RecipientColumns.decode(document["roll"])
            for chosen in roll:
                for each in created(alert_id, int(document["shard"]), chosen, int(document["step"])):
                    found.setdefault(each.delivery_id, each)
        return list(found.values())

    async def unresolved(self, before: datetime, limit: int) -> list[Delivery]:
        """Deliveries that have been unknown since before that instant and that nobody has resolved, oldest first."""
        found = self._deliveries.find({"unknownSince": {"$lte": before}}).sort("unknownSince", 1).limit(limit)
        stale: list[Delivery] = []
        async for document in found:
            page = _read(document)
            waiting = [_delivery(page.shelf, row) for row in page.rows.values() if row[_UNKNOWN] is not None]
            stale += [each for each in waiting if each.unknown_since is not None and each.unknown_since <= before]
            if len(stale) >= limit:
                break
        return sorted(stale, key=lambda each: each.unknown_since or before)[:limit]

    async def silent(self, channel: Channel, before: datetime, limit: int) -> list[Delivery]:
        """Deliveries over a channel that were accepted before that instant and of which nothing was heard since."""
        query = {"channel": channel.value, "waitingSince": {"$lte": before}}
        silent: list[Delivery] = []
        async for document in self._deliveries.find(query).limit(limit):
            page = _read(document)
            waiting = [(row, _waiting_since(page.shelf, row)) for row in page.rows.values()]
            latest = before.timestamp()
            silent += [_delivery(page.shelf, row) for row, since in waiting if since is not None and since <= latest]
            if len(silent) >= limit:
                break
        return silent[:limit]

    async def plan_resend(self, lane_id: str, deliveries: Collection[Delivery]) -> dict[str, list[Delivery]]:
        """SendJob → deliveries, for what is to be sent again: each round of a delivery stands in one lane for ever.

        Whoever plans the same at the same time, or after a crash, gets the same lanes.
        """
        rounds = {f"{each.delivery_id}/{each.resends}": each for each in deliveries}
        if not rounds:
            return {}
        try:
            await self._resends.insert_many([{"_id": name, "lane": lane_id} for name in rounds], ordered=False)
        except BulkWriteError as error:
            _raise_unless_duplicates(error)
        lanes: dict[str, list[Delivery]] = {}
        async for document in self._resends.find({"_id": {"$in": list(rounds)}}).sort("_id", 1):
            lanes.setdefault(str(document["lane"]), []).append(rounds[str(document["_id"])])
        return lanes

    async def resolved(self, deliveries: Collection[Delivery], *, resent: bool) -> None:
        """They are sent again, or wait for a receipt for as long as it takes. What is settled meanwhile stays so."""
        shelves: dict[Shelf, dict[str, Delivery]] = defaultdict(dict)
        for each in deliveries:
            shelves[each.alert_id, each.shard, each.channel][each.delivery_id] = each
        for shelf, wanted in shelves.items():
            for _ in range(ATTEMPTS):
                pages = await self._pages({shelf: wanted})
                for page in pages[shelf]:
                    for identity, row in page.rows.items():
                        known = wanted.get(identity)
                        if known is None or row[_UNKNOWN] is None or row[_RESENDS] != known.resends:
                            continue
                        row[_UNKNOWN] = None
                        row[_RESENDS] += int(resent)
                        page.changed = True
                if await self._written(pages[shelf]):
                    break
            else:
                raise TransientError("deliveries are being written all the time")

    async def counts(self, alert_id: str | None = None) -> dict[str, dict[str, int]]:
        """Channel → state → how many deliveries: of an alert, or of everything that was touched in the last day.

        Of whom nothing was said yet stands on no page: they are created, as many as were selected beyond the pages.
        """
        pages: Document = {"alertId": alert_id}
        selections: Document = {"alertId": alert_id}
        if alert_id is None:
            newest = [
                document[name]
                for collection, name in ((self._deliveries, "touched"), (self._selections, "at"))
                if (document := await collection.find_one({}, {name: 1}, sort=[(name, -1)])) is not None
            ]
            since = {"$gte": max(newest, default=NEVER + COUNTED) - COUNTED}
            pages, selections = {"touched": since}, {"at": since}
        selected: Counter[str] = Counter()
        async for document in self._selections.find(selections, {"tally": 1}):
            selected.update(document["tally"])
        found: dict[str, Counter[str]] = defaultdict(Counter)
        async for document in self._deliveries.find(pages, {"channel": 1, "tally": 1}):
            found[str(document["channel"])].update(document["tally"])
        for channel, count in selected.items():
            silent = count - found[channel].total()
            if silent > 0:
                found[channel][DeliveryState.CREATED] += silent
        return {channel: dict(counter) for channel, counter in found.items() if counter}

    async def resent(self, alert_id: str) -> int:
        """How many deliveries of an alert were sent again after unknown."""
        found = self._deliveries.find({"alertId": alert_id, "resent": {"$gt": 0}}, {"resent": 1})
        return sum([int(document["resent"]) async for document in found])

    async def answer(self, alert_id: str, person_id: str) -> str | None:
        """What counts of a person's answers to an alert."""
        document = await self._answers.find_one({"_id": f"{alert_id}:{person_id}"}, {"answer": 1})
        return str(document["answer"]) if document else None

    async def last_answer(self, alert_id: str, person_id: str) -> str | None:
        """What a person answered last, whatever counts."""
        document = await self._answers.find_one({"_id": f"{alert_id}:{person_id}"}, {"given": {"$slice": -1}})
        return str(document["given"][0]["answer"]) if document else None

    async def answers(self, alert_id: str, persons: Collection[str] | None = None) -> dict[str, str]:
        """Person → what counts of their answers to an alert."""
        query: Document = {"alertId": alert_id}
        if persons is not None:
            query["personId"] = {"$in": list(persons)}
        found = self._answers.find(query, {"personId": 1, "answer": 1})
        return {str(document["personId"]): str(document["answer"]) async for document in found}

    async def given(self, alert_id: str, persons: Collection[str]) -> dict[str, list[AnswerRecord]]:
        """Everything that these persons answered to an alert."""
        found = self._answers.find(
            {"alertId": alert_id, "personId": {"$in": list(persons)}}, {"personId": 1, "given": 1}
        )
        return {
            str(document["personId"]): [AnswerRecord.model_validate(each) for each in document["given"]]
            async for document in found
        }

    async def persons_who_answered(self, alert_id: str, answers: Collection[str]) -> list[str]:
        """Whose answer that counts is one of these."""
        found = self._answers.find({"alertId": alert_id, "answer": {"$in": list(answers)}}, {"personId": 1})
        return [str(document["personId"]) async for document in found]

    async def persons_with_failures(self, alert_id: str) -> list[str]:
        """For whom a message of the alert definitely failed."""
        failed: set[str] = set()
        query = {"alertId": alert_id, "$or": [{f"tally.{state.value}": {"$gt": 0}} for state in sorted(FAILURES)]}
        async for document in self._deliveries.find(query):
            rows = _read(document).rows.values()
            failed |= {row[_PERSON] for row in rows if row[_STATE] in _FAILURES and row[_PERSON] is not None}
        return sorted(failed)

    async def _merge(self, shelves: Mapping[Shelf, Sequence["_Entry"]]) -> None:
        """Read the pages, evolve them, write what is still as it was read; whoever was faster is read again."""
        for attempt in range(ATTEMPTS):
            # Each time another while, or two who write the same page push each other aside again and again.
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS * attempt))
            pages = await self._pages({each: [said.delivery_id for *_, said in shelves[each]] for each in shelves})
            for shelf, entries in shelves.items():
                _evolve(shelf, pages[shelf], entries)
            written = await self._written([page for each in pages.values() for page in each])
            if written:
                return
            # What was written is met again by the ids of its events.
        raise TransientError("deliveries are being written all the time")

    async def _pages(self, shelves: Mapping[Shelf, Iterable[str]]) -> dict[Shelf, list[_Page]]:
        """For each shelf the pages that hold these deliveries, and its last page."""
        pages: dict[Shelf, list[_Page]] = {shelf: [] for shelf in shelves}
        more = []
        async for document in self._deliveries.find({"_id": {"$in": [_page_id(shelf, 0) for shelf in pages]}}):
            page = _read(document)
            pages[page.shelf].append(page)
            if document.get("more"):
                more.append(page.shelf)
        for shelf in more:
            alert_id, shard, channel = shelf
            here = {"alertId": alert_id, "shard": shard, "channel": channel.value}
            known = {0}
            # The last page first: whoever adds to it, or begins another one, after that is met when ours is written.
            last = await self._deliveries.find_one(here, sort=[("page", -1)])
            if last is not None and last["page"] not in known:
                known.add(last["page"])
                pages[shelf].append(_read(last))
            references = [reference(each) for each in shelves[shelf]]
            async for document in self._deliveries.find({**here, "refs": {"$in": references}}):
                if document["page"] not in known:
                    known.add(document["page"])
                    pages[shelf].append(_read(document))
            pages[shelf].sort(key=lambda page: page.number)
        return pages

    async def _written(self, pages: Iterable[_Page]) -> bool:
        """Write the pages that changed, each only where it still is as it was read; False when one was not.

        A further page begins only when the one before it is written: else two who add the same delivery in another
        order might each put it on a page of their own.
        """
        updates: list[UpdateOne] = []
        inserts: list[InsertOne[Document]] = []
        for page in pages:
            if not page.changed:
                continue
            fields = _fields(page)
            if page.rev == 0:
                inserts.append(InsertOne({"_id": page.id, **fields, **_fixed(page), "rev": 1}))
            else:
                if page.grown:
                    fields |= _fixed(page)
                updates.append(UpdateOne({"_id": page.id, "rev": page.rev}, {"$set": fields, "$inc": {"rev": 1}}))
        if updates:
            result = await self._deliveries.bulk_write(updates, ordered=False)
            if result.modified_count < len(updates):
                return False
        try:
            # In order: a page never stands there without the one before it.
            if inserts:
                await self._deliveries.bulk_write(inserts)
        except BulkWriteError as error:
            _raise_unless_duplicates(error)
            return False
        return True

    async def _answer(self, fact: Fact, event: PersonAnswered) -> None:
        given = AnswerRecord(
            event_id=fact.event_id,
            answer=event.answer,
            via=event.via,
            at=event.answered_at,
            known_at=fact.at,
            verified=event.verified,
        )
        identity = f"{event.alert_id}:{event.person_id}"
        for _ in range(ATTEMPTS):
            former = await self._answers.find_one({"_id": identity})
            all_given = [AnswerRecord.model_validate(each) for each in former["given"]] if former else []
            if any(each.event_id == given.event_id for each in all_given):
                return
            all_given.append(given)
            document = {
                "alertId": event.alert_id,
                "personId": event.person_id,
                "answer": standing_answer(all_given),
                "given": [each.model_dump(mode="json", by_alias=True) for each in all_given],
                "rev": len(all_given),
            }
            guard = {"_id": identity, "rev": former["rev"] if former else 0}
            try:
                written = await self._answers.replace_one(guard, document, upsert=former is None)
                if written.matched_count or written.upserted_id is not None:
                    return
            except DuplicateKeyError:
                continue
        raise TransientError("an answer is being written all the time")


def created(alert_id: str, shard: int, chosen: Recipient, step: int = 1) -> list[Delivery]:
    """The deliveries of somebody who was selected, before anything was said of them: one for each channel."""
    return [
        Delivery(
            delivery_id(alert_id, chosen.who, channel, step), alert_id, shard, chosen.person_id,
            chosen.registration_id, channel, DeliveryState.CREATED,
        )
        for channel in chosen.channels
    ]  # fmt: skip


def deliveries_of(page: Document) -> dict[str, Delivery]:
    """Id → delivery, of one document of `deliveries` as it is kept."""
    return {each.delivery_id: each for each in _read(page).deliveries()}


#: What a fact says of one delivery of a shelf: the fact's id and time, and that.
_Entry = tuple[str, datetime, StatusUpdate]


def _evolve(shelf: Shelf, pages: list[_Page], entries: Sequence[_Entry]) -> None:
    """The pages of a shelf after this was said; new deliveries go to its last page, or to a new one."""
    # Of several pages one may have been written and another not, or not yet be there: then each delivery's own history
    # decides.
    known = set(pages[0].events) if len(pages) == 1 and not pages[0].is_full else set()
    places = {identity: page for page in pages for identity in page.rows}
    for event_id, at, said in entries:
        if event_id in known:
            continue
        page = places.get(said.delivery_id)
        if page is None:
            if not pages or pages[-1].is_full:
                pages.append(_Page(shelf, pages[-1].number + 1 if pages else 0))
            page = places[said.delivery_id] = pages[-1]
            page.add(event_id, said)
        else:
            before = _delivery(shelf, page.rows[said.delivery_id])
            after = before.after(event_id, said.state, said.at, said.reason, said.attempt)
            if after is before:
                continue
            page.rows[said.delivery_id] = _row(after)
        page.changed = True
        page.touched = max(page.touched, at)
        if not page.events or page.events[-1] != event_id:
            page.events.append(event_id)


def _fields(page: _Page) -> Document:
    """What changes of a page with what is said."""
    rows = page.rows.values()
    unknown = [row[_UNKNOWN] for row in rows if row[_UNKNOWN] is not None]
    waiting = [since for row in rows if (since := _waiting_since(page.shelf, row)) is not None]
    return {
        "rows": orjson.dumps(list(rows)),
        "tally": dict(Counter([row[_STATE] for row in rows])),
        "resent": sum(1 for row in rows if row[_RESENDS]),
        "events": page.events[-EVENTS_KEPT:],
        "touched": page.touched,
        "unknownSince": _moment(min(unknown, default=None)),
        "waitingSince": _moment(min(waiting, default=None)),
        "more": page.is_full,
    }


def _fixed(page: _Page) -> Document:
    """What changes only when deliveries are added: the indexed part."""
    alert_id, shard, channel = page.shelf
    return {
        "alertId": alert_id, "shard": shard, "channel": channel.value, "page": page.number, "refs": page.references,
    }  # fmt: skip


def _page_id(shelf: Shelf, number: int) -> str:
    alert_id, shard, channel = shelf
    return f"{alert_id}:{shard}:{channel.value}#{number}"


def _waiting_since(shelf: Shelf, row: Row) -> float | None:
    """Since when a receipt is waited for, seconds since 1970; None when none is."""
    if row[_STATE] not in _WAITING or shelf[2] is not Channel.SMS:
        return None
    return next((at for _, state, at, _, counted in row[_TURNS] if counted and state in _WAITING), None)


def _first_row(event_id: str, said: StatusUpdate) -> Row:
    """As `Delivery.after` leaves a delivery that was only selected: everything that can be said of it counts."""
    state, at = said.state.value, said.at.timestamp()
    return [
        said.delivery_id, said.person_id, said.registration_id, state, said.attempt, 0,
        at if said.state is DeliveryState.UNKNOWN else None, [[event_id, state, at, said.reason, True]],
    ]  # fmt: skip


def _row(each: Delivery) -> Row:
    turns = [[turn.event_id, turn.state.value, turn.at.timestamp(), turn.reason, turn.counted] for turn in each.history]
    unknown = each.unknown_since.timestamp() if each.unknown_since else None
    return [
        each.delivery_id, each.person_id, each.registration_id, each.state.value, each.attempts, each.resends, unknown,
        turns,
    ]  # fmt: skip


def _delivery(shelf: Shelf, row: Row) -> Delivery:
    alert_id, shard, channel = shelf
    identity, person, registration, state, attempts, resends, unknown, turns = row
    history = tuple(
        StatusChange(event_id, _STATES[said], datetime.fromtimestamp(at, UTC), reason, counted)
        for event_id, said, at, reason, counted in turns
    )
    return Delivery(
        identity, alert_id, shard, person, registration, channel, _STATES[state], attempts, resends, _moment(unknown),
        history,
    )  # fmt: skip


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _read(document: Document) -> _Page:
    return _Page(
        shelf=(str(document["alertId"]), int(document["shard"]), Channel(document["channel"])),
        number=int(document["page"]),
        rev=int(document["rev"]),
        rows={row[_ID]: row for row in orjson.loads(document["rows"])},
        references=list(document["refs"]),
        events=list(document["events"]),
        touched=document["touched"],
    )


_STATES = {state.value: state for state in DeliveryState}


def _raise_unless_duplicates(error: BulkWriteError) -> None:
    if any(failure["code"] != _DUPLICATE for failure in (error.details or {}).get("writeErrors", [{}])):
        raise error
