"""Whom a manual alert would reach now, by the decisions of a real selection run. Nothing is stored."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime

from services.notify.audience.affected import memoised_decisions
from services.notify.audience.deps import SelectionDeps
from services.notify.audience.judging import find_affected
from services.notify.audience.manual_alerts import place_as_advice
from services.notify.audience.preparation import usable_channels
from services.notify.columns.registration_snapshot import RegistrationSnapshot
from services.notify.rules.audience import is_there
from shared.advice import HowAffected
from shared.clock import amsterdam_date


@dataclass(frozen=True, slots=True)
class AudienceSize:
    """How many persons an alert would reach. `uncertain`: they are notified though their place cannot be resolved.

    `by_region`: ISO 3166-2 → persons; the empty key counts those whose region is not known.
    """

    recipients: int
    unreachable: int
    uncertain: int
    by_region: dict[str, int]


async def preview_audience(
    deps: SelectionDeps, country: str, region: str | None, *, is_drill: bool, now: datetime
) -> AudienceSize:
    """Count whom a manual alert to this place would select now."""
    today = amsterdam_date(now)
    decide = memoised_decisions(place_as_advice(country, region, None, now), today)
    recipients, unreachable, uncertain = 0, 0, 0
    by_region: dict[str, int] = defaultdict(int)
    async for registrations in deps.whereabouts.batches(country, deps.shard_size):
        affected = await find_affected(deps, registrations, decide)
        channels = await usable_channels(deps, affected, is_drill=is_drill)
        for person in affected:
            has_channel = person.newest.registration_id in channels
            if is_drill and not has_channel:
                continue
            recipients += 1
            unreachable += not has_channel
            uncertain += person.decision.place.how is HowAffected.UNRESOLVED_PLACE
            by_region[_region_of(person.registration, country, today) or ""] += 1
    return AudienceSize(recipients, unreachable, uncertain, dict(sorted(by_region.items())))


def _region_of(registration: RegistrationSnapshot, country: str, today: date) -> str | None:
    where = registration.whereabouts()
    stays = [stay for stay in where.stays if stay.country == country and is_there(where, stay, today)]
    return stays[0].region if stays else None
