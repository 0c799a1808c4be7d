"""The four services in process, on the real MongoDB, in a namespace of their own; HTTP needs no Kafka.

`operations()` reads the routes from the OpenAPI documents; `running()` starts the services (ROLE=api) with people
whose tokens the local keys sign; `CALLS` knows for each operation how to make one request that succeeds.
"""

import asyncio
import base64
import functools
import importlib
import itertools
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import jwt
import pycountry
import pymongo
import structlog
from fastapi import FastAPI

from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.model.shards import person_hash
from services.notify.model.whereabouts import Stay, Whereabouts
from services.notify.rules.service_mail import MailPolicy, plan_mails
from services.notify.rules.service_mail import Reason as MailReason
from services.notify.store.alerts import Alert, AlertStore
from services.notify.store.callbacks import CallbackStore
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from services.notify.store.planned_mails import PlannedMailStore
from services.notify.store.selections import Selection
from services.notify.store.whereabouts import NewContact, WhereaboutsStore, WhereaboutsUpdate
from services.safety.commands.deps import ReadingDeps, ReadingPolicy
from services.safety.commands.readings import adopt_batch
from services.safety.reading import Batch, CountryReading
from services.safety.rules.bulk_change_guard import GuardLimits
from services.safety.secondary_advice import SecondaryAdvice
from services.safety.sources.cap import CapMessage
from services.safety.store.advice import Store as SafetyStore
from services.safety.store.cap_messages import CapMessageStore
from services.safety.store.secondary_advice import SecondaryAdviceStore
from shared.advice import AreaAdvice, CountryAdvice
from shared.bus.outbox import Outbox
from shared.clock import amsterdam_date, utc_now
from shared.events import AlertTrigger, Channel, Level, RecipientsSelected, StayEnded
from shared.events import Recipient as RecipientEntry
from shared.ids import new_id
from shared.mongo.client import Mongo, Session
from shared.privacy.contact import ContactDetails, StudentContact
from shared.privacy.keyring import Keyring
from shared.privacy.service_key import ServiceKey
from shared.web.local_tokens import AUDIENCE, ISSUER, KEY, KID, create_keys
from shared.web.routes import CLASS_KEY, ROLES_KEY, RouteClass, holds

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "deploy" / "local" / "catalogue"
SERVICES = ("approval", "registration", "safety", "notify")
KEY_ENCRYPTION_KEY, SERVICE_KEY = bytes(range(32)), bytes(range(32, 64))
WEBHOOK_SECRET = "webhook-secret-of-the-tests"
NOWHERE = "127.0.0.1:9"
METHODS = ("get", "post", "put", "patch", "delete")

#: C19, stated here a second time: the headers that the services send must equal these.
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}

#: More than one page of the smallest page size.
MANY = 12


class HasAddresses(Protocol):
    """The stack of tests/conftest.py."""

    mongo: str


def settings(name: str, mongo: str, namespace: str, keys: Path, **more: Any) -> Any:
    """The settings of one service; `more` replaces some."""
    own: dict[str, dict[str, Any]] = {
        "approval": {"catalogue_dir": CATALOGUE},
        "registration": {"catalogue_dir": CATALOGUE},
        "safety": {"feed_url": f"http://{NOWHERE}", "user_agent_contact": "mailto:tests@example.org"},
        "notify": {
            "catalogue_dir": CATALOGUE,
            "service_key": SERVICE_KEY,
            "smtp_host": "127.0.0.1",
            "smtp_sender": "alerts@university.example",
            "sms_url": f"http://{NOWHERE}",
            "sms_token": "sms-token",
            "sms_sender": "+31970000000",
            "answer_base_url": f"http://{NOWHERE}",
            "webhook_secret": WEBHOOK_SECRET,
        },
    }
    common = {
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
    }
    return importlib.import_module(f"services.{name}.settings").Settings(**{**common, **own[name], **more})


@contextmanager
def log_handlers_kept() -> Iterator[None]:
    """Keep pytest's log handlers, which the `build` of a service would close."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def build(name: str, mongo: str, namespace: str, keys: Path, **more: Any) -> FastAPI:
    """One of the four services, built by its own app.py."""
    with log_handlers_kept():
        app: FastAPI = importlib.import_module(f"services.{name}.app").build(
            settings(name, mongo, namespace, keys, **more)
        )
    return app


# ---------------------------------------------------------------- routes, from the OpenAPI documents


@dataclass(frozen=True)
class Operation:
    """One route as its OpenAPI document describes it. `path` begins below the service's own address."""

    service: str
    id: str
    method: str
    path: str
    described: Mapping[str, Any]

    @property
    def route_class(self) -> RouteClass:
        """The class it declares."""
        return RouteClass(self.described[CLASS_KEY])

    @property
    def roles(self) -> frozenset[str]:
        """The roles that may call it; empty: everybody with a good token."""
        return frozenset(self.described.get(ROLES_KEY, ()))

    def parameters(self, where: str) -> dict[str, Mapping[str, Any]]:
        """Its parameters in `path`, `query` or `header`: name to schema."""
        parameters = self.described.get("parameters", ())
        return {parameter["name"]: parameter["schema"] for parameter in parameters if parameter["in"] == where}

    @property
    def body(self) -> dict[str, Any] | None:
        """The media types of its body."""
        content: dict[str, Any] | None = self.described.get("requestBody", {}).get("content")
        return content

    def __str__(self) -> str:
        return f"{self.service}:{self.id}"


