"""`passage audit diff`: folds Kafka into a shadow database and holds it against what the services keep.

The one place where the audit reaches MongoDB: it reads the services' databases and writes nothing but its shadow.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from services.approval.model import ApprovalRequest, SlotPool
from services.notify.model.whereabouts import Whereabouts
from services.passage.projections import ITEMS
from services.passage.projections.projection import Comparable, Item, as_kept, unequal, whole
from services.passage.projections.streams import FOLDS
from services.registration.group_trip import GroupTrip
from services.registration.model import Registration
from services.safety.model import CountryState
from shared.audit.evidence import Evidence
from shared.audit.projections import Difference, Fold
from shared.audit.settings import NotConfigured
from shared.errors import TransientError
from shared.events import PersonErased
from shared.ids import new_id
from shared.mongo.client import Database, Document, Mongo, PyMongoError, ReplaceOne

#: Documents that are kept in memory before they go to the shadow database.
KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Projection:
    """One collection: how it is made of events, by the fold of a stream or item by item.

    `comparable`: what of a live document is made of events alone.
    """

    service: str
    collection: str
    comparable: Callable[[Document], Comparable]
    fold: Fold | None = None
    model: type[BaseModel] | None = None
    item: Item | None = None

    @property
    def name(self) -> str:
        """`service.collection`."""
        return f"{self.service}.{self.collection}"

    def wanted(self, rebuilt: Document) -> Comparable:
        """What a live document must say."""
        return self.comparable(rebuilt) if self.item else {"version": rebuilt["version"], **rebuilt["state"]}

    def differing(self, wanted: Comparable, own: Comparable) -> set[str]:
        """The fields of a live document that are not as they must be."""
        return self.item.differing(wanted, own) if self.item else unequal(wanted, own)

    def is_ahead(self, own: Comparable) -> bool:
        """Whether a live document may be there already while no event says so."""
        return self.item is not None and self.item.is_ahead(own)


def _whereabouts(document: Document) -> Comparable:
    return {"version": document["version"], **document["state"]}


_MODELS: Mapping[tuple[str, str], tuple[type[BaseModel], Callable[[Document], Comparable]]] = {
    ("approval", "requests"): (ApprovalRequest, whole),
    ("approval", "pools"): (SlotPool, whole),
    ("registration", "registrations"): (Registration, whole),
    ("registration", "trips"): (GroupTrip, whole),
    ("safety", "countries"): (CountryState, whole),
    ("notify", "whereabouts"): (Whereabouts, _whereabouts),
}


def _of_fold(fold: Fold) -> Projection:
    model, comparable = _MODELS[fold.service, fold.kind]
    return Projection(fold.service, fold.kind, comparable, fold, model)


PROJECTIONS = (
    *map(_of_fold, FOLDS),
    *(Projection(service, name, item.comparable, item=item) for (service, name), item in ITEMS.items()),
)


class ShadowRebuild:
    """A shadow database beside the live ones. Memory: KEPT documents, and who was erased."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._name = f"shadow-{new_id()[-12:]}"
        self._shadow: Database = mongo.database(self._name)
        self._kept: dict[tuple[str, str], Document] = {}
        self._spilled = False
        self._erased: set[str] = set()
        self.counts: dict[str, int] = {}

    async def fold(self, evidence: Evidence) -> None:
        """Fold one event into whatever it makes."""
        data = evidence.data
        if isinstance(data, PersonErased):
            self._erased.add(data.person_id)
        for projection in PROJECTIONS:
            if projection.fold is not None and projection.fold.takes(evidence):
                await self._evolve(projection, projection.fold, evidence)
            elif projection.item is not None:
                await self._follow(projection, projection.item, evidence)
        if len(self._kept) > KEPT:
            await self.flush()

    async def _evolve(self, projection: Projection, fold: Fold, evidence: Evidence) -> None:
        former = (await self._load(projection, [evidence.subject])) if evidence.streamversion > 1 else {}
        state = None
        if evidence.subject in former:
            assert projection.model is not None
            state = projection.model.model_validate(former[evidence.subject]["state"])
        elif evidence.streamversion > 1:
            return  # a stream that begins with facts of another kind
        after = fold.evolve(state, evidence.data, evidence.at, evidence.streamversion)
        if after is not None:
            dumped = after.model_dump(mode="json", by_alias=True)
            self._put(projection, evidence.subject, {"version": evidence.streamversion, "state": dumped})

    async def _follow(self, projection: Projection, item: Item, evidence: Evidence) -> None:
        said = item.said(evidence)
        former = await self._load(projection, list(said)) if said else {}
        for identity, part in said.items():
            self._put(projection, identity, item.after(former.get(identity), evidence, part))

    async def _load(self, projection: Projection, ids: list[str]) -> dict[str, Document]:
        found = {each: self._kept[projection.name, each] for each in ids if (projection.name, each) in self._kept}
        missing = [each for each in ids if each not in found]
        if missing and self._spilled:
            async for document in self._shadow[projection.name].find({"_id": {"$in": missing}}):
                found[str(document["_id"])] = document
        return found

    def _put(self, projection: Projection, identity: str, document: Document) -> None:
        self._kept[projection.name, identity] = {"_id": identity, **document}

    async def flush(self) -> None:
        """What is kept in memory goes to the shadow database."""
        writes: dict[str, list[ReplaceOne[Document]]] = {}
        for (name, identity), document in self._kept.items():
            writes.setdefault(name, []).append(ReplaceOne({"_id": identity}, document, upsert=True))
        for name, batch in writes.items():
            await self._shadow[name].bulk_write(batch, ordered=False)
        self._kept.clear()
        self._spilled = True

    async def differences(self) -> AsyncIterator[Difference]:
        """Both sides by id, side by side."""
        for projection in PROJECTIONS:
            self.counts[projection.name] = 0
            kept_by = projection.item.kept if projection.item else as_kept
            live = kept_by(self._mongo.database(projection.service)[projection.collection])
            shadow = as_kept(self._shadow[projection.name])
            async for identity, rebuilt, kept in _side_by_side(shadow, live):
                self.counts[projection.name] += 1
                difference = self._compare(projection, identity, rebuilt, kept)
                if difference is not None:
                    yield difference

    def _compare(
        self, projection: Projection, identity: str, rebuilt: Document | None, kept: Document | None
    ) -> Difference | None:
        def differs(what: str, fields: Iterable[str] = ()) -> Difference:
            alone = identity.rpartition("#")[2]  # without where it stands
            return Difference(projection.service, projection.collection, alone, what, tuple(fields))

        if kept is None:
            return differs("is in the events and is not kept")
        own = projection.comparable(kept)
        if rebuilt is None:
            return None if projection.is_ahead(own) else differs("is kept and is not in the events")
        wanted = projection.wanted(rebuilt)
        if own.get("version", 0) > wanted.get("version", 0):
            return differs("is newer than the newest event on Kafka; run again when the relay has caught up")
        differing = projection.differing(wanted, own)
        fields = sorted(name for name in differing if not self._is_erased(wanted, own, name))
        return differs("is not what its events say", fields) if fields else None

    def _is_erased(self, wanted: Comparable, own: Comparable, name: str) -> bool:
        """A sealed field may be gone where the person's key was destroyed, and only there."""
        sealed = str(wanted.get(name)).startswith("sealed:v1:")
        return sealed and own.get(name) is None and wanted.get("personId") in self._erased

    async def close(self) -> None:
        """The shadow goes away."""
        try:
            await self._mongo.drop(self._name)
        finally:
            self._mongo.close()


