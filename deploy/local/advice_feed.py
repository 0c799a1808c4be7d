"""Simulates the ministry's travel-advice feed (Nederland Wereldwijd, open data v2); controlled over HTTP.

It starts with a synthetic world or a real picture; changes are kept in `--state/feed.json`, faults are not kept.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from deploy.local.faults import Faults, FaultSettings, Seconds
from deploy.local.ministry_answers import as_json, as_xml, detail, listed_record, map_image
from deploy.local.ministry_state import Change, Feed, picture_of
from deploy.local.ministry_world import Advice, Record
from deploy.local.simulator import Listener, application, arguments, bad_request, json_body, note, parsed, run
from shared.clock import utc_now

BASE = "/v2/sources/nederlandwereldwijd"
DEFAULT_ROWS = 25
ROW_LIMIT = 200
REFUSED_AGENTS = ("python-requests", "python-httpx", "python-urllib", "aiohttp", "curl", "wget")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Status(BaseModel):
    """Answer with this status instead of the feed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: int = Field(ge=400, le=599)
    next: int | None = Field(None, ge=1, description="how many requests; none: until it is cleared")


class FeedFaults(FaultSettings):
    """Faults of the list and the details, set over HTTP; the control routes always work."""

    short_page: Annotated[int, Field(ge=0)] | None = Field(None, description="a page of the list holds at most N")
    html_instead_of_json: bool = Field(False, description="200 with an HTML page")
    truncated_json: bool = Field(False, description="the answer ends in the middle")
    status: Status | None = Field(None, description="answer with this status")
    stale: bool = Field(False, description="go on serving what was there when this was set, dates included")
    hang_seconds: Seconds = Field(0, description="hold each answer this long")


