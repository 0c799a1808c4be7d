"""The cause of everything that a request leads to: its id and its trace."""

from typing import Annotated

from fastapi import Depends, Request

from shared.envelope import Cause


async def cause(request: Request) -> Cause:
    """Correlation and trace of this request, as a FastAPI dependency."""
    request_id = str(request.state.request_id)
    return Cause(request_id, request_id, str(request.state.traceparent))


CauseOf = Annotated[Cause, Depends(cause)]
