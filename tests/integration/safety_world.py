"""Safety's commands on a real MongoDB, with a clock that the test sets. Events are read from the outbox."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from services.safety.commands import holds, overrides
from services.safety.commands.country import apply_clock
from services.safety.commands.deps import DecisionDeps, ReadingDeps, ReadingPolicy
from services.safety.commands.readings import adopt_batch
from services.safety.model import CountryState, evolve
from services.safety.reading import Batch, CountryReading
from services.safety.rules.bulk_change_guard import GuardLimits
from services.safety.store.advice import Store
from shared.bus.outbox import Outbox
from shared.command import Command
from shared.envelope import Cause, Envelope, parse
from shared.events import AdviceHeld, AdviceReleased, Event, TravelAdviceChanged
from shared.ids import new_id
from shared.mongo.client import Mongo
from shared.set_aside import SetAside
from shared.web.idempotency import Answer

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


@dataclass
class SafetyWorld:
    """Safety in one namespace. `now` is its clock."""

    mongo: Mongo
    two_persons: bool = False
    limits: GuardLimits = field(default_factory=GuardLimits)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.database = self.mongo.database("safety")
        self.store = Store(self.database, Outbox(self.database, "/safety"))

    @property
    def decision_deps(self) -> DecisionDeps:
        """What the commands on holds and overrides need."""
        return DecisionDeps(self.mongo, self.database, self.store, self.two_persons)

    def command(self, person_id: str) -> Command[str]:
        """A person's command, now, without an Idempotency-Key."""
        return Command(person_id, None, None, Cause("c", new_id()), self.now)

    async def read(
        self, readings: Iterable[CountryReading], parser_version: int = 1, incomplete: str | None = None
    ) -> list[str]:
        """Adopt a batch. `incomplete`: why it is not the whole list."""
        batch = Batch(
            source="netherlands",
            parser_version=parser_version,
            countries=tuple(readings),
            damage=(incomplete,) if incomplete else (),
            incomplete=incomplete,
        )
        policy = ReadingPolicy(timedelta(minutes=30), timedelta(hours=1), self.limits)
        deps = ReadingDeps(self.mongo, self.store, policy)
        return await adopt_batch(deps, batch, began=self.now, now=self.now)

    async def tick(self) -> int:
        """Apply the clock."""
        return await apply_clock(self.mongo, self.store, SetAside(), self.now)

    async def decide(
        self, hold_id: str, decision: holds.Decision, *countries: str, by: str = "officer-1", reason: str = "Looked."
    ) -> Answer:
        """A safety officer decides about a hold."""
        request = holds.RequestedDecision(hold_id, decision, reason, countries)
        return await holds.decide(self.decision_deps, self.command(by), request)

    async def override(self, country: str, level: int, **more: Any) -> Answer:
        """A safety officer sets an override."""
        request = overrides.RequestedOverride(**{
            "country": country, "area": country, "level": level, "loosens": None, "valid_from": self.now.date(),
            "valid_until": None, "document": "Decision 1", "reason": "Unrest.", **more,
        })  # fmt: skip
        return await overrides.set_override(self.decision_deps, self.command("officer-1"), request)

    async def end(self, override_id: str) -> Answer:
        """A safety officer ends an override."""
        command = self.command("officer-1")
        return await overrides.end_override(self.decision_deps, command, override_id, "It is over.")

    async def state(self, country: str) -> CountryState:
        """The stored state of a country."""
        state = (await self.store.countries.load(country)).state
        assert state is not None
        return state

    async def events(self) -> list[Envelope[Event]]:
        """Every event in the outbox, stream by stream."""
        found = self.store.outbox.events.find({}).sort([("stream", 1), ("version", 1)])
        return [parse(bytes(document["body"])) async for document in found]

    async def of(self, kind: type[Event]) -> list[Any]:
        """The events of one type."""
        return [event.data for event in await self.events() if isinstance(event.data, kind)]

    async def news(self) -> list[TravelAdviceChanged]:
        """The changes without the baselines."""
        return [event for event in await self.of(TravelAdviceChanged) if not event.baseline]

    async def check(self) -> None:
        """Every stored country equals the fold of its events."""
        kept = await self.store.all_countries()
        folded: dict[str, CountryState] = {}
        for event in await self.events():
            if isinstance(event.data, TravelAdviceChanged | AdviceHeld | AdviceReleased) or event.subject in kept:
                folded[event.subject] = evolve(folded.get(event.subject), event.data, event.time, event.streamversion)
        assert folded == kept
