"""must ⊆ selected ⊆ must ∪ may, recomputed from events alone. A fault planted in the selection is detected."""

from datetime import date, datetime, timedelta

import pytest

from shared.audit.affected import Affected, SelectionCheck
from shared.events import (
    AlertRaised,
    AreaChange,
    Leg,
    LevelChange,
    PersonErased,
    Recipient,
    RecipientsSelected,
    RegionAdvice,
    RegistrationCancelled,
    RegistrationSubmitted,
    ReturnRecorded,
    SelectionCompleted,
    StayEnded,
    StudyAnswers,
    TravelAdviceChanged,
)
from tests.audit.log import START, Log

TODAY = date(2026, 3, 1)
SEALED = "sealed:v1:person:event:AAAA"


class World:
    """The three topics that the audit reads."""

    def __init__(self) -> None:
        self.registrations = Log("travel.registration.v1", partitions=2)
        self.advice = Log("travel.advice.v1")
        self.notifications = Log("travel.notification.v1", partitions=3)
        self._version = 0
        self._seconds = 0
        self._level: int | None = None

    def _later(self) -> datetime:
        """The events of all topics happen one after the other."""
        self._seconds += 1
        return START + timedelta(seconds=self._seconds)

    def register(self, person: str, start: int = -3, end: int = 3, region: str | None = None, **more: object) -> None:
        """Register a person in Spain from `start` to `end` days from today."""
        leg = Leg(
            start_date=TODAY + timedelta(days=start), end_date=TODAY + timedelta(days=end), country="ES", region=region,
            place=str(more["place"]) if "place" in more else None,
        )  # fmt: skip
        self.registrations.append(
            RegistrationSubmitted(
                registration_id="r-" + person, person_id=person, approval_id=None, faculty_id="f", programme_id="p",
                activity_type="internship", legs=(leg,), study_related=False, contact=SEALED, language="nl",
                imported=bool(more.get("imported")),
                answers=StudyAnswers(credits=False, university_funding=False, transcript_entry=False),
            ),
            at=self._later(),
        )  # fmt: skip

    def advise(self, level: int | None, *, baseline: bool = False, regions: tuple[RegionAdvice, ...] = ()) -> None:
        """Change the advice for Spain."""
        self._version += 1
        change = LevelChange(before=self._level, after=level)
        self.advice.append(
            TravelAdviceChanged(
                country="ES", advice_version=self._version, baseline=baseline, ministry=change, effective=change,
                regions=regions, changes=(AreaChange(area="ES", before=self._level, after=level),),
                source="netherlands", source_version="1", parser_version=1, effective_at=START,
                text_nl="", text_en="", url="",
                decided_by="rules",
            ),
            at=self._later(),
        )  # fmt: skip
        self._level = level

    def alert(
        self, *selected: str, level: int = 3, trigger: str = "advice_changed", area: str | None = None
    ) -> SelectionCheck:
        """Notify raises the alert for the newest version and selects these people."""
        alert_id = f"ES-{self._version}" if area is None and trigger not in ("manual", "drill") else "m-1"
        ends = {"travel.registration.v1": self.registrations.ends}
        self.notifications.append(
            AlertRaised(
                alert_id=alert_id, trigger=trigger, country="ES", advice_version=self._version,
                advice_event_id="e", as_of=START, shard_count=2, templates={}, area=area,
            ),
            at=self._later(),
        )  # fmt: skip
        for number, person in enumerate(selected):
            self.select(alert_id, number % 2, person, level)
        self.notifications.append(
            SelectionCompleted(alert_id=alert_id, offsets=ends, selected=len(selected), unreachable=0),
            at=self._later(),
        )
        return self.verdict(alert_id)

    def select(self, alert_id: str, shard: int, person: str, level: int = 3, late: bool = False) -> None:
        """Add a recipient to the alert."""
        recipient = Recipient(
            person_id=person, registration_id="r-" + person, registration_version=1, reason="country", area="ES",
            level=level, channels=(),
        )  # fmt: skip
        self.notifications.append(
            RecipientsSelected(alert_id=alert_id, shard=shard, late=late, recipients=(recipient,))
        )

    def state(self, fact: StayEnded | ReturnRecorded | PersonErased) -> None:
        """Append another event of the registration stream."""
        self.registrations.append(fact, at=self._later())

    def verdict(self, alert_id: str) -> SelectionCheck:
        """Recompute."""
        affected = Affected(lambda country, place: "ES-AN" if place == "Sevilla" else None)
        for record in (*self.notifications.records, *self.registrations.records, *self.advice.records):
            affected.feed(record)
        return affected.verdict(alert_id)


@pytest.fixture
def world() -> World:
    """Spain is yellow at first."""
    world = World()
    world.advise(1, baseline=True)
    return world


