"""Builds answers from the catalogue: programmes with all that a request can name, and what an activity needs."""

from collections.abc import Iterable

from services.approval.api.catalogue_shapes import (
    ActivityNeeds,
    Choice,
    ClusterEntry,
    Named,
    ProgrammeEntry,
    SchoolEntry,
    ShownActivity,
    ShownCoordinator,
    ShownDocumentKind,
    ShownInstitute,
    ShownLink,
    ShownNeed,
    ShownPage,
)
from services.approval.need_texts import FIELD_LABELS, VALUE_NAMES, WHEN_TEXTS
from services.approval.presentation import contact_body
from services.approval.rule_settings import rule_settings
from services.approval.rules.needs import Need, needs
from shared.catalogue import Catalogue, Faculty, Research
from shared.events import ActivityType


def programme_entry(catalogue: Catalogue, faculty: Faculty, programme_id: str) -> ProgrammeEntry:
    """A programme, with everything that a request for it can name."""
    programme = faculty.programmes[programme_id]
    research, clerkships = faculty.research, faculty.clerkships
    types = catalogue.activity_types(faculty.id, programme_id)
    return ProgrammeEntry(
        faculty_id=faculty.id,
        faculty=faculty.name.model_dump(),
        programme_id=programme_id,
        name=programme.name.model_dump(),
        activity_types=types,
        coordinator=contact_body(programme.coordinator),
        international_office=contact_body(catalogue.international_office(faculty.id)),
        themes=tuple(Named(id=theme.id, name=theme.name) for theme in (research.themes if research else ())),
        partner_networks=tuple(
            Named(id=network.id, name=network.name) for network in (research.partner_networks if research else ())
        ),
        clusters=tuple(
            ClusterEntry(
                id=cluster.id, name=cluster.name, country=cluster.country, has_places=bool(cluster.pools),
                hospitals=tuple(hospital.name for hospital in cluster.hospitals),
                hospital_choices=tuple(Named(id=hospital.id, name=hospital.name) for hospital in cluster.hospitals),
            )
            for cluster in (clerkships.clusters if clerkships else ())
        ),
        schools=_schools(catalogue, faculty.id),
        activities=tuple(_activity(catalogue, faculty.id, programme_id, activity_type) for activity_type in types),
        other_coordinators=tuple(
            ShownCoordinator(
                contact=contact_body(coordinator.contact),
                activity_types=coordinator.activity_types,
                study_level=coordinator.study_level,
            )
            for coordinator in programme.other_coordinators
        ),
        partner_institutes=_institutes(research) if research else (),
        links=tuple(
            ShownLink(title=link.title.model_dump(), url=link.url)
            for link in (*faculty.links, *catalogue.university.links)
        ),
        acknowledged=_acknowledged(catalogue),
    )  # fmt: skip


def activity_needs(
    catalogue: Catalogue, faculty: Faculty, programme_id: str, activity_type: ActivityType, country: str | None
) -> ActivityNeeds:
    """What an activity of a programme needs. Without a country: wherever it is."""
    settings = rule_settings(catalogue, faculty.id, faculty.programmes[programme_id], None)
    choices = _choices(catalogue, faculty, country)
    kinds = catalogue.document_kinds(faculty.id)

    def documents(study_related: bool) -> tuple[ShownDocumentKind, ...]:
        required = catalogue.required_documents(faculty.id, activity_type, study_related=study_related)
        return tuple(ShownDocumentKind(kind=kind, name=kinds[kind].name.model_dump()) for kind in required)

    return ActivityNeeds(
        **dict(_activity(catalogue, faculty.id, programme_id, activity_type)),
        faculty_id=faculty.id,
        programme_id=programme_id,
        coordinator=contact_body(
            catalogue.coordinator(programme_id, activity_type) or faculty.programmes[programme_id].coordinator
        ),
        international_office=contact_body(catalogue.international_office(faculty.id)),
        details=tuple(_need(need, choices.get(need.field, ())) for need in needs(activity_type, country, settings)),
        documents=documents(study_related=True),
        voluntary_documents=documents(study_related=False),
        acknowledged=_acknowledged(catalogue),
    )


