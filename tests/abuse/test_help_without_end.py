"""A phone sends HELP without end, from a number that is nobody's: the teams hear of it, and no mailbox is flooded."""

import pytest

from services.notify.store.callbacks import UNCLEAR
from tests.integration.notify_public import PublicRoutes
from tests.integration.notify_sending_world import alerted, number
from tests.integration.notify_world import World, leg

CRIES = 30


async def mails(world: World) -> int:
    """How many mails about a cry for help without an alert were requested."""
    return sum(kind == "help_reply" for _, kind in await world.notices())


@pytest.mark.parametrize("sender", ["+34600000001", "a person without an alert"])
async def test_help_without_an_alert_is_one_mail_for_each_team_in_a_while(
    world: World, public: PublicRoutes, sender: str
) -> None:
    """Every reply waits for an officer; thirty of them are one mail to each team (two, where a period ends)."""
    await alerted(world, "p1")
    await world.handle(world.register("p2", leg(country="FR")))
    phone = number("p2") if sender.startswith("a person") else sender
    await public.reply(phone, "HELP", at="2026-03-02T08:00:00")
    await public.work()
    for_one = await mails(world)

    for turn in range(CRIES):
        await public.reply(phone, "HELP", at=f"2026-03-02T09:00:{turn:02}")
    await public.work()

    assert for_one > 0
    assert await mails(world) <= 2 * for_one
    assert await public.notes() == [UNCLEAR] * (CRIES + 1)


async def test_another_sender_is_another_cry(world: World, public: PublicRoutes) -> None:
    """A second number that needs help at the same moment is told as well."""
    await alerted(world, "p1")
    await public.reply("+34600000001", "HELP")
    await public.work()
    for_one = await mails(world)

    await public.reply("+34600000002", "HELP")
    await public.work()

    assert await mails(world) == 2 * for_one