@functools.cache
def documents() -> dict[str, dict[str, Any]]:
    """The OpenAPI document of each service. The services are built, and neither Kafka nor MongoDB is used."""
    answered: dict[str, dict[str, Any]] = {}

    async def read() -> None:
        for name in SERVICES:
            app = build(name, f"mongodb://{NOWHERE}", "", Path("nowhere"))
            async with client(app) as http:
                answered[name] = (await http.get("/v1/openapi.json")).raise_for_status().json()

    with _logs_as_they_were(), ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(read())).result()  # this thread may have a running loop
    return answered


@functools.cache
def operations() -> tuple[Operation, ...]:
    """Every route of the four services."""
    found = []
    for service, document in documents().items():
        for path, item in document["paths"].items():
            for method in METHODS:
                if method in item:
                    server = (item[method].get("servers") or document["servers"])[0]["url"]
                    base = httpx.URL(server).path.rstrip("/")
                    operation = Operation(
                        service, item[method]["operationId"], method.upper(), base + path, item[method]
                    )
                    found.append(operation)
    return tuple(found)


def operation(operation_id: str) -> Operation:
    """An operation by its id."""
    return next(route for route in operations() if route.id == operation_id)


def bound_by(convention: str) -> list[Operation]:
    """The routes for which a convention holds (docs/standards.md, HTTP conventions): not those of an exempt class."""
    return [route for route in operations() if holds(route.route_class, convention)]


@contextmanager
def _logs_as_they_were() -> Iterator[None]:
    """Keep the logging of the tests: a service configures the logging of its whole process when it is built."""
    before = structlog.get_config()
    try:
        yield
    finally:
        structlog.configure(**before)


# ---------------------------------------------------------------- people


@dataclass(frozen=True)
class Person:
    """A login with its roles; the names are canaries that no answer to another person may hold."""

    login: str
    roles: tuple[str, ...]

    @property
    def contact(self) -> dict[str, Any]:
        """Contact details of this person only."""
        number = int.from_bytes(self.login.encode()[-4:], "big") % 9_000_000 + 1_000_000
        return {
            "givenName": f"AnswerRecord {self.login}",
            "surname": f"Surname {self.login}",
            "email": f"{self.login}@example.org",
            "mobile": f"+3161{number}",
            "studentNumber": f"n{number}",
        }

    @property
    def canaries(self) -> tuple[str, ...]:
        """The texts that other people must not see."""
        return tuple(self.contact.values())


STUDENT = Person("student-one", ("student",))
OTHER_STUDENT = Person("student-two", ("student",))
APPROVER = Person("approver-biology", ("approver:example-biology",))
#: The approver of a programme whose board of examiners has a role of its own.
LINGUIST = Person("approver-linguistics", ("approver:example-linguistics",))
BOARD = Person("board", ("approver:example-humanities-board-of-examiners",))
SECOND_APPROVER = Person("approver-biology-2", ("approver:example-biology",))
CLINICAL_APPROVER = Person("approver-clinical", ("approver:example-clinical-medicine",))
OTHER_APPROVER = Person("approver-physics", ("approver:example-physics",))
FACULTY_CONTACT = Person("contact-sciences", ("faculty-contact:example-sciences",))
OTHER_FACULTY_CONTACT = Person("contact-humanities", ("faculty-contact:example-humanities",))
INTERNATIONAL_OFFICE = Person("office", ("international-office",))
SAFETY_OFFICER = Person("officer", ("safety-officer",))
CRISIS_TEAM = Person("crisis-team", ("crisis-team",))
AUDITOR = Person("auditor", ("auditor",))
OPERATOR = Person("operator", ("operator",))
MACHINE = Person("machine", ("machine",))
NOBODY = Person("nobody", ())

EVERYBODY = (
    STUDENT, APPROVER, FACULTY_CONTACT, INTERNATIONAL_OFFICE, SAFETY_OFFICER, CRISIS_TEAM, AUDITOR, OPERATOR, MACHINE
)  # fmt: skip


# ---------------------------------------------------------------- the services


@dataclass(frozen=True)
class Call:
    """One request to an operation; without a token if `person` is None."""

    operation: Operation
    person: Person | None
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None

    @property
    def url(self) -> str:
        """The path with its parameters."""
        return self.operation.path.format(**self.path)

    def by(self, person: Person | None) -> "Call":
        """The same call by another person."""
        return replace(self, person=person)

    def under(self, key: str) -> "Call":
        """The same call with an Idempotency-Key."""
        return self.also({"Idempotency-Key": key})

    def also(self, headers: Mapping[str, str]) -> "Call":
        """The same call with more headers."""
        return replace(self, headers={**self.headers, **headers})


