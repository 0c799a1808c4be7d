"""STANDARDS §7 C1-C31 for every route of the four services, walked from their OpenAPI documents.

A class's exemptions stand in shared/web/routes.py alone; a route without its line in `CALLS` fails. C29-C31 are in
test_tokens.py; what needs a sample service or the wire (slow bodies, bad HTTP, the server's headers) in test_web.py.
Not shown here: that a change of the API has a new version with its entry (C16 sees versions, not what changed).
"""

import asyncio
import re
import secrets
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

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
    operations,
)

SERVICES = sorted(documents())
FOREIGN = "https://elsewhere.example"


def routes(convention: str, *conditions: Any) -> pytest.MarkDecorator:
    """One test for each route that a convention binds and that meets the conditions."""
    found = [each for each in bound_by(convention) if all(condition(each) for condition in conditions)]
    return pytest.mark.parametrize("route", found, ids=str)


def document_of(route: Operation) -> dict[str, Any]:
    """The document that describes a route."""
    return documents()[route.service]


def schema_of(route: Operation, status: int) -> dict[str, Any] | None:
    """The schema of an answer in JSON, where it has one."""
    content = route.described["responses"][str(status)].get("content", {})
    schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
    return schema


def success(route: Operation) -> int:
    """The status of an answer that is no problem."""
    return next(int(status) for status in route.described["responses"] if status < "400")


def has_body(route: Operation) -> bool:
    """Whether a JSON body belongs to it."""
    return "application/json" in (route.body or ())


def is_list(route: Operation) -> bool:
    """Whether it answers many things."""
    schema = schema_of(route, success(route)) or {}
    known = resolved(schema, document_of(route))
    return known.get("type") == "array" or "items" in known.get("properties", {}) or route.id.startswith("list")


def room(route: Operation, method: str) -> int:
    """How many bytes a request to its path may have."""
    there = (each for each in operations() if (each.service, each.path) == (route.service, route.path))
    described = next((each.described for each in there if each.method == method), {})
    return int(described.get(BYTES_KEY, 1_000_000))


def is_safe(route: Operation) -> bool:
    """GET."""
    return route.method == "GET"


def has_if_match(route: Operation) -> bool:
    """Whether it changes a version that was seen."""
    return "If-Match" in route.parameters("header")


def changes(route: Operation) -> bool:
    """Whether it is there to change something."""
    return route.method != "GET"


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem in an answer; fails when it is none (C8)."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    assert body["type"].startswith("urn:safe-passage:problem:")
    return body


# ---------------------------------------------------------------- every answer that a route can be made to give


