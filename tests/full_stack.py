"""The whole full_stack: Kafka, MongoDB, simulators and the four services as processes that may be killed or held.

People act through HTTP as they would: whoever gets no answer repeats the request with the same Idempotency-Key.
"""

import asyncio
import contextlib
import itertools
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pymongo

from deploy.local.demo.people import Answer, Away, People
from deploy.local.demo.received import mails, repeats, texts
from deploy.local.demo.report import audit
from deploy.local.demo.world import PROGRAMMES, Plan, Student
from deploy.local.ports import HOST
from deploy.local.services import SERVICES, LocalServices
from deploy.local.wait_idle import is_idle
from services.approval.model import evolve as evolve_approval
from services.registration.evolve import evolve as evolve_registration
from services.safety.model import evolve as evolve_country
from shared.clock import amsterdam_date, utc_now
from shared.events import (
    ApprovalRequested,
    Channel,
    NotificationsAccepted,
    RegistrationSubmitted,
    TravelAdviceChanged,
)
from shared.testing.checker import Acknowledged, read_topic

PATIENCE_SECONDS = 300.0
OFFICER: dict[str, Any] = {"who": "officer-1", "roles": ("safety-officer",)}
#: What is kept as a fold, and the events that such streams begin with.
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
#: Whole and not negative in the simulator's first picture; each test takes one of its own.
COUNTRIES = iter(
    (
        "AT", "BE", "CA", "CH", "CZ", "DE", "DK", "EE", "FI", "FR", "GB", "GR", "HR", "HU", "IE", "IS", "JP", "LT",
        "LU", "LV", "MT", "NO", "NZ", "PL", "PT", "SE", "SG", "SI", "SK", "US", "AD", "AL", "AR", "AU", "BB", "BG",
        "BN", "BS", "BW", "CL", "CR", "CV", "CY", "DM", "FJ", "GD", "GE", "JM", "KR", "LI", "MC", "ME", "MK", "MU",
        "MY", "NA", "PA", "PY", "RO", "RS", "SC", "SM", "TO", "TT", "UY", "VC", "WS",
    )
)  # fmt: skip


