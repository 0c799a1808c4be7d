"""R4, R29-R37: runs the rules of a kind of activity on a request, in the order of their numbers.

Which rules apply depends on the activity and on what the faculty configures. A detail that no rule asks for is reported
as unexpected, so that nothing a student says is ignored.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.approval.rules import before_start, europe, hospital, institute, research, rotation, school, slots, theme
from services.approval.rules.inputs import ClerkshipRules, ResearchProjects, RuleInput, RuleSettings
from services.approval.rules.needs import needs
from services.approval.rules.ruling import Effect, Ruling
from shared.events import ActivityType, Finding, FindingEffect, Rotation


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
_ACTIVITY_FIELDS = (
    "theme", "institute", "partnerNetwork", "partnerInstitute", "rotation", "cluster", "hospital", "credits", "school"
)  # fmt: skip


def findings(request: RuleInput, settings: RuleSettings) -> Findings:
    """R4, R29-R37: run every rule of this kind of activity."""
    rulings: list[Ruling] = [before_start.after_start()] if request.has_started else []
    pool_id = None
    if settings.research is not None and request.kind in settings.research.activity_types:
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
        more, pool_id = _clerkship(request, settings.clerkships)
        rulings += more
    if request.kind is ActivityType.SUMMER_OR_WINTER_SCHOOL:
        rulings += _school(request, settings)
    asked_fields = {need.field for need in needs(request.kind, request.country, settings)}
    return Findings(tuple(rulings), pool_id, _unexpected_fields(request, asked_fields))


def _research(request: RuleInput, projects: ResearchProjects) -> Sequence[Ruling]:
    """R29 first: the other rules hold only for the programmes that have these projects."""
    programme_ruling = research.research(request.programme_id, projects.programmes)
    if programme_ruling.effect is Effect.ROUTED:
        return [programme_ruling]
    institute_ruling = institute.institute(
        request.details.institute,
        request.details.partner_network,
        request.details.partner_institute,
        projects.partners,
        request.has_institute_reason,
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
    chosen = hospital.hospital(request.details.hospital, configured.hospitals.get(request.details.cluster or "", ()))
    return [*rulings, ruling, chosen], period.pool_id if period else None


def _school(request: RuleInput, settings: RuleSettings) -> Sequence[Ruling]:
    named = request.details.school
    return [
        school.named_school(named, settings.schools, request.start_date.year, request.has_description),
        school.school(request.details.credits),
        school.fees(are_paid_by_others=named in settings.paid_for),
    ]


def _unexpected_fields(request: RuleInput, asked_fields: Collection[str]) -> tuple[str, ...]:
    details = request.details.model_dump(by_alias=True, exclude_none=True)
    named = [f"details.{name}" for name in _ACTIVITY_FIELDS if name in details]
    named += ["instituteReason"] if request.has_institute_reason else []
    return tuple(field for field in named if field not in asked_fields)