class Trouble:
    """A verifier in whose place something goes wrong, with words that nobody may see."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def identify(self, request: Request) -> Identity:
        """Raises."""
        raise self._error


CANARY = "canary-of-an-exception"
_answers: dict[tuple[str, str], dict[str, httpx.Response]] = {}


async def answers(world: World, route: Operation) -> dict[str, httpx.Response]:
    """A good answer of a route and every kind of bad one that it can be brought to; found out once."""
    key = (world.namespace, str(route))
    if key not in _answers:
        _answers[key] = {name: response async for name, response in _provoked(world, route)}
    return _answers[key]


async def _provoked(world: World, route: Operation) -> AsyncIterator[tuple[str, httpx.Response]]:
    yield "good", await world.send(await world.fresh(route))
    call = await world.call(route)
    yield "slash", await world.send(call, url=f"{call.url}/")
    yield "method", await world.send(call, method="DELETE" if route.method != "DELETE" else "POST")
    yield "options", await world.send(call, method="OPTIONS", headers={"Origin": FOREIGN})
    yield "large", await world.send(call, method="POST", content=b"x" * (room(route, "POST") + 1))
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
            world.apps[route.service].state.verifier = Trouble(error)
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
    """A route that is added needs its line in CALLS: then every convention is tried on it."""
    assert set(CALLS) == {each.id for each in operations()}


@pytest.mark.parametrize("route_class", RouteClass)
def test_exemptions_name_conventions_and_say_why(route_class: RouteClass) -> None:
    """An exemption is one of C1 to C31, or a part of one, with a reason."""
    for convention, reason in EXEMPT[route_class].items():
        number = re.fullmatch(r"C(\d+)(/\d{3})?", convention)
        assert number is not None
        assert 1 <= int(number[1]) <= 31
        assert len(reason) > 10


@pytest.mark.parametrize("route", operations(), ids=str)
async def test_route_answers_the_call_that_is_made_for_it(world: World, route: Operation) -> None:
    """The world is real: every route can be brought to a good answer."""
    response = (await answers(world, route))["good"]

    assert response.status_code < 400, response.text


# ---------------------------------------------------------------- C1 to C4: addresses

#: Nouns without a plural, and things of which there is one below what they belong to.
SINGLE = {"travel-advice", "whereabouts", "withdrawal", "checklist", "cancellation", "closure", "inbound", "history"}
SINGLE |= {"stay-contact", "return", "claim", "release", "preview", "safety-session"}
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


@routes("C1")
def test_c01_path_is_made_of_nouns_and_plural_collections(route: Operation) -> None:
    """C1 (ADR core/naming): no verbs; what has members is plural."""
    for name, after in zip(segments(route), [*segments(route)[1:], ""], strict=True):
        if name.startswith("{"):
            continue
        assert name.partition("-")[0] not in VERBS
        assert name.endswith("s") or name in SINGLE
        assert not after.startswith("{") or name.endswith("s") or name == "travel-advice"


@routes("C2")
async def test_c02_trailing_slash_is_not_found(world: World, route: Operation) -> None:
    """C2 (ADR core/no-trailing-slash): 404, never a redirect."""
    problem_of((await answers(world, route))["slash"], 404)


@routes("C3")
def test_c03_path_is_kebab_case(route: Operation) -> None:
    """C3 (ADR core/path-segments-kebab-case)."""
    for name in segments(route):
        assert re.fullmatch(r"\{[a-z_]+\}|[a-z]+(-[a-z]+)*", name)


@routes("C4")
def test_c04_query_keys_are_camel_case(route: Operation) -> None:
    """C4 (ADR core/query-keys-camel-case)."""
    for name in route.parameters("query"):
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)


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


def broken(route: Operation, response: httpx.Response) -> list[str]:
    """What an answer is not that its document says."""
    schema = schema_of(route, response.status_code)
    if not schema:
        return []
    whole = {**schema, "components": document_of(route)["components"]}
    return [error.message for error in Draft202012Validator(whole, format_checker=FORMATS).iter_errors(response.json())]


@routes("C5")
async def test_c05_dates_are_rfc_3339_and_instants_end_in_z(world: World, route: Operation) -> None:
    """C5 (ADR core/date-time): every `date` and `date-time` of an answer, as the document declares them."""
    assert broken(route, (await answers(world, route))["good"]) == []


NOT_DATES = ["1767225600", 1767225600, "2026-05-01T00:00:00Z", "01-05-2026", "2026-5-1", "2026-W18-5"]
INSTANTS = ["2026-05-01T12:00:00Z", "2026-05-01T12:00:00.5+02:00", "2026-05-01T12:00:00-11:00"]
NOT_INSTANTS = ["1767225600", 1767225600, "2026-05-01", "2026-05-01T12:00:00", "2026-05-01 12:00"]


@routes("C5")
async def test_c05_what_comes_in_is_rfc_3339_and_nothing_else(world: World, route: Operation) -> None:
    """C5: seconds since 1970 are no date, a date has no time, an instant has an offset, whichever it is."""
    call = await world.call(route)
    for name, schema in route.parameters("query").items():
        if resolved(schema, document_of(route)).get("format") == "date":
            for wrong in NOT_DATES:
                response = await world.send(call, params={**call.query, name: str(wrong)})
                assert f"query.{name}" in fields_of(response)
    for path, schema, _ in _places(route, call):
        good, wrongs = {"date": ([], NOT_DATES), "date-time": (INSTANTS, NOT_INSTANTS)}.get(
            schema.get("format", ""), ([], [])
        )
        for value in [*good, *wrongs]:
            response = await world.send(replace(call, json=replaced(call.json, path, value)))
            assert (named(path) in fields_of(response)) is (value in wrongs)


def fields_of(response: httpx.Response) -> set[str]:
    """The fields that an answer finds wrong."""
    return {each["field"] for each in response.json().get("errors", ())}


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
    """C6: the second time leaves what the first left, but for the record of when it was done."""
    call = await world.fresh(route)
    looks = replace(call, operation=_sibling(route), json=None, headers={})

    first, seen = await world.send(call), (await world.send(looks)).json()
    second, again = await world.send(call), (await world.send(looks)).json()

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    record = {"history", "changedAt", "stayContactAt", "contactConfirmedAt"}
    assert {k: v for k, v in seen.items() if k not in record} == {k: v for k, v in again.items() if k not in record}


def _sibling(route: Operation) -> Operation:
    """The GET of the resource that a route changes."""
    parts = route.path.split("/")
    parent = "/".join(parts[: max(index for index, part in enumerate(parts) if part.startswith("{")) + 1])
    return next(
        each for each in operations() if each.method == "GET" and (each.service, each.path) == (route.service, parent)
    )


@routes("C7")
async def test_c07_answer_needs_no_session(world: World, route: Operation) -> None:
    """C7 (ADR core/stateless): no cookie is set, and one that is sent means nothing."""
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


@routes("C8")
async def test_c08_every_error_is_a_problem(world: World, route: Operation) -> None:
    """C8 (RFC 9457, OEAPI): whatever goes wrong has type, title, status and detail, and quotes nothing."""
    seen = Counter[int]()
    for name, response in (await answers(world, route)).items():
        if response.status_code >= 400:
            if name != "head":
                problem_of(response, response.status_code)
            assert CANARY not in response.text
            seen[response.status_code] += 1

    assert {404, 405, 413} <= set(seen)
    if holds(route.route_class, "C29"):
        assert {401, 500, 503} <= set(seen)


@routes("C8")
async def test_c08_unknown_address_is_a_problem(world: World, route: Operation) -> None:
    """C8: also below a route where there is nothing."""
    call = await world.call(route)

    problem_of(await world.send(call, url=f"{call.url}/there/is/nothing"), 404)


@routes("C9")
async def test_c09_invalid_parameters_are_400(world: World, route: Operation) -> None:
    """C9 (ADR core/http-response-code): every query key, path parameter and header with what it cannot be."""
    call = await world.call(route)
    document = document_of(route)
    for name, schema in route.parameters("query").items():
        for wrong in wrong_texts(resolved(schema, document)):
            body = problem_of(await world.send(call, params={**call.query, name: wrong}), 400)
            assert [each["field"] for each in body["errors"]] == [f"query.{name}"], (name, wrong)
    for name, schema in route.parameters("path").items():
        for wrong in wrong_texts(resolved(schema, document)):
            if wrong:
                body = problem_of(await world.send(replace(call, path={**call.path, name: wrong})), 400)
                assert [each["field"] for each in body["errors"]] == [f"path.{name}"]
    for name, schema in route.parameters("header").items():
        for wrong in wrong_texts(resolved(schema, document)):
            body = problem_of(await world.send(call.also({name: wrong})), 400)
            assert [each["field"] for each in body["errors"]] == [f"header.{name}"]


@routes("C9", has_body)
async def test_c09_invalid_body_is_400_and_changes_nothing(world: World, route: Operation) -> None:
    """C9: one mistake at a time, at every place of the body; never 422, and the place is named."""
    call = await world.fresh(route)
    before = await world.facts(route.service)
    assert route.body is not None
    tried = 0
    for field, body in mistakes(next(iter(route.body.values()))["schema"], call.json, document_of(route)):
        response = await world.send(replace(call, json=body) if body is not None else replace(call, content=b"null"),
                                    headers={"Content-Type": "application/json"})  # fmt: skip
        fields = [each["field"] for each in problem_of(response, 400)["errors"]]
        assert any(each == field or each.startswith(f"{field}.") for each in fields), (field, fields)
        tried += 1

    assert tried >= 5
    assert await world.facts(route.service) == before


def _mistaken(route: Operation, call: Call) -> tuple[Call, set[str]]:
    """A call with everything wrong that can be wrong at once, and what has to be named."""
    document, query, headers, body = document_of(route), dict(call.query), dict(call.headers), call.json
    fields = set()
    for name, schema in route.parameters("query").items():
        if wrong := wrong_texts(resolved(schema, document)):
            query[name] = wrong[0]
            fields.add(f"query.{name}")
    for name, schema in route.parameters("header").items():
        if wrong := wrong_texts(resolved(schema, document)):
            headers[name] = next(each for each in wrong if each)
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

    assert {each["field"] for each in body["errors"]} == fields
    assert all(each["reason"] for each in body["errors"])


async def test_c10_mistakes_that_the_catalogue_finds_are_told_together(world: World) -> None:
    """C10: what only the service can know (faculty, order of dates) is collected, too."""
    for operation_id, wrong, fields in (
        ("requestApproval", {"facultyId": "nowhere", "startDate": "2027-02-01", "endDate": "2027-01-01"},
         {"body.facultyId", "body.endDate"}),
        ("submitRegistration", {"programmeId": "nowhere", "legs": [
            {"startDate": "2027-02-01", "endDate": "2027-01-01", "country": "ES"}]},
         {"body.programmeId", "body.legs.0.endDate"}),
    ):  # fmt: skip
        route = next(each for each in operations() if each.id == operation_id)
        call = await world.call(route)

        body = problem_of(await world.send(replace(call, json={**call.json, **wrong})), 400)

        assert {each["field"] for each in body["errors"]} == fields


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
    """C11: an operation is named once; what operates a service has its name in each of them."""
    names = Counter(each.id for each in operations() if each.route_class is not RouteClass.OPERATIONS)

    assert [name for name, count in names.items() if count > 1] == []
    for service in SERVICES:
        own = Counter(each.id for each in operations() if each.service == service)
        assert max(own.values()) == 1


@routes("C11")
async def test_c11_every_answer_is_described(world: World, route: Operation) -> None:
    """C11: 400 is declared, and so is every status that was seen, with its media type."""
    described = route.described["responses"]
    assert "400" in described
    for name, response in (await answers(world, route)).items():
        # What is not this operation (another address, another method) is not described by it.
        if name in ("slash", "method", "options", "head") or response.status_code == 405:
            continue
        assert str(response.status_code) in described, (name, response.text)
        if name == "large" and route.method != "POST":
            continue
        media_type = response.headers.get("content-type", "").partition(";")[0]
        assert not media_type or media_type in described[str(response.status_code)].get("content", {}), (
            name,
            media_type,
        )


@routes("C11")
def test_c11_operation_says_what_it_is(route: Operation) -> None:
    """C11: a summary, a description, who may call it, and problems in their own media type."""
    assert route.described["summary"]
    assert route.described["description"]
    assert route.described["security"] or not holds(route.route_class, "C29")
    for status, response in route.described["responses"].items():
        if status >= "400" and holds(route.route_class, "C8"):
            assert list(response["content"]) == [MEDIA_TYPE]


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


@routes("C14")
def test_c14_version_stands_in_the_server(route: Operation) -> None:
    """C14 (ADR core/uri-version): the servers of a route end in /v1 and are https."""
    servers = route.described.get("servers") or document_of(route)["servers"]

    for server in servers:
        assert re.fullmatch(r"https://[^/]+(/[a-z-]+)*/v1", server["url"])
    assert route.path.startswith("/v1/")
    assert not any(path.startswith("/v1") for path in document_of(route)["paths"])


@routes("C15")
async def test_c15_every_answer_says_its_version(world: World, route: Operation) -> None:
    """C15 (ADR core/version-header): `API-Version` is the document's semantic version, also on errors."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    for name, response in (await answers(world, route)).items():
        assert response.headers.get_list("api-version") == [document_of(route)["info"]["version"]], name


