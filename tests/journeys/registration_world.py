"""The registration service in process on a real MongoDB: people use HTTP, events of others reach its handlers.

Faster than the full stack. Journeys within the registration service use it; those between services use `full_stack`.
"""

import shutil
import uuid
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pymongo
import yaml
from fastapi import FastAPI

from services.registration import handlers
from services.registration.decision_inputs import EvaluationDeps
from services.registration.handlers import HandlerDeps
from services.registration.store.registrations import Store
from shared import gazetteer
from shared.bus.inbox import Inbox
from shared.clock import amsterdam_date, utc_now
from shared.envelope import Envelope
from shared.events import (
    ActivityType,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalWithdrawn,
    DecidingOverride,
    Event,
    Level,
    LevelChange,
    OverrideFacts,
    Picture,
    RegionAdvice,
    SourceChecked,
    TravelAdviceChanged,
)
from shared.ids import new_id
from shared.live_catalogue import LiveCatalogue
from shared.web.local_tokens import create_keys
from tests.contracts.services_world import (
    APPROVER,
    BOARD,
    CATALOGUE,
    FACULTY_CONTACT,
    FILE,
    INTERNATIONAL_OFFICE,
    LINGUIST,
    PDF,
    SAFETY_OFFICER,
    STUDENT,
    Person,
    World,
    build,
    client,
    registration_body,
)

__all__ = [
    "APPROVER", "BOARD", "FACULTY_CONTACT", "INTERNATIONAL_OFFICE", "LINGUIST", "PDF", "SAFETY_OFFICER", "STUDENT",
    "Level", "Person", "Portal", "portal",
]  # fmt: skip

#: What the faculty of these tests asks for, beside the invented catalogue; other activities ask for nothing.
LETTER, PLAN = "Letter of the host", "Safety plan"
REQUIRED = {"research_or_fieldwork": [LETTER, PLAN]}
PERMISSIONS = ("Permission of the board of examiners", "Permission of the host")
#: Kinds of documents that the faculty knows, and does not ask for.
MORE_KINDS = ("Letter", "Other letter", "One more", *(f"Letter {number}" for number in range(30)), *PERMISSIONS)
SOURCE = "netherlands"


