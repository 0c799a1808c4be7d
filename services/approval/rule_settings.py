"""Turns the catalogue into the plain values that the rules take, so that the rules know no files."""

from services.approval.rules.inputs import ClerkshipRules, ResearchProjects, RuleSettings
from services.approval.rules.institute import Partners
from services.approval.rules.slots import Period
from shared.catalogue import Catalogue, Clerkships, Programme, Research


def rule_settings(catalogue: Catalogue, faculty_id: str, programme: Programme, research_at: str | None) -> RuleSettings:
    """The settings for one request. `research_at` names another faculty whose research project it is (R29)."""
    own = catalogue.faculties[faculty_id]
    host = catalogue.faculties.get(research_at) if research_at is not None else own
    advice = programme.recommended_in_europe
    return RuleSettings(
        _research(host.research) if host is not None and host.research is not None else None,
        _clerkships(own.clerkships) if own.clerkships is not None else None,
        (advice.study_level, advice.year_of_study) if advice is not None else None,
        {school.id: school.year for school in catalogue.schools(faculty_id)},
        frozenset(school.id for school in catalogue.schools(faculty_id) if school.fees_paid_by != "student"),
    )


def _research(research: Research) -> ResearchProjects:
    return ResearchProjects(
        frozenset(research.programmes),
        frozenset(research.activity_types),
        frozenset(theme.id for theme in research.themes),
        Partners(
            {
                network.id: tuple(institute.id for institute in network.institutes)
                for network in research.partner_networks
            },
            tuple(institute.id for institute in research.partner_institutes),
        ),
    )


def _clerkships(clerkships: Clerkships) -> ClerkshipRules:
    clusters: dict[str, dict[str, tuple[Period, ...]]] = {}
    for cluster in clerkships.clusters:
        periods = tuple(Period(pool.id, pool.starts_on, pool.ends_on) for pool in cluster.pools)
        clusters.setdefault(cluster.country, {})[cluster.id] = periods
    hospitals = {cluster.id: tuple(hospital.id for hospital in cluster.hospitals) for cluster in clerkships.clusters}
    return ClerkshipRules(frozenset(clerkships.programmes), clusters, frozenset(clerkships.office_first_in), hospitals)
