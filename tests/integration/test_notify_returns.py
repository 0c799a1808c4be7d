"""The link "I am back": only its person reports a return, once, and only when there is one to report."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.notify.api import returns
from services.notify.notices import notice_id
from services.notify.pages.answer import Pages
from services.notify.rules.service_mail import MailPolicy, plan_mails
from services.notify.rules.service_mail import Reason as MailReason
from services.notify.store.deliveries import StoredEvent
from services.notify.store.planned_mails import PlannedMailStore
from services.notify.store.whereabouts import WhereaboutsUpdate
from shared.clock import amsterdam_date, utc_now
from shared.events import Channel, DeliveryOutcome, NotificationsAccepted, ReturnReported, StayEnded
from shared.ids import new_id
from shared.web.identity import TokenRules, Verifier
from shared.web.service import WebSettings, service
from tests.integration.notify_world import World, notify


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    async with notify(stack, namespace) as made:
        yield made


@pytest.fixture
async def http(world: World, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A browser; the mail's arrival is remembered for twenty seconds."""
    deps = returns.ReturnDeps(
        world.outbox, world.deliveries.answers, world.deliveries, PlannedMailStore(world.database), world.whereabouts,
        Pages(world.live), scanner_seconds=20,
    )  # fmt: skip

    async def nothing() -> list[Any]:
        return []

    verifier = Verifier(TokenRules("i", "a", str(tmp_path / "jwks")), world.keyring)
    app = service("notify", "", [returns.routes(deps)], settings=WebSettings(), verifier=verifier, checks=nothing)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notify.example") as made:
        yield made


async def asked(world: World, *, seconds_ago: float, **changes: Any) -> str:
    """The path in the mail that asks whether p1 is back, which the server accepted so long ago."""
    await world.handle(world.register("p1"))
    where = (await world.whereabouts.load(["r-p1"]))["r-p1"]
    ended = where.model_copy(update={"ended": True, "version": where.version + 1, **changes})
    await world.whereabouts.put([WhereaboutsUpdate(ended)])
    planned, now = PlannedMailStore(world.database), utc_now()
    event = StayEnded(registration_id="r-p1", person_id="p1", on=amsterdam_date(now))
    plan = plan_mails(event, new_id(), ended.version, now, MailPolicy())
    await planned.put([("r-p1", ended.version, plan)])
    await planned.settle({mail.mail_id: MailReason.TRUE for mail in plan.mails})
    mail = notice_id(max(plan.mails, key=lambda mail: mail.due_at).mail_id)
    entry = DeliveryOutcome(
        delivery_id=f"{mail}:p1:email:1", person_id="p1", registration_id="r-p1", channel=Channel.EMAIL, step=1,
        provider="smtp", reference="ref", at=now - timedelta(seconds=seconds_ago),
    )  # fmt: skip
    accepted = NotificationsAccepted(alert_id=mail, shard=0, entries=(entry,))
    await world.deliveries.fold([StoredEvent("accepted", now, accepted)])
    return f"/v1/returns/{world.deliveries.answers.link_token('r-p1', 'p1')}"


@pytest.mark.fault("a mail scanner follows the link in the mail after a stay")
async def test_return_is_not_reported_by_the_scanner_of_the_mail(world: World, http: httpx.AsyncClient) -> None:
    """It would take a student abroad out of every alert: so soon after the mail arrived, the page asks again."""
    path = await asked(world, seconds_ago=5)

    assert (await http.post(path)).status_code == 409
    assert await world.events_of(ReturnReported) == []


async def test_return_is_reported_once_by_its_person(world: World, http: httpx.AsyncClient) -> None:
    """Looking reports nothing, and the form sent twice reports one return."""
    path = await asked(world, seconds_ago=60)

    assert (await http.get(path)).status_code == 200
    assert await world.events_of(ReturnReported) == []
    assert [(await http.post(path)).status_code for _ in range(2)] == [303, 303]

    [event] = await world.events_of(ReturnReported)
    assert isinstance(event, ReturnReported)
    assert (event.person_id, event.registration_id, event.on) == ("p1", "r-p1", amsterdam_date(utc_now()))


@pytest.mark.parametrize(
    "changes",
    [{"ended": False}, {"cancelled": True}, {"returned_on": amsterdam_date(utc_now())}],
    ids=["new dates", "cancelled", "back already"],
)
async def test_no_return_is_reported_of_a_stay_that_is_not_overdue(
    world: World, http: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    """The mail is old: a student with new dates is abroad, whatever its link says."""
    path = await asked(world, seconds_ago=60, **changes)

    assert (await http.post(path)).status_code == 303
    assert await world.events_of(ReturnReported) == []


async def test_return_link_of_an_erased_person_leads_nowhere(world: World, http: httpx.AsyncClient) -> None:
    """Nothing new may be recorded of them."""
    path = await asked(world, seconds_ago=60)
    await world.whereabouts.contacts.erase("p1")

    assert [(await http.get(path)).status_code, (await http.post(path)).status_code] == [404, 404]
    assert await world.events_of(ReturnReported) == []
