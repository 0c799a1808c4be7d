"""Who is affected: one entry for each person, decided once for everyone who is in the same places on the same days.

Pure, except for the two reads at the end.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import date
from typing import NamedTuple

from services.notify.audience.deps import SelectionDeps
from services.notify.columns.registration_snapshot import RegistrationSnapshot, microseconds
from services.notify.model.shards import shard_count_for, shard_range
from services.notify.rules import audience
from services.notify.rules.audience import AudienceDecision, Reason, decide_audience
from shared.advice import NEGATIVE, CountryAdvice
from shared.events import Level
from shared.mongo.client import Session

#: A memo with so many decisions is emptied, so that its memory stays bounded.
MEMO_SIZE = 10_000

Decide = Callable[[RegistrationSnapshot], AudienceDecision]


class AffectedPerson(NamedTuple):
    """A person to be told: the registration in the worst place, and the newest one, whose contact details are used."""

    registration: RegistrationSnapshot
    decision: AudienceDecision
    newest: RegistrationSnapshot


def affected_persons(registrations: Iterable[RegistrationSnapshot], decide: Decide) -> list[AffectedPerson]:
    """One entry for each affected person among these registrations, which hold all of a person's or none."""
    persons: dict[str, AffectedPerson] = {}
    for registration in registrations:
        decision = decide(registration)
        if decision.reason is not Reason.AFFECTED:
            continue
        known = persons.get(registration.person_id)
        if known is None:
            persons[registration.person_id] = AffectedPerson(registration, decision, registration)
            continue
        newest = registration if registration.changed_at > known.newest.changed_at else known.newest
        if decision.level > known.decision.level:
            persons[registration.person_id] = AffectedPerson(registration, decision, newest)
        else:
            persons[registration.person_id] = known._replace(newest=newest)
    return list(persons.values())


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
            decision = memo[key] = decide_audience(registration.whereabouts(), advice, today)
        return decision

    return decide


async def not_yet_notified(
    deps: SelectionDeps,
    advice: CountryAdvice,
    affected: list[AffectedPerson],
    session: Session | None = None,
    *,
    except_alert: str | None = None,
) -> list[AffectedPerson]:
    """The affected persons whom no alert of the country has told of this (R27), each with the worst place of these.

    `except_alert`: the alert whose run asks. Its own selections are recognised by their ids and not counted here.
    """
    versions = await deps.alerts.versions(advice.country, session)
    first_version = _worse_since(advice)
    alerts = {
        alert_id: version
        for alert_id, version in versions.items()
        if version >= first_version and alert_id != except_alert
    }
    persons = {person.registration.person_id for person in affected} if alerts else ()
    notifications = await deps.alerts.selections.past_notifications(alerts, persons, session)
    if not notifications:
        return affected
    to_notify = []
    for person in affected:
        past = notifications.get(person.registration.person_id, ())
        decision = audience.not_yet_notified(person.decision, past, advice.advice_version)
        if decision is not None:
            to_notify.append(person._replace(decision=decision))
    return to_notify


def _worse_since(advice: CountryAdvice) -> int:
    """The oldest advice version since which some area is as bad as it is now. Alerts of older versions do not count."""
    since = [
        area.red_since if area.level is Level.RED else area.orange_since
        for area in (advice.whole, *advice.regions)
        if area.level is not None and area.level >= NEGATIVE
    ]
    return min((moment.advice_version for moment in since if moment is not None), default=advice.advice_version)


async def registrations_in_country(deps: SelectionDeps, country: str) -> AsyncIterator[list[RegistrationSnapshot]]:
    """Every registration with a leg in the country, in batches; all registrations of a person are in one batch."""
    parts = shard_count_for(await deps.whereabouts.count(country), deps.shard_size)
    for part in range(parts):
        registrations = await deps.whereabouts.in_range(country, *shard_range(part, parts))
        if registrations:
            yield registrations
