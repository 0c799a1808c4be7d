"""SMS text: the GSM alphabet, transliteration, and the number of parts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.cm_wire import parts
from services.notify.messages.gsm import is_gsm, segments, to_gsm


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("België", "Belgie"),
        ("Oekraïne", "Oekraine"),
        ("Curaçao", "Curacao"),
        ("Réunion, São Tomé, Åland", "Réunion, Sao Tomé, Åland"),
        ("Łódź Đakovo", "Lodz Dakovo"),
        ("Türkiye'nin ığ", "Türkiye'nin ig"),
        ("‘zo’ “en” – dat…", "'zo' \"en\" - dat..."),
        ("€ 5 {a} [b] ~", "€ 5 {a} [b] ~"),
        ("hulp 🚨 nodig", "hulp  nodig"),
        ("\u202eabc\u200f", "abc"),
        ("Київ", "????"),
        ("Việt Nam", "Viet Nam"),
        ("a\u0301\u0308", "a"),
    ],
)
def test_to_gsm_text_becomes_readable_ascii_or_kept(text: str, expected: str) -> None:
    """Letters of the alphabet stay, others lose their accents; emoji and direction marks are removed."""
    assert to_gsm(text) == expected


@settings(deadline=None)
@given(st.text(max_size=300))
def test_to_gsm_any_text_is_in_the_alphabet_and_stable(text: str) -> None:
    """Every text becomes GSM, and a second transliteration changes nothing."""
    once = to_gsm(text)

    assert is_gsm(once)
    assert to_gsm(once) == once


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
