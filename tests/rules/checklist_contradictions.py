"""When a checklist contradicts itself: what every checklist must keep to, whatever has happened."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from services.registration.model import Registration, Status
from services.registration.rules.checklist import Item, Line, Phase, State, permits_departure, phase
from shared.clock import amsterdam_date

NEGATIVE = {"advice_negative", "override_negative", "advice_negative_there", "place_unresolved"}


def contradictions(asked: Registration, found: Sequence[Line], now: datetime) -> list[str]:
    """Every contradiction in a checklist, in words; none when its lines agree."""
    return [*_about_the_clearance(asked, found, now), *_about_the_lines(asked, found, now)]


def _about_the_clearance(asked: Registration, found: Sequence[Line], now: datetime) -> Iterator[str]:
    clearance, others, at = found[-1], found[:-1], phase(asked, now)
    may_depart = permits_departure(tuple(found))
    if may_depart and (asked.status is not Status.APPROVED or at not in (Phase.AHEAD, Phase.UNDERWAY)):
        yield f"may depart, although {asked.status} and {at}"
    if asked.status is Status.APPROVED and at is Phase.AHEAD and not may_depart:
        yield "cleared, and may not depart"
    for line in others:
        is_in_the_way = line.state in (State.BLOCKED, State.WAITING) and not _is_lost_approval(line, at)
        if may_depart and is_in_the_way:
            yield f"may depart, and {line.item} is {line.state}: {line.reason}"
    if clearance.reason in ("advice_negative", "override_negative") and not any(
        line.reason in NEGATIVE for line in others
    ):
        yield "says that the advice is negative, and no line of the advice does"
    if clearance.state is State.WAITING and any(line.state is State.BLOCKED for line in others):
        yield "somebody decides, although a line says that nobody can"


def _about_the_lines(asked: Registration, found: Sequence[Line], now: datetime) -> Iterator[str]:
    at, today = phase(asked, now), amsterdam_date(now)
    for line in found:
        if line.reason == "already_departed" and (not asked.has_departed(now) or asked.cleared_legs):
            yield "already left, before departure or to who was cleared"
        if line.until is not None and line.until < today:
            yield f"{line.item} until a day that has passed"
        if line.state is not State.DONE and line.who is None and line.reason not in ("undecided", "cancelled"):
            yield f"{line.item} {line.state}: nobody to contact"
    if at in (Phase.RETURNED, Phase.CANCELLED) and any(line.state is not State.DONE for line in found[:-1]):
        yield "something is asked about a journey that is over"


def _is_lost_approval(line: Line, at: Phase) -> bool:
    """During the stay a lost approval suspends nothing; the coordinator gets in touch (R2)."""
    is_lost = line.reason in ("approval_withdrawn", "approval_refused", "approval_revoked")
    return at is Phase.UNDERWAY and line.item is Item.APPROVAL and is_lost
