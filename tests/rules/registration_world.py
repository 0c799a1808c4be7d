"""Builders for the registration rules: one student, one journey, the advice for it."""

from datetime import UTC, date, datetime, timedelta

from services.registration.model import Registration, Status
from services.registration.read_models import Approval, ApprovalStatus, DecisionInputs, Freshness
from services.registration.rules.study_related import study_related
from shared.advice import AreaAdvice, CountryAdvice
from shared.events import ActivityType, Leg, LegKind, Level, LevelBasis, LevelGrounds, OverrideFacts, StudyAnswers

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DEPARTURE = date(2026, 5, 1)
RETURN = date(2026, 6, 30)
STUDENT, APPROVAL = "student-0001", "approval-1"
SOURCE = "netherlands"


def leg(country: str = "ES", start: date = DEPARTURE, end: date = RETURN, kind: LegKind = LegKind.STAY) -> Leg:
    """One place of the journey."""
    return Leg(start_date=start, end_date=end, country=country, kind=kind)


def registration(
    *legs: Leg,
    study: bool = True,
    approval_id: str | None = APPROVAL,
    status: Status = Status.SUBMITTED,
    submitted_at: datetime = NOW,
    was_suspended: bool = False,
) -> Registration:
    """A registration of the student, two months ahead unless said otherwise."""
    legs = legs or (leg(),)
    answers = StudyAnswers(credits=study, university_funding=False, transcript_entry=False)
    return Registration(
        registration_id="registration-1",
        person_id=STUDENT,
        approval_id=approval_id,
        faculty_id="example-sciences",
        programme_id="example-biology",
        activity_type=ActivityType.INTERNSHIP,
        legs=legs,
        answers=answers,
        study_related=study_related(answers).is_study_related,
        contact="sealed:v1:x",
        language="en",
        status=status,
        submitted_at=submitted_at,
        itinerary_at=submitted_at,
        changed_at=submitted_at,
        departure_date=min(planned.start_date for planned in legs),
        return_date=max(planned.end_date for planned in legs),
        was_suspended=was_suspended,
    )


def approval(status: ApprovalStatus = ApprovalStatus.GRANTED, **other: object) -> Approval:
    """The programme's approval of exactly this journey, changed by `other`."""
    state = Approval(
        approval_id=APPROVAL,
        person_id=STUDENT,
        status=status,
        faculty_id="example-sciences",
        programme_id="example-biology",
        activity_type=ActivityType.INTERNSHIP,
        country="ES",
        start_date=DEPARTURE,
        end_date=RETURN,
    )
    return state.model_copy(update=other)


def advice(
    level: Level | None, country: str = "ES", version: int = 3, regions: dict[str, Level | None] | None = None
) -> CountryAdvice:
    """The advice for a country; a region's name that is an ISO 3166-2 code is coded, another is text only."""
    return CountryAdvice(
        country=country,
        advice_version=version,
        event_id=f"{country}-{version}",
        changed_at=NOW,
        source=SOURCE,
        whole=AreaAdvice(area=country, code=country, level=level),
        regions=tuple(
            AreaAdvice(area=area, code=area if area.startswith(f"{country}-") else None, level=each)
            for area, each in (regions or {}).items()
        ),
        effective_at=NOW,
        text_nl="",
        text_en="",
        url="https://advice.example/",
    )


def overridden(country_advice: CountryAdvice, basis: LevelBasis = LevelBasis.STRICTER_OVERRIDE) -> CountryAdvice:
    """The same levels, decided by the university for the whole country."""
    facts = OverrideFacts(override_id="o-1", since=NOW, document="Board 2026/114", reason="The borders are closed.")
    grounds = LevelGrounds(basis=basis, since=NOW, source=SOURCE, override=facts)
    return country_advice.model_copy(update={"whole": country_advice.whole.model_copy(update={"grounds": grounds})})


def inputs(
    *countries: CountryAdvice,
    granted: Approval | None = None,
    fresh_until: datetime = NOW + timedelta(days=400),
    checked: dict[str, int] | None = None,
    regions: tuple[str | None, ...] = (),
) -> DecisionInputs:
    """Decision inputs: by default the advice is fresh and there is no approval."""
    by_country = {country_advice.country: country_advice for country_advice in countries}
    versions = {country: country_advice.advice_version for country, country_advice in by_country.items()}
    return DecisionInputs(granted, by_country, {SOURCE: Freshness(fresh_until, versions | (checked or {}))}, regions)
