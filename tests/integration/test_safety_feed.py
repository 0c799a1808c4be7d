"""The safety service reads the ministry's feed over HTTP: each change once, and no fault changes the advice.

Real service, Kafka, MongoDB and simulator; a proxy in front of the simulator plays further faults.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from services.safety import app as safety
from services.safety.commands.deps import ReadingDeps, ReadingPolicy
from services.safety.polling import PolledSource, parsed_here, poll_once
from services.safety.settings import Settings
from services.safety.sources import fetch, netherlands
from services.safety.sources.documents import NOT_READ
from services.safety.store.advice import Store
from services.safety.store.source_state import SourceState
from shared.audit.chain import ChainVerifier
from shared.audit.reader import Reader
from shared.bus import topics
from shared.bus.outbox import Outbox
from shared.bus.settings import BusSettings
from shared.clock import utc_now
from shared.envelope import Envelope, parse
from shared.errors import TransientError
from shared.events import Event, SourceChecked, SourceFailed, TravelAdviceChanged
from shared.mongo.client import Mongo, PyMongoError
from shared.web.local_tokens import AUDIENCE, ISSUER, create_keys, mint
from tests.integration.bus_world import TOPICS, until
from tests.integration.simulators import ROOT, Simulator, running

TOPIC = "travel.advice.v1"
BASE = "/v2/sources/nederlandwereldwijd"
#: Of the 226 advisories three are islands that make one country.
COUNTRIES = 224
NEVER = 100_000.0
SIGKILLED = -9


class Door:
    """A proxy before the simulator: it passes every request on until the test sets a fault."""

    def __init__(self, feed: Simulator) -> None:
        self._feed = feed
        # One client for all requests, without certificates: to load those takes 24 ms of CPU time.
        self._http = httpx.AsyncClient(base_url=str(feed.http.base_url), timeout=30, verify=False)
        self.answer: Callable[[web.Request], Any] | None = None
        self.agents: set[str] = set()
        self.asked = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        self.agents.add(request.headers.get("User-Agent", ""))
        if self.answer is not None:
            response: web.StreamResponse = await self.answer(request)
            return response
        agent = request.headers.get("User-Agent", "")
        passed = await self._http.get(request.path_qs, headers={"User-Agent": agent})
        return web.Response(status=passed.status_code, body=passed.content)

    async def close(self) -> None:
        """Close the connections to the simulator."""
        await self._http.aclose()

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        """A redirect to another origin, which would serve the list."""
        return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{self._feed.port}{request.path_qs}"})

    async def endless(self, request: web.Request) -> web.StreamResponse:
        """An answer without an end."""
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 1_000_000)

    async def drip(self, request: web.Request) -> web.StreamResponse:
        """Bytes keep coming, and the answer never ends."""
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    async def junk(self, request: web.Request) -> web.StreamResponse:
        """How the German feed fails: status 200 and `{}`."""
        return web.Response(body=b"{}")

    async def cut(self, request: web.Request) -> web.StreamResponse:
        """The connection ends in the middle of the answer."""
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(b'[{"isocode": "ESP"')
        assert request.transport is not None
        request.transport.abort()
        return response


@dataclass
class World:
    """A feed, and the safety services that read it."""

    kafka: str
    mongo_url: str
    namespace: str
    feed: Simulator
    door: Door
    url: str
    keys: Path
    mongo: Mongo
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        database = self.mongo.database("safety")
        self.store = Store(database, Outbox(database, "/safety"))

    def environment(self, instance: str, **more: str) -> dict[str, str]:
        """The environment of a safety service in this world."""
        return {
            "ENV": "local",
            "NAMESPACE": self.namespace,
            "INSTANCE": instance,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "MONGO_URL": self.mongo_url,
            "KEY_ENCRYPTION_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "JWKS": str(create_keys(self.keys)),
            "TOKEN_ISSUER": ISSUER,
            "TOKEN_AUDIENCE": AUDIENCE,
            "TOPICS_FILE": str(TOPICS),
            "FEED_URL": f"{self.url}{BASE}",
            "FEED_INTERVAL_SECONDS": "1",
            "FEED_TIMEOUT_SECONDS": "5",
            "FEED_STALE_AFTER_SECONDS": str(NEVER),
            "USER_AGENT_CONTACT": "mailto:safe-passage@university.example",
            **more,
        }

    @asynccontextmanager
    async def service(self, instance: str = "safety-0", **more: str) -> AsyncIterator["Service"]:
        """A running safety service with polling and relay. It ends when every event is on Kafka."""
        settings = Settings(**{name.lower(): value for name, value in self.environment(instance, **more).items()})  # type: ignore[arg-type] # pydantic reads the words
        app = safety.build(settings)
        async with app.router.lifespan_context(app):
            token = mint(self.keys, "officer-1", ["safety-officer"])
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app),
                base_url="http://safety",
                headers={"Authorization": f"Bearer {token}"},
            ) as http:
                yield Service(self, http)
            await self.published()

    async def published(self) -> None:
        """Wait until the outbox is empty."""

        async def empty() -> bool:
            return await self.store.outbox.events.count_documents({"pending": True}) == 0

        await until(empty)

    async def events(self) -> list[Envelope[Event]]:
        """Every event on Kafka, in the order of the relay, once the service has published all.

        After a kill a relay may publish the same bytes again; they count as one event.
        """
        await self.published()
        async with Reader(self.kafka, self.namespace) as reader:
            values = {record.value or b"" async for record in reader.in_order([TOPIC])}
        return sorted((parse(value) for value in values), key=lambda envelope: envelope.sequence or 0)

    async def changes(self) -> list[TravelAdviceChanged]:
        """Every change of advice so far."""
        return [event.data for event in await self.events() if isinstance(event.data, TravelAdviceChanged)]

    async def news(self) -> list[TravelAdviceChanged]:
        """The changes without the baselines."""
        return [change for change in await self.changes() if not change.baseline]

    async def source(self) -> SourceState:
        """The state of the feed."""
        return await self.store.source_state("netherlands")

    async def read_again(self, times: int = 2) -> None:
        """Wait for this many more whole readings. The first may have begun before the call."""
        for _ in range(times):
            before = (await self.source()).checked_at

            async def later(before: Any = before) -> bool:
                state = await self.source()
                return state.failure is None and state.checked_at is not None and state.checked_at != before

            await until(later, seconds=240)

    async def has(self, country: str, level: int, *, version: int = 1) -> None:
        """Wait until the country has this effective level."""

        async def there() -> bool:
            state = (await self.store.countries.load(country)).state
            return state is not None and state.effective == level and state.advice_version >= version

        await until(there, seconds=240)

    def change(self, country: str, level: object, *regions: tuple[str, str], **more: object) -> None:
        """Set new advice for a country."""
        body = {"country": country, "level": level, "regions": [{"area": area, "level": c} for area, c in regions]}
        answer = self.feed.http.post("/control/change", json={**body, **more})
        assert answer.status_code == 200, answer.text


@dataclass
class Service:
    """A running service, as its callers see it."""

    world: World
    http: httpx.AsyncClient

    async def get(self, path: str, **query: str | int) -> Any:
        """The JSON of a successful GET."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def source(self) -> dict[str, Any]:
        """The state of the feed."""
        [found] = (await self.get("/v1/sources"))["items"]
        return dict(found)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One simulator for all tests."""
    with running("advice_feed", tmp_path_factory.mktemp("feed")) as simulator:
        yield simulator


@pytest.fixture
async def world(stack: Any, namespace: str, process: Simulator, tmp_path: Path) -> AsyncIterator[World]:
    """The synthetic world without changes and faults, not read yet."""
    process.put("/faults", {})
    process.put("/picture", [])
    assert process.http.delete("/control/changes").status_code == 200
    await topics.apply(BusSettings(stack.kafka, namespace, "operator", "test"), topics.load(TOPICS), "local")
    door = Door(process)
    site = web.Application()
    site.router.add_get("/{path:.*}", door.handle)
    runner = web.AppRunner(site, shutdown_timeout=0.1)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    assert runner.addresses
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    mongo = Mongo(stack.mongo, namespace=namespace)
    yield World(stack.kafka, stack.mongo, namespace, process, door, url, tmp_path / "keys", mongo)
    mongo.close()
    await runner.cleanup()
    await door.close()


def areas(change: TravelAdviceChanged) -> dict[str, tuple[int | None, int | None]]:
    """The changed areas, with their levels before and after."""
    return {area.area: (area.before, area.after) for area in change.changes}


async def test_feed_first_picture_is_a_baseline_and_reading_again_writes_nothing(world: World) -> None:
    """Every country once, as baseline, and no event for the same advice again. Requests name us."""
    async with world.service() as service:
        await world.read_again(3)
        events = await world.events()
        listed = await service.get("/v1/travel-advice", pageSize=250)
        source = await service.source()

    changes = [event.data for event in events if isinstance(event.data, TravelAdviceChanged)]
    checks = [event.data for event in events if isinstance(event.data, SourceChecked)]
    assert Counter(change.country for change in changes).most_common(1)[0][1] == 1
    assert len(changes) == len(listed["items"]) == COUNTRIES
    assert all(change.baseline and change.advice_version == 1 for change in changes)
    assert [len(check.countries) for check in checks] == [COUNTRIES]
    assert len(events) == COUNTRIES + 1
    assert events[-1].type == "SourceChecked"
    assert (source["state"], source["countries"], source["leftOut"], source["failure"]) == (
        "fresh",
        COUNTRIES,
        [],
        None,
    )
    assert {(item["country"], item["level"]) for item in listed["items"]} >= {
        ("ES", 1),
        ("FR", 0),
        ("BQ", 0),
        ("XK", 0),
    }
    assert all(item["isFresh"] for item in listed["items"])
    assert world.door.agents == {"SafePassage/0.1 (+mailto:safe-passage@university.example)"}


async def test_feed_change_is_one_event_with_the_full_state(world: World) -> None:
    """A country, a region, or both: one event each, complete and chained."""
    async with world.service() as service:
        await world.read_again(1)
        world.change("ES", "rood", text="Er is oorlog uitgebroken.")
        world.change("FR", "groen", ("de regio Bretagne", "oranje"))
        world.change("JP", "geel", ("het zuidoosten van Fukushima", "rood"), ("Hokkaido", "oranje"))
        for country, level in (("ES", 3), ("JP", 1)):
            await world.has(country, level)
        await world.has("FR", 0, version=2)
        await world.read_again()
        news = {change.country: change for change in await world.news()}
        spain = await service.get("/v1/travel-advice/ES")
        history = await service.get("/v1/travel-advice/ES/history")
        negative = await service.get("/v1/travel-advice", atLeast="red", pageSize=250)

    assert len(await world.news()) == 3
    assert areas(news["ES"]) == {"ES": (1, 3)}
    assert areas(news["FR"]) == {"FR-BRE": (0, 2)}
    assert areas(news["JP"]) == {"JP": (0, 1), "het zuidoosten van Fukushima": (0, 3), "JP-01": (0, 2)}
    france = news["FR"]
    assert (france.ministry.after, france.effective.after, france.advice_version, france.baseline) == (0, 0, 2, False)
    assert [(region.area, region.code, region.before, region.after) for region in france.regions] == [
        ("de regio Bretagne", "FR-BRE", 0, 2)
    ]
    assert (france.source, france.decided_by, france.url[:8]) == ("netherlands", "rules", "https://")
    assert news["ES"].text_nl.startswith("Er is oorlog uitgebroken.")
    assert "Spain: red, do not travel there." in news["ES"].text_en
    assert (spain["level"], spain["colour"], spain["adviceVersion"]) == (3, "red", 2)
    assert [item["adviceVersion"] for item in history["items"]] == [2, 1]
    assert {"ES", "JP"} <= {item["country"] for item in negative["items"]}
    verifier = ChainVerifier(TOPIC)
    async with Reader(world.kafka, world.namespace) as reader:
        async for record in reader.in_order([TOPIC]):
            verifier.feed(record)
    assert (list(verifier.findings()), verifier.duplicates) == ([], 0)


async def test_feed_change_is_followed_by_the_word_that_it_is_known(world: World) -> None:
    """After a change, SourceChecked lists the new version: a consumer without it knows that it is behind."""
    async with world.service():
        await world.read_again(1)
        world.change("ES", "oranje")
        await world.has("ES", 2)
        await world.read_again(1)

    last = (await world.events())[-1].data
    assert isinstance(last, SourceChecked)
    assert (last.countries["ES"], last.countries["FR"]) == (2, 1)


#: fault → (the simulator's setting or the door's answer, what the reason says)
FAULTS: dict[str, tuple[dict[str, object] | str, str]] = {
    "short page": ({"short_page": 190}, "190 advisories where at least 220 are expected"),
    "empty page": ({"short_page": 0}, "0 advisories"),
    "HTML instead of JSON": ({"html_instead_of_json": True}, "page 1 is not JSON"),
    "truncated JSON": ({"truncated_json": True}, "page 1 is not JSON"),
    "user agent refused": ({"status": {"code": 403}}, "status 403"),
    "gone": ({"status": {"code": 410}}, "status 410"),
    "down": ({"status": {"code": 503}}, "status 503"),
    "hangs": ({"hang_seconds": 30}, "connection: ReadTimeout"),
    "redirects": ("redirect", "status 302"),
    "endless": ("endless", "a page of more than"),
    "empty object": ("junk", "page 1 is not a list"),
    "cut off": ("cut", "connection: "),
}


async def test_feed_fault_keeps_the_state_is_told_once_and_heals(world: World) -> None:
    """For each fault of the feed: no change, one SourceFailed, and the next reading heals it."""
    async with world.service() as service:
        await world.read_again(1)
        before = await service.get("/v1/travel-advice", pageSize=250)
        for name, (fault, reason) in FAULTS.items():
            if isinstance(fault, str):
                world.door.answer = getattr(world.door, fault)
            else:
                world.feed.put("/faults", fault)

            async def failed(reason: str = reason) -> bool:
                return reason in ((await world.source()).failure or "")

            await until(failed, seconds=240)
            shown = await service.source()
            world.door.answer = None
            world.feed.put("/faults", {})
            await world.read_again(1)
            healed = await service.source()

            assert reason in shown["failure"], name
            assert shown["failedSince"] is not None, name
            assert (shown["state"], shown["countries"]) == ("fresh", COUNTRIES), name
            assert (healed["failure"], healed["failedSince"]) == (None, None), name
        after = await service.get("/v1/travel-advice", pageSize=250)
        events = await world.events()

    told = [event.data for event in events if isinstance(event.data, SourceFailed | SourceChecked)]
    assert after == before
    assert not [event for event in events if isinstance(event.data, TravelAdviceChanged) and not event.data.baseline]
    assert isinstance(told[0], SourceChecked)
    failures = [event for event in told if isinstance(event, SourceFailed)]
    assert [type(event) for event in told[1:]] == [SourceFailed, SourceChecked] * len(FAULTS)
    for failure, (_, reason) in zip(failures, FAULTS.values(), strict=True):
        assert reason in failure.reason
        assert "Onderhoud" not in failure.reason


def feed_at(world: World, http: httpx.AsyncClient, *, whole_seconds: float = 60) -> fetch.Fetcher:
    """A fetcher of this world's feed."""
    return fetch.Fetcher(http, f"{world.url}{BASE}", per_second=100, whole_seconds=whole_seconds)


