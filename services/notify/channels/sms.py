"""SMS over several providers: shared by weight, paced together, and to the next one only after a definite refusal.

What may have been accepted is never given to another provider (NOTIFY §B, failover law).
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Protocol

from services.notify.channels.sms_provider import PoolMember, Sms
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.rules.weights import Health, Weights, moved, order
from shared.clock import utc_now

CHANNEL = "sms"
WEIGHTS_SECONDS = 2.0
#: Less urgent messages leave this share of a bucket to the urgent ones.
RESERVED_SHARE = 0.5

_asked_first: ContextVar[tuple[str, ...]] = ContextVar("providers_in_order", default=())


class ProviderState(Protocol):
    """What all processes know of the providers (store/providers.py)."""

    async def take(self, provider: str, count: int, *, per_second: float, burst: int, reserve: int) -> bool:
        """Tokens of a shared bucket."""

    async def note(self, provider: str, now: datetime, *, errors: int = 0, judged: int = 0, slow: int = 0) -> None:
        """Count what went wrong."""

    async def health(self, now: datetime) -> Mapping[str, Health]:
        """How they are."""

    async def weights(self, channel: str) -> Weights:
        """As they were moved."""

    async def keep_weights(self, channel: str, weights: Weights) -> None:
        """Move them."""

    async def keep_ids(self, references: Mapping[str, str], now: datetime) -> None:
        """A provider's ids for our references."""


class SmsPool:
    """The channel SMS as the engine sees it; safe to call from several tasks at once."""

    provider = CHANNEL

    def __init__(self, members: Sequence[PoolMember], state: ProviderState) -> None:
        self._members = {each.name: each for each in members}
        self._state = state
        self._weights: Mapping[str, int] = self.resting
        self._weights_until = 0.0

    @property
    def resting(self) -> dict[str, int]:
        """The weights when all is well."""
        return {name: each.weight for name, each in self._members.items()}

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """Choose whom to ask first, and wait until it may be asked. Nothing is attempted before."""
        names = order(await self._current(), random.random())
        _asked_first.set(tuple(names))
        await self._paced(self._members[names[0]], count, is_urgent)

    async def send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """One outcome per text, in order. Never raises for what the providers or the network do."""
        names = _asked_first.get() or tuple(order(await self._current(), random.random()))
        outcomes: list[Outcome] = [Outcome.try_later("not asked yet")] * len(texts)
        left = list(range(len(texts)))
        for turn, name in enumerate(names):
            member = self._members[name]
            if turn:
                await self._paced(member, len(left), True)
            answers = await member.provider.send([texts[place] for place in left])
            for place, answer in zip(left, answers, strict=True):
                outcomes[place] = _better(outcomes[place], self._signed(member, texts[place], answer))
            await self._note(member, [texts[place] for place in left], answers)
            left = [place for place in left if outcomes[place].is_definite_no]
            if not left:
                break
        return outcomes

    async def lookup(self, provider: str, reference: str) -> Outcome:
        """What a provider knows of a message."""
        member = self._members.get(provider)
        if member is None:
            return Outcome.unknown("no such provider")
        found = await member.provider.lookup(reference)
        if found.is_accepted and found.provider_id:
            await self._state.keep_ids({f"{provider}:{found.provider_id}": reference}, utc_now())
        return found

    async def look(self, now: datetime) -> None:
        """Move the weights by what went wrong; one process at a time."""
        if len(self._members) > 1:
            weights = await self._state.weights(CHANNEL)
            after = moved(weights, self.resting, await self._state.health(now), now)
            if after is not weights:
                await self._state.keep_weights(CHANNEL, after)

    async def close(self) -> None:
        """Close the kept connections of all."""
        for each in self._members.values():
            await each.provider.close()

    async def _current(self) -> Mapping[str, int]:
        if len(self._members) > 1 and time.monotonic() >= self._weights_until:
            kept = (await self._state.weights(CHANNEL)).of
            self._weights = {name: kept.get(name, rest) for name, rest in self.resting.items()}
            self._weights_until = time.monotonic() + WEIGHTS_SECONDS
        return self._weights

    async def _paced(self, member: PoolMember, count: int, is_urgent: bool) -> None:
        if member.per_second <= 0:
            return
        burst = member.burst
        reserve = 0 if is_urgent else int(burst * RESERVED_SHARE)
        portion = max(1, burst - reserve)
        while count > 0:
            part = min(count, portion)
            while not await self._state.take(
                member.name, part, per_second=member.per_second, burst=burst, reserve=reserve
            ):
                await asyncio.sleep(min(1.0, part / member.per_second))
            count -= part

    async def _note(self, member: PoolMember, texts: Sequence[Sms], answers: Sequence[Outcome]) -> None:
        now = utc_now()
        errors = sum(1 for each in answers if each.kind in (OutcomeKind.TRY_LATER, OutcomeKind.UNKNOWN))
        if errors:
            await self._state.note(member.name, now, errors=errors)
        ids = {
            f"{member.name}:{answer.provider_id}": text.reference
            for text, answer in zip(texts, answers, strict=True)
            if answer.is_accepted and answer.provider_id
        }
        await self._state.keep_ids(ids, now)

    def _signed(self, member: PoolMember, text: Sms, answer: Outcome) -> Outcome:
        if answer.is_accepted:
            silent = any(text.number.startswith(prefix) for prefix in member.without_receipts)
            return answer._replace(provider=member.name, detail="no_receipt" if silent else "")
        return answer._replace(provider=member.name)


def _better(former: Outcome, later: Outcome) -> Outcome:
    """Two definite refusals: the one that may pass by, because then it is tried again."""
    if later.kind is OutcomeKind.REFUSED and former.kind is OutcomeKind.TRY_LATER and former.provider:
        return former
    return later
