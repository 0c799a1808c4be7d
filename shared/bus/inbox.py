"""The inbox makes the effect of an event happen once: its position moves in the same transaction as the effect.

One document for each (consumer group, stream): the version and id of the newest event that had its effect. An event
that is delivered again finds the position moved and has no second effect.

docs/decisions/0003-inbox.md
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from shared.envelope import Envelope
from shared.errors import PermanentError, TransientError
from shared.events import Event
from shared.mongo.client import Collection, Database, DuplicateKeyError, Mongo, Session, UpdateOne


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

        Raises VersionGap when the event before it in the stream had no effect yet, ForkedStream when another event
        had its effect under the same version.
        """
        position_id = f"{group}|{envelope.subject}"

        async def apply_once(session: Session) -> bool:
            position = await self._positions.find_one({"_id": position_id}, session=session)
            version = int(position["version"]) if position else 0
            if envelope.streamversion <= version:
                if position and envelope.streamversion == version and position["event"] != envelope.id:
                    raise ForkedStream(f"version {version} of stream {envelope.subject} is taken by another event")
                return False
            if envelope.streamversion > version + 1:
                raise VersionGap(
                    f"version {envelope.streamversion} of stream {envelope.subject} came, version {version + 1} did not"
                )
            await self._positions.replace_one(
                {"_id": position_id},
                {"_id": position_id, "version": envelope.streamversion, "event": envelope.id},
                upsert=True,
                session=session,
            )
            await work(session)
            return True

        try:
            return await self._mongo.transaction(apply_once)
        except DuplicateKeyError:
            # Another instance inserted the stream's first position at the same moment: read it in a new transaction.
            return await self._mongo.transaction(apply_once)

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
