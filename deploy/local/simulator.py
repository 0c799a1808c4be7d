"""Shared by the simulators: command line, log lines, files of JSON lines, and an HTTP server until SIGTERM."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from shared.clock import utc_now

BODY_LIMIT_BYTES = 32 * 1024 * 1024
Fact = str | int | float | bool | None
Model = TypeVar("Model", bound=BaseModel)


def arguments(program: str, description: str) -> argparse.ArgumentParser:
    """The flags of every simulator; port 0 takes a free port, which the `listening` line names."""
    parser = argparse.ArgumentParser(prog=f"python -m deploy.local.{program}", description=description)
    parser.add_argument("--port", type=int, required=True, help="TCP port to listen on; 0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="directory for what it keeps; made when absent")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    return parser


def note(event: str, **facts: Fact) -> None:
    """Write one JSON line to standard error. Never pass message content, addresses or phone numbers."""
    sys.stderr.write(json.dumps({"time": rfc3339(), "event": event, **facts}) + "\n")
    sys.stderr.flush()


def rfc3339() -> str:
    """The current instant as RFC 3339 in UTC with microseconds, as the simulators' logs write it."""
    return utc_now().isoformat(timespec="microseconds").replace("+00:00", "Z")


class LineLog:
    """A file of JSON lines. Each line is written before its sender is answered; a torn last line is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._cut_torn_line()

    def append(self, *entries: Mapping[str, object]) -> None:
        """Write all lines or none; a full disk raises OSError and leaves the file as it was."""
        lines = b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries)
        before = os.fstat(self._file).st_size
        if os.write(self._file, lines) != len(lines):
            os.ftruncate(self._file, before)
            raise OSError(f"{self.path.name}: the disk took only part of a line")

    def entries(self) -> Iterator[dict[str, object]]:
        """Every line, oldest first."""
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _cut_torn_line(self) -> None:
        """Cut off half a line: its writer was killed in the middle, and its sender got no answer."""
        size = os.fstat(self._file).st_size
        end = size
        while end > 0:
            start = max(0, end - 65_536)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)
            note("torn_line_cut", file=self.path.name, bytes=size - end)


class Listener:
    """One HTTP server of a simulator."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self._host = host
        self._port = port

    async def start(self) -> int:
        """Listen; returns the port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port, then the connections."""
        await self._runner.cleanup()


def application() -> web.Application:
    """An application that answers errors in JSON and accepts a whole list of the feed as a body."""
    return web.Application(client_max_size=BODY_LIMIT_BYTES)


async def json_body(request: web.Request) -> object:
    """The body of a control request; 400 in one sentence when it is not JSON."""
    try:
        return json.loads(await request.read())
    except ValueError:
        raise bad_request("the body is not JSON") from None


def parsed(model: type[Model], body: object) -> Model:
    """A control request as its model; 400 naming the fields that do not fit."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        reasons = [f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors()]
        raise bad_request("; ".join(reasons)) from None


def bad_request(reason: str) -> web.HTTPBadRequest:
    """400 with `{"error": reason}`."""
    return web.HTTPBadRequest(text=json.dumps({"error": reason}), content_type="application/json")


def run(serve: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> int:
    """Serve until SIGTERM or SIGINT. The exit code: 0 after a clean end, 1 when the port is not free.

    What it keeps, mails and messages with answer tokens, is readable by its own user alone.
    """
    os.umask(0o077)

    async def until_told() -> None:
        stop = asyncio.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
        await serve(stop)

    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(until_told())
    except OSError as error:
        note("cannot_start", reason=error.strerror or str(error))
        return 1
    note("stopped")
    return 0
