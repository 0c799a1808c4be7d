"""Runs each HTTP request inside a context manager of its own. Plain ASGI, so that no route can leave it out."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from shared.web.limits import App, Receive, Scope, Send


class RequestContext:
    """Wraps an app: `enter()` makes the context manager of one request."""

    def __init__(self, app: App, enter: Callable[[], AbstractContextManager[None]]) -> None:
        self._app = app
        self._enter = enter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._enter():
            await self._app(scope, receive, send)
