"""The approval service alone, in process, over the seven faculties of deploy/catalogue, on the real MongoDB.

Synthetic entries fill the gaps of the catalogue where a journey needs them. HTTP needs no Kafka.
"""

import logging
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest
import pytest_asyncio
import structlog
from fastapi import FastAPI

from services.approval.app import build
from services.approval.settings import Settings
from shared.clock import amsterdam_date, utc_now
from shared.mongo.client import Mongo
from shared.privacy.keyring import Keyring
from shared.web.local_tokens import AUDIENCE, ISSUER, create_keys, mint

ROOT = Path(__file__).resolve().parents[1]
KEY_ENCRYPTION_KEY = bytes(range(32))
NOWHERE = "127.0.0.1:9"

SURGERY = """pools:
        - {id: example-surgery-to-2032, starts_on: 2020-01-01, ends_on: 2032-12-31, slots: 1}
        - {id: example-surgery-2033, starts_on: 2033-01-01, ends_on: 2033-12-31, slots: 3}
        - {id: example-surgery-2034, starts_on: 2034-01-01, ends_on: 2034-12-31, slots: 1}
        - {id: example-surgery-2035, starts_on: 2035-01-01, ends_on: 2035-12-31, slots: 1}"""
#: A faculty's file → its synthetic programme.
PROGRAMMES = {
    "law": "example-law",
    "archaeology": "example-archaeology",
    "science": "example-mathematics",
    "humanities": "example-languages",
}


def leiden(folder: Path) -> Path:
    """Copy deploy/catalogue into the folder and fill its gaps with synthetic entries; returns the folder."""
    for file in (ROOT / "deploy" / "catalogue").glob("*.yaml"):
        shutil.copy(file, folder)
    shutil.copy(ROOT / "deploy" / "local" / "catalogue" / "university.yaml", folder)
    for faculty, programme in PROGRAMMES.items():
        entry = f"programmes:\n  {programme}:\n    name: {{en: {programme}}}\n    coordinator: to be configured\n"
        change(folder / f"{faculty}.yaml", "programmes: to be configured\n", entry)
        change(folder / f"{faculty}.yaml", "approver_roles: to be configured\n", f"approver_roles: [{programme}]\n")
    archaeology = folder / "archaeology.yaml"
    change(
        archaeology, "approver_roles: [example-archaeology]\n", "approver_roles: [example-archaeology, example-board]\n"
    )
    change(archaeology, "board_of_examiners: to be configured\n", "board_of_examiners: [example-board]\n")
    text = (folder / "lumc.yaml").read_text(encoding="utf-8")
    before, surgery = text.split("surinam-surgery", 1)
    after = surgery.replace("pools: to be configured", SURGERY, 1)
    (folder / "lumc.yaml").write_text(f"{before}surinam-surgery{after}", encoding="utf-8")
    return folder


def change(file: Path, before: str, after: str) -> None:
    """Replace a text in a file; the text must be there."""
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


@dataclass(frozen=True)
class Person:
    """A login with its roles, and what the login says of a student."""

    login: str
    roles: tuple[str, ...] = ("student",)
    programmes: tuple[str, ...] = ()
    number: str = ""

    @property
    def contact(self) -> dict[str, str]:
        """Contact details of the person alone."""
        return {
            "givenName": f"Given {self.login}",
            "surname": f"Surname {self.login}",
            "email": f"{self.login}@example.org",
            "mobile": "+31612345678",
            "studentNumber": f"n-{self.login}"[:20],
        }


def approver(programme: str) -> Person:
    """A coordinator of the programme."""
    return Person(f"coordinator-{programme}", (f"approver:{programme}",))


OFFICE = Person("office", ("international-office",))
MEDICINE, BIOMEDICAL = approver("lumc-medicine"), approver("lumc-biomedical-sciences")


def day(days: int) -> str:
    """The date this many days from today, in Amsterdam."""
    return (amsterdam_date(utc_now()) + timedelta(days=days)).isoformat()


@dataclass(frozen=True)
class Blocked:
    """The fields of a problem that a person reads."""

    status: int
    rule: str | None
    reason: str | None
    email: str | None
    fields: tuple[str, ...]


