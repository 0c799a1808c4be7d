"""R9: what the faculty asks for lies there, or is named as missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
