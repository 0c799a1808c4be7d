"""The HTTP conventions C1-C28 and C32 (docs/standards.md) for every route of the four services, by their documents.

shared/web/routes.py lists which class of routes is exempt from which convention; a route without its line in `CALLS`
fails. A convention that the document or the collected answers show is one test over all routes; one that needs
requests of its own is one test for each route. Both report all that failed. C29-C31 are in test_tokens.py; sample
services and the wire (slow bodies, bad HTTP, the server's headers) in test_web.py and test_wire.py.
Not tested: that a change of the API has a new version with its entry (C16 sees versions, not what changed).
"""

import asyncio
import itertools
import re
import secrets
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped] # no types in the wheel
from schemathesis.specs.openapi import definitions
from starlette.requests import Request

from shared.mongo.client import MongoUnavailable
from shared.web.identity import Identity
from shared.web.paging import SIZES
from shared.web.problem import MEDIA_TYPE
from shared.web.routes import BYTES_KEY, EXEMPT, SINCE_KEY, SUNSET_KEY, RouteClass, holds
from shared.web.service import VERSION
from tests.contracts.schemas import (
    mistakes,
    named,
    places,
    replaced,
    resolved,
    wrong_texts,
    wrong_values,
)
from tests.contracts.services_world import (
    CALLS,
    MANY,
    NOBODY,
    SECURITY_HEADERS,
    STUDENT,
    Call,
    Operation,
    Person,
    World,
    bound_by,
    documents,
    instances,
    operation,
    operations,
)
from tests.failures import Failures

SERVICES = sorted(documents())
FOREIGN = "https://elsewhere.example"


Condition = Callable[[Operation], bool]
Value = TypeVar("Value")


def bound(convention: str, *conditions: Condition) -> list[Operation]:
    """The routes that a convention binds and that meet the conditions."""
    return [route for route in bound_by(convention) if all(condition(route) for condition in conditions)]


def routes(convention: str, *conditions: Condition) -> pytest.MarkDecorator:
    """One test for each route that a convention binds and that meets the conditions."""
    return pytest.mark.parametrize("route", bound(convention, *conditions), ids=str)


def spread(convention: str, values: Sequence[Value]) -> Iterator[tuple[Operation, Value]]:
    """Every route that a convention binds with one of the values, and every value with a route of each service.

    For what one middleware of all services does: all values on all routes would take ten times as long.
    """
    for service in SERVICES:
        of_service = [route for route in bound(convention) if route.service == service]
        for number in range(max(len(of_service), len(values)) if of_service else 0):
            yield of_service[number % len(of_service)], values[number % len(values)]


def check_routes(convention: str, check: Callable[[Operation], None], *conditions: Condition) -> None:
    """Check what the document says of every route; the test fails with all routes that break the convention."""
    with Failures() as failures:
        for route in bound(convention, *conditions):
            with failures.case(route):
                check(route)


AnswerCheck = Callable[[Operation, str, httpx.Response], None]


async def check_answers(world: World, convention: str, check: AnswerCheck) -> None:
    """Check every collected answer of every route; the test fails with all answers that break the convention."""
    with Failures() as failures:
        for route in bound(convention):
            for kind, response in (await answers(world, route)).items():
                with failures.case(route, kind):
                    check(route, kind, response)


def document_of(route: Operation) -> dict[str, Any]:
    """The OpenAPI document that describes a route."""
    return documents()[route.service]


def schema_of(route: Operation, status: int) -> dict[str, Any] | None:
    """The schema of a JSON answer; None without one."""
    content = route.described["responses"][str(status)].get("content", {})
    schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
    return schema


def success(route: Operation) -> int:
    """The status of the good answer."""
    return next(int(status) for status in route.described["responses"] if status < "400")


def has_body(route: Operation) -> bool:
    """Whether it takes a JSON body."""
    return "application/json" in (route.body or ())


def is_list(route: Operation) -> bool:
    """Whether it answers a list."""
    schema = schema_of(route, success(route)) or {}
    known = resolved(schema, document_of(route))
    return known.get("type") == "array" or "items" in known.get("properties", {}) or route.id.startswith("list")


def size_limit(route: Operation, method: str) -> int:
    """The size limit in bytes of a request with this method to the route's path."""
    same_path = (match for match in operations() if (match.service, match.path) == (route.service, route.path))
    described = next((match.described for match in same_path if match.method == method), {})
    return int(described.get(BYTES_KEY, 1_000_000))


def is_safe(route: Operation) -> bool:
    """Whether its method is GET."""
    return route.method == "GET"


def has_if_match(route: Operation) -> bool:
    """Whether it takes If-Match."""
    return "If-Match" in route.parameters("header")


def changes(route: Operation) -> bool:
    """Whether its method is another one than GET."""
    return route.method != "GET"


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of an answer; fails when the answer is none (C8)."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    assert body["type"].startswith("urn:safe-passage:problem:")
    return body


# ---------------------------------------------------------------- every kind of answer of a route


