"""Queries on requests: sort orders, and which requests are open or decided."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from services.approval.model import OPEN, Status

#: Sort order of the API → field and direction.
SORTS: dict[str, tuple[str, int]] = {
    "startDate": ("startDate", 1),
    "-startDate": ("startDate", -1),
    "requestedAt": ("requestedAt", 1),
    "-requestedAt": ("requestedAt", -1),
}


def order(sort: str) -> list[tuple[str, int]]:
    """The sort keys for MongoDB; equal values are sorted by id."""
    field, direction = SORTS[sort]
    return [(field, direction), ("_id", direction)]


def has_status(statuses: Sequence[str]) -> dict[str, Any]:
    """Requests with one of these statuses."""
    return {"status": {"$in": list(statuses)}}


def is_decided() -> dict[str, Any]:
    """Requests that are granted, refused or withdrawn."""
    return has_status(sorted(set(Status) - OPEN))


def is_open() -> dict[str, Any]:
    """Requests that nobody has decided yet."""
    return has_status(sorted(OPEN))


def starts_between(first: date | None, last: date | None) -> list[dict[str, Any]]:
    """Requests whose first day lies in this period, both days included. An empty list without any bound."""
    bounds = {"$gte": first.isoformat() if first else None, "$lte": last.isoformat() if last else None}
    given = {name: value for name, value in bounds.items() if value is not None}
    return [{"startDate": given}] if given else []
