"""Builders for notify: one student abroad, the advice that is known about a country, facts of every kind."""

from datetime import UTC, date, datetime, timedelta

from services.notify.model.shards import person_hash
from services.notify.model.whereabouts import Stay, Whereabouts, evolve_whereabouts
from shared.advice import AreaAdvice, CountryAdvice, Since
from shared.events import (
    ActivityType,
    AreaChange,
    Leg,
    Level,
    LevelChange,
    RegionAdvice,
    RegistrationCancelled,
    RegistrationChanged,
    RegistrationSubmitted,
    StudyAnswers,
    TravelAdviceChanged,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TODAY = date(2026, 3, 2)
DAY = timedelta(days=1)
LONG_AGO = NOW - 400 * DAY
STUDENT = "student-0001"
SEALED = "sealed:v1:student-0001:event:AAAA"


def nowhere(country: str, place: str) -> str | None:
    """A gazetteer that knows one town in Spain."""
    return "ES-MD" if (country, place) == ("ES", "Madrid") else None


def days(start: int, end: int, country: str = "ES", **more: object) -> Leg:
    """A leg from `start` to `end` days from TODAY."""
    return Leg.model_validate(
        {"start_date": TODAY + start * DAY, "end_date": TODAY + end * DAY, "country": country, **more}
    )


def stay(start: int = -10, end: int = 10, country: str = "ES", region: str | None = None,
         since: datetime = LONG_AGO) -> Stay:  # fmt: skip
    """A leg as notify keeps it, in days from TODAY."""
    return Stay(
        start_date=TODAY + start * DAY,
        end_date=TODAY + end * DAY,
        country=country,
        region=region,
        given_region=region,
        since=since,
    )


def whereabouts(*stays: Stay, cancelled: bool = False, person: str = STUDENT) -> Whereabouts:
    """One registration of the student."""
    return Whereabouts(
        registration_id=f"r-{person}",
        version=1,
        person_id=person,
        hash=person_hash(person),
        cancelled=cancelled,
        language="en",
        faculty_id="example-sciences",
        programme_id="example-biology",
        stays=stays or (stay(),),
        changed_at=LONG_AGO,
    )


def since(version: int = 3, at: datetime = NOW, baseline: bool = False) -> Since:
    """Since when an area is so bad."""
    return Since(advice_version=version, at=at, baseline=baseline)


def area(name: str, level: Level | None, began: Since | None = None, code: str | None = None) -> AreaAdvice:
    """An area that has been at its level since `began`; a red one was orange a version and a day earlier."""
    began = began or since()
    earlier = since(max(1, began.advice_version - 1), began.at - timedelta(days=1), began.baseline)
    orange_since = {Level.ORANGE: began, Level.RED: earlier}.get(level) if level is not None else None
    red_since = began if level is Level.RED else None
    return AreaAdvice(area=name, code=code, level=level, orange_since=orange_since, red_since=red_since)


def advice(
    level: Level | None,
    regions: dict[str, Level | None] | None = None,
    began: Since | None = None,
    version: int = 3,
    country: str = "ES",
) -> CountryAdvice:
    """The advice for a country; a region's name that is an ISO 3166-2 code is coded, another is text only."""
    return CountryAdvice(
        country=country,
        advice_version=version,
        event_id=f"{country}-{version}",
        changed_at=NOW,
        source="netherlands",
        whole=area(country, level, began, country),
        regions=tuple(
            area(name, level_there, began, name if name.startswith(f"{country}-") else None)
            for name, level_there in (regions or {}).items()
        ),
        effective_at=NOW,
        text_nl="",
        text_en="",
        url="https://advice.example/",
    )


def change(
    version: int,
    before: Level | None,
    after: Level | None,
    regions: dict[str, tuple[Level | None, Level | None]] | None = None,
    country: str = "ES",
) -> TravelAdviceChanged:
    """The event of a changed advice; version 1 is the baseline."""
    listed = tuple(
        RegionAdvice(area=name, code=name if name.startswith(f"{country}-") else None, before=was, after=now)
        for name, (was, now) in (regions or {}).items()
    )
    changes = [AreaChange(area=country, before=before, after=after)]
    changes += [
        AreaChange(area=region.code or region.area, before=region.before, after=region.after) for region in listed
    ]
    return TravelAdviceChanged(
        country=country,
        advice_version=version,
        baseline=version == 1,
        ministry=LevelChange(before=before, after=after),
        effective=LevelChange(before=before, after=after),
        regions=listed,
        changes=tuple(area_change for area_change in changes if area_change.before != area_change.after),
        source="netherlands",
        source_version=str(version),
        parser_version=1,
        effective_at=NOW,
        text_nl=f"Versie {version}.",
        text_en=f"Version {version}.",
        url="https://advice.example/",
        decided_by="rules",
    )


def submitted(*legs: Leg, person: str = STUDENT, changed: bool = False, contact: str = SEALED,
              registration: str = "", language: str = "en") -> RegistrationSubmitted:  # fmt: skip
    """The event of a registration that was handed in, or changed."""
    kind = RegistrationChanged if changed else RegistrationSubmitted
    return kind.model_validate(
        {
            "registration_id": registration or f"r-{person}",
            "person_id": person,
            "approval_id": None,
            "faculty_id": "example-sciences",
            "programme_id": "example-biology",
            "activity_type": ActivityType.INTERNSHIP,
            "legs": legs or (days(-10, 10),),
            "answers": StudyAnswers(credits=True, university_funding=False, transcript_entry=False),
            "study_related": True,
            "contact": contact,
            "language": language,
        }
    )


def cancelled(person: str = STUDENT, registration: str = "") -> RegistrationCancelled:
    """The event of a cancelled registration."""
    return RegistrationCancelled(registration_id=registration or f"r-{person}", person_id=person, cancelled_by=person)


def folded(*events: RegistrationSubmitted | RegistrationCancelled, start: datetime = LONG_AGO) -> Whereabouts:
    """The whereabouts after these events, a day apart."""
    state: Whereabouts | None = None
    for number, event in enumerate(events):
        state = evolve_whereabouts(state, event, number + 1, start + number * DAY, nowhere)
    assert state is not None
    return state
