"""Reads the files of `passage registration import`: JSON lines, or CSV whose columns name the parts of an object."""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any

from shared.errors import PermanentError

#: A longer JSON line is refused without being parsed.
MAX_LINE_CHARS = 100_000
_BOOLEANS = {"true": True, "false": False}


class Unreadable(PermanentError):
    """The file cannot be imported; nothing of it was stored."""


def read(name: str, text: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """(number, content) of each line. `.jsonl` has an object on each, `.csv` dotted column names (`legs.0.country`).

    The content is None when it is no object. Raises Unreadable.
    """
    if name.endswith(".jsonl"):
        yield from _json_lines(text)
    elif name.endswith(".csv"):
        yield from _csv_lines(text)
    else:
        raise Unreadable("the file's name ends neither in .csv nor in .jsonl")


def _json_lines(text: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line) if len(line) <= MAX_LINE_CHARS else None
        except (ValueError, RecursionError):
            yield number, None


def _csv_lines(text: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Numbered by the lines of the file: a quoted field may span several."""
    reader = csv.reader(text, strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
        if "externalId" not in columns or len(set(columns)) != len(columns):
            raise Unreadable("the first line has no column externalId, or a column twice")
        if any(part.startswith(f"{column}.") for column in columns for part in columns):
            raise Unreadable("the first line has a column and a part of the same column")
        while True:
            number = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            if row:
                yield number, _nested(dict(zip(columns, row, strict=True))) if len(row) == len(columns) else None
    except csv.Error as error:
        raise Unreadable(f"line {reader.line_num}: {error}") from None


def _nested(flat: dict[str, str]) -> dict[str, Any]:
    """Cells by dotted column names as a nested object. An empty cell is no value."""
    nested: dict[str, Any] = {}
    for column, cell in flat.items():
        if cell == "":
            continue
        *parents, name = column.split(".")
        parent = nested
        for part in parents:
            parent = parent.setdefault(part, {})
        parent[name] = _BOOLEANS.get(cell, cell) if parents == ["answers"] else cell
    return {name: _with_lists(value) for name, value in nested.items()}


def _with_lists(value: Any) -> Any:
    """Objects whose names are all numbers become lists, in the order of the numbers."""
    if isinstance(value, dict) and value and all(key.isdigit() for key in value):
        return [_with_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _with_lists(part) for key, part in value.items()} if isinstance(value, dict) else value
