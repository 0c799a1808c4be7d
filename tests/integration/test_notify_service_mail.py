"""Service mail on a real MongoDB: from events to mails, once each, under redelivery, rebuild and competing runs."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from services.notify import handlers
from services.notify.rules.office_mail import OfficePolicy
from services.notify.rules.service_mail import MailPolicy
from services.notify.service_mail.case_mail import mail_digests, mail_urgent_cases
from services.notify.service_mail.student_mail import send_due_mails
from shared.audit.reader import Record
from shared.clock import AMSTERDAM, utc_now
from shared.envelope import Envelope, parse
from shared.events import (
    AdviceHeld,
    ApprovalEvent,
    ClearanceSuspended,
    Event,
    HoldReason,
    Leg,
    RegistrationApproved,
    RegistrationHeld,
    RegistrationRefused,
    RegistrationRouted,
    ReturnRecorded,
    StayEnded,
    TaskClosed,
    TaskOpened,
)
from tests.audit.log import Log
from tests.integration.notify_sending_world import Providers, address, providers, send_all, send_deps
from tests.integration.notify_world import World, leg, notify, together
from tests.integration.simulators import Simulator
from tests.rules.test_service_mail import ASKED, GRANTED, REFUSED, RETURNED, WITHDRAWN

NO_WAIT = MailPolicy(settle=timedelta(0), quiet_from=0, quiet_until=0)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    """Notify without waiting times and quiet hours."""
    async with notify(stack, namespace) as world:
        apply_policy(world, NO_WAIT)
        yield world


@pytest.fixture
async def sent(inbox: Simulator, gateway: Simulator) -> AsyncIterator[Providers]:
    """The simulated providers."""
    async with providers(inbox, gateway) as opened:
        yield opened


def apply_policy(world: World, policy: MailPolicy, office: OfficePolicy | None = None) -> None:
    """From now on the service mail of this world follows these policies."""
    world.service_mail = replace(world.service_mail, policy=policy, office_policy=office or OfficePolicy())
    world.deps = replace(world.deps, service_mail=world.service_mail)


class Approvals:
    """The topic of approval: events of requests, handed to notify as often as a test wants."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._log = Log(ApprovalEvent.topic, partitions=1, source="/approval")

    @property
    def records(self) -> list[Record]:
        """Everything so far."""
        return self._log.records

    async def say(self, *events: ApprovalEvent, person: str, at: datetime | None = None) -> None:
        """These events of the person's request happen, and notify handles them."""
        start = len(self._log.records)
        for event in events:
            changes: dict[str, object] = {"person_id": person, "approval_id": f"a-{person}"}
            for name in ("contact", "question", "reason", "answer"):
                if getattr(event, name, None) is not None:
                    changes[name] = f"sealed:v1:{person}:event:AAAA"
            self._log.append(event.model_copy(update=changes), at or utc_now())
        await self.handle(self._log.records[start:])

    async def handle(self, records: list[Record]) -> None:
        """Kafka delivers these records."""
        envelopes: list[Envelope[Event]] = [parse(record.value) for record in records]
        await handlers.project_requests_when_approvals_changed(envelopes, self._world.deps)


def outcome(person: str, event: type[Any], **more: Any) -> Any:
    """An event of the person's registration."""
    return event(registration_id=f"r-{person}", person_id=person, **more)


def cleared(person: str) -> RegistrationApproved:
    """The person may depart."""
    return outcome(  # type: ignore[no-any-return]
        person, RegistrationApproved, reason="approved_and_safe", approval_id=None, advice=(), decided_by="rules"
    )


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    return " ".join(str(body.get_content()).split())


async def run(world: World, now: datetime | None = None) -> None:
    """What runs every few seconds."""
    now = now or utc_now()
    await mail_urgent_cases(world.service_mail, now)
    await send_due_mails(world.service_mail, now)
    await mail_digests(world.service_mail, now)


async def to_students(world: World) -> list[tuple[str, str]]:
    """(person, kind) of the service mail to students."""
    return [notice for notice in await world.notices() if "@" not in notice[0]]


async def to_offices(world: World) -> list[tuple[str, str]]:
    """(mailbox, kind) of the mail to offices."""
    return [notice for notice in await world.notices() if "@" in notice[0]]


