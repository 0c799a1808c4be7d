"""The inbox makes the effect of an event happen once: its position moves in the same transaction as the effect.

One document for each (consumer group, stream): the version and id of the newest event that had its effect. An event
that is delivered again finds the position moved and has no second effect.

docs/decisions/0003-inbox.md
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from shared.envelope import Envelope
from shared.errors import PermanentError, TransientError
from shared.events import Event
from shared.mongo.client import (
    BulkWriteError,
    Collection,
    Database,
    Document,
    DuplicateKeyError,
    Mongo,
    ReplaceOne,
    Session,
    UpdateOne,
)


class VersionGap(TransientError):
    """An event came before its predecessor in the stream: the subscription waits for that, then parks the event."""


class ForkedStream(PermanentError):
    """Two different events have the same version of a stream."""


class Inbox:
    """The positions of one service in the streams that it reads."""

    def __init__(self, mongo: Mongo, database: Database) -> None:
        self._mongo = mongo
        self._positions: Collection = database["inbox"]

    async def apply(
        self, group: str, envelope: Envelope[Event], work: Callable[[Session], Coroutine[Any, Any, None]]
    ) -> bool:
        """Run `work(session)` and move the position, in one transaction. False: the event had its effect before.

        Raises as `apply_all`.
        """

        async def work_on_one(session: Session, _: Sequence[Envelope[Event]]) -> None:
            await work(session)

        return await self.apply_all(group, [envelope], work_on_one) == 1

    async def apply_all(
        self,
        group: str,
        envelopes: Sequence[Envelope[Event]],
        work: Callable[[Session, Sequence[Envelope[Event]]], Coroutine[Any, Any, None]],
    ) -> int:
        """Run `work(session, events)` for the events that had no effect before, and move their positions.

        One transaction for the batch, whose streams may be many; the order within each is the batch's. Returns how
        many events were new. Raises VersionGap when the event before one of them had no effect yet, ForkedStream when
        another event had its effect under the same version: then no event of the batch had an effect.
        """
        position_ids = sorted({self._position_id(group, envelope) for envelope in envelopes})

        async def apply_once(session: Session) -> int:
            stored = self._positions.find({"_id": {"$in": position_ids}}, session=session)
            heads = {str(head["_id"]): (int(head["version"]), str(head["event"])) async for head in stored}
            new = []
            for envelope in envelopes:
                position_id = self._position_id(group, envelope)
                if _is_new(envelope, *heads.get(position_id, (0, ""))):
                    heads[position_id] = (envelope.streamversion, envelope.id)
                    new.append(envelope)
            moved = sorted({self._position_id(group, envelope) for envelope in new})
            if moved:
                await self._positions.bulk_write(
                    [_moved(position_id, *heads[position_id]) for position_id in moved], session=session
                )
                await work(session, new)
            return len(new)

        try:
            return await self._mongo.transaction(apply_once)
        except (DuplicateKeyError, BulkWriteError):
            # Another instance inserted a stream's first position at the same moment: read it in a new transaction.
            return await self._mongo.transaction(apply_once)

    @staticmethod
    def _position_id(group: str, envelope: Envelope[Event]) -> str:
        return f"{group}|{envelope.subject}"

    async def skip(self, group: str, streams: Mapping[str, tuple[int, str]]) -> None:
        """Move positions past events that have no handler: stream → (newest version, its event id)."""
        if streams:
            await self._positions.bulk_write(
                [
                    UpdateOne({"_id": f"{group}|{stream}"}, _raised_to(version, event_id), upsert=True)
                    for stream, (version, event_id) in streams.items()
                ],
                ordered=False,
            )


def _is_new(envelope: Envelope[Event], version: int, event_id: str) -> bool:
    """Whether the event is the next after this head of its stream. Raises VersionGap, ForkedStream."""
    if envelope.streamversion <= version:
        if envelope.streamversion == version and event_id != envelope.id:
            raise ForkedStream(f"version {version} of stream {envelope.subject} is taken by another event")
        return False
    if envelope.streamversion > version + 1:
        raise VersionGap(
            f"version {envelope.streamversion} of stream {envelope.subject} came, version {version + 1} did not"
        )
    return True


def _moved(position_id: str, version: int, event_id: str) -> ReplaceOne[Document]:
    position = {"_id": position_id, "version": version, "event": event_id}
    return ReplaceOne({"_id": position_id}, position, upsert=True)


def _raised_to(version: int, event_id: str) -> list[dict[str, Any]]:
    """An update that never lowers the version."""
    newer = {"$gt": [version, {"$ifNull": ["$version", 0]}]}
    return [
        {
            "$set": {
                "version": {"$cond": [newer, version, "$version"]},
                "event": {"$cond": [newer, event_id, "$event"]},
            }
        }
    ]
