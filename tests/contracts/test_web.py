"""shared/web in a small service of its own: limits, problems, idempotency, paging, versions, invalid bodies."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter

from shared.errors import PermanentError
from shared.mongo.client import Mongo
from shared.observability import metrics
from shared.web import idempotency
from shared.web.local_tokens import create_keys
from shared.web.problem import MAX_FIELD_ERRORS, MEDIA_TYPE
from shared.web.rates import BURST_SECONDS, MAX_CALLERS, Rates
from shared.web.routes import RouteClass, Routes
from shared.web.service import VERSION
from tests.contracts.services_world import SECURITY_HEADERS, World
from tests.contracts.web_world import SECRET_WORDS, THINGS, Sample, build, client, prepare

JSON = {"Content-Type": "application/json"}
FOREIGN, LISTED = "https://elsewhere.example", "https://portal.university.example"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The service's surroundings without a database."""
    keys = tmp_path_factory.mktemp("sample-keys")
    create_keys(keys)
    return Sample(keys)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http(sample: Sample) -> AsyncIterator[httpx.AsyncClient]:
    """The service with a small size limit."""
    async with client(build(sample, size_bytes=100_000, seconds=30)) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def storing(world: World, sample: Sample) -> AsyncIterator[tuple[Sample, httpx.AsyncClient]]:
    """The service with a database of its own."""
    mongo = Mongo(world.mongo_url, namespace=world.namespace)
    own = Sample(sample.keys, mongo)
    await prepare(own)
    async with client(build(own)) as found:
        yield own, found
    mongo.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stored(storing: tuple[Sample, httpx.AsyncClient]) -> tuple[Sample, httpx.AsyncClient]:
    """The same with nothing in it."""
    own, _ = storing
    assert own.mongo is not None
    own.gate = None
    for name in ("things", "idempotency"):
        await own.mongo.database("sample")[name].delete_many({})
    return storing


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem in an answer, with everything that every answer has."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    for name, value in SECURITY_HEADERS.items():
        found = response.headers.get_list(name)
        assert len(found) == 1
        assert value in found[0]
    assert response.headers["api-version"] == VERSION
    assert response.headers["x-request-id"]
    assert response.headers["traceparent"]
    assert SECRET_WORDS not in response.text
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    return body


async def parts(count: int, size: int) -> AsyncIterator[bytes]:
    """A body whose length nobody told."""
    for _ in range(count):
        yield b" " * size


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("path", ["/v1/bodies", "/v1/swallowed"])
async def test_size_at_the_limit_passes_and_over_it_is_413(http: httpx.AsyncClient, path: str) -> None:
    """The length that is told and the length that comes are both held to the limit, to the byte."""
    for content in (b" " * 100_000, parts(10, 10_000)):
        assert (await http.post(path, content=content)).status_code == 200
    for content in (b" " * 100_001, parts(10, 10_001)):
        problem(await http.post(path, content=content), 413)


@pytest.mark.parametrize(
    ("length", "status"), [("100001", 413), ("9" * 30, 413), ("-1", 400), ("1e3", 400), ("0x10", 400), ("", 400)]
)
async def test_content_length_must_be_a_number(http: httpx.AsyncClient, length: str, status: int) -> None:
    """Any other Content-Length is a 400, should a server in front let it through."""
    problem(await http.post("/v1/bodies", content=parts(1, 1), headers={"Content-Length": length}), status)


async def test_time_limit_cancels_the_handler_with_503(sample: Sample) -> None:
    """503 with Retry-After, and the handler is cancelled."""
    sample.cancelled.clear()
    async with client(build(sample, seconds=0.05)) as http:
        response = await http.get("/v1/delays")

    problem(response, 503)
    assert response.headers["retry-after"]
    assert sample.cancelled.is_set()


async def test_time_limit_during_the_body_is_408(sample: Sample) -> None:
    """The caller was too slow: the service did not fail."""

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with client(build(sample, seconds=0.05)) as http:
        problem(await http.post("/v1/bodies", content=slow()), 408)


@pytest.mark.parametrize(("path", "status"), [("crashes", 500), ("absences", 503), ("timeouts", 503)])
async def test_error_in_a_handler_is_a_problem_with_every_header(
    http: httpx.AsyncClient, path: str, status: int
) -> None:
    """The problem has the headers of every answer and quotes nothing of the exception."""
    response = await http.get(f"/v1/{path}")

    problem(response, status)
    assert ("retry-after" in response.headers) is (status == 503)