def test_affected_everyone_there_selected_holds(world: World) -> None:
    """Everybody who is there, with a day of grace on both sides, must be selected."""
    world.register("there")
    world.register("arrives-tomorrow", start=1, end=9)
    world.register("left-yesterday", start=-9, end=-1)
    world.register("arrives-later", start=2, end=9)
    world.register("left-before", start=-9, end=-2)
    world.advise(3)

    verdict = world.alert("there", "arrives-tomorrow", "left-yesterday")

    assert verdict.must == {"there", "arrives-tomorrow", "left-yesterday"}
    assert verdict.holds


@pytest.mark.parametrize("left_out", ["there", "arrives-tomorrow", "left-yesterday"])
def test_affected_person_left_out_is_missed(world: World, left_out: str) -> None:
    """A person left out by one day at either end of the stay, or altogether, is reported as missed."""
    world.register("there")
    world.register("arrives-tomorrow", start=1, end=9)
    world.register("left-yesterday", start=-9, end=-1)
    world.advise(3)

    verdict = world.alert(*({"there", "arrives-tomorrow", "left-yesterday"} - {left_out}))

    assert verdict.missed == {left_out}


def test_affected_person_elsewhere_is_unexpected(world: World) -> None:
    """A selected person who is elsewhere is reported as unexpected."""
    world.register("there")
    world.register("long-gone", start=-40, end=-30)
    world.advise(3)

    assert world.alert("there", "long-gone").unexpected == {"long-gone"}


def test_affected_cancelled_before_the_pass_is_unexpected(world: World) -> None:
    """A person who cancelled before the selection run must not be selected."""
    world.register("stays-home")
    world.registrations.append(
        RegistrationCancelled(registration_id="r-stays-home", person_id="stays-home", cancelled_by="stays-home")
    )
    world.advise(3)

    assert world.alert("stays-home").unexpected == {"stays-home"}


def test_affected_region_decides_who(world: World) -> None:
    """People in the region must be selected, people in other regions must not, people without a region must (R16)."""
    world.register("in-the-region", region="ES-AN")
    world.register("in-a-town-of-it", place="Sevilla")
    world.register("elsewhere", region="ES-MD")
    world.register("unresolved", place="somewhere in the hills")
    world.advise(1, regions=(RegionAdvice(area="Andalusië", code="ES-AN", before=1, after=2),))

    verdict = world.alert("in-the-region", "in-a-town-of-it", "unresolved", level=2)

    assert verdict.must == {"in-the-region", "in-a-town-of-it", "unresolved"}
    assert verdict.holds


def test_affected_area_without_code_may_be_anywhere(world: World) -> None:
    """An area without a region code counts for every place in the country."""
    world.register("somewhere", region="ES-MD")
    world.advise(1, regions=(RegionAdvice(area="grensgebied", code=None, before=1, after=3),))

    assert world.alert().missed == {"somewhere"}


def test_affected_late_arrival_may_be_selected(world: World) -> None:
    """A person who registers after the selection run may be selected, but need not be in the run."""
    world.advise(3)
    before = world.alert()
    world.register("late")
    unselected = world.verdict("ES-2")
    world.select("ES-2", 0, "late", late=True)

    verdict = world.verdict("ES-2")

    assert before.holds
    assert unselected.holds
    assert verdict.may == {"late"}
    assert verdict.holds


def test_affected_told_already_is_not_due_again(world: World) -> None:
    """A new advice version that changes nothing for a person alerts the person no second time (R27)."""
    world.register("there")
    world.advise(3)
    world.alert("there")
    world.advise(3, regions=(RegionAdvice(area="Andalusië", code="ES-AN", before=3, after=3),))

    assert world.alert().must == frozenset()
    assert world.alert("there").unexpected == {"there"}


def test_affected_worse_than_told_is_due_again(world: World) -> None:
    """A person alerted of orange is due again for red; after green in between, also for orange."""
    world.register("there")
    world.advise(2)
    world.alert("there", level=2)
    world.advise(3)
    red = world.alert("there")
    world.advise(0)
    world.advise(2)
    again = world.alert("there", level=2)

    assert red.must == {"there"}
    assert again.must == {"there"}


def test_affected_baseline_tells_only_who_comes_later() -> None:
    """The first reading alerts nobody who is there already; a person who registers later is alerted."""
    world = World()
    world.register("was-there")
    world.advise(3, baseline=True)
    world.register("came-later")

    verdict = world.alert("came-later", "was-there", trigger="late_arrival")

    assert verdict.may == {"came-later"}
    assert verdict.unexpected == {"was-there"}


def _ended(person: str) -> StayEnded:
    return StayEnded(registration_id="r-" + person, person_id=person, on=TODAY)


