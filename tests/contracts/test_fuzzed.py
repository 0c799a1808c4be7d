"""Schemathesis over every OpenAPI document: whatever a caller sends, the answer is one that the document describes.

Requests are generated from the documents and sent with the token of a person who may call the route. In a part
of them dates lie at the edges of time, headers hold any bytes, and tokens have claims that nobody expects.
"""

import functools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.clock import amsterdam_date, utc_now
from shared.web.local_tokens import KEY, KID
from shared.web.problem import MEDIA_TYPE
from shared.web.routes import RouteClass
from tests.abuse.extreme_times import DATES, INSTANTS
from tests.abuse.odd_requests import BYTES, CLAIM_VALUES, CLAIMS, HEADERS, NEARLY, with_claim
from tests.contracts.services_world import EVERYBODY, Operation, Person, World, documents, operations

EXAMPLES = 12
#: Dates of next year, so that a request may succeed, and dates that nobody means.
NEAR = st.integers(1, 400).map(lambda days: amsterdam_date(utc_now()) + timedelta(days=days))
schemathesis.openapi.format("date", NEAR.map(str) | st.sampled_from([text for text in DATES if isinstance(text, str)]))
schemathesis.openapi.format(
    "date-time",
    NEAR.map(lambda day: f"{day}T09:00:00Z") | st.sampled_from([text for text in INSTANTS if isinstance(text, str)]),
)
ODD_HEADERS = st.sampled_from(HEADERS).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from((*BYTES, *NEARLY.get(name, ()))))
)
#: Of four requests three have good headers and a good token.
FEW_HEADERS = st.sampled_from([False, False, False, True]).flatmap(
    lambda is_odd: st.lists(ODD_HEADERS, min_size=1, max_size=2) if is_odd else st.just([])
)
ODD_CLAIM = st.sampled_from([False, False, False, True]).flatmap(
    lambda is_odd: st.tuples(st.sampled_from(CLAIMS), st.sampled_from(CLAIM_VALUES)) if is_odd else st.none()
)
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


def _token(world: World, caller: Person, odd: tuple[str, str] | None) -> str:
    """A token of the caller, with one claim replaced."""
    if odd is None:
        return world.token(caller)
    headers = {"kid": KID, "typ": "at+jwt"}
    payload = with_claim(world.claims(caller), *odd)
    return jwt.PyJWS().encode(payload, (world.keys / KEY).read_bytes(), algorithm="ES256", headers=headers)


def _headers(given: Mapping[str, str], token: str, odd: list[tuple[str, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of the request: the odd ones replace others of their name."""
    headers = {name.lower(): value.encode() for name, value in {**given, "Authorization": f"Bearer {token}"}.items()}
    headers |= {name.lower(): value for name, value in odd}
    return [(name.encode(), value) for name, value in headers.items()]


@pytest.mark.parametrize("route", operations(), ids=str)
def test_route_answers_whatever_a_caller_sends(world: World, route: Operation) -> None:
    """Never a 5xx, always a described status, media type, and shape; an error is a problem, or an answer link's page.

    Sent twice: a token that was verified is read from the cache the second time.
    """
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
    @given(case=described.as_strategy(), odd_headers=FEW_HEADERS, odd_claim=ODD_CLAIM)
    def fuzzed(case: Any, odd_headers: list[tuple[str, bytes]], odd_claim: tuple[str, str] | None) -> None:
        arguments = case.as_transport_kwargs(base_url=f"http://service{route.path.removesuffix(_path(route))}")
        request = {name: arguments[name] for name in ("method", "url", "params", "json", "data") if name in arguments}
        if "data" in request:
            request["content"] = request.pop("data")
        headers = _headers(case.headers or {}, _token(world, caller, odd_claim), odd_headers)

        async def send() -> httpx.Response:
            return await world.clients[route.service].request(**request, headers=headers)

        for _ in range(1 if odd_claim is None else 2):
            response = world.loop.run_until_complete(send())
            case.validate_response(response, checks=CHECKS)
            if response.status_code >= 400:
                kinds = [MEDIA_TYPE, *(["text/html"] if route.route_class is RouteClass.ANSWER_LINK else [])]
                assert response.headers["content-type"].partition(";")[0] in kinds

    fuzzed()
