"""Stores everything that is due: reminders, stays that begin or end, tasks of R24. One instance of the service runs it.

`app.py` calls `run_due` every SCHEDULER_SECONDS under a lease. It keeps no timers: each registration stores when it is
due next (`schedule.py`). A repeated run finds everything settled; a late one, after a stop of days, finds everything
that was missed and marks it as late.
"""

from collections.abc import Sequence
from datetime import datetime

from services.registration.decision_inputs import EvaluationDeps
from services.registration.evaluation import decide_and_record_all
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
#: If this process's clock and the database's differ by more, nothing is sent: a reminder cannot be taken back.
MAX_CLOCK_DIFFERENCE_SECONDS = 300.0

log = get_logger()


class WrongClock(TransientError):
    """This process's clock and the database's differ; nothing is sent until they agree."""


async def run_due(deps: EvaluationDeps, now: datetime) -> int:
    """Store everything that is due by `now`; returns how many events were stored. Raises WrongClock."""
    difference = await deps.store.clock_difference(now)
    if difference > MAX_CLOCK_DIFFERENCE_SECONDS:
        raise WrongClock(f"this clock and the database's differ by {difference:.0f} s; set this machine's clock")
    return await record_due_events(deps, now)


async def record_due_events(deps: EvaluationDeps, now: datetime, *, batch_size: int = BATCH) -> int:
    """As `run_due`, without the check of the clock."""
    cause, stored = Cause(new_id(), "scheduler"), 0

    def decide(state: Registration, inputs: DecisionInputs) -> list[Draft]:
        return due_events(state, inputs, now)

    async for batch in deps.store.due(wall_clock(now), batch_size):
        stored += await decide_and_record_all(deps, batch, decide, cause=cause, now=now)
    if stored:
        log.info("due_settled", count=stored)
    return stored


async def remind_after_failed_messages(deps: EvaluationDeps, envelopes: Sequence[Envelope[Event]]) -> None:
    """R25: after a bounced email or a failed SMS, ask whether the contact details are still correct. Idempotent.

    One decision for each registration in the batch, about its newest failure.
    """
    failed_at: dict[str, datetime] = {}
    for envelope in envelopes:
        if isinstance(envelope.data, NotificationsFailed):
            for entry in envelope.data.entries:
                if entry.registration_id is not None:
                    newest = failed_at.get(entry.registration_id, entry.at)
                    failed_at[entry.registration_id] = max(newest, entry.at)
    now, registration_ids = utc_now(), list(failed_at)

    def decide(state: Registration, inputs: DecisionInputs) -> list[Draft]:
        return _bounce_events(state, inputs, failed_at[state.registration_id], now)

    for start in range(0, len(registration_ids), BATCH):
        batch = await deps.store.load_many(registration_ids[start : start + BATCH])
        await decide_and_record_all(deps, batch, decide, cause=envelopes[-1].cause(), now=now)


def _bounce_events(state: Registration, inputs: DecisionInputs, failed_at: datetime, now: datetime) -> list[Draft]:
    """A dropped one is not stored: it follows a failure and no plan, so nothing waits for it to be settled."""
    reminder = bounce_reminder(state, failed_at, now)
    is_settled = reminder.planned.key in state.progress.settled
    return [draft(reminder_event(state, reminder, inputs, now))] if reminder.is_sent and not is_settled else []