@pytest.mark.parametrize("service", SERVICES)
def test_c16_version_has_its_entry_in_the_changelog(service: str) -> None:
    """C16 (ADR core/changelog): each version once, dated, the newest first, and something said about it."""
    changelog = Path("CHANGELOG.md").read_text(encoding="utf-8")
    text = changelog.partition("\n## HTTP API\n")[2].partition("\n## ")[0]
    entries = re.findall(r"^### (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)\n((?:- .+\n?)+)", text, re.MULTILINE)
    versions = [tuple(int(part) for part in version.split(".")) for version, _, _ in entries]

    assert versions == sorted(set(versions), reverse=True)
    assert entries[0][0] == documents()[service]["info"]["version"]
    assert len(entries) == text.count("\n### ")


# ---------------------------------------------------------------- C17 to C21: headers


@routes("C17")
async def test_c17_deprecated_routes_say_so_and_no_others(world: World, route: Operation) -> None:
    """C17 (RFC 9745, RFC 8594): `Deprecation` and `Sunset` exactly where the document says deprecated."""
    for response in (await answers(world, route)).values():
        if response.status_code in (404, 405, 413):
            continue
        if route.described.get("deprecated"):
            assert re.fullmatch(r"@\d+", response.headers["deprecation"])
            assert parsedate_to_datetime(response.headers["sunset"]) is not None
            assert {SINCE_KEY, SUNSET_KEY} <= set(route.described)
        else:
            assert not {"deprecation", "sunset"} & set(response.headers)


