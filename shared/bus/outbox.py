"""The outbox is the system of record: every event of a service, written with the state it changes.

`events`: {_id, topic, stream, version, position, body, pending}. Never deleted; `pending` goes when it is on Kafka.
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

#: Streams whose end a process remembers.
HEADS_KEPT = 10_000


class StreamMoved(TransientError):
    """Somebody else wrote the stream first: load again and decide again."""


class Outbox:
    """Appends facts to streams of one service. `source` is the CloudEvents source, e.g. `/approval`."""

    def __init__(self, database: Database, source: str) -> None:
        self.events: Collection = database["events"]
        self.source = source
        self._heads: dict[str, tuple[int, int]] = {}

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

    async def version(self, stream: str, session: Session | None = None) -> int:
        """The newest version of a stream; 0 when it has no event."""
        head = await self.events.find_one({"stream": stream}, {"version": 1}, sort=[("version", -1)], session=session)
        return int(head["version"]) if head else 0

    async def versions(self, streams: Sequence[str], session: Session | None = None) -> dict[str, int]:
        """The newest versions of streams; one that has no event is not in the answer."""
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"stream": {"$in": list(streams)}}},
            {"$group": {"_id": "$stream", "version": {"$max": "$version"}}},
        ]
        found = await self.events.aggregate(pipeline, session=session).to_list(None)
        return {str(each["_id"]): int(each["version"]) for each in found}

    async def append(
        self,
        drafts: Sequence[Draft],
        *,
        expected: int,
        cause: Cause,
        now: datetime,
        session: Session | None = None,
    ) -> int:
        """Append to one stream after version `expected` (0: a new stream); returns the new version.

        Inside a transaction a competing writer shows as a retried transaction or DuplicateKeyError; without a
        session only one draft may be given, and DuplicateKeyError means that the stream moved.
        Raises PermanentError for an event over 256 kB, StreamMoved when `expected` is not the head.
        """
        if not drafts:
            return expected
        if session is None and len(drafts) > 1:
            raise ValueError("several events are appended in a transaction only")
        stream = drafts[0].data.stream
        # Order within a stream must not depend on clocks: an event never stands before its predecessor,
        # so the relay can read by position and still never reorder a stream.
        position = int(now.timestamp() * 1_000_000)
        if expected:
            head = await self.events.find_one({"stream": stream, "version": expected}, {"position": 1}, session=session)
            if head is None:
                raise StreamMoved(f"version {expected} is not there")
            position = max(position, int(head["position"]) + 1)
        documents = self._documents(drafts, expected, position, cause, now)
        if session is None:
            await self.events.insert_one(documents[0])
        else:
            await insert(self.events, documents, session)
        return expected + len(drafts)

    async def append_all(
        self, appends: Sequence[tuple[Sequence[Draft], int]], *, cause: Cause, now: datetime, session: Session
    ) -> None:
        """Append to many streams at once, in the caller's transaction: (drafts of one stream, expected version) each.

        The same as `append` for each, with two round trips for all. Raises DuplicateKeyError or StreamMoved when one
        of the streams moved; then nothing of it may be committed.
        """
        clock = int(now.timestamp() * 1_000_000)
        expected_at = {drafts[0].data.stream: expected for drafts, expected in appends}
        sought = [{"stream": stream, "version": version} for stream, version in expected_at.items() if version]
        heads: dict[str, int] = {}
        if sought:
            async for head in self.events.find({"$or": sought}, {"stream": 1, "position": 1}, session=session):
                heads[str(head["stream"])] = int(head["position"])
        if len(heads) < len(sought):
            raise StreamMoved(f"{len(sought) - len(heads)} expected versions are not there")
        documents = [
            document
            for drafts, expected in appends
            for document in self._documents(
                drafts, expected, max(clock, heads.get(drafts[0].data.stream, -1) + 1), cause, now
            )
        ]
        if documents:
            await insert(self.events, documents, session)

    def beginning(self, drafts: Sequence[Draft], *, cause: Cause, now: datetime) -> list[Document]:
        """The first events of a new stream, for the collection `events`, to be inserted with what they lead to."""
        return self._documents(drafts, 0, int(now.timestamp() * 1_000_000), cause, now)

    async def append_once(self, draft: Draft, *, cause: Cause, now: datetime) -> bool:
        """Append one fact without a transaction, at the end of its stream. False: the same fact stands there already.

        For facts with a derived id: whoever crashed between writing and noting it may say it again.
        """
        stream = draft.data.stream
        head = self._heads.pop(stream, None)
        while True:
            if head is None:
                found = await self.events.find_one(
                    {"stream": stream}, {"version": 1, "position": 1}, sort=[("version", -1)]
                )
                head = (int(found["version"]), int(found["position"])) if found else (0, 0)
            position = max(int(now.timestamp() * 1_000_000), head[1] + 1)
            try:
                await self.events.insert_one(self._document(draft, head[0] + 1, position, cause, now))
            except DuplicateKeyError:
                if await self.events.find_one({"_id": draft.id}, {"_id": 1}) is not None:
                    return False
                head = None  # somebody else wrote the stream
                continue
            self._remember(stream, head[0] + 1, position)
            return True

    async def known(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        """The bodies of those of these facts that were written."""
        found = self.events.find({"_id": {"$in": list(event_ids)}}, {"body": 1})
        return {str(document["_id"]): bytes(document["body"]) async for document in found}

    async def of_stream(self, stream: str, types: Sequence[str]) -> list[bytes]:
        """The bodies of a stream's facts of these types, in order."""
        marks = [f'"type":"{each}"'.encode() for each in types]
        found = self.events.find({"stream": stream}, {"body": 1}).sort("version", 1)
        bodies = [bytes(document["body"]) async for document in found]
        return [body for body in bodies if any(mark in body[:400] for mark in marks)]

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

    def _remember(self, stream: str, version: int, position: int) -> None:
        """A guess at the head, to spare a read; whoever wrote in between shows as a version that is taken."""
        while len(self._heads) >= HEADS_KEPT:
            del self._heads[next(iter(self._heads))]
        self._heads[stream] = (version, position)

    def _documents(
        self, drafts: Sequence[Draft], expected: int, position: int, cause: Cause, now: datetime
    ) -> list[Document]:
        """The events of one stream as they are kept."""
        return [
            self._document(draft, expected + 1 + offset, position + offset, cause, now)
            for offset, draft in enumerate(drafts)
        ]
