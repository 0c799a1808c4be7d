"""Advice of other governments: stored as the source states it, compared with the effective level, without effect."""

from datetime import UTC, datetime, timedelta

import pytest

from services.safety.reading import CountryReading, RegionReading
from services.safety.rules.disagreement import disagreement
from services.safety.secondary_advice import SecondaryAdvice, advice_after
from shared.events import Level

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def reading(
    level: int | None = 1, *, parts: int | None = None, days_old: int = 1, quiet: bool = False
) -> CountryReading:
    """A reading of Chile by another source."""
    regions = () if parts is None else (RegionReading(area="the north", code=None, level=Level(parts)),)
    return CountryReading(
        source="canada", source_id="CL", country="CL", level=None if level is None else Level(level), regions=regions,
        regional_max=None if parts is None else Level(parts), effective_at=NOW, text_nl="", text_en="Text", url="",
        source_modified_at=NOW - timedelta(days=days_old), is_without_warning=quiet,
    )  # fmt: skip


def advice(level: int | None, parts: int | None = None, *, quiet: bool = False) -> SecondaryAdvice:
    """Its secondary advice."""
    return advice_after(None, reading(level, parts=parts, quiet=quiet), now=NOW)


@pytest.mark.parametrize(
    ("level", "worst", "theirs", "reason", "matters"),
    [
        (1, 1, advice(1), "agrees", False),
        (0, 0, advice(1), "worse", False),
        (1, 1, advice(0), "milder", False),
        (2, 2, advice(3), "worse", False),
        (3, 3, advice(2), "milder", False),
        (1, 1, advice(2), "negative_there", True),
        (2, 2, advice(1), "negative_here", True),
        (1, 1, advice(1, 3), "negative_there", True),
        (1, 3, advice(1), "negative_here", True),
        (1, 3, advice(1, 2), "milder", False),
        (1, 1, advice(None, quiet=True), "agrees", False),
        (3, 3, advice(None, quiet=True), "negative_here", True),
        (1, 2, advice(None, quiet=True), "negative_here", True),
        (None, None, advice(None, quiet=True), "unknown", False),
        (None, None, advice(2), "unknown", False),
        (1, 1, advice(None), "unknown", False),
        (None, 3, advice(1), "negative_here", True),
        (None, 3, advice(3), "unknown", False),
        (0, 0, advice(None, 3), "negative_there", True),
        (None, 3, advice(None, 3), "agrees", False),
    ],
)
def test_disagreement_matters_where_one_side_is_negative(
    level: int | None, worst: int | None, theirs: SecondaryAdvice, reason: str, matters: bool
) -> None:
    """R12, R13: countries are compared first, then the worst areas; unknown is no agreement."""
    found = disagreement(None if level is None else Level(level), None if worst is None else Level(worst), theirs)

    assert (found.reason, found.matters) == (reason, matters)


def test_secondary_advice_is_as_old_as_its_levels() -> None:
    """A new text with the same levels keeps `since`; other levels set it anew."""
    first = advice_after(None, reading(1), now=NOW)
    later = NOW + timedelta(days=3)

    same = advice_after(first, reading(1, days_old=0), now=later)
    other = advice_after(first, reading(2, days_old=0), now=later)
    parts = advice_after(first, reading(1, parts=3, days_old=0), now=later)

    assert (same.says_so_since, same.source_modified_at) == (NOW, NOW)
    assert (other.says_so_since, parts.says_so_since) == (later, later)


def test_secondary_advice_older_text_replaces_nothing() -> None:
    """Bangladesh had two entries that alternated: the older one is ignored."""
    first = advice_after(None, reading(1), now=NOW)

    assert advice_after(first, reading(2, days_old=190), now=NOW + timedelta(days=1)) is first


def test_secondary_advice_that_cannot_be_read_replaces_nothing() -> None:
    """An unreadable text replaces nothing; "no warning" does."""
    first = advice_after(None, reading(3), now=NOW)

    assert advice_after(first, reading(None, days_old=0), now=NOW) is first
    assert advice_after(first, reading(None, days_old=0, quiet=True), now=NOW).is_without_warning
