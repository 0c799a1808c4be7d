"""`passage audit diff`: rebuilds the services' documents from Kafka in a shadow database, and compares the two.

The only audit code that uses MongoDB. It reads the services' databases and writes only its own shadow.
"""

import os
from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from services.approval.model import ApprovalRequest, SlotPool
from services.notify.model.requests import Request
from services.notify.model.whereabouts import Whereabouts
from services.passage.projections import DOCUMENT_PROJECTIONS
from services.passage.projections.projection import Comparable, DocumentProjection, as_kept, unequal, whole
from services.passage.stream_folds import STREAM_FOLDS
from services.registration.group_trip import GroupTrip
from services.registration.model import Registration
from services.safety.model import CountryState
from shared.audit.evidence import Evidence
from shared.audit.projections import Difference, Fold
from shared.audit.settings import NotConfigured
from shared.errors import TransientError
from shared.events import PersonErased
from shared.ids import new_id
from shared.mongo.client import Collection, Database, Document, Mongo, PyMongoError, ReplaceOne
from shared.privacy.sealed_fields import sealed_fields

ReadLive = Callable[[Collection], AsyncIterator[Document]]
#: Documents buffered in memory before they are written to the shadow database.
BUFFERED = 5_000


@dataclass(frozen=True, slots=True)
class ComparedCollection:
    """One collection and how it is rebuilt: by a stream fold, or by a document projection.

    `comparable`: the part of a live document that events determine. `live`: the service's documents in order of id.
    """

    service: str
    collection: str
    comparable: Callable[[Document], Comparable]
    fold: Fold | None = None
    model: type[BaseModel] | None = None
    documents: DocumentProjection | None = None
    live: ReadLive = as_kept

    @property
    def name(self) -> str:
        """`service.collection`."""
        return f"{self.service}.{self.collection}"

    def wanted(self, rebuilt: Document) -> Comparable:
        """The content that a live document must have."""
        return self.comparable(rebuilt) if self.documents else {"version": rebuilt["version"], **rebuilt["state"]}

    def differing(self, wanted: Comparable, own: Comparable) -> set[str]:
        """The fields of a live document that contradict the events."""
        return self.documents.differing(wanted, own) if self.documents else unequal(wanted, own)

    def is_ahead(self, own: Comparable) -> bool:
        """Whether a live document may exist although no event tells of it yet."""
        return self.documents is not None and self.documents.is_ahead(own)


def _versioned(document: Document) -> Comparable:
    return {"version": document["version"], **document["state"]}


async def _of_registrations(collection: Collection) -> AsyncIterator[Document]:
    """Without the contact details for one service mail, which stand beside the registrations and have no state."""
    async for document in collection.find({"state": {"$exists": True}}).sort("_id", 1):
        yield document


_MODELS: Mapping[tuple[str, str], tuple[type[BaseModel], Callable[[Document], Comparable]]] = {
    ("approval", "requests"): (ApprovalRequest, whole),
    ("approval", "pools"): (SlotPool, whole),
    ("registration", "registrations"): (Registration, whole),
    ("registration", "trips"): (GroupTrip, whole),
    ("safety", "countries"): (CountryState, whole),
    ("notify", "requests"): (Request, _versioned),
    ("notify", "whereabouts"): (Whereabouts, _versioned),
}
#: How the live documents of a fold are read, where not every document of the collection is one.
_LIVE: Mapping[tuple[str, str], ReadLive] = {("notify", "whereabouts"): _of_registrations}


def _by_fold(fold: Fold) -> ComparedCollection:
    model, comparable = _MODELS[fold.service, fold.kind]
    live = _LIVE.get((fold.service, fold.kind), as_kept)
    return ComparedCollection(fold.service, fold.kind, comparable, fold, model, live=live)


COMPARED = (
    *map(_by_fold, STREAM_FOLDS),
    *(
        ComparedCollection(service, name, documents.comparable, documents=documents, live=documents.live)
        for (service, name), documents in DOCUMENT_PROJECTIONS.items()
    ),
)


