"""The engine: lanes of recipients, window after window, over a channel; every attempt noted before its first byte.

A window that nobody noted the outcome of is `unknown`, never tried blindly and never forgotten (NOTIFY §C).
"""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import orjson

from services.notify.channels.email import Email
from services.notify.channels.sms_provider import Sms
from services.notify.composer import Composer, SendingRules, Writer
from services.notify.model.deliveries import Delivery, DeliveryState, StatusUpdate, outcomes, reference, state_of_entry
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.store.alerts import AlertStore, Selection
from services.notify.store.deliveries import DeliveryStore, Fact
from services.notify.store.send_queue import EMERGENCY, NOTICE, SendChunk, SendJob, SendQueue, send_job
from services.notify.store.whereabouts import ContactAddress, WhereaboutsStore
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.envelope import Cause, Draft, parse
from shared.errors import PermanentError, TransientError
from shared.events import (
    Channel,
    NotificationsAccepted,
    NotificationsFailed,
    NotificationsUnknown,
    OutcomeEvent,
    ShardEvent,
)
from shared.ids import derived_id
from shared.mongo.client import PyMongoError
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint

__all__ = ["Engine", "MessageChannel", "SendingRules", "Writer", "keep_sending", "said_of", "work"]

#: After a definite "not now": seconds until the next attempt, the last one again and again. Source: NOTIFY §B.
BACKOFF_SECONDS = (0.0, 5.0, 15.0, 60.0, 300.0)
MOST_ATTEMPTS = 48
#: So much of a provider's words stands in an event.
REASON_LIMIT = 300
IDLE_SECONDS = 0.25
LEASE_SECONDS = 8.0
#: A closed alert is noticed within this time by those who send for it.
LOOK_SECONDS = 0.1
#: What a lane said is put among the deliveries at its end, or after this time when the provider is slow.
FOLD_SECONDS = 2.0

EVENTS: Mapping[OutcomeKind, type[OutcomeEvent]] = {
    OutcomeKind.ACCEPTED: NotificationsAccepted,
    OutcomeKind.REFUSED: NotificationsFailed,
    OutcomeKind.UNKNOWN: NotificationsUnknown,
}

log = get_logger()


class MessageChannel(Protocol):
    """One provider, or several behind one name: messages in, one outcome each, in order."""

    provider: str

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """Wait until so many messages may leave (rate limits). Nothing is attempted before."""

    async def send(self, messages: Any, /) -> list[Outcome]:
        """Send a batch; never raises for what the provider does."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Where sending gets its work and leaves its facts."""

    outbox: Outbox
    send_queue: SendQueue
    alerts: AlertStore
    whereabouts: WhereaboutsStore
    deliveries: DeliveryStore
    writer: Writer
    turns: dict[tuple[Channel, int], asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    closed: dict[str, tuple[float, bool]] = field(default_factory=dict)

    @property
    def rules(self) -> SendingRules:
        """How messages leave."""
        return self.writer.rules

    async def is_closed(self, alert_id: str) -> bool:
        """Whether the alert was closed, as all who send for it saw a moment ago."""
        now = asyncio.get_running_loop().time()
        seen_at, is_closed = self.closed.get(alert_id, (-LOOK_SECONDS, False))
        if now - seen_at >= LOOK_SECONDS:
            is_closed = await self.alerts.is_closed(alert_id)
            self.closed[alert_id] = now, is_closed
        return is_closed


@dataclass(slots=True)
class _Hand:
    """A lane in hand, with what its messages are made of; `lost` when its lease could not be renewed."""

    lane: SendJob
    selection: Selection
    composer: Composer
    contacts: Mapping[str, ContactAddress]
    facts: list[Fact] = field(default_factory=list)
    lost: bool = False

    @property
    def cause(self) -> Cause:
        selection = self.selection
        return Cause(selection.correlation_id or selection.selection_id, self.lane.id, selection.traceparent)


async def keep_sending(
    engine: Engine, channel: Channel, provider: MessageChannel, worker: str, least_urgent: int = NOTICE
) -> None:
    """`work`, through a database that is away: the lane's lease runs out, and somebody goes on with it."""
    while True:
        try:
            await work(engine, channel, provider, worker, least_urgent)
        except (PyMongoError, TransientError, TimeoutError) as error:
            log.warning("sending_interrupted", channel=channel.value, error=type(error).__name__)
            await asyncio.sleep(1)


async def work(
    engine: Engine, channel: Channel, provider: MessageChannel, worker: str, least_urgent: int = NOTICE
) -> None:
    """For ever: take the most urgent lane of a channel and send it. Nothing less urgent than `least_urgent`."""
    turn = engine.turns[channel, least_urgent]
    while True:
        async with turn:  # one look at a time for all who are free, however many they are
            news = engine.send_queue.work_added
            while (lane := await engine.send_queue.claim(channel, worker, LEASE_SECONDS, least_urgent)) is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), IDLE_SECONDS)
                news = engine.send_queue.work_added
        try:
            await _send_lane(engine, lane, provider)
        except (PermanentError, ValueError) as error:
            # One lane that breaks a promise must not stop the others: their messages may be urgent.
            log.error("lane_set_aside", lane=lane.id, error=type(error).__name__)
            await engine.send_queue.quarantine(lane, type(error).__name__)


