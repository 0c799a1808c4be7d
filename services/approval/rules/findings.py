"""R29-R37 together: what the rules make of a request, by its kind of activity and what its faculty has configured.

Each kind asks its own rules; a detail that none of them asks is a mistake, so that nothing a student says is ignored.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.approval.rules import europe, institute, research, rotation, school, slots, theme
from services.approval.rules.ruling import Effect, Ruling
from services.approval.rules.slots import Period
from shared.events import ActivityDetails, ActivityType, Finding, FindingEffect, Rotation


@dataclass(frozen=True, slots=True)
class ResearchProjects:
    """What a faculty configures about research projects."""

    programmes: frozenset[str]
    activity_types: frozenset[ActivityType]
    themes: frozenset[str]
    networks: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClerkshipRules:
    """What a faculty configures about clerkships. `clusters` by country, then by cluster."""

    programmes: frozenset[str]
    clusters: Mapping[str, Mapping[str, tuple[Period, ...]]]
    office_first_in: frozenset[str]


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What the catalogue says where the request is made. `research` is that of the faculty whose project it is."""

    research: ResearchProjects | None
    clerkships: ClerkshipRules | None
    in_europe: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class RuleInput:
    """What a student asks for, as far as the rules look at it. Dates Europe/Amsterdam."""

    programme_id: str
    kind: ActivityType
    country: str
    start_date: date
    details: ActivityDetails
    has_institute_reason: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """Every ruling on a request, and the pool whose place it needs (R34)."""

    rulings: tuple[Ruling, ...]
    pool_id: str | None = None
    unexpected_fields: tuple[str, ...] = ()

    @property
    def blocked(self) -> Ruling | None:
        """The first rule that makes it impossible."""
        return next((each for each in self.rulings if each.effect is Effect.BLOCKED), None)

    @property
    def incomplete(self) -> tuple[Ruling, ...]:
        """What the student has to say or mend before anything can be judged."""
        return tuple(each for each in self.rulings if each.effect is Effect.INCOMPLETE)

    def kept(self) -> tuple[Finding, ...]:
        """What goes with the request: demands, routes, warnings, and what is shown."""
        return tuple(
            Finding(
                rule=each.rule, effect=_KEPT[each.effect], reason=each.reason, queue=each.queue, step=each.step
            )
            for each in self.rulings
            if each.effect in _KEPT
        )  # fmt: skip


_KEPT = {
    Effect.DEMANDED: FindingEffect.DEMANDED,
    Effect.ROUTED: FindingEffect.ROUTED,
    Effect.WARNED: FindingEffect.WARNED,
    Effect.SHOWN: FindingEffect.SHOWN,
}
#: Details that only some kinds of activity are asked, by their names on the wire.
_ACTIVITY_FIELDS = ("theme", "institute", "partnerNetwork", "rotation", "cluster", "credits")


def findings(request: RuleInput, settings: RuleSettings) -> Findings:
    """All rules that its kind of activity asks, in the order of their numbers."""
    rulings: list[Ruling] = []
    asked_fields: set[str] = set()
    pool_id = None
    if settings.research is not None and request.kind in settings.research.activity_types:
        asked_fields |= {"theme", "institute", "partnerNetwork"}
        rulings += _research(request, settings.research)
    rulings.append(
        europe.europe(request.kind, request.country, request.details.study_level, request.details.year_of_study, settings.in_europe)
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
    """R29 first: the other rules are those of the faculty's own programmes."""
    whose = research.research(request.programme_id, projects.programmes)
    if whose.effect is Effect.ROUTED:
        return [whose]
    chosen = institute.institute(
        request.details.institute, request.details.partner_network, projects.networks, request.has_institute_reason
    )
    return [whose, chosen, theme.theme(request.details.theme, projects.themes)]


def _clerkship(request: RuleInput, rules: ClerkshipRules | None) -> tuple[Sequence[Ruling], str | None]:
    rotation_missing = rotation.rotation_missing(request.details.rotation)
    if rotation_missing is not None:
        return [rotation_missing], None
    known = rules or ClerkshipRules(frozenset(), {}, frozenset())
    if request.details.rotation is Rotation.ELECTIVE:
        return [rotation.elective(request.country, known.office_first_in)], None
    rulings = [rotation.regular(request.programme_id, known.programmes)]
    if request.country not in known.clusters:
        return rulings, None
    ruling, period = slots.cluster(request.details.cluster, request.start_date, known.clusters[request.country])
    return [*rulings, ruling], period.pool_id if period else None


def _unexpected_fields(request: RuleInput, asked_fields: Collection[str]) -> tuple[str, ...]:
    said = request.details.model_dump(by_alias=True, exclude_none=True)
    mistakes = [f"details.{name}" for name in _ACTIVITY_FIELDS if name in said and name not in asked_fields]
    if request.has_institute_reason and "institute" not in asked_fields:
        mistakes.append("instituteReason")
    return tuple(mistakes)