#: What a person could be found by; ids are pseudonyms.
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


@routes("C18")
async def test_c18_address_holds_nothing_personal(world: World, route: Operation) -> None:
    """C18: no parameter is for something personal, and what an answer links to holds none of it."""
    for where in ("path", "query"):
        for name in route.parameters(where):
            assert not {each.lower() for each in re.findall(r"[A-Z]?[a-z]+", name)} & PERSONAL
    for response in (await answers(world, route)).values():
        location = response.headers.get("location", "")
        assert not any(canary in location for canary in STUDENT.canaries)


@routes("C19")
async def test_c19_every_answer_has_the_security_headers(world: World, route: Operation) -> None:
    """C19 (ADR core/transport/security-headers): each once, on good answers and on errors."""
    for name, response in (await answers(world, route)).items():
        for header, value in SECURITY_HEADERS.items():
            found = response.headers.get_list(header)
            if header == "Content-Security-Policy":
                assert len(found) == 1, name
                assert {value, "default-src 'none'"} <= {each.strip() for each in found[0].split(";")}
            else:
                assert found == [value], (name, header)


@routes("C20")
async def test_c20_no_page_elsewhere_may_read_the_answers(world: World, route: Operation) -> None:
    """C20: without a list of origins nobody is on it; `test_web.py` has one with a list."""
    call = await world.call(route)

    response = await world.send(call, headers={"Origin": FOREIGN})
    asked = await world.send(
        call, method="OPTIONS", headers={"Origin": FOREIGN, "Access-Control-Request-Method": route.method}
    )

    for each in (response, asked):
        assert not any(name.startswith("access-control-") for name in each.headers)


