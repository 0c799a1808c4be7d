"""The answers of the ministry's feed: the record of the list, the detail of a country, as JSON or as XML. Pure.

The answers depend on the day: "Nog steeds geldig op" is always today.
"""

import json
import re
import struct
import zlib
from collections.abc import Sequence
from datetime import datetime
from xml.etree.ElementTree import Element, tostring

from deploy.local.ministry_wording import regional_blocks
from deploy.local.ministry_world import Advice, Record, shown_dates

_VALID_ON = re.compile(r"(Nog steeds geldig op: )\d{2}-\d{2}-\d{4}")
_NAMES_OF_ITEMS = {"content": "category", "files": "file", "documents": "document"}
_PIXELS = {"groen": (0, 154, 68), "geel": (255, 205, 0), "oranje": (255, 130, 0), "rood": (200, 16, 46)}
_UNKNOWN_PIXEL = (128, 128, 128)


def listed_record(advice: Advice, origin: str, now: datetime) -> Record:
    """The record as the list shows it, with its `dataurl` on this server instead of the ministry's."""
    record = dict(advice.record)
    if isinstance(shown := record.get("modificationdate"), str):
        record["modificationdate"] = _VALID_ON.sub(rf"\g<1>{shown_dates(now, now)[-10:]}", shown)
    if isinstance(url := record.get("dataurl"), str):
        record["dataurl"] = re.sub(r"^https?://[^/]+", origin, url)
    return record


def detail(advice: Advice, origin: str, now: datetime) -> Record:
    """Everything about one country: the list's record, its contents, its maps and its dates."""
    record = listed_record(advice, origin, now)
    issued = datetime.fromisoformat(advice.issued)
    record.setdefault("modificationdate", shown_dates(issued, now))
    actual = {"paragraphtitle": "Laatste wijziging", "paragraph": "<p>De tekst in het kort is bijgewerkt.</p>"}
    categories = [{"category": "Actueel", "contentblocks": [actual]}]
    if advice.regions:
        categories.append({"category": "Regionale risico's", "contentblocks": regional_blocks(advice.regions)})
    return record | {
        "modifications": f"Wat er in het reisadvies {record.get('location', '')} is veranderd",
        "issued": advice.issued,
        "available": "2020-01-01T00:00:00.000Z",
        "language": "nl",
        "license": "CC-0 (1.0)",
        "content": categories,
        "files": [_file(record, advice, kind) for kind in ("standard", "legend")],
    }


def as_json(answer: Record | Sequence[Record]) -> bytes:
    """UTF-8 JSON."""
    return json.dumps(answer, ensure_ascii=False).encode()


def as_xml(answer: Record | Sequence[Record]) -> bytes:
    """UTF-8 XML: `documents/document` for a list, `document` for one."""
    root = _element("document", answer) if isinstance(answer, dict) else _element("documents", list(answer))
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def map_image(advice: Advice) -> bytes:
    """The country's map: one pixel of its colour, as PNG."""
    pixel = bytes(_PIXELS.get(advice.level or "", _UNKNOWN_PIXEL))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + pixel)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def _file(record: Record, advice: Advice, kind: str) -> Record:
    # The real feed spells the key both ways.
    spelling = "maptype" if kind == "standard" else "mapType"
    return {
        "fileurl": f"{record.get('dataurl', '')}/map?type={kind}",
        "mimetype": "image/png",
        "filesize": str(len(map_image(advice))),
        "filename": f"{advice.issued[:10].replace('-', '')}_{record.get('locationkey', '')}_{kind}.png",
        "filemodifieddate": advice.issued,
        spelling: kind,
    }


def _element(name: str, value: object) -> Element:
    element = Element(name)
    if isinstance(value, list):
        for item in value:
            element.append(_element(_NAMES_OF_ITEMS.get(name, "item"), item))
    elif isinstance(value, dict):
        for key, field in value.items():
            if key == "contentblocks":
                element.extend(_element("contentblock", block) for block in field)
            else:
                element.append(_element("name" if key == "category" else key, field))
    elif value is not None:
        element.text = str(value)
    return element
