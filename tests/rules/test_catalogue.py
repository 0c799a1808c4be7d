"""The catalogue is data: every mistake in it is named with file, line and field, and nothing is half loaded."""

from pathlib import Path

import pytest

from shared.catalogue_files import BrokenCatalogue, CatalogueReport, examine, load
from shared.events import ActivityType
from tests.approval_service import leiden

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
LOCAL = DEPLOY / "local" / "catalogue"
UNIVERSITY = """
name: {nl: Voorbeeld, en: Example}
emergency_number: "+31710000999"
emergency_email: emergency@university.example
international_office: &office {function: Office, email: office@university.example, phone: "+31710000010"}
safety_officers: *office
"""
FACULTY = """
id: example-arts
name: {nl: Letteren, en: Arts}
contact_person: &contact {function: Contact, email: contact@university.example, phone: "+31710000100"}
programmes:
  example-art:
    name: {nl: Kunst, en: Art}
    coordinator: *contact
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalogue of one faculty with one programme."""
    (tmp_path / "university.yaml").write_text(UNIVERSITY, encoding="utf-8")
    (tmp_path / "arts.yaml").write_text(FACULTY, encoding="utf-8")
    return tmp_path


def mistakes(folder: Path) -> list[tuple[str, int, str]]:
    """File, line and field of everything that is wrong."""
    with pytest.raises(BrokenCatalogue) as caught:
        load(folder)
    return [(mistake.file, mistake.line, mistake.field) for mistake in caught.value.mistakes]


def change(folder: Path, before: str, after: str, file: str = "arts.yaml") -> None:
    """Write something else in a file."""
    text = (folder / file).read_text(encoding="utf-8")
    assert before in text
    (folder / file).write_text(text.replace(before, after), encoding="utf-8")


def test_catalogue_of_the_local_stack_loads_with_its_version() -> None:
    """Four synthetic faculties, and the same version at every report."""
    catalogue = load(LOCAL)

    assert sorted(catalogue.faculties) == [
        "example-humanities", "example-medical-centre", "example-medicine", "example-sciences",
    ]  # fmt: skip
    assert catalogue.version == load(LOCAL).version
    assert len(catalogue.version) == 12


def test_catalogue_version_follows_its_content(folder: Path) -> None:
    """Another word is another version."""
    before = load(folder).version

    change(folder, "Letteren", "Kunsten")

    assert load(folder).version != before


def test_catalogue_approver_scopes_are_the_programme_unless_configured(folder: Path) -> None:
    """R5: a programme is its own approver scope; the catalogue may name others instead."""
    assert load(folder).approver_scopes("example-art") == {"example-art"}

    change(folder, "coordinator: *contact", "coordinator: *contact\n    approver_roles: [board, example-art]")

    assert load(folder).approver_scopes("example-art") == {"board", "example-art"}
    assert load(folder).programmes_of(frozenset({"board"})) == {"example-art"}


def test_catalogue_board_of_examiners_is_whoever_approves_unless_configured(folder: Path) -> None:
    """R23: a programme's board before its faculty's; a board need not approve."""
    whole = load(folder)
    assert whole.board_scopes("example-art") == {"example-art"}

    change(folder, "id: example-arts", "board_of_examiners: [arts-board]\nid: example-arts")
    of_faculty = load(folder)
    assert of_faculty.board_scopes("example-art") == {"arts-board"}
    assert of_faculty.boards_of(frozenset({"arts-board"})) == {"example-art"}
    assert not of_faculty.boards_of(frozenset({"example-art"}))
    assert not of_faculty.programmes_of(frozenset({"arts-board"}))

    change(folder, "coordinator: *contact", "coordinator: *contact\n    board_of_examiners: [art-board]")
    assert load(folder).board_scopes("example-art") == {"art-board"}
    assert load(folder).board_scopes("x") == frozenset()


