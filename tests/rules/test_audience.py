"""R26, R27: whom an advice affects on a day, and whom an alert has told already."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.model.whereabouts import Stay
from services.notify.rules.audience import (
    AudienceDecision,
    PastNotification,
    Reason,
    decide_audience,
    not_yet_notified,
    raises_alert,
    was_notified,
)
from shared.advice import CountryAdvice, HowAffected, Since, evolve
from shared.clock import amsterdam_date
from shared.events import LegKind, Level, Presence, TravelAdviceChanged
from tests.rules.notify_world import (
    DAY,
    LONG_AGO,
    NOW,
    TODAY,
    advice,
    change,
    days,
    folded,
    since,
    stay,
    submitted,
    whereabouts,
)

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
LEVELS = st.sampled_from([None, G, Y, O, R])


@pytest.mark.parametrize(
    ("start", "end", "is_there"),
    [
        (-10, 10, True),
        (0, 0, True),
        (1, 5, True),  # tomorrow: one day of grace
        (2, 5, False),
        (-5, -1, True),  # since yesterday at home, if the train was on time
        (-5, -2, False),
        (1, 1, True),
        (-1, -1, True),
        (2, 2, False),
        (-2, -2, False),
    ],
)
def test_audience_stay_counts_with_one_day_of_grace_on_both_sides(start: int, end: int, is_there: bool) -> None:
    """R26: from one day before the first day until one day after the last."""
    decision = decide_audience(whereabouts(stay(start, end)), advice(R), TODAY)

    assert decision.reason is (Reason.AFFECTED if is_there else Reason.NOT_THERE)
    assert decision.is_affected is is_there


@pytest.mark.parametrize(
    ("instant", "is_there"),
    [
        (datetime(2026, 2, 27, 22, 59, tzinfo=UTC), False),  # winter: the day begins at 23:00 UTC
        (datetime(2026, 2, 27, 23, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 30, 21, 59, tzinfo=UTC), True),  # summer: it ends at 22:00 UTC
        (datetime(2026, 3, 30, 22, 0, tzinfo=UTC), False),
    ],
)
def test_audience_days_are_those_of_amsterdam(instant: datetime, is_there: bool) -> None:
    """R26: a stay from 1 to 29 March counts from 28 February to 30 March in Amsterdam, whatever the clocks do."""
    march = Stay(start_date=date(2026, 3, 1), end_date=date(2026, 3, 29), country="ES", region=None, since=LONG_AGO)
    there = whereabouts(march)

    assert decide_audience(there, advice(R), amsterdam_date(instant)).is_affected is is_there


@given(
    start=st.integers(-40, 40),
    length=st.integers(0, 40),
    level=LEVELS,
    cancelled=st.booleans(),
)
def test_audience_is_affected_exactly_when_there_in_a_negative_place(
    start: int, length: int, level: Level | None, cancelled: bool
) -> None:
    """R26, over all dates and levels: day by day, with a day added on both sides."""
    decision = decide_audience(whereabouts(stay(start, start + length), cancelled=cancelled), advice(level), TODAY)

    counted = {TODAY + offset * DAY for offset in range(start - 1, start + length + 2)}
    assert decision.is_affected == (not cancelled and TODAY in counted and level in (O, R))
    assert (decision.worst is not None) == decision.is_affected


@pytest.mark.parametrize(
    ("country", "regions", "region", "reason", "how", "level"),
    [
        (R, {}, None, Reason.AFFECTED, HowAffected.COUNTRY, R),
        (O, {}, "ES-MD", Reason.AFFECTED, HowAffected.COUNTRY, O),
        (Y, {}, "ES-MD", Reason.PLACE_NOT_NEGATIVE, None, None),
        (None, {}, "ES-MD", Reason.PLACE_NOT_NEGATIVE, None, None),
        (Y, {"ES-CT": R}, "ES-CT", Reason.AFFECTED, HowAffected.REGION, R),
        (Y, {"ES-CT": R}, "ES-MD", Reason.PLACE_NOT_NEGATIVE, None, None),
        (R, {"ES-MD": Y}, "ES-MD", Reason.PLACE_NOT_NEGATIVE, None, None),
        (R, {"ES-MD": O}, "ES-MD", Reason.AFFECTED, HowAffected.REGION, O),
        # nobody knows where in the country: the worst level counts (R16)
        (Y, {"ES-CT": R, "ES-MD": O}, None, Reason.AFFECTED, HowAffected.UNRESOLVED_PLACE, R),
        (R, {"ES-MD": Y}, None, Reason.AFFECTED, HowAffected.COUNTRY, R),
        # an area that is only a text may be anywhere
        (Y, {"the border area": R}, "ES-MD", Reason.AFFECTED, HowAffected.UNRESOLVED_PLACE, R),
        (Y, {"the border area": Y}, "ES-MD", Reason.PLACE_NOT_NEGATIVE, None, None),
        (None, {"ES-CT": R}, None, Reason.AFFECTED, HowAffected.UNRESOLVED_PLACE, R),
        (None, {"ES-CT": R}, "ES-MD", Reason.PLACE_NOT_NEGATIVE, None, None),
    ],
)
def test_audience_place_table(
    country: Level | None,
    regions: dict[str, Level | None],
    region: str | None,
    reason: Reason,
    how: HowAffected | None,
    level: Level | None,
) -> None:
    """R15, R16, R26: exact region, whole country, and a place that is not resolved."""
    decision = decide_audience(whereabouts(stay(region=region)), advice(country, regions), TODAY)

    assert decision.reason is reason
    if how is not None:
        assert (decision.place.how, decision.level) == (how, level)


def test_audience_place_as_written_is_resolved_by_the_gazetteer() -> None:
    """R16: Madrid is in ES-MD, so a red Catalonia is elsewhere; an unknown town may be in Catalonia."""
    madrid = folded(submitted(days(-5, 5, place="Madrid")))
    somewhere = folded(submitted(days(-5, 5, place="Villa Nueva")))
    catalonia = advice(Y, {"ES-CT": R})

    assert decide_audience(madrid, catalonia, TODAY).reason is Reason.PLACE_NOT_NEGATIVE
    assert decide_audience(somewhere, catalonia, TODAY).is_affected


def test_audience_place_travelled_through_counts() -> None:
    """R15: a person who only passes through a red area is told as well."""
    route = folded(
        submitted(days(-1, 0, region="ES-CT", kind=LegKind.THROUGH), days(0, 30, region="ES-MD"), days(30, 60, "FR"))
    )

    assert decide_audience(route, advice(Y, {"ES-CT": R}), TODAY).is_affected
    assert decide_audience(route, advice(R, country="FR"), TODAY).reason is Reason.NOT_THERE


def test_audience_worst_place_of_several_decides() -> None:
    """R15: of two stays on the same day the worse one decides."""
    there = whereabouts(stay(-5, 0, region="ES-MD"), stay(0, 5, region="ES-CT"))

    decision = decide_audience(there, advice(Y, {"ES-MD": O, "ES-CT": R}), TODAY)

    assert decision.level is R
    assert decision.place.area.code == "ES-CT"


@pytest.mark.parametrize(
    ("start", "end", "ended", "returned", "expected"),
    [
        (1, 5, False, None, Presence.BEFORE),  # leaves tomorrow: do not go
        (0, 5, False, None, Presence.THERE),
        (-5, 5, False, None, Presence.THERE),
        (-5, 0, False, None, Presence.THERE),  # the last day belongs to the stay
        (-5, -1, False, None, Presence.AFTER),
        (-5, -1, True, None, Presence.AFTER),
        (-5, -2, True, None, Presence.OVERDUE),
        (-5, 5, False, 0, Presence.AFTER),  # came back early, today
        (-5, 5, False, -1, Presence.AFTER),
        (-5, -1, True, -1, Presence.AFTER),
    ],
)
def test_presence_table(start: int, end: int, ended: bool, returned: int | None, expected: Presence) -> None:
    """R26: on each day on which a stay counts, the person is there, not yet, or no longer."""
    where = whereabouts(stay(start, end)).model_copy(
        update={"ended": ended, "returned_on": None if returned is None else TODAY + returned * DAY}
    )

    decision = decide_audience(where, advice(R), TODAY)

    assert decision.presence is expected


def test_presence_of_the_next_leg_is_before_while_the_person_is_still_elsewhere() -> None:
    """Who moves on tomorrow is told not to go on, and not that they are there."""
    moving = whereabouts(stay(-5, 0, country="FR"), stay(1, 9))

    assert decide_audience(moving, advice(R), TODAY).presence is Presence.BEFORE


def test_presence_makes_another_message_of_the_same_place() -> None:
    """Persons share a message only when the same is asked of them."""
    keys = {
        decide_audience(whereabouts(stay(*days)), advice(R), TODAY).message_key for days in ((1, 5), (0, 5), (-5, -1))
    }

    assert len(keys) == 3


def test_presence_where_the_person_is_comes_before_where_they_go() -> None:
    """Of two places that are equally bad, the message is about the one in which they are."""
    both = whereabouts(stay(1, 5, region="ES-MD"), stay(-5, 0, region="ES-CT"))

    decision = decide_audience(both, advice(Y, {"ES-MD": R, "ES-CT": R}), TODAY)

    assert (decision.place.area.code, decision.presence) == ("ES-CT", Presence.THERE)


def test_audience_cancelled_registration_is_nowhere() -> None:
    """R26: of all states only a cancelled registration does not count."""
    assert decide_audience(whereabouts(cancelled=True), advice(R), TODAY).reason is Reason.CANCELLED


BASELINE = since(version=1, at=NOW, baseline=True)


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (stay(-10, 10, since=LONG_AGO), Reason.THERE_AT_BASELINE),
        (stay(0, 10, since=NOW), Reason.THERE_AT_BASELINE),
        (stay(1, 10, since=LONG_AGO), Reason.THERE_AT_BASELINE),  # in the day of grace: counted as there
        (stay(-10, 10, since=NOW + timedelta(microseconds=1)), Reason.AFFECTED),  # registered afterwards
        (stay(2, 10, since=LONG_AGO), Reason.AFFECTED),  # known before, arrives afterwards
    ],
)
def test_audience_baseline_tells_only_who_came_after_it(there: Stay, reason: Reason) -> None:
    """The baseline of a country tells nobody who was there; a person who comes later is told."""
    decision = decide_audience(whereabouts(there), advice(R, began=BASELINE), TODAY + DAY)

    assert decision.reason is reason


def test_audience_baseline_worse_since_then_counts_for_everybody() -> None:
    """Orange at the baseline and red later: a person who was there is told about red."""
    orange = evolve(None, change(1, None, O), "e1", NOW - DAY)
    red = evolve(orange, change(2, O, R), "e2", NOW)

    assert decide_audience(whereabouts(), orange, TODAY).reason is Reason.THERE_AT_BASELINE
    assert decide_audience(whereabouts(), red, TODAY).level is R


def test_audience_newcomer_in_one_place_is_told_of_that_place() -> None:
    """There at the baseline in one region, a newcomer in another: the newcomer's place decides."""
    there = whereabouts(stay(region="ES-CT"), stay(region="ES-MD", since=NOW + DAY))

    decision = decide_audience(there, advice(Y, {"ES-CT": R, "ES-MD": O}, began=BASELINE), TODAY)

    assert decision.level is O


