"""The full stack: Kafka, MongoDB, the simulators and the four services as processes that a test may kill or pause.

People act through HTTP. A request without an answer is repeated with the same Idempotency-Key.
"""

import asyncio
import contextlib
import functools
import itertools
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pymongo

from deploy.local.demo.people import Answer, People, ServiceUnavailable
from deploy.local.demo.received import Received, mails, read_mails, repeats, texts
from deploy.local.demo.report import audit
from deploy.local.demo.world import PROGRAMMES, Plan, Student
from deploy.local.ports import HOST
from deploy.local.services import SERVICES, LocalServices
from deploy.local.wait_idle import is_idle
from services.approval.model import evolve as evolve_approval
from services.notify.rules.service_mail import SERVICE_MAIL_KINDS
from services.passage.rebuild import ShadowRebuild
from services.registration.evolve import evolve as evolve_registration
from services.safety.model import evolve as evolve_country
from shared.audit.comparison import Patience, compared
from shared.audit.settings import AuditSettings
from shared.clock import amsterdam_date, utc_now
from shared.events import (
    ApprovalRequested,
    Channel,
    NotificationsAccepted,
    RegistrationSubmitted,
    TravelAdviceChanged,
)
from shared.mongo.client import Mongo
from shared.testing.checker import Acknowledged, Checker, read_topic

PATIENCE_SECONDS = 300.0
CONSISTENT_READS = 100
OFFICER: dict[str, Any] = {"who": "officer-1", "roles": ("safety-officer",)}
#: Service → collection that its events rebuild, the fold, and the event that such a stream begins with.
FOLDS: dict[str, tuple[str, Any, Any]] = {
    "approval": ("requests", evolve_approval, ApprovalRequested),
    "registration": ("registrations", evolve_registration, RegistrationSubmitted),
    "safety": ("countries", evolve_country, TravelAdviceChanged),
}
TOPICS = {
    "approval": "travel.approval.v1",
    "registration": "travel.registration.v1",
    "safety": "travel.advice.v1",
    "notify": "travel.notification.v1",
}
#: Countries without regional or negative advice in the simulator's first state; each test takes one of its own.
COUNTRIES = iter(
    (
        "AT", "BE", "CA", "CH", "CZ", "DE", "DK", "EE", "FI", "FR", "GB", "GR", "HR", "HU", "IE", "IS", "JP", "LT",
        "LU", "LV", "MT", "NO", "NZ", "PL", "PT", "SE", "SG", "SI", "SK", "US", "AD", "AL", "AR", "AU", "BB", "BG",
        "BN", "BS", "BW", "CL", "CR", "CV", "CY", "DM", "FJ", "GD", "GE", "JM", "KR", "LI", "MC", "ME", "MK", "MU",
        "MY", "NA", "PA", "PY", "RO", "RS", "SC", "SM", "TO", "TT", "UY", "VC", "WS", "AW", "AI", "AG", "BZ", "BT",
        "CK", "KM", "CW", "KY", "DJ", "FO", "FM", "GA", "GL", "GY", "KZ", "KG", "KI", "KN", "KW", "LA", "LC", "LS",
        "MV", "MH", "MW", "NC", "NR", "OM", "PW", "PG", "PF", "QA", "SB", "ST", "SZ", "TL", "TV",
    )
)  # fmt: skip