@pytest.mark.parametrize("programme", ["x", "example-arts", ""])
def test_catalogue_unknown_programme_has_no_approver(folder: Path, programme: str) -> None:
    """R5: nobody may decide for a programme that is not in the catalogue."""
    assert load(folder).approver_scopes(programme) == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("id: example-arts", "id: not an id!", ("arts.yaml", 2, "id")),
        ("    coordinator: *contact\n", "", ("arts.yaml", 6, "programmes.example-art.coordinator")),
        ("en: Arts}", "en: Arts, fr: Lettres}", ("arts.yaml", 3, "name.fr")),
        ("contact@university.example", "nobody", ("arts.yaml", 4, "contact_person.email")),
        ('"+31710000100"', "0710000100", ("arts.yaml", 4, "contact_person.phone")),
        ("id: example-arts", "id: example-arts\nid: example-arts", ("arts.yaml", 3, "id")),
        ("  example-art:", "  example-arts:", ("arts.yaml", 6, "programmes.example-arts")),
        ("id: example-arts", "id: [", ("arts.yaml", 4, "-")),
        ("    coordinator", "    approver_roles: []\n    coordinator",
         ("arts.yaml", 8, "programmes.example-art.approver_roles")),
        ("id: example-arts", "approver_roles: []\nid: example-arts", ("arts.yaml", 2, "approver_roles")),
        ("programmes:\n", "other:\n", ("arts.yaml", 5, "other")),
        ("id: example-arts", "schools: [{id: s, name: S, season: autumn, year: 2026}]\nid: example-arts",
         ("arts.yaml", 2, "schools.0.season")),
        ("id: example-arts", "activity_types: [holiday]\nid: example-arts", ("arts.yaml", 2, "activity_types.0")),
        ("    coordinator", "    activity_types: []\n    coordinator",
         ("arts.yaml", 8, "programmes.example-art.activity_types")),
        ("id: example-arts",
         "activities: {internship: {links: [{title: {en: A}, url: 'http://a.example/'}]}}\nid: example-arts",
         ("arts.yaml", 2, "activities.internship.links.0.url")),
        ("id: example-arts", "activities: {holiday: {}}\nid: example-arts", ("arts.yaml", 2, "activities.holiday")),
        ("id: example-arts", "required_documents: {internship: [letter]}\nid: example-arts",
         ("arts.yaml", 2, "required_documents.internship.0")),
        ("id: example-arts", "voluntary_documents: {internship: [letter]}\nid: example-arts",
         ("arts.yaml", 2, "voluntary_documents.internship.0")),
        ("id: example-arts", "document_kinds: {letter: {}}\nid: example-arts",
         ("arts.yaml", 2, "document_kinds.letter.name")),
        ("id: example-arts",
         "schools: [{id: s, name: S, season: summer, year: 2026}, {id: s, name: S, season: summer, year: 2027}]\n"
         "id: example-arts", ("arts.yaml", 2, "schools.1.id")),
        ("    coordinator: *contact",
         "    coordinator: *contact\n    other_coordinators: [{activity_types: [internship]}]",
         ("arts.yaml", 9, "programmes.example-art.other_coordinators.0.contact")),
    ],
)  # fmt: skip
def test_catalogue_mistake_is_named(folder: Path, before: str, after: str, place: tuple[str, int, str]) -> None:
    """The report names file, line and field."""
    change(folder, before, after)

    assert place in mistakes(folder)


def test_catalogue_every_mistake_is_named_at_once(folder: Path) -> None:
    """Two files, two mistakes, one answer."""
    change(folder, "id: example-arts", "id: '!'")
    change(folder, "emergency@university.example", "nobody", "university.yaml")

    assert {file for file, _, _ in mistakes(folder)} == {"arts.yaml", "university.yaml"}


def test_catalogue_programme_of_two_faculties_is_a_mistake(folder: Path) -> None:
    """A role names a programme without its faculty, so the name stands once."""
    (folder / "second.yaml").write_text(FACULTY.replace("example-arts", "example-second"), encoding="utf-8")

    assert mistakes(folder) == [("second.yaml", 6, "programmes.example-art")]


@pytest.mark.parametrize("missing", ["university.yaml", "arts.yaml"])
def test_catalogue_without_a_needed_file_is_refused(folder: Path, missing: str) -> None:
    """No university, or no faculty at all: nothing is served."""
    (folder / missing).unlink()

    assert [file for file, _, _ in mistakes(folder)] == ["university.yaml"]


def test_catalogue_in_another_encoding_is_refused(folder: Path) -> None:
    """Bytes that are no UTF-8 are named, not guessed."""
    (folder / "arts.yaml").write_bytes(FACULTY.replace("Letteren", "Cr\xe8me").encode("latin-1"))

    assert mistakes(folder) == [("arts.yaml", 0, "-")]


# ---------------------------------------------------------------- themes, clusters, slots

