"""The service key's tickets: what an answer link carries."""

import pytest

from shared.privacy.service_key import ServiceKey


def test_ticket_is_read_by_its_key_alone() -> None:
    """The same block gives the same ticket; another key, length or alphabet gives nothing."""
    key, other = ServiceKey(b"k" * 32), ServiceKey(b"o" * 32)
    ticket = key.ticket(b"0123456789abcdef")

    assert ticket == key.ticket(b"0123456789abcdef")
    assert len(ticket) == 22
    assert key.read_ticket(ticket) == b"0123456789abcdef"
    assert other.read_ticket(ticket) != b"0123456789abcdef"
    for wrong in ("", ticket[:-1], ticket + "A", ticket[:-1] + "B", "ä" * 22, ticket + "\n"):
        assert key.read_ticket(wrong) is None
    with pytest.raises(ValueError, match="one block"):
        key.ticket(b"short")
