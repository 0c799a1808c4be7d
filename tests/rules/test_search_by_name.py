"""How students are named, counted and found: entries, CSV cells, words of a search, the counts of who is where."""

from datetime import date, timedelta

import pytest
import structlog
from structlog.testing import capture_logs

from services.notify.api.whereabouts_summary import Presence, summary
from services.registration.search_terms import words_in, words_of
from shared.events import Level
from shared.observability.logs import ALLOWED
from shared.privacy.contact import ContactDetails, EmergencyContact
from shared.privacy.keyring import Opened
from shared.privacy.processing_log import log_personal_data_read
from shared.privacy.students import student_entry
from shared.web.claims import programmes_of, student_number_of
from shared.web.csv_lists import cell_of

ROBIN = ContactDetails(
    given_name="Zoë Anne-Marie",
    surname_prefix="van 't",
    surname="Voorbeeld",
    preferred_name="Robin",
    email="Robin.V@students.example",
    mobile="+31612345678",
    emergency_contact=EmergencyContact(name="Kim Specimen", phone="+31612345679"),
    student_number="s0000001",
)


@pytest.mark.parametrize(
    ("opened", "state"),
    [
        (Opened("opened", ROBIN.model_dump(mode="json", by_alias=True)), "known"),
        (Opened("opened", {"givenName": "no details"}), "unreadable"),
        (Opened("erased"), "erased"),
        (Opened("unreadable"), "unreadable"),
        (None, "not_given"),
    ],
)
def test_student_entry_says_why_a_name_is_missing(opened: Opened | None, state: str) -> None:
    """Only a student who is known has fields; everything else is an empty entry with its state."""
    entry = student_entry("p1", opened, with_phone=True)

    assert (entry.person_id, entry.state) == ("p1", state)
    assert (entry.name is not None) is (state == "known")


def test_student_entry_has_phones_only_for_those_who_need_them() -> None:
    """A coordinator gets name, number and mail; the emergency contact is for those who look for a person."""
    opened = Opened("opened", ROBIN)

    without, with_phone = (student_entry("p1", opened, with_phone=wanted) for wanted in (False, True))

    assert (without.name, without.student_number) == ("Zoë Anne-Marie van 't Voorbeeld", "s0000001")
    assert (without.mobile, without.emergency_contact) == (None, None)
    assert with_phone.mobile == "+31612345678"
    assert with_phone.emergency_contact is not None


@pytest.mark.parametrize(
    ("asked", "is_found"),
    [
        ("voorbeeld", True),
        ("VOORBEELD robin", True),
        ("zoe", True),
        ("Anne-Marie", True),
        ("marie", True),
        ("s0000001", True),
        ("S0000001", True),
        ("robin.v@students.example", True),
        ("  Voorbeeld,  Zoë ", True),
        ("voorbeeld peter", False),
        ("voor", False),
        ("s000000", False),
        ("612345678", False),
        ("Specimen", False),
    ],
)
def test_words_find_a_student_whole_without_case_and_accents(asked: str, *, is_found: bool) -> None:
    """Every word has to be there; phone numbers and other people's names find nobody."""
    assert (words_in(asked) <= words_of(ROBIN)) is is_found


@pytest.mark.parametrize("text", ["", " , ", "...", "@", "--"])
def test_search_for_nothing_has_no_words(text: str) -> None:
    """And finds nobody, instead of everybody."""
    assert words_in(text) == set()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"), ("+31612345678", "'+31612345678"), ("-2", "'-2"), ("@home", "'@home"), ("\tx", "'\tx"),
        (-2, "-2"), (1.5, "1.5"), (True, "true"), (None, ""), ("Zoë", "Zoë"), (["ES", "=x"], "ES; =x"),
        (["=x", "ES"], "'=x; ES"), ({"a": 1}, '{"a": 1}'), ([], ""),
    ],
)  # fmt: skip
def test_cell_is_never_run_as_a_formula(value: object, cell: str) -> None:
    """A text that begins like a formula gets an apostrophe; numbers stay numbers."""
    assert cell_of(value) == cell


@pytest.mark.parametrize(
    ("claim", "number"),
    [
        ("s0000001", "s0000001"),
        (["urn:schac:personalUniqueCode:nl:local:university.example:studentid:0000001"], "0000001"),
        (["not a number!", "s0000002"], "s0000002"),
        ("x" * 21, None), ("", None), (None, None), (7, None), ({"a": 1}, None), ([None, 3], None),
    ],
)  # fmt: skip
def test_student_number_of_a_login(claim: object, number: str | None) -> None:
    """Plain or as SURFconext writes it; anything else is ignored."""
    assert student_number_of(claim) == number


@pytest.mark.parametrize(
    ("claim", "programmes"),
    [
        ("example-biology", {"example-biology"}), (["a", "b"], {"a", "b"}), ([], None), ("", None), (None, None),
        (["x" * 121], None), ([1, {"a": 2}, "b"], {"b"}),
    ],
)  # fmt: skip
def test_programmes_of_a_login(claim: object, programmes: set[str] | None) -> None:
    """A login that names none says nothing: then the programme is claimed, not refused."""
    assert programmes_of(claim) == (None if programmes is None else frozenset(programmes))


@pytest.mark.parametrize(
    ("read", "line"),
    [
        ({"p1", "p2"}, {"count": 2}),
        ({"p1"}, {"count": 1, "about": "p1"}),
        ({"p1", "reader"}, {"count": 1, "about": "p1"}),
        (set(), {"count": 0}),
        ({"reader"}, None),
    ],
)
def test_processing_log_says_who_read_of_how_many_and_of_whom(read: set[str], line: dict[str, object] | None) -> None:
    """One line for one act; none for one's own data; every field is one that a log may hold."""
    before = structlog.get_config()
    structlog.reset_defaults()  # another test may have silenced information
    try:
        with capture_logs() as lines:
            log_personal_data_read("recipients", "reader", read, alert_id="ES-2")
    finally:
        structlog.configure(**before)

    common = {"event": "personal_data_read", "kind": "recipients", "person_id": "reader", "alert_id": "ES-2"}
    assert lines == ([] if line is None else [{**common, **line, "log_level": "info"}])
    assert all(set(written) <= ALLOWED | {"log_level"} for written in lines)


def test_summary_counts_each_person_once_in_their_worst_colour() -> None:
    """By country and over all; unknown is worse than yellow (R14); the worst countries come first."""
    day = date(2026, 10, 12)
    there = [
        Presence("p1", "ES", Level.GREEN, is_overdue=False),
        Presence("p1", "ES", Level.RED, is_overdue=False),
        Presence("p1", "FR", Level.GREEN, is_overdue=False),
        Presence("p2", "ES", Level.YELLOW, is_overdue=True),
        Presence("p3", "FR", None, is_overdue=False),
        Presence("p3", "FR", Level.YELLOW, is_overdue=False),
        Presence("p4", "FR", Level.GREEN, is_overdue=False),
    ]

    found = summary(day, there, 2)

    assert (found.persons, found.overdue, found.not_assessable) == (4, 1, 2)
    assert found.by_colour == {"red": 1, "orange": 0, "unknown": 1, "yellow": 1, "green": 1}
    spain, france = found.countries
    assert (spain.country, spain.persons, spain.by_colour["red"], spain.overdue) == ("ES", 2, 1, 1)
    assert (france.persons, france.by_colour["unknown"], france.by_colour["green"]) == (3, 1, 2)
    assert summary(day + timedelta(days=1), [], 0).persons == 0
