"""`audit diff`, document by document: what must differ and what may. Pure: no database, no log."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.passage.rebuild import COMPARED, ComparedCollection, compare_documents, side_by_side
from shared.mongo.client import Document

COLLECTIONS = {compared.name: compared for compared in COMPARED}
REGISTRATIONS, TRIPS = COLLECTIONS["registration.registrations"], COLLECTIONS["registration.trips"]
REQUESTS, WHEREABOUTS = COLLECTIONS["approval.requests"], COLLECTIONS["notify.whereabouts"]
GONE, SILENT = "is in the events and is not kept", "is kept and is not in the events"
AHEAD = "is newer than the newest event on Kafka; run again when the relay has caught up"
SHAPELESS = "has not the shape of its collection"
STUDENT, LEADER, STRANGER = "student-01", "leader-02", "student-03"


def rebuilt(state: Document, version: int = 3) -> Document:
    """A document as the shadow database keeps it."""
    return {"_id": "x-1", "version": version, "state": state}


def found(
    compared: ComparedCollection, wanted: Document | None, own: Document | None, erased: set[str] | None = None
) -> str | None:
    """The fields that differ, or the kind of difference; None: no difference."""
    difference = compare_documents(compared, "x-1", wanted, own, erased or set())
    return None if difference is None else ",".join(difference.fields) or difference.what


REGISTRATION = {"personId": STUDENT, "contact": "sealed:v1:a", "stayContact": "sealed:v1:b", "facultyId": "science"}


@pytest.mark.parametrize(
    ("compared", "sealed"),
    [(REGISTRATIONS, "contact"), (REGISTRATIONS, "stayContact"), (REQUESTS, "description"), (REQUESTS, "contact"),
     (REQUESTS, "answer"), (REQUESTS, "instituteReason"), (REQUESTS, "explanation")],
)  # fmt: skip
def test_sealed_content_may_be_gone_only_of_a_person_who_was_erased(compared: ComparedCollection, sealed: str) -> None:
    """Lost contact details of a person who is there are a loss; so is other sealed content than that of the events."""
    state = {"personId": STUDENT, sealed: "sealed:v1:a", "facultyId": "science"}
    without = {"version": 3, **state, sealed: None}
    dropped = {name: value for name, value in without.items() if name != sealed}

    assert found(compared, rebuilt(state), {"version": 3, **state}) is None
    for lost in (without, dropped):
        assert found(compared, rebuilt(state), lost) == sealed
        assert found(compared, rebuilt(state), lost, {STRANGER}) == sealed
        assert found(compared, rebuilt(state), lost, {STUDENT}) is None
        assert found(compared, rebuilt(state), {**lost, "facultyId": "law"}, {STUDENT}) == "facultyId"
    assert found(compared, rebuilt(state), {"version": 3, **state, sealed: "sealed:v1:z"}, {STUDENT}) == sealed


def test_content_that_was_never_sealed_is_missed_of_an_erased_person_too() -> None:
    """Only the key was destroyed: faculty, status and dates stay where they are."""
    own = {"version": 3, **REGISTRATION, "facultyId": None}

    assert found(REGISTRATIONS, rebuilt(REGISTRATION), own, {STUDENT}) == "facultyId"


@pytest.mark.parametrize(("compared", "owner"), [(REGISTRATIONS, "personId"), (TRIPS, "leaderId")])
def test_a_place_in_clear_may_be_forgotten_only_of_a_person_who_was_erased(
    compared: ComparedCollection, owner: str
) -> None:
    """Older events name the place in clear. The service forgets it in the legs of an erased student or leader."""
    legs = [{"country": "ES", "place": "Sevilla"}, {"country": "PT", "place": "Porto"}]
    forgotten = [{**leg, "place": None} for leg in legs]
    state = {owner: LEADER, "legs": legs, "programmeId": "biology"}
    own = {"version": 3, **state, "legs": forgotten}

    assert found(compared, rebuilt(state), own) == "legs"
    assert found(compared, rebuilt(state), own, {STRANGER}) == "legs"
    assert found(compared, rebuilt(state), own, {LEADER}) is None
    assert found(compared, rebuilt(state), {**own, "legs": forgotten[:1]}, {LEADER}) == "legs"
    elsewhere = [{**forgotten[0], "country": "PT"}, forgotten[1]]
    assert found(compared, rebuilt(state), {**own, "legs": elsewhere}, {LEADER}) == "legs"
    renamed = [{**legs[0], "place": "Lisboa"}, legs[1]]
    assert found(compared, rebuilt(state), {**own, "legs": renamed}, {LEADER}) == "legs"


def test_a_kind_of_document_in_clear_may_be_emptied_of_an_erased_person() -> None:
    """A kind in the student's own words becomes an empty text; a country of the document stays compared."""
    state = {"personId": STUDENT, "documents": [{"kind": "letter of my aunt", "mediaType": "application/pdf"}]}
    own = {"version": 3, **state, "documents": [{"kind": "", "mediaType": "application/pdf"}]}

    assert found(REGISTRATIONS, rebuilt(state), own) == "documents"
    assert found(REGISTRATIONS, rebuilt(state), own, {STUDENT}) is None
    other = [{"kind": "", "mediaType": "image/png"}]
    assert found(REGISTRATIONS, rebuilt(state), {**own, "documents": other}, {STUDENT}) == "documents"