def _activity(catalogue: Catalogue, faculty_id: str, programme_id: str, activity_type: ActivityType) -> ShownActivity:
    activity = catalogue.activity(faculty_id, programme_id, activity_type)
    return ShownActivity(
        activity_type=activity_type,
        name=activity.name.model_dump() if activity.name else {},
        explanation=activity.explanation.model_dump() if activity.explanation else None,
        links=tuple(ShownLink(title=link.title.model_dump(), url=link.url) for link in activity.links),
        criteria=tuple(criterion.model_dump() for criterion in activity.criteria),
    )


def _schools(catalogue: Catalogue, faculty_id: str) -> tuple[SchoolEntry, ...]:
    for_all = {school.id for school in catalogue.university.schools}
    return tuple(
        SchoolEntry(
            id=school.id,
            name=school.name,
            season=school.season,
            year=school.year,
            country=school.country,
            website=school.website,
            criteria=tuple(criterion.model_dump() for criterion in school.criteria),
            fees_paid_by=school.fees_paid_by,
            for_every_faculty=school.id in for_all,
        )
        for school in catalogue.schools(faculty_id)
    )


def _institutes(research: Research) -> tuple[ShownInstitute, ...]:
    placed = [(network.id, institute) for network in research.partner_networks for institute in network.institutes]
    outside = [(None, institute) for institute in research.partner_institutes]
    return tuple(
        ShownInstitute(
            id=institute.id,
            name=institute.name,
            partner_network=network,
            country=institute.country,
            website=institute.website,
        )
        for network, institute in (*placed, *outside)
    )


def _acknowledged(catalogue: Catalogue) -> tuple[ShownPage, ...]:
    return tuple(
        ShownPage(id=page.id, name=page.name.model_dump(), url=page.url, version=page.version or catalogue.version)
        for page in catalogue.university.acknowledged
    )


def _choices(catalogue: Catalogue, faculty: Faculty, country: str | None) -> dict[str, tuple[Choice, ...]]:
    """Field → the values that the catalogue knows for it."""
    research, clerkships = faculty.research, faculty.clerkships
    clusters = [
        cluster for cluster in (clerkships.clusters if clerkships else ()) if country in (None, cluster.country)
    ]
    named: dict[str, Iterable[tuple[str, str]]] = {
        "details.theme": [(theme.id, theme.name) for theme in (research.themes if research else ())],
        "details.partnerNetwork": [
            (network.id, network.name) for network in (research.partner_networks if research else ())
        ],
        "details.partnerInstitute": [
            (institute.id, institute.name) for institute in (_institutes(research) if research else ())
        ],
        "details.cluster": [(cluster.id, cluster.name) for cluster in clusters],
        "details.hospital": [(hospital.id, hospital.name) for cluster in clusters for hospital in cluster.hospitals],
        "details.school": [(school.id, f"{school.name} ({school.year})") for school in catalogue.schools(faculty.id)],
    }
    choices = {
        field: tuple(Choice(value=value, name={"nl": name, "en": name}) for value, name in values)
        for field, values in named.items()
    }
    for field, names in VALUE_NAMES.items():
        choices[field] = tuple(
            Choice(value=value, name={"nl": dutch, "en": english}) for value, (dutch, english) in names.items()
        )
    return choices


def _need(need: Need, choices: tuple[Choice, ...]) -> ShownNeed:
    (label_nl, label_en), (when_nl, when_en) = FIELD_LABELS[need.field], WHEN_TEXTS[need.when]
    return ShownNeed(
        field=need.field,
        label={"nl": label_nl, "en": label_en},
        rule=need.rule,
        when=need.when,
        when_text={"nl": when_nl, "en": when_en},
        choices=choices,
    )
