"""The registration service's parts on a real MongoDB, without HTTP and Kafka: many registrations made at once."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from services.registration.access import Permissions, permissions_of
from services.registration.commands.registrations import CommandDeps
from services.registration.document_storage import DocumentStorage
from services.registration.evaluation import EvaluationDeps
from services.registration.model import Registration
from services.registration.store.persons import PersonsStore
from services.registration.store.store import Store
from shared import catalogue_files, gazetteer
from shared.bus.aggregate import Loaded
from shared.clock import utc_now
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
from shared.mongo.client import Mongo, Session
from shared.mongo.group_commit import GroupCommit
from shared.privacy.keyring import Keyring
from shared.web.identity import Identity

CATALOGUE = Path(__file__).resolve().parents[2] / "deploy" / "local" / "catalogue"
KEY = bytes(range(32))
CAUSE = Cause("tests", "tests")
#: Registrations written in one transaction.
TOGETHER = 100


@dataclass
class Parts:
    """One process of the service: what its commands, its second looks and its scheduler work with."""

    mongo: Mongo
    store: Store
    keyring: Keyring

    @cached_property
    def deps(self) -> EvaluationDeps:
        """For second looks and the scheduler."""
        return EvaluationDeps(self.mongo, self.store, gazetteer.resolve, known())

    @cached_property
    def commands(self) -> CommandDeps:
        """For what people ask."""
        database = self.mongo.database("registration")
        documents = DocumentStorage(database, self.keyring, None)
        persons = PersonsStore(database)
        commits = GroupCommit(self.mongo, database)
        return CommandDeps(
            self.mongo, database, self.store, persons, self.keyring, self.deps.catalogue, self.deps, documents, commits
        )

    async def file(self, filed: Sequence[RegistrationSubmitted], at: datetime) -> list[Loaded[Registration]]:
        """Registrations as handed in at that moment, whatever is between."""
        done: list[Loaded[Registration]] = []
        for start in range(0, len(filed), TOGETHER):
            some = filed[start : start + TOGETHER]

            async def work(session: Session, some: Sequence[RegistrationSubmitted] = some) -> Any:
                changes = [(_nothing(each), [draft(each)]) for each in some]
                return await self.store.record_all(changes, cause=CAUSE, now=at, session=session)

            done += await self.mongo.transaction(work)
        return done

    async def add(self, registration_id: str, *events: Event, at: datetime | None = None) -> Loaded[Registration]:
        """More facts about a registration."""

        async def work(session: Session) -> Loaded[Registration]:
            loaded = await self.store.registrations.load(registration_id, session)
            drafts = [Draft(event, new_id()) for event in events]
            return await self.store.record(loaded, drafts, cause=CAUSE, now=at or utc_now(), session=session)

        return await self.mongo.transaction(work)

    async def advise(self, country: str, level: Level, version: int) -> Envelope[TravelAdviceChanged]:
        """The country has this colour, and its source was just read; returns the fact."""
        now = utc_now()
        event = TravelAdviceChanged(
            country=country, advice_version=version, baseline=version == 1, regions=(), changes=(),
            ministry=LevelChange(before=None, after=level), effective=LevelChange(before=None, after=level),
            source="netherlands", source_version="1", parser_version=1, effective_at=now, text_nl="", text_en="",
            url="https://advice.example/", decided_by="rules",
        )  # fmt: skip
        told = _told(event, country, version, now)
        await self.store.save_advice(told)
        checked = SourceChecked(
            source="netherlands", checked_at=now, fresh_until=now + timedelta(days=400), countries={country: version}
        )
        await self.store.save_source(_told(checked, "netherlands", version, now))
        return told

    async def facts(self, registration_id: str) -> list[Event]:
        """What happened to a registration."""
        found = self.store.outbox.events.find({"stream": registration_id}).sort("version", 1)
        return [parse(bytes(each["body"])).data async for each in found]


def journey(
    departs_in: int, days: int = 60, *, today: datetime | None = None, country: str = "ES", **other: Any
) -> RegistrationSubmitted:
    """A voluntary journey to one country, so many days ahead."""
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


@asynccontextmanager
async def parts(mongo_url: str, namespace: str) -> AsyncIterator[Parts]:
    """The parts on a namespace."""
    mongo = Mongo(mongo_url, namespace=namespace)
    try:
        store = Store(mongo.database("registration"))
        await store.create_indexes()
        yield Parts(mongo, store, Keyring(mongo, KEY))
    finally:
        mongo.close()


known = cache(partial(catalogue_files.load, CATALOGUE))


def permissions_with(person_id: str, *roles: str) -> Permissions:
    """What somebody with these roles reaches."""
    return permissions_of(Identity(person_id, frozenset(roles)), known())


def _told(event: Any, subject: str, version: int, now: datetime) -> Envelope[Any]:
    return Envelope(
        new_id(), type(event).__name__, "/safety", now, subject, version, "tests", "tests", None, None, None, event
    )


def _nothing(filed: RegistrationSubmitted) -> Loaded[Registration]:
    return Loaded(filed.registration_id, None, 0)