# ---------------------------------------------------------------- who was told already


def affected(level: Level, began: Since | None, version: int = 5) -> AudienceDecision:
    """An affected person: at this level, in a place that has been this bad since `began`."""
    return decide_audience(whereabouts(), advice(level, began=began, version=version), TODAY)


@pytest.mark.parametrize(
    ("level", "began", "told", "is_told"),
    [
        (R, 3, [], False),
        (R, 3, [PastNotification(5, R)], True),
        (R, 3, [PastNotification(5, O)], True),  # one message for each alert and person, at whatever level
        (R, 3, [PastNotification(3, R)], True),
        (R, 3, [PastNotification(4, R)], True),
        (R, 3, [PastNotification(4, O)], False),  # worse than the level of the alert
        (O, 3, [PastNotification(4, R)], True),  # better than the level of the alert
        (R, 3, [PastNotification(2, R)], False),  # it was better in between
        (O, 3, [PastNotification(2, R), PastNotification(3, O)], True),
        (R, 3, [PastNotification(2, R), PastNotification(3, O)], False),
    ],
)
def test_was_notified_table(level: Level, began: int, told: list[PastNotification], is_told: bool) -> None:
    """R27: by this alert, or of this level or worse while the place has been this bad without a break."""
    assert was_notified(affected(level, since(began)), told, 5) is is_told