class FailingVerifier:
    """A token verifier that raises; no answer may quote the error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def identify(self, request: Request) -> Identity:
        """Raises."""
        raise self._error


CANARY = "canary-of-an-exception"
_answers: dict[tuple[str, str], dict[str, httpx.Response]] = {}


async def answers(world: World, route: Operation) -> dict[str, httpx.Response]:
    """The good answer of a route and every kind of error that it can be made to give; collected once."""
    key = (world.namespace, str(route))
    if key not in _answers:
        _answers[key] = {kind: response async for kind, response in _provoked(world, route)}
    return _answers[key]


async def _provoked(world: World, route: Operation) -> AsyncIterator[tuple[str, httpx.Response]]:
    yield "good", await world.send(await world.fresh(route))
    call = await world.call(route)
    yield "slash", await world.send(call, url=f"{call.url}/")
    yield "method", await world.send(call, method="DELETE" if route.method != "DELETE" else "POST")
    yield "options", await world.send(call, method="OPTIONS", headers={"Origin": FOREIGN})
    yield "large", await world.send(call, method="POST", content=b"x" * (size_limit(route, "POST") + 1))
    if route.method == "GET":
        yield "head", await world.send(call, method="HEAD")
    if call.path:
        yield "unknown", await world.send(replace(call, path=dict.fromkeys(call.path, "FO")))
        yield "strange", await world.send(replace(call, path=dict.fromkeys(call.path, "!")))
    if route.parameters("query"):
        yield "query", await world.send(call, params=dict.fromkeys(route.parameters("query"), "!"))
    if holds(route.route_class, "C29"):
        yield "nobody", await world.send(call.by(None))
        yield "bad token", await world.send(call, headers={"Authorization": "Bearer a.b.c"})
        if route.roles:
            yield "role", await world.send(call.by(NOBODY))
        verifier = world.apps[route.service].state.verifier
        for name, error in (("crash", RuntimeError(CANARY)), ("away", MongoUnavailable(CANARY))):
            world.apps[route.service].state.verifier = FailingVerifier(error)
            yield name, await world.send(call)
        world.apps[route.service].state.verifier = verifier
    elif route.route_class is RouteClass.WEBHOOK:
        yield "secret", await world.send(call, headers={"Authorization": "Basic Y206d3Jvbmc="})
    if holds(route.route_class, "C27/406"):
        yield "accept", await world.send(call, headers={"Accept": "text/html"})
    if has_body(route):
        text = {"Content-Type": "text/plain"}
        yield "type", await world.send(call, content=b"{}", headers=text)
        yield "json", await world.send(call, content=b"{", headers={"Content-Type": "application/json"})
    if has_if_match(route):
        yield "precondition", await world.send(replace(call, headers={}))
        yield "version", await world.send(call, headers={"If-Match": '"999999"'})


# ---------------------------------------------------------------- the lists themselves


def test_calls_know_every_route_and_no_other() -> None:
    """A new route needs its line in CALLS: with it every convention is tested on the route."""
    assert set(CALLS) == {route.id for route in operations()}


@pytest.mark.parametrize("route_class", RouteClass)
def test_exemptions_name_conventions_and_say_why(route_class: RouteClass) -> None:
    """An exemption is one of C1 to C32, or a part of one, with a reason."""
    for convention, reason in EXEMPT[route_class].items():
        number = re.fullmatch(r"C(\d+)(/\d{3})?", convention)
        assert number is not None
        assert 1 <= int(number[1]) <= 32
        assert len(reason) > 10


async def test_every_route_answers_the_call_that_is_made_for_it(world: World) -> None:
    """The other tests rest on this one: every route can be brought to a good answer."""
    with Failures() as failures:
        for route in operations():
            with failures.case(route):
                response = (await answers(world, route))["good"]
                assert response.status_code < 400, response.text


# ---------------------------------------------------------------- C1 to C4: addresses

#: Nouns without a plural, and resources of which their parent has one.
SINGLE = {"travel-advice", "whereabouts", "withdrawal", "checklist", "cancellation", "closure", "inbound", "history"}
SINGLE |= {"reopening", "stay-contact", "return", "claim", "release", "preview", "safety-session", "trip-change"}
VERBS = {
    "get",
    "list",
    "create",
    "update",
    "delete",
    "submit",
    "approve",
    "decide",
    "withdraw",
    "close",
    "cancel",
    "send",
}


def segments(route: Operation) -> list[str]:
    """The path below `/v1`."""
    return route.path.removeprefix("/v1").strip("/").split("/")


def test_c01_path_is_made_of_nouns_and_plural_collections() -> None:
    """C1 (ADR core/naming): no verbs; a collection is plural."""

    def check(route: Operation) -> None:
        for name, after in zip(segments(route), [*segments(route)[1:], ""], strict=True):
            if name.startswith("{"):
                continue
            assert name.partition("-")[0] not in VERBS
            assert name.endswith("s") or name in SINGLE
            assert not after.startswith("{") or name.endswith("s") or name == "travel-advice"

    check_routes("C1", check)


async def test_c02_trailing_slash_is_not_found(world: World) -> None:
    """C2 (ADR core/no-trailing-slash): 404, never a redirect."""
    with Failures() as failures:
        for route in bound("C2"):
            with failures.case(route):
                problem_of((await answers(world, route))["slash"], 404)


def test_c03_path_is_kebab_case() -> None:
    """C3 (ADR core/path-segments-kebab-case)."""

    def check(route: Operation) -> None:
        for name in segments(route):
            assert re.fullmatch(r"\{[a-z_]+\}|[a-z]+(-[a-z]+)*", name)

    check_routes("C3", check)


def test_c04_query_keys_are_camel_case() -> None:
    """C4 (ADR core/query-keys-camel-case)."""

    def check(route: Operation) -> None:
        for name in route.parameters("query"):
            assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)

    check_routes("C4", check)


# ---------------------------------------------------------------- C5: dates and instants

FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_instant(value: object) -> bool:
    return not isinstance(value, str) or (
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) is not None
        and datetime.fromisoformat(value) is not None
    )


@FORMATS.checks("date", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None


def schema_errors(route: Operation, response: httpx.Response) -> list[str]:
    """How an answer differs from its schema."""
    schema = schema_of(route, response.status_code)
    if not schema:
        return []
    whole = {**schema, "components": document_of(route)["components"]}
    return [error.message for error in Draft202012Validator(whole, format_checker=FORMATS).iter_errors(response.json())]


async def test_c05_dates_are_rfc_3339_and_instants_end_in_z(world: World) -> None:
    """C5 (ADR core/date-time): every `date` and `date-time` of an answer, as the document declares them."""
    with Failures() as failures:
        for route in bound("C5"):
            with failures.case(route):
                assert schema_errors(route, (await answers(world, route))["good"]) == []


NOT_DATES = ["1767225600", 1767225600, "2026-05-01T00:00:00Z", "01-05-2026", "2026-5-1", "2026-W18-5"]
INSTANTS = ["2026-05-01T12:00:00Z", "2026-05-01T12:00:00.5+02:00", "2026-05-01T12:00:00-11:00"]
NOT_INSTANTS = ["1767225600", 1767225600, "2026-05-01", "2026-05-01T12:00:00", "2026-05-01 12:00"]
#: Format → values with whether each is wrong.
DATE_VALUES: dict[str, list[tuple[Any, bool]]] = {
    "date": [(value, True) for value in NOT_DATES],
    "date-time": [*((value, False) for value in INSTANTS), *((value, True) for value in NOT_INSTANTS)],
}


async def test_c05_what_comes_in_is_rfc_3339_and_nothing_else(world: World) -> None:
    """C5: seconds since 1970 are no date, a date has no time, an instant has an offset, whichever it is."""
    with Failures() as failures:
        for route in bound("C5"):
            call = await world.call(route)
            for name, schema in route.parameters("query").items():
                if resolved(schema, document_of(route)).get("format") == "date":
                    for wrong in NOT_DATES:
                        with failures.case(route, "query", name, wrong):
                            response = await world.send(call, params={**call.query, name: str(wrong)})
                            assert f"query.{name}" in wrong_fields(response)
            for path, schema, _ in _places(route, call):
                for value, is_wrong in DATE_VALUES.get(schema.get("format", ""), []):
                    with failures.case(route, named(path), value):
                        response = await world.send(replace(call, json=replaced(call.json, path, value)))
                        assert (named(path) in wrong_fields(response)) is is_wrong


def wrong_fields(response: httpx.Response) -> set[str]:
    """The fields that a problem names as wrong."""
    return {error["field"] for error in response.json().get("errors", ())}


def _places(route: Operation, call: Call) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any], bool]]:
    if route.body is not None:
        yield from places(next(iter(route.body.values()))["schema"], call.json, document_of(route))


# ---------------------------------------------------------------- C6, C7: methods and state


@routes("C6", is_safe)
async def test_c06_get_and_head_change_nothing(world: World, route: Operation) -> None:
    """C6 (ADR core/http-safety): what the service keeps is the same afterwards; HEAD is GET without its body."""
    call = await world.call(route)
    before = await world.content(route.service)

    got = await world.send(call)
    head = await world.send(call, method="HEAD")

    assert await world.content(route.service) == before
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert set(head.headers) == set(got.headers)
    assert head.headers.get("etag") == got.headers.get("etag")


@routes("C6", lambda route: route.method in ("PUT", "DELETE"))
async def test_c06_put_and_delete_twice_are_once(world: World, route: Operation) -> None:
    """C6: the second request changes nothing but the times of the record."""
    call = await world.fresh(route)
    looks = replace(call, operation=_sibling(route), json=None, headers={}, query={})

    first, seen = await world.send(call), (await world.send(looks)).json()
    second, again = await world.send(call), (await world.send(looks)).json()

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    record = {"history", "changedAt", "stayContactAt", "contactConfirmedAt"}
    assert {k: v for k, v in seen.items() if k not in record} == {k: v for k, v in again.items() if k not in record}


def _sibling(route: Operation) -> Operation:
    """The GET of the resource that a route changes."""
    parts = route.path.split("/")
    parent = "/".join(parts[: max(index for index, part in enumerate(parts) if part.startswith("{")) + 1])
    reads = (match for match in operations() if match.method == "GET" and match.service == route.service)
    return next(match for match in reads if match.path == parent)


@routes("C7")
async def test_c07_answer_needs_no_session(world: World, route: Operation) -> None:
    """C7 (ADR core/stateless): no cookie is set, and a sent cookie has no effect."""
    call = await world.call(route)

    response = await world.send(call, headers={"Cookie": "session=of-somebody-else"})
    bare = await world.send(call.by(None) if holds(route.route_class, "C29") else call, headers={"Cookie": "session=x"})

    assert "set-cookie" not in response.headers
    assert "set-cookie" not in (await answers(world, route))["good"].headers
    if holds(route.route_class, "C29"):
        problem_of(bare, 401)


@routes("C7", lambda route: holds(route.route_class, "C24"), changes)
async def test_c07_another_instance_knows_what_this_one_answered(world: World, twin: World, route: Operation) -> None:
    """C7: the repeat of a command at another instance of the service gets the first answer."""
    call = (await world.fresh(route)).under(secrets.token_hex(8))
    first = await world.send(call)

    second = await twin.send(call)

    assert (second.status_code, second.json()) == (first.status_code, first.json())


# ---------------------------------------------------------------- C8 to C10: problems


async def test_c08_every_error_is_a_problem(world: World) -> None:
    """C8 (RFC 9457, OEAPI): every error has type, title, status and detail, and quotes no exception."""

    def check(route: Operation, kind: str, response: httpx.Response) -> None:
        if response.status_code >= 400:
            if kind != "head":
                problem_of(response, response.status_code)
            assert CANARY not in response.text

    await check_answers(world, "C8", check)
    with Failures() as failures:
        for route in bound("C8"):
            with failures.case(route):
                statuses = {response.status_code for response in (await answers(world, route)).values()}
                expected = {404, 405, 413} | ({401, 500, 503} if holds(route.route_class, "C29") else set())
                assert statuses >= expected


async def test_c08_unknown_address_is_a_problem(world: World) -> None:
    """C8: an address below a route where there is nothing."""
    with Failures() as failures:
        for route in bound("C8"):
            with failures.case(route):
                call = await world.call(route)
                problem_of(await world.send(call, url=f"{call.url}/there/is/nothing"), 404)


@routes("C9")
async def test_c09_invalid_parameters_are_400(world: World, route: Operation) -> None:
    """C9 (ADR core/http-response-code): one wrong query key, path parameter or header is named in a 400."""
    call = await world.call(route)
    document = document_of(route)

    def wrong_parameters(where: str) -> Iterator[tuple[str, str]]:
        for name, schema in route.parameters(where).items():
            yield from ((name, wrong) for wrong in wrong_texts(resolved(schema, document)))

    with Failures(may_be_empty=True) as failures:
        for name, wrong in wrong_parameters("query"):
            with failures.case("query", name, wrong):
                body = problem_of(await world.send(call, params={**call.query, name: wrong}), 400)
                assert [error["field"] for error in body["errors"]] == [f"query.{name}"]
        for name, wrong in wrong_parameters("path"):
            if wrong:
                with failures.case("path", name, wrong):
                    body = problem_of(await world.send(replace(call, path={**call.path, name: wrong})), 400)
                    assert [error["field"] for error in body["errors"]] == [f"path.{name}"]
        for name, wrong in wrong_parameters("header"):
            with failures.case("header", name, wrong):
                body = problem_of(await world.send(call.also({name: wrong})), 400)
                assert [error["field"] for error in body["errors"]] == [f"header.{name}"]


@routes("C32")
async def test_c32_a_filter_that_does_not_exist_is_refused_and_those_that_do_are_named(
    world: World, route: Operation
) -> None:
    """C32: a misspelt filter must not return everything; the answer says which parameters the path knows."""
    call = await world.fresh(route)
    before = await world.facts(route.service)
    for wrong in ("statuss", "pagesize", "filter[status]", "q" * 200):
        body = problem_of(await world.send(call, params={**call.query, wrong: "x"}), 400)
        (error,) = body["errors"]
        assert error["field"] == f"query.{wrong[:60]}"
        for known in route.parameters("query"):
            assert known in error["reason"]
    assert await world.facts(route.service) == before


async def test_c32_a_link_in_a_mail_and_a_callback_may_carry_parameters_of_others(world: World) -> None:
    """Mail filters append parameters to the links that they rewrite; providers choose theirs."""
    exempt = [route for route in operations() if not holds(route.route_class, "C32")]
    assert {route.route_class for route in exempt} == {RouteClass.ANSWER_LINK, RouteClass.WEBHOOK}
    with Failures() as failures:
        for route in exempt:
            with failures.case(str(route)):
                call = await world.fresh(route)
                response = await world.send(call, params={**call.query, "utm_source": "x"})
                assert response.status_code < 400


@routes("C9", has_body)
async def test_c09_invalid_body_is_400_and_changes_nothing(world: World, route: Operation) -> None:
    """C9: one mistake at a time, at every place of the body, is a 400 (never 422) that names the place."""
    call = await world.fresh(route)
    before = await world.facts(route.service)
    assert route.body is not None
    wrong_bodies = list(mistakes(next(iter(route.body.values()))["schema"], call.json, document_of(route)))
    assert len(wrong_bodies) >= 5
    with Failures() as failures:
        for field, body in wrong_bodies:
            with failures.case(field, body):
                wrong = replace(call, json=body) if body is not None else replace(call, content=b"null")
                response = await world.send(wrong, headers={"Content-Type": "application/json"})
                fields = [error["field"] for error in problem_of(response, 400)["errors"]]
                assert any(name == field or name.startswith(f"{field}.") for name in fields), fields
        with failures.case("events afterwards"):
            assert await world.facts(route.service) == before


def _mistaken(route: Operation, call: Call) -> tuple[Call, set[str]]:
    """A call with a mistake in every field, header and query key, and the names that the problem must list."""
    document, query, headers, body = document_of(route), dict(call.query), dict(call.headers), call.json
    fields = set()
    for name, schema in route.parameters("query").items():
        if wrong := wrong_texts(resolved(schema, document)):
            query[name] = wrong[0]
            fields.add(f"query.{name}")
    for name, schema in route.parameters("header").items():
        if wrong := wrong_texts(resolved(schema, document)):
            headers[name] = next(text for text in wrong if text)
            fields.add(f"header.{name}")
    for path, schema, nullable in _places(route, call):
        if path and "properties" not in schema and schema.get("type") != "array":
            body = replaced(body, path, wrong_values(schema, nullable=nullable)[0])
            fields.add(named(path))
    return replace(call, query=query, headers=headers, json=body), fields


@routes("C10")
async def test_c10_all_mistakes_are_told_together(world: World, route: Operation) -> None:
    """C10: every wrong field, header and query key in one answer."""
    call, fields = _mistaken(route, await world.call(route))
    if not fields:
        return

    body = problem_of(await world.send(call), 400)

    assert {error["field"] for error in body["errors"]} == fields
    assert all(error["reason"] for error in body["errors"])


async def test_c10_mistakes_that_the_catalogue_finds_are_told_together(world: World) -> None:
    """C10: mistakes that only the service can find (faculty, order of dates) are listed together as well."""
    for operation_id, wrong, fields in (
        ("requestApproval", {"facultyId": "nowhere", "startDate": "2027-02-01", "endDate": "2027-01-01"},
         {"body.facultyId", "body.endDate"}),
        ("submitRegistration", {"programmeId": "nowhere", "legs": [
            {"startDate": "2027-02-01", "endDate": "2027-01-01", "country": "ES"}]},
         {"body.programmeId", "body.legs.0.endDate"}),
    ):  # fmt: skip
        route = operation(operation_id)
        call = await world.call(route)

        body = problem_of(await world.send(replace(call, json={**call.json, **wrong})), 400)

        assert {error["field"] for error in body["errors"]} == fields


# ---------------------------------------------------------------- C11 to C16: the document


@pytest.mark.parametrize("service", SERVICES)
def test_c11_document_is_openapi_3_1(service: str) -> None:
    """C11 (ADR core/doc-openapi): valid against the official schema; each schema in it is a JSON schema."""
    document = documents()[service]

    errors = [error.message for error in definitions.OPENAPI_31_VALIDATOR.iter_errors(document)]

    assert errors == []
    assert document["openapi"].startswith("3.1.")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_c11_operation_ids_are_unique_among_all_services() -> None:
    """C11: operation ids are unique; only those of the operations routes recur in each service."""
    names = Counter(route.id for route in operations() if route.route_class is not RouteClass.OPERATIONS)

    assert [name for name, count in names.items() if count > 1] == []
    for service in SERVICES:
        own = Counter(route.id for route in operations() if route.service == service)
        assert max(own.values()) == 1


async def test_c11_every_answer_is_described(world: World) -> None:
    """C11: the document declares 400 and every collected status with its media type."""

    def check(route: Operation, kind: str, response: httpx.Response) -> None:
        described = route.described["responses"]
        assert "400" in described
        # Another address or another method is another operation.
        if kind in ("slash", "method", "options", "head") or response.status_code == 405:
            return
        assert str(response.status_code) in described, response.text
        if kind == "large" and route.method != "POST":
            return
        media_type = response.headers.get("content-type", "").partition(";")[0]
        assert not media_type or media_type in described[str(response.status_code)].get("content", {})

    await check_answers(world, "C11", check)


def test_c11_operation_says_what_it_is() -> None:
    """C11: a summary, a description, who may call it, and problems in their own media type."""

    def check(route: Operation) -> None:
        assert route.described["summary"]
        assert route.described["description"]
        assert route.described["security"] or not holds(route.route_class, "C29")
        for status, response in route.described["responses"].items():
            if status >= "400" and holds(route.route_class, "C8"):
                assert list(response["content"]) == [MEDIA_TYPE]

    check_routes("C11", check)


@pytest.mark.parametrize("service", SERVICES)
async def test_c12_document_is_open_to_everybody(world: World, service: str) -> None:
    """C12 (ADR core/publish-openapi): no token, CORS `*`, also from a page elsewhere, also for HEAD."""
    http = world.clients[service]
    for method in ("GET", "HEAD"):
        response = await http.request(method, "/v1/openapi.json", headers={"Origin": FOREIGN})

        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["content-type"] == "application/json"
    assert (await http.get("/v1/openapi.json")).json() == documents()[service]


@pytest.mark.parametrize("service", SERVICES)
def test_c13_document_names_a_contact(service: str) -> None:
    """C13 (ADR core/doc-openapi-contact)."""
    contact = documents()[service]["info"]["contact"]

    assert contact["name"]
    assert contact["url"].startswith("https://")
    assert "@" in contact["email"]


def test_c14_version_stands_in_the_server() -> None:
    """C14 (ADR core/uri-version): the servers of a route end in /v1 and are https."""

    def check(route: Operation) -> None:
        for server in route.described.get("servers") or document_of(route)["servers"]:
            assert re.fullmatch(r"https://[^/]+(/[a-z-]+)*/v1", server["url"])
        assert route.path.startswith("/v1/")
        assert not any(path.startswith("/v1") for path in document_of(route)["paths"])

    check_routes("C14", check)


async def test_c15_every_answer_says_its_version(world: World) -> None:
    """C15 (ADR core/version-header): `API-Version` is the document's semantic version, also on errors."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)

    def check(route: Operation, kind: str, response: httpx.Response) -> None:
        assert response.headers.get_list("api-version") == [document_of(route)["info"]["version"]]

    await check_answers(world, "C15", check)


