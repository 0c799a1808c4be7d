"""Provider health: what providers answer, gathered from the channels, judged for `/readyz`, metrics and the log.

`note` only counts in memory; every process adds its counts to MongoDB once a second, so all of them show the same.
Rules: rules/provider_health.py. Page for operators: docs/operations.md, A provider that refuses.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.rules.provider_health import ProviderRecord, ProviderVerdict, judge_provider
from services.notify.store.provider_health import ProviderAnswers, ProviderHealthStore
from shared.clock import utc_now
from shared.events import Channel
from shared.mongo.client import PyMongoError
from shared.observability import metrics
from shared.observability.health import Check
from shared.observability.logs import get_logger

STORE_SECONDS = 1.0
#: While the same thing is wrong, the log says it again after this time.
LOG_AGAIN_AFTER = timedelta(minutes=5)
#: Age in metrics of an acceptance that never was.
NEVER_SECONDS = -1.0

log = get_logger()


@dataclass(slots=True)
class ProviderHealth:
    """The health of the providers of this installation. `channels`: provider → the channel that it serves."""

    store: ProviderHealthStore
    channels: Mapping[str, Channel]
    _pending: dict[str, ProviderAnswers] = field(default_factory=dict)
    #: Provider → the last logged text, and when.
    _logged: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def note(self, provider: str, outcomes: Sequence[Outcome]) -> None:
        """Count what a provider answered just now. Cheap: no I/O."""
        if outcomes:
            add_answers(self._pending.setdefault(provider, ProviderAnswers()), outcomes, utc_now())

    async def store_regularly(self) -> None:
        """Store the counts once a second, until cancelled. While MongoDB fails they are kept."""
        while True:
            await asyncio.sleep(STORE_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Store the counts so far. Raises PyMongoError; then they are stored next time."""
        pending, self._pending = self._pending, {}
        while pending:
            provider, answers = pending.popitem()
            try:
                await self.store.add(provider, answers)
            except PyMongoError:
                self._pending = {provider: answers, **pending, **self._pending}  # of one provider, the newer counts
                raise

    async def log_changes(self, now: datetime) -> None:
        """Log each provider that does not take our messages, and when it does again. One process at a time does."""
        for provider, (record, verdict) in (await self._judged(now)).items():
            said, said_at = self._logged.get(provider, ("", now))
            code = record.account_code if record.is_account_refused else record.refused_code
            says = f"{code} {verdict.next_step}"
            if verdict.is_well:
                if said:
                    del self._logged[provider]
                    log.info("provider_accepts_again", provider=provider, channel=self.channels[provider].value)
            elif said != says or now - said_at >= LOG_AGAIN_AFTER:
                self._logged[provider] = says, now
                log.error(
                    "provider_refuses",
                    provider=provider,
                    channel=self.channels[provider].value,
                    code=code,
                    reason=verdict.detail,
                    count=record.refusals,
                    next_step=verdict.next_step,
                )

    async def checks(self, now: datetime) -> list[Check]:
        """One check for each provider; sets its metrics."""
        checks = []
        for provider, (record, verdict) in (await self._judged(now)).items():
            labels = self.channels[provider].value, provider
            accepted_age = (now - record.accepted_at).total_seconds() if record.accepted_at else NEVER_SECONDS
            metrics.provider_ok.labels(*labels).set(verdict.is_well)
            metrics.provider_account_refused.labels(*labels).set(record.is_account_refused)
            metrics.provider_refused_share.labels(*labels).set(record.refused_share)
            metrics.provider_accepted_age_seconds.labels(*labels).set(accepted_age)
            facts: dict[str, int | float | str | bool] = {
                "channel": labels[0],
                "last_accepted_at": record.accepted_at.isoformat() if record.accepted_at else "",
                "last_refused_at": record.refused_at.isoformat() if record.refused_at else "",
                "last_refused_code": record.refused_code,
                "refused_share": round(record.refused_share, 3),
                "account_refused": record.is_account_refused,
                "next_step": verdict.next_step,
            }
            checks.append(Check(f"provider {provider}", verdict.is_well, False, verdict.detail, facts))
        return checks

    async def _judged(self, now: datetime) -> dict[str, tuple[ProviderRecord, ProviderVerdict]]:
        records = await self.store.records(now)
        found = {provider: records.get(provider, ProviderRecord()) for provider in self.channels}
        return {provider: (record, judge_provider(record, now)) for provider, record in found.items()}


def add_answers(answers: ProviderAnswers, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Count the outcomes of one call. A call in which anything was accepted begins no failing."""
    refused = [outcome for outcome in outcomes if not outcome.is_accepted]
    answers.answers += len(outcomes)
    answers.refusals += len(refused)
    if len(refused) < len(outcomes):
        answers.accepted_at, answers.failed_at = now, None
    if not refused:
        return
    answers.refused_at, answers.refused_code = now, refused[-1].code
    # A permanent refusal is a verdict on the message or its address: the provider works.
    has_failed = any(outcome.kind is not OutcomeKind.REFUSED for outcome in refused)
    if has_failed and answers.accepted_at != now and answers.failed_at is None:
        answers.failed_at = now
    for outcome in refused:
        if outcome.refuses_account:
            answers.account_refused_at, answers.account_code = now, outcome.code
