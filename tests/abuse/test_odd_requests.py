"""Every parameter of every route, and every header that a service reads, with values that nobody means.

The answer is one that the document describes: never a 5xx, and every error is a problem document, or the page of an
answer link. Routes and parameters come from the OpenAPI documents, headers from the code.
`test_requests_out_of_bounds.py` does the same for dates, `tests/contracts/test_fuzzed.py` for all of these together.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from shared.web.problem import MEDIA_TYPE
from shared.web.routes import RouteClass
from tests.abuse.odd_requests import BYTES, HEADERS, NEARLY, NUMBERS, RAW, TEXTS
from tests.contracts.services_world import Call, Operation, World, operation, operations

PAGE = "text/html; charset=utf-8"
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.asyncio(loop_scope="session")

#: One route of each kind: a change, a list, an upload, a provider's, a page.
HEADER_ROUTES = ("changeRegistration", "listTasks", "attachDocument", "takeReceipts", "showAnswerPage", "answerAlert")
PARAMETERS = [route for route in operations() if route.parameters("query") or "{" in route.path]


def assert_answered(route: Operation, odd: str, response: httpx.Response) -> None:
    """A status that the document describes, and a problem or a page for an error."""
    said = f"{odd[:80]}: {response.status_code} {response.text[:300]}"
    assert response.status_code < 500, said
    assert str(response.status_code) in route.described["responses"], said
    if response.status_code >= 400:
        kinds = (
            {MEDIA_TYPE, "text/html; charset=utf-8"} if route.route_class is RouteClass.ANSWER_LINK else {MEDIA_TYPE}
        )
        assert response.headers["content-type"] in kinds


def odd_values(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Values for a parameter, encoded for an address. Dates are tried elsewhere."""
    kinds = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    if any("format" in part for part in kinds):
        return ()
    is_text = any(part.get("type") == "string" and "enum" not in part for part in kinds)
    return (*(quote(value, safe="") for value in (TEXTS if is_text else NUMBERS)), *RAW)


@pytest.mark.parametrize("route", PARAMETERS, ids=str)
async def test_odd_parameter_is_answered(four_services: World, route: Operation) -> None:
    """Each parameter of a path and a query by itself; the others are good."""
    call = await four_services.call(route)
    for name, schema in route.parameters("query").items():
        rest = httpx.QueryParams({other: kept for other, kept in call.query.items() if other != name})
        for value in odd_values(schema):
            url = f"{call.url}?{rest}&{name}={value}"
            assert_answered(route, f"{name}={value}", await four_services.send(call, url=url, params=None))
    for name, schema in route.parameters("path").items():
        for value in odd_values(schema):
            url = route.path.format(**{**call.path, name: value or "-"})
            assert_answered(route, f"{name}={value}", await four_services.send(call, url=url))


@pytest.mark.parametrize("name", HEADER_ROUTES)
async def test_odd_header_is_answered(four_services: World, name: str) -> None:
    """Each header that a service reads, on a route of each kind."""
    route = operation(name)
    call = await four_services.call(route)
    for header in HEADERS:
        for value in (*BYTES, *NEARLY.get(header, ())):
            assert_answered(route, f"{header}: {value!r}", await send(four_services, call, {header: value}))


async def send(world: World, call: Call, odd: Mapping[str, bytes]) -> httpx.Response:
    """Send a call with some headers replaced by bytes."""
    good = dict(call.headers)
    if call.person is not None:
        good.setdefault("Authorization", f"Bearer {world.token(call.person)}")
    if call.json is not None:
        good.setdefault("Content-Type", "application/json")
    replaced = {name.lower() for name in odd}
    headers = [(name.encode(), value.encode()) for name, value in good.items() if name.lower() not in replaced]
    headers += [(name.encode(), value) for name, value in odd.items()]
    body = {"json": call.json} if call.json is not None else {"content": call.content}
    http = world.clients[call.operation.service]
    return await http.request(call.operation.method, call.url, params=dict(call.query), headers=headers, **body)


async def test_every_header_that_the_code_reads_is_tried() -> None:
    """A header that a new route reads has to stand in the list."""
    reads = re.compile(
        r'headers\.get(?:list)?\("([\w-]+)"|headers\["([\w-]+)"\]|"([\w-]+)" not in headers|alias="([A-Z][\w]*-[\w-]+)"'
        r'|sent\.get\(b"([\w-]+)"|\.get\(b"([\w-]+)"\)'
    )
    folders = [ROOT / "shared" / "web", *(ROOT / "services").glob("*/api")]
    providers = [ROOT / "services/notify/channels" / name for name in ("sms_provider.py", "twilio.py")]
    files = [*(file for folder in folders for file in folder.glob("*.py")), *providers]
    read = {
        name.lower() for file in files for names in reads.findall(file.read_text(encoding="utf-8")) for name in names
    }

    assert read - {"", "allow", "etag", "link", "retry-after"} <= {name.lower() for name in HEADERS}
    assert {"x-twilio-signature", "if-match", "authorization", "traceparent", "content-disposition"} <= read
