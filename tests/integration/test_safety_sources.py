"""Secondary sources beside the deciding one: stored as each states it, shown as disagreement, without effect.

Real service, Kafka, MongoDB and ministry; the other governments are small servers that may fail.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pycountry
from aiohttp import web

from services.safety.store.secondary_advice import SecondaryAdviceStore
from shared.clock import utc_now
from shared.events import TravelAdviceChanged
from tests.integration.bus_world import until
from tests.integration.test_safety_feed import COUNTRIES, Service, World, process, world  # noqa: F401 - fixtures
from tests.integration.test_safety_fetch import bomb, inward, server
from tests.rules.test_cap import alert

DESTINATIONS = [country.alpha_2 for country in pycountry.countries if country.alpha_2 != "BQ"][:225]
TEXTS = ("Exercise normal security precautions", "Exercise a high degree of caution", "Avoid non-essential travel",
         "Avoid all travel")  # fmt: skip


@dataclass
class Government:
    """Canada's server: every country green except those in `levels`, or an answer in a wrong format."""

    levels: dict[str, int] = field(default_factory=dict)
    published: str = "2026-06-23T16:13:34-04:00"
    gone: set[str] = field(default_factory=set)
    answer: Callable[[web.Request], Any] | None = None
    asked: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The index."""
        self.asked += 1
        if self.answer is not None:
            response: web.StreamResponse = await self.answer(request)
            return response
        data = {
            code: {
                "advisory-state": (level := self.levels.get(code, 0)),
                "date-published": {"asp": self.published},
                "eng": {"name": code, "url-slug": code.lower(), "advisory-text": TEXTS[min(level, 3)]},
            }
            for code in DESTINATIONS
            if code not in self.gone
        }
        return web.Response(body=json.dumps({"data": data}).encode())


@asynccontextmanager
async def both(world: World, canada: Government) -> AsyncIterator[Service]:  # noqa: F811
    """The service with Canada beside the ministry."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(server(canada.handle))
        service = world.service(INFORMING_SOURCES="canada", SOURCE_URLS={"canada": url}, INFORMING_INTERVAL_SECONDS="1")
        yield await stack.enter_async_context(service)


async def listed(service: Service, name: str) -> dict[str, Any]:
    """The entry of a source in GET /v1/sources."""
    found = (await service.get("/v1/sources"))["items"]
    return next(dict(item) for item in found if item["source"] == name)


async def said(service: Service, country: str) -> dict[str, Any]:
    """Canada's advice for a country."""
    [found] = (await service.get(f"/v1/travel-advice/{country}/sources"))["items"]
    return dict(found)


async def test_source_that_informs_is_shown_and_changes_nothing(world: World) -> None:  # noqa: F811
    """Red there, yellow here: the officer sees source and date; no event and no level changes."""
    canada = Government({"ES": 3, "FR": 1})
    async with both(world, canada) as service:
        await world.read_again(1)
        secondary_advice = SecondaryAdviceStore(world.mongo.database("safety"))
        await until(lambda: canada.asked >= 2, seconds=180)

        async def known() -> bool:
            return len(await secondary_advice.of_source("canada")) == len(DESTINATIONS)

        await until(known, seconds=180)
        spain, france = await said(service, "ES"), await said(service, "FR")
        matters = (await service.get("/v1/disagreements", pageSize=250))["items"]
        canada.levels = {"ES": 1}
        canada.published = "2026-06-24T16:13:34-04:00"

        async def fell() -> bool:
            return (await secondary_advice.of_source("canada"))["ES"].level == 1

        await until(fell, seconds=180)
        after = await said(service, "ES")
        source = await listed(service, "canada")
        advice = await service.get("/v1/travel-advice/ES")
        events = await world.events()

    assert (spain["source"], spain["level"], spain["counts"], spain["standing"]) == ("canada", 3, 1, "negative_there")
    assert spain["isFresh"]
    assert (france["level"], france["counts"], france["standing"]) == (1, 0, "worse")
    assert "ES" in {item["country"] for item in matters}
    assert "FR" not in {item["country"] for item in matters}
    assert (after["level"], after["standing"]) == (1, "agrees")
    assert after["saysSoSince"] > spain["saysSoSince"]
    assert (source["state"], source["countries"], source["failure"]) == ("fresh", len(DESTINATIONS), None)
    assert (advice["level"], advice["source"], advice["adviceVersion"]) == (1, "netherlands", 1)
    assert len(events) == COUNTRIES + 1


