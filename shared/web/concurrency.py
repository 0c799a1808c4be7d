"""ETag and If-Match: optimistic concurrency. A change of a version that is no longer current is refused."""

import re
from typing import Annotated

from fastapi import Depends, Header

from shared.web.problem import Problem


def etag(version: int) -> str:
    """The ETag of a version, e.g. `"7"`."""
    return f'"{version}"'


#: `"7"`; `W/"7"`, as proxies that compress make of it; `*` for any version.
ETAG_PATTERN = r'^(\*|(W/)?"[0-9]{1,18}")$'


async def if_match(
    if_match: Annotated[str | None, Header(alias="If-Match", pattern=ETAG_PATTERN)] = None,
) -> int | None:
    """The version that the caller has seen; None for `*`. Raises Problem 428 without the header."""
    if if_match is None:
        raise Problem(428, "Send If-Match with the ETag of the version that you have seen.")
    digits = re.search(r"[0-9]+", if_match)
    return int(digits.group()) if digits else None


IfMatch = Annotated[int | None, Depends(if_match)]


def must_match(seen: int | None, current: int) -> None:
    """Raises Problem 412, with the current ETag, when the version that was seen is no longer the current one."""
    if seen is not None and seen != current:
        raise Problem(
            412,
            "It was changed since. Read the current version, then send the change again.",
            headers={"ETag": etag(current)},
        )