CENTRE = (
    FACULTY
    + """
research:
  programmes: [example-art]
  themes:
    - {id: hearts, name: Hearts}
    - {id: minds, name: Minds}
clerkships:
  programmes: [example-art]
  clusters:
    - id: cutting
      name: Cutting
      country: SR
      pools:
        - {id: spring, starts_on: 2026-01-01, ends_on: 2026-06-30, slots: 3}
        - {id: autumn, starts_on: 2026-07-01, ends_on: 2026-12-31, slots: 0}
"""
)


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("slots: 3", "slots: -1", ("arts.yaml", 22, "clerkships.clusters.0.pools.0.slots")),
        ("slots: 3", "slots: many", ("arts.yaml", 22, "clerkships.clusters.0.pools.0.slots")),
        ("slots: 3", "places: 3", ("arts.yaml", 22, "clerkships.clusters.0.pools.0.slots")),
        ("id: minds", "id: hearts", ("arts.yaml", 14, "research.themes.1.id")),
        ("id: autumn", "id: spring", ("arts.yaml", 23, "clerkships.clusters.0.pools.1.id")),
        ("ends_on: 2026-06-30", "ends_on: 2025-06-30", ("arts.yaml", 22, "clerkships.clusters.0.pools.0.ends_on")),
        ("starts_on: 2026-07-01", "starts_on: 2026-06-30",
         ("arts.yaml", 23, "clerkships.clusters.0.pools.1.starts_on")),
        ("starts_on: 2026-07-01", "starts_on: 2026-07-32",
         ("arts.yaml", 23, "clerkships.clusters.0.pools.1.starts_on")),
        ("country: SR", "country: Surinam", ("arts.yaml", 20, "clerkships.clusters.0.country")),
        ("country: SR", "country: SR\n      hospitals: [Saint A, {id: saint-a, name: Saint A}]",
         ("arts.yaml", 21, "clerkships.clusters.0.hospitals.1.id")),
        ("themes:", "partner_networks: [{id: n, name: N, institutes: [{id: i}]}]\n  themes:",
         ("arts.yaml", 12, "research.partner_networks.0.institutes.0.name")),
        ("clerkships:\n  programmes: [example-art]", "clerkships:\n  programmes: [example-war]",
         ("arts.yaml", 16, "clerkships.programmes.0")),
        ("research:\n  programmes: [example-art]", "research:\n  programmes: [example-war]",
         ("arts.yaml", 11, "research.programmes.0")),
    ],
)  # fmt: skip
def test_catalogue_mistake_in_slots_or_themes_is_named(
    folder: Path, before: str, after: str, place: tuple[str, int, str]
) -> None:
    """A count of -1, a period that overlaps, an id that stands twice, a programme that is not there."""
    (folder / "arts.yaml").write_text(CENTRE, encoding="utf-8")
    assert sorted(load(folder).pools()) == ["autumn", "spring"]

    change(folder, before, after)

    assert place in mistakes(folder)


def test_catalogue_without_programmes_says_so_or_marks_it(folder: Path) -> None:
    """A faculty whose programmes nobody has told us is marked; one that forgot them is wrong."""
    whole = (folder / "arts.yaml").read_text(encoding="utf-8").split("programmes:")[0]
    (folder / "arts.yaml").write_text(whole, encoding="utf-8")
    assert mistakes(folder) == [("arts.yaml", 2, "programmes")]

    (folder / "arts.yaml").write_text(f"{whole}programmes: to be configured\n", encoding="utf-8")

    assert load(folder).faculties["example-arts"].programmes == {}
    assert gaps(examine(folder)) == [("arts.yaml", 5, "programmes", False)]


@pytest.mark.parametrize("country", ["NO", "no", "'NO'"])
def test_catalogue_country_no_is_norway(folder: Path, country: str) -> None:
    """YAML 1.1 reads NO as false; here it is the text that was written."""
    (folder / "arts.yaml").write_text(CENTRE.replace("country: SR", f"country: {country}"), encoding="utf-8")

    if country == "no":
        assert ("arts.yaml", 20, "clerkships.clusters.0.country") in mistakes(folder)
    else:
        clerkships = load(folder).faculties["example-arts"].clerkships
        assert clerkships is not None
        assert clerkships.clusters[0].country == "NO"


def test_catalogue_pool_of_two_faculties_is_a_mistake(folder: Path) -> None:
    """R34: an event names a pool without its faculty."""
    (folder / "arts.yaml").write_text(CENTRE, encoding="utf-8")
    second = CENTRE.replace("id: example-arts", "id: example-second").replace("example-art]", "example-war]")
    (folder / "second.yaml").write_text(second.replace("  example-art:", "  example-war:"), encoding="utf-8")

    assert ("second.yaml", 22, "clerkships.clusters.0.pools.0.id") in mistakes(folder)