async def test_feed_that_drips_is_given_up(world: World) -> None:
    """Bytes keep coming and the answer never ends: the time limit of the reading ends it."""
    world.door.answer = world.door.drip
    async with fetch.client("mailto:safe-passage@university.example", 10) as http:
        with pytest.raises(fetch.FetchFailed, match=r"no whole answer within 0.5 s"):
            await feed_at(world, http, whole_seconds=0.5).read(netherlands.fetch)


async def test_feed_failing_long_enough_is_stale(world: World) -> None:
    """R14: the last reading is fresh until its time is over; then the advice is stale, and still there."""
    async with world.service(FEED_STALE_AFTER_SECONDS="2") as service:
        await world.read_again(1)
        world.feed.put("/faults", {"status": {"code": 503}})

        async def stale() -> bool:
            source = await service.source()
            return bool(source["state"] == "stale" and source["failure"])

        await until(stale)
        spain = await service.get("/v1/travel-advice/ES")
        ready = (await service.http.get("/readyz")).json()

    assert (spain["level"], spain["isFresh"]) == (1, False)
    [check] = [check for check in ready["checks"] if check["name"] == "source netherlands"]
    assert not check["ok"]
    assert check["detail"] == "status 503"


async def test_feed_never_read_says_so(world: World) -> None:
    """A feed that fails from the start: no country is known, the source is never_read, and one SourceFailed."""
    world.feed.put("/faults", {"status": {"code": 503}})
    async with world.service() as service:
        await until(lambda: world.door.asked >= 4)
        source = await service.source()
        spain = await service.http.get("/v1/travel-advice/ES")

    assert (source["state"], source["countries"], source["checkedAt"]) == ("never_read", 0, None)
    assert spain.status_code == 404
    assert [event.type for event in await world.events()] == ["SourceFailed"]


