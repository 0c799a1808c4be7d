"""Every parser on the samples of tests/data/feeds: answers that we wrote in the real formats, each with its reading."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.safety.reading import BatchRejected
from services.safety.sources.registry import SOURCES
from tests.rules.feeds import NOW, SAMPLES, pages_of, summary

CASES = sorted(path.parent for source in SOURCES for path in (SAMPLES / source).glob("*/expected.json"))
COLOURS = {"groen": "geel", "geel": "oranje", "oranje": "rood", "rood": "geel"}


def expected_of(case: Path) -> dict[str, Any]:
    """What a careful person reads in the pages of a case, without the notes."""
    expected: dict[str, Any] = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    for reading in expected.get("countries", {}).values():
        reading.pop("note", None)
    return expected


def test_samples_cover_every_source() -> None:
    """A source in the registry has a sample, so that no parser is tested on real answers alone."""
    assert {case.parent.name for case in CASES} == set(SOURCES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_sample_is_read_as_a_person_does(case: Path) -> None:
    """Level, regions, unread sentences and skipped records of every country, or the reason of the rejection."""
    parse, expected = SOURCES[case.parent.name].parse, expected_of(case)

    if "rejected" in expected:
        with pytest.raises(BatchRejected, match=expected["rejected"]):
            parse(pages_of(case), NOW, floor=1)
        return
    batch = parse(pages_of(case), NOW, floor=1)

    assert list(batch.skipped) == expected["skipped"]
    assert {reading.country for reading in batch.countries} == expected["countries"].keys()
    for reading in batch.countries:
        assert summary(reading) == expected["countries"][reading.country], reading.country


@pytest.mark.parametrize("colour", COLOURS)
def test_sample_with_another_colour_is_read_otherwise(colour: str) -> None:
    """The comparison sees a change of one colour word: it would fail for a parser that reads colours wrongly."""
    case = SAMPLES / "netherlands" / "list"
    changed = [page.replace(colour.encode(), COLOURS[colour].encode()) for page in pages_of(case)]

    batch = SOURCES["netherlands"].parse(changed, NOW, floor=1)

    readings = {reading.country: summary(reading) for reading in batch.countries}
    assert readings != expected_of(case)["countries"]
