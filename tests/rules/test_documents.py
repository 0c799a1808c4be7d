"""R9: what the faculty asks for lies there, or is named as missing; and what a file is, by its content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.file_type import MediaType, detect_file_type
from services.registration.file_type import Reason as ContentReason
from services.registration.model import Decision, Document, Registration, Status
from services.registration.read_models import DecisionInputs
from services.registration.rules.clearance import Outcome, Queue, clearance
from services.registration.rules.documents import Reason, completeness, kind_standing
from services.registration.rules.evaluation import Step, evaluation
from shared.events import Level
from tests.rules.registration_world import NOW, advice, approval, inputs, registration

KINDS = st.lists(st.sampled_from(["letter", "plan", "insurance", "visa"]), max_size=6)


@pytest.mark.parametrize(
    ("required", "attached", "reason", "missing"),
    [
        ((), (), Reason.NONE_REQUIRED, ()),
        ((), ("letter",), Reason.NONE_REQUIRED, ()),
        (("letter",), (), Reason.MISSING, ("letter",)),
        (("letter", "plan"), ("plan",), Reason.MISSING, ("letter",)),
        (("letter", "plan"), ("plan", "letter", "visa"), Reason.COMPLETE, ()),
        (("letter",), ("Letter",), Reason.MISSING, ("letter",)),
        (("letter", "letter"), (), Reason.MISSING, ("letter",)),
    ],
)
def test_documents_completeness_table(
    required: tuple[str, ...], attached: tuple[str, ...], reason: Reason, missing: tuple[str, ...]
) -> None:
    """Every required kind, once, as the catalogue names it."""
    found = completeness(required, attached)

    assert (found.reason, found.missing) == (reason, missing)
    assert found.is_complete is (not missing)


@given(KINDS, KINDS)
def test_documents_are_complete_exactly_when_nothing_is_missing(required: list[str], attached: list[str]) -> None:
    """Whatever is required and attached."""
    assert completeness(required, attached).is_complete == (set(required) <= set(attached))


def document(kind: str) -> Document:
    """One that lies there."""
    return Document(
        document_id=f"document-{kind}", kind=kind, sha256="a" * 64, size_bytes=1, media_type="application/pdf",
        name="sealed:v1:x", attached_at=NOW,
    )  # fmt: skip


def asked(*attached: str, **other: object) -> Registration:
    """A registration with these documents."""
    return registration().model_copy(update={"documents": tuple(document(kind) for kind in attached), **other})


def known(level: Level = Level.GREEN, *, granted: bool = True) -> DecisionInputs:
    """The faculty asks for two documents."""
    found = inputs(advice(level), granted=approval() if granted else None)
    return DecisionInputs(found.approval, found.advice, found.sources, found.regions, ("letter", "plan"))


@pytest.mark.parametrize(
    ("state", "facts", "outcome", "rule"),
    [
        (asked(), known(), Outcome.INCOMPLETE, "R9"),
        (asked("letter"), known(), Outcome.INCOMPLETE, "R9"),
        (asked("letter", "plan"), known(), Outcome.APPROVED, "R10"),
        (asked(), known(granted=False), Outcome.HELD, "R2"),
        (asked(), known(Level.RED), Outcome.REFUSED, "R13"),
        (asked(was_suspended=True), known(), Outcome.INCOMPLETE, "R9"),
    ],
)
def test_documents_in_the_clearance_table(
    state: Registration, facts: DecisionInputs, outcome: Outcome, rule: str
) -> None:
    """Incomplete permits nothing; a no stays a no, and what a person has to see waits until everything is there."""
    found = clearance(state, facts, NOW)

    assert (found.outcome, found.rule) == (outcome, rule)
    assert (outcome is Outcome.APPROVED) == (not found.blocks)
    assert Queue.COORDINATOR not in {block.queue for block in found.queues}


def test_documents_that_arrive_are_looked_at() -> None:
    """Incomplete moves by itself when the last one is there, and says nothing twice before."""
    said = Decision(
        status=Status.INCOMPLETE, rule="R9", reason="documents_missing", advice=(), decided_by="rules", decided_at=NOW
    )
    waiting = asked("letter", status=Status.INCOMPLETE, decision=said)
    complete = asked("letter", "plan", status=Status.INCOMPLETE, decision=said)

    assert evaluation(waiting, known(), NOW).step is Step.KEEP
    found = evaluation(complete, known(), NOW)
    assert found.step is Step.DECIDE
    assert found.clearance is not None
    assert found.clearance.outcome is Outcome.APPROVED


HEADS = {MediaType.PDF: b"%PDF-1.7\n", MediaType.JPEG: b"\xff\xd8\xff\xe0", MediaType.PNG: b"\x89PNG\r\n\x1a\n"}


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_content_of_anything_is_a_document_or_a_reason(head: bytes, tail: bytes) -> None:
    """Never both, never neither, never an exception."""
    found = detect_file_type(head, tail)

    assert (found.media_type is None) == (found.reason is not None)


@given(st.sampled_from(list(HEADS)), st.binary(min_size=1, max_size=200))
def test_content_that_goes_on_after_its_end_is_something_else(kind: MediaType, more: bytes) -> None:
    """Whatever hangs behind a document, unless it ends in the same way."""
    ends = {MediaType.PDF: b"%%EOF", MediaType.JPEG: b"\xff\xd9", MediaType.PNG: b"IEND\xaeB`\x82"}[kind]
    whole = HEADS[kind] + b"\x00\x10JFIF\x00 body " + ends

    assert detect_file_type(whole, whole).media_type is kind
    if more.strip(b"\x00\r\n\t ") and not (ends + more).rstrip(b"\x00\r\n\t ").endswith(ends):
        assert detect_file_type(whole, whole + more).reason is ContentReason.HOLDS_SOMETHING_ELSE
    assert detect_file_type(whole, whole + b"PK\x05\x06" + more + ends).reason is ContentReason.HOLDS_SOMETHING_ELSE


@pytest.mark.parametrize(
    ("kind", "known", "reason"),
    [
        ("letter", ("letter", "plan"), Reason.KNOWN_KIND),
        ("leter", ("letter", "plan"), Reason.UNKNOWN_KIND),
        ("Letter", ("letter", "plan"), Reason.UNKNOWN_KIND),
        ("anything", (), Reason.KNOWN_KIND),
    ],
)
def test_documents_kind_is_one_of_the_catalogue(kind: str, known: tuple[str, ...], reason: Reason) -> None:
    """R9: where the catalogue names kinds, a document is of one of them."""
    assert kind_standing(kind, known) is reason
