"""Identifiers: time-ordered UUIDs, and derived ones that make a repeated write idempotent."""

import uuid

import uuid_utils


def new_id() -> str:
    """A UUIDv7 in canonical form."""
    return str(uuid_utils.uuid7())


def derived_id(*parts: str) -> str:
    """A UUIDv5: the same for the same parts, on every machine and in every attempt."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "safe-passage:" + "\x1f".join(parts)))
