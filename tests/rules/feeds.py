"""What the tests of the parsers share: the samples, ours and real ones, and damage to a document."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from services.safety.reading import Batch, BatchRejected, CountryReading

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
#: Answers that we wrote in the real formats; always here. See the README there.
SAMPLES = Path(__file__).resolve().parents[1] / "data" / "feeds"
#: Real answers, as an extra where they lie beside the project.
FEEDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "feeds"

Parse = Callable[..., Batch]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def pages_of(case: Path) -> list[bytes]:
    """The pages of a sample, in the order of their names."""
    return [path.read_bytes() for path in sorted(case.iterdir()) if path.name != "expected.json"]


def summary(reading: CountryReading) -> dict[str, Any]:
    """A reading as the `expected.json` of a sample states it."""
    regions = [
        {"area": region.area, **({"code": region.code} if region.code else {}), "level": region.level}
        for region in reading.regions
    ]
    without_warning = {"isWithoutWarning": True} if reading.is_without_warning else {}
    return {
        "level": reading.level, "regionalMax": reading.regional_max, "regions": regions,
        "unread": len(reading.unread), **without_warning,
    }  # fmt: skip


def body(document: object) -> bytes:
    """A page that holds this."""
    return json.dumps(document).encode()


def read(parse: Parse, *documents: object) -> dict[str, CountryReading]:
    """What the pages say, by country."""
    batch = parse([body(document) for document in documents], NOW, floor=1)
    return {reading.country: reading for reading in batch.countries}


def tried(parse: Parse, pages: Sequence[bytes]) -> tuple[CountryReading, ...]:
    """What the pages say; nothing if they are rejected. Any other exception fails the test."""
    try:
        return parse(list(pages), NOW, floor=1).countries
    except BatchRejected:
        return ()


@st.composite
def damaged(draw: st.DrawFn, page: bytes) -> bytes:
    """The page cut off, changed, doubled in the middle, or with bytes inserted."""
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
    """The document with up to three values replaced by another kind, or removed."""
    copy = json.loads(json.dumps(document))
    slots = list(_slots(copy))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(slots))
        if isinstance(holder, dict) and draw(st.booleans()):
            holder.pop(key, None)
        elif isinstance(holder, dict) or key < len(holder):
            holder[key] = draw(JSON)
    return copy


def _slots(value: Any) -> Any:
    """Every container in a document with each of its keys."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _slots(value[key])
