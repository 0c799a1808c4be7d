"""A provider's time that nobody means changes nothing: the receipt and the cry for help count, at our own time."""

from datetime import datetime

from services.notify.messages.wording import moment
from services.notify.model.deliveries import DeliveryState, reference
from services.notify.provider_callbacks import TIME_REPLACED
from services.notify.store.deliveries import StoredEvent
from shared.clock import utc_now
from shared.events import Channel, DeliveryOutcome, NotificationsAccepted, NotificationsFailed, PersonAnswered
from shared.ids import new_id
from tests.abuse.extreme_times import INSTANTS
from tests.integration.notify_public import PublicRoutes
from tests.integration.notify_sending_world import alerted, delivery, number
from tests.integration.notify_world import World

PEOPLE = tuple(f"p{n}" for n in range(len(INSTANTS)))


async def _accepted(world: World, *persons: str) -> None:
    """Store that the provider accepted these persons' SMS."""
    entries = tuple(
        DeliveryOutcome(delivery_id=f"ES-2:{person}:sms:1", person_id=person, registration_id=f"r-{person}",
                        channel=Channel.SMS, step=1, provider="cm", reference=_ours(person), at=utc_now())
        for person in persons
    )  # fmt: skip
    event = NotificationsAccepted(alert_id="ES-2", shard=0, entries=entries)
    await world.deliveries.fold([StoredEvent(new_id(), utc_now(), event)])


def _ours(person: str) -> str:
    return reference(f"ES-2:{person}:sms:1")


async def test_replies_with_times_that_nobody_means_are_cries_for_help(world: World, public: PublicRoutes) -> None:
    """One person for each extreme: all ask for help, at a time that a message can name, and the event says so."""
    await alerted(world, *PEOPLE)
    began = utc_now()

    for person, at in zip(PEOPLE, INSTANTS, strict=True):
        await public.post("/v1/webhooks/cm/inbound", {
            "from": {"number": number(person).replace("+", "00")}, "message": {"text": "HELP"}, "timeUtc": at,
        })  # fmt: skip
    await public.work()

    answers = {event.person_id: event for event in await world.events_of(PersonAnswered)
               if isinstance(event, PersonAnswered)}  # fmt: skip
    assert {person: event.answer for person, event in answers.items()} == dict.fromkeys(PEOPLE, "help")
    for person, at in zip(PEOPLE, INSTANTS, strict=True):
        assert began <= answers[person].answered_at <= utc_now(), at
        assert answers[person].time_replaced or not _is_readable(at), at
        assert moment(answers[person].answered_at, "nl")
    assert await public.open_posts() == 0


async def test_receipts_with_times_that_nobody_means_fail_now(world: World, public: PublicRoutes) -> None:
    """One receipt for each extreme: the SMS failed when its receipt came, and its reason says why that time."""
    await alerted(world, *PEOPLE)
    await _accepted(world, *PEOPLE)
    began = utc_now()

    for person, at in zip(PEOPLE, INSTANTS, strict=True):
        status = {"code": 3, "errorCode": "", "errorDescription": ""}
        receipt = {"received": at, "to": "0031600000000", "reference": _ours(person), "status": status}
        await public.post("/v1/webhooks/cm/receipts", {"messages": {"msg": receipt}})
    await public.work()

    failed = {entry.person_id: entry for event in await world.events_of(NotificationsFailed)
              if isinstance(event, NotificationsFailed) for entry in event.entries}  # fmt: skip
    assert set(failed) == set(PEOPLE)
    for person, at in zip(PEOPLE, INSTANTS, strict=True):
        assert began <= failed[person].at <= utc_now(), at
        assert failed[person].reason.startswith(TIME_REPLACED) or not _is_readable(at), at
        assert (await delivery(world, person, Channel.SMS)).state is DeliveryState.FAILED
    assert await public.open_posts() == 0


def _is_readable(at: object) -> bool:
    try:
        return isinstance(at, str) and datetime.fromisoformat(at) is not None
    except ValueError:
        return False