async def test_feed_stale_answer_hides_a_change_and_older_text_replaces_nothing(world: World) -> None:
    """A frozen feed changes nothing; a text with an older date never replaces the known one."""
    async with world.service():
        await world.read_again(1)
        world.feed.put("/faults", {"stale": True})
        world.change("ES", "rood")
        await world.read_again()
        assert await world.news() == []
        world.feed.put("/faults", {})
        await world.has("ES", 3)
        assert world.feed.http.delete("/control/changes").status_code == 200
        await world.read_again(3)
        news = await world.news()

    assert [areas(change) for change in news] == [{"ES": (1, 3)}]


async def test_feed_date_to_come_does_not_shut_out_what_follows(world: World) -> None:
    """An advisory dated 2099 is read and flagged, and the ministry's later red counts."""
    record = next(record for record in list_of(world.feed) if record["isocode"] == "ESP")
    world.feed.put("/picture", [{**record, "lastmodified": "2099-01-01T00:00:00.000Z"}])
    async with world.service() as service:
        await world.read_again(2)
        source = await service.source()
        quiet = await world.news()
        world.change("ES", "rood")
        await world.has("ES", 3)

    assert source["unread"] == ["ESP: dated 2099-01-01, which is still to come"]
    assert quiet == []


def list_of(feed: Simulator) -> list[dict[str, Any]]:
    """Every record of the feed's list."""
    found: list[dict[str, Any]] = []
    for offset in (0, 200):
        query: dict[str, str | int] = {"output": "json", "rows": 200, "offset": offset}
        answer = feed.http.get(f"{BASE}/infotypes/traveladvice", params=query, headers={"User-Agent": "test"})
        found += answer.json()
    return found


