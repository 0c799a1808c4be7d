"""Notify as people meet it: its HTTP routes in process, a real MongoDB, and the simulated mail and SMS providers.

Events of the other services reach its handlers directly, and the test decides when the minutes pass.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import orjson

from services.notify import escalation, handlers
from services.notify.callbacks.deps import CallbackDeps
from services.notify.callbacks.replies import process_replies
from services.notify.store.providers import ProviderStore
from shared.audit.affected import Affected
from shared.clock import utc_now
from shared.envelope import parse
from shared.mongo.client import Mongo
from shared.web.local_tokens import create_keys
from tests.contracts import services_world
from tests.contracts.services_world import SAFETY_OFFICER, WEBHOOK_SECRET
from tests.integration.notify_sending_world import Providers, address, number, providers, send_all
from tests.integration.notify_world import CM, World, notify
from tests.integration.simulators import Simulator
from tests.integration.test_audit_diff import differences
from tests.rules import notify_world as build

SERVICE_KEY = b"k" * 32


@dataclass
class AlertWorld:
    """One notify. `notify`: its stores and handlers; `out`: what students and teams have received."""

    notify: World
    out: Providers
    http: httpx.AsyncClient
    officer: dict[str, str]
    callbacks: CallbackDeps
    mongo: str
    namespace: str

    # ------------------------------------------------------------ the safety officer

    async def ask(self, path: str, **query: str) -> Any:
        """What the officer reads."""
        response = await self.http.get(f"/v1{path}", headers=self.officer, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """What the officer asks for."""
        return await self.http.post(f"/v1{path}", headers={**self.officer, **headers}, json=body)

    async def close(self, alert_id: str = "ES-2") -> None:
        """The officer closes the alert and hands everybody who is not safe to a team."""
        body = {"reason": "The storm is over.", "handOver": [{"owner": "crisis-unit"}]}
        response = await self.post(f"/alerts/{alert_id}/closure", body)
        assert response.status_code == 201, response.text

    async def alerts(self) -> list[dict[str, Any]]:
        """The list of alerts, in its order."""
        return list((await self.ask("/alerts"))["items"])

    async def recipient(self, person: str, alert_id: str = "ES-2") -> dict[str, Any]:
        """A recipient on the board."""
        recipients = (await self.ask(f"/alerts/{alert_id}/recipients"))["items"]
        found: dict[str, Any] = next(entry for entry in recipients if entry["personId"] == person)
        return found

    async def not_alerted(self, country: str = "ES") -> set[tuple[str, str]]:
        """(person, why) of everybody in the country whom no alert told."""
        found = await self.ask("/whereabouts", country=country, notAlerted="true")
        return {(entry["personId"], entry["notAlerted"]) for entry in found["items"]}

    # ------------------------------------------------------------ students

    async def answer(self, person: str, answer: str, alert_id: str = "ES-2") -> str:
        """The student opens the link of the mail and taps; the page that follows."""
        link = f"/v1/answers/{self.notify.deliveries.answers.link_token(alert_id, person)}?language=nl"
        tapped = await self.http.post(link, data={"answer": answer})
        assert tapped.status_code == 303, tapped.text
        return (await self.http.get(link)).text

    async def text(self, sender: str, words: str) -> None:
        """A person sends an SMS to the university's number."""
        body = {"from": {"number": sender.replace("+", "00")}, "to": {"number": "0031970000000"},
                "message": {"text": words}, "reference": f"{sender} {words}", "channel": "SMS",
                "timeUtc": "2026-03-02T09:00:00"}  # fmt: skip
        post = await self.http.post("/v1/webhooks/cm/inbound", content=orjson.dumps(body), auth=("cm", WEBHOOK_SECRET))
        assert post.status_code == 200, post.text
        await process_replies(self.callbacks, utc_now())

    def mails_to(self, person: str) -> list[str]:
        """The subjects of the mails that a student has received, oldest first."""
        return [str(mail["Subject"]) for mail in self._received(address(person))]

    def texts_to(self, person: str) -> int:
        """How many SMS a student has received."""
        return self.out.texted()[number(person)]

    def mails_to_teams(self) -> list[str]:
        """Who of the university has received a mail, and its subject, sorted."""
        mails = [mail for mail in self.out.mails() if "@university.example" in str(mail["Delivered-To"])]
        return sorted(f"{mail['Delivered-To']}: {mail['Subject']}" for mail in mails)

    def _received(self, to: str) -> list[EmailMessage]:
        return [mail for mail in self.out.mails() if str(mail["Delivered-To"]) == to]

    # ------------------------------------------------------------ what the service does by itself

    async def minutes_pass(self, now: datetime | None = None) -> None:
        """The service does all that is due at that time: escalation, its own events, sending."""
        await escalation.run_escalations(self.notify.escalation, now or utc_now())
        await self.goes_on()

    async def goes_on(self) -> None:
        """Notify reads its own topic, and the send workers send."""
        own = [parse(record.value) for record in await self.notify.notifications()]
        await handlers.fold_own_events_when_published(own, self.notify.deps)
        await send_all(self.notify, self.out.by_channel)

    async def differences(self) -> set[tuple[str, str, str]]:
        """What notify stores and its events do not say, as `passage audit diff` finds it."""
        records = [*self.notify.registrations.records, *await self.notify.notifications()]
        return await differences(Mongo(self.mongo, namespace=self.namespace), records, "notify")

    async def told_by_no_alert(self) -> set[str]:
        """What the auditor computes from the events of all services, after any grace."""
        affected = Affected(build.nowhere)
        world = self.notify
        for record in (*world.registrations.records, *world.advice.records, *await world.notifications()):
            affected.feed(record)
        return {person.because.person_id for person in affected.not_notified(utc_now())}


@asynccontextmanager
async def alert_world(
    stack: Any, namespace: str, folder: Path, inbox: Simulator, gateway: Simulator
) -> AsyncIterator[AlertWorld]:
    """A notify of this test."""
    keys = folder / "keys"
    create_keys(keys)
    async with notify(stack, namespace) as world, providers(inbox, gateway) as out:
        tokens = services_world.World(stack.mongo, namespace, keys, {})
        app = services_world.build("notify", stack.mongo, namespace, keys, service_key=SERVICE_KEY, scanner_seconds=0.0)
        provider_store = ProviderStore(world.database)
        callbacks = CallbackDeps(
            world.outbox, world.callbacks, world.deliveries, world.alerts, world.whereabouts, world.escalation,
            {}, {CM.provider: CM.parse_replies}, provider_store,
        )  # fmt: skip
        async with app.router.lifespan_context(app), services_world.client(app) as http:
            officer = {"Authorization": f"Bearer {tokens.token(SAFETY_OFFICER)}"}
            yield AlertWorld(world, out, http, officer, callbacks, stack.mongo, namespace)
        tokens.mongo.close()
