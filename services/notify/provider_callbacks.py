"""Works through what providers posted: receipts become outcomes, replies become answers, what is unclear waits.

Posts come twice, late, forged and in any order: only what fits a delivery of ours has an effect, and that once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.notify.channels.sms_callbacks import DeliveryReceipt, ReceiptState, SmsReply
from services.notify.commands.answers import record_answer
from services.notify.model.deliveries import TRANSITIONS, Delivery, DeliveryState, state_of_entry, step_of
from services.notify.model.shards import MAX_EVENT_ENTRIES
from services.notify.rules.answers import ReplyMeaning, read_reply
from services.notify.store.alerts import AlertStore
from services.notify.store.callbacks import Callback, CallbackStore
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from services.notify.store.providers import ProviderStore
from services.notify.store.whereabouts import WhereaboutsStore
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.envelope import Cause, Draft
from shared.errors import PermanentError, TransientError
from shared.events import (
    DeliveryOutcome,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    OutcomeEvent,
    PersonAnswered,
)
from shared.ids import derived_id
from shared.mongo.client import PyMongoError
from shared.observability.logs import get_logger

BATCH = 500
POLL_SECONDS = 0.25

#: Notes on a post. `unclear`: a human has to read it. `no_alert`: somebody says safe whom nobody asked.
UNCLEAR, UNREADABLE, UNKNOWN_REFERENCE, NOT_OURS = "unclear", "unreadable", "unknown_reference", "no_alert"
#: A human has read it.
READ = "read"

#: What a receipt becomes: an event, and what its entry says more exactly.
_EVENTS: Mapping[ReceiptState, tuple[type[OutcomeEvent], str]] = {
    "delivered": (NotificationsDelivered, ""),
    "failed": (NotificationsFailed, ""),
    "temporary": (NotificationsFailed, "temporary"),
    "pending": (NotificationsAccepted, "pending"),
}
ParseReceipt = Callable[[bytes], list[DeliveryReceipt]]
ParseReply = Callable[[bytes], SmsReply]

log = get_logger()


@dataclass(frozen=True, slots=True)
class CallbackDeps:
    """Where posts are read and their effects written. The parsers are the providers', by name."""

    outbox: Outbox
    callbacks: CallbackStore
    deliveries: DeliveryStore
    alerts: AlertStore
    whereabouts: WhereaboutsStore
    receipts: Mapping[str, ParseReceipt]
    replies: Mapping[str, ParseReply]
    providers: ProviderStore


async def run_callback_worker(deps: CallbackDeps) -> None:
    """For ever: take what is due; a database that is away is waited for."""
    while True:
        try:
            now = utc_now()
            worked = await process_receipts(deps, now) + await process_replies(deps, now)
        except (PyMongoError, TransientError, TimeoutError) as error:
            log.warning("callbacks_wait", error=type(error).__name__)
            worked = 0
        if not worked:
            await asyncio.sleep(POLL_SECONDS)


async def process_receipts(deps: CallbackDeps, now: datetime) -> int:
    """One batch of receipts; how many posts there were."""
    posts = await deps.callbacks.due("receipt", now, BATCH)
    read = await _read(deps, posts)
    wanted = {receipt.reference for _, receipts in read for receipt in receipts}
    known = await deps.deliveries.by_reference(wanted)
    settled: list[Callback] = []
    pending: dict[tuple[type[OutcomeEvent], str, int], list[tuple[str, DeliveryOutcome]]] = defaultdict(list)
    took: dict[str, list[timedelta]] = defaultdict(list)
    for post, receipts in read:
        if all(receipt.reference in known for receipt in receipts):
            settled.append(post)
        else:
            # A receipt may overtake our own note of the delivery; a forged one never fits, and ages out.
            await deps.callbacks.later(post, now, UNKNOWN_REFERENCE)
        for receipt in receipts:
            delivery = known.get(receipt.reference)
            if delivery is None:
                continue
            event, detail = _EVENTS[receipt.state]
            if state_of_entry(event, detail) in TRANSITIONS[delivery.state]:
                entry = _entry(post.provider, delivery, receipt, detail, now)
                pending[event, delivery.alert_id, delivery.shard].append((post.id, entry))
            if receipt.state == "delivered" and (since := _accepted_at(delivery)) is not None:
                took[post.provider].append((receipt.at or post.at) - since)
    for (event, alert_id, shard), entries in pending.items():
        await _write(deps, event, alert_id, shard, entries, now)
    await deps.callbacks.done([post.id for post in settled])
    for provider, durations in took.items():
        await deps.providers.record_delivery_times(provider, durations, now)
    return len(posts)


