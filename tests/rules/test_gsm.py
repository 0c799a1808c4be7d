"""SMS text: the number of parts in the GSM alphabet and in UTF-16."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.cm_wire import parts
from services.notify.messages.gsm import segments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("a" * 459, 3),
        ("a" * 460, 4),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("a" * 151 + "€" + "a" * 153, 2),
        ("ë" + "a" * 69, 1),
        ("ë" + "a" * 70, 2),
        ("🚨" * 35, 1),
        ("🚨" * 36, 2),
        ("a" * 66 + "🚨" + "a" * 66, 3),
    ],
)
def test_segments_at_the_borders(text: str, expected: int) -> None:
    """160/161, 306/307, an escape at the end of a part, and UTF-16 with surrogate pairs."""
    assert segments(text) == expected


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab é€{ëї🚨\n"), max_size=500))
def test_segments_agree_with_the_gateway(text: str) -> None:
    """Our count equals the provider's, which is what we are billed for."""
    assert segments(text) == parts(text)
