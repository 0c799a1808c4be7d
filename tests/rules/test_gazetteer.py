"""Places as ministries or students write them, in Dutch, English or their own language: a code when it is certain."""

import pytest

from shared.gazetteer import resolve


@pytest.mark.parametrize(
    ("country", "text", "code"),
    [
        ("ES", "Catalonië", "ES-CT"), ("ES", "Catalonia", "ES-CT"), ("ES", "Catalunya", "ES-CT"),
        ("DE", "Beieren", "DE-BY"), ("DE", "Bavaria", "DE-BY"), ("DE", "Bayern", "DE-BY"),
        ("IT", "Toscane", "IT-52"), ("IT", "Tuscany", "IT-52"), ("IT", "Toscana", "IT-52"),
        ("AT", "Wenen", "AT-9"), ("AT", "Vienna", "AT-9"), ("CZ", "Prague", "CZ-10"),
        ("FR", "Normandy", "FR-NOR"), ("FR", "Bretagne", "FR-BRE"), ("UA", "Kharkiv", "UA-63"),
        ("KR", "North Gyeongsang", "KR-47"), ("UA", "Kyiv", "UA-30"),
    ],
)  # fmt: skip
def test_gazetteer_knows_a_region_in_dutch_english_and_its_own_language(country: str, text: str, code: str) -> None:
    """Names in Dutch and English, and those of the region itself."""
    assert resolve(country, text) == code


@pytest.mark.parametrize(
    ("country", "text"),
    [
        ("US", "Equality State"), ("US", "Washington"), ("BJ", "Hills"), ("AU", "the Golden State"), ("RU", "Moscow"),
        ("ES", "the south of Catalonia"), ("ES", "Catalonia and Andalusia"), ("FR", "Catalonia"), ("ES", "Spain"),
    ],
)  # fmt: skip
def test_gazetteer_gives_no_code_when_it_is_not_certain(country: str, text: str) -> None:
    """Nicknames, parts, several places, another country's region, a name that a city and a region share."""
    assert resolve(country, text) is None