class World:
    """The running services, and ways to fill them with data."""

    def __init__(self, mongo: str, namespace: str, keys: Path, clients: Mapping[str, httpx.AsyncClient]) -> None:
        self.mongo_url = mongo
        self.namespace = namespace
        self.keys = keys
        self.clients = dict(clients)
        self.apps: dict[str, FastAPI] = {}
        self.mongo = Mongo(mongo, namespace=namespace)
        self.keyring = Keyring(self.mongo, KEY_ENCRYPTION_KEY)
        self.loop = asyncio.get_running_loop()
        self._tokens: dict[Person, str] = {}
        self._calls: dict[str, Call] = {}
        self._countries = itertools.cycle(
            sorted({country.alpha_2 for country in pycountry.countries} - {"ES", "NO", "SE"})
        )

    def claims(self, person: Person, **other: Any) -> dict[str, Any]:
        """The claims of a good token of the person; `other` replaces claims, None removes one."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": person.login, "roles": list(person.roles), "iat": now, "nbf": now,
            "exp": now + 3_600, **other,
        }  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def forge(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A token with these claims, signed with the identity provider's key; None removes a header parameter."""
        headers = {name: value for name, value in {"kid": KID, "typ": "at+jwt", **header}.items() if value is not None}
        if "typ" not in headers:
            headers["typ"] = ""  # then PyJWT leaves its own out
        return jwt.encode(dict(claims), (self.keys / KEY).read_bytes(), algorithm="ES256", headers=headers)

    def token(self, person: Person) -> str:
        """A good token of the person."""
        if person not in self._tokens:
            self._tokens[person] = self.forge(self.claims(person))
        return self._tokens[person]

    async def person_id(self, person: Person) -> str:
        """The personId of the login."""
        return await self.keyring.person_id(ISSUER, person.login)

    async def send(
        self, call: Call, *, method: str | None = None, url: str | None = None, **more: Any
    ) -> httpx.Response:
        """Send a call; `method`, `url` and the httpx arguments `headers`, `content`, `params` replace its own."""
        headers = dict(call.headers)
        if call.person is not None and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {self.token(call.person)}"
        arguments: dict[str, Any] = {"params": dict(call.query), "headers": headers}
        if call.content is not None:
            arguments["content"] = call.content
        elif call.json is not None:
            arguments["json"] = call.json
        if "headers" in more:
            arguments["headers"] = {**headers, **more.pop("headers")}
        if "content" in more:
            arguments.pop("json", None)
        arguments.update(more)
        http = self.clients[call.operation.service]
        return await http.request(method or call.operation.method, url or call.url, **arguments)

    async def call(self, operation: Operation) -> Call:
        """A call whose resources exist; the same one every time, for tests of refused requests."""
        if operation.id not in self._calls:
            self._calls[operation.id] = await self.fresh(operation)
        return self._calls[operation.id]

    async def fresh(self, operation: Operation) -> Call:
        """A call that succeeds: its resources are new."""
        return await CALLS[operation.id](self, operation)

    async def facts(self, service: str) -> int:
        """How many events a service has recorded."""
        return int(await self.mongo.database(service)["events"].count_documents({}))

    async def content(self, service: str) -> dict[str, list[Any]]:
        """Collection → every document that a service stores."""
        database = self.mongo.database(service)
        names = sorted(await database.list_collection_names())
        return {name: await database[name].find({}).sort("_id", 1).to_list(None) for name in names}

    # ------------------------------------------------------------ making resources, through HTTP

    async def ask_approval(self, person: Person = STUDENT, **other: Any) -> str:
        """Request approval; returns its id."""
        call = Call(operation("requestApproval"), person, json={**approval_body(person), **other})
        response = await self.send(call)
        assert response.status_code == 201, response.text
        return str(response.json()["approvalId"])

    async def ask_question(self, person: Person = STUDENT, **other: Any) -> str:
        """Request approval, and return the request with a question to the student; returns its id."""
        approval_id = await self.ask_approval(person, **other)
        question = {"decision": "return", "reason": "Where will you stay?"}
        call = Call(
            operation("decideApprovalRequest"), APPROVER, {"approval_id": approval_id}, json=question, headers=_ANY
        )
        response = await self.send(call)
        assert response.status_code == 201, response.text
        return approval_id

    async def register(self, person: Person = STUDENT, **other: Any) -> str:
        """Submit a registration; returns its id."""
        call = Call(operation("submitRegistration"), person, json={**registration_body(person), **other})
        response = await self.send(call)
        assert response.status_code == 201, response.text
        return str(response.json()["registrationId"])

    async def lead(self, person: Person = STUDENT) -> str:
        """Prefill a group trip; returns its id."""
        response = await self.send(Call(operation("createGroupTrip"), person, json=trip_body()))
        assert response.status_code == 201, response.text
        return str(response.json()["groupId"])

    async def join(self, group_id: str, person: Person) -> str:
        """Take part in a group trip; returns the registration's id."""
        call = Call(operation("joinGroupTrip"), person, {"group_id": group_id}, json=join_body(person))
        response = await self.send(call)
        assert response.status_code == 201, response.text
        return str(response.json()["registrationId"])

    async def offer_trip_change(self, person: Person) -> str:
        """Take part in a trip that its leader then changes; returns the registration's id."""
        leader = Person("trip-leader", ("student",))
        group_id = await self.lead(leader)
        registration_id = await self.join(group_id, person)
        changed = {**trip_body(), "legs": registration_body(in_days=70)["legs"]}
        call = Call(operation("changeGroupTrip"), leader, {"group_id": group_id}, json=changed, headers=_ANY)
        response = await self.send(call)
        assert response.status_code == 200, response.text
        return registration_id

    async def attach(self, registration_id: str, person: Person = STUDENT, kind: str = "Letter of the host") -> str:
        """Attach a document; returns its id."""
        path = {"registration_id": registration_id}
        call = Call(operation("attachDocument"), person, path, {"kind": kind}, FILE, content=PDF)
        response = await self.send(call)
        assert response.status_code == 201, response.text
        return str(response.json()["documentId"])

    async def open_task(self, queue: str, person: Person = STUDENT, **other: Any) -> str:
        """Submit a registration that opens a task; returns the id of the task in that queue."""
        registration_id = await self.register(person, **other)
        task = await self.mongo.database("registration")["tasks"].find_one(
            {"registrationId": registration_id, "queue": queue}
        )
        assert task is not None
        return str(task["_id"])

    # ------------------------------------------------------------ making resources that no request makes

    async def give_advice(self, countries: Sequence[str], versions: int = 1) -> None:
        """Store readings of the ministry's feed: orange and red in turn."""
        store = SafetyStore(self.mongo.database("safety"), Outbox(self.mongo.database("safety"), "/safety"))
        deps = ReadingDeps(self.mongo, store, ReadingPolicy(timedelta(0), timedelta(hours=1)))
        for version in range(versions):
            now = utc_now()
            level = Level.ORANGE if version % 2 == 0 else Level.RED
            readings = tuple(
                CountryReading(
                    source="netherlands", source_id=country, country=country, level=level, effective_at=now,
                    source_modified_at=now, text_nl="Tekst", text_en="Text", url="https://advice.example/",
                )
                for country in countries
            )  # fmt: skip
            for _ in range(2):  # an improvement is adopted at the second reading
                batch = Batch(source="netherlands", parser_version=1, countries=readings)
                await adopt_batch(deps, batch, began=now, now=utc_now())

    async def hold_falls(self, count: int = 1) -> list[str]:
        """Improve countries from red to green at once, so that each gets a hold; returns the ids of the holds."""
        countries, now = [next(self._countries) for _ in range(count)], utc_now()
        store = SafetyStore(self.mongo.database("safety"), Outbox(self.mongo.database("safety"), "/safety"))
        deps = ReadingDeps(
            self.mongo, store, ReadingPolicy(timedelta(0), timedelta(hours=1), GuardLimits(max_improvements=count))
        )
        for level in (Level.RED, Level.GREEN):
            readings = tuple(
                CountryReading(
                    source="netherlands", source_id=country, country=country, level=level, effective_at=now,
                    source_modified_at=now, text_nl="Tekst", text_en="Text", url="https://advice.example/",
                )
                for country in countries
            )  # fmt: skip
            batch = Batch(source="netherlands", parser_version=1, countries=readings)
            await adopt_batch(deps, batch, began=now, now=utc_now())
        states = [(await store.countries.load(country)).state for country in countries]
        return [state.holds[0].hold_id for state in states if state is not None]

    async def advised_country(self) -> str:
        """The next country, after storing advice for it."""
        country = next(self._countries)
        await self.give_advice([country])
        return country

    async def override(self, country: str | None = None) -> str:
        """Set an override for a country; returns its id."""
        body = override_body(country or await self.advised_country())
        response = await self.send(Call(operation("setOverride"), SAFETY_OFFICER, json=body))
        assert response.status_code == 201, response.text
        return str(response.json()["overrideId"])

    async def give_opinions(self, countries: Sequence[str]) -> None:
        """Store the levels of a secondary source: green, where the ministry has orange or red."""
        now = utc_now()
        secondary_advice = [
            SecondaryAdvice(
                source="canada", country=country, level=Level.GREEN,
                is_without_warning=False, regions=(), regional_max=None, says_so_since=now, effective_at=now,
                source_modified_at=now, text_en="Text", url="https://advice.example/",
            )
            for country in countries
        ]  # fmt: skip
        await SecondaryAdviceStore(self.mongo.database("safety")).put(secondary_advice)

    async def give_messages(self, count: int) -> None:
        """Store CAP messages of another warning system."""
        now = utc_now()
        messages = [
            CapMessage(
                sender="civil@example.org", identifier=str(number), sent=now - timedelta(minutes=number), kind="Alert",
                event="Flood", expires=now + timedelta(days=1),
            )
            for number in range(count)
        ]  # fmt: skip
        await CapMessageStore(self.mongo.database("safety")).put("cap-1", messages, now)

    async def be_in(self, country: str, person: Person, region: str | None = None) -> str:
        """Store that a person is in a country today; returns the registration's id."""
        registration_id, today = new_id(), amsterdam_date(utc_now())
        person_id = await self.person_id(person)
        stay = Stay(
            start_date=today - timedelta(days=3), end_date=today + timedelta(days=30), country=country,
            region=region, place="Example Town", since=utc_now(),
        )  # fmt: skip
        where = Whereabouts(
            registration_id=registration_id, version=1, person_id=person_id, hash=person_hash(person_id),
            cancelled=False, language="en", faculty_id="example-sciences", programme_id="example-biology",
            stays=(stay,), changed_at=utc_now(),
        )  # fmt: skip
        details = ContactDetails.model_validate(person.contact)
        await self._whereabouts.put([WhereaboutsUpdate(where, NewContact(StudentContact(details)))])
        return registration_id

    async def raise_alert(self, *persons: Person, country: str = "ES", closed: bool = False) -> str:
        """Store an alert with these people as its recipients, open or closed; returns its id."""
        version = await self.mongo.database("notify")["alerts"].count_documents({}) + 1
        alert_id, now, selected = f"{country}-{version}", utc_now(), []
        for person in persons:
            selected.append((await self.person_id(person), await self.be_in(country, person)))
        advice = CountryAdvice(
            country=country, advice_version=version, event_id=new_id(), changed_at=now, source="netherlands",
            whole=AreaAdvice(area=country, code=country, level=Level.RED), regions=(), effective_at=now,
            text_nl="Tekst", text_en="Text", url="https://advice.example/",
        )  # fmt: skip
        alert = Alert(
            alert_id=alert_id, country=country, advice_version=version, trigger=AlertTrigger.ADVICE_CHANGED,
            as_of=now, shard_count=1, offsets={}, advice=advice, is_selected=True,
            is_closed=closed, closed_at=now if closed else None,
        )  # fmt: skip
        chosen = RecipientColumns.from_recipients(
            Recipient(
                person_id=person_id, registration_id=registration_id, registration_version=1, kind="advice_red",
                area=country, level=Level.RED, reason="country", language="en",
                channels=(Channel.EMAIL, Channel.SMS),
            )
            for person_id, registration_id in selected
        )  # fmt: skip

        async def work(session: Session) -> None:
            await self._alerts.put(alert, session)
            if chosen:
                selection = Selection(
                    selection_id=f"{alert_id}:0", alert_id=alert_id, shard=0, late=False, at=now, recipients=chosen
                )
                await self._alerts.selections.insert([selection], session)

        await self.mongo.transaction(work)
        if selected:
            recipients = tuple(
                RecipientEntry(
                    person_id=person_id, registration_id=registration_id, registration_version=1, reason="country",
                    area=country, level=Level.RED, channels=(Channel.EMAIL, Channel.SMS),
                )
                for person_id, registration_id in selected
            )  # fmt: skip
            fact = RecipientsSelected(alert_id=alert_id, shard=0, late=False, recipients=recipients)
            await self._deliveries.fold([StoredEvent(new_id(), now, fact)])
        return alert_id

    async def answer_token(self, alert_id: str, person: Person) -> str:
        """The token of the answer link in the person's message."""
        return self._deliveries.answers.link_token(alert_id, await self.person_id(person))

    async def return_token(self, person: Person) -> str:
        """The token of the link by which the person, whose stay is over, says that they are back."""
        person_id, registration_id = await self.person_id(person), await self.be_in("ES", person)
        where = (await self._whereabouts.load([registration_id]))[registration_id]
        ended = where.model_copy(update={"ended": True, "version": where.version + 1})
        await self._whereabouts.put([WhereaboutsUpdate(ended)])
        planned, now = PlannedMailStore(self._notify), utc_now()
        event = StayEnded(registration_id=registration_id, person_id=person_id, on=amsterdam_date(now))
        plan = plan_mails(event, new_id(), ended.version, now, MailPolicy())
        await planned.put([(registration_id, ended.version, plan)])
        await planned.settle({mail.mail_id: MailReason.TRUE for mail in plan.mails})
        return self._deliveries.answers.link_token(registration_id, person_id)

    async def forget(self, person: Person) -> None:
        """Notify erases the person, as after the event `PersonErased`."""
        await self._whereabouts.contacts.erase(await self.person_id(person))

    async def unclear_reply(self, number: str = "+31612345678") -> str:
        """Store an SMS reply that a human must read; returns its id."""
        callbacks = CallbackStore(self._notify, ServiceKey(SERVICE_KEY))
        body = f'{{"from":{{"number":"{number}"}},"message":{{"text":"hm {new_id()}"}}}}'.encode()
        await callbacks.store("cm", "inbound", body, utc_now())
        newest = await self._notify["callbacks"].find_one({}, sort=[("at", -1)])
        await callbacks.mark_done([str(newest["_id"])], "unclear")
        return str(newest["_id"])

    @property
    def _notify(self) -> Any:
        return self.mongo.database("notify")

    @functools.cached_property
    def _alerts(self) -> AlertStore:
        return AlertStore(self._notify)

    @functools.cached_property
    def _deliveries(self) -> DeliveryStore:
        return DeliveryStore(self._notify, ServiceKey(SERVICE_KEY))

    @functools.cached_property
    def _whereabouts(self) -> WhereaboutsStore:
        return WhereaboutsStore(self._notify, ServiceKey(SERVICE_KEY))