async def test_feed_improvement_waits_for_the_second_reading(world: World) -> None:
    """Red to orange: shown as the ministry's level, and effective after a later reading agrees."""
    async with world.service(FALL_CONFIRMATION_SECONDS=str(NEVER)) as service:
        await world.read_again(1)
        world.change("ES", "rood")
        await world.has("ES", 3)
        world.change("ES", "oranje")
        await world.has("ES", 3, version=3)
        await world.read_again(3)
        unconfirmed = await service.get("/v1/travel-advice/ES")
    async with world.service(FALL_CONFIRMATION_SECONDS="0"):
        await world.has("ES", 2)
        await world.read_again(1)
    news = await world.news()

    assert unconfirmed["level"] == 3
    assert [(change.ministry.after, change.effective.before, change.effective.after) for change in news] == [
        (3, 1, 3),
        (2, 3, 3),
        (2, 3, 2),
    ]
    assert [areas(change) for change in news] == [{"ES": (1, 3)}, {}, {"ES": (3, 2)}]


async def test_feed_improvement_taken_back_was_never_believed(world: World) -> None:
    """Orange for a moment, then red again: no event ever said orange."""
    async with world.service(FALL_CONFIRMATION_SECONDS=str(NEVER)):
        await world.read_again(1)
        world.change("ES", "rood")
        await world.has("ES", 3)
        world.change("ES", "oranje")
        await world.has("ES", 3, version=3)
        world.change("ES", "rood")
        await world.has("ES", 3, version=4)

    assert all(change.effective.after == 3 for change in await world.news())
    assert await world.store.pending_improvements() == {}


