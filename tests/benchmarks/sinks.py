"""Servers that accept everything and keep nothing, in their own processes, so that only the sender is measured.

Uses `smtp-sink` of Debian's postfix where installed (or named in SMTP_SINK), otherwise the SMTP sink below.

"""

import argparse
import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_REFERENCE = re.compile(rb'"reference":"([0-9a-f]+)"')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
END_OF_CONTENT = b"\r\n.\r\n"
END_OF_HEAD = b"\r\n\r\n"
_EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 0\r\n"
#: By command; every other one is answered with 250.
ANSWERS = {b"EHLO": _EHLO, b"DATA": b"354 go\r\n", b"QUIT": b"221 2.0.0 bye\r\n"}


class SmtpSink(asyncio.Protocol):
    """Accepts everything; waits `delay` seconds before it answers each mail."""

    delay = 0.0

    def __init__(self) -> None:
        self._buffer = b""
        self._in_content = False
        self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = transport
        self._write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        self._buffer += data
        if not self._waits:
            self._answer()

    def _answer(self) -> None:
        answers = []
        while True:
            if self._in_content:
                end = self._buffer.find(END_OF_CONTENT)
                if end < 0:
                    break
                self._buffer, self._in_content = self._buffer[end + 5 :], False
                if self.delay:
                    self._write(b"".join(answers))
                    self._waits = True
                    asyncio.get_running_loop().call_later(self.delay, self._accept)
                    return
                answers.append(b"250 2.0.0 taken\r\n")
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                break
            self._buffer = rest
            verb = line[:4].upper()
            self._in_content = verb == b"DATA"
            answers.append(ANSWERS.get(verb, b"250 2.0.0 Ok\r\n"))
        self._write(b"".join(answers))

    def _accept(self) -> None:
        self._waits = False
        self._write(b"250 2.0.0 taken\r\n")
        self._answer()

    def _write(self, data: bytes) -> None:
        if data and isinstance(self._transport, asyncio.Transport):
            self._transport.write(data)


class CmSink(asyncio.Protocol):
    """Accepts every message of every request, as CM would; `delay` seconds before each answer."""

    delay = 0.0

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._buffer += data
        while (end := self._buffer.find(END_OF_HEAD)) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            size = end + 4 + (int(length.group(1)) if length else 0)
            if len(self._buffer) < size:
                return
            body, self._buffer = self._buffer[end + 4 : size], self._buffer[size:]
            asyncio.get_running_loop().call_later(self.delay, self._say, _accepted(body))

    def _say(self, content: bytes) -> None:
        if isinstance(self._transport, asyncio.Transport):
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
            self._transport.write(head + content)


def _accepted(body: bytes) -> bytes:
    one = b'{"to":"","status":"Accepted","reference":"%b","parts":1,"messageDetails":null,"messageErrorCode":0}'
    messages = b",".join(one % reference for reference in _REFERENCE.findall(body))
    return b'{"details":"Created","errorCode":0,"messages":[%b]}' % messages


@contextmanager
def smtp_sink(port: int, delay_ms: int = 0) -> Iterator[str]:
    """An SMTP server that answers after `delay_ms`; gives its name."""
    program = os.environ.get("SMTP_SINK") or shutil.which("smtp-sink") or shutil.which("/usr/sbin/smtp-sink")
    if program and not delay_ms:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        with _process([program, *user, f"127.0.0.1:{port}", "1000"], port):
            yield "smtp-sink"
        return
    with _process([sys.executable, "-m", "tests.benchmarks.sinks", "smtp", str(port), str(delay_ms)], port):
        yield "own null sink"


@contextmanager
def cm_sink(port: int, delay_ms: int = 0) -> Iterator[None]:
    """CM's wire, everything accepted after `delay_ms`."""
    with _process([sys.executable, "-m", "tests.benchmarks.sinks", "cm", str(port), str(delay_ms)], port):
        yield


@contextmanager
def _process(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        yield
    finally:
        process.kill()
        process.wait()


def _wait(port: int) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


async def _serve(protocol: type[asyncio.Protocol], port: int) -> None:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """`python -m tests.benchmarks.sinks smtp|cm PORT DELAY_MS`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["smtp", "cm"])
    parser.add_argument("port", type=int)
    parser.add_argument("delay_ms", type=int)
    asked = parser.parse_args()
    protocol: type[SmtpSink | CmSink] = SmtpSink if asked.kind == "smtp" else CmSink
    protocol.delay = asked.delay_ms / 1000
    asyncio.run(_serve(protocol, asked.port))


if __name__ == "__main__":
    main()