def client(app: FastAPI) -> httpx.AsyncClient:
    """HTTP to an app in this process. Exceptions that the app does not handle are raised here."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


@asynccontextmanager
async def instances(mongo: str, namespace: str, keys: Path, **more: Any) -> AsyncIterator[World]:
    """The four services on a namespace; `more` are settings of all of them."""
    async with AsyncExitStack() as stack:
        world = World(mongo, namespace, keys, {})
        stack.callback(world.mongo.close)
        for name in SERVICES:
            app = world.apps[name] = build(name, mongo, namespace, keys, **more)
            await stack.enter_async_context(app.router.lifespan_context(app))
            world.clients[name] = await stack.enter_async_context(client(app))
        yield world


@asynccontextmanager
async def running(mongo: str, keys: Path) -> AsyncIterator[World]:
    """The four services in a namespace of their own, which is dropped afterwards."""
    namespace = f"t{uuid.uuid4().hex[:8]}-"
    create_keys(keys)
    with _logs_as_they_were():
        try:
            async with instances(mongo, namespace, keys) as world:
                yield world
        finally:
            with pymongo.MongoClient[dict[str, object]](mongo, serverSelectionTimeoutMS=30_000) as database:
                for name in database.list_database_names():
                    if name.startswith(namespace):
                        database.drop_database(name)


async def filled(world: World) -> None:
    """Fill the services with more than one page of every resource."""
    await world.give_advice(["ES"], versions=MANY)
    others = ["AT", "BE", "CZ", "DE", "DK", "FI", "FR", "GR", "IE", "IT", "PL", "PT"]
    await world.give_advice(others)
    await world.give_opinions(["ES", *others])
    await world.give_messages(MANY)
    await world.raise_alert(*(Person(f"traveller-{number}", ("student",)) for number in range(MANY)))
    await world.hold_falls(MANY)
    advised = await world.advised_country()
    for _ in range(MANY):
        await world.unclear_reply()
        await world.raise_alert(STUDENT)
        await world.override(advised)
        await world.ask_approval(STUDENT)
        await world.lead(STUDENT)
        await world.open_task("faculty-contact", STUDENT, legs=SHORT_NOTICE)
    await world.ask_approval(OTHER_STUDENT)
    await world.register(OTHER_STUDENT)


# ---------------------------------------------------------------- one request for each operation


def approval_body(person: Person = STUDENT) -> dict[str, Any]:
    """The body of an approval request; the description is a canary."""
    start = amsterdam_date(utc_now()) + timedelta(days=60)
    return {
        "facultyId": "example-sciences",
        "programmeId": "example-biology",
        "activityType": "internship",
        "country": "ES",
        "startDate": start.isoformat(),
        "endDate": (start + timedelta(days=60)).isoformat(),
        "description": f"Words of Surname {person.login}",
        "contact": person.contact,
    }


def registration_body(person: Person = STUDENT, *, in_days: int = 60, approval_id: str | None = None) -> dict[str, Any]:
    """The body of a registration. Within 13 days it is routed to the faculty contact person (R7)."""
    start: date = amsterdam_date(utc_now()) + timedelta(days=in_days)
    end = (start + timedelta(days=60)).isoformat()
    return {
        "approvalId": approval_id,
        "facultyId": "example-sciences",
        "programmeId": "example-biology",
        "activityType": "internship",
        "legs": [{"startDate": start.isoformat(), "endDate": end, "country": "ES", "place": "Madrid", "kind": "stay"}],
        "answers": {"credits": True, "universityFunding": False, "transcriptEntry": False},
        "contact": person.contact,
        "language": "en",
        "acknowledged": [{"id": "health-and-safety", "version": "2026-09-01"}, {"id": "regulations", "version": "3"}],
        "overlapsKnown": True,  # these tests register one student many times
    }


def override_body(country: str = "ES") -> dict[str, Any]:
    """The body of an override: red, for a month."""
    today = amsterdam_date(utc_now())
    return {
        "country": country,
        "level": "red",
        "validFrom": today.isoformat(),
        "validUntil": (today + timedelta(days=30)).isoformat(),
        "document": "Decision 2026-12",
        "reason": "Local unrest.",
    }


def clerkship_body(person: Person = STUDENT) -> dict[str, Any]:
    """The body of a request for a regular rotation without slots: the International Office has a step in it (R34)."""
    return {
        **approval_body(person),
        "facultyId": "example-medical-centre",
        "programmeId": "example-clinical-medicine",
        "activityType": "clinical_clerkship",
        "country": "SR",
        "details": {"rotation": "regular", "cluster": "example-listening"},
    }


def trip_body(name: str = "Example trip") -> dict[str, Any]:
    """The body of a group trip."""
    common = ("facultyId", "programmeId", "activityType", "legs", "answers")
    return {"name": name, **{field: registration_body()[field] for field in common}}


def join_body(person: Person) -> dict[str, Any]:
    """The body of a participant who joins a trip."""
    return {"approvalId": None, "contact": person.contact, "language": "en", "overlapsKnown": True}


#: The smallest file that begins and ends as a PDF; its name is a canary.
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
FILE = {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": "attachment; filename*=UTF-8''Surname%20student-one.pdf",
}
ALERT_BODY = {"country": "PT", "messageNl": "Blijf binnen.", "messageEn": "Stay inside."}
SHORT_NOTICE = registration_body(in_days=5)["legs"]
ABROAD = registration_body(in_days=-3)["legs"]

_Make = Callable[[World, Operation], Awaitable[Call]]


def _plain(person: Person | None, **parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, person, **parts)

    return make


def _on_approval(person: Person, **parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, person, path={"approval_id": await world.ask_approval()}, **parts)

    return make


async def _grants(world: World, operation: Operation) -> Call:
    items = [
        {"approvalId": await world.ask_approval(), "version": 1, "programmeConfirmed": True},
        {"approvalId": await world.ask_approval(), "version": 1},
    ]
    return Call(operation, APPROVER, json={"decision": "grant", "items": items})


async def _step(world: World, operation: Operation) -> Call:
    """The programme's coordinator records a step (R33)."""
    approval_id = await world.ask_approval(**clerkship_body())
    body = {"step": "criteria_confirmed", "positive": True, "remark": "It meets all of them."}
    return Call(operation, CLINICAL_APPROVER, path={"approval_id": approval_id}, json=body, headers=_ANY)


