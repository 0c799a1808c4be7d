"""What the chapters of the demonstration share: the running stack, the students, and questions to services and
simulators."""

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import aiohttp

from deploy.local.demo.pace import NotYet, Pace
from deploy.local.demo.people import People, ServiceUnavailable
from deploy.local.demo.view import View
from deploy.local.demo.world import Plan, Student
from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST
from deploy.local.rewind import rewind
from deploy.local.services import LocalServices
from deploy.local.wait_idle import is_idle

REWIND_SECONDS = 40.0
OFFICER = ("officer-1", ("safety-officer",))
#: Kinds of mail that belong to an alert.
ALERT_KINDS = frozenset({"alert_country", "alert_region", "alert_unresolved", "reminder"})
_LINK = re.compile(r"https?://[^\s:]+(?::[0-9]{1,5}[^\s:]*)?/v1/answers/[A-Za-z0-9_-]+")


@dataclass(slots=True)
class Story:
    """The running stack, the students of the story, and the figures that the chapters collect."""

    services: LocalServices
    people: People
    view: View
    today: date
    cast: list[Student]
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))
    newcomers: list[Student] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def pace(self) -> Pace:
        """How long this run waits for an effect."""
        return self.people.pace

    @property
    def expected(self) -> list[Student]:
        """The students who must be notified, computed from the story alone."""
        there = [student for student in self.cast if student.place_is_affected and student.is_there(self.today)]
        return [*there, *self.newcomers]

    @property
    def suspended(self) -> list[Student]:
        """The students whose clearance must be suspended: cleared, affected, not yet gone."""
        cleared = (Plan.APPROVED_FIRST, Plan.REGISTERED_FIRST, Plan.VOLUNTARY)
        return [student for student in self.cast if student.plan in cleared and student.place_is_affected]

    # ------------------------------------------------------------ the services

    async def count_registrations(self, status: str) -> int:
        """How many registrations have the status."""
        count, number = 0, 1
        while True:
            path = f"/v1/registrations?status={status}&pageSize=250&pageNumber={number}"
            answer = await self.people.call("GET", "registration", path, who=OFFICER[0], roles=OFFICER[1])
            count += len(answer.body["items"])
            if not answer.body["hasNextPage"]:
                return count
            number += 1

    async def alerts(self) -> list[dict[str, Any]]:
        """Every alert as notify shows it; empty while notify does not answer."""
        try:
            listed = await self.people.call("GET", "notify", "/v1/alerts", who=OFFICER[0], roles=OFFICER[1])
            paths = [f"/v1/alerts/{alert['alertId']}" for alert in listed.body["items"]]
            return [
                (await self.people.call("GET", "notify", path, who=OFFICER[0], roles=OFFICER[1])).body for path in paths
            ]
        except (aiohttp.ClientError, TimeoutError, ServiceUnavailable):
            return []

    async def wait_until_handled(self, *names: str) -> None:
        """Wait until these services have handled every event on their topics."""

        async def handled() -> bool | NotYet:
            return (await is_idle(self.services, names)) or NotYet()

        await self.pace.until(handled, f"{' and '.join(names)} handled everything")

    async def wait_until_sent(self) -> None:
        """Wait until no alert, notice or receipt is pending."""

        async def sent() -> bool | NotYet:
            state = await asyncio.to_thread(self.services.readiness, "notify")
            sending = next((check for check in state.get("checks", []) if check["name"] == "sending"), None)
            callbacks = (await self.get(self.services.stack.ports.sms, "/healthz"))["callbacks_pending"]
            pending = ("oldest_unsent_seconds", "unknown", "service_mail_waiting")
            idle = sending is not None and not any(sending[name] for name in pending)
            return (idle and not callbacks) or NotYet(await self.count_messages())

        await self.pace.until(sent, "nothing left to send")

    async def rewind(self, topic: str) -> int:
        """Make notify read a topic from its beginning; returns the number of its records."""
        namespace = self.services.choices.namespace
        return await rewind(
            self.services.stack.kafka,
            f"{namespace}notify.{topic}",
            f"{namespace}{topic}",
            self.pace.patience(REWIND_SECONDS),
        )

    # ------------------------------------------------------------ the simulators

    async def count_alert_messages(self) -> int:
        """How many messages of alerts arrived: mails to expected students, and all SMS."""
        ports = self.services.stack.ports
        addresses = {student.email for student in self.expected}
        mails = await self.get(ports.inbox_control, "/messages")
        texts = await self.get(ports.sms, "/healthz")
        alerts = sum(mail["to"] in addresses and mail["kind"] in ALERT_KINDS for mail in mails)
        return alerts + int(texts["accepted"])

    async def count_messages(self) -> int:
        """How many mails and SMS arrived so far, of every kind."""
        ports = self.services.stack.ports
        mails = await self.get(ports.inbox_control, "/healthz")
        texts = await self.get(ports.sms, "/healthz")
        return int(mails["stored"]) + int(texts["accepted"])

    async def has_both_messages(self, student: Student) -> bool:
        """Whether a mail and an SMS reached the student."""
        ports = self.services.stack.ports
        mails = await self.get(ports.inbox_control, "/messages?limit=200")
        texts = await self.get(ports.sms, f"/messages?to=00{student.mobile.removeprefix('+')}")
        is_alerted = any(mail["to"] == student.email and mail["kind"] in ALERT_KINDS for mail in mails)
        return is_alerted and bool(texts)

    async def has_mail_with(self, student: Student, text: str) -> bool:
        """Whether a mail that holds this text reached the student."""
        return await asyncio.to_thread(_any_mail_with, self.services.maildir, student.email, text)

    async def mail_recipients(self, *kinds: str) -> list[str]:
        """The address of each mail that arrived; only of these kinds, if any are given."""
        mails = await self.get(self.services.stack.ports.inbox_control, "/messages")
        return [str(mail["to"]) for mail in mails if not kinds or mail["kind"] in kinds]

    async def mail_kinds(self) -> Counter[str]:
        """Kind → how many mails arrived."""
        mails = await self.get(self.services.stack.ports.inbox_control, "/messages")
        return Counter(str(mail["kind"]) for mail in mails)

    async def get(self, port: int, path: str) -> Any:
        """GET from a simulator; the JSON."""
        async with _http(port) as http, http.get(path) as response:
            return await response.json()

    async def put(self, port: int, path: str, body: Any) -> None:
        """PUT to a simulator. Raises LocalStackError when it refuses."""
        async with _http(port) as http, http.put(path, json=body) as response:
            if response.status != 200:
                raise LocalStackError(f"PUT {path}: {response.status}")

    async def post(self, port: int, path: str, body: Any) -> None:
        """POST to a simulator. Raises LocalStackError when it refuses."""
        async with _http(port) as http, http.post(path, json=body) as response:
            if response.status >= 300:
                raise LocalStackError(f"POST {path}: {response.status} {await response.text()}")

    async def change_advice(self, change: dict[str, Any]) -> None:
        """Publish a change in the ministry's feed."""
        await self.post(self.services.stack.ports.feed, "/control/change", change)


def _http(port: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://{HOST}:{port}", timeout=aiohttp.ClientTimeout(total=20))


def _any_mail_with(maildir: Path, address: str, text: str) -> bool:
    parser = BytesParser(policy=policy.default)
    for path in (maildir / "new").glob("*"):
        with path.open("rb") as file:
            message = parser.parse(file)
        body = message.get_body(("plain",))
        is_theirs = str(message["Delivered-To"]).strip().lower() == address
        if is_theirs and body is not None and text in " ".join(body.get_content().split()):
            return True
    return False


def answer_links(maildir: Path, addresses: set[str]) -> dict[str, str]:
    """Address → the answer link in the alert that arrived there."""
    parser = BytesParser(policy=policy.default)
    links: dict[str, str] = {}
    for path in sorted((maildir / "new").glob("*")):
        with path.open("rb") as file:
            message = parser.parse(file)
        to = str(message["Delivered-To"]).strip().lower()
        body = message.get_body(("plain",))
        if to in addresses and body is not None and (link := _LINK.search(body.get_content())):
            links[to] = link[0]
    return links