@dataclass
class Portal:
    """The service, as people and other services use it."""

    world: World
    app: FastAPI
    http: httpx.AsyncClient
    deps: HandlerDeps
    versions: Counter[str] = field(default_factory=Counter)
    advised: dict[str, int] = field(default_factory=dict)

    async def forget(self) -> None:
        """Everything but the indexes and the people."""
        database = self.world.mongo.database("registration")
        for name in await database.list_collection_names():
            await database[name].delete_many({})
        self.versions.clear()
        self.advised.clear()

    # ------------------------------------------------------------ people

    async def call(
        self, who: Person, method: str, path: str, body: Any = None, *, etag: str | None = None, **more: Any
    ) -> httpx.Response:
        """One request; `etag` is sent as If-Match."""
        headers = {"Authorization": f"Bearer {self.world.token(who)}", **more.pop("headers", {})}
        if etag is not None:
            headers["If-Match"] = etag
        return await self.http.request(method, f"/v1{path}", json=body, headers=headers, **more)

    async def done(self, who: Person, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The answer to a request that succeeds."""
        response = await self.call(who, method, path, body, **more)
        assert response.status_code < 300, response.text
        return response.json()

    async def refused(
        self, status: int, who: Person, method: str, path: str, body: Any = None, **more: Any
    ) -> dict[str, Any]:
        """The problem of a request that is refused, and nothing is recorded."""
        before = await self.facts()
        response = await self.call(who, method, path, body, **more)
        assert response.status_code == status, response.text
        assert await self.facts() == before
        found: dict[str, Any] = response.json()
        return found

    async def facts(self) -> int:
        """How many facts there are."""
        return await self.world.facts("registration")

    async def register(self, who: Person = STUDENT, **other: Any) -> str:
        """Hand in a registration; `other` replaces fields of the body. Returns its id."""
        body = {**registration_body(who), **other}
        return str((await self.done(who, "POST", "/registrations", body))["registrationId"])

    async def see(self, registration_id: str, who: Person = SAFETY_OFFICER) -> dict[str, Any]:
        """A registration in full."""
        found: dict[str, Any] = await self.done(who, "GET", f"/registrations/{registration_id}")
        return found

    async def checklist(self, registration_id: str, who: Person = STUDENT, **query: str) -> dict[str, Any]:
        """The checklist of a registration."""
        path = f"/registrations/{registration_id}/checklist"
        found: dict[str, Any] = await self.done(who, "GET", path, params=query)
        return found

    async def lines(self, registration_id: str) -> dict[str, tuple[str, str]]:
        """Item → (state, rule) of the checklist; of several lines of an item the first."""
        shown: dict[str, tuple[str, str]] = {}
        for line in (await self.checklist(registration_id))["lines"]:
            shown.setdefault(line["item"], (line["state"], line["rule"]))
        return shown

    async def tasks(self, who: Person, registration_id: str) -> list[dict[str, Any]]:
        """The open tasks about a registration in a person's queues."""
        found = await self.done(who, "GET", "/tasks", params={"pageSize": "250"})
        return [task for task in found["items"] if task["registrationId"] == registration_id]

    async def decision(self, registration_id: str, decision: str, **other: Any) -> dict[str, Any]:
        """The body of a decision on the advice as it is now."""
        advice = (await self.see(registration_id))["advice"]
        seen = [
            {"country": seen_advice["country"], "adviceVersion": seen_advice["adviceVersion"]} for seen_advice in advice
        ]
        return {"decision": decision, "remark": "Looked at with care.", "adviceSeen": seen, **other}

    async def decide(self, who: Person, registration_id: str, decision: str, **other: Any) -> dict[str, Any]:
        """A person decides, successfully."""
        body = await self.decision(registration_id, decision, **other)
        path = f"/registrations/{registration_id}/decisions"
        found: dict[str, Any] = await self.done(who, "POST", path, body, etag="*")
        return found

    async def cannot(
        self, status: int, who: Person, registration_id: str, decision: str, **other: Any
    ) -> dict[str, Any]:
        """A person tries to decide and is refused."""
        body = await self.decision(registration_id, decision, **other)
        path = f"/registrations/{registration_id}/decisions"
        return await self.refused(status, who, "POST", path, body, etag="*")

    async def upload(
        self,
        registration_id: str,
        kind: str = LETTER,
        content: bytes | AsyncIterable[bytes] = PDF,
        who: Person = STUDENT,
        **headers: str,
    ) -> httpx.Response:
        """Hand in a document."""
        return await self.call(
            who, "POST", f"/registrations/{registration_id}/documents", params={"kind": kind}, content=content,
            headers={**FILE, **headers},
        )  # fmt: skip

    # ------------------------------------------------------------ facts of the other services

    async def advise(
        self,
        country: str,
        level: Level | None,
        regions: Mapping[str, Level | None] | None = None,
        *,
        override: OverrideFacts | None = None,
    ) -> None:
        """The ministry says so, and safety has read all of it. With `override` the university says so, and it green."""
        before = self.advised.get(country, 0)
        self.advised[country] = version = before + 1
        change = LevelChange(before=None, after=level)
        event = TravelAdviceChanged(
            country=country,
            advice_version=version,
            baseline=version == 1,
            ministry=change if override is None else LevelChange(before=None, after=Level.GREEN),
            effective=change,
            regions=tuple(
                RegionAdvice(area=area, code=area if area.startswith(f"{country}-") else None, before=None, after=each)
                for area, each in (regions or {}).items()
            ),
            changes=(),
            source=SOURCE,
            source_version=str(version),
            parser_version=1,
            effective_at=utc_now(),
            text_nl="Tekst",
            text_en="Text",
            url="https://advice.example/",
            decided_by="rules",
            adopted=Picture(level=Level.GREEN) if override is not None else None,
            overrides=(DecidingOverride(areas=(country,), override=override),) if override is not None else (),
        )
        checked = SourceChecked(
            source=SOURCE, checked_at=utc_now(), fresh_until=utc_now() + timedelta(days=1), countries=self.advised
        )
        await handlers.evaluate_registrations_when_travel_advice_changed(self._envelope(event), self.deps)
        await handlers.save_freshness_when_source_checked(self._envelope(checked), self.deps)

    async def ask(self, approval_id: str, who: Person = STUDENT) -> None:
        """The person asks the programme for approval, with their contact details."""
        person_id, event_id = await self.world.person_id(who), new_id()
        contact = await self.world.keyring.seal(person_id, event_id, "/contact", who.contact)
        await self._approval(
            ApprovalRequested(
                approval_id=approval_id,
                person_id=person_id,
                faculty_id="example-sciences",
                programme_id="example-biology",
                activity_type=ActivityType.INTERNSHIP,
                country="ES",
                start_date=today() + timedelta(days=60),
                end_date=today() + timedelta(days=120),
                catalogue_version="0" * 12,
                contact=contact,
            )
        )

    async def grant(
        self, approval_id: str, who: Person = STUDENT, *, country: str = "ES", days: tuple[int, int] = (60, 120)
    ) -> None:
        """The programme approves that person for those days from today."""
        first, last = (today() + timedelta(days=offset) for offset in days)
        await self._approval(
            ApprovalGranted(
                approval_id=approval_id,
                person_id=await self.world.person_id(who),
                faculty_id="example-sciences",
                programme_id="example-biology",
                activity_type=ActivityType.INTERNSHIP,
                country=country,
                start_date=first,
                end_date=last,
                decided_by="approver-1",
                catalogue_version="0" * 12,
            )
        )

    async def withdraw(self, approval_id: str, who: Person = STUDENT) -> None:
        """The student withdraws the approval."""
        person_id = await self.world.person_id(who)
        await self._approval(ApprovalWithdrawn(approval_id=approval_id, person_id=person_id, withdrawn_by=person_id))

    async def _approval(self, event: ApprovalEvent) -> None:
        envelope = self._envelope(event)
        for _ in range(2):  # Kafka may deliver an event twice: the second time changes nothing
            await handlers.evaluate_registrations_when_approvals_changed([envelope], self.deps)

    def _envelope(self, event: Event) -> Envelope[Any]:
        self.versions[event.stream] += 1
        return Envelope(
            new_id(), type(event).__name__, "/tests", utc_now(), event.stream, self.versions[event.stream], "test",
            "test", None, None, None, event,
        )  # fmt: skip


def today() -> date:
    """In Amsterdam."""
    return amsterdam_date(utc_now())


def legs(start: int, end: int, country: str = "ES", **more: Any) -> list[dict[str, Any]]:
    """An itinerary of one place, from `start` to `end` days from today."""
    first, last = (today() + timedelta(days=offset) for offset in (start, end))
    return [{"startDate": first.isoformat(), "endDate": last.isoformat(), "country": country, **more}]


def voluntary() -> dict[str, Any]:
    """No to all three questions (R11)."""
    return {"answers": {"credits": False, "universityFunding": False, "transcriptEntry": False}}


@asynccontextmanager
async def portal(mongo: str, folder: Path, **settings: Any) -> AsyncIterator[Portal]:
    """The service in a namespace of its own, which is dropped afterwards; advice is green unless set."""
    namespace = f"t{uuid.uuid4().hex[:8]}-"
    keys = folder / "keys"
    create_keys(keys)
    shutil.copytree(CATALOGUE, folder / "catalogue")
    file = folder / "catalogue" / "example-sciences.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    kinds = {kind: {"name": {"nl": f"{kind} (nl)", "en": kind}} for kind in (LETTER, PLAN, *MORE_KINDS)}
    asked = {"document_kinds": kinds, "required_documents": REQUIRED, "voluntary_documents": REQUIRED}
    file.write_text(yaml.safe_dump({**content, **asked}), encoding="utf-8")
    known = LiveCatalogue(folder / "catalogue")
    try:
        async with AsyncExitStack() as stack:
            world = World(mongo, namespace, keys, {})
            stack.callback(world.mongo.close)
            app = build("registration", mongo, namespace, keys, **{"catalogue_dir": folder / "catalogue", **settings})
            await stack.enter_async_context(app.router.lifespan_context(app))
            http = await stack.enter_async_context(client(app))
            database = world.mongo.database("registration")
            evaluation = EvaluationDeps(world.mongo, Store(database), gazetteer.resolve, known)
            yield Portal(world, app, http, HandlerDeps(evaluation, Inbox(world.mongo, database), "tests"))
    finally:
        with pymongo.MongoClient[dict[str, object]](mongo, serverSelectionTimeoutMS=30_000) as mongo_client:
            for name in mongo_client.list_database_names():
                if name.startswith(namespace):
                    mongo_client.drop_database(name)


def another(person: Person, login: str) -> Person:
    """Another person in the same roles."""
    return replace(person, login=login)
