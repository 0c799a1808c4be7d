"""Whatever a browser, a mail program or a stranger sends to an answer page, a person gets a page in their language.

And a request for help counts in a body of any kind.
"""

from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.mongo.client import MongoUnavailable
from tests.failures import Failures
from tests.integration.notify_public import PublicRoutes
from tests.integration.notify_sending_world import alerted
from tests.integration.notify_world import World

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
UNKNOWN = "A" * 22
LANGUAGES = {"nl": ("", "nl-NL,nl;q=0.9,en;q=0.8"), "en": ("", "de, en;q=0.5, nl;q=0.1")}
#: Bodies without an answer: content type → body.
NO_ANSWER: dict[str, tuple[str, bytes]] = {
    "nothing": (FORM, b""),
    "no type": ("", b"what"),
    "another field": (FORM, b"other=safe"),
    "another value": (FORM, b"answer=yes"),
    "bytes that are no text": (FORM, b"\xff\xfe=%ff%zz&&&==;\0"),
    "many fields": (FORM, b"&".join(b"f%d=x" % number for number in range(3_000))),
    "safe among many fields": (MULTIPART, b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 2_000),
    "no boundary": ("multipart/form-data", b"--x\r\n\r\nx\r\n--x--"),
    "an empty boundary": ("multipart/form-data; boundary=", b"----"),
    "a boundary that never comes": ("multipart/form-data; boundary=y", b"--x\r\n\r\n"),
    "a torn part": (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="answer"\r\n'),
    "a part without a name": (MULTIPART, b"--x\r\nContent-Disposition: form-data\r\n\r\nsafe\r\n--x--"),
    "a part without a head": (MULTIPART, b"--x\r\n\r\nsafe\r\n--x--\r\n"),
    "an unknown encoding": (f"{MULTIPART}; charset=none-such", b"--x--"),
    "a file": (
        MULTIPART,
        b'--x\r\nContent-Disposition: form-data; name="answer"; filename="a"\r\n\r\nsafe\r\n--x--\r\n',
    ),
    "JSON": ("application/json", b'{"answer": "safe"}'),
    "broken JSON": ("application/json", b'{"answer'),
    "XML": ("text/xml", b"<answer>safe</answer>"),
    "a type that is none": ("/;;=", b"answer=safe"),
    "a picture": ("image/png", b"\x89PNG\r\n\x1a\n"),
}
#: The same request for help, as forms, scripts and broken programs send it.
HELP: dict[str, tuple[str, bytes]] = {
    "a form": (FORM, b"answer=help"),
    "a form in capitals of the type": (FORM.upper(), b"answer=help"),
    "behind many fields": (FORM, b"&".join(b"f%d=x" % number for number in range(3_000)) + b"&answer=help"),
    "a multipart form": (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="answer"\r\n\r\nhelp\r\n--x--\r\n'),
    "a torn multipart form": (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="answer"\r\n\r\nhelp'),
    "another boundary": (
        "multipart/form-data",
        b'--y\r\nContent-Disposition: form-data; name="answer"\r\n\r\nhelp\r\n',
    ),
    "a form as text": ("text/plain", b"answer=help\r\n"),
    "JSON": ("application/json", b'{"answer": "help"}'),
    "no type": ("", b"answer=help"),
    "with bytes that are no text": (FORM, b"x=%ff\xff&answer=help&\xfe"),
    "beside safe": (FORM, b"answer=safe&answer=help"),
}


def is_page(response: httpx.Response, status: int, language: str, emergency_number: str = "") -> None:
    """Assert that it is a page of ours."""
    assert response.status_code == status
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert "style-src 'sha256-" in response.headers["content-security-policy"]
    if response.request.method != "HEAD":
        assert f'<html lang="{language}">' in response.text
        assert emergency_number in response.text


def headers(content_type: str, accept_language: str) -> dict[str, str]:
    """With a language that the browser prefers; and with a type, unless it is empty."""
    return {"Accept-Language": accept_language} | ({"Content-Type": content_type} if content_type else {})


async def test_form_that_cannot_be_used_gets_the_page_that_asks_again(world: World, public: PublicRoutes) -> None:
    """400 with the form and the emergency number, in the browser's language; nothing is recorded."""
    await alerted(world, "p1")
    with Failures() as failures:
        for name, (content_type, body) in NO_ANSWER.items():
            for language, (_, accepted) in LANGUAGES.items():
                with failures.case(name, language):
                    sent = headers(content_type, accepted)
                    answer = await public.http.post(public.link("p1"), content=body, headers=sent)
                    is_page(answer, 400, language, "tel:")
                    assert '<form method="post">' in answer.text
                    gone = await public.http.post(f"/v1/answers/{UNKNOWN}", content=body, headers=sent)
                    is_page(gone, 404, language, "tel:")
    assert await public.said() == []


async def test_request_for_help_counts_in_a_body_of_any_kind(world: World, public: PublicRoutes) -> None:
    """A broken form loses no request for help."""
    people = {name: f"p{number}" for number, name in enumerate(HELP)}
    await alerted(world, *people.values())
    with Failures() as failures:
        for name, (content_type, body) in HELP.items():
            with failures.case(name):
                sent = headers(content_type, "en")
                answer = await public.http.post(public.link(people[name]), content=body, headers=sent)
                assert answer.status_code == 303
    assert sorted(await public.said()) == sorted((person, "help", "link") for person in people.values())


#: What mail programs and people add to a link or lose of it: what follows the token, and whether it still works.
AROUND = {
    "/": True, "//": True, ".": True, ",": True, ")": True, ">": True, "%20": True, "%3E": True, "%22": True, "'": True,
    "/.": True, "?": True, "?language=xx": True, "?utm_source=mail": True, "?language=NL": True, "&language=nl": False,
    "/more": False, "x": False, "%00": False, "%ff": False, "=": False,
}  # fmt: skip


async def test_link_with_something_around_it_leads_to_a_page(world: World, public: PublicRoutes) -> None:
    """With a trailing slash or full stop it is the person's own page; another token gets the page that says so."""
    await alerted(world, "p1")
    with Failures() as failures:
        for around, works in AROUND.items():
            with failures.case(around):
                shown = await public.http.get(public.link("p1") + around, headers={"Accept-Language": "nl"})
                head = await public.http.head(public.link("p1") + around, headers={"Accept-Language": "nl"})
                is_page(shown, 200 if works else 404, "nl", "tel:")
                is_page(head, shown.status_code, "nl")
                assert head.content == b""
                posted = await public.http.post(public.link("p1") + around, data={"answer": "safe"})
                assert posted.status_code == (303 if works else 404)
    assert {entry[:2] for entry in await public.said()} == {("p1", "safe")}


async def test_unusual_requests_get_a_page(world: World, public: PublicRoutes) -> None:
    """Unknown methods, too many bytes, a length that is none, no token: a page with the status and its headers."""
    await alerted(world, "p1")
    link = public.link("p1")

    async def without_length() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"a" * 100_000

    with Failures() as failures:
        for language, (_, accepted) in LANGUAGES.items():
            sent = {"Accept-Language": accepted, "Accept": "application/json"}
            for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY"):
                with failures.case(method, language):
                    answer = await public.http.request(method, link, headers=sent)
                    is_page(answer, 405, language, "tel:")
                    assert answer.headers["allow"] == "GET, HEAD, POST"
            for path in ("/v1/answers", "/v1/answers/", "/v1/answers/%20", f"/v1/answers/{UNKNOWN}", "/v1/returns"):
                with failures.case(path, language):
                    is_page(await public.http.get(path, headers=sent), 404, language, "tel:")
            with failures.case("a large body", language):
                is_page(await public.http.post(link, content=b"a" * 1_100_000, headers=sent), 413, language, "tel:")
            with failures.case("a large body without a length", language):
                is_page(await public.http.post(link, content=without_length(), headers=sent), 413, language, "tel:")
            with failures.case("a length that is none", language):
                wrong = await public.http.post(link, content=b"", headers={**sent, "Content-Length": "many"})
                is_page(wrong, 400, language, "tel:")
        with failures.case("the language of the link"):
            is_page(await public.http.put(f"{link}?language=nl", headers={"Accept-Language": "en"}), 405, "nl", "tel:")
        with failures.case("elsewhere"):
            problem = await public.http.get("/v1/answersheets")
            assert problem.headers["content-type"] == "application/problem+json"
    assert await public.said() == []


@pytest.mark.parametrize(("error", "status"), [(MongoUnavailable("away"), 503), (RuntimeError("a mistake"), 500)])
async def test_page_that_fails_says_how_to_reach_the_university(
    world: World, public: PublicRoutes, error: Exception, status: int
) -> None:
    """Without the database, and after a mistake of ours."""
    await alerted(world, "p1")
    link = public.link("p1")

    async def fails(*arguments: object) -> None:
        raise error

    world.alerts.recipient_of_link = fails  # type: ignore[method-assign,assignment]
    for answer in (await public.http.get(link), await public.http.post(link, data={"answer": "help"})):
        is_page(answer, status, "en", "tel:")
        assert ("retry-after" in answer.headers) == (status == 503)


async def test_any_body_of_any_type_gets_a_page(world: World, public: PublicRoutes) -> None:
    """Generated bodies and types: 303 or a page, never a problem and never 500."""
    await alerted(world, "p1")
    pieces = st.sampled_from(
        [b"answer", b"=", b"&", b"safe", b"maybe", b"--x", b"\r\n", b'Content-Disposition: form-data; name="answer"',
         b"%", b"\xff"]
    )  # fmt: skip
    types = st.sampled_from([FORM, MULTIPART, "multipart/form-data", "text/plain", "", "application/json", "a;b=c"])
    examples: list[tuple[str, bytes]] = []

    @settings(max_examples=60, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(types, st.lists(pieces, max_size=12).map(b"".join) | st.binary(max_size=200))
    def collect(content_type: str, body: bytes) -> None:
        examples.append((content_type, body))

    collect()
    with Failures() as failures:
        for content_type, body in examples:
            with failures.case(content_type, body):
                sent = headers(content_type, "en")
                answer = await public.http.post(public.link("p1"), content=body, headers=sent)
                if answer.status_code not in (303, 429):
                    is_page(answer, 400, "en", "tel:")