async def test_feed_unreadable_country_keeps_its_level_and_is_vouched_for_no_more(world: World) -> None:
    """R14: unknown never replaces a known level: it stays, is stale, and the sentence is shown to a person."""
    async with world.service() as service:
        await world.read_again(1)
        world.change("FR", None, introduction="<p>Voor Frankrijk geldt kleurcode blauw.</p>")
        await world.has("FR", 0, version=2)
        await world.read_again(1)
        france = await service.get("/v1/travel-advice/FR")
        spain = await service.get("/v1/travel-advice/ES")
        source = await service.source()
        last = (await world.events())[-1].data
        world.change("FR", "geel")
        await world.has("FR", 1)
        await world.read_again(1)
        readable = await service.get("/v1/travel-advice/FR")

    [change, again] = await world.news()
    assert (change.ministry.after, change.effective.after, areas(change)) == (None, 0, {})
    assert (again.effective.before, again.effective.after) == (0, 1)
    assert (france["isFresh"], spain["isFresh"], readable["isFresh"]) == (False, True, True)
    assert source["leftOut"] == ["FR"]
    assert "FRA: Voor Frankrijk geldt kleurcode blauw" in source["unread"]
    assert isinstance(last, SourceChecked)
    assert "FR" not in last.countries
    assert len(last.countries) == COUNTRIES - 1