async def test_trouble_after_the_answer_began_adds_nothing_to_it(http: httpx.AsyncClient) -> None:
    """Half an answer stays half: no problem is written into it, and the server learns that it has to close."""
    with pytest.raises(RuntimeError):
        await http.get("/v1/halves")


async def test_metrics_count_by_template_and_known_method(http: httpx.AsyncClient) -> None:
    """Neither ids nor invented methods become labels."""
    for method in ("GET", "BREW", "PROPFIND"):
        await http.request(method, "/v1/things/an-id-of-somebody")

    text = metrics.text().decode()
    assert "/v1/things/{thing_id}" in text
    for leak in ("an-id-of-somebody", "BREW", "PROPFIND"):
        assert leak not in text


# ---------------------------------------------------------------- problems


async def test_problem_404_405_415_422_500_say_what_they_are(http: httpx.AsyncClient, sample: Sample) -> None:
    """Type, title and detail of each; the titles do not change with the version of Python."""
    token = sample.token()
    for response, status, title, type_ in (
        (await http.get("/v1/nowhere"), 404, "Not Found", "not-found"),
        (await http.delete("/v1/things"), 405, "Method Not Allowed", "method-not-allowed"),
        (await http.post("/v1/things", content=b"x", headers=token), 415, "Unsupported Media Type",
         "unsupported-media-type"),
        (await http.post("/v1/bodies", content=b" " * 100_001), 413, "Content Too Large", "content-too-large"),
        (await http.get("/v1/crashes"), 500, "Internal Server Error", "internal-server-error"),
    ):  # fmt: skip
        body = problem(response, status)
        assert (body["title"], body["type"]) == (title, f"urn:safe-passage:problem:{type_}")
        assert body["detail"]


async def test_limits_speak_the_language_of_the_reader(http: httpx.AsyncClient, sample: Sample) -> None:
    """Also what is said before a route is reached, or when it has failed."""
    dutch = {"Accept-Language": "nl"}
    token = sample.token()
    for response, words in (
        (await http.post("/v1/bodies", content=b" " * 100_001, headers=dutch), "mag hooguit 100000 bytes hebben"),
        (await http.post("/v1/things", content=b"x", headers={**token, **dutch}), "niet gecomprimeerd"),
        (await http.get("/v1/crashes", headers=dutch), "Een onverwachte fout"),
    ):
        assert words in response.json()["detail"]
        assert response.headers["content-language"] == "nl"


async def test_method_that_is_not_there_is_told_all_that_are(http: httpx.AsyncClient) -> None:
    """405 with `Allow` (RFC 9110): of every route at the address, in whatever router, and HEAD with GET."""
    assert (await http.delete("/v1/things")).headers["allow"] == "GET, HEAD, POST"
    assert (await http.post("/v1/things/7")).headers["allow"] == "PATCH, PUT"
    assert (await http.put("/v1/crashes")).headers["allow"] == "GET, HEAD"


async def test_head_is_get_without_its_body(http: httpx.AsyncClient, sample: Sample) -> None:
    """Also where the answer is a problem."""
    for path, headers in (("/v1/things", sample.token()), ("/v1/things", {}), ("/v1/crashes", {}), ("/nowhere", {})):
        get, head = await http.get(path, headers=headers), await http.head(path, headers=headers)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers.get("content-length") == get.headers.get("content-length")


async def test_head_keeps_the_body_back_by_itself(sample: Sample) -> None:
    """Servers drop it, too, as do clients: here is none."""
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": "http", "method": "HEAD", "path": "/healthz", "query_string": b"", "headers": []}
    await build(sample)(scope, receive, send)

    assert said[0]["status"] == 200
    assert b"".join(message.get("body", b"") for message in said) == b""


# ---------------------------------------------------------------- routes and their classes


def test_router_without_a_class_does_not_start(sample: Sample) -> None:
    """A plain router, also a hidden route of one, and one inside a router of ours."""
    for hidden in (True, False):
        plain = APIRouter()
        plain.add_api_route("/v1/plain", lambda: None, include_in_schema=not hidden)
        with pytest.raises(PermanentError, match="/v1/plain"):
            build(sample, plain)  # type: ignore[arg-type] # that is the point
        inside = Routes(RouteClass.USER)
        inside.include_router(plain)
        with pytest.raises(PermanentError, match="/v1/plain"):
            build(sample, inside)


