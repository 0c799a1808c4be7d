"""ETag and If-Match: a change is made to the version that was seen, or not at all."""

import re
from typing import Annotated

from fastapi import Depends, Header

from shared.web.problem import Problem


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


#: `"7"`, also as a proxy that compresses weakens it; `*` for whatever there is.
ETAG_PATTERN = r'^(\*|(W/)?"[0-9]{1,18}")$'


async def if_match(
    if_match: Annotated[str | None, Header(alias="If-Match", pattern=ETAG_PATTERN)] = None,
) -> int | None:
    """The version that the caller saw; None for `*` (any). Raises 428 without the header; nonsense is a 400."""
    if if_match is None:
        raise Problem(428, "Send If-Match with the ETag that you saw.")
    digits = re.search(r"[0-9]+", if_match)
    return int(digits.group()) if digits else None


IfMatch = Annotated[int | None, Depends(if_match)]


def must_match(seen: int | None, current: int) -> None:
    """Raises 412 with the newer ETag when somebody else changed it in between."""
    if seen is not None and seen != current:
        raise Problem(412, "Somebody else changed it: look at the newer state.", headers={"ETag": etag(current)})
