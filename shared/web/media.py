"""What is sent and what is taken: JSON that means one thing only, or a problem that says so (406, 415, 400)."""

import json
from typing import Any

import orjson
from starlette.requests import Request

from shared.web.problem import Problem

MOST_ACCEPTED = 50


class StrictRequest(Request):
    """A request whose JSON is UTF-8, without NaN, without a key twice, not nested beyond reason."""

    async def json(self) -> Any:
        """The body. Raises JSONDecodeError, which FastAPI answers together with what else is wrong."""
        return loads(await self.body())


def loads(body: bytes) -> Any:
    """The document in a body. Raises JSONDecodeError for all that is no JSON, or that others read differently."""
    try:
        orjson.loads(body)  # strict in everything but keys that come twice
        return json.loads(body, object_pairs_hook=_unique)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):
        raise json.JSONDecodeError("not JSON that means one thing only", "", 0) from None


def must_be_json(request: Request, media_type: str) -> None:
    """Raises Problem 415 for a body that is not `media_type` in UTF-8; a request without a body passes."""
    headers = request.headers
    if "content-type" not in headers:
        if "transfer-encoding" not in headers and headers.get("content-length", "0").strip() == "0":
            return  # then the missing body is what is wrong
        raise _unsupported(media_type)
    given, parameters = _media_type(headers["content-type"])
    if given != media_type or parameters.get("charset", "utf-8") not in ("utf-8", "utf8", "us-ascii"):
        raise _unsupported(media_type)
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise _unsupported(media_type)


def must_take_json(request: Request) -> None:
    """Raises Problem 406 when the caller says what they take, and JSON is not among it."""
    accepted = ",".join(request.headers.getlist("accept"))
    if not accepted.strip():
        return
    for entry in accepted.split(",")[:MOST_ACCEPTED]:
        given, parameters = _media_type(entry)
        if given in ("*/*", "application/*", "application/json") and _quality(parameters.get("q", "1")) > 0:
            return
    raise Problem(406, "Here everything is application/json.")


def _unsupported(media_type: str) -> Problem:
    return Problem(415, f"Send {media_type} in UTF-8, not compressed.", headers={"Accept": media_type})


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """`Application/JSON; Charset="UTF-8"` → `application/json`, `{charset: utf-8}`."""
    given, *rest = text.lower().split(";")
    parameters = {}
    for each in rest:
        name, _, value = each.partition("=")
        parameters[name.strip()] = value.strip().strip('"')
    return given.strip(), parameters


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found