LEAKS = re.compile(r"fastapi|starlette|uvicorn|pydantic|python|motor|traceback|\.py\b|httptools", re.IGNORECASE)


@routes("C21")
async def test_c21_answers_do_not_name_what_they_are_made_with(world: World, route: Operation) -> None:
    """C21: neither headers nor bodies tell frameworks, servers or files."""
    for name, response in (await answers(world, route)).items():
        assert not {"server", "x-powered-by"} & set(response.headers)
        found = LEAKS.search(f"{response.headers} {response.text}")
        assert found is None, (name, found)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/asyncapi", "/asyncapi/try", "/debug", "/.env"])
@pytest.mark.parametrize("service", SERVICES)
async def test_c21_nothing_of_a_framework_is_served(world: World, service: str, path: str) -> None:
    """C21: the pages that frameworks bring along are not there."""
    for method in ("GET", "POST"):
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
    """C22: page after page gives everything once and in order, and the last one says so."""
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
    few = ("listProgrammes", "listRotationSlots", "listSources", "listCountrySources")
    assert len(found) > 10 or route.id in few


async def test_c22_page_that_leaves_people_out_shows_nobody_twice(world: World) -> None:
    """C22: who is certainly elsewhere in the country is left out of a page, and nobody moves up from the next one."""
    first = await world.be_in("CH", Person("elsewhere", ("student",)), region="CH-ZH")
    others = [await world.be_in("CH", Person(f"perhaps-{number}", ("student",))) for number in range(MANY)]
    call = await world.call(next(each for each in operations() if each.id == "listWhereabouts"))
    found = []
    for number in (1, 2):
        query = {"country": "CH", "region": "CH-BE", "pageSize": "10", "pageNumber": str(number)}
        page = (await world.send(replace(call, query=query))).json()
        found += [each["registrationId"] for each in page["items"]]
        assert page["hasNextPage"] is (number == 1)

    assert found == others
    assert first not in found


# ---------------------------------------------------------------- C23: versions that were seen


