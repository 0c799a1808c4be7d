"""A text that is cut for an SMS: at most so long, and never within a number."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.messages.plain import one_line, shortened


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("Bel 112 in nood.", 20, "Bel 112 in nood."),
        ("Bel nu 0612345678 of 112.", 15, "Bel nu..."),
        ("Bel nu +31 6 1234 5678 of 112.", 20, "Bel nu..."),
        ("Bel nu (070) 348-4770 meteen.", 18, "Bel nu..."),
        ("Nog 112,5 km naar de grens.", 9, "Nog..."),
        ("Nog 3½ km naar de grens.", 8, "Nog..."),
        ("Bel nu ٠٦١٢٣٤ of 112.", 13, "Bel nu..."),
        ("Bel nu 0612345678 of 112.", 22, "Bel nu 0612345678..."),
        ("Blijf binnen. Bel 0612345678 als het niet gaat.", 23, "Blijf binnen."),
        ("0612345678", 8, ""),
        ("Blijf binnen tot morgen", 15, "Blijf binnen..."),
    ],
)
def test_shortened_table(text: str, limit: int, expected: str) -> None:
    """After a sentence or a word; a number that does not fit is left out as a whole."""
    assert shortened(text, limit) == expected


@given(st.lists(st.sampled_from(["Bel", "0612345678", "+31 6 1234", "112,5", "km", "3½", ".", "naar"])).map(" ".join),
       st.integers(min_value=0, max_value=80))  # fmt: skip
def test_shortened_numbers_are_those_of_the_text(text: str, limit: int) -> None:
    """At most `limit` characters, and each number of the result stands so in the text."""
    result = shortened(text, limit)

    assert len(result) <= max(limit, 0)
    kept = result if result == one_line(text) else result.removesuffix("...").rstrip()
    assert one_line(text).startswith(kept)
    if re.search(r"[0-9½]$", kept):
        assert not re.match("[0-9½]", one_line(text)[len(kept) :])
