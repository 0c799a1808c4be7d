"""Media types: only unambiguous JSON in UTF-8 is accepted and sent. Anything else is a problem (400, 406, 415)."""

import json
from typing import Any

import orjson
from starlette.requests import Request

from shared.web.problem import Problem

MAX_ACCEPT_ENTRIES = 50


class StrictRequest(Request):
    """A request whose JSON must be UTF-8, without NaN, without duplicate keys and not nested too deeply."""

    async def json(self) -> Any:
        """The body. Raises JSONDecodeError, which FastAPI turns into a validation error."""
        return loads(await self.body())


def loads(body: bytes) -> Any:
    """The document in a body. Raises JSONDecodeError for anything that parsers may read differently."""
    try:
        orjson.loads(body)  # strict in everything but duplicate keys
        return json.loads(body, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):
        raise json.JSONDecodeError("not unambiguous JSON", "", 0) from None


def must_be_json(request: Request, media_type: str) -> None:
    """Raises Problem 415 for a body that is not `media_type` in UTF-8. A request without a body passes."""
    headers = request.headers
    if "content-type" not in headers:
        if "transfer-encoding" not in headers and headers.get("content-length", "0").strip() == "0":
            return  # no body at all: validation reports that
        raise _unsupported(media_type)
    given, parameters = _media_type(headers["content-type"])
    if given != media_type or parameters.get("charset", "utf-8") not in ("utf-8", "utf8", "us-ascii"):
        raise _unsupported(media_type)
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise _unsupported(media_type)


def must_take_json(request: Request) -> None:
    """Raises Problem 406 when the Accept header does not include JSON."""
    accepted = _accepted(request)
    if not accepted:
        return
    for given, quality in accepted:
        if given in ("*/*", "application/*", "application/json") and quality > 0:
            return
    raise Problem(406, "Answers are application/json: include it in Accept.")


def quality_of(request: Request, media_type: str) -> float:
    """The q of exactly this media type in the Accept header; 0 where it is not named."""
    return max((quality for given, quality in _accepted(request) if given == media_type), default=0.0)


def _accepted(request: Request) -> list[tuple[str, float]]:
    """The entries of the Accept header, each with its q."""
    header = ",".join(request.headers.getlist("accept"))
    entries = [_media_type(entry) for entry in header.split(",")[:MAX_ACCEPT_ENTRIES]] if header.strip() else []
    return [(given, _quality(parameters.get("q", "1"))) for given, parameters in entries]


def _unsupported(media_type: str) -> Problem:
    return Problem(
        415,
        f"Send {media_type} in UTF-8, not compressed.",
        dutch=f"Stuur {media_type} in UTF-8, niet gecomprimeerd.",
        headers={"Accept": media_type},
    )


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """`Application/JSON; Charset="UTF-8"` → `application/json`, `{charset: utf-8}`."""
    given, *rest = text.lower().split(";")
    parameters = {}
    for parameter in rest:
        name, _, value = parameter.partition("=")
        parameters[name.strip()] = value.strip().strip('"')
    return given.strip(), parameters


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a duplicate key")
    return values
