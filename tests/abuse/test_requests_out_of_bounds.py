"""Every date and every text of every route, out of bounds over HTTP: 400 that names the field, nothing else.

Routes, parameters and fields are read from the OpenAPI documents; a route with a date or a text needs no line here.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.abuse.extreme_times import DATES, INSTANTS
from tests.contracts.services_world import Call, Operation, World, documents, operation, operations

FieldPath = tuple[str, ...]
MOMENTS = {"date": DATES, "date-time": INSTANTS}


def _resolved(route: Operation, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas that a schema may stand for: what it refers to, each of several types."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from _resolved(route, documents()[route.service]["components"]["schemas"][name])
    elif "anyOf" in schema:
        for part in schema["anyOf"]:
            yield from _resolved(route, part)
    else:
        yield schema


def _leaves(route: Operation, schema: Mapping[str, Any], path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """Every text field of a body, dates among them; the entries of a list have the name `0`."""
    for part in _resolved(route, schema):
        for name, field in part.get("properties", {}).items():
            yield from _leaves(route, field, (*path, name))
        if part.get("type") == "array":
            yield from _leaves(route, part["items"], (*path, "0"))
        if part.get("type") == "string":
            yield path, part


def _body_fields(route: Operation) -> list[tuple[FieldPath, Any]]:
    schema = (route.body or {}).get("application/json", {}).get("schema")
    return list(_leaves(route, schema)) if schema is not None else []


def _query_moments(route: Operation) -> list[tuple[str, str]]:
    """The query parameters that hold a date or a time, with the format."""
    return [
        (name, part["format"])
        for name, schema in route.parameters("query").items()
        for part in _resolved(route, schema)
        if part.get("format") in MOMENTS
    ]


def _with(body: Any, path: FieldPath, value: object) -> Any:
    """The body with another value in a field; objects on the way are made."""
    changed = deepcopy(body) if body is not None else {}
    *parents, last = path
    place = changed
    for number, name in enumerate(parents):
        after = path[number + 1]
        if isinstance(place, list):
            place = place[int(name)] if place else place.append([] if after == "0" else {}) or place[0]
        else:
            if not isinstance(place.get(name), dict | list) or place[name] == []:
                place[name] = [] if after == "0" else {}
            place = place[name]
    if isinstance(place, list):
        place[:] = [value]
    else:
        place[last] = value
    return changed


DATED_ROUTES = [
    route
    for route in operations()
    if _query_moments(route) or any(leaf.get("format") in MOMENTS for _, leaf in _body_fields(route))
]
WORDED_ROUTES = [route for route in operations() if any("maxLength" in leaf for _, leaf in _body_fields(route))]


def test_routes_with_dates_are_found() -> None:
    """Those that the trial broke are among them, so the search for dates works."""
    known = {"requestApproval", "submitRegistration", "setOverride", "listWhereabouts", "getTravelAdvice"}

    assert known <= {route.id for route in DATED_ROUTES}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("route", DATED_ROUTES, ids=str)
async def test_date_that_nobody_means_is_refused(four_services: World, route: Operation) -> None:
    """The edges of time, seconds since 1970, a time without its zone: 400, and the answer names the field."""
    call = await four_services.call(route)
    wrong: list[str] = []
    for path, leaf in _body_fields(route):
        for value in MOMENTS.get(leaf.get("format", ""), ()):
            response = await four_services.send(replace(call, json=_with(call.json, path, value)))
            if response.status_code != 400 or f"body.{'.'.join(path)}" not in response.text:
                wrong.append(f"{'.'.join(path)} = {value!r}: {response.status_code} {response.text[:200]}")
    for name, moment in _query_moments(route):
        for value in MOMENTS[moment]:
            query = {**call.query, name: str(value)}
            response = await four_services.send(replace(call, query=query))
            if response.status_code != 400 or f"query.{name}" not in response.text:
                wrong.append(f"{name}={value!r}: {response.status_code} {response.text[:200]}")

    assert wrong == []


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("route", WORDED_ROUTES, ids=str)
async def test_text_longer_than_documented_is_refused(four_services: World, route: Operation) -> None:
    """One character more than the document allows, and a hundred thousand: 400."""
    call = await four_services.call(route)
    wrong: list[str] = []
    for path, leaf in _body_fields(route):
        if "maxLength" not in leaf:
            continue
        for length in (leaf["maxLength"] + 1, 100_000):
            response = await four_services.send(replace(call, json=_with(call.json, path, "x" * length)))
            if response.status_code != 400:
                wrong.append(f"{'.'.join(path)} of {length}: {response.status_code} {response.text[:200]}")

    assert wrong == []


@pytest.mark.asyncio(loop_scope="session")
async def test_longest_reason_is_taken(four_services: World) -> None:
    """What the document allows: an override with a reason of 500 characters, a message of 1,000."""
    longest = {"setOverride": (("reason", 500),), "previewAlert": (("messageNl", 1_000), ("messageEn", 1_000))}
    answers: dict[str, int] = {}
    for name, fields in longest.items():
        call: Call = await four_services.fresh(operation(name))
        response = await four_services.send(
            replace(call, json={**call.json, **{field: "x" * n for field, n in fields}})
        )
        answers[name] = response.status_code

    assert answers == {"setOverride": 201, "previewAlert": 200}