async def test_user_route_that_forgot_its_caller_still_asks_for_a_token(sample: Sample) -> None:
    """Who is asking is the class's matter, not the handler's."""
    router = Routes(RouteClass.USER)

    @router.get("/v1/forgotten", operation_id="forgotten")
    async def forgotten() -> dict[str, str]:
        return {"secret": "x"}

    async with client(build(sample, router)) as http:
        problem(await http.get("/v1/forgotten"), 401)
        assert (await http.get("/v1/forgotten", headers=sample.token())).status_code == 200


async def test_retiring_route_says_so_on_every_answer(http: httpx.AsyncClient, sample: Sample) -> None:
    """C17: `Deprecation` and `Sunset`, also on its errors; the document says it, too."""
    for headers, status in ((sample.token(), 200), ({}, 401), (sample.token("auditor", "auditor"), 403)):
        response = await http.get("/v1/things/old", headers=headers)
        assert response.status_code == status
        assert response.headers["deprecation"] == f"@{int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())}"
        assert response.headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
    document = (await http.get("/v1/openapi.json")).json()
    assert document["paths"]["/things/old"]["get"]["deprecated"] is True


def test_route_cannot_be_deprecated_for_ever() -> None:
    """C17: since when and until when, or not at all."""
    with pytest.raises(PermanentError):
        Routes(RouteClass.USER).add_api_route("/v1/old", lambda: None, deprecated=True)


async def test_prefix_of_the_gateway_is_in_addresses_that_lead_back(stored: tuple[Sample, httpx.AsyncClient]) -> None:
    """`Location` leads a caller in front of the gateway to the thing; so does the document."""
    own, _ = stored
    headers = {**own.token(), "Idempotency-Key": "behind-the-gateway"}
    async with client(build(own, root_path="/sample")) as http:
        for _ in range(2):  # a kept answer, too
            made = await http.post("/v1/things", json={"name": "One"}, headers=headers)
            assert made.headers["location"] == f"/sample/v1/things/{made.json()['id']}"
        document = (await http.get("/v1/openapi.json")).json()

    assert document["servers"][0]["url"].endswith("/sample/v1")


# ---------------------------------------------------------------- browsers elsewhere


async def test_origin_on_the_list_may_ask_and_no_other(sample: Sample) -> None:
    """C20: only a listed origin gets CORS headers, never `*` and never with credentials."""
    asks = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization, if-match"}
    async with client(build(sample, origins=(LISTED,))) as http:
        allowed = await http.options("/v1/things/7", headers={**asks, "Origin": LISTED})
        read = await http.get("/v1/things", headers={**sample.token(), "Origin": LISTED})
        refused = await http.get("/v1/things", headers={"Origin": LISTED})
        for origin in (FOREIGN, "null", f"{LISTED}.evil.example", LISTED.upper(), f"{LISTED}/"):
            other = await http.get("/v1/things", headers={**sample.token(), "Origin": origin})
            assert not any(name.startswith("access-control") for name in other.headers)
            assert other.headers["vary"] == "Origin"
            problem(await http.options("/v1/things/7", headers={**asks, "Origin": origin}), 405)

    assert (allowed.status_code, allowed.content) == (204, b"")
    assert {"PUT", "PATCH"} <= set(allowed.headers["access-control-allow-methods"].split(", "))
    assert {"Authorization", "If-Match", "Idempotency-Key"} <= set(
        allowed.headers["access-control-allow-headers"].split(", ")
    )
    for response in (allowed, read, refused):
        assert response.headers["access-control-allow-origin"] == LISTED
        assert response.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in response.headers
    assert "ETag" in read.headers["access-control-expose-headers"]


# ---------------------------------------------------------------- rates


def test_rates_let_a_burst_through_and_then_so_many_a_second() -> None:
    """A full bucket, then what flows in; the wait that is told is enough; others are not held up."""
    now = 1_000.0
    rates = Rates(2.0, lambda: now)
    burst = int(2 * BURST_SECONDS)

    for _ in range(burst):
        rates.take("one")
    with pytest.raises(Exception, match="Too many") as refused:
        rates.take("one")
    rates.take("two")
    now += float(refused.value.headers["Retry-After"])  # type: ignore[attr-defined] # a Problem
    rates.take("one")

    now += 3_600
    for _ in range(burst):
        rates.take("one")
    with pytest.raises(Exception, match="Too many"):
        rates.take("one")


