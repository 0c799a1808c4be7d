"""A kind of thing that is no stream of its own, and how its documents are made of the facts that name it."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.audit.evidence import Evidence
from shared.mongo.client import Collection, Document

_ABSENT = object()
#: What of a document is made of events alone.
Comparable = dict[str, Any]


async def as_kept(collection: Collection) -> AsyncIterator[Document]:
    """Its documents in order of their ids."""
    async for document in collection.find({}).sort("_id", 1):
        yield document


def whole(document: Document) -> Comparable:
    """Everything but its id."""
    return {name: value for name, value in document.items() if name != "_id"}


def unequal(wanted: Comparable, own: Comparable) -> set[str]:
    """The fields that are not the same on both sides."""
    return {name for name in {*own, *wanted} if own.get(name, _ABSENT) != wanted.get(name, _ABSENT)}


def never(_: Comparable) -> bool:
    """Whatever is kept was said before."""
    return False


@dataclass(frozen=True, slots=True)
class Item:
    """A kind of them. `said`: the `_id` of each thing that a fact is about, with what the fact says of it.

    `after`: the document after what was said. `comparable`: what of a document is made of events alone.
    `kept`: the service's documents in order of their ids. An id may begin with where the thing stands: `where#id`.
    `differing`: which fields of what is kept are not as the events say. `is_ahead`: what may be kept already while no
    event says it.
    """

    said: Callable[[Evidence], Mapping[str, Any]]
    after: Callable[[Document | None, Evidence, Any], Document]
    comparable: Callable[[Document], Comparable] = whole
    kept: Callable[[Collection], AsyncIterator[Document]] = as_kept
    differing: Callable[[Comparable, Comparable], set[str]] = unequal
    is_ahead: Callable[[Comparable], bool] = never


def shard_place(alert_id: str, shard: int) -> str:
    """Where things of a shard of an alert stand; such places are in the order of (alert, shard)."""
    return f"{alert_id}#{shard:05d}"


async def by_place(parts: AsyncIterator[tuple[str, Mapping[str, Document]]]) -> AsyncIterator[Document]:
    """Documents in order of their ids, of parts whose places come in order: a place is in memory as a whole.

    `parts`: where, name → document; several parts of one place follow one another.
    """
    here, where = dict[str, Document](), ""
    async for place_, documents in parts:
        if place_ != where:
            for document in _sorted(where, here):
                yield document
            where, here = place_, {}
        here |= documents
    for document in _sorted(where, here):
        yield document


def _sorted(where: str, here: Mapping[str, Document]) -> list[Document]:
    return [{**document, "_id": f"{where}#{name}"} for name, document in sorted(here.items())]
