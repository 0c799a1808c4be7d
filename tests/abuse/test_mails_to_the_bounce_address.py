"""Mails of every kind in the bounce mailbox, as files: some settle a delivery, all others wait for a person."""

import json
from datetime import timedelta
from pathlib import Path

from services.notify import bounce_mailbox
from services.notify.background import unread_checks
from services.notify.callbacks.receipts import ATTEMPTS_TO_FIND_MAIL
from services.notify.channels.mail_kinds import MailKind
from services.notify.model.deliveries import DeliveryState, reference
from services.notify.store.callbacks import AUTOMATIC, READ, UNCLEAR, UNKNOWN_REFERENCE, UNREADABLE
from services.notify.store.deliveries import StoredEvent
from shared.clock import utc_now
from shared.events import AlertEscalated, Channel, DeliveryOutcome, NotificationsAccepted
from shared.observability import metrics
from shared.set_aside import SetAside
from tests.failures import Failures
from tests.integration.notify_public import PublicRoutes
from tests.integration.notify_sending_world import alerted, delivery
from tests.integration.notify_world import World

FOLDER = Path(__file__).parents[1] / "data" / "bounces"
OURS = "0123456789abcdef0123456789abcdef"
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
STATES = {
    "failed": DeliveryState.FAILED, "temporary": DeliveryState.TEMPORARY_FAILURE, "pending": DeliveryState.PENDING,
    "delivered": DeliveryState.DELIVERED, "interim": DeliveryState.ACCEPTED,
}  # fmt: skip
REPORT = f"""From: MAILER-DAEMON@mx.example
To: bounces+{OURS}@university.example
Content-Type: message/delivery-status

Action: {{action}}
Status: {{status}}
"""


def email_reference(person: str) -> str:
    """The reference of the person's email."""
    return reference(f"ES-2:{person}:email:1")


async def mailed(world: World, *persons: str) -> None:
    """These persons are alerted, and the mail server accepted their emails."""
    await alerted(world, *persons)
    entries = tuple(
        DeliveryOutcome(delivery_id=f"ES-2:{person}:email:1", person_id=person, registration_id=f"r-{person}",
                        channel=Channel.EMAIL, step=1, provider="smtp", reference=email_reference(person), at=utc_now())
        for person in persons
    )  # fmt: skip
    fact = NotificationsAccepted(alert_id="ES-2", shard=0, entries=entries)
    await world.deliveries.fold([StoredEvent("mailed", utc_now(), fact)])


async def deliver(world: World, maildir: Path, **mails: bytes) -> None:
    """Put these mails into the Maildir, as a mail server does, and have them read."""
    (maildir / "new").mkdir(exist_ok=True)
    for name, content in mails.items():
        (maildir / "new" / f"{name}.mx").write_bytes(content)
    assert await bounce_mailbox.store_bounces(maildir, world.callbacks, SetAside()) == len(mails)


def about(person: str, mail: bytes) -> bytes:
    """The mail, about the email to this person."""
    theirs = email_reference(person)
    for mine, reference_of_person in ((OURS, theirs), (OURS.upper(), theirs.upper())):
        mail = mail.replace(mine.encode(), reference_of_person.encode())
    return mail


async def noted(world: World) -> dict[str, str]:
    """Person → the note on the mail about the email to them."""
    return {post["person"]: post["note"] async for post in world.database["callbacks"].find({"person": {"$ne": None}})}


async def test_every_written_mail_settles_its_delivery_or_waits_for_a_person(
    world: World, public: PublicRoutes, tmp_path: Path
) -> None:
    """All of them at once, each about another person: state, note, kind in the list, and the alarm."""
    # The reference in this one is encoded.
    expected = {name: mail for name, mail in EXPECTED.items() if name != "report_original_base64"}
    people = {name: f"p{position}" for position, name in enumerate(expected)}
    await mailed(world, *people.values())

    mails = {name: about(person, (FOLDER / f"{name}.eml").read_bytes()) for name, person in people.items()}
    await deliver(world, tmp_path, **mails)
    await public.work()

    with Failures() as failures:
        for name, mail in expected.items():
            with failures.case(name):
                state = (await delivery(world, people[name], Channel.EMAIL)).state
                assert state is STATES[mail["state"] if mail["namesDelivery"] else "interim"]
    assert await public.said() == []
    page = await world.replies.page(0, 1_000)
    waiting = [
        mail for mail in expected.values()
        if not (mail["kind"] == "report" and mail["namesDelivery"]) and mail["kind"] != "automatic"
    ]  # fmt: skip
    automatic_cries = sum(mail["kind"] == "automatic" and mail["asksForHelp"] for mail in expected.values())
    kinds = [unread.mail for unread in page]
    assert len(page) == len(waiting) + automatic_cries
    for kind in set(MailKind) - {MailKind.AUTOMATIC}:
        assert kinds.count(kind) == sum(mail["kind"] == kind for mail in waiting), kind
    notes = await noted(world)
    absences = {
        people[name] for name, mail in expected.items() if mail["kind"] == "automatic" and not mail["asksForHelp"]
    }
    assert {person for person, note in notes.items() if note == AUTOMATIC} == absences
    # A person's mail stands before the others.
    assert {unread.kind for unread in page[: kinds.count(MailKind.REPLY)]} == {"reply"}
    (check,) = await unread_checks(world.callbacks)
    assert not check.ok
    assert b'bounce_mails_total{kind="complaint"}' in metrics.text()


