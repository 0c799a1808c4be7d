"""CSV files that a spreadsheet opens: no cell of any export is run as a formula."""

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.requests import Request

from shared.audit.replay import FIELDS, CsvFile
from shared.spreadsheet import without_formula
from shared.web.csv_lists import as_csv

ROOT = Path(__file__).resolve().parents[2]
#: OWASP, CSV Injection: a cell that begins with one of these is a formula to some spreadsheet.
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@pytest.mark.parametrize("start", STARTS)
def test_text_that_begins_like_a_formula_is_a_text(start: str) -> None:
    """It gets an apostrophe and keeps every character; the sign anywhere else changes nothing."""
    assert without_formula(f"{start}1+1") == f"'{start}1+1"
    assert without_formula(start) == f"'{start}"
    assert without_formula(f"a{start}1") == f"a{start}1"
    assert without_formula("") == ""


@pytest.mark.parametrize("start", STARTS)
def test_export_of_events_has_no_formula_in_any_column(start: str) -> None:
    """Every text column of the auditor's export; numbers and empty cells stay as they are."""
    file = io.BytesIO()
    rows = CsvFile(file)
    rows.add(dict.fromkeys(FIELDS, f"{start}1+1"))
    rows.add({**dict.fromkeys(FIELDS), "offset": -1})
    rows.close()

    header, texts, numbers = csv.reader(io.StringIO(file.getvalue().decode(), newline=""))
    assert header == list(FIELDS)
    assert texts == [f"'{start}1+1"] * len(FIELDS)
    assert dict(zip(FIELDS, numbers, strict=True)) == {**dict.fromkeys(FIELDS, ""), "offset": "-1"}


class _Student(BaseModel):
    name: str


class _Entry(BaseModel):
    student: _Student
    countries: list[str]
    remark: str | None
    number: int


@dataclass
class _Page:
    """What `as_csv` reads of a page."""

    items: list[dict[str, Any]]

    @property
    def response(self) -> Response:
        """The page as JSON."""
        content = {"items": self.items, "hasNextPage": False, "pageNumber": 1}
        return Response(json.dumps(content), media_type="application/json")


@pytest.mark.parametrize("start", STARTS)
def test_list_as_a_table_has_no_formula_in_any_column(start: str) -> None:
    """Nested fields and lists of texts as well."""
    text = f"{start}1+1"
    page = _Page([{"student": {"name": text}, "countries": [text, "ES"], "remark": text, "number": -1}])
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []})

    answer = as_csv(page.response, _Entry, request)

    header, row = csv.reader(io.StringIO(bytes(answer.body).decode(), newline=""))
    assert header == ["student.name", "countries", "remark", "number"]
    assert row == [f"'{text}", f"'{text}; ES", f"'{text}", "-1"]


def test_these_are_all_exports() -> None:
    """A new module that writes CSV has to be tested here."""
    writes = re.compile(r"csv\.(?:writer|DictWriter)\(")
    modules = {
        str(path.relative_to(ROOT))
        for folder in ("services", "shared")
        for path in (ROOT / folder).rglob("*.py")
        if writes.search(path.read_text(encoding="utf-8"))
    }

    assert modules == {"shared/audit/replay.py", "shared/web/csv_lists.py"}
