"""What the tests of the foreign feeds share: where the real samples are, and damage to a document."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from services.safety.reading import Batch, BatchRejected, CountryReading

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
FEEDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "feeds"
real = pytest.mark.skipif(not FEEDS.exists(), reason=f"the samples of real feeds are not at {FEEDS}")

Parse = Callable[..., Batch]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def body(document: object) -> bytes:
    """A page that holds this."""
    return json.dumps(document).encode()


def read(parse: Parse, *documents: object) -> dict[str, CountryReading]:
    """What the pages give, by country."""
    batch = parse([body(each) for each in documents], NOW, floor=1)
    return {reading.country: reading for reading in batch.countries}


def tried(parse: Parse, pages: Sequence[bytes]) -> tuple[CountryReading, ...]:
    """What the pages give; nothing when they are rejected. Any other exception fails the test."""
    try:
        return parse(list(pages), NOW, floor=1).countries
    except BatchRejected:
        return ()


@st.composite
def damaged(draw: st.DrawFn, page: bytes) -> bytes:
    """The page cut off, changed, doubled in the middle, or with something in it."""
    changed = bytearray(page)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(changed)))
        match draw(st.sampled_from(["cut", "change", "double", "insert"])):
            case "cut":
                del changed[at:]
            case "change":
                changed[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "double":
                changed[at:at] = changed[: draw(st.integers(0, 200))]
            case _:
                changed[at:at] = draw(st.binary(max_size=8))
    return bytes(changed)


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """The document with some value, wherever it lies, of another kind or gone."""
    copy = json.loads(json.dumps(document))
    places = list(_places(copy))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(places))
        if isinstance(holder, dict) and draw(st.booleans()):
            holder.pop(key, None)
        elif isinstance(holder, dict) or key < len(holder):
            holder[key] = draw(JSON)
    return copy


def _places(value: Any) -> Any:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _places(value[key])