async def test_cry_for_help_by_mail_is_told_at_once_and_waits_for_an_officer(
    world: World, public: PublicRoutes, tmp_path: Path
) -> None:
    """The teams get a mail, the person is escalated, the board shows an unread reply; it is no answer."""
    await mailed(world, "p1", "p2")

    await deliver(
        world,
        tmp_path,
        help=about("p1", (FOLDER / "reply_help.eml").read_bytes()),
        safe=about("p2", (FOLDER / "reply_help.eml").read_bytes().replace(b"I need help.", b"I am safe.")),
    )
    await public.work()

    assert sum(kind == "help_reply" for _, kind in await world.notices()) > 0
    (escalated,) = await world.events_of(AlertEscalated)
    assert isinstance(escalated, AlertEscalated)
    assert escalated.person_id == "p1"
    assert await public.said() == []
    assert set(await world.replies.newest_by_person()) == {"p1", "p2"}
    first = next(unread for unread in await world.replies.page(0, 10) if unread.persons == ("p1",))
    assert (first.kind, first.reply.number) == ("reply", "student.one@students.example.org")
    assert "I need help." in first.reply.text
    assert "SAFE or HELP" not in first.reply.text
    await world.callbacks.mark_done([first.callback.id], READ)
    assert len(await world.replies.page(0, 10)) == 1


async def test_stranger_who_writes_to_the_bare_address_wakes_nobody_but_for_help(
    world: World, public: PublicRoutes, tmp_path: Path
) -> None:
    """Spam is listed last; a cry for help from an unknown address is told, as one from an unknown number is."""
    await mailed(world, "p1")
    offer = "We can help you to save. Our team of friendly people answers every question. Call today."
    spam = f"From: x@shop.example\nTo: bounces@university.example\nSubject: Offer\n\n{offer}\n".encode()

    await deliver(world, tmp_path, spam=spam)
    await public.work()
    assert sum(kind == "help_reply" for _, kind in await world.notices()) == 0
    await deliver(world, tmp_path, cry=(FOLDER / "reply_hulp_in_subject.eml").read_bytes())
    await public.work()

    assert sum(kind == "help_reply" for _, kind in await world.notices()) > 0
    assert [(unread.kind, unread.mail) for unread in await world.replies.page(0, 10)] == [
        ("reply", MailKind.REPLY), ("bounce", MailKind.REPLY),
    ]  # fmt: skip


async def test_failure_is_not_undone_by_a_mail(world: World, public: PublicRoutes, tmp_path: Path) -> None:
    """In either order, in one batch or in two: of two mails that contradict each other a person sees one."""
    failed = REPORT.format(action="failed", status="5.1.1").encode()
    delivered = REPORT.format(action="delivered", status="2.1.5").encode()
    pairs = {"p1": (failed, delivered), "p2": (delivered, failed), "p3": (failed, delivered), "p4": (delivered, failed)}
    await mailed(world, *pairs)

    at_once = {f"{person}{turn}": about(person, pairs[person][turn]) for person in ("p1", "p2") for turn in (0, 1)}
    await deliver(world, tmp_path, **at_once, p3=about("p3", failed), p4=about("p4", delivered))
    await public.work()
    await deliver(world, tmp_path, p3=about("p3", delivered), p4=about("p4", failed))
    await public.work()

    states = [(await delivery(world, person, Channel.EMAIL)).state for person in pairs]
    assert states == [DeliveryState.FAILED] * 3 + [DeliveryState.DELIVERED]
    assert sorted(await public.notes()) == [""] * 4 + [UNCLEAR] * 4
    page = await world.replies.page(0, 10)
    assert {unread.mail for unread in page} == {MailKind.REPORT}
    assert sorted(unread.persons for unread in page) == [(person,) for person in pairs]


async def test_mail_about_a_delivery_that_nobody_has_is_listed_after_a_while(
    world: World, public: PublicRoutes, tmp_path: Path
) -> None:
    """It may have overtaken our own note; after about an hour it is forged, or about another installation."""
    await mailed(world, "p1")
    await deliver(world, tmp_path, forged=REPORT.format(action="failed", status="5.1.1").encode())

    await public.work()
    assert await public.notes() == [UNKNOWN_REFERENCE]
    for minutes in range(ATTEMPTS_TO_FIND_MAIL + 1):
        await public.work(utc_now() + timedelta(minutes=6 * (minutes + 1)))

    assert await public.notes() == [UNREADABLE]
    (unread,) = await world.replies.page(0, 10)
    assert (unread.mail, unread.reply.is_readable, unread.persons) == (MailKind.REPORT, False, ())
    assert (await delivery(world, "p1", Channel.EMAIL)).state is DeliveryState.ACCEPTED
