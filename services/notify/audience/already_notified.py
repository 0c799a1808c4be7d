"""Leaves out persons whom an alert has already notified of the place where they are (R27)."""

from services.notify.audience.affected import AffectedPerson
from services.notify.audience.deps import SelectionDeps
from services.notify.rules.audience import not_yet_notified
from shared.advice import NEGATIVE, CountryAdvice
from shared.events import Level
from shared.mongo.client import Session


async def without_notified(
    deps: SelectionDeps,
    advice: CountryAdvice,
    affected: list[AffectedPerson],
    session: Session | None = None,
    *,
    except_alert: str | None = None,
) -> list[AffectedPerson]:
    """The affected persons who are still to be notified, each with the worst place that no alert notified them of.

    The same list when nobody was notified. `except_alert`: the alert whose selection run asks; its own selections do
    not count, because a shard that is stored already is recognised by its id.
    """
    versions = await deps.alerts.versions(advice.country, session)
    first_version = _negative_since(advice)
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
        decision = not_yet_notified(person.decision, past, advice.advice_version)
        if decision is not None:
            to_notify.append(person._replace(decision=decision))
    return to_notify


def _negative_since(advice: CountryAdvice) -> int:
    """The oldest advice version since which some area is as bad as it is now: alerts of older versions do not count."""
    since = [
        area.red_since if area.level is Level.RED else area.orange_since
        for area in (advice.whole, *advice.regions)
        if area.level is not None and area.level >= NEGATIVE
    ]
    return min((moment.advice_version for moment in since if moment is not None), default=advice.advice_version)
