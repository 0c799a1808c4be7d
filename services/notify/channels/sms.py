"""SMS over several providers: the pool picks a provider by weight and paces it within its rate limit.

Only after a definite refusal does a message go to the next provider. A message that the first one may have accepted is
never given to another, because the person could then get it twice. See docs/notifications.md, Channels and providers.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Protocol

from services.notify.channels.message_channel import may_send
from services.notify.channels.noted import NoteAnswers
from services.notify.channels.sms_callbacks import provider_reference
from services.notify.channels.sms_provider import PoolMember
from services.notify.messages.outgoing import Sms
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.rules.weights import Health, Weights, adjusted_weights, provider_order
from shared.clock import utc_now
from shared.phone_numbers import is_possible

CHANNEL = "sms"
#: The pool reads the shared weights again after this time.
WEIGHTS_CACHE_SECONDS = 2.0
#: Share of a provider's burst that only urgent messages may use.
RESERVED_SHARE = 0.5

#: The providers in the order that `ready` chose; `send` runs in the same task.
_providers_in_order: ContextVar[tuple[str, ...]] = ContextVar("providers_in_order", default=())


class ProviderState(Protocol):
    """What all notify processes share about the providers; `store/providers.py` keeps it in MongoDB."""

    async def take_tokens(self, provider: str, count: int, *, per_second: float, burst: int, reserve: int) -> bool:
        """Take tokens of the provider's rate limit; False when there are too few now."""

    async def count(self, provider: str, now: datetime, *, errors: int = 0, judged: int = 0, slow: int = 0) -> None:
        """Add to the provider's counters of this minute."""

    async def health(self, now: datetime) -> Mapping[str, Health]:
        """Provider → its recent errors and delivery times."""

    async def weights(self, channel: str) -> Weights:
        """The weights as they were last adjusted."""

    async def store_weights(self, channel: str, weights: Weights) -> None:
        """Replace the weights."""

    async def store_ids(self, references: Mapping[str, str], now: datetime) -> None:
        """Remember which reference of ours belongs to each id of a provider."""


class SmsPool:
    """The SMS channel as the send worker sees it. Several tasks may use it at once."""

    provider = CHANNEL

    def __init__(
        self, members: Sequence[PoolMember], state: ProviderState, note: NoteAnswers = lambda provider, answers: None
    ) -> None:
        self._members = {member.name: member for member in members}
        self._state = state
        self._note = note
        self._weights: Mapping[str, int] = self.resting_weights
        self._weights_expire_at = 0.0

    @property
    def resting_weights(self) -> dict[str, int]:
        """Provider → its configured weight, which holds while nothing goes wrong."""
        return {name: member.weight for name, member in self._members.items()}

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """Choose the first provider and wait until its rate limit admits `count` messages. Nothing is sent yet."""
        names = provider_order(await self._current_weights(), random.random())
        _providers_in_order.set(tuple(names))
        await self._wait_for_tokens(self._members[names[0]], count, is_urgent)

    async def send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """One outcome per text, in order. Never raises for what the providers or the network do."""
        names = _providers_in_order.get() or tuple(provider_order(await self._current_weights(), random.random()))
        outcomes = [_before_asking(text) for text in texts]
        unsent = [index for index, outcome in enumerate(outcomes) if outcome.kind is OutcomeKind.TRY_LATER]
        if not unsent:
            return outcomes
        for number, name in enumerate(names):
            member = self._members[name]
            if number:
                await self._wait_for_tokens(member, len(unsent), True)
            if not may_send.get()():
                break
            answers = await member.provider.send([texts[index] for index in unsent])
            for index, answer in zip(unsent, answers, strict=True):
                outcomes[index] = _later_outcome(outcomes[index], _signed(member, texts[index], answer))
            await self._record(member, [texts[index] for index in unsent], answers)
            unsent = [index for index in unsent if outcomes[index].is_definite_no]
            if not unsent:
                break
        return outcomes

    async def lookup(self, provider: str, reference: str) -> Outcome:
        """Ask a provider for the outcome of the message with this reference."""
        member = self._members.get(provider)
        if member is None:
            return Outcome.unknown("no such provider")
        outcome = await member.provider.lookup(reference)
        if outcome.is_accepted and outcome.provider_id:
            await self._state.store_ids({provider_reference(provider, outcome.provider_id): reference}, utc_now())
        return outcome

    async def adjust_weights(self, now: datetime) -> None:
        """Move weight away from providers with errors or slow deliveries. One process runs this at a time."""
        if len(self._members) > 1:
            before = await self._state.weights(CHANNEL)
            after = adjusted_weights(before, self.resting_weights, await self._state.health(now), now)
            if after is not before:
                await self._state.store_weights(CHANNEL, after)

    async def close(self) -> None:
        """Close the connections to all providers."""
        for member in self._members.values():
            await member.provider.close()

    async def _current_weights(self) -> Mapping[str, int]:
        if len(self._members) > 1 and time.monotonic() >= self._weights_expire_at:
            stored = (await self._state.weights(CHANNEL)).of
            self._weights = {name: stored.get(name, weight) for name, weight in self.resting_weights.items()}
            self._weights_expire_at = time.monotonic() + WEIGHTS_CACHE_SECONDS
        return self._weights

    async def _wait_for_tokens(self, member: PoolMember, count: int, is_urgent: bool) -> None:
        if member.per_second <= 0:
            return
        burst = member.burst
        reserve = 0 if is_urgent else int(burst * RESERVED_SHARE)
        largest_part = max(1, burst - reserve)
        while count > 0:
            part = min(count, largest_part)
            while not await self._state.take_tokens(
                member.name, part, per_second=member.per_second, burst=burst, reserve=reserve
            ):
                await asyncio.sleep(min(1.0, part / member.per_second))
            count -= part

    async def _record(self, member: PoolMember, texts: Sequence[Sms], answers: Sequence[Outcome]) -> None:
        """Count the provider's errors, and store its ids of what it accepted."""
        self._note(member.name, answers)
        now = utc_now()
        errors = sum(1 for answer in answers if answer.kind in (OutcomeKind.TRY_LATER, OutcomeKind.UNKNOWN))
        if errors:
            await self._state.count(member.name, now, errors=errors)
        ids = {
            provider_reference(member.name, answer.provider_id): text.reference
            for text, answer in zip(texts, answers, strict=True)
            if answer.is_accepted and answer.provider_id
        }
        await self._state.store_ids(ids, now)


def _before_asking(text: Sms) -> Outcome:
    """Refused when no network can have the number, so that no provider is asked; otherwise not asked yet."""
    if is_possible(text.number):
        return Outcome.try_later("not asked yet")
    return Outcome.refused("a number that no network has")


def _signed(member: PoolMember, text: Sms, answer: Outcome) -> Outcome:
    """The outcome with the provider's name, and whether a receipt can be expected for this number."""
    if answer.is_accepted:
        sends_no_receipt = any(text.number.startswith(prefix) for prefix in member.without_receipts)
        return answer._replace(provider=member.name, detail="no_receipt" if sends_no_receipt else "")
    return answer._replace(provider=member.name)


def _later_outcome(former: Outcome, later: Outcome) -> Outcome:
    """The outcome after another provider's answer. Of two refusals the temporary one stays: it leads to a retry."""
    if later.kind is OutcomeKind.REFUSED and former.kind is OutcomeKind.TRY_LATER and former.provider:
        return former
    return later