async def test_feed_country_that_is_missing_is_kept_and_vouched_for_no_more(world: World) -> None:
    """A list above the floor without one country: its advice stays and is stale, the others are fresh."""
    async with world.service() as service:
        await world.read_again(1)
        world.door.answer = partial(without, world.feed, "FRA")
        await world.read_again(2)
        source = await service.source()
        france = await service.get("/v1/travel-advice/FR")
        missing = (await world.events())[-1].data
        world.door.answer = None
        await world.read_again(2)
        back = (await world.events())[-1].data

    assert await world.news() == []
    assert (source["countries"], source["leftOut"]) == (COUNTRIES - 1, ["FR"])
    assert (france["level"], france["isFresh"]) == (0, False)
    assert isinstance(missing, SourceChecked)
    assert isinstance(back, SourceChecked)
    assert ("FR" in missing.countries, "FR" in back.countries) == (False, True)


async def without(feed: Simulator, isocode: str, request: web.Request) -> web.StreamResponse:
    """The list without one country, in the requested pages."""
    left = [record for record in list_of(feed) if record["isocode"] != isocode]
    offset = int(request.query["offset"])
    return web.json_response(left[offset : offset + 200])


async def test_feed_country_too_large_to_record_stops_no_other(world: World) -> None:
    """Advice above the size limit of an event: that country turns stale and is named, the others are adopted."""
    areas_ = "".join(f"<li>Voor {'𓀀' * 250}{n} geldt kleurcode oranje.</li>" for n in range(60))
    async with world.service() as service:
        await world.read_again(1)
        world.change("AF", None, introduction=areas_ + f"<p>{'𓀀' * 20_000}</p>")
        world.change("ES", "rood")
        await world.has("ES", 3)
        await world.read_again(1)
        source = await service.source()

    assert [change.country for change in await world.news()] == ["ES"]
    assert source["leftOut"] == ["AF"]
    assert source["unread"][0] == "AF: cannot be recorded (PermanentError)"


@pytest.mark.fault("a text of advice that once took minutes to be read, and one over the limit")
async def test_feed_text_of_one_repeated_letter_stops_no_other(world: World) -> None:
    """Their countries turn stale and are named, and a change in another country is read as ever."""
    async with world.service() as service:
        await world.read_again(1)
        world.change("PT", None, introduction=f"<p>({'A' * 21_000}")
        world.change("AF", None, introduction=f"<p>({'A' * 200_000}")
        world.change("ES", "rood")
        await world.has("ES", 3)
        await world.read_again(1)
        source = await service.source()

    levels = {change.country: (change.effective.before, change.effective.after) for change in await world.news()}
    assert [country for country, (before, after) in levels.items() if before != after] == ["ES"]
    assert source["leftOut"] == ["AF", "PT"]
    assert f"AFG: {NOT_READ}" in source["unread"]
    assert "PRT: no sentence about the whole country" in source["unread"]