def test_a_document_on_one_side_only_is_named() -> None:
    """A lost document, and one that no event tells of; nothing but its own collection may be ahead of its events."""
    own = {"version": 3, **REGISTRATION}

    assert found(REGISTRATIONS, rebuilt(REGISTRATION), None) == GONE
    assert found(REGISTRATIONS, None, own) == SILENT
    difference = compare_documents(REGISTRATIONS, "group#r-1", None, own)
    assert difference is not None
    assert (difference.service, difference.collection, difference.id) == ("registration", "registrations", "r-1")


def test_a_document_of_another_version_is_told_from_one_with_other_content() -> None:
    """Newer than Kafka: its event is on the way. Older: an update was lost. The same: compared field by field."""
    wanted = rebuilt(REGISTRATION)

    assert found(REGISTRATIONS, wanted, {"version": 4, **REGISTRATION, "facultyId": "law"}) == AHEAD
    assert found(REGISTRATIONS, wanted, {"version": 2, **REGISTRATION}) == "version"
    assert found(REGISTRATIONS, wanted, {"version": 3, **REGISTRATION, "facultyId": "law"}) == "facultyId"
    assert found(REGISTRATIONS, wanted, {"version": 3, **REGISTRATION, "remarkOfAnyone": 1}) == "remarkOfAnyone"


@pytest.mark.parametrize("broken", [{}, {"version": 1}, {"version": 1, "state": None}, {"version": 1, "state": 7}])
def test_a_document_without_a_state_is_named_and_ends_nothing(broken: Document) -> None:
    """Something wrote a document of another shape into notify's collection."""
    assert found(WHEREABOUTS, rebuilt({"personId": STUDENT}, 1), broken) == SHAPELESS


# ---------------------------------------------------------------- projections

JOBS, SOURCES = COLLECTIONS["notify.lanes"], COLLECTIONS["safety.sources"]
CASES = COLLECTIONS["notify.officecases"]


@pytest.mark.parametrize(
    ("told", "own", "what"),
    [
        (True, True, None), (False, False, None), (False, True, "told"), (True, False, "told"),
        (True, None, None), (False, None, None), (None, True, SILENT), (None, False, None), (None, None, None),
    ],
)  # fmt: skip
def test_a_message_of_a_job_must_have_an_outcome_once_its_job_is_done(
    told: bool | None, own: bool | None, what: str | None
) -> None:
    """`own`: an outcome must (True), may (None) or must not (False) exist. A done job without its events is a loss."""
    wanted = None if told is None else {"_id": "x-1", "told": told}

    assert found(JOBS, wanted, {"_id": "x-1", "told": own}) == what


def source(**changes: Any) -> Document:
    """A live or rebuilt document of a source that decides."""
    at = "2026-03-01T09:00:00Z"
    state = {"source": "example", "checkedAt": at, "announcedAt": at, **changes}
    return {"_id": "example", "state": state, "vouchedFor": ["ES"]}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({}, None),
        ({"checkedAt": "2026-03-01T09:05:00Z"}, None),
        ({"checkedAt": "2026-03-01T08:59:59Z"}, "checkedAt"),
        ({"checkedAt": None}, "checkedAt"),
        ({"announcedAt": "2026-03-01T09:00:01Z"}, "announcedAt"),
        ({"failedAt": "2026-03-01T09:00:01Z"}, "failedAt"),
        ({"failureAnnouncedAt": "2026-03-01T09:00:01Z"}, "failureAnnouncedAt"),
        ({"leftOut": ["ES"]}, "leftOut"),
        ({"leftOut": ["PT"]}, None),
        ({"announcedAt": None, "checkedAt": None}, None),  # it decides no more
        ({"announcedAt": None, "failureAnnouncedAt": "2026-03-01T09:00:01Z"}, "announcedAt,failureAnnouncedAt"),
    ],
)  # fmt: skip
def test_a_source_may_be_read_since_its_last_event_and_nothing_else(change: dict[str, Any], what: str | None) -> None:
    """R14: an older reading, an untold failure, a country left out for which it vouches: each differs."""
    assert found(SOURCES, source(), source(**change)) == what


def test_a_source_that_writes_no_events_may_be_kept_without_one() -> None:
    """One that decides must have an event; one that never decided has none."""
    assert found(SOURCES, None, source()) == SILENT
    assert found(SOURCES, None, source(announcedAt=None, failureAnnouncedAt="2026-03-01T09:00:00Z")) == SILENT
    assert found(SOURCES, None, source(announcedAt=None)) is None


@pytest.mark.parametrize(("kind", "what"), [("reply", None), ("task", SILENT), ("help", SILENT)])
def test_of_the_cases_of_offices_only_a_reply_has_no_event(kind: str, what: str | None) -> None:
    """A reply that a person has to read is stored as it arrives; every other case must have its event."""
    state = {"kind": kind, "queue": "coordinator", "about": "r-1", "rule": "R7", "isOpen": True}

    assert found(CASES, None, {"_id": "x-1", "state": state}) == what


# ---------------------------------------------------------------- both sides


async def documents(ids: Iterable[int]) -> AsyncIterator[Document]:
    """Documents with these ids, in order."""
    for number in sorted(ids):
        yield {"_id": f"{number:02d}"}


@settings(deadline=None)
@given(st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12)))
async def test_every_document_of_either_side_is_compared_once(rebuilt_ids: set[int], kept_ids: set[int]) -> None:
    """In order of id; a side that ends first, or is empty, hides nothing of the other one."""
    pairs = [
        (identity, left is not None, right is not None)
        async for identity, left, right in side_by_side(documents(rebuilt_ids), documents(kept_ids))
    ]

    assert pairs == [
        (f"{number:02d}", number in rebuilt_ids, number in kept_ids) for number in sorted(rebuilt_ids | kept_ids)
    ]