@pytest.mark.parametrize("service", SERVICES)
def test_c16_version_has_its_entry_in_the_changelog(service: str) -> None:
    """C16 (ADR core/changelog): each version once, with a date and a text, the newest first."""
    changelog = Path("CHANGELOG.md").read_text(encoding="utf-8")
    text = changelog.partition("\n## HTTP API\n")[2].partition("\n## ")[0]
    entries = re.findall(r"^### (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)\n((?:- .+\n?)+)", text, re.MULTILINE)
    versions = [tuple(int(part) for part in version.split(".")) for version, _, _ in entries]

    assert versions == sorted(set(versions), reverse=True)
    assert entries[0][0] == documents()[service]["info"]["version"]
    assert len(entries) == text.count("\n### ")


# ---------------------------------------------------------------- C17 to C21: headers


async def test_c17_deprecated_routes_say_so_and_no_others(world: World) -> None:
    """C17 (RFC 9745, RFC 8594): `Deprecation` and `Sunset` exactly where the document says deprecated."""

    def check(route: Operation, kind: str, response: httpx.Response) -> None:
        if response.status_code in (404, 405, 413):
            return
        if route.described.get("deprecated"):
            assert re.fullmatch(r"@\d+", response.headers["deprecation"])
            assert parsedate_to_datetime(response.headers["sunset"]) is not None
            assert {SINCE_KEY, SUNSET_KEY} <= set(route.described)
        else:
            assert not {"deprecation", "sunset"} & set(response.headers)

    await check_answers(world, "C17", check)


