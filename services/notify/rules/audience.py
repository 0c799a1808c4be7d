"""R26, R27: whom an advice affects, and whom an alert has already told.

Sources: the mission; Leiden, "contact you in case of emergencies".
Pending, routed, incomplete and suspended registrations count like any other. Only a cancelled one does not count.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum

from services.notify.model.whereabouts import Stay, Whereabouts
from shared.advice import NEGATIVE, CountryAdvice, PlaceAdvice, at_place
from shared.clock import amsterdam_date, days_later
from shared.events import Level, Presence, TravelAdviceChanged

#: R26: a stay counts from one day before its first day until one day after its last.
GRACE = timedelta(days=1)


class Reason(StrEnum):
    """Why a registration's person is told, or is not."""

    AFFECTED = "affected"
    CANCELLED = "cancelled"
    NOT_THERE = "not_there"
    PLACE_NOT_NEGATIVE = "place_not_negative"
    THERE_AT_BASELINE = "there_at_baseline"
    THERE_AT_IMPORT = "there_at_import"
    NOT_ASSESSABLE = "not_assessable"


@dataclass(frozen=True, slots=True)
class AffectedPlace:
    """A place of a registration that counts, and whether its person is there, about to go, or should have left."""

    place: PlaceAdvice
    presence: Presence


@dataclass(frozen=True, slots=True)
class AudienceDecision:
    """The decision about one registration. When it is affected, `worst` is the worst place that counts.

    `others`: the further places that count on the same day, the worst first. `message_key`: names all of the decision
    that a message depends on; persons with the same key and language get the same text.
    """

    reason: Reason
    worst: AffectedPlace | None = None
    others: tuple[AffectedPlace, ...] = ()
    message_key: str = field(init=False, compare=False, default="")

    def __post_init__(self) -> None:
        # Computed once for each decision, because a selection run looks it up for each person.
        if self.worst is not None:
            place, presence = self.worst.place, self.worst.presence
            key = f"{place.how.value} {_level_or_below(place)} {presence.value} {place.area.code or place.area.area}"
            object.__setattr__(self, "message_key", key)

    @property
    def is_affected(self) -> bool:
        """To be told, unless an alert has told the person already (R27)."""
        return self.reason is Reason.AFFECTED

    @property
    def place(self) -> PlaceAdvice:
        """The worst place. Only an affected registration has one."""
        assert self.worst is not None
        return self.worst.place

    @property
    def presence(self) -> Presence:
        """Whether the person is in the worst place. Only an affected registration has one."""
        assert self.worst is not None
        return self.worst.presence

    @property
    def level(self) -> Level:
        """The level of the worst place. Only an affected registration has one."""
        level = self.place.level
        assert level is not None
        return level


def decide_audience(where: Whereabouts, advice: CountryAdvice, today: date) -> AudienceDecision:
    """R26: affected when a stay overlaps today (Europe/Amsterdam) in a place whose advice is negative.

    Two groups are not told until the place gets worse. First, persons who were in a place that the baseline, the first
    advice known of a country, already showed as negative. Second, persons who were in a negative place when their
    registration was imported from another portal: a safety officer tells these.
    """
    if where.cancelled:
        return AudienceDecision(Reason.CANCELLED)
    stays = [stay for stay in where.stays if stay.country == advice.country and is_there(where, stay, today)]
    if not stays:
        return AudienceDecision(Reason.NOT_THERE)
    places = [(stay, at_place(advice, stay.region)) for stay in stays]
    negative = [(stay, place) for stay, place in places if place.is_negative]
    if not negative:
        return AudienceDecision(Reason.PLACE_NOT_NEGATIVE)
    after_baseline = [(stay, place) for stay, place in negative if _came_after_baseline(stay, place)]
    if not after_baseline:
        return AudienceDecision(Reason.THERE_AT_BASELINE)
    counting = [
        AffectedPlace(place, presence(where, stay, today))
        for stay, place in after_baseline
        if not _was_there_at_import(stay, place)
    ]
    if not counting:
        return AudienceDecision(Reason.THERE_AT_IMPORT)
    worst, *others = sorted(counting, key=_severity, reverse=True)
    return AudienceDecision(Reason.AFFECTED, worst, tuple(others))


@dataclass(frozen=True, slots=True)
class PastNotification:
    """A person was selected for an alert: for which version of the country's advice, and at which level."""

    advice_version: int
    level: Level


