"""Whether an address is on a list: of a drill, or of a test installation. Entries are addresses, numbers or domains."""

from collections.abc import Collection


def is_listed(address: str, entries: Collection[str]) -> bool:
    """Whether the address or number, or its whole domain as `@domain`, is on the list (entries in lower case)."""
    domain = "@" + address.rpartition("@")[2] if "@" in address else ""
    return address.lower() in entries or domain.lower() in entries