#: Words for data that identify a person; ids are pseudonyms.
PERSONAL = {
    "name",
    "surname",
    "given",
    "mail",
    "email",
    "phone",
    "mobile",
    "birth",
    "address",
    "student",
    "contact",
    "sub",
}
PERSONAL |= {"login", "user", "esi", "iban", "passport", "person"}


async def test_c18_address_holds_nothing_personal(world: World) -> None:
    """C18: no path or query parameter is for personal data, and no `Location` holds any."""

    def check(route: Operation, kind: str, response: httpx.Response) -> None:
        for name in (*route.parameters("path"), *route.parameters("query")):
            assert not {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)} & PERSONAL
        location = response.headers.get("location", "")
        assert not any(canary in location for canary in STUDENT.canaries)

    await check_answers(world, "C18", check)


async def test_c19_every_answer_has_the_security_headers(world: World) -> None:
    """C19 (ADR core/transport/security-headers): each once, on good answers and on errors."""

    def check(route: Operation, kind: str, response: httpx.Response) -> None:
        for header, value in SECURITY_HEADERS.items():
            values = response.headers.get_list(header)
            if header == "Content-Security-Policy":
                assert len(values) == 1
                assert {value, "default-src 'none'"} <= {directive.strip() for directive in values[0].split(";")}
            else:
                assert values == [value], header

    await check_answers(world, "C19", check)