@routes("C23", has_if_match)
async def test_c23_change_without_if_match_is_428_and_on_an_old_version_412(world: World, route: Operation) -> None:
    """C23 (RFC 9110, RFC 6585): absent 428, other than current 412 with the current ETag, current passes."""
    call = await world.fresh(route)
    looks = replace(call, operation=_sibling(route), json=None, headers={})
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
    """C23: two callers who saw the same version; one is told that somebody else was faster."""
    call = await world.fresh(route)
    looks = replace(call, operation=_sibling(route), json=None, headers={})
    current = (await world.send(looks)).headers["etag"]
    both = call.also({"If-Match": current})

    found = await asyncio.gather(world.send(both), world.send(both))

    statuses = sorted(each.status_code for each in found)
    assert statuses[0] in (200, 201)
    assert statuses[1] in (409, 412)


@routes("C23", lambda route: route.method in ("PUT", "PATCH", "DELETE"))
def test_c23_whatever_is_replaced_needs_if_match(route: Operation) -> None:
    """C23: PUT, PATCH and DELETE declare it."""
    assert has_if_match(route)


# ---------------------------------------------------------------- C24: repeats


@routes("C24", changes)
async def test_c24_repeat_gets_the_first_answer_and_changes_nothing(world: World, route: Operation) -> None:
    """C24: same key, same request: same status, body and headers that matter; nothing is recorded twice."""
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
    """C24: the same request twice at the same moment has one effect; the other waits or is told to come again."""
    alone, both = await world.fresh(route), await world.fresh(route)
    start = await world.facts(route.service)
    await world.send(alone)
    one = await world.facts(route.service) - start
    call = both.under(secrets.token_hex(8))

    found = await asyncio.gather(world.send(call), world.send(call))

    assert await world.facts(route.service) - start == 2 * one
    good = [each for each in found if each.status_code < 300]
    assert good
    assert all(each.json() == good[0].json() for each in good)
    for each in found:
        if each.status_code >= 300:
            problem_of(each, 409)
            assert each.headers["retry-after"]


#: A field that a body may have, and what is not in the first one.
OTHER_VALUES = {
    "alertId": "XX-1",
    "description": "Something else.", "reason": "Something else.", "remark": "Something else.",
    "answer": "Something else.", "language": "nl", "surname": "Else", "name": "Something else.",
    "messageNl": "Iets anders.", "personId": "somebody-else", "attended": False,
}  # fmt: skip


@routes("C24", changes, has_body)
async def test_c24_key_with_another_body_is_422(world: World, route: Operation) -> None:
    """C24: the documented exception to C9."""
    call = (await world.fresh(route)).under(secrets.token_hex(8))
    await world.send(call)
    properties = _properties(route)
    name = next(name for name in OTHER_VALUES if name in properties)
    other = [each for each in properties[name].get("enum", [OTHER_VALUES[name]]) if each != call.json.get(name)]

    problem_of(await world.send(replace(call, json={**call.json, name: other[0]})), 422)


def _properties(route: Operation) -> Mapping[str, Any]:
    assert route.body is not None
    found: Mapping[str, Any] = resolved(next(iter(route.body.values()))["schema"], document_of(route))["properties"]
    return found


@routes("C24", changes)
async def test_c24_key_of_somebody_else_is_another_key(world: World, route: Operation) -> None:
    """C24: who uses another's key gets what they may have themselves, never the other's stored answer."""
    call = (await world.fresh(route)).under(secrets.token_hex(8))
    first = await world.send(call)
    assert call.person is not None
    kept = world.mongo.database(route.service)["idempotency"]
    before = await kept.count_documents({})
    stranger = Person(f"stranger-{uuid.uuid4().hex[:8]}", call.person.roles)

    other = await world.send(call.by(stranger))

    assert await kept.count_documents({}) - before == (1 if other.status_code < 300 else 0)
    if "location" in first.headers:
        assert other.headers.get("location") != first.headers["location"]


# ---------------------------------------------------------------- C25 to C27: media types and amounts


@routes("C25", lambda route: route.method == "PATCH" or route.id == "changeRegistration")
def test_c25_partial_changes_are_merge_patches(route: Operation) -> None:
    """C25 (RFC 7396): a PATCH takes merge-patch; there is none now, and what PUT takes is a whole in JSON."""
    assert route.body is not None
    wanted = "application/merge-patch+json" if route.method == "PATCH" else "application/json"
    assert list(route.body) == [wanted]