class Server:
    """Serves the ministry's routes under /v2 and the control routes."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._frozen: tuple[list[Advice], datetime] | None = None
        self.faults = Faults(FeedFaults(), self._faults_changed)

    def _faults_changed(self, faults: FeedFaults) -> None:
        if not faults.stale:
            self._frozen = None
        elif self._frozen is None:
            self._frozen = (self._feed.advices(), utc_now())

    def _now_shown(self) -> tuple[list[Advice], datetime]:
        return self._frozen or (self._feed.advices(), utc_now())

    @web.middleware
    async def gateway(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuses default user agents and v1, as the ministry's gateway does, and applies the faults."""
        if request.path.startswith("/v1/"):
            return web.Response(status=410, text="Gone")
        if not request.path.startswith(BASE):
            return await handler(request)
        agent = request.headers.get("User-Agent", "").strip().lower()
        if not agent or any(name in agent for name in REFUSED_AGENTS):
            note("agent_refused")
            return web.Response(status=403, text="<html><body>Forbidden</body></html>", content_type="text/html")
        faults = self.faults.current
        if faults.hang_seconds:
            await asyncio.sleep(faults.hang_seconds)
        if faults.status is not None:
            self._count_down(faults.status)
            return web.Response(
                status=faults.status.code, text="<html><body>Error</body></html>", content_type="text/html"
            )
        if faults.html_instead_of_json:
            page = "<!DOCTYPE html><html><body><h1>Onderhoud</h1></body></html>"
            return web.Response(text=page, content_type="text/html")
        return await handler(request)

    def _count_down(self, status: Status) -> None:
        if status.next is None:
            return
        left = status.model_copy(update={"next": status.next - 1}) if status.next > 1 else None
        self.faults.current = self.faults.current.model_copy(update={"status": left})

    async def list_advices(self, request: web.Request) -> web.StreamResponse:
        """GET /infotypes/traveladvice?output=json&rows=&offset=."""
        advices, now = self._now_shown()
        rows, offset = (
            self._number(request, name, default) for name, default in (("rows", DEFAULT_ROWS), ("offset", 0))
        )
        page = advices[offset : offset + min(rows, ROW_LIMIT)]
        if self.faults.current.short_page is not None:
            page = page[: self.faults.current.short_page]
        note("list", offset=offset, records=len(page))
        return self._answer(request, [listed_record(advice, self._origin(request), now) for advice in page])

    async def country_detail(self, request: web.Request) -> web.StreamResponse:
        """GET /infotypes/countries/{iso3|locationkey}/traveladvice: a dict, or for some countries a list of one."""
        advice, now = self._requested_advice(request)
        answer = detail(advice, self._origin(request), now)
        note("detail", country=str(advice.record["isocode"]))
        # The real feed answers either form. Here a country gets a list if its second letter has an odd code.
        return self._answer(request, [answer] if ord(str(advice.record["isocode"])[1]) % 2 else answer)

    async def country_map(self, request: web.Request) -> web.Response:
        """GET …/traveladvice/map: a PNG."""
        return web.Response(body=map_image(self._requested_advice(request)[0]), content_type="image/png")

    def _requested_advice(self, request: web.Request) -> tuple[Advice, datetime]:
        advices, now = self._now_shown()
        wanted = request.match_info["country"].casefold()
        for advice in advices:
            if wanted in (str(advice.record["isocode"]).casefold(), advice.record["locationkey"]):
                return advice, now
        raise web.HTTPNotFound

    def _answer(self, request: web.Request, answer: Record | Sequence[Record]) -> web.Response:
        is_json = request.query.get("output") == "json"
        body = as_json(answer) if is_json else as_xml(answer)
        if self.faults.current.truncated_json:
            body = body[: len(body) // 2]
        return web.Response(
            body=body, content_type="application/json" if is_json else "application/xml", charset="utf-8"
        )

    @staticmethod
    def _origin(request: web.Request) -> str:
        return f"{request.scheme}://{request.host}"

    @staticmethod
    def _number(request: web.Request, name: str, default: int) -> int:
        text = request.query.get(name, "")
        return int(text) if text.isdigit() else default

    async def change(self, request: web.Request) -> web.Response:
        """POST /control/change."""
        change = parsed(Change, await json_body(request))
        if change.level is None and not change.regions and change.introduction is None:
            raise bad_request("level: null needs regions or an introduction")
        try:
            new = self._feed.change(change, utc_now())
        except LookupError as error:
            raise web.HTTPNotFound(
                text=json.dumps({"error": str(error.args[0])}), content_type="application/json"
            ) from None
        note("changed", country=str(new.record["isocode"]), level=new.level, regions=len(new.regions))
        return web.json_response(self._as_set(new))

    async def forget_changes(self, _: web.Request) -> web.Response:
        """DELETE /control/changes."""
        self._feed.forget_changes()
        note("changes_forgotten")
        return web.json_response({})

    async def put_picture(self, request: web.Request) -> web.Response:
        """PUT /picture: a real list response; `[]` goes back to the synthetic world."""
        try:
            picture = picture_of(await json_body(request))
        except ValueError as error:
            raise bad_request(str(error)) from None
        self._feed.show(picture)
        note("picture_set", records=len(picture))
        return web.json_response({"records": len(picture), "countries": len(self._feed.advices())})

    async def countries(self, _: web.Request) -> web.Response:
        """GET /control/countries: the levels that were set; null where the level stands only in the picture's text."""
        return web.json_response([self._as_set(advice) for advice in self._feed.advices()])

    def _as_set(self, advice: Advice) -> Record:
        code = str(advice.record["isocode"])
        return {
            "country": self._feed.iso2(code),
            "isocode": code,
            "location": advice.record.get("location"),
            "level": advice.level,
            "regions": [region.model_dump() for region in advice.regions],
            "lastmodified": advice.record["lastmodified"],
            "origin": advice.origin,
        }

    async def healthz(self, _: web.Request) -> web.Response:
        """GET /healthz."""
        return web.json_response({"status": "ok", "countries": len(self._feed.advices())})

    def app(self) -> web.Application:
        """All routes."""
        app = application()
        app.middlewares.append(self.gateway)
        country = f"{BASE}/infotypes/countries/{{country}}/traveladvice"
        app.add_routes(
            [
                web.get(f"{BASE}/infotypes/traveladvice", self.list_advices, allow_head=False),
                web.get(country, self.country_detail, allow_head=False),
                web.get(f"{country}/map", self.country_map, allow_head=False),
                web.post("/control/change", self.change),
                web.delete("/control/changes", self.forget_changes),
                web.get("/control/countries", self.countries),
                web.put("/picture", self.put_picture),
                web.get("/healthz", self.healthz),
                *self.faults.routes(),
            ]
        )
        return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM."""
    parser = arguments(
        "advice_feed", "A travel-advice feed in the ministry's format, with changes and faults on request."
    )
    parser.add_argument("--picture", type=Path, help="a real list response (JSON) to start with")
    options = parser.parse_args(argv)
    picture: list[Record] | None = None
    if options.picture is not None:
        try:
            picture = picture_of(json.loads(options.picture.read_bytes()))
        except (OSError, ValueError) as error:
            parser.error(f"--picture {options.picture}: {error}")

    async def serve(stop: asyncio.Event) -> None:
        feed = Feed(options.state / "feed.json")
        if picture is not None:
            feed.show(picture)
        listener = Listener(Server(feed).app(), options.host, options.port)
        note("listening", port=await listener.start())
        await stop.wait()
        await listener.stop()

    return run(serve)


if __name__ == "__main__":
    sys.exit(main())