def _returned(person: str, outcome: str = "returned", days: int = -5) -> ReturnRecorded:
    return ReturnRecorded(registration_id="r-" + person, person_id=person, on=TODAY + timedelta(days=days),
                          outcome=outcome, recorded_by="office")  # fmt: skip


def test_affected_overdue_return_must_be_told(world: World) -> None:
    """R26: the stay ended and no return is recorded, so the person must be selected; after the return, not."""
    for person in ("overdue", "stays", "unknown", "back", "not-ended"):
        world.register(person, start=-40, end=-9)
        if person != "not-ended":
            world.state(_ended(person))
    world.state(_returned("back"))
    world.state(_returned("stays", "stays"))
    world.state(_returned("unknown", "unknown"))
    world.advise(3)

    verdict = world.alert("overdue", "stays", "unknown")

    assert verdict.must == {"overdue", "stays", "unknown"}
    assert verdict.holds
    assert "overdue" in verdict.because["overdue"].note


def test_affected_return_taken_back_is_overdue_again(world: World) -> None:
    """A return that is withdrawn makes the person overdue again."""
    world.register("lost", start=-40, end=-9)
    world.state(_ended("lost"))
    world.state(_returned("lost"))
    world.state(_returned("lost", "elsewhere"))
    world.advise(3)

    assert world.alert().missed == {"lost"}


def test_affected_back_since_yesterday_may_be_told(world: World) -> None:
    """One reading of the rules gives a day of grace after the return, the other none: the person may be selected."""
    world.register("back-yesterday")
    world.state(_returned("back-yesterday", days=-1))
    world.advise(3)

    verdict = world.alert()

    assert (verdict.must, verdict.concurrent) == (frozenset(), {"back-yesterday"})
    assert world.alert("back-yesterday").holds


def test_affected_imported_into_a_negative_place_may_and_need_not_be_told(world: World) -> None:
    """The officer notifies imported people one by one; when the advice gets worse, they are alerted like everybody."""
    world.advise(2)
    world.register("imported", imported=True)
    world.register("by-themselves")
    assert world.alert("by-themselves", level=2).holds
    world.advise(2, regions=(RegionAdvice(area="Andalusië", code="ES-AN", before=2, after=2),))
    same = world.alert(level=2)
    world.advise(3)
    worse = world.alert("by-themselves")

    assert same.holds
    assert same.may == {"imported"}
    assert worse.missed == {"imported"}


def test_affected_erased_person_need_not_be_told(world: World) -> None:
    """A person erased before the selection run could not be reached."""
    world.register("erased")
    world.state(PersonErased(person_id="erased", requested_by="a", confirmed_by="b", reason="request"))
    world.advise(3)

    verdict = world.alert()

    assert verdict.holds
    assert verdict.may == {"erased"}


def test_affected_manual_alert_must_reach_everybody_in_its_area(world: World) -> None:
    """A manual alert ignores advice levels and earlier alerts. It includes unresolved places and excludes other
    regions.
    """
    for person, region in (("inside", "ES-AN"), ("in-a-part-of-it", "ES-SE"), ("elsewhere", "ES-MD"), ("lost", None)):
        world.register(person, region=region)

    verdict = world.alert("inside", "in-a-part-of-it", trigger="manual", area="ES-AN", level=1)

    assert verdict.must == {"inside", "in-a-part-of-it", "lost"}
    assert verdict.missed == {"lost"}
    assert world.alert("elsewhere", trigger="manual", area="ES-AN", level=1).unexpected == {"elsewhere"}


def test_affected_drill_must_reach_nobody(world: World) -> None:
    """Everybody in the area may be selected for a drill; nobody must be."""
    world.register("there")

    verdict = world.alert("there", trigger="drill")

    assert (verdict.must, verdict.holds) == (frozenset(), True)


def test_affected_place_inside_a_region_is_in_the_region(world: World) -> None:
    """Sevilla lies in Andalusia, so it is red when the region is; a place known only as the region may be affected."""
    world.register("in-the-province", region="ES-SE")
    world.register("somewhere-in-catalonia", region="ES-CT")
    world.advise(1, regions=(RegionAdvice(area="Andalusië", code="ES-AN", before=1, after=3),
                             RegionAdvice(area="Barcelona", code="ES-B", before=1, after=3)))  # fmt: skip

    assert world.alert().missed == {"in-the-province", "somewhere-in-catalonia"}


def test_affected_untold_person_is_named_with_since_when(world: World) -> None:
    """Without any alert, the audit still names the person who should have been notified, and since when."""
    world.register("there")
    world.advise(3)
    affected = Affected(lambda country, place: None)
    for record in (*world.registrations.records, *world.advice.records):
        affected.feed(record)

    untold = affected.not_notified(START + timedelta(hours=1))

    assert [(person.because.person_id, person.country, person.advice_version) for person in untold] == [
        ("there", "ES", 2)
    ]
