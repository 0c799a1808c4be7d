"""The command context of an HTTP request, as one FastAPI dependency instead of four parameters in each route.

    async def withdraw(caller: Student, approval_id: Id, change: ChangeOf) -> JSONResponse:
        answer = await commands.withdraw(deps, change.by(permissions_of(caller)), approval_id)

The role is checked by the route's own `caller` parameter (`shared.web.identity.require`), which must stand first.
"""

from typing import Annotated

from fastapi import Depends, Header, Request

from shared.clock import utc_now
from shared.command import Command
from shared.web.cause import cause
from shared.web.concurrency import ETAG_PATTERN, if_match
from shared.web.idempotency import KEY_PATTERN, idempotent_request
from shared.web.identity import Identity, authenticate


async def command(
    request: Request,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", pattern=KEY_PATTERN)] = None,
) -> Command[Identity]:
    """A command on no particular version: it makes something new, or the version does not matter."""
    idempotency = await idempotent_request(request, idempotency_key)
    return Command(await authenticate(request), None, idempotency, await cause(request), utc_now())


async def change(
    request: Request,
    if_match_header: Annotated[str | None, Header(alias="If-Match", pattern=ETAG_PATTERN)] = None,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", pattern=KEY_PATTERN)] = None,
) -> Command[Identity]:
    """A command on the version that the caller has seen. Raises Problem 428 without If-Match."""
    expected_version = await if_match(if_match_header)
    idempotency = await idempotent_request(request, idempotency_key)
    return Command(await authenticate(request), expected_version, idempotency, await cause(request), utc_now())


CommandOf = Annotated[Command[Identity], Depends(command)]
ChangeOf = Annotated[Command[Identity], Depends(change)]
