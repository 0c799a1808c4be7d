"""The registry of sources: one module each beside it, said in the README, each with a test of its own."""

import ast
import importlib
from pathlib import Path

import httpx
import pytest

from services.safety.sources.feed import Feed
from services.safety.sources.registry import SOURCES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "services" / "safety" / "sources"


def modules() -> set[str]:
    """The modules of the folder that say that they are a source."""
    found = set()
    for path in FOLDER.glob("*.py"):
        names = {
            target.id
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if "FEED" in names:
            found.add(path.stem)
    return found


def test_registry_is_the_folder() -> None:
    """No source is forgotten, none is invented, each under its own name."""
    assert set(SOURCES) == modules()
    for name, feed in SOURCES.items():
        assert feed is importlib.import_module(f"services.safety.sources.{name}").FEED
        assert feed.name == name


def test_registry_is_in_the_readme_and_every_source_has_its_test() -> None:
    """The README's table names each; its parser's tests are `tests/rules/test_<name>.py`."""
    readme = (ROOT / "services" / "safety" / "README.md").read_text(encoding="utf-8")
    for name in SOURCES:
        assert f"| `{name}` |" in readme
        assert (ROOT / "tests" / "rules" / f"test_{name}.py").exists()


@pytest.mark.parametrize("feed", SOURCES.values(), ids=lambda feed: feed.name)
def test_source_is_asked_politely_over_tls(feed: Feed) -> None:
    """At most four requests a second to the ministry, one to the others; a floor that is no formality."""
    assert httpx.URL(feed.url).scheme == "https"
    assert feed.per_second <= (4 if feed.name == "netherlands" else 1)
    assert feed.floor >= 180
    assert feed.parser_version >= 1