async def test_feed_two_services_write_each_change_once(world: World) -> None:
    """Two instances read the same feed, then the reading one stops: no change twice, none lost."""
    async with AsyncExitStack() as first, world.service("safety-1"):
        await first.enter_async_context(world.service("safety-0"))
        await world.read_again(1)
        world.change("ES", "oranje")
        await world.has("ES", 2)
        await first.aclose()
        world.change("ES", "rood")
        await world.has("ES", 3)
        await world.read_again()

    changes = await world.changes()
    assert [areas(change) for change in await world.news()] == [{"ES": (1, 2)}, {"ES": (2, 3)}]
    assert len([change for change in changes if change.baseline]) == COUNTRIES


async def test_feed_read_twice_at_the_same_moment_writes_each_change_once(world: World) -> None:
    """Two instances adopt one answer at the same time, past the lease: one event per country."""
    http = fetch.client("mailto:safe-passage@university.example", 10)
    source = PolledSource(
        "netherlands", partial(feed_at(world, http).read, netherlands.fetch), parsed_here(netherlands.FEED)
    )
    policy = ReadingPolicy(timedelta(minutes=30), timedelta(seconds=NEVER))
    deps = ReadingDeps(world.mongo, world.store, policy)
    await world.store.create_indexes()

    async def both_adopt() -> None:
        done = [False, False]
        while not all(done):
            results = await asyncio.gather(*(poll_once(deps, source, utc_now) for _ in done), return_exceptions=True)
            assert all(result is True or isinstance(result, TransientError | PyMongoError) for result in results), (
                results
            )
            done = [before or result is True for before, result in zip(done, results, strict=True)]

    async with asyncio.timeout(120):
        await both_adopt()
        world.change("ES", "rood")
        world.change("FR", "geel", ("de regio Bretagne", "oranje"))
        await both_adopt()
    await http.aclose()
    written = [
        parse(bytes(document["body"])).data async for document in world.store.outbox.events.find({}).sort("position", 1)
    ]

    changes = [event for event in written if isinstance(event, TravelAdviceChanged)]
    assert Counter(change.country for change in changes if change.baseline) == Counter(
        [*await world.store.all_countries()]
    )
    assert sorted(change.country for change in changes if not change.baseline) == ["ES", "FR"]


async def test_feed_restarted_service_writes_nothing_again(world: World) -> None:
    """After a restart, only a change that happened meanwhile is one event."""
    async with world.service("safety-0"):
        await world.read_again(1)
        world.change("ES", "oranje")
        await world.has("ES", 2)
    world.change("FR", "rood")
    async with world.service("safety-1"):
        await world.has("FR", 3)
        await world.read_again()

    assert {change.country: areas(change) for change in await world.news()} == {
        "ES": {"ES": (1, 2)},
        "FR": {"FR": (0, 3)},
    }
    assert len(await world.changes()) == COUNTRIES + 2


async def test_feed_service_killed_in_the_middle_is_carried_on_by_the_next(world: World) -> None:
    """kill -9 during the first batch: the next service writes the rest, no country twice."""
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "--factory", "services.safety.app:from_environment", "--port", "0",
        "--log-level", "warning", cwd=ROOT, env={**os.environ, **world.environment("victim")},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:

        async def begun() -> bool:
            assert victim.returncode is None, "ended by itself"
            return await world.store.countries.collection.count_documents({}) >= 5

        await until(begun, seconds=240)
    finally:
        victim.kill()
        assert await victim.wait() == SIGKILLED
    written = await world.store.countries.collection.count_documents({})
    async with world.service("safety-1"):
        await world.read_again()

    assert 5 <= written < COUNTRIES
    baseline = await world.changes()
    assert Counter(change.country for change in baseline).most_common(1)[0][1] == 1
    assert len(baseline) == COUNTRIES
