"""The registration service on a real MongoDB, without HTTP and Kafka; makes many registrations at once."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from services.registration.access import Permissions, permissions_of
from services.registration.commands.deps import CommandDeps
from services.registration.decision_inputs import EvaluationDeps
from services.registration.document_storage import DocumentStorage
from services.registration.model import Registration
from services.registration.store.persons import PersonsStore
from services.registration.store.registrations import Store
from shared import gazetteer
from shared.bus.aggregate import Loaded
from shared.clock import utc_now
from shared.command import Command
from shared.envelope import Cause, Draft, Envelope, draft, parse
from shared.events import (
    ActivityType,
    Event,
    Leg,
    Level,
    LevelChange,
    RegistrationSubmitted,
    SourceChecked,
    StudyAnswers,
    TravelAdviceChanged,
)
from shared.ids import new_id
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Mongo, Session
from shared.mongo.group_commit import GroupCommit
from shared.privacy.keyring import Keyring
from shared.web.identity import Identity

CallerT = TypeVar("CallerT")
CATALOGUE = Path(__file__).resolve().parents[2] / "deploy" / "local" / "catalogue"
KEY = bytes(range(32))
CAUSE = Cause("tests", "tests")
#: Registrations written in one transaction.
TRANSACTION_SIZE = 100


@dataclass
class Parts:
    """One process of the service: what its commands, its evaluations and its scheduler work with."""

    mongo: Mongo
    store: Store
    keyring: Keyring

    @cached_property
    def evaluation(self) -> EvaluationDeps:
        """For evaluations and the scheduler."""
        return EvaluationDeps(self.mongo, self.store, gazetteer.resolve, live_catalogue())

    @cached_property
    def commands(self) -> CommandDeps:
        """For the commands."""
        database = self.mongo.database("registration")
        return CommandDeps(
            mongo=self.mongo,
            database=database,
            store=self.store,
            persons=PersonsStore(database),
            keyring=self.keyring,
            evaluation=self.evaluation,
            documents=DocumentStorage(database, self.keyring, None),
            group_commit=GroupCommit(self.mongo, database),
        )

    async def submit(self, submissions: Sequence[RegistrationSubmitted], at: datetime) -> list[Loaded[Registration]]:
        """Store these submissions as made at that moment, without a decision."""
        stored: list[Loaded[Registration]] = []
        for start in range(0, len(submissions), TRANSACTION_SIZE):
            part = submissions[start : start + TRANSACTION_SIZE]

            async def work(session: Session, part: Sequence[RegistrationSubmitted] = part) -> Any:
                changes = [(_new_registration(submitted), [draft(submitted)]) for submitted in part]
                return await self.store.record_all(changes, cause=CAUSE, now=at, session=session)

            stored += await self.mongo.transaction(work)
        return stored

    async def add(self, registration_id: str, *events: Event, at: datetime | None = None) -> Loaded[Registration]:
        """Store more events about a registration."""

        async def work(session: Session) -> Loaded[Registration]:
            loaded = await self.store.registrations.load(registration_id, session)
            drafts = [Draft(event, new_id()) for event in events]
            return await self.store.record(loaded, drafts, cause=CAUSE, now=at or utc_now(), session=session)

        return await self.mongo.transaction(work)

    async def advise(self, country: str, level: Level, version: int) -> Envelope[TravelAdviceChanged]:
        """The country has this advice level, and its source was read just now; returns the event."""
        now = utc_now()
        event = TravelAdviceChanged(
            country=country, advice_version=version, baseline=version == 1, regions=(), changes=(),
            ministry=LevelChange(before=None, after=level), effective=LevelChange(before=None, after=level),
            source="netherlands", source_version="1", parser_version=1, effective_at=now, text_nl="", text_en="",
            url="https://advice.example/", decided_by="rules",
        )  # fmt: skip
        envelope = _envelope(event, country, version, now)
        await self.store.read_models.save_advice(envelope)
        checked = SourceChecked(
            source="netherlands", checked_at=now, fresh_until=now + timedelta(days=400), countries={country: version}
        )
        await self.store.read_models.save_source(_envelope(checked, "netherlands", version, now))
        return envelope

    async def events(self, registration_id: str) -> list[Event]:
        """The events of a registration."""
        documents = self.store.outbox.events.find({"stream": registration_id}).sort("version", 1)
        return [parse(bytes(document["body"])).data async for document in documents]


def journey(
    departs_in: int, days: int = 60, *, today: datetime | None = None, country: str = "ES", **other: Any
) -> RegistrationSubmitted:
    """A voluntary journey to one country that begins in so many days."""
    start = (today or utc_now()).date() + timedelta(days=departs_in)
    registration_id = other.pop("registration_id", new_id())
    person_id = other.pop("person_id", new_id())
    return RegistrationSubmitted(
        registration_id=registration_id, person_id=person_id, approval_id=None, faculty_id="example-sciences",
        programme_id="example-biology", activity_type=ActivityType.INTERNSHIP, study_related=False, language="en",
        legs=(Leg(start_date=start, end_date=start + timedelta(days=days), country=country),),
        answers=StudyAnswers(credits=False, university_funding=False, transcript_entry=False),
        contact=f"sealed:v1:{person_id}:{registration_id}:x", **other,
    )  # fmt: skip


@dataclass(frozen=True)
class Pauses:
    """Pauses this process at failpoints; `folder` is FAILPOINTS_DIR."""

    folder: Path

    @asynccontextmanager
    async def at(self, name: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
        """Every task that comes to the failpoint waits until the end. Yields a check whether one has come."""
        file = self.folder / name
        file.write_text("pause")

        async def is_reached() -> bool:
            return file.with_suffix(".reached").exists()

        try:
            yield is_reached
        finally:
            file.unlink()


@asynccontextmanager
async def parts(mongo_url: str, namespace: str) -> AsyncIterator[Parts]:
    """The parts in one namespace."""
    mongo = Mongo(mongo_url, namespace=namespace)
    try:
        store = Store(mongo.database("registration"))
        await store.create_indexes()
        yield Parts(mongo, store, Keyring(mongo, KEY))
    finally:
        mongo.close()


live_catalogue = cache(partial(LiveCatalogue, CATALOGUE))


def command_by(caller: CallerT, now: datetime | None = None) -> Command[CallerT]:
    """A command on whatever version there is, without an Idempotency-Key."""
    return Command(caller, None, None, CAUSE, now or utc_now())


def permissions_with(person_id: str, *roles: str) -> Permissions:
    """The permissions of a person with these roles."""
    return permissions_of(Identity(person_id, frozenset(roles)), live_catalogue().current)


def _envelope(event: Any, subject: str, version: int, now: datetime) -> Envelope[Any]:
    return Envelope(
        new_id(), type(event).__name__, "/safety", now, subject, version, "tests", "tests", None, None, None, event
    )


def _new_registration(submitted: RegistrationSubmitted) -> Loaded[Registration]:
    return Loaded(submitted.registration_id, None, 0)