async def _send_lane(engine: Engine, lane: SendJob, provider: MessageChannel) -> None:
    selection, alert = await asyncio.gather(
        engine.alerts.selection(lane.selection_id), engine.alerts.get(lane.alert_id)
    )
    if selection is None:
        raise PermanentError("a lane without its selection")
    wanted = (selection.recipients.registrations[index] for index in lane.indices)
    # As it was when the first attempt was begun: a repeat is the same message to the same address, byte for byte.
    contacts = await engine.whereabouts.reach([each for each in wanted if each], lane.addresses_as_of)
    composer = Composer(engine.writer, selection, alert, lane.channel)
    hand = _Hand(lane, selection, composer, contacts)
    renewal = asyncio.create_task(_renew(engine, hand))
    try:
        if await _recover(engine, hand, provider) and await _windows(engine, hand, provider, alert is not None):
            await engine.deliveries.fold(hand.facts)
            await engine.send_queue.finish(lane, utc_now())
        else:
            await engine.deliveries.fold(hand.facts)
    finally:
        renewal.cancel()
        await asyncio.wait([renewal])


async def _renew(engine: Engine, hand: _Hand) -> None:
    """Keep the lease while the lane is in hand."""
    loop = asyncio.get_running_loop()
    safe_until = loop.time() + LEASE_SECONDS * 0.8
    while not hand.lost:
        await asyncio.sleep(LEASE_SECONDS / 4)
        asked = loop.time()
        try:
            async with asyncio.timeout(LEASE_SECONDS / 2):
                if await engine.send_queue.renew(hand.lane, LEASE_SECONDS):
                    safe_until = asked + LEASE_SECONDS * 0.8
                else:
                    hand.lost = True
        except (PyMongoError, TimeoutError):
            hand.lost = loop.time() >= safe_until


async def _windows(engine: Engine, hand: _Hand, provider: MessageChannel, may_be_closed: bool) -> bool:
    """Window after window; True when nothing is left to do in the lane."""
    lane, loop = hand.lane, asyncio.get_running_loop()
    position = lane.attempted_until[-1] if lane.attempted_until else 0
    folded = loop.time()
    while position < len(lane.indices):
        if lane.priority > EMERGENCY and await engine.send_queue.is_overtaken(lane):
            await engine.send_queue.release(lane)
            return False
        ahead = lane.chunk(position, min(position + engine.rules.windows[lane.channel], len(lane.indices)))
        await provider.ready(len(ahead.indices), is_urgent=lane.priority == EMERGENCY)
        if may_be_closed and await engine.is_closed(lane.alert_id):
            await _cancel(engine, hand, lane.chunk(position, len(lane.indices)), provider)
            return True
        drafts = await _composed(engine, hand, ahead)
        end = position + len(ahead.indices)
        if hand.lost or not await engine.send_queue.begin_chunk(lane, end):
            return False
        if not await _attempt(engine, hand, ahead, drafts, provider):
            return False
        position = end
        if loop.time() - folded > FOLD_SECONDS:
            facts, hand.facts = hand.facts, []
            await engine.deliveries.fold(facts)
            folded = loop.time()
    return True


async def _attempt(
    engine: Engine, hand: _Hand, ahead: SendChunk, drafts: Sequence["Email | Sms | Outcome"], provider: MessageChannel
) -> bool:
    """One window: write the bytes, note what became of them, say so. False when somebody else has the lane."""
    await failpoint("after_claim")
    sendable = [each for each in drafts if not isinstance(each, Outcome)]
    answers = iter(await provider.send(sendable) if sendable else [])
    now = utc_now()
    verdicts = [
        each if isinstance(each, Outcome) else next(answers).recorded(now, provider.provider) for each in drafts
    ]
    await failpoint("before_outcome")
    if _is_one_fact(verdicts):
        # The fact is the note: whatever anybody else thinks of this window, it is true.
        await _tell(engine, hand, ahead, verdicts)
    elif await engine.send_queue.note(ahead, verdicts):
        await _say(engine, hand, ahead, verdicts)
    else:
        # Somebody took us for dead and called these unknown: what we know now is a later truth.
        sure = [each if each.kind in (OutcomeKind.ACCEPTED, OutcomeKind.REFUSED) else None for each in verdicts]
        await _tell(engine, hand, ahead, sure, late=True)
        return False
    await failpoint("after_outcome")
    return True


