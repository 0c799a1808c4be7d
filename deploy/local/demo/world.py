"""A thousand synthetic students in two dozen countries: the same in every run, with dates relative to today."""

import random
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

#: The country that turns red as a whole, and the one of which a region turns orange.
RED_COUNTRY = "ES"
#: The country that the university forbids by itself; nobody of the story is there before.
FORBIDDEN_COUNTRY = "IS"
REGION_COUNTRY = "IT"
RED_REGION, RED_REGION_AREA = "IT-82", "Sicilië"
OTHER_REGIONS = ("IT-25", "IT-62", "IT-52")

ELSEWHERE = (
    "AT", "BE", "CA", "CZ", "DE", "DK", "EE", "FI", "FR", "GB", "GR", "HR", "HU", "IE", "JP", "NO", "NZ", "PL", "PT",
    "SE", "SI", "SR", "US", "ZA",
)  # fmt: skip

PROGRAMMES = (
    ("example-sciences", "example-biology"),
    ("example-sciences", "example-physics"),
    ("example-humanities", "example-history"),
    ("example-medicine", "example-medicine-master"),
)


class Plan(StrEnum):
    """In which order a student requests approval and registers."""

    APPROVED_FIRST = "approved first, registers in time"
    REGISTERED_FIRST = "registers first, approved later (R2)"
    DEPARTS_SOON = "departs within 14 days (R7)"
    VOLUNTARY = "voluntary (R11)"
    ABROAD = "already abroad (R8)"


@dataclass(frozen=True, slots=True)
class Student:
    """One synthetic student with one journey. `region` is an ISO 3166-2 code, or None."""

    number: int
    plan: Plan
    country: str
    region: str | None
    place: str | None
    start: date
    end: date
    language: str
    faculty: str
    programme: str

    @property
    def subject(self) -> str:
        """The `sub` claim of the student's token."""
        return f"student-{self.number:04d}"

    @property
    def email(self) -> str:
        """A synthetic mail address."""
        return f"{self.subject}@students.example"

    @property
    def mobile(self) -> str:
        """A number of the right form that the SMS gateway simulator delivers to."""
        return f"+3161{self.number:07d}"

    @property
    def study_related(self) -> bool:
        """Whether the demo's answers make the journey study-related (R1)."""
        return self.plan is not Plan.VOLUNTARY

    def is_there(self, today: date) -> bool:
        """R26: the stay overlaps today, one day of grace on both sides."""
        return self.start - timedelta(days=1) <= today <= self.end + timedelta(days=1)

    @property
    def place_is_affected(self) -> bool:
        """Whether the change of advice affects the place: a whole country, and one region of another (R16)."""
        if self.country == RED_COUNTRY:
            return True
        return self.country == REGION_COUNTRY and self.region in (RED_REGION, None)


def students(count: int, today: date, seed: int = 1) -> list[Student]:
    """The students of the story, the same for the same arguments."""
    dice = random.Random(seed)
    return [_student(number, today, dice) for number in range(1, count + 1)]


def late_student(number: int, today: date, country: str = RED_COUNTRY) -> Student:
    """A student who is in the country already and registers only now."""
    start, end = today - timedelta(days=2), today + timedelta(days=30)
    return Student(number, Plan.ABROAD, country, None, None, start, end, "nl", *PROGRAMMES[0])


def _student(number: int, today: date, dice: random.Random) -> Student:
    plan = dice.choices(list(Plan), weights=(34, 10, 10, 11, 35))[0]
    country = dice.choices((RED_COUNTRY, REGION_COUNTRY, "elsewhere"), weights=(22, 13, 65))[0]
    if country == "elsewhere":
        country = dice.choice(ELSEWHERE)
    region, place = None, None
    if country == REGION_COUNTRY:
        region = dice.choices((RED_REGION, dice.choice(OTHER_REGIONS), None), weights=(45, 45, 10))[0]
        place = None if region else "a village in the hills"
    start, end = _dates(plan, today, dice)
    faculty, programme = PROGRAMMES[number % len(PROGRAMMES)]
    return Student(
        number, plan, country, region, place, start, end, dice.choice(("nl", "nl", "en")), faculty, programme
    )


def _dates(plan: Plan, today: date, dice: random.Random) -> tuple[date, date]:
    match plan:
        case Plan.ABROAD:
            start = today - timedelta(days=dice.randint(0, 90))
            return start, today + timedelta(days=dice.randint(0, 120))
        case Plan.DEPARTS_SOON:
            start = today + timedelta(days=dice.randint(3, 13))
        case _:
            start = today + timedelta(days=dice.randint(14, 200))
    return start, start + timedelta(days=dice.randint(5, 150))
