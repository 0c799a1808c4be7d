"""Every route declares its class; each class says which conventions it is exempt from, and why."""

from enum import StrEnum
from typing import Any

from fastapi import APIRouter

from shared.web.problem import MEDIA_TYPE, ProblemBody


class RouteClass(StrEnum):
    """Who calls a route."""

    USER = "user"
    MACHINE = "machine"
    WEBHOOK = "webhook"
    ANSWER_LINK = "answer-link"
    OPERATIONS = "operations"


#: Class → convention of STANDARDS §7 → why it does not hold there. What is not listed holds.
EXEMPT: dict[RouteClass, dict[str, str]] = {
    RouteClass.USER: {},
    RouteClass.MACHINE: {},
    RouteClass.WEBHOOK: {
        "C24": "providers send no Idempotency-Key; the digest of what they send is the key",
        "C29": "providers send no JWT; HTTP Basic with a secret of their own",
        "C30": "the challenge is Basic, not Bearer",
    },
    RouteClass.ANSWER_LINK: {
        "C8": "a person reads the answer: errors are pages too",
        "C24": "answering is repeatable by nature; the newest answer and every help counts",
        "C29": "no login: the unguessable token in the link is the permission",
        "C30": "there is nothing to log in to",
    },
    RouteClass.OPERATIONS: {
        "C3": "/healthz, /readyz and /metrics are named as their readers expect them",
        "C14": "not part of the versioned API",
        "C29": "probes carry no token; the gateway does not let them through",
        "C30": "there is nothing to log in to",
    },
}

CLASS_KEY = "x-route-class"

_PROBLEMS: dict[RouteClass, tuple[int, ...]] = {
    RouteClass.USER: (400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503),
    RouteClass.MACHINE: (400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    RouteClass.WEBHOOK: (400, 401, 413, 415, 503),
    RouteClass.ANSWER_LINK: (400, 404, 413, 503),
    RouteClass.OPERATIONS: (400, 503),
}


class Routes(APIRouter):
    """A router whose routes all belong to one class, with the problems that class may answer."""

    def __init__(self, route_class: RouteClass, **options: Any) -> None:
        self.declared_class = route_class
        problems = {
            status: {"model": ProblemBody, "content": {MEDIA_TYPE: {}}, "description": "Problem"}
            for status in _PROBLEMS[route_class]
        }
        super().__init__(redirect_slashes=False, responses=problems, **options)  # type: ignore[arg-type] # int keys are FastAPI's own

    def add_api_route(self, path: str, endpoint: Any, **options: Any) -> None:
        """Every route carries the class of its router."""
        extra = dict(options.pop("openapi_extra", None) or {})
        extra[CLASS_KEY] = self.declared_class.value
        super().add_api_route(path, endpoint, openapi_extra=extra, **options)