async def _recover(engine: Engine, hand: _Hand, provider: MessageChannel) -> bool:
    """Windows that a former owner began: what is noted of them is said (again), of the others nothing is known."""
    begun = hand.lane.begun_chunks()
    if not begun:
        return True
    noted = await engine.send_queue.noted([each.id for each in begun])
    told = await engine.outbox.bodies_by_id([_fact_id(each, kind) for each in begun for kind in EVENTS])
    for each in begun:
        facts = [told[_fact_id(each, kind)] for kind in EVENTS if _fact_id(each, kind) in told]
        if facts and each.id not in noted:
            for body in facts:
                envelope = parse(body)
                hand.facts.append(Fact(envelope.id, envelope.time, envelope.data))
            continue
        verdicts = noted.get(each.id)
        if verdicts is None and await engine.send_queue.note(each, None):
            log.warning("window_interrupted", lane=hand.lane.id, window=each.position, count=len(each.indices))
        elif verdicts is None:
            # Noted in this very moment, or found interrupted before: then it may have been said or not.
            verdicts = (await engine.send_queue.noted([each.id])).get(each.id)
        if verdicts is None:
            now = utc_now()
            verdicts = tuple(Outcome(OutcomeKind.UNKNOWN, "interrupted", now, provider.provider) for _ in each.indices)
        await _say(engine, hand, each, verdicts)
    return not hand.lost


async def _say(engine: Engine, hand: _Hand, part: SendChunk, verdicts: Sequence[Outcome]) -> None:
    """Write the facts of a window and what follows from them; all of it may be done twice."""
    lane = hand.lane
    exhausted = lane.attempt >= MOST_ATTEMPTS
    final = [
        Outcome(OutcomeKind.REFUSED, f"given up: {each.reason}", each.at, each.provider, "technical")
        if each.kind is OutcomeKind.TRY_LATER and exhausted
        else each
        for each in verdicts
    ]
    await _tell(engine, hand, part, [None if each.kind is OutcomeKind.TRY_LATER else each for each in final])
    again = tuple(index for index, each in zip(part.indices, final, strict=True) if each.kind is OutcomeKind.TRY_LATER)
    if again:
        await engine.send_queue.add([_retry(lane, hand.selection, part, again)], utc_now(), pause=_pause(lane.attempt))


async def _tell(
    engine: Engine, hand: _Hand, part: SendChunk, verdicts: Sequence[Outcome | None], *, late: bool = False
) -> None:
    """One fact for each kind of outcome in the window, under an id that a repeat meets."""
    lane = hand.lane
    for kind, event in EVENTS.items():
        told = [
            (index, verdict)
            for index, verdict in zip(part.indices, verdicts, strict=True)
            if verdict is not None and verdict.kind == kind
        ]
        if told:
            data, said = outcome_data(lane, hand.selection, hand.composer, event, told)
            draft = Draft(
                event.model_construct(alert_id=lane.alert_id, shard=lane.shard, entries=()),
                _fact_id(part, kind, "late" if late else ""),
                data,
            )
            now = utc_now()
            await engine.outbox.append_once(draft, cause=hand.cause, now=now)
            hand.facts.append(Fact(draft.id, now, draft.data, said))


async def _cancel(engine: Engine, hand: _Hand, rest: SendChunk, provider: MessageChannel) -> None:
    """The alert is closed: who was not written to yet is not written to, and that is said."""
    now, size = utc_now(), engine.rules.windows[hand.lane.channel]
    cancelled = Outcome(OutcomeKind.REFUSED, "the alert was closed", now, provider.provider, "cancelled")
    for start in range(0, len(rest.indices), size):
        indices = rest.indices[start : start + size]
        part = SendChunk(f"{rest.id}/closed/{start}", rest.position + start, indices)
        await _tell(engine, hand, part, [cancelled] * len(indices))


def _is_one_fact(verdicts: Sequence[Outcome]) -> bool:
    kind = verdicts[0].kind
    return kind in (OutcomeKind.ACCEPTED, OutcomeKind.REFUSED) and all(each.kind == kind for each in verdicts)


def _fact_id(part: SendChunk, kind: OutcomeKind, suffix: str = "") -> str:
    return derived_id("outcome", part.id, kind, suffix)