# ---------------------------------------------------------------- fields marked `to be configured`


def gaps(report: CatalogueReport) -> list[tuple[str, int, str, bool]]:
    """The marked fields, and whether a service needs them to start."""
    return [(gap.file, gap.line, gap.field, gap.is_needed) for gap in report.gaps]


def test_catalogue_marked_contact_is_the_next_office(folder: Path) -> None:
    """Coordinator → contact person → International Office: there is always a contact that can be reached."""
    change(folder, "coordinator: *contact", "coordinator: to be configured")
    assert load(folder).faculties["example-arts"].programmes["example-art"].coordinator.function == "Contact"

    text = (folder / "arts.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("contact_person"))
    change(folder, line, "contact_person: to be configured")

    faculty = load(folder).faculties["example-arts"]
    assert faculty.contact_person.function == "Office"
    assert faculty.programmes["example-art"].coordinator.function == "Office"
    assert gaps(examine(folder)) == [
        ("arts.yaml", 4, "contact_person", False), ("arts.yaml", 8, "programmes.example-art.coordinator", False),
    ]  # fmt: skip


def test_catalogue_marked_address_or_number_comes_from_the_next_office(folder: Path) -> None:
    """A contact without an address is replaced by the next one; without a number it gets the number of the next one."""
    change(folder, 'phone: "+31710000100"', "phone: to be configured")
    contact = load(folder).faculties["example-arts"].contact_person
    assert (contact.email, contact.phone) == ("contact@university.example", "+31710000010")

    change(folder, "email: contact@university.example", "email: to be configured")

    assert load(folder).faculties["example-arts"].contact_person.email == "office@university.example"


@pytest.mark.parametrize(
    ("field", "line"),
    [("emergency_number", 3), ("emergency_email", 4), ("international_office", 5), ("safety_officers", 6)],
)
def test_catalogue_with_a_needed_field_marked_is_listed_and_not_loaded(folder: Path, field: str, line: int) -> None:
    """R28: no service starts without the university's emergency number and offices; the report names the field."""
    lines = UNIVERSITY.splitlines()
    lines[line - 1] = f"{field}: to be configured"
    text = "\n".join(lines).replace("*office", "{function: O, email: o@university.example, phone: '+31710000010'}")
    (folder / "university.yaml").write_text(text, encoding="utf-8")

    assert mistakes(folder) == [("university.yaml", line, field)]
    assert (examine(folder).mistakes, gaps(examine(folder))) == ((), [("university.yaml", line, field, True)])


def test_catalogue_with_a_marked_field_without_default_is_not_loaded(folder: Path) -> None:
    """A marked field without a default is needed: it is listed, and nothing is loaded."""
    (folder / "arts.yaml").write_text(CENTRE.replace("name: Cutting", "name: to be configured"), encoding="utf-8")

    assert mistakes(folder) == [("arts.yaml", 19, "clerkships.clusters.0.name")]
    assert gaps(examine(folder)) == [("arts.yaml", 19, "clerkships.clusters.0.name", True)]


def test_catalogue_other_coordinator_is_named_for_its_activity_and_level(folder: Path) -> None:
    """The bachelor's internship coordinator is another one; while marked, the programme's own answers."""
    others = "[{contact: %s, activity_types: [internship], study_level: bachelor}]"
    line = "coordinator: *contact\n    other_coordinators: "
    change(folder, "coordinator: *contact", line + others % "to be configured")
    marked = load(folder).coordinator("example-art", ActivityType.INTERNSHIP, "bachelor")
    contact = "{function: Internships, email: internships@university.example, phone: '+31710000101'}"
    change(folder, "to be configured", contact)

    catalogue = load(folder)
    named = {
        (kind, level): catalogue.coordinator("example-art", kind, level)
        for kind in (ActivityType.INTERNSHIP, ActivityType.MOOT_COURT)
        for level in ("bachelor", "master", None)
    }

    assert marked is not None
    assert marked.function == "Contact"
    assert [key for key, coordinator in named.items() if coordinator and coordinator.function == "Internships"] == [
        (ActivityType.INTERNSHIP, "bachelor")
    ]
    assert catalogue.coordinator("gone") is None


def test_catalogue_activity_is_told_by_the_narrowest_and_its_links_add_up(folder: Path) -> None:
    """Programme before faculty before university; without any words there is still a name."""
    of_university = "{internship: {explanation: {en: U}, links: [{title: {en: L}, url: 'https://u.example/'}]}}"
    change(folder, "emergency_number:", f"activities: {of_university}\nemergency_number:", "university.yaml")
    of_faculty = "{internship: {name: {nl: Stage A, en: Placement}, criteria: [{en: C}]}}"
    change(folder, "id: example-arts", f"activities: {of_faculty}\nid: example-arts")
    of_programme = "{internship: {explanation: {nl: P nl, en: P}, links: [{title: {en: M}, url: https://p.example/m}]}}"
    change(folder, "coordinator: *contact", f"coordinator: *contact\n    activities: {of_programme}")

    catalogue = load(folder)
    internship = catalogue.activity("example-arts", "example-art", ActivityType.INTERNSHIP)
    moot_court = catalogue.activity("example-arts", "example-art", ActivityType.MOOT_COURT)

    assert internship.name is not None
    assert internship.explanation is not None
    assert (internship.name.nl, internship.explanation.nl) == ("Stage A", "P nl")
    assert [link.url for link in internship.links] == ["https://p.example/m", "https://u.example/"]
    assert [criterion.nl for criterion in internship.criteria] == ["C"]
    assert moot_court.name is not None
    assert (moot_court.name.en, moot_court.explanation) == ("Moot court", None)


def test_catalogue_of_the_university_has_its_seven_faculties() -> None:
    """deploy/catalogue has no mistakes and nothing invented: fields that are not known yet are marked."""
    report = examine(DEPLOY / "catalogue")

    assert report.mistakes == ()
    assert [gap.field for gap in report.gaps if gap.is_needed] == [
        "emergency_number", "emergency_email", "international_office", "safety_officers",
    ]  # fmt: skip
    marked = {(gap.file, gap.field) for gap in report.gaps}
    others = ("archaeology", "governance-and-global-affairs", "humanities", "law", "science")
    for faculty in (*others, "social-and-behavioural-sciences"):
        names = ("contact_person", "approver_roles", "board_of_examiners", "programmes")
        assert {(f"{faculty}.yaml", name) for name in names} <= marked
    assert ("lumc.yaml", "schools.0.website") in marked
    assert ("university.yaml", "acknowledged.1.url") in marked
    assert ("lumc.yaml", "clerkships.clusters.0.pools") in marked


def test_catalogue_has_the_six_schools_of_the_page_in_its_words(tmp_path: Path) -> None:
    """R37: held in 2021, five in summer and one in winter; the student pays."""
    schools = load(leiden(tmp_path)).faculties["lumc"].schools

    assert [(school.name, school.year) for school in schools] == [
        ("Leiden Summer School in Regenerative Medicine", 2021),
        ("Leiden-Brazil Summer School on Data Science in Health and Disease", 2021),
        ("LUMC Summer School on Population Health Management", 2021),
        ("Summer School Artificial Intelligence & Value Based Healthcare", 2021),
        ("TechMed Summer School", 2021),
        ("Translational Winter School on Neuromuscular Diseases", 2021),
    ]
    assert [school.season for school in schools] == ["summer"] * 5 + ["winter"]
    assert {school.fees_paid_by for school in schools} == {"student"}


def test_catalogue_of_lumc_is_complete_as_far_as_the_page_says(tmp_path: Path) -> None:
    """Six programmes, ten themes, two networks, three clusters, its International Office; spelled as on the page."""
    catalogue = load(leiden(tmp_path))

    lumc = catalogue.faculties["lumc"]
    assert lumc.research is not None
    assert lumc.clerkships is not None
    assert [programme.name.en for programme in lumc.programmes.values()] == [
        "Biomedical Sciences", "Medicine", "Technical Medicine", "Population Health Management", "Vitality & Ageing",
        "Pharmacy",
    ]  # fmt: skip
    assert len(lumc.research.themes) == 10
    assert [network.name for network in lumc.research.partner_networks] == ["LERU", "Eurolife"]
    assert [(cluster.name, cluster.country) for cluster in lumc.clerkships.clusters] == [
        ("Dermatology, Otorhinolaryngology, Ophthalmology and Neurology", "SR"),
        ("Woman and Child", "SR"),
        ("Surgery", "SR"),
    ]
    assert catalogue.international_office("lumc").email == "intoff@lumc.nl"
    assert len(catalogue.faculties) == 7
    assert all(len(faculty.activity_types) == 8 for faculty in catalogue.faculties.values())