def test_of_two_places_as_bad_the_one_that_became_so_later_is_named() -> None:
    """R27: the other one was told by an earlier alert; this is the news, in whatever order the stays stand."""
    first = evolve(None, change(1, None, Y), "e1", NOW - 2 * DAY)
    catalonia = evolve(first, change(2, Y, Y, {"ES-CT": (Y, O)}), "e2", NOW - DAY)
    both = evolve(catalonia, change(3, Y, Y, {"ES-CT": (O, O), "ES-MD": (Y, O)}), "e3", NOW)
    stays = (stay(-5, 5, region="ES-CT"), stay(-5, 5, region="ES-MD"))

    for ordered in (stays, stays[::-1]):
        decision = decide_audience(whereabouts(*ordered), both, TODAY)
        assert decision.place.area.code == "ES-MD"
        assert [recipient.place.area.code for recipient in decision.others] == ["ES-CT"]


def test_who_was_told_of_one_place_is_told_of_the_other_one_only() -> None:
    """R27: red in Catalonia was told; Madrid turns orange later: the message is about Madrid, and about it alone."""
    first = evolve(None, change(1, None, Y), "e1", NOW - 2 * DAY)
    catalonia = evolve(first, change(2, Y, Y, {"ES-CT": (Y, R)}), "e2", NOW - DAY)
    both = evolve(catalonia, change(3, Y, Y, {"ES-CT": (R, R), "ES-MD": (Y, O)}), "e3", NOW)
    there = whereabouts(stay(-5, 0, region="ES-CT"), stay(0, 5, region="ES-MD"))

    news = not_yet_notified(decide_audience(there, both, TODAY), [PastNotification(2, R)], 3)

    assert news is not None
    assert (news.place.area.code, news.level, news.others) == ("ES-MD", O, ())
    assert news.message_key == decide_audience(whereabouts(stay(0, 5, region="ES-MD")), both, TODAY).message_key


