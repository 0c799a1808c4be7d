"""The outbox is the system of record: every event of a service, written with the state it changes.

`events`: {_id, topic, stream, version, position, body, pending}. Never deleted; `pending` goes when it is on Kafka.
"""

from collections.abc import Sequence
from datetime import datetime

from shared.envelope import Cause, Draft, compose
from shared.errors import TransientError
from shared.mongo.client import ASCENDING, Collection, Database, IndexModel, Session


class StreamMoved(TransientError):
    """Somebody else wrote the stream first: load again and decide again."""


class Outbox:
    """Appends facts to streams of one service. `source` is the CloudEvents source, e.g. `/approval`."""

    def __init__(self, database: Database, source: str) -> None:
        self.events: Collection = database["events"]
        self.source = source

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
        documents = []
        for offset, draft in enumerate(drafts):
            version = expected + 1 + offset
            documents.append(
                {
                    "_id": draft.id,
                    "topic": draft.data.topic,
                    "stream": stream,
                    "version": version,
                    "position": position + offset,
                    "body": compose(draft, source=self.source, version=version, time=now, cause=cause),
                    "pending": True,
                }
            )
        if session is None:
            await self.events.insert_one(documents[0])
        else:
            await self.events.insert_many(documents, session=session)
        return expected + len(drafts)
