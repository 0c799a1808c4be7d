"""Send jobs that fail for a reason of their own: put off and shown, while everybody else's messages are sent."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import fields, replace
from itertools import cycle
from typing import Any

import pytest

from services.notify.channels.message_channel import MessageChannel
from services.notify.messages.outgoing import Email, Sms
from services.notify.model.deliveries import DeliveryState
from services.notify.model.outcome import Outcome
from services.notify.send_deps import SendTiming
from services.notify.sending_rules import SendingRules
from shared.events import Channel, Level
from tests.integration.bus_world import until
from tests.integration.notify_sending_world import address, send_deps, states, working
from tests.integration.notify_world import World, leg, notify

EMAIL, SMS = Channel.EMAIL, Channel.SMS
ERRORS: list[Exception] = [OverflowError(), RecursionError(), MemoryError(), TypeError(), KeyError("x"), IndexError()]


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    async with notify(stack, namespace) as world:
        world.send_timing = SendTiming(idle_seconds=0.02, backoff_seconds=(0.0,))
        yield world


class Provider:
    """Accepts every message, except that it fails with one error after the other on those of one person."""

    provider = "test"

    def __init__(self, bad: str = "") -> None:
        self.bad, self.errors, self.failures = bad, cycle(ERRORS), 0

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """At once."""

    async def send(self, messages: Sequence[Email | Sms], /) -> list[Outcome]:
        """Accept them."""
        if self.bad and any(self.bad in repr(message) for message in messages):
            self.failures += 1
            raise next(self.errors)
        return [Outcome.accepted("taken") for _ in messages]


class FailingRules(SendingRules):
    """Rules of sending that fail on one address."""

    def allows(self, address: str) -> bool:
        """An error that nobody foresaw."""
        if address.startswith("p1@"):
            raise OverflowError("date value out of range")
        return super().allows(address)


async def in_two_countries(world: World) -> None:
    """Thirteen persons in Spain, whose jobs come first, and one in France."""
    await world.handle(*(world.register(f"p{number}") for number in range(1, 14)))
    await world.handle(world.register("q14", leg(country="FR")))
    await world.handle(world.change(Level.YELLOW), world.change(Level.RED))
    await world.handle(world.change(Level.YELLOW, country="FR"), world.change(Level.RED, country="FR"))


async def state_of(world: World, person: str) -> DeliveryState | None:
    """The state of the person's mail."""
    return (await states(world, EMAIL)).get(person)


async def test_provider_that_raises_on_a_job_stops_no_other_job(world: World) -> None:
    """Whatever it raises, time after time: the worker lives on, the job is put off, the next country is told."""
    await in_two_countries(world)
    provider = Provider(address("p1"))
    channels: dict[Channel, MessageChannel] = {EMAIL: provider, SMS: Provider()}

    async with working(send_deps(world, chunk_size=1), channels=channels):

        async def told() -> bool:
            return await state_of(world, "q14") is DeliveryState.ACCEPTED and provider.failures > 0

        await until(told, 60)

        async def sent_to_the_rest() -> bool:
            of_all = await states(world, EMAIL)
            return {person for person, state in of_all.items() if state is DeliveryState.ACCEPTED} >= {
                f"p{number}" for number in range(2, 14)
            }

        await until(sent_to_the_rest, 60)

    assert await state_of(world, "p1") is DeliveryState.UNKNOWN  # the attempt was begun: it is settled, not repeated


async def test_recipient_whose_message_cannot_be_written_fails_alone(world: World) -> None:
    """An error that nobody foresaw while one message is composed: the others of its chunk are sent."""
    await in_two_countries(world)
    deps = send_deps(world)
    rules = FailingRules(**{field.name: getattr(deps.composing.rules, field.name) for field in fields(SendingRules)})
    deps = replace(deps, composing=replace(deps.composing, rules=rules))

    async with working(deps, channels={EMAIL: Provider(), SMS: Provider()}):

        async def settled() -> bool:
            of_all = await states(world, EMAIL)
            return len(of_all) == 14 and DeliveryState.CREATED not in of_all.values()

        await until(settled, 60)

    assert await state_of(world, "p1") is DeliveryState.INVALID
    assert await state_of(world, "p2") is DeliveryState.ACCEPTED


async def test_job_of_another_shape_is_put_off_and_shown(world: World) -> None:
    """A stored job that cannot be read is not claimed by one worker after the other."""
    await in_two_countries(world)
    spain = {"alertId": "ES-2", "channel": "email"}
    await world.database["lanes"].update_one(spain, {"$set": {"indices": None}})

    async with working(send_deps(world), channels={EMAIL: Provider(), SMS: Provider()}, workers=2):

        async def told() -> bool:
            return await state_of(world, "q14") is DeliveryState.ACCEPTED

        await until(told, 60)

    assert await world.send_queue.quarantined() == 1
    job = await world.database["lanes"].find_one(spain)
    assert "TypeError" in job["trouble"]