async def test_question_grant_and_refusal_are_mailed_with_the_words_of_the_approver(
    world: World, sent: Providers
) -> None:
    """Each student reads the decision in the words of the approver, from an address that can be answered."""
    approvals = Approvals(world)
    await approvals.say(ASKED, RETURNED, person="s-1")
    await approvals.say(ASKED, GRANTED, person="s-2")
    await approvals.say(ASKED, REFUSED, person="s-3")

    await run(world)
    await send_all(world, sent.by_channel, replace(send_deps(world), keyring=world.keyring))

    mails = {str(mail["To"]): mail for mail in sent.mails() if "students" in str(mail["To"])}
    assert "Invented question about s-1." in text_of(mails[address("s-1")])
    assert "Register your journey now" in text_of(mails[address("s-2")])
    assert "Invented reason about s-3." in text_of(mails[address("s-3")])
    assert {str(mail["Reply-To"]) for mail in mails.values()} == {
        world.notice_deps.catalogue.faculties["example-sciences"].programmes["example-biology"].coordinator.email
    }
    stored = [document async for document in world.database["selections"].find({})]
    assert "Invented" not in str(stored)


async def test_outcome_of_a_registration_is_mailed_by_its_kind(world: World) -> None:
    """Cleared, routed, incomplete and refused; held for its approval alone makes no mail."""
    await world.handle(*(world.register(f"s-{number}", leg(20, 30)) for number in range(1, 6)))
    await world.handle(
        world.publish(cleared("s-1")),
        world.publish(
            outcome("s-2", RegistrationRouted, rule="R7", reason="within_two_weeks", queue="faculty-contact")
        ),
        world.publish(outcome("s-3", RegistrationHeld, rule="R9", reason="documents_missing", missing=("insurance",))),
        world.publish(outcome("s-4", RegistrationRefused, rule="R13", reason="advice_negative", decided_by="rules")),
        world.publish(outcome("s-5", RegistrationHeld, rule="R2", reason="approval_missing")),
    )

    await run(world)

    assert await to_students(world) == [
        ("s-1", "registration_cleared"),
        ("s-2", "registration_routed"),
        ("s-3", "registration_incomplete"),
        ("s-4", "registration_refused"),
    ]


async def test_clearance_that_is_suspended_while_its_mail_waits_is_never_mailed(world: World) -> None:
    """ "You may depart" must not follow "do not go"."""
    await world.handle(world.register("s-1", leg(20, 30)))
    await world.handle(
        world.publish(cleared("s-1")),
        world.publish(
            outcome("s-1", ClearanceSuspended, rule="R19", reason="advice_negative", faculty_id="example-sciences",
                    programme_id="example-biology", departure_date=leg(20).start_date)
        ),
    )  # fmt: skip

    await run(world)

    assert "registration_cleared" not in [kind for _, kind in await to_students(world)]


async def test_quiet_hours_hold_ordinary_mail_back_until_they_end(world: World) -> None:
    """Mail that comes due at night goes out once in the morning, unless it is no longer true by then."""
    night = utc_now().astimezone(AMSTERDAM).replace(hour=23, minute=0) + DAY
    apply_policy(world, MailPolicy(settle=timedelta(0), max_age=100 * DAY))
    approvals = Approvals(world)
    await approvals.say(ASKED, GRANTED, person="s-1")
    await approvals.say(ASKED, GRANTED, person="s-2")

    await run(world, night)
    at_night = await world.notices()
    await approvals.say(WITHDRAWN, person="s-2")
    for hours in (9, 10):
        await send_due_mails(world.service_mail, night + timedelta(hours=hours))

    assert at_night == []
    assert await to_students(world) == [("s-1", "approval_granted")]


