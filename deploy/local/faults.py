"""Faults of a simulator, set and read over HTTP at `/faults`."""

from collections.abc import Callable
from typing import Annotated, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from deploy.local.simulator import json_body, note, parsed

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class FaultSettings(BaseModel):
    """Base of a simulator's faults: unknown names are refused, and every fault is off by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


F = TypeVar("F", bound=FaultSettings)


class Faults(Generic[F]):
    """The current faults. A fault with a count happens that many times more."""

    def __init__(self, none: F, changed: Callable[[F], None] | None = None) -> None:
        self.current = none
        self._changed = changed

    def replace(self, faults: F) -> None:
        """Replace all current faults."""
        self.current = faults
        if self._changed is not None:
            self._changed(faults)

    def take(self, name: str) -> bool:
        """Whether the fault counted by this field happens now; if so, its count goes down by one."""
        left = int(getattr(self.current, name))
        if left <= 0:
            return False
        self.current = self.current.model_copy(update={name: left - 1})
        note("fault", name=name, left=left - 1)
        return True

    def routes(self) -> list[web.RouteDef]:
        """`GET /faults` shows the current faults, `PUT /faults` replaces all of them; `{}` clears them."""

        async def show(_: web.Request) -> web.Response:
            return web.json_response(self.current.model_dump(mode="json", by_alias=True))

        async def put(request: web.Request) -> web.Response:
            self.replace(parsed(type(self.current), await json_body(request)))
            note("faults_set")
            return web.json_response(self.current.model_dump(mode="json", by_alias=True))

        return [web.get("/faults", show), web.put("/faults", put)]
