"""Aggregates: each is one document, the fold of its stream. Events and state are stored in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from shared.bus.outbox import Outbox, StreamMoved
from shared.envelope import Cause, Draft
from shared.events import Event
from shared.mongo.client import Collection, Document, InsertOne, ReplaceOne, Session

S = TypeVar("S", bound=BaseModel)

#: evolve(state before, event, when it happened, its streamversion) -> state after
Evolve = Callable[[S | None, Event, datetime, int], S]


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """An aggregate as loaded. `state` is None and `version` 0 when it does not exist yet."""

    id: str
    state: S | None
    version: int


class Aggregates(Generic[S]):
    """Aggregates of one kind, stored as `{_id, version, …state}` with the state's wire names."""

    def __init__(self, collection: Collection, outbox: Outbox, model: type[S], evolve: Evolve[S]) -> None:
        self.collection = collection
        self._outbox = outbox
        self._model = model
        self._evolve = evolve

    async def load(self, aggregate_id: str, session: Session | None = None) -> Loaded[S]:
        """The aggregate with this id, from the session's snapshot when one is given."""
        document = await self.collection.find_one({"_id": aggregate_id}, session=session)
        if document is None:
            return Loaded(aggregate_id, None, 0)
        return Loaded(aggregate_id, self.read(document), int(document["version"]))

    def read(self, document: Document) -> S:
        """The state in a stored document."""
        return self._model.model_validate({key: value for key, value in document.items() if key not in _OWN_FIELDS})

    async def record(
        self,
        loaded: Loaded[S],
        drafts: Sequence[Draft],
        *,
        cause: Cause,
        now: datetime,
        session: Session,
    ) -> Loaded[S]:
        """Append the events and store the state after them, in the caller's transaction. Raises as `Outbox.append`."""
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
        self, aggregate_id: str, drafts: Sequence[Draft], *, cause: Cause, now: datetime, first_state: S | None = None
    ) -> tuple[Loaded[S], dict[str, list[Document]]]:
        """A new aggregate and its documents by collection, for a group commit. Stores nothing.

        `first_state`: the state after the first event, when the caller has computed it already.
        """
        after = self._after(Loaded(aggregate_id, None, 0), drafts, now, first_state)
        events = self._outbox.new_stream_documents(drafts, cause=cause, now=now)
        return after, {self._outbox.events.name: events, self.collection.name: [_document(after)]}

    async def record_all(
        self,
        changes: Sequence[tuple[Loaded[S], Sequence[Draft]]],
        *,
        cause: Cause | Mapping[str, Cause],
        now: datetime,
        session: Session,
    ) -> list[Loaded[S]]:
        """As `record`, for many aggregates in the same number of round trips. Each has at least one draft.

        `cause` is that of every event, or a mapping stream → cause.
        Raises StreamMoved or DuplicateKeyError when one of them changed since it was loaded; then nothing may be
        committed.
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
            ReplaceOne({"_id": loaded.id, "version": loaded.version}, _document(changed))
            if loaded.version
            else InsertOne(_document(changed))
            for (loaded, _), changed in zip(changes, after, strict=True)
        ]
        if writes:
            written = await self.collection.bulk_write(writes, session=session)
            if written.matched_count + written.inserted_count < len(writes):
                raise StreamMoved(f"another writer changed one of {len(writes)} aggregates since they were loaded")
        return after

    def _after(
        self, loaded: Loaded[S], drafts: Sequence[Draft], now: datetime, first_state: S | None = None
    ) -> Loaded[S]:
        state = loaded.state if first_state is None else first_state
        for offset, draft in enumerate(drafts):
            if offset == 0 and first_state is not None:
                continue
            state = self._evolve(state, draft.data, now, loaded.version + 1 + offset)
        return Loaded(loaded.id, state, loaded.version + len(drafts))


def _document(loaded: Loaded[Any]) -> Document:
    assert loaded.state is not None
    return {"_id": loaded.id, "version": loaded.version, **loaded.state.model_dump(mode="json", by_alias=True)}


_OWN_FIELDS = {"_id", "version"}