async def test_mail_is_queued_once_whatever_is_delivered_again(world: World) -> None:
    """Redelivery, competing runs, and a database that lost its plans but folded its own topic."""
    approvals = Approvals(world)
    await approvals.say(ASKED, GRANTED, person="s-1")
    submitted, approved = world.register("s-2", leg(20, 30)), world.publish(cleared("s-2"))
    await world.handle(submitted, approved)
    await together(*(send_due_mails(world.service_mail, utc_now()) for _ in range(4)))
    await approvals.handle(approvals.records)
    await world.handle(submitted, approved)
    await run(world)
    once = await to_students(world)
    await mark_accepted(world)

    for collection in ("plannedmails", "selections", "lanes", "requests", "officecases"):
        await world.database[collection].delete_many({})
    await approvals.handle(approvals.records)
    await world.handle(submitted, approved)
    await run(world)

    assert once == [("s-1", "approval_granted"), ("s-2", "registration_cleared")]
    assert await to_students(world) == []


async def mark_accepted(world: World) -> None:
    """Every queued mail was accepted by the mail server."""
    async for job in world.database["lanes"].find({"done": False}):
        await world.database["deliveries"].insert_one({"_id": f"{job['alertId']}:0:email#0", "alertId": job["alertId"]})


async def test_facts_from_long_ago_make_no_mail(world: World) -> None:
    """A rebuilt service reads years of events: nobody gets mail about them."""
    approvals = Approvals(world)
    await approvals.say(ASKED, GRANTED, person="s-1", at=utc_now() - 30 * DAY)

    await run(world)

    assert await world.notices() == []


@pytest.mark.parametrize("registers_first", [True, False])
async def test_student_who_does_not_register_is_reminded_once_after_three_days(
    world: World, registers_first: bool
) -> None:
    """Who names the approval in a registration is not, whichever of the two is known first."""
    approvals = Approvals(world)
    named = world.register("s-2", leg(20, 30))
    event = parse(named.value).data.model_copy(update={"approval_id": "a-s-2"})
    world.registrations.records.pop()
    registration = world.publish(event)
    if registers_first:
        await world.handle(registration)
    await approvals.say(ASKED, GRANTED, person="s-1")
    await approvals.say(ASKED, GRANTED, person="s-2")
    if not registers_first:
        await world.handle(registration)

    for days in (0, 2, 3, 4):
        await send_due_mails(world.service_mail, utc_now() + days * DAY + MINUTE)

    assert await to_students(world) == [("s-1", "approval_granted"), ("s-1", "not_registered")]


async def test_student_is_asked_whether_they_are_back_until_they_say_so(world: World) -> None:
    """On the first day, after three and seven days; a recorded return ends it."""
    stays = {"s-1": leg(-30, -1), "s-2": leg(-30, -1)}
    await world.handle(*(world.register(person, stay) for person, stay in stays.items()))
    ended = [outcome(person, StayEnded, on=leg(-1).start_date) for person in stays]
    await world.handle(*map(world.publish, ended))

    await send_due_mails(world.service_mail, utc_now() + MINUTE)
    back = outcome("s-2", ReturnRecorded, on=leg(0).start_date, outcome="returned", recorded_by="s-2")
    await world.handle(world.publish(back))
    for days in (3, 7, 8, 30):
        await send_due_mails(world.service_mail, utc_now() + days * DAY + MINUTE)

    assert await to_students(world) == [("s-1", "stay_over")] * 3 + [("s-2", "stay_over")]


async def test_erased_person_gets_nothing(world: World, sent: Providers) -> None:
    """Neither waiting nor later mail; and the words about them do not open."""
    approvals = Approvals(world)
    await approvals.say(ASKED, REFUSED, person="s-1")
    await world.whereabouts.contacts.erase("s-1")
    world.keyring.erased.add("s-1")

    await run(world)
    await send_all(world, sent.by_channel, replace(send_deps(world), keyring=world.keyring))

    assert [mail for mail in sent.mails() if "students" in str(mail["To"])] == []


def task(person: str, rule: str = "R7", queue: str = "faculty-contact") -> TaskOpened:
    """A task about the person's registration."""
    return outcome(  # type: ignore[no-any-return]
        person, TaskOpened, task_id=f"t-{person}", queue=queue, scope="", rule=rule, reason="within_two_weeks"
    )


