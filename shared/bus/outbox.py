"""The outbox: every event of a service, stored in the same transaction as the state that it changes.

This collection is the system of record; the relay publishes it to Kafka. Documents of `events`:
{_id, topic, stream, version, position, body, pending}. They are never deleted; `pending` is removed once Kafka has
the event. Every `cause` and `now` ends up in the event's envelope.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.envelope import Cause, Draft, compose
from shared.errors import TransientError
from shared.mongo.client import (
    ASCENDING,
    Collection,
    Database,
    Document,
    DuplicateKeyError,
    IndexModel,
    Session,
    insert,
)

#: `append_once` remembers the head of this many streams, which saves it a read for each event.
MAX_CACHED_HEADS = 10_000


class StreamMoved(TransientError):
    """Another writer appended to the stream first: load it again and decide again."""


class Outbox:
    """Appends events to the streams of one service. `source` is the CloudEvents source, e.g. `/approval`."""

    def __init__(self, database: Database, source: str) -> None:
        self.events: Collection = database["events"]
        self.source = source
        self._cached_heads: dict[str, tuple[int, int]] = {}

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self.events.create_indexes(
            [
                IndexModel([("stream", ASCENDING), ("version", ASCENDING)], name="stream_version", unique=True),
                IndexModel(
                    [("position", ASCENDING), ("_id", ASCENDING)],
                    name="pending",
                    partialFilterExpression={"pending": True},
                ),
            ]
        )

    async def append(
        self,
        drafts: Sequence[Draft],
        *,
        expected: int | Mapping[str, int],
        cause: Cause | Mapping[str, Cause],
        now: datetime,
        session: Session,
    ) -> None:
        """Append events to one or many streams in the caller's transaction: two round trips, however many they are.

        `expected` is the version after which to append (0: a new stream); for drafts of several streams, a mapping
        stream → version, from which new streams may be missing. `cause` is that of every event, or a mapping
        stream → cause. Drafts keep their order within a stream.
        Raises StreamMoved when an expected version is not stored, DuplicateKeyError when a later one is stored
        already, PermanentError for an event over 256 kB. The caller then lets the transaction abort.
        """
        by_stream: dict[str, list[Draft]] = {}
        for draft in drafts:
            by_stream.setdefault(draft.data.stream, []).append(draft)
        if isinstance(expected, int):
            if len(by_stream) > 1:
                raise ValueError("drafts of several streams need an expected version for each stream")
            expected = dict.fromkeys(by_stream, expected)
        versions = {stream: expected.get(stream, 0) for stream in by_stream}
        head_positions = await self._positions(versions, session)
        documents = [
            document
            for stream, stream_drafts in by_stream.items()
            for document in self._documents(
                stream_drafts,
                versions[stream],
                _next_position(now, head_positions.get(stream)),
                cause if isinstance(cause, Cause) else cause[stream],
                now,
            )
        ]
        if documents:
            await insert(self.events, documents, session)

    async def append_once(self, draft: Draft, *, cause: Cause, now: datetime) -> bool:
        """Append one event to the end of its stream without a transaction. False: it is stored already.

        Idempotent by the event's id, which must be derived from what the event is about: a process that crashed
        after the write simply appends the same event again.
        """
        stream = draft.data.stream
        head = self._cached_heads.pop(stream, None)
        while True:
            version, position = head or await self._head(stream)
            document = self._document(draft, version + 1, _next_position(now, position), cause, now)
            try:
                await self.events.insert_one(document)
            except DuplicateKeyError:
                if await self.events.find_one({"_id": draft.id}, {"_id": 1}) is not None:
                    return False
                head = None  # another writer appended since the head was cached
                continue
            self._cache_head(stream, document["version"], document["position"])
            return True

    def new_stream_documents(self, drafts: Sequence[Draft], *, cause: Cause, now: datetime) -> list[Document]:
        """The documents of a new stream's first events. Stores nothing: the caller's group commit inserts them."""
        return self._documents(drafts, 0, _next_position(now, None), cause, now)

    async def version(self, stream: str, session: Session | None = None) -> int:
        """The newest version of a stream; 0 when it has no event."""
        head = await self.events.find_one({"stream": stream}, {"version": 1}, sort=[("version", -1)], session=session)
        return int(head["version"]) if head else 0

    async def versions(self, streams: Sequence[str], session: Session | None = None) -> dict[str, int]:
        """Stream → newest version, without the streams that have no event."""
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"stream": {"$in": list(streams)}}},
            {"$group": {"_id": "$stream", "version": {"$max": "$version"}}},
        ]
        heads = await self.events.aggregate(pipeline, session=session).to_list(None)
        return {str(head["_id"]): int(head["version"]) for head in heads}

    async def bodies_by_id(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        """Event id → body, without the ids that are not stored."""
        documents = self.events.find({"_id": {"$in": list(event_ids)}}, {"body": 1})
        return {str(document["_id"]): bytes(document["body"]) async for document in documents}

    async def bodies_of_stream(self, stream: str, types: Sequence[str]) -> list[bytes]:
        """The bodies of a stream's events of these types, oldest first."""
        type_attributes = [f'"type":"{event_type}"'.encode() for event_type in types]
        documents = self.events.find({"stream": stream}, {"body": 1}).sort("version", 1)
        bodies = [bytes(document["body"]) async for document in documents]
        # The envelope's `type` stands among the first attributes: no need to parse bodies of 256 kB to see it.
        return [body for body in bodies if any(attribute in body[:400] for attribute in type_attributes)]

    async def _positions(self, versions: Mapping[str, int], session: Session) -> dict[str, int]:
        """Stream → position of the event with this version. Raises StreamMoved when one is not stored."""
        heads = [{"stream": stream, "version": version} for stream, version in versions.items() if version]
        if not heads:
            return {}
        stored = self.events.find({"$or": heads}, {"stream": 1, "position": 1}, session=session)
        positions = {str(event["stream"]): int(event["position"]) async for event in stored}
        missing = [head for head in heads if head["stream"] not in positions]
        if missing:
            raise StreamMoved(
                f"stream {missing[0]['stream']} has no version {missing[0]['version']}"
                + (f" ({len(missing)} streams in all)" if len(missing) > 1 else "")
            )
        return positions

    async def _head(self, stream: str) -> tuple[int, int | None]:
        """Version and position of a stream's newest event; 0 and None when it has none."""
        head = await self.events.find_one({"stream": stream}, {"version": 1, "position": 1}, sort=[("version", -1)])
        return (int(head["version"]), int(head["position"])) if head else (0, None)

    def _cache_head(self, stream: str, version: int, position: int) -> None:
        """Only a guess: when another process appends meanwhile, the insert finds the version taken."""
        while len(self._cached_heads) >= MAX_CACHED_HEADS:
            del self._cached_heads[next(iter(self._cached_heads))]
        self._cached_heads[stream] = (version, position)

    def _documents(
        self, drafts: Sequence[Draft], expected: int, position: int, cause: Cause, now: datetime
    ) -> list[Document]:
        """Documents of one stream's events, with consecutive versions and positions."""
        return [
            self._document(draft, expected + 1 + offset, position + offset, cause, now)
            for offset, draft in enumerate(drafts)
        ]

    def _document(self, draft: Draft, version: int, position: int, cause: Cause, now: datetime) -> Document:
        return {
            "_id": draft.id,
            "topic": draft.data.topic,
            "stream": draft.data.stream,
            "version": version,
            "position": position,
            "body": compose(draft, source=self.source, version=version, time=now, cause=cause),
            "pending": True,
        }


def _next_position(now: datetime, head_position: int | None) -> int:
    """Microseconds since 1970, but always after the stream's head.

    The relay reads in order of position; a clock that jumps back must not put an event before its predecessor.
    """
    clock = int(now.timestamp() * 1_000_000)
    return clock if head_position is None else max(clock, head_position + 1)