@dataclass
class History:
    """A country's advice, and the alerts that told a person who stays there all the time."""

    state: CountryAdvice | None = None
    told: tuple[PastNotification, ...] = ()

    def step(self, version: int, before: Level | None, after: Level | None) -> bool:
        """One more version. Returns whether the person is told."""
        self.state = evolve(self.state, change(version, before, after), f"e{version}", NOW + version * DAY)
        decision = decide_audience(whereabouts(stay(-1000, 1000, since=LONG_AGO)), self.state, TODAY)
        if not decision.is_affected or was_notified(decision, self.told, version):
            return False
        self.told = (*self.told, PastNotification(version, decision.level))
        return True


@given(st.lists(st.sampled_from([G, Y, O, R]), min_size=1, max_size=25))
def test_was_notified_over_a_history_tells_every_rise_once(levels: list[Level]) -> None:
    """R27: a person who stays is told at each rise to orange or red, and at nothing else."""
    history = History()

    told = [
        history.step(version, before, after)
        for version, (before, after) in enumerate(zip([None, *levels], levels, strict=False), start=1)
    ]

    assert told == expected(levels)


def expected(levels: list[Level]) -> list[bool]:
    """The same by looking back over the whole list: told when nothing told since this level began covers it."""
    told: list[tuple[int, Level]] = []
    answers = []
    for version, level in enumerate(levels, start=1):
        began = version
        while began > 1 and levels[began - 2] >= level:
            began -= 1
        covered = any(version_told >= began and level_told >= level for version_told, level_told in told)
        answers.append(level >= O and began > 1 and not covered)
        if answers[-1]:
            told.append((version, level))
    return answers


@pytest.mark.parametrize(
    ("before", "is_told_again"),
    [(G, True), (None, True), (R, False)],
)
def test_was_notified_version_that_was_never_seen_counts_as_the_next_one_tells(
    before: Level | None, is_told_again: bool
) -> None:
    """A version that is parked leaves a gap: the newer one says what the level was before it."""
    first = evolve(None, change(1, None, G), "e1", NOW - 3 * DAY)
    third = evolve(evolve(first, change(2, G, R), "e2", NOW - 2 * DAY), change(4, before, R), "e4", NOW)

    decision = decide_audience(whereabouts(), third, TODAY)

    assert was_notified(decision, [PastNotification(2, R)], 4) is not is_told_again


# ---------------------------------------------------------------- which change raises an alert


@pytest.mark.parametrize(
    ("event", "raises"),
    [
        (change(2, Y, O), True),
        (change(2, O, R), True),
        (change(2, R, O), False),
        (change(2, O, Y), False),
        (change(2, G, Y), False),
        (change(2, None, R), True),
        (change(1, None, R), False),
        (change(2, Y, Y, {"ES-CT": (Y, O)}), True),
        (change(2, R, Y, {"ES-CT": (Y, R)}), True),  # the country falls, a province rises
        (change(2, Y, Y), False),
        (change(2, O, O), False),
    ],
)
def test_raises_alert_table(event: TravelAdviceChanged, raises: bool) -> None:
    """An alert is raised when an area is negative and worse than before, but never by the baseline."""
    assert raises_alert(event) is raises


@given(LEVELS, LEVELS, LEVELS, LEVELS)
def test_raises_alert_whenever_a_person_who_stays_is_newly_affected(
    before: Level | None, after: Level | None, region_before: Level | None, region_after: Level | None
) -> None:
    """Persons who are to be told because of a change are told by the run of its alert, not as late arrivals."""
    regions = {"ES-CT": (region_before, region_after)}
    first = evolve(None, change(1, None, before, {"ES-CT": (None, region_before)}), "e1", NOW - DAY)
    event = change(2, before, after, regions)
    second = evolve(first, event, "e2", NOW)

    for region in (None, "ES-CT", "ES-MD"):
        there = whereabouts(stay(region=region))
        decision = decide_audience(there, second, TODAY)
        former = decide_audience(there, first, TODAY)
        if decision.is_affected and (former.worst is None or former.level < decision.level):
            assert raises_alert(event)