@routes("C26")
async def test_c26_too_many_requests_are_429_with_retry_after(tight: World, route: Operation) -> None:
    """C26 (RFC 6585): one caller who asks too much waits; another is served."""
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
    """C27: said at once when the length is told, and as soon as it shows when it is not."""
    call = await world.call(route)
    problem_of((await answers(world, route))["large"], 413)
    before = await world.facts(route.service)

    async def without_length() -> AsyncIterator[bytes]:
        yield (call.content or b" ")[:5]  # what begins wrong may be refused before it is too long
        for _ in range(room(route, route.method) // 100_000 + 2):
            yield b" " * 100_000

    if call.json is not None or call.content is not None:  # what nobody reads does not count
        media_type = call.headers.get("Content-Type", "application/json")
        problem_of(await world.send(call, content=without_length(), headers={"Content-Type": media_type}), 413)
    assert await world.facts(route.service) == before


WRONG_TYPES = [
    "text/plain", "text/json", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data",
    "application/problem+json", "application/merge-patch+json", "application/json; charset=latin-1", "nonsense", "",
]  # fmt: skip


@routes("C27/415", has_body)
async def test_c27_other_media_types_are_415(world: World, route: Operation) -> None:
    """C27: JSON in UTF-8 it is; with parameters that change nothing it is still JSON."""
    call = await world.call(route)
    before = await world.facts(route.service)
    for media_type in WRONG_TYPES:
        response = await world.send(call, content=b"{}", headers={"Content-Type": media_type})
        problem_of(response, 415)
        assert response.headers["accept"]
    response = await world.send(
        call, content=b"{}", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
    )
    problem_of(response, 415)
    assert await world.facts(route.service) == before

    for media_type in ("application/json", 'Application/JSON; charset="UTF-8"'):
        response = await world.send(call, content=b"[]", headers={"Content-Type": media_type})
        problem_of(response, 400)


@routes("C27/406")
async def test_c27_nothing_acceptable_is_406(world: World, route: Operation) -> None:
    """C27: JSON is what there is; consumers of SURFeduhub ask for it with a version."""
    call = await world.call(route)
    for accept in ("text/html", "application/xml", "application/json;q=0", "image/*", "text/html, text/plain;q=0.5"):
        problem_of(await world.send(call, headers={"Accept": accept}), 406)
    for accept in ("application/json; version=5", "*/*", "application/*", "text/html, application/json;q=0.1", ""):
        assert (await world.send(call, headers={"Accept": accept})).status_code != 406


# ---------------------------------------------------------------- C28: traces

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@routes("C28")
async def test_c28_trace_and_request_id_come_back(world: World, route: Operation) -> None:
    """C28 (W3C Trace Context): the caller's trace goes on under a span of ours; the request id is the caller's."""
    call = await world.call(route)
    sent = f"00-{TRACE}-00f067aa0ba902b7-01"

    response = await world.send(call, headers={"traceparent": sent, "X-Request-Id": "abc-12345"})

    assert response.headers["x-request-id"] == "abc-12345"
    assert response.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert response.headers["traceparent"] != sent


INVALID_TRACES = ["", "garbage", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-a-01",
                  f"00-{TRACE.upper()}-00f067aa0ba902b7-01", "x" * 5_000]  # fmt: skip
INVALID_IDS = ["", "short", "has space in it", "x" * 65, "<script>alert(1)</script>", "a\tbcdefghij"]


@routes("C28")
async def test_c28_what_is_invalid_is_made_anew(world: World, route: Operation) -> None:
    """C28: and every answer has both, whatever it is."""
    call = await world.call(route)
    for trace in INVALID_TRACES:
        response = await world.send(call, headers={"traceparent": trace})
        assert TRACEPARENT.fullmatch(response.headers["traceparent"])
        assert TRACE not in response.headers["traceparent"]
    for request_id in INVALID_IDS:
        response = await world.send(call, headers={"X-Request-Id": request_id})
        assert uuid.UUID(response.headers["x-request-id"])
    for response in (await answers(world, route)).values():
        assert TRACEPARENT.fullmatch(response.headers["traceparent"])
        assert response.headers["x-request-id"]


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
