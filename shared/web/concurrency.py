"""ETag and If-Match: a change is made to the version that was seen, or not at all."""

import re
from typing import Annotated

from fastapi import Depends, Header

from shared.web.problem import Problem


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


async def if_match(if_match: Annotated[str | None, Header(alias="If-Match", max_length=64)] = None) -> int | None:
    """The version that the caller saw; None for `*` (any). Raises 428 without the header, 400 for nonsense."""
    if if_match is None:
        raise Problem(428, "Send If-Match with the ETag that you saw.")
    if if_match.strip() == "*":
        return None
    match = re.fullmatch(r'\s*(?:W/)?"(\d{1,18})"\s*', if_match)
    if match is None:
        raise Problem(400, "If-Match is not an ETag of ours.", type_="invalid-request")
    return int(match.group(1))


IfMatch = Annotated[int | None, Depends(if_match)]


def must_match(seen: int | None, current: int) -> None:
    """Raises 412 with the newer ETag when somebody else changed it in between."""
    if seen is not None and seen != current:
        raise Problem(412, "Somebody else changed it: look at the newer state.", headers={"ETag": etag(current)})
