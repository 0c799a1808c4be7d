"""Stream folds of the services. `services/passage` hands them in, because `shared` never imports a service."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from shared.audit.evidence import Evidence
from shared.events import Event

#: evolve(state before, fact, when it happened, its version) -> state after; None where there is none yet
Evolve = Callable[[Any, Event, datetime, int], BaseModel | None]


@dataclass(frozen=True, slots=True)
class Fold:
    """One kind of thing that a service knows: which facts make it, and how."""

    service: str
    kind: str
    topic: str
    accepts: type[Event] | tuple[type[Event], ...]
    evolve: Evolve

    def takes(self, evidence: Evidence) -> bool:
        """Whether the event is one of its facts."""
        return evidence.record.topic == self.topic and isinstance(evidence.data, self.accepts)


@dataclass(slots=True)
class Because:
    """The event that made a value."""

    id: str
    type: str
    at: datetime
    place: str

    @classmethod
    def of(cls, evidence: Evidence) -> "Because":
        """This event."""
        return cls(evidence.id, evidence.type, evidence.at, evidence.place)


@dataclass(slots=True)
class Known:
    """One thing as it was known, and for each value the event that made it."""

    fold: Fold
    id: str
    version: int
    state: dict[str, Any]
    because: dict[str, Because]
    model: BaseModel


class Folder:
    """Folds the events it is fed with: everything that the question is about."""

    def __init__(self, folds: tuple[Fold, ...]) -> None:
        self._folds = folds
        self.known: dict[tuple[str, str, str], Known] = {}

    def take(self, evidence: Evidence) -> None:
        """One more event, in the order of its stream."""
        for fold in self._folds:
            if fold.takes(evidence):
                self._evolve(fold, evidence)

    def _evolve(self, fold: Fold, evidence: Evidence) -> None:
        key = (fold.service, fold.kind, evidence.subject)
        before = self.known.get(key)
        if before is None and evidence.streamversion > 1 and fold.kind != "advice":
            return  # the stream begins with facts that the fold does not take, or outside of what was read
        after = fold.evolve(before.model if before else None, evidence.data, evidence.at, evidence.streamversion)
        if after is None:
            return
        state = after.model_dump(mode="json", by_alias=True)
        because = dict(before.because) if before else {}
        former: Mapping[str, Any] = before.state if before else {}
        for name, value in state.items():
            if name not in former or former[name] != value:
                because[name] = Because.of(evidence)
        self.known[key] = Known(fold, evidence.subject, evidence.streamversion, state, because, after)


@dataclass(frozen=True, slots=True)
class Difference:
    """One document that is not what the events say. `fields` differ; empty: one side lacks the whole document."""

    service: str
    collection: str
    id: str
    what: str
    fields: tuple[str, ...]


class Rebuild(Protocol):
    """What `diff` needs of the databases. services/passage/rebuild.py has it: MongoDB may be reached only there."""

    async def fold(self, evidence: Evidence) -> None:
        """Fold one event into the shadow database."""

    async def flush(self) -> None:
        """Everything folded so far stands there."""

    def differences(self) -> AsyncIterator[Difference]:
        """The shadow against the live database, document by document in order."""

    @property
    def counts(self) -> dict[str, int]:
        """`service.collection` → documents compared."""

    async def close(self) -> None:
        """Drop the shadow database."""
