"""Webhook requests and bounces that fail: set aside after a few tries, shown to a person, never before others."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.notify import bounce_mailbox
from services.notify.bounce_mailbox import BOUNCE_PROVIDER
from services.notify.callbacks.worker import run_callback_worker
from services.notify.model.deliveries import DeliveryState
from services.notify.store.callbacks import FAILED, UNCLEAR, UNREADABLE
from shared.clock import utc_now
from shared.events import Channel
from shared.set_aside import SetAside
from shared.transient import ATTEMPTS
from tests.integration.bus_world import in_background, until
from tests.integration.notify_public import PublicRoutes
from tests.integration.notify_sending_world import accepted, alerted, delivery, number, ours
from tests.integration.notify_world import World

SMS = Channel.SMS
NESTED = b"To: bounces+" + b"0" * 32 + b"@university.example\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 1_500
ERRORS: list[Exception] = [
    RecursionError(), OverflowError(), MemoryError(), TypeError(), KeyError("x"), ValueError(), AssertionError(),
    UnicodeError(), ZeroDivisionError(),
]  # fmt: skip


class FailsFor:
    """A store that raises an error where a call names one person, and passes everything else on."""

    def __init__(self, inner: Any, method: str, person: str, error: Exception) -> None:
        self.inner, self.method, self.person, self.error = inner, method, person, error

    def __getattr__(self, name: str) -> Any:
        if name != self.method:
            return getattr(self.inner, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            if f"'{self.person}'" in repr(arguments) + repr(named):
                raise self.error
            return await getattr(self.inner, name)(*arguments, **named)

        return call


async def test_help_by_sms_is_read_while_a_stranger_nests_a_mail(
    world: World, public: PublicRoutes, tmp_path: Path
) -> None:
    """48 kB of nested message/rfc822 in the bounce mailbox: noted, and every receipt and reply behind it counts."""
    await alerted(world, "p1", "p2")
    await accepted(world, "p1")
    new = tmp_path / "new"
    new.mkdir()
    for count in range(3):
        (new / f"{count}.mail").write_bytes(NESTED)
    await bounce_mailbox.store_bounces(tmp_path, world.callbacks, SetAside())
    await public.receipt(ours("p1"))
    await public.reply(number("p2"), "HELP")

    async with in_background(run_callback_worker(public.deps)):
        await until(lambda: _said(public, ("p2", "help", "sms")), 60)

        async def delivered() -> bool:
            return (await delivery(world, "p1", SMS)).state is DeliveryState.DELIVERED

        await until(delivered, 60)


async def test_whatever_a_parser_raises_its_post_is_unreadable_and_the_next_one_counts(
    world: World, public: PublicRoutes
) -> None:
    """A parser meets bytes of strangers: anything that it raises is noted once, and never raised again."""
    await alerted(world, "p1")

    def fail(body: bytes) -> Any:
        raise ERRORS[int(body)]

    for number_of_error in range(len(ERRORS)):
        await world.callbacks.store(BOUNCE_PROVIDER, "receipt", str(number_of_error).encode(), utc_now())
        await world.callbacks.store("spryng", "inbound", str(number_of_error).encode(), utc_now())
    await public.reply(number("p1"), "HELP")
    public.deps = replace(
        public.deps,
        receipt_parsers={**public.deps.receipt_parsers, BOUNCE_PROVIDER: fail},
        reply_parsers={**public.deps.reply_parsers, "spryng": fail},
    )

    await public.work()

    assert await public.said() == [("p1", "help", "sms")]
    assert await public.notes() == [UNREADABLE] * 2 * len(ERRORS) + [""]


async def test_receipt_that_cannot_be_processed_is_set_aside_and_its_batch_counts(
    world: World, public: PublicRoutes
) -> None:
    """The others of its batch settle at once; it is tried a few times, then an operator sees it and tries it again."""
    await alerted(world, "p1", "p2", "p3")
    await accepted(world, "p1", "p2", "p3")
    whole = public.deps
    public.deps = replace(whole, deliveries=FailsFor(world.deliveries, "fold", "p2", RecursionError()))  # type: ignore[arg-type] # stands in for the store
    for person in ("p1", "p2", "p3"):
        await public.receipt(ours(person))

    await public.work()
    states = [(await delivery(world, person, SMS)).state for person in ("p1", "p2", "p3")]
    assert states == [DeliveryState.DELIVERED, DeliveryState.ACCEPTED, DeliveryState.DELIVERED]
    for attempt in range(1, ATTEMPTS):
        await public.work(utc_now() + timedelta(minutes=attempt))

    assert await public.notes() == ["", FAILED, ""]
    (failed,) = await world.callbacks.failed()
    assert "RecursionError" in failed["failure"]
    assert await public.open_posts() == 0
    public.deps = whole
    assert await world.callbacks.requeue_failed() == 1
    await public.work()
    assert (await delivery(world, "p2", SMS)).state is DeliveryState.DELIVERED


async def test_reply_that_cannot_be_processed_is_shown_to_a_safety_officer(world: World, public: PublicRoutes) -> None:
    """A cry for help never disappears into an error: after a few tries a person reads it; the next one counts."""
    await alerted(world, "p1", "p2")
    failing = FailsFor(world.alerts, "of_person", "p1", OverflowError())
    public.deps = replace(public.deps, alerts=failing)  # type: ignore[arg-type] # stands in for the store
    await public.reply(number("p1"), "HELP")
    await public.reply(number("p2"), "HELP")

    for attempt in range(ATTEMPTS):
        await public.work(utc_now() + timedelta(minutes=attempt))

    assert await public.said() == [("p2", "help", "sms")]
    assert await public.notes() == [UNCLEAR, ""]
    assert [unread.reply.text for unread in await world.replies.page(0, 10)] == ["HELP"]


async def test_file_that_cannot_be_read_stops_no_other_mail(world: World, tmp_path: Path) -> None:
    """A mail that the file system refuses stays where it is, is shown, and the others are stored."""
    new = tmp_path / "new"
    new.mkdir()
    for name in ("a", "b", "c"):
        (new / name).write_bytes(NESTED + name.encode())
    (tmp_path / "cur" / "b:2,S").mkdir(parents=True)  # the file cannot be moved there
    set_aside = SetAside()

    for _ in range(ATTEMPTS + 1):
        await bounce_mailbox.store_bounces(tmp_path, world.callbacks, set_aside)

    assert [path.name for path in new.iterdir()] == ["b"]
    (check,) = await set_aside.health()
    assert not check.ok
    assert "bounce b: IsADirectoryError" in check.detail


async def _said(public: PublicRoutes, answer: tuple[str, str, str]) -> bool:
    return answer in await public.said()
