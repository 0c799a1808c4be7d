"""Every list as a table: with `Accept: text/csv` a page of a list is answered as CSV, one entry on each line.

The columns are those of the JSON, nested objects by dotted names (`student.name`); an empty list has its header too.
"""

import csv
import io
import json
import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from fastapi.responses import Response
from pydantic import BaseModel
from starlette.requests import Request

from shared.spreadsheet import without_formula
from shared.web.media import quality_of
from shared.web.paging import Page

MEDIA_TYPE = "text/csv"


def entry_model(response_model: Any) -> type[BaseModel] | None:
    """The model of the entries of a list; None for a route that answers with no list."""
    if not (isinstance(response_model, type) and issubclass(response_model, Page)):
        return None
    model = get_args(response_model.model_fields["items"].annotation)[0]
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def prefers_csv(request: Request) -> bool:
    """Whether the Accept header asks for CSV, and for it no less than for JSON."""
    table = quality_of(request, MEDIA_TYPE)
    return table > 0 and table >= quality_of(request, "application/json")


def as_csv(page: Response, model: type[BaseModel], request: Request) -> Response:
    """The page as a table. `Link` names the next page, where there is one (RFC 8288)."""
    content = json.loads(bytes(page.body))
    columns = list(_columns(model, ""))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for entry in content["items"]:
        writer.writerow([cell_of(_value(entry, column)) for column in columns])
    headers = {"Content-Disposition": 'attachment; filename="list.csv"', "Vary": "Accept"}
    if content["hasNextPage"]:
        following = request.url.include_query_params(pageNumber=content["pageNumber"] + 1)
        headers["Link"] = f'<?{following.query}>; rel="next"'
    return Response(text.getvalue(), media_type=f"{MEDIA_TYPE}; charset=utf-8; header=present", headers=headers)


def _columns(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        column = f"{prefix}{field.alias or name}"
        nested = _model_in(field.annotation)
        if nested is not None:
            yield from _columns(nested, f"{column}.")
        else:
            yield column


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a field that holds one object, or null."""
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        annotation = members[0] if len(members) == 1 else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _value(entry: dict[str, Any], column: str) -> Any:
    value: Any = entry
    for part in column.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def cell_of(value: Any) -> str:
    """A value as the text of a cell. A number stays a number; a text is never run as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = "; ".join(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return without_formula(text)
