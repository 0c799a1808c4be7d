"""Adds affected persons whom no alert has notified yet to the alert of the current advice, marked as late.

A person is late when the registration arrived after the selection run, or when a stay begins inside a negative area.
A closed alert takes late persons too: closing ends the conversation with those selected until then, not the duty to
tell who comes later (R26). Another alert of the same advice there cannot be (R27).
"""

from datetime import datetime

from services.notify.audience.affected import AffectedPerson
from services.notify.audience.alert_opening import open_alert
from services.notify.audience.already_notified import without_notified
from services.notify.audience.deps import SelectionDeps
from services.notify.audience.preparation import prepare
from services.notify.audience.recording import record_selections
from shared.advice import CountryAdvice
from shared.envelope import Cause
from shared.events import AlertTrigger


async def add_late_arrivals(
    deps: SelectionDeps, advice: CountryAdvice, affected: list[AffectedPerson], *, cause: Cause, now: datetime
) -> None:
    """Select those of the affected persons whom no alert has notified yet.

    The caller has finished the selection runs of the country. Under an advice that a newer one has replaced nobody is
    selected: the process that stored the newer one looks at everyone in the country after that.
    """
    if not affected:
        return
    to_notify = await without_notified(deps, advice, affected)
    if not to_notify or not await deps.advice.is_current(advice.country, advice.advice_version):
        return
    alert = await open_alert(deps, advice, AlertTrigger.LATE_ARRIVAL, cause=cause, now=now)
    await record_selections(deps, await prepare(deps, alert, to_notify, late=True, cause=cause, now=now))
