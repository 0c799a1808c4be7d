"""Simulates an SMS gateway with CM.com's wire format: accepts and logs messages, posts receipts and replies.

What it accepted stands in `--state/sms.jsonl` before the answer leaves; faults and replies are set over HTTP.
"""

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Sequence
from itertools import islice
from uuid import uuid4

from aiohttp import web
from pydantic import ValidationError
from yarl import URL

from deploy.local import cm_wire
from deploy.local.callbacks import Callback, Callbacks
from deploy.local.faults import Faults
from deploy.local.simulator import (
    LineLog,
    Listener,
    application,
    arguments,
    bad_request,
    json_body,
    note,
    parsed,
    rfc3339,
    run,
)
from deploy.local.sms_settings import FLAGS, VARIABLE_PREFIX, Config, Reply, SmsFaults


class Gateway:
    """State and HTTP of the gateway."""

    def __init__(self, state: LineLog, replies: LineLog, settled: LineLog, config: Config) -> None:
        self.faults = Faults(SmsFaults())
        self.config = config
        self.accepted = 0
        self._log = state
        self._replies = replies
        self._senders: dict[str, str] = {}
        self.callbacks = Callbacks(
            settled,
            url=lambda kind: self.config.receipts_url if kind == "receipt" else self.config.inbound_url,
            # CM takes any 2xx for a receipt, but exactly 200 for a reply.
            accepted=lambda kind, status: 200 <= status < 300 if kind == "receipt" else status == 200,
        )

    def resume(self) -> None:
        """Continue with the callbacks that the log shows as pending from the previous run."""
        for entry in self._log.entries():
            self.accepted += 1
            self._senders[str(entry["to"])] = str(entry["from"])
            if entry["id"] not in self.callbacks.settled_ids:
                self._owe_receipt(entry)
        for entry in self._replies.entries():
            if entry["id"] not in self.callbacks.settled_ids:
                self._owe_reply(entry)

    async def send(self, request: web.Request) -> web.StreamResponse:
        """POST /v1.0/message."""
        if self.faults.take("too_many_requests"):
            return web.json_response({"details": "Too many requests"}, status=429, headers={"Retry-After": "1"})
        if self.faults.take("http_500"):
            return web.Response(status=500, text="Internal server error")
        if self.faults.take("non_json_200"):
            return web.Response(text="<html><body>Welcome</body></html>", content_type="text/html")
        raw = await request.read()
        if self.faults.current.hang_seconds:
            await asyncio.sleep(self.faults.current.hang_seconds)
            if request.transport is None or request.transport.is_closing():
                note("caller_left")
                return web.Response()
        try:
            verdicts = self._judge(request, raw)
        except cm_wire.Refusal as refusal:
            note("refused", code=int(refusal.code))
            return web.json_response(cm_wire.refused(refusal.code), status=400)
        if self.faults.take("refuse"):
            return web.json_response(cm_wire.refused(self.faults.current.refuse_code), status=400)
        self._accept([verdict.sms for verdict in verdicts if verdict.sms])
        return await self._answer(request, verdicts)

    def _judge(self, request: web.Request, raw: bytes) -> list[cm_wire.Verdict]:
        token = request.headers.get("X-CM-PRODUCTTOKEN")
        if token is not None and token != self.config.product_token:
            raise cm_wire.Refusal(cm_wire.Code.AUTHENTICATION)
        try:
            body = json.loads(raw)
        except ValueError:
            raise cm_wire.Refusal(cm_wire.Code.MALFORMED) from None
        if token is None and cm_wire.token_in_body(body) != self.config.product_token:
            raise cm_wire.Refusal(cm_wire.Code.AUTHENTICATION)
        return cm_wire.judge(body)

    def _accept(self, messages: Sequence[cm_wire.Sms]) -> None:
        entries: list[dict[str, object]] = [
            {
                "id": uuid4().hex,
                "received_at": rfc3339(),
                "to": sms.to,
                "from": sms.sender,
                "reference": sms.reference,
                "body": sms.body,
                "parts": sms.parts,
                "truncated": sms.truncated,
            }
            for sms in messages
        ]
        self._log.append(*entries)
        self.accepted += len(entries)
        for entry in entries:
            self._senders[str(entry["to"])] = str(entry["from"])
            if self.faults.current.no_receipts or str(entry["to"]).endswith(cm_wire.NO_RECEIPT_SUFFIX):
                self.callbacks.settle(str(entry["id"]), "receipt", "withheld")
            else:
                self._owe_receipt(entry)
            note("accepted", reference=str(entry["reference"]), parts=str(entry["parts"]))

    async def _answer(self, request: web.Request, verdicts: list[cm_wire.Verdict]) -> web.StreamResponse:
        if self.faults.take("accept_then_cut"):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if self.faults.take("accept_then_500"):
            return web.Response(status=500, text="Internal server error")
        if self.faults.current.accept_then_hang_seconds:
            await asyncio.sleep(self.faults.current.accept_then_hang_seconds)
        status, body = cm_wire.answer(verdicts)
        return web.json_response(body, status=status)

    def _owe_receipt(self, entry: dict[str, object]) -> None:
        to, config, faults = str(entry["to"]), self.config, self.faults.current
        status = config.delivered
        if to.endswith(cm_wire.PERMANENT_FAILURE_SUFFIX):
            status = config.permanent_failure
        elif to.endswith(cm_wire.TEMPORARY_FAILURE_SUFFIX):
            status = config.temporary_failure
        body = cm_wire.receipt(to, str(entry["reference"]), rfc3339(), status)
        times = 2 if faults.duplicate_receipts else 1
        delay = config.receipt_delay_seconds + faults.late_receipt_seconds
        self.callbacks.owe(Callback(str(entry["id"]), "receipt", body, times), delay)

    def _owe_reply(self, entry: dict[str, object]) -> None:
        number, to, text = str(entry["number"]), str(entry["to"]), str(entry["text"])
        body = cm_wire.inbound(number, to, text, str(entry["id"]), str(entry["received_at"]))
        self.callbacks.owe(Callback(str(entry["id"]), "reply", body), 0)

    async def reply(self, request: web.Request) -> web.Response:
        """POST /control/reply: a handset answers."""
        reply = parsed(Reply, await json_body(request))
        number = cm_wire.wire_number(reply.number)
        if number is None:
            raise bad_request("number: neither +31… nor 0031…")
        if self.config.inbound_url is None:
            raise bad_request("no inbound_url is configured: PUT /config")
        to = reply.to or self._senders.get(number, self.config.reply_number)
        entry: dict[str, object] = {"id": uuid4().hex, "received_at": rfc3339()}
        entry |= {"number": number, "to": to, "text": reply.text}
        self._replies.append(entry)
        self._owe_reply(entry)
        return web.json_response({"id": entry["id"]}, status=202)

    async def messages(self, request: web.Request) -> web.Response:
        """GET /messages?limit=N&to=&reference=: the newest N lines of the log, oldest of them first."""
        limit = request.query.get("limit", "100")
        if not limit.isdigit():
            raise bad_request("limit: a number of messages")
        wanted = {name: request.query[name] for name in ("to", "reference") if name in request.query}

        def newest() -> list[dict[str, object]]:
            # Only lines from before the request: the log may grow while it is read.
            lines = islice(self._log.entries(), self.accepted)
            return list(deque((line for line in lines if wanted.items() <= line.items()), maxlen=int(limit)))

        return web.json_response(await asyncio.to_thread(newest))

    async def show_config(self, _: web.Request) -> web.Response:
        """GET /config, without the token and the logins in the URLs."""
        shown = self.config.model_dump(mode="json", exclude={"product_token"})
        for name in ("receipts_url", "inbound_url"):
            if shown[name] is not None:
                shown[name] = str(URL(shown[name]).with_user(None))
        return web.json_response(shown)

    async def put_config(self, request: web.Request) -> web.Response:
        """PUT /config: given keys change, the others stay."""
        body = await json_body(request)
        if not isinstance(body, dict):
            raise bad_request("the body is not an object")
        self.config = parsed(Config, {**self.config.model_dump(), **body})
        note("config_set", keys=",".join(sorted(body)))
        return await self.show_config(request)

    async def healthz(self, _: web.Request) -> web.Response:
        """GET /healthz with counts; cheap enough to poll."""
        counts = {"accepted": self.accepted, "callbacks_pending": self.callbacks.pending}
        return web.json_response({"status": "ok", **counts})

    def app(self) -> web.Application:
        """All routes."""
        app = application()
        app.add_routes(
            [
                web.post("/v1.0/message", self.send),
                web.post("/control/reply", self.reply),
                web.get("/messages", self.messages),
                web.get("/config", self.show_config),
                web.put("/config", self.put_config),
                web.get("/healthz", self.healthz),
                *self.faults.routes(),
            ]
        )
        return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM."""
    parser = arguments("sms_gateway", "An SMS gateway that speaks CM.com's wire, with receipts, replies and faults.")
    for name in FLAGS:
        # A secret among the arguments would show in the list of processes: the environment may say it instead.
        said = os.environ.get(f"{VARIABLE_PREFIX}{name.upper()}")
        parser.add_argument(f"--{name.replace('_', '-')}", default=said, help=Config.model_fields[name].description)
    options = vars(parser.parse_args(argv))
    try:
        config = Config.model_validate({name: options[name] for name in FLAGS if options[name] is not None})
    except ValidationError as error:
        parser.error("; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors()))

    async def serve(stop: asyncio.Event) -> None:
        state = options["state"]
        messages, replies, settled = (
            LineLog(state / name) for name in ("sms.jsonl", "replies.jsonl", "callbacks.jsonl")
        )
        gateway = Gateway(messages, replies, settled, config)
        gateway.resume()
        listener = Listener(gateway.app(), options["host"], options["port"])
        note("listening", port=await listener.start())
        posting, told = asyncio.create_task(gateway.callbacks.run()), asyncio.create_task(stop.wait())
        await asyncio.wait({posting, told}, return_when=asyncio.FIRST_COMPLETED)
        await listener.stop()
        if posting.done():
            await posting  # it ends only with an error: raise it
        posting.cancel()

    return run(serve)


if __name__ == "__main__":
    sys.exit(main())