def test_rates_remember_no_more_than_so_many_callers() -> None:
    """Invented callers do not fill the memory."""
    rates = Rates(1.0, lambda: 0.0)

    for number in range(MAX_CALLERS + 100):
        rates.take(str(number))

    assert len(rates._buckets) == MAX_CALLERS


# ---------------------------------------------------------------- repeats


async def _make(stored: tuple[Sample, httpx.AsyncClient], key: str | None, name: str = "One", login: str = "one",
                path: str = "/v1/things") -> httpx.Response:  # fmt: skip
    own, http = stored
    headers = own.token(login) | ({"Idempotency-Key": key} if key is not None else {})
    return await http.post(path, json={"name": name}, headers=headers)


async def _count(stored: tuple[Sample, httpx.AsyncClient]) -> int:
    assert stored[0].mongo is not None
    return int(await stored[0].mongo.database("sample")["things"].count_documents({}))


async def test_repeat_gets_the_first_answer(stored: tuple[Sample, httpx.AsyncClient]) -> None:
    """Status, body and Location; without a key each is a request of its own."""
    first = await _make(stored, "key-1")
    again = await _make(stored, "key-1")
    other = await _make(stored, "key-2")
    bare = [await _make(stored, None) for _ in range(2)]

    assert (again.status_code, again.json(), again.headers["location"]) == (
        first.status_code, first.json(), first.headers["location"],
    )  # fmt: skip
    assert len({response.json()["id"] for response in (first, other, *bare)}) == 4
    assert await _count(stored) == 4


async def test_repeat_with_another_body_is_422(stored: tuple[Sample, httpx.AsyncClient]) -> None:
    """It changes nothing, and the first answer stays."""
    first = await _make(stored, "key-1")

    body = problem(await _make(stored, "key-1", "Two"), 422)

    assert body["type"].endswith("idempotency-key-reused")
    assert body["title"] == "Unprocessable Content"
    assert (await _make(stored, "key-1")).json() == first.json()
    assert await _count(stored) == 1


async def test_repeat_by_another_caller_is_another_key(stored: tuple[Sample, httpx.AsyncClient]) -> None:
    """A caller who guesses a key does not get the answer that another caller got."""
    first = await _make(stored, "key-1", login="one")
    other = await _make(stored, "key-1", login="two")

    assert (first.json()["by"], other.json()["by"]) == ("one", "two")
    assert first.json()["id"] != other.json()["id"]


async def test_repeat_of_a_refused_request_runs_again(stored: tuple[Sample, httpx.AsyncClient]) -> None:
    """A problem is not stored, nor is any write of its transaction."""
    for _ in range(2):
        problem(await _make(stored, "key-1", "refused"), 409)

    assert await _count(stored) == 0
    assert (await _make(stored, "key-1", "One")).status_code == 201


async def test_concurrent_repeats_have_one_effect(stored: tuple[Sample, httpx.AsyncClient]) -> None:
    """Ten at once, all in their transaction before any may end: one effect, one answer for all."""
    own, _ = stored
    own.gate, own.inside = asyncio.Event(), 0
    asked = [asyncio.create_task(_make(stored, "key-1")) for _ in range(10)]
    async with asyncio.timeout(60):
        while own.inside < len(asked):
            await asyncio.sleep(0.01)
    own.gate.set()

    responses = await asyncio.gather(*asked)

    assert await _count(stored) == 1
    for response in responses:
        if response.status_code != 201:
            problem(response, 409)
            assert response.headers["retry-after"]
    assert len({response.json()["id"] for response in responses if response.status_code == 201}) == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "é", "\t", "ключ"])
async def test_key_of_the_wrong_form_is_400(stored: tuple[Sample, httpx.AsyncClient], key: str) -> None:
    """One to 128 visible ASCII letters."""
    own, http = stored
    headers = [(b"Idempotency-Key", key.encode()), *((k.encode(), v.encode()) for k, v in own.token().items())]

    body = problem(await http.post("/v1/things", json={"name": "One"}, headers=headers), 400)

    assert [error["field"] for error in body["errors"]] == ["header.Idempotency-Key"]