async def test_c20_no_page_elsewhere_may_read_the_answers(world: World) -> None:
    """C20: without configured origins no answer has CORS headers; `test_web.py` configures some."""
    with Failures() as failures:
        for route in bound("C20"):
            call = await world.call(route)
            preflight = {"Origin": FOREIGN, "Access-Control-Request-Method": route.method}
            for response in (
                await world.send(call, headers={"Origin": FOREIGN}),
                await world.send(call, method="OPTIONS", headers=preflight),
            ):
                with failures.case(route, response.request.method):
                    assert not any(name.startswith("access-control-") for name in response.headers)


LEAKS = re.compile(r"fastapi|starlette|uvicorn|pydantic|python|motor|traceback|\.py\b|httptools", re.IGNORECASE)


async def test_c21_answers_do_not_name_what_they_are_made_with(world: World) -> None:
    """C21: neither headers nor bodies name frameworks, servers or files."""

    def check(route: Operation, kind: str, response: httpx.Response) -> None:
        assert not {"server", "x-powered-by"} & set(response.headers)
        assert LEAKS.search(f"{response.headers} {response.text}") is None

    await check_answers(world, "C21", check)


FRAMEWORK_PAGES = ("/docs", "/redoc", "/openapi.json", "/asyncapi", "/asyncapi/try", "/debug", "/.env")