async def _answer(world: World, operation: Operation) -> Call:
    """A student answers the approver's question."""
    approval_id = await world.ask_question()
    return Call(operation, STUDENT, path={"approval_id": approval_id}, json={"answer": "In Madrid."}, headers=_ANY)


def _on_registration(person: Person, **parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, person, path={"registration_id": await world.register()}, **parts)

    return make


def _on_task(person: Person, **parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        task_id = await world.open_task("faculty-contact", legs=SHORT_NOTICE)
        return Call(operation, person, path={"task_id": task_id}, **parts)

    return make


def _on_trip(person: Person, **parts: Any) -> _Make:
    """A trip that STUDENT leads."""

    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, person, path={"group_id": await world.lead()}, **parts)

    return make


def _on_full_trip(person: Person) -> _Make:
    """A trip with MANY participants."""

    async def make(world: World, operation: Operation) -> Call:
        group_id = await world.lead(person)
        for number in range(MANY):
            await world.join(group_id, Person(f"participant-{number}", ("student",)))
        return Call(operation, person, path={"group_id": group_id})

    return make


async def _on_changed_trip(world: World, operation: Operation) -> Call:
    """The registration of a participant whose leader has changed the trip."""
    path = {"registration_id": await world.offer_trip_change(STUDENT)}
    return Call(operation, STUDENT, path=path, headers=_ANY)


