"""Who a test copy or a drill may reach: addresses, numbers, whole domains (`@domain`) on a list. Pure."""

from collections.abc import Collection


def is_listed(address: str, entries: Collection[str]) -> bool:
    """Whether an address or number stands on the list (its entries in lower case)."""
    domain = "@" + address.rpartition("@")[2] if "@" in address else ""
    return address.lower() in entries or domain.lower() in entries