@pytest.mark.parametrize("service", SERVICES)
async def test_c21_nothing_of_a_framework_is_served(world: World, service: str) -> None:
    """C21: no service answers at the addresses of a framework's own pages."""
    with Failures() as failures:
        for path, method in itertools.product(FRAMEWORK_PAGES, ("GET", "POST")):
            with failures.case(method, path):
                problem_of(await world.clients[service].request(method, path), 404)


# ---------------------------------------------------------------- C22: pages


@routes("C22", is_list)
async def test_c22_list_comes_in_pages_of_the_sizes_of_oeapi(world: World, route: Operation) -> None:
    """C22 (OEAPI): `pageSize`, `pageNumber`, `hasNextPage`, `items`; other sizes and numbers are a 400."""
    call = await world.call(route)
    assert {"pageSize", "pageNumber"} <= set(route.parameters("query"))
    for size in SIZES:
        body = (await world.send(call, params={**call.query, "pageSize": str(size)})).json()
        assert {"pageSize", "pageNumber", "hasNextPage", "items"} <= set(body)
        assert (body["pageSize"], body["pageNumber"]) == (size, 1)
        assert len(body["items"]) <= size
    for key, wrong in (("pageSize", "15"), ("pageSize", "1000"), ("pageNumber", "0"), ("pageNumber", "-1")):
        problem_of(await world.send(call, params={**call.query, key: wrong}), 400)
    far = (await world.send(call, params={**call.query, "pageNumber": "1000"})).json()
    assert (far["items"], far["hasNextPage"]) == ([], False)


