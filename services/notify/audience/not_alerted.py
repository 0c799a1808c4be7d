"""Who is in a place with negative advice and was told by no alert, and why: for a safety officer.

Decided as a selection run decides. `passage audit affected` computes the same from events alone.
"""

from collections.abc import Sequence
from datetime import date
from typing import Literal

from services.notify.audience.affected import memoised_decisions
from services.notify.audience.already_notified import without_notified
from services.notify.audience.deps import SelectionDeps
from services.notify.audience.judging import find_affected
from services.notify.columns.registration_snapshot import RegistrationSnapshot
from services.notify.rules.audience import Reason
from shared.advice import CountryAdvice

#: `told_by_no_alert`: affected, and the next sweep tells them, or something is wrong. Officers tell the others.
#: `not_assessable`: the rules cannot judge the registration, so nobody knows; an officer calls the student.
NotAlerted = Literal["told_by_no_alert", "there_at_baseline", "there_at_import", "not_assessable"]
_UNTOLD_BY_RULE: dict[Reason, NotAlerted] = {
    Reason.THERE_AT_BASELINE: "there_at_baseline",
    Reason.THERE_AT_IMPORT: "there_at_import",
    Reason.NOT_ASSESSABLE: "not_assessable",
}


async def why_not_alerted(
    deps: SelectionDeps, advice: CountryAdvice, registrations: Sequence[RegistrationSnapshot], today: date
) -> dict[str, NotAlerted]:
    """Registration → why its person was told by no alert. The registrations of a person must all be here, or none."""
    decide = memoised_decisions(advice, today)
    affected = await find_affected(deps, registrations, decide)
    untold = {person.registration.person_id for person in await without_notified(deps, advice, affected)}
    reasons: dict[str, NotAlerted] = {}
    for registration in registrations:
        reason = decide(registration).reason
        if reason is Reason.AFFECTED and registration.person_id in untold:
            reasons[registration.registration_id] = "told_by_no_alert"
        elif reason in _UNTOLD_BY_RULE:
            reasons[registration.registration_id] = _UNTOLD_BY_RULE[reason]
    return reasons


async def registrations_not_alerted(deps: SelectionDeps, advice: CountryAdvice, today: date) -> dict[str, NotAlerted]:
    """All such registrations of the country, in order of their ids."""
    reasons: dict[str, NotAlerted] = {}
    async for registrations in deps.whereabouts.batches(advice.country, deps.shard_size):
        reasons |= await why_not_alerted(deps, advice, registrations, today)
    return dict(sorted(reasons.items()))
