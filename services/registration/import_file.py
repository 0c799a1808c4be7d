"""Reads the files of `passage registration import`: JSON lines, or CSV whose columns name the parts of an object.

CSV may be as a spreadsheet writes it: with semicolons or tabs, a `sep=` line, UTF-16, rows of separators only.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from services.registration.import_cells import Refused, plain, value_of
from services.registration.import_columns import ImportField, column_of, nearest
from shared.errors import PermanentError

#: A longer JSON line is refused without being parsed.
MAX_LINE_CHARS = 100_000
MAX_HEADER_CHARS = 40
MAX_HEADERS_NAMED = 10
#: Encodings that an operator may name: nothing in a file tells them apart, and a wrong one changes names silently.
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "windows-1252", "windows-1250", "iso-8859-15", "mac-roman")
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
#: As programs of DOS ended a text.
_END_OF_FILE = "\x1a"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'"?sep=([,;|:^\t])"?[,;\s]*', re.IGNORECASE)
_AROUND_ROW = ',;|\t\r\n "'


class Unreadable(PermanentError):
    """The file cannot be imported; nothing of it was stored."""


class CsvLine(dict[str, Any]):
    """A row as a nested object. `mistakes`: the column and the reason of every cell that is refused."""

    def __init__(self, content: dict[str, Any], mistakes: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(content)
        self.mistakes = tuple(mistakes)


def decoded(content: bytes, encoding: str | None = None) -> io.StringIO:
    """The text of a file, line by line: UTF-8, or UTF-16 with its mark, or `encoding`. Raises Unreadable.

    Other encodings are not guessed: as Windows-1252 a Polish or Czech name would be another name, and nobody would see.
    """
    if encoding is not None and encoding not in ENCODINGS:
        raise Unreadable(f"no encoding {encoding[:MAX_HEADER_CHARS]}: one of {', '.join(ENCODINGS)}")
    if content.startswith(_WORKBOOKS):
        raise Unreadable("a workbook, not CSV: save it as 'CSV UTF-8'")
    if encoding is None and content.startswith(_UTF_16_MARKS):
        encoding = "utf-16"
    elif encoding is None and b"\x00" in content[:200]:
        raise Unreadable("UTF-16 without its mark: save it as 'CSV UTF-8', or name it with --encoding utf-16-le")
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        advice = "save it as 'CSV UTF-8', or name its encoding, for instance --encoding windows-1252"
        raise Unreadable(f"line {line}: is not {encoding or 'UTF-8'}: {advice}") from None
    return io.StringIO(text.removeprefix("\ufeff").rstrip(_END_OF_FILE), newline="")


def read(name: str, text: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """(number, content) of each line. `.jsonl` has an object on each, `.csv` dotted column names (`legs.0.country`).

    The content is None when it is no object. Raises Unreadable.
    """
    if name.casefold().endswith(".jsonl"):
        yield from _json_lines(text)
    elif name.casefold().endswith(".csv"):
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
    """Numbered by the lines of the file: a quoted field may span several. Rows without any value are skipped."""
    lines, before, separators = iter(text), 0, _SEPARATORS
    header = next(lines, "")
    while header and ((named := _SEPARATOR_LINE.fullmatch(header)) or not plain(header.strip(_AROUND_ROW))):
        separators = named[1] if named else separators
        header, before = next(lines, ""), before + 1
    number = before + 1
    try:
        separator = max(separators, key=lambda sign: _known_columns(header, sign))
        reader = csv.reader(chain([header], lines), delimiter=separator, strict=True, skipinitialspace=True)
        columns = _columns(next(reader, []))
        while True:
            number = before + reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            cells = [plain(cell) for cell in row]
            if any(cells):
                yield number, _content(columns, cells)
    except csv.Error as error:
        reason = "a quote that is never closed" if "end of data" in str(error) else str(error)
        raise Unreadable(f"line {number}: {reason}") from None


def _known_columns(header: str, separator: str) -> int:
    """How many columns of the header are known when it is read with this separator."""
    try:
        row = next(csv.reader([header], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return 0
    return sum(column_of(cell) is not None for cell in row)


def _columns(header: Sequence[str]) -> list[ImportField | None]:
    """The column of each cell of the first line; None for an empty one. Raises Unreadable."""
    columns = [column_of(cell) for cell in header]
    names = [column.name for column in columns if column is not None]
    wrong = [f"the column {name} twice" for name in sorted(set(names)) if names.count(name) > 1]
    if names:  # a first line without any known column is no header, and may hold names of persons
        wrong += [
            _unknown(cell) for cell, column in zip(header, columns, strict=True) if column is None and plain(cell)
        ]
    if "externalId" not in names:
        wrong.append("no column externalId")
    if wrong:
        raise Unreadable("the first line has " + ", ".join(wrong[:MAX_HEADERS_NAMED]))
    return columns


def _unknown(header: str) -> str:
    meant = nearest(header)
    return f"an unknown column {plain(header)[:MAX_HEADER_CHARS]!r}" + (f" (is it {meant}?)" if meant else "")


def _content(columns: Sequence[ImportField | None], cells: Sequence[str]) -> CsvLine | None:
    """The row as a nested object; None when it ends before a column that every registration needs.

    A spreadsheet leaves out separators at the end of a row, and adds some after the last column.
    """
    missing = columns[len(cells) :]
    if any(column is not None and column.needed for column in missing):
        return None
    values: dict[str, Any] = {}
    mistakes: list[tuple[str, str]] = []
    for place, cell in enumerate(cells):
        column = columns[place] if place < len(columns) else None
        if cell == "":
            continue
        if column is None:
            mistakes.append(("line", "has a value outside of the columns of the first line"))
            continue
        value = value_of(cell, column.kind)
        if isinstance(value, Refused):
            mistakes.append((column.name, value.reason))
        else:
            values[column.name] = value
    return CsvLine(_nested(values), mistakes)


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted column names as a nested object."""
    nested: dict[str, Any] = {}
    for column, value in flat.items():
        *parents, name = column.split(".")
        parent = nested
        for part in parents:
            parent = parent.setdefault(part, {})
        parent[name] = value
    return {name: _with_lists(value) for name, value in nested.items()}


def _with_lists(value: Any) -> Any:
    """Objects whose names are all numbers become lists, in the order of the numbers."""
    if isinstance(value, dict) and value and all(key.isdecimal() for key in value):
        return [_with_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _with_lists(part) for key, part in value.items()} if isinstance(value, dict) else value
