"""Pages of deliveries: hundreds in one document, so that the outcomes of a whole chunk are one read and one write.

`deliveries`: {_id `<alert>:<shard>:<channel>#<page>`, …, refs, rows, tally, events, rev}. Pages are written with
optimistic concurrency (`rev`): a writer that lost reads them again (docs/decisions/0015-deliveries-in-pages.md).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.notify.columns.delivery_rows import (
    RESENDS,
    STATE,
    UNKNOWN_SINCE,
    DeliveryPageKey,
    DeliveryRow,
    awaiting_receipt_since,
    decode,
    decode_rows,
    encode,
    encode_rows,
    first_row,
    instant,
)
from services.notify.model.deliveries import Delivery, StatusUpdate, reference
from shared.events import Channel
from shared.mongo.client import BulkWriteError, Collection, Document, InsertOne, UpdateOne, raise_unless_duplicates

#: Deliveries in one page, at most.
PAGE_SIZE = 1_000
#: Ids of the events applied last that a page remembers, to skip an event that comes again.
MAX_REMEMBERED_EVENTS = 500
NEVER = datetime.fromtimestamp(0, UTC)

#: The id and time of an event, and what it reports of one delivery.
EventUpdate = tuple[str, datetime, StatusUpdate]


class PagesMoved(Exception):
    """A competing writer stored one of these pages first: read them again."""


@dataclass(slots=True)
class DeliveryPage:
    """One page as it was read, with the changes to it. `rev` 0: not stored yet. `references`: in the order of the rows.

    `grown`: deliveries were added, so the indexed fields change too.
    """

    key: DeliveryPageKey
    number: int
    size: int = PAGE_SIZE
    rev: int = 0
    rows: dict[str, DeliveryRow] = field(default_factory=dict)
    references: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    touched: datetime = NEVER
    grown: bool = False
    changed: bool = False

    @classmethod
    def read(cls, document: Document, size: int = PAGE_SIZE) -> "DeliveryPage":
        """The page in a document of `deliveries`."""
        return cls(
            key=DeliveryPageKey(str(document["alertId"]), int(document["shard"]), Channel(document["channel"])),
            number=int(document["page"]),
            size=size,
            rev=int(document["rev"]),
            rows=decode_rows(document["rows"]),
            references=list(document["refs"]),
            events=list(document["events"]),
            touched=document["touched"],
        )

    @property
    def id(self) -> str:
        """The id of the document."""
        return _page_id(self.key, self.number)

    @property
    def is_full(self) -> bool:
        """A further delivery goes to the next page."""
        return len(self.rows) >= self.size

    def deliveries(self) -> list[Delivery]:
        """All deliveries of the page."""
        return [decode(self.key, row) for row in self.rows.values()]

    def add(self, event_id: str, update: StatusUpdate) -> None:
        """Add a delivery with its first update."""
        self.rows[update.delivery_id] = first_row(event_id, update)
        self.references.append(reference(update.delivery_id))
        self.grown = True

    def write(self) -> "InsertOne[Document] | UpdateOne":
        """The write that stores the page, provided that its stored revision is still the one that was read."""
        fields = self._state_fields()
        if self.rev == 0:
            return InsertOne({"_id": self.id, **fields, **self._indexed_fields(), "rev": 1})
        if self.grown:
            fields |= self._indexed_fields()
        return UpdateOne({"_id": self.id, "rev": self.rev}, {"$set": fields, "$inc": {"rev": 1}})

    def _state_fields(self) -> Document:
        rows, channel = self.rows.values(), self.key.channel
        unknown = [row[UNKNOWN_SINCE] for row in rows if row[UNKNOWN_SINCE] is not None]
        waiting = [since for row in rows if (since := awaiting_receipt_since(channel, row)) is not None]
        return {
            "rows": encode_rows(rows),
            "tally": dict(Counter([row[STATE] for row in rows])),
            "resent": sum(1 for row in rows if row[RESENDS]),
            "events": self.events[-MAX_REMEMBERED_EVENTS:],
            "touched": self.touched,
            "unknownSince": instant(min(unknown, default=None)),
            "waitingSince": instant(min(waiting, default=None)),
            "more": self.is_full,
        }

    def _indexed_fields(self) -> Document:
        """They change only when deliveries are added."""
        alert_id, shard, channel = self.key
        return {
            "alertId": alert_id, "shard": shard, "channel": channel.value, "page": self.number,
            "refs": self.references,
        }  # fmt: skip


def apply_updates(
    key: DeliveryPageKey, pages: list[DeliveryPage], updates: Sequence[EventUpdate], page_size: int = PAGE_SIZE
) -> None:
    """Apply updates to the pages of a key, in order. A new delivery goes to the last page, or to a further one."""
    # With several pages an event may have reached one and not another: then the history of each delivery decides
    # whether the event is new. With a single page, which is nearly always, its list of events decides at once.
    applied = set(pages[0].events) if len(pages) == 1 and not pages[0].is_full else set()
    page_of = {delivery_id: page for page in pages for delivery_id in page.rows}
    for event_id, at, update in updates:
        if event_id in applied:
            continue
        page = page_of.get(update.delivery_id)
        if page is None:
            if not pages or pages[-1].is_full:
                pages.append(DeliveryPage(key, pages[-1].number + 1 if pages else 0, page_size))
            page = page_of[update.delivery_id] = pages[-1]
            page.add(event_id, update)
        else:
            before = decode(key, page.rows[update.delivery_id])
            after = before.apply(event_id, update)
            if after is before:
                continue
            page.rows[update.delivery_id] = encode(after)
        page.changed = True
        page.touched = max(page.touched, at)
        if not page.events or page.events[-1] != event_id:
            page.events.append(event_id)


async def load_pages(
    collection: Collection, delivery_ids: Mapping[DeliveryPageKey, Iterable[str]], page_size: int = PAGE_SIZE
) -> dict[DeliveryPageKey, list[DeliveryPage]]:
    """For each key the pages that hold these deliveries, and its last page, in order."""
    pages: dict[DeliveryPageKey, list[DeliveryPage]] = {key: [] for key in delivery_ids}
    continued = []
    async for document in collection.find({"_id": {"$in": [_page_id(key, 0) for key in pages]}}):
        page = DeliveryPage.read(document, page_size)
        pages[page.key].append(page)
        if document.get("more"):
            continued.append(page.key)
    for key in continued:
        await _load_further_pages(collection, pages[key], delivery_ids[key], page_size)
    return pages


async def _load_further_pages(
    collection: Collection, pages: list[DeliveryPage], delivery_ids: Iterable[str], page_size: int
) -> None:
    alert_id, shard, channel = pages[0].key
    of_key = {"alertId": alert_id, "shard": shard, "channel": channel.value}
    loaded = {0}
    # The last page is read first: a writer that adds to it, or begins the next one, after that collides with us.
    last = await collection.find_one(of_key, sort=[("page", -1)])
    if last is not None and last["page"] not in loaded:
        loaded.add(last["page"])
        pages.append(DeliveryPage.read(last, page_size))
    references = [reference(delivery_id) for delivery_id in delivery_ids]
    async for document in collection.find({**of_key, "refs": {"$in": references}}):
        if document["page"] not in loaded:
            loaded.add(document["page"])
            pages.append(DeliveryPage.read(document, page_size))
    pages.sort(key=lambda page: page.number)


async def store_pages(collection: Collection, pages: Iterable[DeliveryPage]) -> None:
    """Store the pages that changed. Raises PagesMoved when another writer stored one of them meanwhile.

    A further page is inserted only after the page before it was stored. Otherwise two writers that add the same
    deliveries in different orders could each put one delivery on a page of their own.
    """
    writes = [page.write() for page in pages if page.changed]
    updates = [write for write in writes if isinstance(write, UpdateOne)]
    inserts = [write for write in writes if isinstance(write, InsertOne)]
    if updates:
        result = await collection.bulk_write(updates, ordered=False)
        if result.modified_count < len(updates):
            raise PagesMoved
    if inserts:
        try:
            await collection.bulk_write(inserts)  # in order
        except BulkWriteError as error:
            raise_unless_duplicates(error)
            raise PagesMoved from error


def _page_id(key: DeliveryPageKey, number: int) -> str:
    alert_id, shard, channel = key
    return f"{alert_id}:{shard}:{channel.value}#{number}"