class ShadowRebuild:
    """A shadow database beside the live ones. Memory: BUFFERED documents, and the ids of erased persons."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._name = f"shadow-{new_id()[-12:]}"
        self._shadow: Database = mongo.database(self._name)
        self._buffer: dict[tuple[str, str], Document] = {}
        #: Folded states as (version, model): a state is dumped once, at the flush, not after each of its events.
        self._states: dict[tuple[str, str], tuple[int, BaseModel]] = {}
        self._spilled = False
        self._erased: set[str] = set()
        #: The documents that differed at the last comparison, and their two sides.
        self._open: dict[tuple[str, str], tuple[Document | None, Document | None]] = {}
        self.counts: dict[str, int] = {}

    async def fold(self, evidence: Evidence) -> None:
        """Fold one event into every document that it changes."""
        data = evidence.data
        if isinstance(data, PersonErased):
            self._erased.add(data.person_id)
        for compared in COMPARED:
            if compared.fold is not None and compared.fold.takes(evidence):
                await self._fold_stream(compared, compared.fold, evidence)
            elif compared.documents is not None:
                await self._change_documents(compared, compared.documents, evidence)
        if len(self._buffer) + len(self._states) > BUFFERED:
            await self.flush()

    async def _fold_stream(self, compared: ComparedCollection, fold: Fold, evidence: Evidence) -> None:
        version, state = evidence.streamversion, None
        if version > 1:
            state = await self._state(compared, evidence.subject)
            if state is None:
                return  # the stream begins with events that this fold does not use
        after = fold.evolve(state, evidence.data, evidence.at, version)
        if after is not None:
            self._states[compared.name, evidence.subject] = version, after

    async def _state(self, compared: ComparedCollection, stream: str) -> BaseModel | None:
        """The folded state of a stream: buffered, or read from the shadow database."""
        buffered = self._states.get((compared.name, stream))
        if buffered is not None:
            return buffered[1]
        document = await self._shadow[compared.name].find_one({"_id": stream}) if self._spilled else None
        if document is None:
            return None
        assert compared.model is not None
        return compared.model.model_validate(document["state"])

    async def _change_documents(
        self, compared: ComparedCollection, projection: DocumentProjection, evidence: Evidence
    ) -> None:
        changes = projection.changes(evidence)
        former = await self._load(compared, list(changes)) if changes else {}
        for identity, change in changes.items():
            document = projection.apply(former.get(identity), evidence, change)
            if document is not None:
                self._put(compared, identity, document)

    async def _load(self, compared: ComparedCollection, ids: list[str]) -> dict[str, Document]:
        name = compared.name
        documents = {identity: self._buffer[name, identity] for identity in ids if (name, identity) in self._buffer}
        missing = [identity for identity in ids if identity not in documents]
        if missing and self._spilled:
            async for document in self._shadow[name].find({"_id": {"$in": missing}}):
                documents[str(document["_id"])] = document
        return documents

    def _put(self, compared: ComparedCollection, identity: str, document: Document) -> None:
        self._buffer[compared.name, identity] = {"_id": identity, **document}

    async def flush(self) -> None:
        """Write the buffered documents to the shadow database."""
        writes: dict[str, list[ReplaceOne[Document]]] = {}
        for (name, identity), document in self._buffer.items():
            writes.setdefault(name, []).append(ReplaceOne({"_id": identity}, document, upsert=True))
        for (name, identity), (version, state) in self._states.items():
            document = {"_id": identity, "version": version, "state": state.model_dump(mode="json", by_alias=True)}
            writes.setdefault(name, []).append(ReplaceOne({"_id": identity}, document, upsert=True))
        for name, batch in writes.items():
            await self._shadow[name].bulk_write(batch, ordered=False)
        self._buffer.clear()
        self._states.clear()
        self._spilled = True

    async def settle(self) -> None:
        """Forget each difference whose live document, as it was read, is what the events say by now."""
        changed = self._open.keys() & (self._buffer.keys() | self._states.keys())
        if not changed:
            return
        await self.flush()
        for compared in COMPARED:
            for name, identity in changed:
                if name == compared.name:
                    rebuilt = await self._shadow[name].find_one({"_id": identity})
                    _, kept = self._open[name, identity]
                    if compare_documents(compared, identity, rebuilt, kept, self._erased) is None:
                        del self._open[name, identity]

    async def differences(self) -> AsyncIterator[Difference]:
        """Read the shadow and the live documents side by side, in order of id, and yield the differences."""
        for compared in COMPARED:
            self.counts[compared.name] = 0
            async for identity, rebuilt, kept in self._sides(compared):
                self.counts[compared.name] += 1
                difference = compare_documents(compared, identity, rebuilt, kept, self._erased)
                if difference is not None:
                    self._open[compared.name, identity] = rebuilt, kept
                    yield difference

    async def compare_again(self) -> tuple[list[Difference], bool]:
        """Compare the documents that differed last time. Only collections that hold such documents are read again.

        Returns the remaining differences, and whether one of the documents has changed since.
        """
        former, self._open = self._open, {}
        differences, has_changed = [], False
        for compared in COMPARED:
            wanted = {identity for name, identity in former if name == compared.name}
            if not wanted:
                continue
            async for identity, rebuilt, kept in self._sides(compared):
                if identity not in wanted:
                    continue
                has_changed |= former[compared.name, identity] != (rebuilt, kept)
                difference = compare_documents(compared, identity, rebuilt, kept, self._erased)
                if difference is not None:
                    self._open[compared.name, identity] = rebuilt, kept
                    differences.append(difference)
        return differences, has_changed

    def _sides(self, compared: ComparedCollection) -> AsyncIterator[tuple[str, Document | None, Document | None]]:
        """Id, rebuilt and live document; None on the side that lacks it."""
        live = compared.live(self._mongo.database(compared.service)[compared.collection])
        return side_by_side(as_kept(self._shadow[compared.name]), live)

    async def close(self) -> None:
        """Drop the shadow database."""
        try:
            await self._mongo.drop(self._name)
        finally:
            self._mongo.close()


def compare_documents(
    compared: ComparedCollection,
    identity: str,
    rebuilt: Document | None,
    kept: Document | None,
    erased: Container[str] = frozenset(),
) -> Difference | None:
    """The difference between a rebuilt and a live document, if any. `erased`: ids of the erased persons. Pure."""

    def differs(problem: str, fields: Iterable[str] = ()) -> Difference:
        own_id = identity.rpartition("#")[2]  # without the group
        return Difference(compared.service, compared.collection, own_id, problem, tuple(fields))

    if kept is None:
        return differs("is in the events and is not kept")
    try:
        own = compared.comparable(kept)
    except (KeyError, TypeError, ValueError):  # a document of another shape must not end the comparison
        return differs("has not the shape of its collection")
    if rebuilt is None:
        return None if compared.is_ahead(own) else differs("is kept and is not in the events")
    wanted = compared.wanted(rebuilt)
    if own.get("version", 0) > wanted.get("version", 0):
        return differs("is newer than the newest event on Kafka; run again when the relay has caught up")
    if wanted.get("personId") in erased or wanted.get("leaderId") in erased:
        wanted = _as_forgotten(wanted, own)
    # A sealed field may be missing only when the person was erased, which destroys the key.
    may_be_missing = _sealed_names(compared.model) if wanted.get("personId") in erased else frozenset()
    differing = compared.differing(wanted, own)
    fields = sorted(name for name in differing if not (name in may_be_missing and own.get(name) is None))
    return differs("is not what its events say", fields) if fields else None


#: Texts that older events have in clear; the services forget them when they erase the person.
_FORGOTTEN = ("place", "kind")


def _as_forgotten(wanted: Any, own: Any) -> Any:
    """What the events say, without the texts of an erased person that the live document has forgotten."""
    if isinstance(wanted, dict) and isinstance(own, dict):
        return {
            name: own[name]
            if name in _FORGOTTEN and own.get(name, value) in (None, "")
            else _as_forgotten(value, own.get(name))
            for name, value in wanted.items()
        }
    if isinstance(wanted, list) and isinstance(own, list) and len(wanted) == len(own):
        return [_as_forgotten(item, live) for item, live in zip(wanted, own, strict=True)]
    return wanted


def _sealed_names(model: type[BaseModel] | None) -> frozenset[str]:
    """The sealed fields of a document, as they are stored."""
    fields = model.model_fields if model is not None else {}
    sealed = sealed_fields(model) if model is not None else frozenset()
    return frozenset(fields[name].alias or name for name in sealed)


async def side_by_side(
    first: AsyncIterator[Document], second: AsyncIterator[Document]
) -> AsyncIterator[tuple[str, Document | None, Document | None]]:
    """Id and the document of each side, in order of id; None on the side that lacks it. Both come in order of id."""
    left, right = await anext(aiter(first), None), await anext(aiter(second), None)
    while left is not None or right is not None:
        if right is None or (left is not None and left["_id"] < right["_id"]):
            assert left is not None
            yield str(left["_id"]), left, None
            left = await anext(first, None)
        elif left is None or right["_id"] < left["_id"]:
            yield str(right["_id"]), None, right
            right = await anext(second, None)
        else:
            yield str(left["_id"]), left, right
            left, right = await anext(first, None), await anext(second, None)


async def open_shadow() -> ShadowRebuild:
    """Open a shadow database at AUDIT_MONGO_URL, or MONGO_URL. Raises NotConfigured, TransientError."""
    url = os.environ.get("AUDIT_MONGO_URL") or os.environ.get("MONGO_URL")
    if not url:
        raise NotConfigured("MONGO_URL is not set: it names the MongoDB with the services' databases")
    mongo = Mongo(url, namespace=os.environ.get("AUDIT_NAMESPACE") or os.environ.get("NAMESPACE", ""))
    try:
        await mongo.ping()
    except (PyMongoError, TransientError):
        mongo.close()
        raise TransientError("MongoDB does not answer: check MONGO_URL and run the command again") from None
    return ShadowRebuild(mongo)