def outcome_data(
    lane: SendJob,
    selection: Selection,
    composer: Composer,
    event: type[OutcomeEvent],
    told: Sequence[tuple[int, Outcome]],
) -> tuple[bytes, list[StatusUpdate]]:
    """The data of an outcome event, as their model would write them but without one for each message; what they say.

    `told`: recipients by their place in the selection, and what became of their messages.
    """
    roll, channel = selection.recipients, lane.channel
    states: dict[str, DeliveryState] = {}
    entries, said = [], []
    for index, verdict in told:
        identity, ours = composer.names(index)
        person, registration, reason = roll.persons[index], roll.registrations[index], verdict.reason[:REASON_LIMIT]
        entries.append(
            {
                "deliveryId": identity,
                "personId": person,
                "registrationId": registration,
                "channel": channel,
                "step": selection.step,
                "attempt": lane.attempt,
                "provider": verdict.provider,
                "reference": composer.message_id(ours) if channel is Channel.EMAIL else ours,
                "at": verdict.at,
                "reason": reason,
                "possibleDuplicate": lane.possible_duplicate,
                "detail": verdict.detail,
            }
        )
        state = states.get(verdict.detail)
        if state is None:
            state = states[verdict.detail] = state_of_entry(event, verdict.detail)
        said.append(StatusUpdate(identity, person, registration, channel, state, verdict.at, reason, lane.attempt))
    data = {"alertId": lane.alert_id, "shard": lane.shard, "entries": entries}
    return orjson.dumps(data, option=orjson.OPT_UTC_Z), said


def _retry(job: SendJob, selection: Selection, chunk: SendChunk, indices: tuple[int, ...]) -> SendJob:
    return send_job(
        selection,
        job.channel,
        job.priority,
        job_id=f"{chunk.id}+",
        indices=indices,
        attempt=job.attempt + 1,
        possible_duplicate=job.possible_duplicate,
        addresses_as_of=job.addresses_as_of,
    )


def _pause(attempt: int) -> timedelta:
    seconds = BACKOFF_SECONDS[min(attempt - 1, len(BACKOFF_SECONDS) - 1)]
    return timedelta(seconds=seconds * random.uniform(0.9, 1.1))


async def _composed(engine: Engine, hand: _Hand, ahead: SendChunk) -> list["Email | Sms | Outcome"]:
    """Render. Whoever cannot be written to is refused alone, and stops nobody else."""
    settled = await _settled(engine, hand, ahead)
    registrations, drafts = hand.selection.recipients.registrations, list[Email | Sms | Outcome]()
    for index in ahead.indices:
        if index in settled:
            drafts.append(Outcome(OutcomeKind.SETTLED, OutcomeKind.SETTLED.value, utc_now()))
            continue
        try:
            drafts.append(hand.composer.compose(index, hand.contacts.get(registrations[index] or "")))
        except (PermanentError, ValueError) as error:
            reason = str(error) if isinstance(error, PermanentError) else type(error).__name__
            drafts.append(Outcome(OutcomeKind.REFUSED, reason, utc_now(), "", "invalid"))
    return drafts


async def _settled(engine: Engine, hand: _Hand, ahead: SendChunk) -> set[int]:
    """Who needs no second attempt any more. A first attempt can not be settled."""
    lane = hand.lane
    if not lane.possible_duplicate:
        return set()
    ours = {hand.composer.names(index)[0]: index for index in ahead.indices}
    known = await engine.deliveries.by_reference([reference(identity) for identity in ours])
    settled = {each.delivery_id for each in known.values() if each.state is not DeliveryState.UNKNOWN}
    # What was said a moment ago may not stand among the deliveries yet.
    said = await said_of(engine.outbox, lane.alert_id, lane.shard, set(ours))
    settled |= {identity for identity, state in said.items() if state is not DeliveryState.UNKNOWN}
    return {index for identity, index in ours.items() if identity in settled}


async def said_of(outbox: Outbox, alert_id: str, shard: int, wanted: set[str]) -> dict[str, DeliveryState]:
    """The states of deliveries as our own facts have them, whatever has been folded of them."""
    stream = ShardEvent(alert_id=alert_id, shard=shard).stream
    kinds = [event.__name__ for event in OutcomeEvent.__subclasses__()]
    known: dict[str, Delivery] = {}
    for body in await outbox.bodies_of_stream(stream, kinds):
        envelope = parse(body)
        assert isinstance(envelope.data, OutcomeEvent)
        entries = tuple(each for each in envelope.data.entries if each.delivery_id in wanted)
        for after in outcomes(envelope.id, envelope.data.model_copy(update={"entries": entries}), known):
            known[after.delivery_id] = after
    return {identity: each.state for identity, each in known.items()}