async def html(request: web.Request) -> web.StreamResponse:
    """A challenge page with status 200."""
    return web.Response(text="<!DOCTYPE html><html><body>Just a moment</body></html>", content_type="text/html")


async def deep(request: web.Request) -> web.StreamResponse:
    """10,000 levels of nesting."""
    return web.Response(body=b'{"data":' * 10_000)


async def empty(request: web.Request) -> web.StreamResponse:
    """The source is out of order."""
    return web.Response(body=b"{}")


async def short(request: web.Request) -> web.StreamResponse:
    """Fewer than nine tenths of the former countries."""
    few = {
        code: {"advisory-state": 0, "date-published": {"asp": "2026-06-24T00:00:00Z"}} for code in DESTINATIONS[:201]
    }
    return web.Response(body=json.dumps({"data": few}).encode())


#: Fault of the other government → the sentence in GET /v1/sources.
FAULTS = {
    inward: "status 302 to an address that is not the source's",
    bomb: "a page of more than 10000000 bytes",
    html: "page 1 is not JSON",
    deep: "page 1 is not JSON",
    empty: "page 1 is not an index of destinations",
    short: "201 countries where at least 202 are expected",
}


async def test_source_that_misbehaves_keeps_its_word_and_touches_no_other(world: World) -> None:  # noqa: F811
    """One sentence in GET /v1/sources; its former advice stays; the ministry is read as usual."""
    canada = Government({"ES": 3})
    async with both(world, canada) as service:
        await world.read_again(1)
        await until(lambda: canada.asked >= 2, seconds=180)
        for answer, reason in FAULTS.items():
            canada.answer = answer

            async def failed(reason: str = reason) -> bool:
                return reason in ((await listed(service, "canada"))["failure"] or "")

            await until(failed, seconds=180)
            source, spain = await listed(service, "canada"), await said(service, "ES")
            canada.answer = None

            async def healed() -> bool:
                return (await listed(service, "canada"))["failure"] is None

            await until(healed, seconds=180)
            assert (source["state"], source["countries"]) == ("fresh", len(DESTINATIONS)), reason
            assert source["failedSince"] is not None, reason
            assert (spain["level"], spain["standing"]) == (3, "negative_there"), reason
        await world.read_again(1)
        ministry = await listed(service, "netherlands")

    assert (ministry["state"], ministry["failure"], ministry["countries"]) == ("fresh", None, COUNTRIES)


async def test_source_of_cap_messages_informs_until_they_are_taken_back(world: World) -> None:  # noqa: F811
    """Off by default. An alert is shown, its cancellation ends it, an exercise is left out."""
    now = utc_now()
    sent, expires = now.isoformat(), (now + timedelta(days=1)).isoformat()
    documents = [alert("1", sent=sent, expires=expires), alert("2", status="Exercise", sent=sent, expires=expires)]

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=f"<feed>{''.join(documents)}</feed>".encode())

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(server(answer))
        read = world.service(CAP_URLS=f"{url}/alerts.xml", INFORMING_INTERVAL_SECONDS="1")
        service = await stack.enter_async_context(read)

        async def shown() -> list[str]:
            return [item["identifier"] for item in (await service.get("/v1/cap-messages"))["items"]]

        async def one() -> bool:
            return await shown() == ["1"] and (await listed(service, "cap-1"))["checkedAt"] is not None

        await until(one, seconds=180)
        source = await listed(service, "cap-1")
        documents.append(alert("3", "Cancel", sent=sent, references=f"civil,1,{sent}"))

        async def none() -> bool:
            return await shown() == []

        await until(none, seconds=180)
        events = await world.events()

    assert (source["state"], source["unread"]) == ("fresh", ["message 2: its status is Exercise, not Actual"])
    assert not [event for event in events if isinstance(event.data, TravelAdviceChanged) and not event.data.baseline]