def _with_documents(person: Person, count: int, *, newest: bool = False) -> _Make:
    """A registration with documents; `newest`: the call reads the last one."""

    async def make(world: World, operation_: Operation) -> Call:
        path = {"registration_id": await world.register()}
        document_id = ""
        for number in range(count):
            document_id = await world.attach(path["registration_id"], kind=f"Letter {number}")
        return Call(operation_, person, path={**path, "document_id": document_id} if newest else path)

    return make


def _on_routed(person: Person, **parts: Any) -> _Make:
    """A registration that waits for a decision (R7)."""

    async def make(world: World, operation: Operation) -> Call:
        registration_id = await world.register(legs=SHORT_NOTICE)
        return Call(operation, person, path={"registration_id": registration_id}, **parts)

    return make


def _on_stay(person: Person, **parts: Any) -> _Make:
    """A registration whose stay has begun."""

    async def make(world: World, operation: Operation) -> Call:
        registration_id = await world.register(legs=ABROAD)
        today = amsterdam_date(utc_now()).isoformat()
        body = {"on": today, "outcome": "returned", "remark": "I am back."}
        return Call(operation, person, path={"registration_id": registration_id}, json=body, **parts)

    return make


def _on_claimed_task(person: Person, **parts: Any) -> _Make:
    async def make(world: World, operation_: Operation) -> Call:
        task_id = await world.open_task("faculty-contact", legs=SHORT_NOTICE)
        await world.send(Call(operation("claimTask"), person, path={"task_id": task_id}))
        return Call(operation_, person, path={"task_id": task_id}, **parts)

    return make


