"""The cause that a request gives to the events which follow from it: request id and trace."""

from typing import Annotated

from fastapi import Depends, Request

from shared.envelope import Cause


async def cause(request: Request) -> Cause:
    """The cause of this request's events, as a FastAPI dependency."""
    request_id = str(request.state.request_id)
    return Cause(request_id, request_id, str(request.state.traceparent))


CauseOf = Annotated[Cause, Depends(cause)]
