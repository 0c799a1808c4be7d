"""Identifiers: time-ordered UUIDs for events and objects, derived ones where a repeat must meet itself."""

import uuid

import uuid_utils


def new_id() -> str:
    """A UUIDv7 in canonical form."""
    return str(uuid_utils.uuid7())


def derived_id(*parts: str) -> str:
    """The same UUID (v5) for the same parts, on every machine and at every attempt."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "safe-passage:" + "\x1f".join(parts)))
