"""A page of deliveries: its write to the database, and the updates that it still needs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.notify.columns.delivery_rows import DeliveryPageKey, decode
from services.notify.model.deliveries import HISTORY_LIMIT, DeliveryState, StatusUpdate
from services.notify.store.delivery_pages import (
    MAX_REMEMBERED_EVENTS,
    DeliveryPage,
    EventUpdate,
    apply_updates,
)
from shared.events import Channel
from shared.mongo.client import InsertOne, UpdateOne

KEY = DeliveryPageKey("ES-2", 4, Channel.SMS)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ACCEPTED, DELIVERED, UNKNOWN = DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.UNKNOWN


def update(
    event_id: str, person: str, state: DeliveryState = ACCEPTED, *, at: datetime = NOON, folded: datetime = NOON
) -> EventUpdate:
    """What an event reports of the person's SMS."""
    delivery_id = f"ES-2:{person}:sms:1"
    return event_id, folded, StatusUpdate(delivery_id, person, f"r-{person}", Channel.SMS, state, at, "words", 1)


def folded(*updates: EventUpdate, page_size: int = 1_000) -> list[DeliveryPage]:
    """The pages after these updates."""
    pages: list[DeliveryPage] = []
    apply_updates(KEY, pages, updates, page_size)
    return pages


def fields_of(page: DeliveryPage) -> dict[str, Any]:
    """The write of a page that is stored already."""
    page.rev = 3
    write: Any = page.write()
    assert isinstance(write, UpdateOne)
    assert write._filter == {"_id": page.id, "rev": 3}, "who stored the page first wins"
    assert write._doc["$inc"] == {"rev": 1}
    return dict(write._doc["$set"])


def test_page_is_written_only_over_the_revision_that_was_read() -> None:
    """A new one is inserted under its number, which one writer can do; another only where nobody was faster."""
    [page] = folded(update("e1", "p1"))

    new: Any = page.write()
    assert isinstance(new, InsertOne)
    assert (new._doc["_id"], new._doc["rev"]) == ("ES-2:4:sms#0", 1)
    assert fields_of(page)["refs"] == page.references


def test_page_without_a_new_delivery_leaves_its_references_alone() -> None:
    """They are indexed; only a page that has grown writes them."""
    [page] = folded(update("e1", "p1"))
    page.grown = False
    apply_updates(KEY, [page], [update("e2", "p1", DELIVERED)])

    assert "refs" not in fields_of(page)
    apply_updates(KEY, [page], [update("e3", "p2")])
    assert len(fields_of(page)["refs"]) == 2


def test_page_tells_since_when_the_first_of_its_deliveries_waits() -> None:
    """The oldest one counts, whether it is unknown or waits for its receipt."""
    [page] = folded(
        update("e1", "p1", UNKNOWN, at=NOON + 2 * MINUTE), update("e2", "p2", UNKNOWN, at=NOON + MINUTE),
        update("e3", "p3", ACCEPTED, at=NOON + 4 * MINUTE), update("e4", "p4", ACCEPTED, at=NOON + 3 * MINUTE),
    )  # fmt: skip

    written = fields_of(page)

    assert (written["unknownSince"], written["waitingSince"]) == (NOON + MINUTE, NOON + 3 * MINUTE)
    assert written["tally"] == {"unknown": 2, "accepted": 2}


def test_page_was_touched_when_its_newest_event_was_appended() -> None:
    """Events that are folded late do not make it older."""
    [page] = folded(update("e1", "p1", folded=NOON + MINUTE), update("e2", "p2", folded=NOON))

    assert page.touched == NOON + MINUTE


def test_page_remembers_its_last_events_and_each_delivery_its_own() -> None:
    """An event that the page forgot changes nothing when it comes again."""
    updates = [update(f"e{number}", f"p{number % 20}", DELIVERED) for number in range(MAX_REMEMBERED_EVENTS + 20)]
    [page] = folded(*updates)
    page.events = fields_of(page)["events"]
    before = {identity: list(row) for identity, row in page.rows.items()}
    page.changed = False

    apply_updates(KEY, [page], [*updates[-20:], update("e0", "p0", DELIVERED)])

    assert page.events == [f"e{number}" for number in range(20, MAX_REMEMBERED_EVENTS + 20)]
    assert decode(KEY, page.rows["ES-2:p1:sms:1"]).state is DELIVERED
    assert (page.rows["ES-2:p1:sms:1"], page.changed) == (before["ES-2:p1:sms:1"], False)


def test_event_that_reached_one_page_and_not_the_next_is_applied_to_the_next() -> None:
    """Of several pages, one may have been stored and another not: the event is new for that one alone."""
    pages = folded(update("e1", "p1"), update("e1", "p2"), page_size=1)
    assert [page.number for page in pages] == [0, 1]
    [first] = folded(update("e1", "p1"), page_size=1)

    stored = [first]
    apply_updates(KEY, stored, [update("e1", "p1"), update("e1", "p2")], page_size=1)

    assert [list(page.rows) for page in stored] == [["ES-2:p1:sms:1"], ["ES-2:p2:sms:1"]]
    assert len(decode(KEY, first.rows["ES-2:p1:sms:1"]).history) == 1
    assert [page.is_full for page in stored] == [True, True]


def test_event_that_a_delivery_has_dropped_from_its_history_changes_nothing_when_it_comes_again() -> None:
    """A provider that repeats itself without end fills a history; the page still knows the event."""
    updates = [update(f"e{number}", "p1", DELIVERED) for number in range(HISTORY_LIMIT + 5)]
    [page] = folded(*updates)
    page.changed = False

    apply_updates(KEY, [page], updates)

    assert page.changed is False