class ApprovalService:
    """The running service, and requests to it by people."""

    def __init__(self, app: FastAPI, http: httpx.AsyncClient, mongo: Mongo, keys: Path, catalogue: Path) -> None:
        self.app = app
        self.http = http
        self.mongo = mongo
        self.database = mongo.database("approval")
        self.keyring = Keyring(mongo, KEY_ENCRYPTION_KEY)
        self.catalogue = catalogue
        self._keys = keys
        self._tokens: dict[Person, str] = {}

    def student(self) -> Person:
        """A new student."""
        return Person(f"student-{uuid.uuid4().hex[:8]}")

    async def person_id(self, person: Person) -> str:
        """The personId of the login."""
        return await self.keyring.person_id(ISSUER, person.login)

    async def call(
        self, method: str, path: str, person: Person, body: Any = None, *, headers: dict[str, str] | None = None,
        **query: str,
    ) -> httpx.Response:  # fmt: skip
        """Send one request."""
        if person not in self._tokens:
            claims = {"programmes": list(person.programmes), "studentNumber": person.number}
            self._tokens[person] = mint(
                self._keys, person.login, list(person.roles), issuer=ISSUER, audience=AUDIENCE, more=claims
            )
        sent = {"Authorization": f"Bearer {self._tokens[person]}", **(headers or {})}
        return await self.http.request(method, f"/v1{path}", headers=sent, json=body, params=query)

    async def asks(self, person: Person, programme: str = "lumc-medicine", **wish: Any) -> dict[str, Any]:
        """Request approval as a student, which succeeds; returns the answer."""
        response = await self.tries(person, programme, **wish)
        assert response.status_code == 201, response.text
        body: dict[str, Any] = response.json()
        return body

    async def tries(
        self, person: Person, programme: str = "lumc-medicine", *, key: str | None = None, **wish: Any
    ) -> httpx.Response:
        """Request approval as a student, which may be refused. `key`: the Idempotency-Key."""
        headers = {"Idempotency-Key": key} if key else None
        return await self.call(
            "POST",
            "/approval-requests",
            person,
            {"contact": person.contact, **request(programme), **wish},
            headers=headers,
        )

    async def look(self, approval_id: str, person: Person) -> dict[str, Any]:
        """Read the request as this person."""
        response = await self.call("GET", f"/approval-requests/{approval_id}", person)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body

    async def does(
        self, person: Person, approval_id: str, what: str, body: Any = None, seen: str = "*"
    ) -> httpx.Response:
        """Post to `steps`, `answers`, `decisions` or `withdrawal` of a request."""
        path = f"/approval-requests/{approval_id}/{what}"
        return await self.call("POST", path, person, body, headers={"If-Match": seen})

    async def records(
        self, person: Person, approval_id: str, step: str, positive: bool = True, remark: str | None = None
    ) -> None:
        """Record a step, which succeeds."""
        body = {"step": step, "positive": positive, "remark": remark}
        response = await self.does(person, approval_id, "steps", body)
        assert response.status_code == 201, response.text

    async def grants(self, person: Person, approval_id: str) -> httpx.Response:
        """Grant the request as an approver, which may be blocked."""
        return await self.does(person, approval_id, "decisions", {"decision": "grant", "programmeConfirmed": True})

    async def granted(self, person: Person, approval_id: str) -> None:
        """Grant the request as an approver, which succeeds."""
        response = await self.grants(person, approval_id)
        assert (response.status_code, response.json().get("status")) == (201, "granted"), response.text

    async def facts(self) -> int:
        """How many events the service has recorded."""
        return int(await self.database["events"].count_documents({}))


def request(programme: str) -> dict[str, Any]:
    """The body of an approval request without its details."""
    faculty = next((name for name, synthetic in PROGRAMMES.items() if synthetic == programme), "lumc")
    return {
        "facultyId": faculty,
        "programmeId": programme,
        "activityType": "research_or_fieldwork",
        "country": "SE",
        "startDate": day(60),
        "endDate": day(120),
    }


def blocked(response: httpx.Response) -> Blocked:
    """The problem of an answer."""
    body = response.json()
    fields = tuple(error["field"] for error in body.get("errors", ()))
    contact = body.get("contact") or {}
    return Blocked(response.status_code, body.get("rule"), body.get("reason"), contact.get("email"), fields)


def findings(shown: dict[str, Any]) -> set[tuple[str, str]]:
    """The rule and the effect of each finding."""
    return {(finding["rule"], finding["effect"]) for finding in shown["findings"]}


def progress(shown: dict[str, Any]) -> dict[str, str]:
    """The steps before the decision, each with its state."""
    return {step["what"]: step["state"] for step in shown["progress"]}


def settings(mongo: str, namespace: str, keys: Path, catalogue: Path, **more: Any) -> Settings:
    """The settings of the service; `more` replaces some."""
    common: dict[str, Any] = {
        "env": "local",
        "role": "api",
        "namespace": namespace,
        "kafka_bootstrap_servers": NOWHERE,
        "mongo_url": mongo,
        "key_encryption_key": KEY_ENCRYPTION_KEY,
        "jwks": str(keys / "jwks.json"),
        "token_issuer": ISSUER,
        "token_audience": AUDIENCE,
        "topics_file": ROOT / "deploy" / "topics.yaml",
        "log_level": "ERROR",
        "requests_per_second": 0,
        "catalogue_dir": catalogue,
    }
    return Settings(**{**common, **more})


@asynccontextmanager
async def approval_service_on(
    mongo: str, namespace: str, keys: Path, catalogue: Path, **more: Any
) -> AsyncIterator[ApprovalService]:
    """Run the service in this process on a namespace."""
    client = Mongo(mongo, namespace=namespace)
    with _logs_as_they_were():
        app = build(settings(mongo, namespace, keys, catalogue, **more))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://approval") as http,
        ):
            yield ApprovalService(app, http, client, keys, catalogue)
    client.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def approval_service(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApprovalService]:
    """One service for the session, in the session's loop: `pytestmark = pytest.mark.asyncio(loop_scope="session")`."""
    namespace = f"t{uuid.uuid4().hex[:8]}-"
    keys, catalogue = tmp_path_factory.mktemp("keys"), leiden(tmp_path_factory.mktemp("leiden"))
    create_keys(keys)
    async with approval_service_on(stack.mongo, namespace, keys, catalogue) as service:
        yield service
    forget(stack.mongo, namespace)


def forget(mongo: str, namespace: str) -> None:
    """Drop the databases of a namespace."""
    with pymongo.MongoClient[dict[str, object]](mongo, serverSelectionTimeoutMS=30_000) as client:
        for name in client.list_database_names():
            if name.startswith(namespace):
                client.drop_database(name)


@contextmanager
def _logs_as_they_were() -> Iterator[None]:
    """Keep the logging of pytest: a service configures the logging of its whole process when it is built."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    try:
        yield
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)


def first_day(year: int) -> date:
    """A day in the year; each year of the synthetic catalogue has slots of its own."""
    return date(year, 6, 1)
