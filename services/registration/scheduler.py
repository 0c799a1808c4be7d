"""What time brings, done by one process at a time: it reads what is due from the database and keeps no timers.

Each registration says itself when something is due next (progress.py). A look that is repeated, by a second instance
or after a crash, finds it settled; a look that comes late finds everything that was missed, and says so.
"""

from collections.abc import Sequence
from datetime import datetime

from services.registration.evaluation import EvaluationDeps, decide_and_record_all
from services.registration.model import Registration
from services.registration.read_models import DecisionInputs
from services.registration.reminder_events import due_events, reminder_event
from services.registration.rules.reminders import bounce_reminder
from services.registration.schedule import wall_clock
from shared.clock import utc_now
from shared.envelope import Cause, Draft, Envelope, draft
from shared.errors import TransientError
from shared.events import Event, NotificationsFailed
from shared.ids import new_id
from shared.observability.logs import get_logger

BATCH = 400
#: A clock that is further from the database's than this is not believed: what it sends cannot be taken back.
MOST_DIFFERENCE_SECONDS = 300.0

log = get_logger()


class WrongClock(TransientError):
    """Our clock and the database's differ: nothing is sent until they agree."""


async def run_due(deps: EvaluationDeps, now: datetime) -> int:
    """Everything that has come due by `now`; returns how many facts were recorded. Raises WrongClock."""
    differs = await deps.store.clock_differs(now)
    if differs > MOST_DIFFERENCE_SECONDS:
        raise WrongClock(f"this clock and the database's differ by {differs:.0f} s")
    return await record_due_events(deps, now)


async def record_due_events(deps: EvaluationDeps, now: datetime) -> int:
    """As `follow_the_clock`, whatever the database's clock says."""
    cause, recorded = Cause(new_id(), "scheduler"), 0

    def decide(state: Registration, inputs: DecisionInputs) -> list[Draft]:
        return due_events(state, inputs, now)

    async for batch in deps.store.due(wall_clock(now), BATCH):
        recorded += await decide_and_record_all(deps, batch, decide, cause=cause, now=now)
    if recorded:
        log.info("due_settled", count=recorded)
    return recorded


async def remind_after_failed_messages(deps: EvaluationDeps, envelopes: Sequence[Envelope[Event]]) -> None:
    """R25: a bounced email or a failed SMS asks whether the details are still correct. Seen again, it changes nothing.

    One look for each registration in the batch, at its newest failure.
    """
    failed: dict[str, datetime] = {}
    for envelope in envelopes:
        if isinstance(envelope.data, NotificationsFailed):
            for entry in envelope.data.entries:
                if entry.registration_id is not None:
                    former = failed.get(entry.registration_id, entry.at)
                    failed[entry.registration_id] = max(former, entry.at)
    now, ids = utc_now(), list(failed)

    def decide(state: Registration, inputs: DecisionInputs) -> list[Draft]:
        return _ask(state, inputs, failed[state.registration_id], now)

    for start in range(0, len(ids), BATCH):
        batch = await deps.store.many(ids[start : start + BATCH])
        await decide_and_record_all(deps, batch, decide, cause=envelopes[-1].cause(), now=now)


def _ask(state: Registration, inputs: DecisionInputs, failed_at: datetime, now: datetime) -> list[Draft]:
    """Only what is sent is a fact: what follows no plan needs no word when it is not sent."""
    found = bounce_reminder(state, failed_at, now)
    known = found.occasion.key in state.progress.settled
    return [draft(reminder_event(state, found, inputs, now))] if found.is_sent and not known else []
