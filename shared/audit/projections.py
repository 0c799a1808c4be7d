"""Stream folds of the services. `services/passage` hands them in, because `shared` never imports a service."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from shared.audit.evidence import Evidence
from shared.events import Event

#: evolve(state before, event, its time, its version) -> state after; None while the event starts no state
Evolve = Callable[[Any, Event, datetime, int], BaseModel | None]


@dataclass(frozen=True, slots=True)
class Fold:
    """How a service builds one kind of state: the events that it folds, and the function that folds them."""

    service: str
    kind: str
    topic: str
    accepts: type[Event] | tuple[type[Event], ...]
    evolve: Evolve

    def takes(self, evidence: Evidence) -> bool:
        """Whether this fold uses the event."""
        return evidence.record.topic == self.topic and isinstance(evidence.data, self.accepts)


@dataclass(slots=True)
class ValueOrigin:
    """The event that set a value."""

    id: str
    type: str
    at: datetime
    place: str

    @classmethod
    def of(cls, evidence: Evidence) -> "ValueOrigin":
        """The origin for a value that this event set."""
        return cls(evidence.id, evidence.type, evidence.at, evidence.place)


@dataclass(slots=True)
class FoldedState:
    """The state of one stream, and for each value the event that set it."""

    fold: Fold
    id: str
    version: int
    state: dict[str, Any]
    because: dict[str, ValueOrigin]
    model: BaseModel


class Folder:
    """Folds events into states, by all folds of the services."""

    def __init__(self, folds: tuple[Fold, ...]) -> None:
        self._folds = folds
        self.known: dict[tuple[str, str, str], FoldedState] = {}

    def take(self, evidence: Evidence) -> None:
        """Fold the next event. Events of one stream must come in order."""
        for fold in self._folds:
            if fold.takes(evidence):
                self._evolve(fold, evidence)

    def _evolve(self, fold: Fold, evidence: Evidence) -> None:
        key = (fold.service, fold.kind, evidence.subject)
        before = self.known.get(key)
        if before is None and evidence.streamversion > 1 and fold.kind != "advice":
            return  # the stream begins with events that the fold does not use, or before the range that was read
        after = fold.evolve(before.model if before else None, evidence.data, evidence.at, evidence.streamversion)
        if after is None:
            return
        state = after.model_dump(mode="json", by_alias=True)
        because = dict(before.because) if before else {}
        former: Mapping[str, Any] = before.state if before else {}
        for name, value in state.items():
            if name not in former or former[name] != value:
                because[name] = ValueOrigin.of(evidence)
        self.known[key] = FoldedState(fold, evidence.subject, evidence.streamversion, state, because, after)


@dataclass(frozen=True, slots=True)
class Difference:
    """A live document that differs from the rebuilt one. `fields` is empty when one side lacks the document."""

    service: str
    collection: str
    id: str
    what: str
    fields: tuple[str, ...]


class Rebuild(Protocol):
    """Database access for `diff`. Implemented in services/passage/rebuild.py, the only audit code that uses MongoDB."""

    async def fold(self, evidence: Evidence) -> None:
        """Fold one event into the shadow database."""

    async def flush(self) -> None:
        """Write everything folded so far to the shadow database."""

    async def settle(self) -> None:
        """Forget each difference whose live document, as it was read, is what the events say by now.

        Called after each event that is read on, it ends the comparison of a document that never stands still: the
        document was read before its newest event was published.
        """

    def differences(self) -> AsyncIterator[Difference]:
        """Compare the shadow with the live databases, document by document in order of id."""

    async def compare_again(self) -> tuple[list[Difference], bool]:
        """Compare the documents that differed last time. Returns the remaining differences, and whether one changed."""

    @property
    def counts(self) -> dict[str, int]:
        """`service.collection` → number of documents compared."""

    async def close(self) -> None:
        """Drop the shadow database."""