@routes("C22", is_list)
async def test_c22_pages_together_are_the_list(world: World, route: Operation) -> None:
    """C22: the pages together hold every item once and in order, and the last page says that it is the last."""
    call = await world.call(route)
    if route.id == "listAlertRecipients":
        call = replace(call, path={"alert_id": "ES-1"})
    whole: list[Any] = []
    for number in range(1, 30):
        page = (await world.send(call, params={**call.query, "pageSize": "250", "pageNumber": str(number)})).json()
        whole += page["items"]
        if not page["hasNextPage"]:
            break
        assert len(page["items"]) == 250
    assert page["hasNextPage"] is False

    found: list[Any] = []
    for number in range(1, len(whole) // 10 + 2):
        page = (await world.send(call, params={**call.query, "pageSize": "10", "pageNumber": str(number)})).json()
        found += page["items"]
        assert page["hasNextPage"] is (len(found) < len(whole))
        if not page["hasNextPage"]:
            break

    assert found == whole
    #: Of these there are few.
    few = ("listProgrammes", "listRotationSlots", "listSources", "listCountrySources", "listUnregisteredApprovals")
    assert len(found) > 10 or route.id in few


async def test_c22_page_that_leaves_people_out_shows_nobody_twice(world: World) -> None:
    """C22: a page leaves out people in another region of the country, and does not fill up from the next page."""
    first = await world.be_in("CH", Person("elsewhere", ("student",)), region="CH-ZH")
    others = [await world.be_in("CH", Person(f"perhaps-{number}", ("student",))) for number in range(MANY)]
    call = await world.call(operation("listWhereabouts"))
    found = []
    for number in (1, 2):
        query = {"country": "CH", "region": "CH-BE", "pageSize": "10", "pageNumber": str(number)}
        page = (await world.send(replace(call, query=query))).json()
        found += [stay["registrationId"] for stay in page["items"]]
        assert page["hasNextPage"] is (number == 1)

    assert found == others
    assert first not in found


# ---------------------------------------------------------------- C23: versions that were seen


@routes("C23", has_if_match)
async def test_c23_change_without_if_match_is_428_and_on_an_old_version_412(world: World, route: Operation) -> None:
    """C23 (RFC 9110, RFC 6585): absent 428, other than current 412 with the current ETag, current passes."""
    call = await world.fresh(route)
    looks = replace(call, operation=_sibling(route), json=None, headers={}, query={})
    current = (await world.send(looks)).headers["etag"]
    before = await world.facts(route.service)

    problem_of(await world.send(replace(call, headers={})), 428)
    stale = await world.send(call.also({"If-Match": '"999999"'}))
    problem_of(stale, 412)
    assert stale.headers["etag"] == current
    assert await world.facts(route.service) == before

    response = await world.send(call.also({"If-Match": current}))
    assert response.status_code < 300
    assert response.headers["etag"] not in ("", current)
    assert (await world.send(looks)).headers["etag"] == response.headers["etag"]


@routes("C23", has_if_match)
async def test_c23_of_two_changes_at_once_one_wins(world: World, route: Operation) -> None:
    """C23: of two callers with the same version one succeeds, and the other gets 409 or 412."""
    call = await world.fresh(route)
    looks = replace(call, operation=_sibling(route), json=None, headers={}, query={})
    current = (await world.send(looks)).headers["etag"]
    both = call.also({"If-Match": current})

    both_answers = await asyncio.gather(world.send(both), world.send(both))

    statuses = sorted(answer.status_code for answer in both_answers)
    assert statuses[0] in (200, 201)
    assert statuses[1] in (409, 412)


def test_c23_put_patch_and_delete_need_if_match() -> None:
    """C23: PUT, PATCH and DELETE declare If-Match."""

    def check(route: Operation) -> None:
        assert has_if_match(route)

    check_routes("C23", check, lambda route: route.method in ("PUT", "PATCH", "DELETE"))


# ---------------------------------------------------------------- C24: repeats


@routes("C24", changes)
async def test_c24_repeat_gets_the_first_answer_and_changes_nothing(world: World, route: Operation) -> None:
    """C24: same key, same request: same status, body, ETag and Location; no second event is recorded."""
    assert "Idempotency-Key" in route.parameters("header")
    call = (await world.fresh(route)).under(secrets.token_hex(8))
    first = await world.send(call)
    before = await world.facts(route.service)

    second = await world.send(call)

    assert first.status_code < 300
    assert (second.status_code, second.json()) == (first.status_code, first.json())
    for header in ("etag", "location"):
        assert second.headers.get(header) == first.headers.get(header)
    assert await world.facts(route.service) == before


@routes("C24", changes)
async def test_c24_two_at_once_are_one(world: World, route: Operation) -> None:
    """C24: the same request twice at the same moment has one effect; the second waits, or gets 409 with Retry-After."""
    alone, both = await world.fresh(route), await world.fresh(route)
    start = await world.facts(route.service)
    await world.send(alone)
    one = await world.facts(route.service) - start
    call = both.under(secrets.token_hex(8))

    both_answers = await asyncio.gather(world.send(call), world.send(call))

    assert await world.facts(route.service) - start == 2 * one
    good = [answer for answer in both_answers if answer.status_code < 300]
    assert good
    assert all(answer.json() == good[0].json() for answer in good)
    for answer in both_answers:
        if answer.status_code >= 300:
            problem_of(answer, 409)
            assert answer.headers["retry-after"]


#: Field → a value that the first body does not have.
OTHER_VALUES = {
    "alertId": "XX-1",
    "description": "Something else.", "reason": "Something else.", "remark": "Something else.",
    "answer": "Something else.", "language": "nl", "surname": "Else", "name": "Something else.",
    "messageNl": "Iets anders.", "text": "Something else.", "personId": "somebody-else", "attended": False,
}  # fmt: skip


@routes("C24", changes, has_body)
async def test_c24_key_with_another_body_is_422(world: World, route: Operation) -> None:
    """C24: 422, the documented exception to C9."""
    call = (await world.fresh(route)).under(secrets.token_hex(8))
    await world.send(call)
    properties = _properties(route)
    name = next(name for name in OTHER_VALUES if name in properties)
    allowed = properties[name].get("enum", [OTHER_VALUES[name]])
    other = next(value for value in allowed if value != call.json.get(name))

    problem_of(await world.send(replace(call, json={**call.json, name: other})), 422)


def _properties(route: Operation) -> Mapping[str, Any]:
    assert route.body is not None
    found: Mapping[str, Any] = resolved(next(iter(route.body.values()))["schema"], document_of(route))["properties"]
    return found


@routes("C24", changes)
async def test_c24_key_of_somebody_else_is_another_key(world: World, route: Operation) -> None:
    """C24: a caller with another person's key gets an answer of their own, never the stored one."""
    call = (await world.fresh(route)).under(secrets.token_hex(8))
    first = await world.send(call)
    assert call.person is not None
    stored_answers = world.mongo.database(route.service)["idempotency"]
    before = await stored_answers.count_documents({})
    stranger = Person(f"stranger-{uuid.uuid4().hex[:8]}", call.person.roles)

    other = await world.send(call.by(stranger))

    assert await stored_answers.count_documents({}) - before == (1 if other.status_code < 300 else 0)
    if "location" in first.headers:
        assert other.headers.get("location") != first.headers["location"]


# ---------------------------------------------------------------- C25 to C27: media types and amounts


def test_c25_partial_changes_are_merge_patches() -> None:
    """C25 (RFC 7396): a PATCH takes merge-patch (there is no PATCH now), a PUT takes a whole JSON document."""

    def check(route: Operation) -> None:
        assert route.body is not None
        wanted = "application/merge-patch+json" if route.method == "PATCH" else "application/json"
        assert list(route.body) == [wanted]

    check_routes("C25", check, lambda route: route.method == "PATCH" or route.id == "changeRegistration")


@routes("C26")
async def test_c26_too_many_requests_are_429_with_retry_after(tight: World, route: Operation) -> None:
    """C26 (RFC 6585): a caller above the limit gets 429; another caller is served."""
    person = Person(f"eager-{uuid.uuid4().hex[:8]}", (STUDENT.roles[0],))
    call = Call(route, person, path=dict.fromkeys(route.parameters("path"), "ES"))
    patient = Person(f"patient-{uuid.uuid4().hex[:8]}", person.roles)

    first, second = await tight.send(call), await tight.send(call)
    other = await tight.send(call.by(patient))

    assert first.status_code != 429
    problem_of(second, 429)
    assert int(second.headers["retry-after"]) >= 1
    assert other.status_code == first.status_code
    assert "429" in route.described["responses"]


@pytest.mark.parametrize("route", bound_by("C27"), ids=str)
async def test_c27_too_large_is_413(world: World, route: Operation) -> None:
    """C27: 413 at once for a Content-Length above the limit, and while reading a body without one."""
    call = await world.call(route)
    is_too_large((await answers(world, route))["large"], route)
    before = await world.facts(route.service)

    async def without_length() -> AsyncIterator[bytes]:
        yield (call.content or b" ")[:5]  # a wrong beginning may be refused before the size is
        for _ in range(size_limit(route, route.method) // 100_000 + 2):
            yield b" " * 100_000

    if call.json is not None or call.content is not None:  # a body that the route does not read has no limit
        media_type = call.headers.get("Content-Type", "application/json")
        is_too_large(await world.send(call, content=without_length(), headers={"Content-Type": media_type}), route)
    assert await world.facts(route.service) == before


def is_too_large(response: httpx.Response, route: Operation) -> None:
    """Assert that it is 413: a problem, or a page where a person reads it."""
    if route.route_class is RouteClass.ANSWER_LINK:
        assert (response.status_code, response.headers["content-type"]) == (413, "text/html; charset=utf-8")
    else:
        problem_of(response, 413)


WRONG_TYPES = [
    "text/plain", "text/json", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data",
    "application/problem+json", "application/merge-patch+json", "application/json; charset=latin-1", "nonsense", "",
]  # fmt: skip


@routes("C27/415", has_body)
async def test_c27_other_media_types_are_415(world: World, route: Operation) -> None:
    """C27: only JSON in UTF-8 is read; parameters of the media type that change nothing are allowed."""
    call = await world.call(route)
    before = await world.facts(route.service)
    with Failures() as failures:
        for media_type in WRONG_TYPES:
            with failures.case(media_type):
                response = await world.send(call, content=b"{}", headers={"Content-Type": media_type})
                problem_of(response, 415)
                assert response.headers["accept"]
        with failures.case("gzip"):
            zipped = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
            problem_of(await world.send(call, content=b"{}", headers=zipped), 415)
        with failures.case("events afterwards"):
            assert await world.facts(route.service) == before
        for media_type in ("application/json", 'Application/JSON; charset="UTF-8"'):
            with failures.case(media_type):
                problem_of(await world.send(call, content=b"[]", headers={"Content-Type": media_type}), 400)


UNACCEPTABLE = ("text/html", "application/xml", "application/json;q=0", "image/*", "text/html, text/plain;q=0.5")
ACCEPTABLE = ("application/json; version=5", "*/*", "application/*", "text/html, application/json;q=0.1", "")


async def test_c27_nothing_acceptable_is_406(world: World) -> None:
    """C27: a client must accept JSON; consumers of SURFeduhub ask for it with a version."""
    with Failures() as failures:
        for route, (refused, accepted) in spread("C27/406", list(zip(UNACCEPTABLE, ACCEPTABLE, strict=True))):
            call = await world.call(route)
            with failures.case(route, refused):
                problem_of(await world.send(call, headers={"Accept": refused}), 406)
            with failures.case(route, accepted):
                assert (await world.send(call, headers={"Accept": accepted})).status_code != 406


# ---------------------------------------------------------------- C28: traces

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


async def test_c28_trace_and_request_id_come_back(world: World) -> None:
    """C28 (W3C Trace Context): the answer continues the caller's trace in a new span and returns the request id."""
    sent = f"00-{TRACE}-00f067aa0ba902b7-01"
    with Failures() as failures:
        for route in bound("C28"):
            with failures.case(route):
                call = await world.call(route)
                response = await world.send(call, headers={"traceparent": sent, "X-Request-Id": "abc-12345"})
                assert response.headers["x-request-id"] == "abc-12345"
                assert response.headers["traceparent"].startswith(f"00-{TRACE}-")
                assert response.headers["traceparent"] != sent


INVALID_TRACES = ["", "garbage", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-a-01",
                  f"00-{TRACE.upper()}-00f067aa0ba902b7-01", "x" * 5_000]  # fmt: skip
INVALID_IDS = ["", "short", "has space in it", "x" * 65, "<script>alert(1)</script>", "a\tbcdefghij", "x" * 5_000]


async def test_c28_invalid_traces_and_request_ids_are_replaced(world: World) -> None:
    """C28: an invalid trace or request id is replaced by a new one."""
    with Failures() as failures:
        for route, (trace, request_id) in spread("C28", list(zip(INVALID_TRACES, INVALID_IDS, strict=True))):
            with failures.case(route, trace[:80], request_id[:80]):
                headers = {"traceparent": trace, "X-Request-Id": request_id}
                response = await world.send(await world.call(route), headers=headers)
                assert TRACEPARENT.fullmatch(response.headers["traceparent"])
                assert TRACE not in response.headers["traceparent"]
                assert uuid.UUID(response.headers["x-request-id"])


async def test_c28_every_answer_has_a_trace_and_a_request_id(world: World) -> None:
    """C28: every collected answer, errors too."""

    def check(route: Operation, kind: str, response: httpx.Response) -> None:
        assert TRACEPARENT.fullmatch(response.headers["traceparent"])
        assert response.headers["x-request-id"]

    await check_answers(world, "C28", check)


# ---------------------------------------------------------------- more instances


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def twin(world: World) -> AsyncIterator[World]:
    """A second instance of each service beside the first."""
    async with instances(world.mongo_url, world.namespace, world.keys) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tight(world: World) -> AsyncIterator[World]:
    """Instances that let each caller ask once."""
    async with instances(world.mongo_url, world.namespace, world.keys, requests_per_second=0.001) as found:
        yield found
