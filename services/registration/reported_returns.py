"""Records the returns that students report by the link in a mail: events of notify. Idempotent.

A report counts only while the student is overdue: later dates or another return make it void.
"""

from collections.abc import Sequence

from services.registration.decision_events import close_tasks
from services.registration.decision_inputs import EvaluationDeps
from services.registration.evaluation import decide_and_record
from services.registration.model import Registration, Status
from services.registration.read_models import DecisionInputs
from services.registration.rules.places import advice_seen, places
from shared.clock import utc_now
from shared.envelope import Draft, Envelope, draft
from shared.events import Event, ReturnRecorded, ReturnReported


async def record_reported_returns(deps: EvaluationDeps, envelopes: Sequence[Envelope[Event]]) -> None:
    """R20, R26: the student is back. It ends the stay, and the task that asked for the return."""
    now = utc_now()
    for envelope in envelopes:
        if not isinstance(envelope.data, ReturnReported):
            continue
        report = envelope.data

        def decide(state: Registration, inputs: DecisionInputs, report: ReturnReported = report) -> list[Draft]:
            if state.person_id != report.person_id or state.status is Status.CANCELLED or not state.progress.is_overdue:
                return []
            event = ReturnRecorded(
                registration_id=state.registration_id,
                person_id=state.person_id,
                on=report.on,
                outcome="returned",
                recorded_by=report.person_id,
                advice=advice_seen(places(state.legs, inputs, now)),
            )
            return [draft(event), *close_tasks(state, {"R20"})]

        if await deps.store.load_many([report.registration_id]):
            await decide_and_record(deps, report.registration_id, decide, cause=envelope.cause(), now=now)
