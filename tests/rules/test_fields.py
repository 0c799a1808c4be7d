"""Fields of request bodies: existing countries and regions, texts without control or directional characters."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.fields import CountryCode, FreeText, ShortText, is_region_of


def refused(kind: object, value: str) -> bool:
    """Whether a field refuses a value."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize("country", ["NL", "SR", "XK", "TW"])
def test_country_that_exists_is_taken(country: str) -> None:
    """ISO 3166-1, and Kosovo."""
    assert not refused(CountryCode, country)


@pytest.mark.parametrize("country", ["", "nl", "NLD", "XX", "UK", "EU", "N1", "ES\n"])
def test_country_that_does_not_exist_is_refused(country: str) -> None:
    """No made-up, lower-case or three-letter code."""
    assert refused(CountryCode, country)


@pytest.mark.parametrize(
    ("region", "country", "belongs"),
    [
        ("ES-CT", "ES", True),
        ("IT-82", "IT", True),
        ("ES-CT", "FR", False),
        ("ES-ZZ", "ES", False),
        ("XK-1", "XK", False),
    ],
)
def test_region_belongs_to_its_country(region: str, country: str, belongs: bool) -> None:
    """R16: a code that does not exist would look like a resolved place with no advice of its own."""
    assert is_region_of(region, country) == belongs


@pytest.mark.parametrize(
    "text",
    ["", "   ", "a\x00b", "a\r\nBcc: b", "a\nb", "a\tb", "safe\u202egnp", "a\u200fb", "a\u2028b", "x" * 101, "\ud800"],
)
def test_short_text_with_control_characters_is_refused(text: str) -> None:
    """One line of visible characters, at most a hundred."""
    assert refused(ShortText, text)


@pytest.mark.parametrize("text", ["Sao Paulo", "São Paulo", "’s-Hertogenbosch", "北京", "القاهرة", "<b>a & b</b>"])
def test_short_text_of_any_script_is_taken(text: str) -> None:
    """Letters of every script. Markup is plain text and is escaped where it is shown."""
    assert not refused(ShortText, text)


def test_free_text_keeps_its_lines() -> None:
    """A browser's CRLF becomes a plain new line."""
    assert TypeAdapter(FreeText).validate_python(" one\r\ntwo\n") == "one\ntwo"


@pytest.mark.parametrize("text", ["a\rb", "a\x1b[31mb", "a\u202eb", " \n ", "x" * 4001])
def test_free_text_with_control_characters_is_refused(text: str) -> None:
    """Control characters, directional overrides, an empty text, one that is too long."""
    assert refused(FreeText, text)