def not_yet_notified(
    decision: AudienceDecision, past: Collection[PastNotification], advice_version: int
) -> AudienceDecision | None:
    """R27: the decision with the worst place that no alert has told the person of; None when they were told of all.

    An alert told of a place when it is the alert of this advice version, or when it told of the same or a worse level
    and the place has been this bad without a break since then.
    """
    assert decision.worst is not None
    places = [
        affected
        for affected in (decision.worst, *decision.others)
        if not _was_notified_of(affected.place, past, advice_version)
    ]
    return replace(decision, worst=places[0], others=tuple(places[1:])) if places else None


def was_notified(decision: AudienceDecision, past: Collection[PastNotification], advice_version: int) -> bool:
    """R27: whether the person was told of every place of the decision."""
    return not_yet_notified(decision, past, advice_version) is None


def _was_notified_of(place: PlaceAdvice, past: Iterable[PastNotification], advice_version: int) -> bool:
    first_version = place.since.advice_version if place.since is not None else advice_version
    level = _level_or_below(place)
    return any(
        notification.advice_version == advice_version
        or (notification.advice_version >= first_version and notification.level >= level)
        for notification in past
    )


def raises_alert(event: TravelAdviceChanged) -> bool:
    """Whether a selection run over the whole country follows: somewhere the advice is negative and got worse.

    The baseline of a country raises no alert. A person who comes after it is told as a late arrival.
    """
    return not event.baseline and any(
        change.after is not None
        and change.after >= NEGATIVE
        and (change.before is None or change.after > change.before)
        for change in event.changes
    )


def is_there(where: Whereabouts, stay: Stay, today: date, grace: timedelta = GRACE) -> bool:
    """R26: on the days of the leg, and `grace` before and after it.

    On the last leg also while overdue, until a return is recorded. A person who came back early is there until
    `grace` after the day of return.
    """
    if days_later(stay.start_date, -grace) > today:
        return False
    if where.returned_on is not None and today > days_later(where.returned_on, grace):
        return False
    return today <= days_later(stay.end_date, grace) or (where.is_overdue and stay.end_date == where.last_day)


def presence(where: Whereabouts, stay: Stay, today: date) -> Presence:
    """R26: whether the person is there on a day on which the stay counts, or not yet, or no longer."""
    if today < stay.start_date:
        return Presence.BEFORE
    if where.returned_on is not None and today >= where.returned_on:
        return Presence.AFTER
    if today <= stay.end_date:
        return Presence.THERE
    return Presence.AFTER if today <= days_later(stay.end_date, GRACE) else Presence.OVERDUE


def stays_on(where: Whereabouts, day: date, grace: timedelta = timedelta(0)) -> tuple[Stay, ...]:
    """The legs on which the person is on that day."""
    if where.cancelled:
        return ()
    return tuple(stay for stay in where.stays if is_there(where, stay, day, grace))


def stay_there(
    where: Whereabouts, country: str, region: str | None, day: date, grace: timedelta = timedelta(0)
) -> Stay | None:
    """The leg on which the person is, or may be (R16), in the place on that day. None: not there."""
    stays = [stay for stay in stays_on(where, day, grace) if stay.country == country]
    possible = [stay for stay in stays if region is None or stay.region in (region, None)]
    return next((stay for stay in possible if stay.region == region), possible[0]) if possible else None


def _came_after_baseline(stay: Stay, place: PlaceAdvice) -> bool:
    """The place was not this bad at the baseline; or the leg was registered, or its grace day began, after it."""
    since = place.since
    if since is None or not since.baseline:
        return True
    return stay.since > since.at or days_later(stay.start_date, -GRACE) > amsterdam_date(since.at)


def _was_there_at_import(stay: Stay, place: PlaceAdvice) -> bool:
    """The place was this bad when the registration was imported, and the person was there by then."""
    since = place.since
    if not stay.imported or since is None:
        return False
    return since.at <= stay.since and days_later(stay.start_date, -GRACE) <= amsterdam_date(stay.since)


def _severity(affected: AffectedPlace) -> tuple[int, int, bool]:
    """The level; of two places with the same level, the one that became this bad later is the worse one.

    Where both are equal, the place where the person is comes before one where they will be or were.
    """
    place = affected.place
    since = place.since.advice_version if place.since is not None else 0
    return _level_or_below(place), since, affected.presence is Presence.THERE


def _level_or_below(place: PlaceAdvice) -> int:
    """The level as a number; unknown is below every level."""
    return -1 if place.level is None else int(place.level)
