"""Stored webhook requests and mails on a real MongoDB: stored once, tried again later, and never lost."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.notify.bounce_mailbox import store_bounces
from services.notify.store.callbacks import (
    FAILED,
    MAIL_PROVIDER,
    REPEATED_WITHIN,
    UNCLEAR,
    UNKNOWN_REFERENCE,
    UNREADABLE,
    Callback,
    CallbackStore,
    Kind,
)
from shared.mongo.client import ConnectionFailure, Mongo
from shared.set_aside import SetAside
from tests.integration.notify_world import KEY

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture
async def callbacks(mongo: Mongo) -> CallbackStore:
    made = CallbackStore(mongo.database("notify"), KEY)
    await made.create_indexes()
    return made


async def one(callbacks: CallbackStore, kind: Kind, at: datetime) -> Callback:
    """The only request that is due."""
    [callback] = await callbacks.due(kind, at, 10)
    return callback


async def test_same_request_is_stored_once_and_a_reply_again_after_ten_minutes(callbacks: CallbackStore) -> None:
    """A reply may be the provider's late try or a second cry for help, and is marked; a receipt and a mail are not."""
    times = [NOON, NOON + REPEATED_WITHIN - SECOND, NOON + REPEATED_WITHIN, NOON + REPEATED_WITHIN + SECOND]

    replies = [await callbacks.store("cm", "inbound", b"HELP", at) for at in times]
    receipts = [await callbacks.store("cm", "receipt", b"HELP", at) for at in (NOON, NOON + 9 * HOUR)]
    mails = [await callbacks.store(MAIL_PROVIDER, "inbound", b"HELP", at) for at in (NOON, NOON + 9 * HOUR)]
    other = await callbacks.store("twilio", "inbound", b"HELP", NOON)

    assert (replies, receipts, mails, other) == ([True, False, True, False], [True, False], [True, False], True)
    stored = await callbacks.due("inbound", NOON + 9 * HOUR, 10)
    assert sorted((callback.provider, callback.is_repeat) for callback in stored) == [
        ("cm", False), ("cm", True), ("mail", False), ("twilio", False)
    ]  # fmt: skip


async def test_requests_are_due_oldest_first_each_kind_for_itself(callbacks: CallbackStore, mongo: Mongo) -> None:
    """One that our key does not open is put off and holds up nobody; a processed one is not due."""
    for number, at in enumerate((NOON + 2 * SECOND, NOON, NOON + SECOND, NOON + HOUR)):
        await callbacks.store("cm", "receipt", b"%d" % number, at)
    await callbacks.store("cm", "inbound", b"reply", NOON)
    first = (await callbacks.due("receipt", NOON + 2 * SECOND, 10))[0]
    await mongo.database("notify")["callbacks"].update_one({"_id": first.id}, {"$set": {"body": b"of another key"}})

    due = await callbacks.due("receipt", NOON + 2 * SECOND, 10)

    assert [callback.body for callback in due] == [b"2", b"0"]
    assert [callback.body for callback in await callbacks.due("receipt", NOON + 2 * SECOND, 1)] == [b"2"]
    await callbacks.mark_done([due[0].id])
    assert [callback.body for callback in await callbacks.due("receipt", NOON + 2 * SECOND, 10)] == [b"0"]


async def test_request_that_must_wait_is_tried_after_twice_the_pause_each_time(callbacks: CallbackStore) -> None:
    """Five minutes at most, and its note says what it waits for."""
    await callbacks.store("cm", "receipt", b"one", NOON)
    now, pauses = NOON, []
    for _ in range(11):
        await callbacks.retry_later(await one(callbacks, "receipt", now), now, UNKNOWN_REFERENCE)
        for again in (timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300)):
            if await callbacks.due("receipt", now + again, 1):
                break
        pauses.append(again.total_seconds())
        now += again

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert await callbacks.count(UNKNOWN_REFERENCE) == 1


@pytest.mark.parametrize(("kind", "note"), [("inbound", UNCLEAR), ("receipt", FAILED)])
async def test_request_that_fails_is_tried_again_and_then_left_to_a_person(
    callbacks: CallbackStore, kind: Kind, note: str
) -> None:
    """A safety officer reads the reply, an operator the receipt; who can be told now makes the worker try it again."""
    await callbacks.store("cm", kind, b"one", NOON)
    for number in range(2):
        callback = await one(callbacks, kind, NOON + number * HOUR)
        await callbacks.note_failure(callback, NOON + number * HOUR, "KeyError", is_last=False)
        assert await callbacks.due(kind, NOON + number * HOUR + (2**number) * SECOND - SECOND / 2, 1) == []

    callback = await one(callbacks, kind, NOON + 2 * HOUR)
    await callbacks.note_failure(callback, NOON + 2 * HOUR, "KeyError", is_last=True)

    assert callback.failures == 2
    assert await callbacks.due(kind, NOON + 9 * HOUR, 1) == []
    assert [await callbacks.count(known) for known in (UNCLEAR, FAILED)] == [note == UNCLEAR, note == FAILED]
    await callbacks.process_again(callback.id, [UNREADABLE])
    assert await callbacks.count(note) == 1, "nobody has decided on a note of this kind"
    await callbacks.process_again(callback.id, [note])
    assert (await one(callbacks, kind, datetime(2100, 1, 1, tzinfo=UTC))).failures == 0


class _Away(CallbackStore):
    """A store whose database is away."""

    async def store(self, provider: str, kind: Kind, body: bytes, now: datetime) -> bool:
        raise ConnectionFailure("away")


@pytest.mark.fault("MongoDB away while a bounce is read")
async def test_mail_stays_in_the_mailbox_until_it_is_stored(
    callbacks: CallbackStore, mongo: Mongo, tmp_path: Path
) -> None:
    """It is moved only then; read twice it is stored once."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "1").write_bytes(b"Subject: returned\r\n\r\n")

    with pytest.raises(ConnectionFailure):
        await store_bounces(tmp_path, _Away(mongo.database("notify"), KEY), SetAside())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["1"]

    assert await store_bounces(tmp_path, callbacks, SetAside()) == 1
    (tmp_path / "cur" / "1:2,S").rename(tmp_path / "new" / "1")
    assert await store_bounces(tmp_path, callbacks, SetAside()) == 1
    assert list((tmp_path / "new").iterdir()) == []
    assert len(await callbacks.due("receipt", datetime(2100, 1, 1, tzinfo=UTC), 9)) == 1
