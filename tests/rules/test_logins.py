"""Keys of logins: the spellings of one login are one person, and what only looks like it is found."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.privacy.logins import Login, login_key, look_alike
from tests.rules.test_trimming import around

subjects = st.text(min_size=1, max_size=30)


@given(before=around, subject=subjects, after=around, ignores_case=st.booleans())
def test_a_login_with_invisible_signs_around_it_is_the_same_login(
    before: str, subject: str, after: str, ignores_case: bool
) -> None:
    """Composed or not; and the key of a key is the key."""
    key = login_key(subject, ignores_case=ignores_case)

    assert login_key(f"{before}{subject}{after}", ignores_case=ignores_case) == key
    assert login_key(unicodedata.normalize("NFD", subject), ignores_case=ignores_case) == key
    assert login_key(key, ignores_case=ignores_case) == key


def test_case_counts_unless_the_provider_ignores_it() -> None:
    """OpenID Connect: a subject is case-sensitive; many providers are not."""
    names = ["s1234567", "S1234567"]

    assert len({login_key(name, ignores_case=False) for name in names}) == 2
    assert len({login_key(name, ignores_case=True) for name in names}) == 1
    assert login_key("STRASSE", ignores_case=True) == login_key("straße", ignores_case=True)


@pytest.mark.parametrize(
    "other",
    ["Alice@university.example", "ALICE@UNIVERSITY.EXAMPLE", "al ice@university.example",
     "аlice@university.example",
     "al\u200bice@university.example", "a1ice@university.example", "alíce@university.example",
     "ａlice@university.example",
     "AIice@university.example"],
)  # fmt: skip
def test_a_login_that_looks_like_another_is_found(other: str) -> None:
    """Case, blanks, accents, wide letters, letters of other alphabets, 1 and l."""
    assert look_alike(other) == look_alike("alice@university.example")
    assert login_key(other, ignores_case=False) != "alice@university.example"


def test_ordinary_logins_look_like_themselves_alone() -> None:
    """Numbers of students that differ in one digit, and the ends of addresses."""
    logins = [f"s{number:07d}" for number in range(1_000_000, 1_003_000)] + ["a@b.example", "a.b@example", "ab@example"]

    assert len({look_alike(login) for login in logins}) == len(logins)


@given(subjects)
def test_whatever_is_one_login_looks_alike(subject: str) -> None:
    """The look is coarser than the key, with and without case."""
    for ignores_case in (False, True):
        assert look_alike(login_key(subject, ignores_case=ignores_case)) == look_alike(subject)


@pytest.mark.parametrize("text", ["", " \u200b", "al\u200bice", "al\u00a0ice", "al\tice", "alice\x07", "x" * 256])
def test_a_login_with_a_sign_that_nobody_sees_inside_is_refused(text: str) -> None:
    """Around it, they are cleaned."""
    with pytest.raises(ValidationError):
        TypeAdapter(Login).validate_python(text)
    assert TypeAdapter(Login).validate_python("\u00a0alice\u200f ") == "alice"
