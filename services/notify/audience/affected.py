"""Who is affected: one entry for each person. Everyone in the same places on the same days is decided once.

A registration that the rules cannot judge is not assessable: it is reported, and never stops the others.
"""

from collections.abc import Callable, Iterable
from datetime import date
from typing import NamedTuple

from services.notify.columns.registration_snapshot import RegistrationSnapshot, microseconds
from services.notify.rules.audience import AudienceDecision, Reason, decide_audience
from shared.advice import CountryAdvice
from shared.events import Presence
from shared.observability.logs import get_logger
from shared.transient import reason_of

#: A memo with so many decisions is emptied, so that its memory stays bounded.
MEMO_SIZE = 10_000

Decide = Callable[[RegistrationSnapshot], AudienceDecision]

log = get_logger()


class AffectedPerson(NamedTuple):
    """A person to notify: the registration in the worst place, and the newest one, whose contact details are used."""

    registration: RegistrationSnapshot
    decision: AudienceDecision
    newest: RegistrationSnapshot


def affected_persons(
    registrations: Iterable[RegistrationSnapshot],
    decide: Decide,
    not_assessable: list[RegistrationSnapshot] | None = None,
) -> list[AffectedPerson]:
    """One entry for each affected person. The registrations of a person in the country must all be here, or none.

    Adds the registrations that nobody can judge to `not_assessable`.
    """
    persons: dict[str, AffectedPerson] = {}
    for registration in registrations:
        decision = decide(registration)
        if decision.reason is not Reason.AFFECTED:
            if decision.reason is Reason.NOT_ASSESSABLE and not_assessable is not None:
                not_assessable.append(registration)
            continue
        known = persons.get(registration.person_id)
        if known is None:
            persons[registration.person_id] = AffectedPerson(registration, decision, registration)
            continue
        newest = registration if registration.changed_at > known.newest.changed_at else known.newest
        if _weight(decision) > _weight(known.decision):
            persons[registration.person_id] = AffectedPerson(registration, decision, newest)
        else:
            persons[registration.person_id] = known._replace(newest=newest)
    return list(persons.values())


def _weight(decision: AudienceDecision) -> tuple[int, bool]:
    """Of a person's registrations the worst place decides; of equal ones, the place where the person is now."""
    return decision.level, decision.presence is Presence.THERE


def memoised_decisions(advice: CountryAdvice, today: date) -> Decide:
    """`decide_audience` for many registrations: the same itinerary is decided once.

    When a leg was added to a registration matters in one case only: an area has been negative since the baseline.
    Then the memo also distinguishes legs added before the baseline from legs added after it.
    """
    since = [since for area in (advice.whole, *advice.regions) for since in (area.orange_since, area.red_since)]
    baselines = sorted({microseconds(moment.at) for moment in since if moment is not None and moment.baseline})
    memo: dict[str | tuple[str, tuple[bool, ...]], AudienceDecision] = {}

    def decide(registration: RegistrationSnapshot) -> AudienceDecision:
        key: str | tuple[str, tuple[bool, ...]] = registration.itinerary
        if baselines:
            added_after = tuple([added > baseline for added in registration.since for baseline in baselines])
            key = (registration.itinerary, added_after)
        decision = memo.get(key)
        if decision is None:
            if len(memo) >= MEMO_SIZE:
                memo.clear()
            decision = memo[key] = _judged(registration, advice, today)
        return decision

    return decide


def _judged(registration: RegistrationSnapshot, advice: CountryAdvice, today: date) -> AudienceDecision:
    try:
        return decide_audience(registration.whereabouts(), advice, today)
    # The rules ask nobody: whatever they raise, this registration cannot be judged.
    except Exception as error:
        log.error(
            "registration_not_assessable",
            registration_id=registration.registration_id,
            country=advice.country,
            reason=reason_of(error),
            next_step="call the student; then correct the registration, or report the reason",
        )
        return AudienceDecision(Reason.NOT_ASSESSABLE)