async def _side_by_side(
    first: AsyncIterator[Document], second: AsyncIterator[Document]
) -> AsyncIterator[tuple[str, Document | None, Document | None]]:
    one, other = await anext(aiter(first), None), await anext(aiter(second), None)
    while one is not None or other is not None:
        if other is None or (one is not None and one["_id"] < other["_id"]):
            assert one is not None
            yield str(one["_id"]), one, None
            one = await anext(first, None)
        elif one is None or other["_id"] < one["_id"]:
            yield str(other["_id"]), None, other
            other = await anext(second, None)
        else:
            yield str(one["_id"]), one, other
            one, other = await anext(first, None), await anext(second, None)


async def open_shadow() -> ShadowRebuild:
    """Beside the databases that AUDIT_MONGO_URL, or MONGO_URL, names. Raises NotConfigured, TransientError."""
    url = os.environ.get("AUDIT_MONGO_URL") or os.environ.get("MONGO_URL")
    if not url:
        raise NotConfigured("MONGO_URL is not set: against which databases?")
    mongo = Mongo(url, namespace=os.environ.get("AUDIT_NAMESPACE") or os.environ.get("NAMESPACE", ""))
    try:
        await mongo.ping()
    except (PyMongoError, TransientError):
        mongo.close()
        raise TransientError("MongoDB does not answer") from None
    return ShadowRebuild(mongo)
