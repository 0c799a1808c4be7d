"""One aggregate = one document = the fold of its stream: facts and state change in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from shared.bus.outbox import Outbox, StreamMoved
from shared.envelope import Cause, Draft
from shared.events import Event
from shared.mongo.client import Collection, Document, InsertOne, ReplaceOne, Session

S = TypeVar("S", bound=BaseModel)

#: evolve(state before, fact, when it happened, its streamversion) -> state after
Evolve = Callable[[S | None, Event, datetime, int], S]


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """An aggregate as stored; `state` is None and `version` 0 when there is none yet."""

    id: str
    state: S | None
    version: int


class Aggregates(Generic[S]):
    """Aggregates of one kind, kept as `{_id, version, …state}` with the state's wire names."""

    def __init__(self, collection: Collection, outbox: Outbox, model: type[S], evolve: Evolve[S]) -> None:
        self.collection = collection
        self._outbox = outbox
        self._model = model
        self._evolve = evolve

    async def load(self, aggregate_id: str, session: Session | None = None) -> Loaded[S]:
        """The aggregate by its id, inside the session's snapshot when one is given."""
        document = await self.collection.find_one({"_id": aggregate_id}, session=session)
        if document is None:
            return Loaded(aggregate_id, None, 0)
        return Loaded(aggregate_id, self.read(document), int(document["version"]))

    def read(self, document: Document) -> S:
        """The state in a stored document."""
        return self._model.model_validate({key: value for key, value in document.items() if key not in _OURS})

    async def record(
        self,
        loaded: Loaded[S],
        drafts: Sequence[Draft],
        *,
        cause: Cause,
        now: datetime,
        session: Session,
    ) -> Loaded[S]:
        """Append the facts and store the state they lead to, in the caller's transaction."""
        if not drafts:
            return loaded
        await self._outbox.append(drafts, expected=loaded.version, cause=cause, now=now, session=session)
        after = self._after(loaded, drafts, now)
        if loaded.version:
            await self.collection.replace_one({"_id": loaded.id}, _document(after), upsert=True, session=session)
        else:
            await self.collection.insert_one(_document(after), session=session)
        return after

    def new_documents(
        self, aggregate_id: str, drafts: Sequence[Draft], *, cause: Cause, now: datetime, begun: S | None = None
    ) -> tuple[Loaded[S], dict[str, list[Document]]]:
        """A new aggregate, and what has to be inserted for it to be: collection → documents, all or none.

        `begun`: the state after the first of the facts, where the caller has evolved it already.
        """
        after = self._after(Loaded(aggregate_id, None, 0), drafts, now, begun)
        events = self._outbox.new_stream_documents(drafts, cause=cause, now=now)
        return after, {self._outbox.events.name: events, self.collection.name: [_document(after)]}

    async def record_all(
        self, changes: Sequence[tuple[Loaded[S], Sequence[Draft]]], *, cause: Cause, now: datetime, session: Session
    ) -> list[Loaded[S]]:
        """The same for many aggregates at once, each on exactly the version that was loaded, none without drafts.

        Raises StreamMoved or DuplicateKeyError when one of them moved; then nothing may be committed.
        """
        await self._outbox.append(
            [draft for _, drafts in changes for draft in drafts],
            expected={loaded.id: loaded.version for loaded, _ in changes},
            cause=cause,
            now=now,
            session=session,
        )
        after = [self._after(loaded, drafts, now) for loaded, drafts in changes]
        writes: list[InsertOne[Document] | ReplaceOne[Document]] = [
            ReplaceOne({"_id": loaded.id, "version": loaded.version}, _document(each))
            if loaded.version
            else InsertOne(_document(each))
            for (loaded, _), each in zip(changes, after, strict=True)
        ]
        if writes:
            written = await self.collection.bulk_write(writes, session=session)
            if written.matched_count + written.inserted_count < len(writes):
                raise StreamMoved("an aggregate was written by others meanwhile")
        return after

    def _after(self, loaded: Loaded[S], drafts: Sequence[Draft], now: datetime, begun: S | None = None) -> Loaded[S]:
        state = loaded.state if begun is None else begun
        for offset, draft in enumerate(drafts):
            if offset == 0 and begun is not None:
                continue
            state = self._evolve(state, draft.data, now, loaded.version + 1 + offset)
        return Loaded(loaded.id, state, loaded.version + len(drafts))


def _document(loaded: Loaded[Any]) -> Document:
    assert loaded.state is not None
    return {"_id": loaded.id, "version": loaded.version, **loaded.state.model_dump(mode="json", by_alias=True)}


_OURS = {"_id", "version"}
