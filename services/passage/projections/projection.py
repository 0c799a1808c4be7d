"""Defines a document projection: it builds the documents of a collection that is not an event stream."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.audit.evidence import Evidence
from shared.mongo.client import Collection, Document

_ABSENT = object()
#: The part of a document that events determine.
Comparable = dict[str, Any]


async def as_kept(collection: Collection) -> AsyncIterator[Document]:
    """All documents of a collection, in order of id."""
    async for document in collection.find({}).sort("_id", 1):
        yield document


def whole(document: Document) -> Comparable:
    """All fields but the id."""
    return {name: value for name, value in document.items() if name != "_id"}


def unequal(wanted: Comparable, own: Comparable) -> set[str]:
    """The fields in which the two sides differ."""
    return {name for name in {*own, *wanted} if own.get(name, _ABSENT) != wanted.get(name, _ABSENT)}


def never(_: Comparable) -> bool:
    """No live document may exist before its event."""
    return False


@dataclass(frozen=True, slots=True)
class DocumentProjection:
    """How one collection is rebuilt and compared.

    `changes`: id of each document that an event changes → the change. `apply`: the document after a change, if any.
    `comparable`: the part of a document that events determine. `live`: the service's documents in order of id; an id
    may be prefixed with its group, `group#id`. `differing`: the fields of a live document that contradict the events.
    `is_ahead`: whether a live document may exist although no event tells of it yet.
    """

    changes: Callable[[Evidence], Mapping[str, Any]]
    apply: Callable[[Document | None, Evidence, Any], Document | None]
    comparable: Callable[[Document], Comparable] = whole
    live: Callable[[Collection], AsyncIterator[Document]] = as_kept
    differing: Callable[[Comparable, Comparable], set[str]] = unequal
    is_ahead: Callable[[Comparable], bool] = never


def shard_group(alert_id: str, shard: int) -> str:
    """Group of the documents of one shard of an alert. Groups sort like (alert, shard)."""
    return f"{alert_id}#{shard:05d}"


async def by_group(parts: AsyncIterator[tuple[str, Mapping[str, Document]]]) -> AsyncIterator[Document]:
    """Documents in order of id, from parts (group, name → document) whose groups come in order.

    Parts of one group are adjacent. Memory holds one group at a time.
    """
    current, group = dict[str, Document](), ""
    async for part_group, documents in parts:
        if part_group != group:
            for document in _sorted(group, current):
                yield document
            group, current = part_group, {}
        current |= documents
    for document in _sorted(group, current):
        yield document


def _sorted(group: str, documents: Mapping[str, Document]) -> list[Document]:
    return [{**document, "_id": f"{group}#{name}"} for name, document in sorted(documents.items())]
