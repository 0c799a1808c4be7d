"""Schemathesis over every OpenAPI document: whatever a caller sends, the answer is one that the document describes.

Requests are generated from the documents alone and sent with the token of a person who may call the route.
"""

import functools
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contracts.services_world import EVERYBODY, Operation, Person, World, documents, operations

EXAMPLES = 12
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


@functools.cache
def _schema(service: str) -> Any:
    return schemathesis.openapi.from_dict(documents()[service])


@functools.cache
def _described(service: str, method: str, path: str) -> Any:
    return next(
        operation.ok()
        for operation in _schema(service).get_all_operations()
        if (operation.ok().method.upper(), operation.ok().path) == (method, path)
    )


def _caller(route: Operation) -> Person | None:
    return next((person for person in EVERYBODY if {role.split(":")[0] for role in person.roles} & route.roles), None)


def _path(route: Operation) -> str:
    return route.path.removeprefix("/v1") if route.path.startswith("/v1") else route.path


@pytest.mark.parametrize("route", operations(), ids=str)
def test_route_answers_whatever_the_document_allows(world: World, route: Operation) -> None:
    """Valid by the document or nearly so: never a 5xx, always a described status, media type, and shape."""
    described = _described(route.service, route.method, _path(route))
    caller = _caller(route) or EVERYBODY[0]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described.as_strategy())
    def fuzzed(case: Any) -> None:
        arguments = case.as_transport_kwargs(base_url=f"http://service{route.path.removesuffix(_path(route))}")
        request = {name: arguments[name] for name in ("method", "url", "params", "json", "data") if name in arguments}
        headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
        headers["Authorization"] = f"Bearer {world.token(caller)}"

        async def send() -> httpx.Response:
            if "data" in request:
                request["content"] = request.pop("data")
            return await world.clients[route.service].request(**request, headers=headers)

        response = world.loop.run_until_complete(send())
        case.validate_response(response, checks=CHECKS)

    fuzzed()