@dataclass
class FullStack:
    """The running stack. `acknowledged`: service → the events that its 2xx answers promised."""

    services: LocalServices
    failpoints: Path
    mint: Callable[[str, list[str]], str]
    acknowledged: dict[str, list[Acknowledged]] = field(default_factory=lambda: {name: [] for name in SERVICES})
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    #: Set by `check`: the state is rebuilt after the last test of the file, because that reads the whole log.
    is_rebuild_due: bool = False

    # ------------------------------------------------------------ faults

    def arm(self, service: str, failpoint: str, action: str = "kill") -> None:
        """Kill the service when it next reaches the failpoint."""
        (self.failpoints / service / failpoint).write_text(action)

    def is_armed(self, service: str, failpoint: str) -> bool:
        """Whether the service has not reached the failpoint yet."""
        return (self.failpoints / service / failpoint).exists()

    @asynccontextmanager
    async def paused_at(self, service: str, failpoint: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Pause the service at the failpoint until the block ends; the function given waits until it is there."""
        file = self.failpoints / service / failpoint
        reached = file.with_suffix(".reached")
        reached.unlink(missing_ok=True)
        self.arm(service, failpoint, "pause")

        async def is_paused() -> bool:
            return reached.exists()

        try:
            yield lambda: self.wait_until(is_paused, f"{service} is paused at {failpoint}")
        finally:
            file.unlink(missing_ok=True)

    @asynccontextmanager
    async def restarting_services(self) -> AsyncIterator[None]:
        """Start a service again when it dies during the block, as an orchestrator does."""

        async def restart_dead_services() -> None:
            while True:
                for name in SERVICES:
                    if await asyncio.to_thread(self.services.stack.processes.find, name) is None:
                        await asyncio.to_thread(self.services.start_service, name)
                await asyncio.sleep(0.1)

        task = asyncio.create_task(restart_dead_services())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @asynccontextmanager
    async def stopped(self, service: str) -> AsyncIterator[None]:
        """Stop the service for the block."""
        await asyncio.to_thread(self.services.stack.processes.stop, service)
        try:
            yield
        finally:
            await asyncio.to_thread(self.services.start_service, service)
            await asyncio.to_thread(self.services.wait_ready, service)

    # ------------------------------------------------------------ people

    def student(self, country: str, plan: Plan = Plan.VOLUNTARY, days: tuple[int, int] = (-3, 30)) -> Student:
        """A student with a stay in the country, `days` from today; by default there now, and without an approval."""
        number, today = next(self.numbers), amsterdam_date(utc_now())
        start, end = (today + timedelta(days=offset) for offset in days)
        return Student(number, plan, country, None, None, start, end, "nl", *PROGRAMMES[number % 4])

    async def register(self, student: Student, approval_id: str | None = None, **headers: str) -> str:
        """Register the student; returns the registrationId."""
        answer = await self.retry(lambda people: people.register(student, approval_id, headers))
        self._note("registration", answer.body["registrationId"], answer)
        return str(answer.body["registrationId"])

    async def request_approval(self, student: Student) -> str:
        """Request approval of the journey; returns the approvalId."""
        approval_id = await self.retry(lambda people: people.request_approval(student))
        self.acknowledged["approval"].append(Acknowledged(approval_id, 1))
        return str(approval_id)

    async def grant(self, approval_id: str, student: Student) -> None:
        """Grant the approval, as the programme's coordinator."""
        await self.retry(lambda people: people.grant(approval_id, student.programme))
        self.acknowledged["approval"].append(Acknowledged(approval_id, 2))

    async def decide_approval(self, approval_id: str, scope: str, decision: str, reason: str | None = None) -> Answer:
        """Decide a request as an approver with this scope. Raises Refused."""
        return await self.retry(lambda people: people.decide_approval(approval_id, scope, decision, reason))

    async def decide(self, registration_id: str, who: str, role: str, decision: str) -> Answer:
        """Decide about a registration in this role, on the advice as it is now. Raises Refused."""
        path = f"/v1/registrations/{registration_id}"
        advice = (await self.registration(registration_id))["advice"]
        seen = [{"country": place["country"], "adviceVersion": place["adviceVersion"]} for place in advice]
        body = {"decision": decision, "remark": "Looked at with care.", "adviceSeen": seen}
        return await self.retry(
            lambda people: people.call(
                "POST", "registration", f"{path}/decisions", who=who, roles=(role,),
                headers={"If-Match": "*"}, body=body,
            )
        )  # fmt: skip

    async def withdraw(self, approval_id: str, student: Student) -> None:
        """Withdraw the approval request, as the student."""
        path = f"/v1/approval-requests/{approval_id}"
        who = _as(student)
        request = await self.retry(lambda people: people.call("GET", "approval", path, **who))
        await self.retry(
            lambda people: people.call(
                "POST", "approval", f"{path}/withdrawal", **who,
                headers={"If-Match": request.etag, "Idempotency-Key": f"withdrawal-{approval_id}"},
            )
        )  # fmt: skip

    async def registration(self, registration_id: str) -> dict[str, Any]:
        """A registration as the safety officer sees it."""
        path = f"/v1/registrations/{registration_id}"
        answer = await self.retry(lambda people: people.call("GET", "registration", path, **OFFICER))
        registration: dict[str, Any] = answer.body
        return registration

    async def checklist_line(self, registration_id: str, item: str) -> dict[str, Any]:
        """The first line of a registration's checklist about this."""
        path = f"/v1/registrations/{registration_id}/checklist"
        answer = await self.retry(lambda people: people.call("GET", "registration", path, **OFFICER))
        line: dict[str, Any] = next(line for line in answer.body["lines"] if line["item"] == item)
        return line

    async def wait_for_status(self, registration_id: str, status: str) -> dict[str, Any]:
        """Wait until the registration has the status; returns it. AssertionError after five minutes."""

        async def has_status() -> bool:
            return bool((await self.registration(registration_id))["status"] == status)

        await self.wait_until(has_status, f"{registration_id} is {status}")
        return await self.registration(registration_id)

    async def raise_to_red(self, country: str) -> None:
        """Publish red advice for the country in the ministry's feed."""
        await self.publish_advice(country, "rood", "Er is een natuurramp.")

    async def publish_advice(self, country: str, colour: str, text: str) -> None:
        """Publish advice for the country in the ministry's feed; the colour in Dutch."""
        await self._control(self.services.stack.ports.feed, "POST", "/control/change",
                            {"country": country, "level": colour, "text": text})  # fmt: skip

    async def wait_for_red(self, country: str) -> None:
        """Wait until safety has adopted red. Before that the stack may be idle because nothing has begun."""

        async def is_red() -> bool:
            path = f"/v1/travel-advice/{country}"
            answer = await self.retry(lambda people: people.call("GET", "safety", path, **OFFICER))
            return bool(answer.body["colour"] == "red")

        await self.wait_until(is_red, f"{country} is red")

    async def retry(self, act: Callable[[People], Awaitable[Any]]) -> Any:
        """Repeat the request until it is answered: a dead service gives no answer, and 503 asks to try again."""
        async with asyncio.timeout(PATIENCE_SECONDS), People(self.services.bases(), self.mint) as people:
            while True:
                try:
                    return await act(people)
                except (aiohttp.ClientError, TimeoutError, ServiceUnavailable):
                    await asyncio.sleep(0.1)

    def _note(self, service: str, stream: str, answer: Answer) -> None:
        version = int((answer.etag or '"1"').strip('W/"'))
        self.acknowledged[service].append(Acknowledged(stream, version))

    # ------------------------------------------------------------ waiting and reading

    async def wait_until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until the condition holds; AssertionError naming `what` after five minutes."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not await condition():
            assert asyncio.get_running_loop().time() < deadline, (
                f"not within {PATIENCE_SECONDS:.0f} s: {what}; {await self.failing_checks()}"
            )
            await asyncio.sleep(0.1)

    async def failing_checks(self) -> dict[str, Any]:
        """Service → its readiness checks that fail, for the message of a failed test."""
        states = {name: await asyncio.to_thread(self.services.readiness, name) for name in SERVICES}
        return {name: [check for check in state.get("checks", []) if not check["ok"]] for name, state in states.items()}

    async def registration_of(self, student: Student) -> str:
        """Wait for the student's first registration; returns its id."""
        ids: list[str] = []

        async def is_registered() -> bool:
            path, who = "/v1/registrations", _as(student)
            answer = await self.retry(lambda people: people.call("GET", "registration", path, **who))
            ids[:] = [registration["registrationId"] for registration in answer.body["items"]]
            return bool(ids)

        await self.wait_until(is_registered, "a registration")
        return ids[0]

    async def received(self) -> dict[Channel, list[Received]]:
        """Channel → every message that arrived."""
        return {
            Channel.EMAIL: await asyncio.to_thread(mails, self.services.maildir),
            Channel.SMS: await asyncio.to_thread(texts, self.services.sms_log),
        }

    async def count_messages(self, student: Student) -> tuple[int, int]:
        """How many mails and SMS the student has received, without service mail about requests and registrations."""
        received = await self.received()
        return (
            sum(mail.to == student.email and _is_wanted(mail.kind, ()) for mail in received[Channel.EMAIL]),
            sum(text.to == _sms_number(student) for text in received[Channel.SMS]),
        )

    async def traces_of_accepted(self, student: Student) -> set[str]:
        """The traces of the events that say that an SMS to this student was accepted."""
        log = await read_topic(self.services.stack.kafka, self.services.choices.namespace, TOPICS["notify"])
        received = (await self.received())[Channel.SMS]
        sent = {text.reference for text in received if text.to == _sms_number(student)}
        return {
            (event.traceparent or "--").split("-")[1]
            for stream in log.streams.values()
            for event in stream
            if isinstance(event.data, NotificationsAccepted)
            and sent & {entry.reference for entry in event.data.entries}
        }

    async def mails_to(self, address: str, *kinds: str) -> list[Message]:
        """Every mail of these kinds that arrived at the address, parsed; without kinds all but service mail."""

        def is_asked_for(mail: Received) -> bool:
            return mail.to == address and _is_wanted(mail.kind, kinds)

        return await asyncio.to_thread(read_mails, self.services.maildir, is_asked_for)

    async def ask(self, method: str, path: str, **request: Any) -> Answer:
        """One request to notify."""
        answer: Answer = await self.retry(lambda people: people.call(method, "notify", path, **request))
        return answer

    async def items(self, service: str, path: str, **who: Any) -> list[dict[str, Any]]:
        """Every entry of a list, page by page: the tests of a session share the stack, and its lists grow long."""
        items: list[dict[str, Any]] = []
        for page in itertools.count(1):
            url = f"{path}{'&' if '?' in path else '?'}pageSize=250&pageNumber={page}"
            answer = await self.retry(functools.partial(_get, service=service, url=url, who=who))
            items += answer.body["items"]
            if not answer.body["hasNextPage"]:
                break
        return items

    async def alert_of(self, country: str) -> str:
        """The id of the newest alert of a country."""
        alerts = await self.items("notify", "/v1/alerts", **OFFICER)
        return next(str(alert["alertId"]) for alert in alerts if alert["country"] == country)

    async def coordinator_of(self, student: Student) -> dict[str, str]:
        """The programme coordinator of a student, as the catalogue has them."""
        answer = await self.retry(lambda people: people.call("GET", "approval", "/v1/programmes", **_as(student)))
        found: dict[str, str] = next(
            entry["coordinator"] for entry in answer.body["items"] if entry["programmeId"] == student.programme
        )
        return found

    async def wait_for_text(self, address: str, words: str) -> str:
        """Wait for a mail to the address that holds these words; its plain text."""
        found: list[str] = []

        async def has_arrived() -> bool:
            found[:] = [text for text in map(_plain_text, await self.mails_to(address)) if words in text]
            return bool(found)

        await self.wait_until(has_arrived, "a mail with these words")
        return found[0]

    async def wait_for_mail(self, address: str, *kinds: str) -> None:
        """Wait until a mail of these kinds has arrived at the address; without kinds any but service mail."""

        async def has_arrived() -> bool:
            received = await asyncio.to_thread(mails, self.services.maildir)
            return any(mail.to == address and _is_wanted(mail.kind, kinds) for mail in received)

        await self.wait_until(has_arrived, f"a mail {' or '.join(kinds)}")

    async def wait_for_messages(self, students: list[Student]) -> None:
        """Wait until each student has received a mail and an SMS."""
        addresses = {student.email for student in students}
        numbers = {_sms_number(student) for student in students}

        async def have_arrived() -> bool:
            received = await self.received()
            mailed = {mail.to for mail in received[Channel.EMAIL] if _is_wanted(mail.kind, ())}
            return addresses <= mailed and numbers <= {text.to for text in received[Channel.SMS]}

        await self.wait_until(have_arrived, f"{len(students)} emails and SMS")

    async def wait_until_idle(self, names: Collection[str] = SERVICES) -> None:
        """Wait until the services have published and handled every event, and no delivery is pending or unknown."""

        async def idle() -> bool:
            if not await is_idle(self.services, names, publishers=names):
                return False
            state = await asyncio.to_thread(self.services.readiness, "notify")
            sending = next((check for check in state.get("checks", []) if check["name"] == "sending"), None)
            if sending is None or sending["oldest_unsent_seconds"] or sending["unknown"]:
                return False
            gateway = await self._control(self.services.stack.ports.sms, "GET", "/healthz")
            # Deliveries and their receipts became events meanwhile.
            return not gateway["callbacks_pending"] and await is_idle(self.services, names, publishers=names)

        await self.wait_until(idle, "the stack is idle")

    async def check(self) -> None:
        """Check the promises: no acknowledged event lost, one chain for each service, the stored state is the fold
        of the events, and exactly the affected people were notified, once.

        Every test has students of its own, so that what `check_rebuilt_state` compares after the file is still there.
        """
        bootstrap, namespace = self.services.stack.kafka, self.services.choices.namespace
        errors: list[str] = []
        for service in TOPICS:
            checker, outbox, stored = await self._consistent_read(service)
            errors += checker.broken() + checker.lost(self.acknowledged[service]) + checker.rewritten(outbox)
            if service in FOLDS:
                _, fold, first_event = FOLDS[service]
                errors += checker.unlike(fold, stored, first_event)
        findings = await audit(bootstrap, namespace)
        errors += [f"missed: {person}" for person in findings.missed]
        errors += [f"notified without reason: {person}" for person in findings.unexpected]
        for channel, messages in (await self.received()).items():
            reported = (findings.told, findings.service_mail)
            for reference in repeats(messages):
                if not any(reference in of.unknown[channel] and reference in of.flagged for of in reported):
                    errors.append(f"{channel} {reference} arrived twice, and its outcome was known")
        assert not errors, "\n".join(errors)
        self.is_rebuild_due = True

    async def _consistent_read(self, service: str) -> tuple[Checker, dict[str, bytes], dict[str, dict[str, Any]]]:
        """The service's topic, its outbox (id → body) and its stored aggregates (id → document), without a write in
        between: schedulers write by the clock, and the stored state would differ from the topic."""
        namespace = self.services.choices.namespace
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(self.services.stack.mongo, tz_aware=True)
        database = client[f"{namespace}{service}"]

        def aggregates() -> dict[str, dict[str, Any]]:
            if service not in FOLDS:
                return {}
            return {str(document["_id"]): document for document in database[FOLDS[service][0]].find({})}

        def outbox_bodies() -> dict[str, bytes]:
            return {str(event["_id"]): bytes(event["body"]) for event in database["events"].find({})}

        try:
            for _ in range(CONSISTENT_READS):
                stored, outbox = aggregates(), outbox_bodies()
                if database["events"].find_one({"pending": True}) is None:
                    checker = await read_topic(self.services.stack.kafka, namespace, TOPICS[service])
                    if (aggregates(), outbox_bodies()) == (stored, outbox):
                        return checker, outbox, stored
                await asyncio.sleep(0.2)
        finally:
            client.close()
        raise AssertionError(f"{service} writes without a pause: its state cannot be compared with its topic")

    async def check_rebuilt_state(self) -> None:
        """What `passage audit diff` does finds no difference; in this process, because starting one takes seconds.

        Its remarks about clocks are left out: some tests set one wrong on purpose.
        """
        self.is_rebuild_due = False
        bootstrap, namespace = self.services.stack.kafka, self.services.choices.namespace

        async def open_shadow() -> ShadowRebuild:
            return ShadowRebuild(Mongo(self.services.stack.mongo, namespace=namespace))

        _, differences, _ = await compared(AuditSettings(bootstrap, namespace), open_shadow, Patience())
        assert differences == [], f"the stored state differs from the events: {str(differences)[:20_000]}"

    async def _control(self, port: int, method: str, path: str, body: Any = None) -> Any:
        url = f"http://{HOST}:{port}{path}"
        async with aiohttp.ClientSession() as http, http.request(method, url, json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json()


async def passage(stack: FullStack, *arguments: str) -> tuple[int, Any]:
    """Run a `passage` command on the stack; returns its exit code, and what it printed as JSON."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": stack.services.stack.kafka,
        "MONGO_URL": stack.services.stack.mongo,
        "NAMESPACE": stack.services.choices.namespace,
    }
    command = (sys.executable, "-m", "services.passage", *arguments)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert process.returncode in (0, 1), f"{arguments}: {err.decode()[-4_000:]}"
    assert out, f"{arguments}: {err.decode()[-4_000:]}"
    return process.returncode, orjson.loads(out)


async def _get(people: People, service: str, url: str, who: dict[str, Any]) -> Answer:
    return await people.call("GET", service, url, **who)


def _as(student: Student) -> dict[str, Any]:
    """The arguments of a call by the student."""
    return {"who": student.subject, "roles": ("student",)}


def _plain_text(message: Message) -> str:
    """The plain text of a mail, unfolded."""
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            return payload.decode()
    return ""


def _sms_number(student: Student) -> str:
    """The student's number as the SMS gateway writes it."""
    return f"00{student.mobile[1:]}"


def _is_wanted(kind: str, kinds: Collection[str]) -> bool:
    """Whether a mail of this kind is asked for: without kinds, any that is not about ordinary work."""
    return kind in kinds if kinds else kind not in SERVICE_MAIL_KINDS
