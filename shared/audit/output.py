"""How the audit speaks: answers on standard output, everything else on standard error, an exit code, one sentence."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, NoReturn, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from shared.audit.affected import AMSTERDAM
from shared.audit.manifest import BadManifest
from shared.audit.replay import NoParquet
from shared.audit.settings import NotConfigured
from shared.errors import PermanentError, TransientError

T = TypeVar("T")


class WrongUse(PermanentError):
    """What was asked for does not exist, or contradicts itself."""


def run(work: Callable[[], T]) -> T:
    """Do it to the end, or say in one sentence why not: a partial result is never called complete."""
    try:
        return work()
    except (WrongUse, NotConfigured, BadManifest, NoParquet) as error:
        fail(f"{error}.", 2)
    except (PermanentError, TransientError, TimeoutError) as error:
        fail(f"Not complete: {error or 'Kafka stopped answering'}.", 1)
    except KeyboardInterrupt:
        fail("Interrupted, not complete: nothing is said about what was not read.", 1)
    except BrokenPipeError:
        # Python would complain again when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail("Not complete: whoever read the output went away.", 1)


def run_async(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The same for what waits."""
    former = signal.getsignal(signal.SIGINT)
    is_ours = former is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if is_ours:
        # asyncio's own would only be heard where something is awaited: not while we read, or write to who does not.
        signal.signal(signal.SIGINT, _interrupted)
    try:
        return run(lambda: asyncio.run(work()))
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, former)


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def fail(sentence: str, code: int) -> NoReturn:
    """Say why, and end."""
    sys.stderr.write(sentence.replace("..", ".") + "\n")
    raise typer.Exit(code)


def say(sentence: str) -> None:
    """A message that is no part of the answer."""
    sys.stderr.write(sentence + "\n")


def write(content: bytes) -> None:
    """A part of the answer. Raises BrokenPipeError."""
    sys.stdout.buffer.write(content)


def write_json(document: object) -> None:
    """One JSON document, or one line of them."""
    write(orjson.dumps(document, default=str, option=orjson.OPT_UTC_Z) + b"\n")


def finish(wrong: bool) -> NoReturn:
    """Exit 1 where something is wrong, 0 where not; what is still buffered goes out first."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        run(_raise_broken_pipe)
    raise typer.Exit(1 if wrong else 0)


def _raise_broken_pipe() -> None:
    raise BrokenPipeError


def show(*parts: Table | str) -> None:
    """Tables and lines for people."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    for part in parts:
        console.print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))


class Progress:
    """How far a reading is: a line that changes on a terminal, a line every ten seconds elsewhere. No thread."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_terminal = sys.stderr.isatty()
        self._began = self._told = time.monotonic()

    def __call__(self, done: int, of: int | None = None) -> None:
        """So many events were read."""
        now = time.monotonic()
        if now - self._told < (0.2 if self._is_terminal else 10):
            return
        self._told = now
        share = f" of {of}" if of is not None else ""
        line = f"{self._what}: {done}{share} events, {now - self._began:.0f} s"
        sys.stderr.write(f"\r\x1b[K{line}" if self._is_terminal else f"{line}\n")
        sys.stderr.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")


def instant(text: str, *, end: bool) -> datetime:
    """An instant, or a whole day in Amsterdam of which the beginning or the end is meant. Raises WrongUse."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{text} is no time: 2026-03-01T09:30:00Z, or 2026-03-01 for the whole day") from None
    if len(text) == 10:
        clock = (23, 59, 59, 999_999) if end else (0, 0, 0, 0)
        return moment.replace(hour=clock[0], minute=clock[1], second=clock[2], microsecond=clock[3], tzinfo=AMSTERDAM)
    if moment.tzinfo is None:
        raise WrongUse(f"{text} has no time zone: write 2026-03-01T09:30:00Z")
    return moment
