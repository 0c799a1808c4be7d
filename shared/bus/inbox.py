"""The inbox makes an effect happen once: one document per (group, stream), moved with the effect itself.

docs/decisions/0003-inbox.md
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from shared.envelope import Envelope
from shared.errors import PermanentError, TransientError
from shared.events import Event
from shared.mongo.client import Collection, Database, DuplicateKeyError, Mongo, Session, UpdateOne


class VersionGap(TransientError):
    """An event came before its predecessor: waited for, then parked and alarmed."""


class ForkedStream(PermanentError):
    """Two different events claim one version of one stream."""


class Inbox:
    """What one service has already taken from each stream."""

    def __init__(self, mongo: Mongo, database: Database) -> None:
        self._mongo = mongo
        self._seen: Collection = database["inbox"]

    async def apply(
        self, group: str, envelope: Envelope[Event], work: Callable[[Session], Coroutine[Any, Any, None]]
    ) -> bool:
        """Run `work(session)` and note the event, in one transaction. False: it was taken before.

        Raises VersionGap when the stream's former event is not here yet, ForkedStream for a second event
        under a known version.
        """
        stream = f"{group}|{envelope.subject}"

        async def once(session: Session) -> bool:
            seen = await self._seen.find_one({"_id": stream}, session=session)
            version = int(seen["version"]) if seen else 0
            if envelope.streamversion <= version:
                if seen and envelope.streamversion == version and seen["event"] != envelope.id:
                    raise ForkedStream(f"version {version} of a stream is taken by another event")
                return False
            if envelope.streamversion > version + 1:
                raise VersionGap(f"version {envelope.streamversion} follows version {version}")
            await self._seen.replace_one(
                {"_id": stream},
                {"_id": stream, "version": envelope.streamversion, "event": envelope.id},
                upsert=True,
                session=session,
            )
            await work(session)
            return True

        try:
            return await self._mongo.transaction(once)
        except DuplicateKeyError:
            # Somebody else made the stream's document in the same moment: look again, outside that transaction.
            return await self._mongo.transaction(once)

    async def skip(self, group: str, streams: Mapping[str, tuple[int, str]]) -> None:
        """Note events that this service has no handler for: stream → (newest version, event id). They are no gap."""
        if streams:
            await self._seen.bulk_write(
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
