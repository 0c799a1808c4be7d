"""R26, R27: who is to be told of an advice. Sources: the mission; Leiden, "contact you in case of emergencies".

Pending, routed, incomplete and suspended registrations count like any other: only a cancelled one does not.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from services.notify.model.whereabouts import Stay, Whereabouts
from shared.advice import NEGATIVE, CountryAdvice, PlaceAdvice, at_place
from shared.clock import amsterdam_date
from shared.events import Level, TravelAdviceChanged

#: R26: a stay counts from one day before its first day until one day after its last.
GRACE = timedelta(days=1)


class Reason(StrEnum):
    """Why somebody is to be told or not."""

    AFFECTED = "affected"
    CANCELLED = "cancelled"
    NOT_THERE = "not_there"
    PLACE_NOT_NEGATIVE = "place_not_negative"
    THERE_AT_BASELINE = "there_at_baseline"
    THERE_AT_IMPORT = "there_at_import"


@dataclass(frozen=True, slots=True)
class AudienceDecision:
    """The decision about one registration. `place` is the worst place that counts; there when affected.

    `others` are the further places that count on the same day, the worst first.
    """

    reason: Reason
    place: PlaceAdvice | None = None
    others: tuple[PlaceAdvice, ...] = ()

    @property
    def is_affected(self) -> bool:
        """To be told, unless that was done already."""
        return self.reason is Reason.AFFECTED

    @property
    def level(self) -> Level:
        """The level to be told of. Only where affected."""
        assert self.place is not None
        assert self.place.level is not None
        return self.place.level


def decide_audience(where: Whereabouts, advice: CountryAdvice, today: date) -> AudienceDecision:
    """R26: somebody whose stay overlaps today (Europe/Amsterdam) in a place whose advice is negative.

    Where the very first picture of a country was negative already, only who came after it is told (DESIGN §3); who
    was taken over from another portal while there is told by the safety officer, until something gets worse.
    """
    if where.cancelled:
        return AudienceDecision(Reason.CANCELLED)
    there = [stay for stay in where.stays if stay.country == advice.country and is_there(where, stay, today)]
    if not there:
        return AudienceDecision(Reason.NOT_THERE)
    places = [(stay, at_place(advice, stay.region)) for stay in there]
    negative = [(stay, place) for stay, place in places if place.is_negative]
    if not negative:
        return AudienceDecision(Reason.PLACE_NOT_NEGATIVE)
    came_after = [(stay, place) for stay, place in negative if _came_after_baseline(stay, place)]
    if not came_after:
        return AudienceDecision(Reason.THERE_AT_BASELINE)
    counting = [place for stay, place in came_after if not _was_taken_over(stay, place)]
    if not counting:
        return AudienceDecision(Reason.THERE_AT_IMPORT)
    worst, *others = sorted(counting, key=_how_bad, reverse=True)
    return AudienceDecision(Reason.AFFECTED, worst, tuple(others))


@dataclass(frozen=True, slots=True)
class PastNotification:
    """That a person was selected: for which version of the country's advice, at which level."""

    advice_version: int
    level: Level


def not_yet_notified(
    found: AudienceDecision, told: Collection[PastNotification], advice_version: int
) -> AudienceDecision | None:
    """R27: the decision with the worst place that the person was not told of; None when told of each.

    PastNotification of a place: by this very alert, or of its level or worse since when it is so bad without a break.
    """
    assert found.place is not None
    left = [place for place in (found.place, *found.others) if not _was_notified_of(place, told, advice_version)]
    return replace(found, place=left[0], others=tuple(left[1:])) if left else None


def was_notified(found: AudienceDecision, told: Collection[PastNotification], advice_version: int) -> bool:
    """R27: whether nothing is left to tell."""
    return not_yet_notified(found, told, advice_version) is None


def _was_notified_of(place: PlaceAdvice, told: Iterable[PastNotification], advice_version: int) -> bool:
    first = place.since.advice_version if place.since is not None else advice_version
    return any(
        each.advice_version == advice_version or (each.advice_version >= first and each.level >= _level(place))
        for each in told
    )


def raises_alert(event: TravelAdviceChanged) -> bool:
    """Whether a pass over everybody follows: somewhere the advice is negative and worse than it was.

    The first picture of a country raises nothing; who comes after it is told one by one.
    """
    return not event.baseline and any(
        change.after is not None
        and change.after >= NEGATIVE
        and (change.before is None or change.after > change.before)
        for change in event.changes
    )


def is_there(where: Whereabouts, stay: Stay, today: date, grace: timedelta = GRACE) -> bool:
    """R26: on the days of the leg and one more on both sides; on its last leg also overdue, until somebody says
    that the person is back. Who came back early is gone a day after that.
    """
    if stay.start_date - grace > today:
        return False
    if where.returned_on is not None and today > where.returned_on + grace:
        return False
    return today <= stay.end_date + grace or (where.is_overdue and stay.end_date == where.last_day)


def _came_after_baseline(stay: Stay, place: PlaceAdvice) -> bool:
    since = place.since
    if since is None or not since.baseline:
        return True
    return stay.since > since.at or stay.start_date - GRACE > amsterdam_date(since.at)


def stay_there(where: Whereabouts, country: str, region: str | None, day: date) -> Stay | None:
    """The leg on which somebody is, or may be (R16), in a place on a day, grace not included; None: they are not."""
    if where.cancelled:
        return None
    nobody = timedelta(0)
    stays = [stay for stay in where.stays if stay.country == country and is_there(where, stay, day, nobody)]
    possible = [stay for stay in stays if region is None or stay.region in (region, None)]
    return next((stay for stay in possible if stay.region == region), possible[0]) if possible else None


def _was_taken_over(stay: Stay, place: PlaceAdvice) -> bool:
    """The place was so bad already when the registration was imported, and the person was there by then."""
    since = place.since
    if not stay.imported or since is None:
        return False
    return since.at <= stay.since and stay.start_date - GRACE <= amsterdam_date(stay.since)


def _how_bad(place: PlaceAdvice) -> tuple[int, int]:
    """The level; of two alike the one that has become so bad more lately."""
    return _level(place), place.since.advice_version if place.since is not None else 0


def _level(place: PlaceAdvice) -> int:
    return -1 if place.level is None else int(place.level)
