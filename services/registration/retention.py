"""Retention: erases persons a configured time after their last journey (RETENTION_DAYS; without it, never).

The service runs it every ERASURE_SECONDS; `passage registration retention` shows beforehand who would be erased.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.registration.commands.erasure import ErasureDeps, finish_erasure, record_erasure
from services.registration.rules.erasure import Erasure, retention
from shared.clock import amsterdam_date
from shared.envelope import Cause
from shared.events import PersonErased
from shared.ids import new_id
from shared.mongo.client import Session

RETENTION = "retention"
#: Persons that one run erases at most; the next run goes on.
MAX_PER_RUN = 200


@dataclass(frozen=True, slots=True)
class RetentionCandidate:
    """A person whose retention time is over, and whether the data may be erased."""

    person_id: str
    last_day: date
    decision: Erasure


async def retention_candidates(deps: ErasureDeps, kept: timedelta, today: date) -> AsyncIterator[RetentionCandidate]:
    """Every person whose last journey ended longer than `kept` ago, the longest first, with the decision."""
    async for person_id, last_day in deps.persons.last_days(today - kept):
        decided: list[Erasure] = []

        async def decide(person_id: str = person_id, decided: list[Erasure] = decided) -> None:
            registrations = await deps.persons.registrations_of(person_id)
            decided.append(retention(registrations, await deps.persons.open_alerts(person_id), today, kept))

        if await deps.set_aside.attempt("retention", person_id, decide):
            yield RetentionCandidate(person_id, last_day, decided[0])


async def erase_after_retention(deps: ErasureDeps, kept: timedelta, *, now: datetime, limit: int = MAX_PER_RUN) -> int:
    """Erase the candidates that may be erased; returns how many. The others stay in the preview, with the reason."""
    today, erased = amsterdam_date(now), 0
    async for candidate in retention_candidates(deps, kept, today):
        if not candidate.decision.permits:
            continue

        async def work(session: Session, person_id: str = candidate.person_id) -> bool:
            registrations = await deps.persons.registrations_of(person_id, session)
            open_alerts = await deps.persons.open_alerts(person_id, session)
            if not retention(registrations, open_alerts, today, kept).permits:
                return False
            event = PersonErased(person_id=person_id, requested_by=RETENTION, confirmed_by=None, reason=RETENTION)
            await record_erasure(deps, event, Cause(new_id(), RETENTION), now, session)
            return True

        mark_id = new_id()
        await deps.persons.mark_being_erased(candidate.person_id, mark_id, now)
        if await deps.mongo.transaction(work):
            await finish_erasure(deps, candidate.person_id, now)
            erased += 1
        else:
            await deps.persons.unmark_being_erased(candidate.person_id, mark_id)
        if erased >= limit:
            break
    return erased
