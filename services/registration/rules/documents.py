"""R9: are the required documents attached, and is a kind known? Source: seed, "upload any required documents"."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Whether a document is missing."""

    NONE_REQUIRED = "no_documents_required"
    COMPLETE = "documents_complete"
    MISSING = "documents_missing"
    KNOWN_KIND = "known_document_kind"
    UNKNOWN_KIND = "unknown_document_kind"


@dataclass(frozen=True, slots=True)
class Completeness:
    """The decision; `missing` are the required kinds that are not attached, named as in the catalogue."""

    reason: Reason
    missing: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """No required document is missing."""
        return self.reason is not Reason.MISSING


def completeness(required: Iterable[str], attached: Iterable[str]) -> Completeness:
    """R9: every kind that the catalogue requires is attached."""
    required_kinds, attached_kinds = tuple(dict.fromkeys(required)), set(attached)
    if not required_kinds:
        return Completeness(Reason.NONE_REQUIRED)
    missing = tuple(kind for kind in required_kinds if kind not in attached_kinds)
    return Completeness(Reason.MISSING, missing) if missing else Completeness(Reason.COMPLETE)


def kind_standing(kind: str, known: Collection[str]) -> Reason:
    """R9: documents are of the kinds that the catalogue names. Where it names none, a document has any kind."""
    return Reason.KNOWN_KIND if not known or kind in known else Reason.UNKNOWN_KIND
