"""The registry of sources: one module for each, a row in the README, a test of its own; the recipe is rehearsed."""

import ast
import importlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from services.safety.polling import make_source, read_batch
from services.safety.reading import Batch, BatchRejected, CountryReading
from services.safety.rules.adoption import adopt
from services.safety.settings import FeedSettings
from services.safety.sources.documents import MayRead, is_readable
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher
from services.safety.sources.registry import SOURCES
from shared.clock import utc_now
from shared.events import Level

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "services" / "safety" / "sources"


def modules() -> set[str]:
    """The modules of the folder that define FEED."""
    sources = set()
    for path in FOLDER.glob("*.py"):
        names = {
            target.id
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if "FEED" in names:
            sources.add(path.stem)
    return sources


def test_registry_is_the_folder() -> None:
    """Every module with a FEED is in the registry, under its own name, and nothing else is."""
    assert set(SOURCES) == modules()
    for name, feed in SOURCES.items():
        assert feed is importlib.import_module(f"services.safety.sources.{name}").FEED
        assert feed.name == name


def test_registry_is_in_the_readme_and_every_source_has_its_test() -> None:
    """The README's table names each source, and its parser's tests are in `tests/rules/test_<name>.py`."""
    readme = (ROOT / "services" / "safety" / "README.md").read_text(encoding="utf-8")
    for name in SOURCES:
        assert f"| `{name}` |" in readme
        assert (ROOT / "tests" / "rules" / f"test_{name}.py").exists()


@pytest.mark.parametrize("feed", SOURCES.values(), ids=lambda feed: feed.name)
def test_source_is_asked_politely_over_tls(feed: Feed) -> None:
    """At most four requests a second to the ministry and one to the others; a floor that is no formality."""
    assert httpx.URL(feed.url).scheme == "https"
    assert feed.per_second <= (4 if feed.name == "netherlands" else 1)
    assert feed.floor >= 180
    assert feed.parser_version >= 1


# ---------------------------------------------------------------- the recipe of CONTRIBUTING.md, rehearsed


async def fetch_atlantis(source: Fetcher) -> list[bytes]:
    """The one page of an invented source."""
    return [await source.get("/advice.json")]


def parse_atlantis(pages: Sequence[bytes], now: datetime, *, floor: int, may_read: MayRead = is_readable) -> Batch:
    """Its format: country code → level."""
    levels = json.loads(pages[0])
    if len(levels) < floor:
        raise BatchRejected(f"{len(levels)} countries where at least {floor} are expected")
    readings = tuple(
        CountryReading(
            source="atlantis", source_id=country, country=country, level=level, effective_at=now,
            source_modified_at=now, text_nl="", text_en="", url="",
        )
        for country, level in levels.items()
    )  # fmt: skip
    return Batch(source="atlantis", parser_version=1, countries=readings)


ATLANTIS = Feed(
    name="atlantis", publisher="Ministry of Atlantis", url="https://advice.example", per_second=1.0,
    whole_seconds=10.0, floor=2, parser_version=1, fetch=fetch_atlantis, parse=parse_atlantis,
)  # fmt: skip


async def test_new_source_is_read_with_what_its_recipe_asks_for() -> None:
    """A FEED with `fetch` and `parse` is enough: it is fetched at its address, parsed, and each country is adopted."""
    settings = FeedSettings(user_agent_contact="mailto:test@university.example")
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, stream=httpx.ByteStream(b'{"ES": 0, "FR": 3}'))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        batch = await read_batch(make_source(ATLANTIS, settings, http), utc_now)

    confirmation = timedelta(minutes=30)
    adoptions = {
        reading.country: adopt(None, reading, None, parser_version=1, confirmation=confirmation, now=utc_now())
        for reading in batch.countries
    }
    assert asked == ["https://advice.example/advice.json"]
    assert {country: adoption.event and adoption.event.effective.after for country, adoption in adoptions.items()} == {
        "ES": Level.GREEN,
        "FR": Level.RED,
    }
