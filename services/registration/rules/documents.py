"""R9: are all documents there that the faculty asks for? Source: seed, "upload any required documents"."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Whether something is missing."""

    NONE_REQUIRED = "no_documents_required"
    COMPLETE = "documents_complete"
    MISSING = "documents_missing"


@dataclass(frozen=True, slots=True)
class Completeness:
    """The decision; `missing` names the kinds that are required and not attached, as the catalogue names them."""

    reason: Reason
    missing: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Nothing that is required is missing."""
        return self.reason is not Reason.MISSING


def completeness(required: Iterable[str], attached: Iterable[str]) -> Completeness:
    """R9: every required kind is attached; what the catalogue does not ask for is not asked for."""
    wanted, there = tuple(dict.fromkeys(required)), set(attached)
    if not wanted:
        return Completeness(Reason.NONE_REQUIRED)
    missing = tuple(kind for kind in wanted if kind not in there)
    return Completeness(Reason.MISSING, missing) if missing else Completeness(Reason.COMPLETE)