def _on_alert(person: Person, **parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, person, path={"alert_id": await world.raise_alert(STUDENT)}, **parts)

    return make


def _on_closed_alert(person: Person, **parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, person, path={"alert_id": await world.raise_alert(closed=True)}, **parts)

    return make


def _on_hold(**parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, SAFETY_OFFICER, path={"hold_id": (await world.hold_falls())[0]}, **parts)

    return make


def _on_recipient(person: Person, **more: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        alert_id, person_id = await world.raise_alert(STUDENT), await world.person_id(STUDENT)
        return Call(operation, person, path={"alert_id": alert_id}, json={"personId": person_id, **more})

    return make


def _on_override(**parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, SAFETY_OFFICER, path={"override_id": await world.override()}, **parts)

    return make


def _on_reply(person: Person, **parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, person, path={"reply_id": await world.unclear_reply()}, **parts)

    return make


async def _on_reply_of_student(world: World, operation: Operation) -> Call:
    await world.be_in("ES", STUDENT)
    reply_id = await world.unclear_reply(STUDENT.contact["mobile"])
    sender = {"personId": await world.person_id(STUDENT)}
    return Call(operation, SAFETY_OFFICER, path={"reply_id": reply_id}, json=sender)


async def _new_override(world: World, operation: Operation) -> Call:
    return Call(operation, SAFETY_OFFICER, json=override_body(await world.advised_country()))


def _on_link(**parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        token = await world.answer_token(await world.raise_alert(STUDENT), STUDENT)
        return Call(operation, None, path={"token": token}, **parts)

    return make


def _on_return_link(**parts: Any) -> _Make:
    async def make(world: World, operation: Operation) -> Call:
        return Call(operation, None, path={"token": await world.return_token(STUDENT)}, **parts)

    return make


def _on_person(who: Person, **parts: Any) -> _Make:
    """A person who logged in once and has no registration, so that erasure is allowed."""

    async def make(world: World, operation: Operation) -> Call:
        leaver = Person(f"leaver-{uuid.uuid4().hex[:8]}", ("student",))
        return Call(operation, who, path={"id": await world.person_id(leaver)}, **parts)

    return make


async def _own_data(world: World, operation: Operation) -> Call:
    """A student with one registration: STUDENT has hundreds, and every answer would hold them all."""
    reader = Person("reader-of-own-data", ("student",))
    await world.register(reader)
    return Call(operation, reader, path={"id": await world.person_id(reader)})


async def _erasures(world: World, operation_: Operation) -> Call:
    for _ in range(MANY):
        make = _on_person(INTERNATIONAL_OFFICE, query={"reason": "request"}, headers=_ANY)
        await world.send(await make(world, operation("erasePerson")))
    return Call(operation_, INTERNATIONAL_OFFICE)


_ANY = {"If-Match": "*"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_BASIC = {"Authorization": "Basic " + base64.b64encode(f"cm:{WEBHOOK_SECRET}".encode()).decode()}
_RECEIPT = {"messages": {"msg": {"reference": "0" * 32, "status": {"code": 2}}}}
_REPLY = {"from": {"number": "+31612345678"}, "message": {"text": "1"}}

#: operationId → how to make one request that succeeds. A route without its line here fails the tests.
CALLS: dict[str, _Make] = {
    "listProgrammes": _plain(STUDENT),
    "getActivityNeeds": _plain(STUDENT, path={"programme_id": "example-biology"}, query={"activityType": "internship"}),
    "requestApproval": _plain(STUDENT, json=approval_body()),
    "listApprovalRequests": _plain(STUDENT),
    "getApprovalRequest": _on_approval(STUDENT),
    "decideApprovalRequest": _on_approval(
        APPROVER, json={"decision": "grant", "programmeConfirmed": True}, headers=_ANY
    ),
    "decideApprovalRequests": _grants,
    "withdrawApprovalRequest": _on_approval(STUDENT, headers=_ANY),
    "recordApprovalStep": _step,
    "answerApprovalQuestion": _answer,
    "listRotationSlots": _plain(STUDENT),
    "submitRegistration": _plain(STUDENT, json=registration_body()),
    "listRegistrations": _plain(STUDENT),
    "getRegistration": _on_registration(STUDENT),
    "changeRegistration": _on_registration(STUDENT, json=registration_body(in_days=70), headers=_ANY),
    "getChecklist": _on_registration(STUDENT),
    "cancelRegistration": _on_registration(STUDENT, headers=_ANY),
    "decideRegistration": _on_routed(FACULTY_CONTACT, json={"decision": "refuse", "remark": "No."}, headers=_ANY),
    "putStayContact": _on_registration(STUDENT, json=STUDENT.contact, headers=_ANY),
    "recordReturn": _on_stay(STUDENT, headers=_ANY),
    "attachDocument": _on_registration(STUDENT, content=PDF, headers=FILE, query={"kind": "Letter of the host"}),
    "listDocuments": _with_documents(STUDENT, MANY),
    "getDocument": _with_documents(STUDENT, 1, newest=True),
    "createGroupTrip": _plain(STUDENT, json=trip_body()),
    "listGroupTrips": _plain(STUDENT),
    "getGroupTrip": _on_trip(STUDENT),
    "changeGroupTrip": _on_trip(STUDENT, json=trip_body("Another trip"), headers=_ANY),
    "closeGroupTrip": _on_trip(STUDENT, headers=_ANY),
    "joinGroupTrip": _on_trip(OTHER_STUDENT, json=join_body(OTHER_STUDENT)),
    "listParticipants": _on_full_trip(STUDENT),
    "takeOverTripChange": _on_changed_trip,
    "listTasks": _plain(FACULTY_CONTACT),
    "searchRegistrations": _plain(FACULTY_CONTACT, json={"text": OTHER_STUDENT.contact["email"]}),
    "listUnregisteredApprovals": _plain(INTERNATIONAL_OFFICE),
    "getTaskCounts": _plain(FACULTY_CONTACT),
    "getTask": _on_task(FACULTY_CONTACT),
    "claimTask": _on_task(FACULTY_CONTACT),
    "releaseTask": _on_claimed_task(FACULTY_CONTACT),
    "commentTask": _on_task(FACULTY_CONTACT, json={"remark": "I called."}),
    "closeTask": _on_task(FACULTY_CONTACT, json={"remark": "It is settled."}),
    "putSafetySession": _on_registration(STUDENT, json={"attended": True}, headers=_ANY),
    "getPersonData": _own_data,
    "erasePerson": _on_person(INTERNATIONAL_OFFICE, query={"reason": "request"}, headers=_ANY),
    "listErasures": _erasures,
    "listTravelAdvice": _plain(STUDENT),
    "getTravelAdvice": _plain(STUDENT, path={"country": "ES"}),
    "listTravelAdviceHistory": _plain(STUDENT, path={"country": "ES"}),
    "listSources": _plain(STUDENT),
    "listHolds": _plain(SAFETY_OFFICER),
    "decideHold": _on_hold(json={"decision": "release", "reason": "It is so."}),
    "listOverrides": _plain(SAFETY_OFFICER),
    "setOverride": _new_override,
    "endOverride": _on_override(json={"reason": "It is over."}),
    "listCountrySources": _plain(SAFETY_OFFICER, path={"country": "ES"}),
    "listDisagreements": _plain(SAFETY_OFFICER),
    "listCapMessages": _plain(SAFETY_OFFICER),
    "listWhereabouts": _plain(SAFETY_OFFICER, query={"country": "ES"}),
    "summarizeWhereabouts": _plain(SAFETY_OFFICER),
    "listAlerts": _plain(SAFETY_OFFICER),
    "previewAlert": _plain(SAFETY_OFFICER, json=ALERT_BODY),
    # These tests raise one alert many times.
    "raiseAlert": _plain(SAFETY_OFFICER, json={**ALERT_BODY, "alertsKnown": True}),
    "getAlert": _on_alert(SAFETY_OFFICER),
    "listAlertRecipients": _on_alert(SAFETY_OFFICER),
    "getAlertBoard": _on_alert(SAFETY_OFFICER),
    "recordCall": _on_recipient(SAFETY_OFFICER, answer="safe"),
    "listUnclearReplies": _plain(SAFETY_OFFICER),
    "confirmSender": _on_reply_of_student,
    "readReply": _on_reply(SAFETY_OFFICER, json={"answer": "nothing"}),
    "closeAlert": _on_alert(SAFETY_OFFICER, json={"reason": "It is over.", "handOver": [{"owner": "crisis-unit"}]}),
    "reopenAlert": _on_closed_alert(SAFETY_OFFICER, json={"reason": "It is not over."}),
    "showAnswerPage": _on_link(),
    "answerAlert": _on_link(content=b"answer=safe", headers=_FORM),
    "showReturnPage": _on_return_link(),
    "reportReturn": _on_return_link(headers=_FORM),
    "takeReceipts": _plain(None, path={"provider": "cm"}, json=_RECEIPT, headers=_BASIC),
    "takeReply": _plain(None, path={"provider": "cm"}, json=_REPLY, headers=_BASIC),
    "healthz": _plain(None),
    "readyz": _plain(None),
    "metrics": _plain(None),
}