async def test_office_hears_at_once_of_departures_within_two_weeks_and_shares_mails(
    world: World, sent: Providers
) -> None:
    """The first one at once; those of the next minutes share one mail; a task whose cause ended is not mailed."""
    near, far = leg(9, 30), leg(40, 60)
    legs: dict[str, Leg] = {"s-1": near, "s-2": near, "s-3": near, "s-4": near, "s-5": far}
    await world.handle(*(world.register(person, stay) for person, stay in legs.items()))
    await world.handle(world.publish(task("s-1")))
    now = utc_now()

    await mail_urgent_cases(world.service_mail, now)
    await world.handle(*(world.publish(task(person)) for person in ("s-2", "s-3", "s-4", "s-5")))
    await world.handle(world.publish(outcome("s-4", TaskClosed, task_id="t-s-4", closed_by="cause-ended")))
    for minutes in (1, 14, 16, 17, 40):
        await mail_urgent_cases(world.service_mail, now + minutes * MINUTE)
    await send_all(world, sent.by_channel)

    contact = world.notice_deps.catalogue.faculties["example-sciences"].contact_person.email
    assert await to_offices(world) == [(contact, "office_cases")] * 2
    first, second = sorted(map(text_of, sent.mails()), key=len)
    assert "over 9 dagen" in first
    assert "r-s-1" in first
    assert "2 ZAKEN" in second
    assert "r-s-4" not in second
    assert "r-s-5" not in second
    assert "S-1" not in first + second, "no names"


async def test_clock_that_was_ahead_for_a_moment_silences_no_office(world: World) -> None:
    """A mail that is dated two hours from now does not hold back the next one."""
    legs = {person: leg(9, 30) for person in ("s-1", "s-2")}
    await world.handle(*(world.register(person, stay) for person, stay in legs.items()))
    now = utc_now()
    await world.handle(world.publish(task("s-1")))
    await mail_urgent_cases(world.service_mail, now + timedelta(hours=2))
    await world.handle(world.publish(task("s-2")))

    await mail_urgent_cases(world.service_mail, now + MINUTE)

    assert [kind for _, kind in await to_offices(world)] == ["office_cases"] * 2


async def test_hold_reaches_the_safety_officers_in_the_night(world: World) -> None:
    """An emergency waits for no quiet hours; a hold of many countries is one mail; ordinary cases wait."""
    night = utc_now().astimezone(AMSTERDAM).replace(hour=23, minute=0)
    apply_policy(world, MailPolicy(max_age=100 * DAY))
    await world.handle(world.register("s-1", leg(9, 30)))
    await world.handle(world.publish(task("s-1")))
    for country in ("ES", "PT"):
        held = AdviceHeld(country=country, hold_id="h-1", reason=HoldReason.MASS_FALL, changes=(), source="netherlands",
                          source_version="v", releases_at=None)  # fmt: skip
        await handlers.note_case_when_source_or_hold_changed(
            parse(world._appended(world.advice, held).value), world.deps
        )

    for minutes in (0, 2):
        await mail_urgent_cases(world.service_mail, night + minutes * MINUTE)

    assert await to_offices(world) == [(world.notice_deps.catalogue.university.safety_officers.email, "office_cases")]


async def test_digest_comes_once_a_day_and_only_when_something_waits(world: World, sent: Providers) -> None:
    """Counts, how many are new, and the longest wait; each office has its own."""
    approvals = Approvals(world)
    today = utc_now().astimezone(AMSTERDAM)
    await approvals.say(ASKED, person="s-1", at=utc_now() - 5 * DAY)
    await approvals.say(ASKED, person="s-2", at=utc_now() - 5 * DAY)
    await approvals.say(ASKED, GRANTED, person="s-3", at=utc_now() - 5 * DAY)
    at = (today + DAY).replace(hour=8, minute=0, second=0, microsecond=0)

    for minutes in (-1, 0, 1, 600):
        await mail_digests(world.service_mail, at + minutes * MINUTE)
    await approvals.say(WITHDRAWN, person="s-1")
    await approvals.say(WITHDRAWN, person="s-2")
    await mail_digests(world.service_mail, at + DAY)
    await send_all(world, sent.by_channel)

    assert [kind for _, kind in await to_offices(world)] == ["office_digest"]
    (mail,) = sent.mails()
    assert "2 aanvragen wachten op een besluit" in text_of(mail)
    assert "2 requests wait for a decision" in text_of(mail)
