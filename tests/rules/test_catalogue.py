"""The catalogue is data: every mistake in it is named with file, line and field, and nothing is half loaded."""

from pathlib import Path

import pytest

from shared.catalogue import BrokenCatalogue, load

LOCAL = Path(__file__).resolve().parents[2] / "deploy" / "local" / "catalogue"
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
    """Three synthetic faculties, and the same version at every reading."""
    catalogue = load(LOCAL)

    assert sorted(catalogue.faculties) == ["example-humanities", "example-medicine", "example-sciences"]
    assert catalogue.version == load(LOCAL).version
    assert len(catalogue.version) == 12


def test_catalogue_version_follows_its_content(folder: Path) -> None:
    """Another word is another version."""
    before = load(folder).version

    change(folder, "Letteren", "Kunsten")

    assert load(folder).version != before


def test_catalogue_approver_scopes_are_the_programme_unless_configured(folder: Path) -> None:
    """R5: a programme is its own approver scope; the catalogue may name others instead."""
    assert load(folder).approver_scopes("example-arts", "example-art") == {"example-art"}

    change(folder, "coordinator: *contact", "coordinator: *contact\n    approver_roles: [board, example-art]")

    assert load(folder).approver_scopes("example-arts", "example-art") == {"board", "example-art"}
    assert load(folder).programmes_of(frozenset({"board"})) == {"example-art"}


@pytest.mark.parametrize(("faculty", "programme"), [("example-arts", "x"), ("x", "example-art"), ("", "")])
def test_catalogue_unknown_programme_has_no_approver(folder: Path, faculty: str, programme: str) -> None:
    """R5: what is not configured is decided by nobody."""
    assert load(folder).approver_scopes(faculty, programme) == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("id: example-arts", "id: not an id!", ("arts.yaml", 2, "id")),
        ("    coordinator: *contact\n", "", ("arts.yaml", 6, "programmes.example-art.coordinator")),
        ("en: Arts}", "en: Arts, fr: Lettres}", ("arts.yaml", 3, "name.fr")),
        ("contact@university.example", "nobody", ("arts.yaml", 4, "contact_person.email")),
        ('"+31710000100"', "0710000100", ("arts.yaml", 4, "contact_person.phone")),
        ("id: example-arts", "id: example-arts\nid: example-arts", ("arts.yaml", 3, "id")),
        ("  example-art:", "  example-arts:", ("arts.yaml", 0, "programmes.example-arts")),
        ("id: example-arts", "id: [", ("arts.yaml", 4, "-")),
        ("id: example-arts", "activity_types: [holiday]\nid: example-arts", ("arts.yaml", 2, "activity_types.0")),
    ],
)
def test_catalogue_mistake_is_named(folder: Path, before: str, after: str, place: tuple[str, int, str]) -> None:
    """Whoever edits the file is told where."""
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

    assert mistakes(folder) == [("second.yaml", 0, "programmes.example-art")]


@pytest.mark.parametrize("missing", ["university.yaml", "arts.yaml"])
def test_catalogue_without_a_needed_file_is_refused(folder: Path, missing: str) -> None:
    """No university, or no faculty at all: nothing is served."""
    (folder / missing).unlink()

    assert [file for file, _, _ in mistakes(folder)] == ["university.yaml"]


def test_catalogue_in_another_encoding_is_refused(folder: Path) -> None:
    """Bytes that are no UTF-8 are named, not guessed."""
    (folder / "arts.yaml").write_bytes(FACULTY.replace("Letteren", "Cr\xe8me").encode("latin-1"))

    assert mistakes(folder) == [("arts.yaml", 0, "-")]