@dataclass
class FullStack:
    """Everything runs, and anything may be killed. `acknowledged` is what a 2xx promised, by service."""

    services: LocalServices
    failpoints: Path
    mint: Callable[[str, list[str]], str]
    acknowledged: dict[str, list[Acknowledged]] = field(default_factory=lambda: {name: [] for name in SERVICES})
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    # ------------------------------------------------------------ violence

    def arm(self, service: str, failpoint: str, action: str = "kill") -> None:
        """The service dies when it next comes by."""
        (self.failpoints / service / failpoint).write_text(action)

    def is_armed(self, service: str, failpoint: str) -> bool:
        """Whether it has not come by yet."""
        return (self.failpoints / service / failpoint).exists()

    @asynccontextmanager
    async def held(self, service: str, failpoint: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Whoever comes by stands still until the block ends; what is given waits until somebody does."""
        file = self.failpoints / service / failpoint
        reached = file.with_suffix(".reached")
        reached.unlink(missing_ok=True)
        self.arm(service, failpoint, "pause")

        async def stands() -> bool:
            return reached.exists()

        try:
            yield lambda: self.until(stands, f"{service} stands at {failpoint}")
        finally:
            file.unlink(missing_ok=True)

    @asynccontextmanager
    async def nursed(self) -> AsyncIterator[None]:
        """Whichever service dies meanwhile is started again, as an orchestrator would."""

        async def nurse() -> None:
            while True:
                for name in SERVICES:
                    if await asyncio.to_thread(self.services.stack.processes.find, name) is None:
                        await asyncio.to_thread(self.services.start_service, name)
                await asyncio.sleep(0.1)

        task = asyncio.create_task(nurse())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    # ------------------------------------------------------------ people

    def student(self, country: str, plan: Plan = Plan.VOLUNTARY, days: tuple[int, int] = (-3, 30)) -> Student:
        """Somebody with a stay in the country, `days` from today; by default there now, and without an approval."""
        number, today = next(self.numbers), amsterdam_date(utc_now())
        start, end = (today + timedelta(days=each) for each in days)
        return Student(number, plan, country, None, None, start, end, "nl", *PROGRAMMES[number % 4])

    async def register(self, student: Student, approval_id: str | None = None, **headers: str) -> str:
        """A student registers, however often it takes; the registrationId."""
        answer = await self.insist(lambda people: people.register(student, approval_id, headers))
        self._note("registration", answer.body["registrationId"], answer)
        return str(answer.body["registrationId"])

    async def request_approval(self, student: Student) -> str:
        """A student asks for approval of the journey; the approvalId."""
        approval_id = await self.insist(lambda people: people.request_approval(student))
        self.acknowledged["approval"].append(Acknowledged(approval_id, 1))
        return str(approval_id)

    async def grant(self, approval_id: str, student: Student) -> None:
        """The programme says yes."""
        await self.insist(lambda people: people.grant(approval_id, student.programme))
        self.acknowledged["approval"].append(Acknowledged(approval_id, 2))

    async def withdraw(self, approval_id: str, student: Student) -> None:
        """The student takes the approval back."""
        path = f"/v1/approval-requests/{approval_id}"
        who = _as(student)
        seen = await self.insist(lambda people: people.call("GET", "approval", path, **who))
        await self.insist(
            lambda people: people.call(
                "POST", "approval", f"{path}/withdrawal", **who,
                headers={"If-Match": seen.etag, "Idempotency-Key": f"withdrawal-{approval_id}"},
            )
        )  # fmt: skip

    async def registration(self, registration_id: str) -> dict[str, Any]:
        """A registration as the safety officer sees it."""
        path = f"/v1/registrations/{registration_id}"
        answer = await self.insist(lambda people: people.call("GET", "registration", path, **OFFICER))
        found: dict[str, Any] = answer.body
        return found

    async def becomes(self, registration_id: str, status: str) -> dict[str, Any]:
        """Wait until the registration stands so; AssertionError after five minutes."""

        async def stands() -> bool:
            return bool((await self.registration(registration_id))["status"] == status)

        await self.until(stands, f"{registration_id} is {status}")
        return await self.registration(registration_id)

    async def raise_to_red(self, country: str) -> None:
        """The ministry says so."""
        await self._control(self.services.stack.ports.feed, "POST", "/control/change",
                            {"country": country, "level": "rood", "text": "Er is een natuurramp."})  # fmt: skip

    async def has_adopted_red(self, country: str) -> None:
        """Wait until safety has read it: before that all may be quiet because nothing has begun."""

        async def adopted() -> bool:
            path = f"/v1/travel-advice/{country}"
            answer = await self.insist(lambda people: people.call("GET", "safety", path, **OFFICER))
            return bool(answer.body["colour"] == "red")

        await self.until(adopted, f"{country} is red")

    async def insist(self, act: Callable[[People], Awaitable[Any]]) -> Any:
        """Until there is an answer. A service that is away gives none; 503 asks to come again."""
        async with asyncio.timeout(PATIENCE_SECONDS), People(self.services.bases(), self.mint) as people:
            while True:
                try:
                    return await act(people)
                except (aiohttp.ClientError, TimeoutError, Away):
                    await asyncio.sleep(0.1)

    def _note(self, service: str, stream: str, answer: Answer) -> None:
        version = int((answer.etag or '"1"').strip('W/"'))
        self.acknowledged[service].append(Acknowledged(stream, version))

    # ------------------------------------------------------------ looking

    async def until(self, look: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until it is so; AssertionError after five minutes."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not await look():
            assert asyncio.get_running_loop().time() < deadline, f"not seen in time: {what}; {await self.state()}"
            await asyncio.sleep(0.1)

    async def state(self) -> dict[str, Any]:
        """What the services say of themselves, for a failure's message."""
        found = {name: await asyncio.to_thread(self.services.readiness, name) for name in SERVICES}
        return {name: [check for check in state.get("checks", []) if not check["ok"]] for name, state in found.items()}

    async def registration_of(self, student: Student) -> str:
        """The id of the student's own registration, as soon as there is one."""
        found: list[str] = []

        async def there() -> bool:
            path, who = "/v1/registrations", _as(student)
            answer = await self.insist(lambda people: people.call("GET", "registration", path, **who))
            found[:] = [each["registrationId"] for each in answer.body["items"]]
            return bool(found)

        await self.until(there, "a registration")
        return found[0]

    async def count_of(self, student: Student) -> tuple[int, int]:
        """How many mails and SMS the student has."""
        got_mail = await asyncio.to_thread(mails, self.services.maildir)
        got_text = await asyncio.to_thread(texts, self.services.sms_log)
        number = f"00{student.mobile[1:]}"
        return sum(each.to == student.email for each in got_mail), sum(each.to == number for each in got_text)

    async def traces_of_accepted(self, student: Student) -> set[str]:
        """The traces of the facts that a message to this student was accepted."""
        topic, digits = TOPICS["notify"], student.mobile[1:]
        log = await read_topic(self.services.stack.kafka, self.services.choices.namespace, topic)
        sent = {each.reference for each in await asyncio.to_thread(texts, self.services.sms_log) if digits in each.to}
        return {
            (each.traceparent or "--").split("-")[1]
            for stream in log.streams.values()
            for each in stream
            if isinstance(each.data, NotificationsAccepted) and sent & {entry.reference for entry in each.data.entries}
        }

    async def mails_to(self, address: str) -> list[Message]:
        """Every mail that somebody has, parsed."""

        def read() -> list[Message]:
            found = [message_from_bytes(path.read_bytes()) for path in (self.services.maildir / "new").glob("*")]
            return [each for each in found if each["Delivered-To"] == address]

        return await asyncio.to_thread(read)

    async def has_mail(self, address: str) -> None:
        """Wait for a mail to somebody."""

        async def arrived() -> bool:
            return any(each.to == address for each in await asyncio.to_thread(mails, self.services.maildir))

        await self.until(arrived, "a mail")

    async def everybody_is_told(self, students: list[Student]) -> None:
        """An email and an SMS for each, at least once."""
        addresses = {student.email for student in students}
        numbers = {f"00{student.mobile[1:]}" for student in students}

        async def told() -> bool:
            got_mail = {each.to for each in await asyncio.to_thread(mails, self.services.maildir)}
            got_text = {each.to for each in await asyncio.to_thread(texts, self.services.sms_log)}
            return addresses <= got_mail and numbers <= got_text

        await self.until(told, f"{len(students)} emails and SMS")

    async def all_is_quiet(self) -> None:
        """Everything published, everything read, nothing on its way, no verdict unknown."""

        async def quiet() -> bool:
            if not await is_idle(self.services):
                return False
            state = await asyncio.to_thread(self.services.readiness, "notify")
            sending = next((check for check in state.get("checks", []) if check["name"] == "sending"), None)
            if sending is None or sending["oldest_unsent_seconds"] or sending["unknown"]:
                return False
            texts_ = await self._control(self.services.stack.ports.sms, "GET", "/healthz")
            # What was sent, and its receipts, are facts of their own.
            return not texts_["callbacks_pending"] and await is_idle(self.services)

        await self.until(quiet, "quiet")

    async def check(self) -> None:
        """Acknowledged and lost = 0; one chain each; kept = fold of the log; told exactly who had to be told."""
        bootstrap, namespace = self.services.stack.kafka, self.services.choices.namespace
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(self.services.stack.mongo, tz_aware=True)
        wrong: list[str] = []
        for service, topic in TOPICS.items():
            database = client[f"{namespace}{service}"]
            # Read before the topic: safety goes on saying that it has read its source.
            published = database["events"].find({"pending": {"$ne": True}}, {"body": 1})
            outbox = {str(each["_id"]): bytes(each["body"]) for each in published}
            checker = await read_topic(bootstrap, namespace, topic)
            wrong += checker.broken() + checker.lost(self.acknowledged[service]) + checker.rewritten(outbox)
            if service in FOLDS:
                collection, fold, holds = FOLDS[service]
                kept = {str(each["_id"]): each for each in database[collection].find({})}
                wrong += checker.unlike(fold, kept, holds)
        client.close()
        findings = await audit(bootstrap, namespace)
        wrong += [f"missed: {each}" for each in findings.missed] + [f"not due: {each}" for each in findings.unexpected]
        arrived = {
            Channel.EMAIL: await asyncio.to_thread(mails, self.services.maildir),
            Channel.SMS: await asyncio.to_thread(texts, self.services.sms_log),
        }
        for channel, messages in arrived.items():
            for reference in repeats(messages):
                if reference not in findings.told.unknown[channel] or reference not in findings.told.flagged:
                    wrong.append(f"{channel} {reference} came twice and was settled before")
        assert not wrong, "\n".join(wrong)
        await self._rebuilt_is_kept()

    async def _rebuilt_is_kept(self) -> None:
        """`audit diff` finds nothing. Safety goes on saying that it has read its source, so it is asked again.

        That a clock was wrong it says as well; here that is done on purpose.
        """
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.services.stack.kafka,
            "MONGO_URL": self.services.stack.mongo,
            "NAMESPACE": self.services.choices.namespace,
        }
        for _ in range(3):
            command = (sys.executable, "-m", "services.passage", "audit", "diff", "--json")
            process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
            out, err = await process.communicate()
            if process.returncode in (0, 1) and orjson.loads(out)["differences"] == []:
                return
        raise AssertionError(f"kept is not what the events say: {out.decode()[:20_000]} {err.decode()[-2_000:]}")

    async def _control(self, port: int, method: str, path: str, body: Any = None) -> Any:
        url = f"http://{HOST}:{port}{path}"
        async with aiohttp.ClientSession() as http, http.request(method, url, json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json()


def _as(student: Student) -> dict[str, Any]:
    """The student at the keyboard."""
    return {"who": student.subject, "roles": ("student",)}