async def _read(deps: CallbackDeps, posts: Sequence[Callback]) -> list[tuple[Callback, list[DeliveryReceipt]]]:
    """The receipts in each post that settle something, under our references where those are known."""
    read: list[tuple[Callback, list[DeliveryReceipt]]] = []
    for post in posts:
        try:
            found = deps.receipts[post.provider](post.body) if post.provider in deps.receipts else []
            read.append((post, [each for each in found if each.state != "interim"]))
        except PermanentError:
            await deps.callbacks.done([post.id], UNREADABLE)
    theirs = {
        each.reference for post, found in read for each in found if each.reference.startswith(f"{post.provider}:")
    }
    if not theirs:
        return read
    ours = await deps.providers.our_references(theirs)
    return [
        (post, [replace(each, reference=ours.get(each.reference, each.reference)) for each in found])
        for post, found in read
    ]


def _accepted_at(delivery: Delivery) -> datetime | None:
    return next((turn.at for turn in delivery.history if turn.state is DeliveryState.ACCEPTED), None)


async def process_replies(deps: CallbackDeps, now: datetime) -> int:
    """One batch of SMS replies; how many there were."""
    posts = await deps.callbacks.due("inbound", now, BATCH)
    for post in posts:
        await deps.callbacks.done([post.id], await _process_reply(deps, post, now))
    return len(posts)


async def _process_reply(deps: CallbackDeps, post: Callback, now: datetime) -> str:
    """Take one reply; the note for a human, empty when all is said."""
    try:
        reply = deps.replies[post.provider](post.body)
    except (PermanentError, KeyError):
        return UNREADABLE
    reading = read_reply(reply.text)
    persons = await deps.whereabouts.contacts.persons_with_number(reply.number)
    if len(persons) != 1:
        # A number that two people share, or a borrowed phone or local SIM: nobody guesses who it was.
        return UNCLEAR
    person_id = persons.pop()
    alert_ids = [each for each in await deps.alerts.of_person(person_id) if not each.startswith("n-")]
    if reading.answer is ReplyMeaning.UNCLEAR or (not alert_ids and reading.answer is ReplyMeaning.HELP):
        return UNCLEAR
    if not alert_ids:
        return NOT_OURS
    alert_id = alert_ids[-1]
    found = await deps.alerts.selections.recipient(alert_id, person_id)
    if found is None:
        return NOT_OURS
    answer = PersonAnswered(
        alert_id=alert_id,
        shard=found[0].shard,
        person_id=person_id,
        answer="help" if reading.answer is ReplyMeaning.HELP else "safe",
        via="sms",
        answered_at=reply.at or post.at,
    )
    await record_answer(deps.outbox, deps.deliveries, answer, event_id=derived_id("reply", post.id), now=now)
    return ""


def _entry(provider: str, delivery: Delivery, receipt: DeliveryReceipt, detail: str, now: datetime) -> DeliveryOutcome:
    return DeliveryOutcome(
        delivery_id=delivery.delivery_id,
        person_id=delivery.person_id,
        registration_id=delivery.registration_id,
        channel=delivery.channel,
        step=step_of(delivery.delivery_id),
        attempt=max(1, delivery.attempts),
        provider=provider,
        reference=receipt.reference,
        at=receipt.at or now,
        reason=receipt.reason[:300],
        detail=detail,  # type: ignore[arg-type] # checked by the event
    )


async def _write(
    deps: CallbackDeps,
    event: type[OutcomeEvent],
    alert_id: str,
    shard: int,
    entries: Sequence[tuple[str, DeliveryOutcome]],
    now: datetime,
) -> None:
    """The outcomes of one shard as a fact, or a few. The same delivery twice in a batch is one entry."""
    unique = {entry.delivery_id: (f"{post_id}/{entry.delivery_id}", entry) for post_id, entry in entries}
    told = sorted(unique.values(), key=lambda pair: pair[0])
    for first in range(0, len(told), MAX_EVENT_ENTRIES):
        part = told[first : first + MAX_EVENT_ENTRIES]
        fact = event(alert_id=alert_id, shard=shard, entries=tuple(entry for _, entry in part))
        draft = Draft(fact, derived_id("receipts", event.__name__, alert_id, str(shard), *(each for each, _ in part)))
        await deps.outbox.append_once(draft, cause=Cause(alert_id, "receipts"), now=now)
        await deps.deliveries.fold([StoredEvent(draft.id, now, fact)])
