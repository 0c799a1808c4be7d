"""R4, R29-R37: runs the rules of a kind of activity on a request, in the order of their numbers.

Which rules apply depends on the activity and on what the faculty configures. A detail that no rule asks for is reported
as unexpected, so that nothing a student says is ignored.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.approval.rules import before_start, europe, institute, research, rotation, school, slots, theme
from services.approval.rules.ruling import Effect, Ruling
from services.approval.rules.slots import Period
from shared.events import ActivityDetails, ActivityType, Finding, FindingEffect, Rotation


@dataclass(frozen=True, slots=True)
class ResearchProjects:
    """A faculty's configuration of research projects."""

    programmes: frozenset[str]
    activity_types: frozenset[ActivityType]
    themes: frozenset[str]
    networks: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClerkshipRules:
    """A faculty's configuration of clerkships. `clusters`: periods by country, then by cluster."""

    programmes: frozenset[str]
    clusters: Mapping[str, Mapping[str, tuple[Period, ...]]]
    office_first_in: frozenset[str]


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """The catalogue's settings for one request. `research`: of the faculty whose project it is (R29)."""

    research: ResearchProjects | None
    clerkships: ClerkshipRules | None
    in_europe: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class RuleInput:
    """The part of a request that the rules look at. Dates Europe/Amsterdam."""

    programme_id: str
    kind: ActivityType
    country: str
    start_date: date
    details: ActivityDetails
    has_institute_reason: bool
    has_started: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """Every ruling on a request, the pool of which it needs a slot (R34), and the details that no rule asks for."""

    rulings: tuple[Ruling, ...]
    pool_id: str | None = None
    unexpected_fields: tuple[str, ...] = ()

    @property
    def blocked(self) -> Ruling | None:
        """The first ruling that makes the request impossible."""
        return next((ruling for ruling in self.rulings if ruling.effect is Effect.BLOCKED), None)

    @property
    def incomplete(self) -> tuple[Ruling, ...]:
        """The rulings for which the student must say more, or something else."""
        return tuple(ruling for ruling in self.rulings if ruling.effect is Effect.INCOMPLETE)

    def as_event_findings(self) -> tuple[Finding, ...]:
        """The findings stored with the request: demands, routes, warnings, information."""
        return tuple(
            Finding(
                rule=ruling.rule,
                effect=_FINDING_EFFECTS[ruling.effect],
                reason=ruling.reason,
                queue=ruling.queue,
                step=ruling.step,
            )
            for ruling in self.rulings
            if ruling.effect in _FINDING_EFFECTS
        )


_FINDING_EFFECTS = {
    Effect.DEMANDED: FindingEffect.DEMANDED,
    Effect.ROUTED: FindingEffect.ROUTED,
    Effect.WARNED: FindingEffect.WARNED,
    Effect.SHOWN: FindingEffect.SHOWN,
}
#: Details that only some kinds of activity ask for, by their wire names.
_ACTIVITY_FIELDS = ("theme", "institute", "partnerNetwork", "rotation", "cluster", "credits")


def findings(request: RuleInput, settings: RuleSettings) -> Findings:
    """R4, R29-R37: run every rule of this kind of activity."""
    rulings: list[Ruling] = [before_start.after_start()] if request.has_started else []
    asked_fields: set[str] = set()
    pool_id = None
    if settings.research is not None and request.kind in settings.research.activity_types:
        asked_fields |= {"theme", "institute", "partnerNetwork"}
        rulings += _research(request, settings.research)
    rulings.append(
        europe.europe(
            request.kind,
            request.country,
            request.details.study_level,
            request.details.year_of_study,
            settings.in_europe,
        )
    )
    if request.kind is ActivityType.CLINICAL_CLERKSHIP:
        asked_fields.add("rotation")
        if settings.clerkships is not None and request.country in settings.clerkships.clusters:
            asked_fields.add("cluster")
        more, pool_id = _clerkship(request, settings.clerkships)
        rulings += more
    if request.kind is ActivityType.SUMMER_OR_WINTER_SCHOOL:
        asked_fields.add("credits")
        rulings += [school.school(request.details.credits), school.fees()]
    return Findings(tuple(rulings), pool_id, _unexpected_fields(request, asked_fields))


def _research(request: RuleInput, projects: ResearchProjects) -> Sequence[Ruling]:
    """R29 first: the other rules hold only for the programmes that have these projects."""
    programme_ruling = research.research(request.programme_id, projects.programmes)
    if programme_ruling.effect is Effect.ROUTED:
        return [programme_ruling]
    institute_ruling = institute.institute(
        request.details.institute, request.details.partner_network, projects.networks, request.has_institute_reason
    )
    return [programme_ruling, institute_ruling, theme.theme(request.details.theme, projects.themes)]


def _clerkship(request: RuleInput, rules: ClerkshipRules | None) -> tuple[Sequence[Ruling], str | None]:
    missing = rotation.rotation_missing(request.details.rotation)
    if missing is not None:
        return [missing], None
    configured = rules or ClerkshipRules(frozenset(), {}, frozenset())
    if request.details.rotation is Rotation.ELECTIVE:
        return [rotation.elective(request.country, configured.office_first_in)], None
    rulings = [rotation.regular(request.programme_id, configured.programmes)]
    if request.country not in configured.clusters:
        return rulings, None
    ruling, period = slots.cluster(request.details.cluster, request.start_date, configured.clusters[request.country])
    return [*rulings, ruling], period.pool_id if period else None


def _unexpected_fields(request: RuleInput, asked_fields: Collection[str]) -> tuple[str, ...]:
    details = request.details.model_dump(by_alias=True, exclude_none=True)
    fields = [f"details.{name}" for name in _ACTIVITY_FIELDS if name in details and name not in asked_fields]
    if request.has_institute_reason and "institute" not in asked_fields:
        fields.append("instituteReason")
    return tuple(fields)