async def test_stored_answers_are_deleted_after_a_day(stored: tuple[Sample, httpx.AsyncClient]) -> None:
    """MongoDB's TTL index does it."""
    own, _ = stored
    assert own.mongo is not None
    indexes = await own.mongo.database("sample")["idempotency"].index_information()

    assert [index["expireAfterSeconds"] for index in indexes.values() if "expireAfterSeconds" in index] == [
        idempotency.STORED_SECONDS
    ]


# ---------------------------------------------------------------- pages and versions


@pytest.mark.parametrize("size", [10, 20, 50, 100, 250])
async def test_paging_gives_everything_once(http: httpx.AsyncClient, sample: Sample, size: int) -> None:
    """Page after page, and the last one says that it is."""
    found: list[int] = []
    for number in range(1, 10):
        page = (
            await http.get("/v1/things", params={"pageSize": size, "pageNumber": number}, headers=sample.token())
        ).json()
        found += page["items"]
        assert page["hasPreviousPage"] is (number > 1)
        assert page["hasNextPage"] is (number * size < THINGS)
        if not page["hasNextPage"]:
            break

    assert found == list(range(THINGS))


@pytest.mark.parametrize(
    "query",
    [{"pageSize": "15"}, {"pageSize": "0"}, {"pageSize": "x"}, {"pageNumber": "0"}, {"pageNumber": "1.5"},
     {"pageNumber": "100001"}, {"pageNumber": "9" * 40}, {"since": "0"}, {"since": "2026-05-01T00:00:00Z"}],
)  # fmt: skip
async def test_paging_of_other_sizes_is_400(http: httpx.AsyncClient, sample: Sample, query: dict[str, str]) -> None:
    """Only the sizes of OEAPI, only pages from one on; a day in a query is a day."""
    body = problem(await http.get("/v1/things", params=query, headers=sample.token()), 400)

    assert [error["field"] for error in body["errors"]] == [f"query.{next(iter(query))}"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 428), ('"7"', 200), ('W/"7"', 200), ("*", 200), ('"6"', 412), ('"8"', 412), ('"07"', 200), ("7", 400),
        ("", 400), ("nonsense", 400), ('"7", "8"', 400), ('"' + "7" * 19 + '"', 400), ('"-7"', 400), ('"٧"', 400),
    ],
)  # fmt: skip
async def test_if_match_table(http: httpx.AsyncClient, sample: Sample, header: str | None, status: int) -> None:
    """The thing is at version 7."""
    sent = [(name.encode(), value.encode()) for name, value in sample.token().items()]
    if header is not None:
        sent.append((b"If-Match", header.encode()))

    response = await http.put("/v1/things/1", json={"name": "One"}, headers=sent)

    if status == 200:
        assert response.headers["etag"] == '"8"'
    else:
        problem(response, status)
        assert response.headers.get("etag") == ('"7"' if status == 412 else None)


async def test_patch_takes_a_merge_patch_and_nothing_else(http: httpx.AsyncClient, sample: Sample) -> None:
    """C25: what a PATCH means has a media type of its own."""
    for media_type, status in (("application/merge-patch+json", 200), ("application/json", 415)):
        headers = {**sample.token(), "Content-Type": media_type}
        response = await http.patch("/v1/things/1", content=b'{"name": "One"}', headers=headers)
        assert response.status_code == status
        assert status == 200 or response.headers["accept"] == "application/merge-patch+json"


# ---------------------------------------------------------------- garbage

GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "space": b" ",
    "torn": b'{"name": "One"',
    "text": b"name=One",
    "not utf-8": b'{"name": "\xff\xfe"}',
    "utf-16": '{"name": "One"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name": "One"}',
    "surrogate": b'{"name": "\\ud800"}',
    "surrogate in a key": b'{"name": "One", "\\udfff": 1}',
    "nan": b'{"name": "One", "count": NaN}',
    "infinity": b'{"name": "One", "count": -Infinity}',
    "beyond numbers": b'{"name": "One", "count": 1e400}',
    "long number": b'{"name": "One", "count": ' + b"1" * 5_000 + b"}",
    "key twice": b'{"name": "One", "name": "Two"}',
    "key twice inside": b'{"name": "One", "children": [{"isSmall": true, "isSmall": false}]}',
    "key twice in disguise": b'{"name": "One", "n\\u0061me": "Two"}',
    "deep list": b"[" * 50_000,
    "deep object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep and whole": b'{"name": "One", "children": ' + b"[" * 900 + b"]" * 900 + b"}",
    "list": b"[]",
    "number": b"7",
    "null": b"null",
    "string": b'"One"',
    "long string": json.dumps({"name": "x" * 90_000}).encode(),
    "long key": json.dumps({"name": "One", "y" * 90_000: 1}).encode(),
    "control character": b'{"name": "a\x01b"}',
    "comment": b'{"name": "One" /* really */}',
    "comma": b'{"name": "One",}',
    "two documents": b'{"name": "One"}{"name": "Two"}',
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_400_and_is_not_sent_back(http: httpx.AsyncClient, sample: Sample, kind: str) -> None:
    """Whatever it is: a problem that names the field, quotes no value, and stays small."""
    response = await http.post("/v1/things", content=GARBAGE[kind], headers={**sample.token(), **JSON})

    body = problem(response, 400)
    assert body["errors"]
    assert all(error["field"].startswith("body") and error["reason"] for error in body["errors"])
    assert len(response.content) < 1_000


async def test_string_of_a_megabyte_is_refused(http: httpx.AsyncClient, sample: Sample) -> None:
    """413 by the size of the body, and 400 by the field where the body may be larger."""
    content = json.dumps({"name": "x" * 1_000_000}).encode()
    headers = {**sample.token(), **JSON}
    problem(await http.post("/v1/things", content=content, headers=headers), 413)

    async with client(build(sample, size_bytes=2_000_000)) as wide:
        body = problem(await wide.post("/v1/things", content=content, headers=headers), 400)

    assert body["errors"] == [{"field": "body.name", "reason": "is too long"}]


async def test_flood_of_mistakes_is_not_answered_with_a_flood(http: httpx.AsyncClient, sample: Sample) -> None:
    """All mistakes together, up to a hundred; a name that was sent comes back shortened."""
    many = {"name": "One", **{f"field{number}": number for number in range(5_000)}}
    long = {"name": "One", "y" * 90_000: 1}

    flooded = problem(await http.post("/v1/things", json=many, headers=sample.token()), 400)
    shortened = problem(await http.post("/v1/things", json=long, headers=sample.token()), 400)

    assert len(flooded["errors"]) == MAX_FIELD_ERRORS
    assert len(shortened["errors"][0]["field"]) < 100


AS_WRITTEN: list[tuple[str, Any, bool]] = [
    ("isGood", True, True), ("isGood", False, True), ("isGood", "true", False), ("isGood", "yes", False),
    ("isGood", 1, False), ("isGood", 0, False), ("isGood", "", False),
    ("count", 7, True), ("count", "7", False), ("count", 7.0, False), ("count", 7.5, False), ("count", True, False),
    ("count", 11, False), ("count", -1, False),
    ("firstDay", "2026-02-28", True), ("firstDay", "2026-02-29", False), ("firstDay", 0, False),
    ("firstDay", "0", False), ("firstDay", "2026-02-28T00:00:00Z", False), ("firstDay", "20260228", False),
    ("firstDay", "２０２６-02-28", False), ("firstDay", "2026-02-28\n", False),
    ("at", "2026-05-01T12:00:00Z", True), ("at", "2026-05-01T12:00:00.123456+02:00", True),
    ("at", "2026-05-01t12:00:00-11:30", True), ("at", "2026-05-01T12:00:00", False), ("at", "2026-05-01", False),
    ("at", 1777636800, False), ("at", "1777636800", False), ("at", "2026-05-01 12:00:00Z", False),
    ("at", "2026-05-01T25:00:00Z", False),
    ("children", [{"isSmall": True}], True), ("children", {"isSmall": True}, False), ("children", "x", False),
    ("children", [{"isSmall": True, "more": 1}], False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "good"), AS_WRITTEN, ids=lambda value: str(value)[:30])
async def test_body_means_what_it_says(
    stored: tuple[Sample, httpx.AsyncClient], name: str, value: Any, good: bool
) -> None:
    """C5, C9: no text for a number, no number for a date, no word for true; an instant with any offset."""
    own, http = stored

    response = await http.post("/v1/things", json={"name": "One", name: value}, headers=own.token())

    if good:
        assert response.status_code == 201
    else:
        assert all(error["field"].startswith(f"body.{name}") for error in problem(response, 400)["errors"])
