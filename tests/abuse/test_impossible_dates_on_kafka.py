"""An event with an impossible date is set aside where operators see it, and stops nothing behind it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.bus import parking
from shared.clock import utc_now
from shared.envelope import GENESIS, Cause, Draft, Envelope, chain, compose, parse
from shared.events import Event, RegistrationCancelled, RegistrationSubmitted
from shared.ids import new_id
from tests.integration.bus_world import TOPIC, prepare, publish, record, running, side, until

SAMPLE = Path(__file__).resolve().parents[1] / "contracts" / "events" / "RegistrationSubmitted.v1.json"


def _submitted(registration: str, version: int, last: date, time: datetime | None = None) -> tuple[bytes, bytes]:
    """Key and value of a registration whose last leg ends on a day."""
    data = parse(SAMPLE.read_bytes()).data
    assert isinstance(data, RegistrationSubmitted)
    now = time or utc_now()
    legs = tuple(
        leg.model_copy(update={"start_date": now.date(), "end_date": end})
        for leg, end in zip(data.legs, (now.date(), last), strict=True)
    )
    data = data.model_copy(update={"registration_id": registration, "legs": legs})
    cause = Cause("c", "c")
    body = compose(Draft(data, new_id()), source="/registration", version=version, time=now, cause=cause)
    return registration.encode(), chain(body, 1, GENESIS)


@pytest.mark.parametrize("way", ["handler", "batches", "projection"])
async def test_impossible_itinerary_is_parked_and_the_next_is_handled(stack: Any, namespace: str, way: str) -> None:
    """However a topic is subscribed: until 9999, from an envelope dated 9999; a requeued one is parked again."""
    await prepare(stack, namespace)
    notify = side(stack, namespace, "notify")
    seen: list[tuple[str, int]] = []
    bus = notify.bus()

    async def take(envelope: Envelope[Any]) -> None:
        seen.append((envelope.subject, envelope.streamversion))

    async def take_all(envelopes: Sequence[Envelope[Event]]) -> None:
        for envelope in envelopes:
            await take(envelope)

    events: dict[type[Event], Any] = {RegistrationSubmitted: take, RegistrationCancelled: take}
    if way == "handler":
        bus.subscribe(TOPIC, events)
    elif way == "batches":
        bus.subscribe_in_batches(TOPIC, events, take_all)
    else:
        bus.project(TOPIC, take_all, ordered=True)
    await publish(
        stack,
        namespace,
        record("r-1", 1),
        _submitted("r-2", 1, date(9999, 12, 31)),
        _submitted("r-3", 1, utc_now().date(), datetime(9998, 12, 31, tzinfo=UTC)),
        record("r-2", 2),  # follows the parked one of its stream
        _submitted("r-4", 1, utc_now().date()),
        record("r-1", 2),
    )

    async with running(bus):
        await until(lambda: {("r-1", 2), ("r-4", 1)} <= set(seen))

        async def all_parked() -> bool:
            return len(await parking.listed(notify.database)) == 3

        await until(all_parked)
        kinds = sorted(document["kind"] for document in await parking.listed(notify.database))
        await parking.requeue(notify.database, {"kind": "Implausible"})

        async def tried_again() -> bool:
            return all(document["state"] != parking.REQUEUED for document in await parking.listed(notify.database))

        await until(tried_again)

    assert set(seen) == {("r-1", 1), ("r-1", 2), ("r-4", 1)}
    assert len(await parking.listed(notify.database)) == 3
    assert kinds == ["Follows", "Implausible", "Implausible"]
    reasons = " ".join(document["reason"] for document in await parking.listed(notify.database))
    assert "legs.1.endDate" in reasons
    assert "9999" not in reasons
    notify.mongo.close()
