"""Pages instead of problems, at the addresses that a person opens from a message.

A person who needs help sees what to do, in their language, whatever went wrong: also for a body that is too large, an
unknown method, or a service that cannot reach its database.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi.responses import Response
from starlette.requests import Request

from shared.web.problem import Problem


@dataclass(frozen=True, slots=True)
class ErrorPages:
    """`paths`: the addresses, without the gateway's prefix, each with everything below it. `render` makes the page."""

    paths: tuple[str, ...]
    render: Callable[[Request, Problem], Response]

    def response(self, request: Request, path: str, problem: Problem) -> Response | None:
        """The page for a problem at this path; None elsewhere."""
        if not any(path == base or path.startswith(f"{base}/") for base in self.paths):
            return None
        page = self.render(request, problem)
        page.headers.update(problem.headers)
        return page
