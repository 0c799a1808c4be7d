"""Output of the audit commands: answers on standard output, messages and progress on standard error, exit codes."""

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

from shared import plausible
from shared.audit.manifest import BadManifest
from shared.audit.replay import NoParquet
from shared.audit.settings import NotConfigured
from shared.clock import end_of_day, in_utc, start_of_day
from shared.errors import PermanentError, TransientError
from shared.instants import typed_moment

T = TypeVar("T")


class WrongUse(PermanentError):
    """The command's arguments name something that does not exist, or contradict each other. Exit code 2."""


def run(work: Callable[[], T]) -> T:
    """Run a command to its end, or print one sentence with the reason and exit: a partial result never looks whole."""
    try:
        return work()
    except (WrongUse, NotConfigured, BadManifest, NoParquet) as error:
        fail(f"{error}.", 2)
    except (PermanentError, TransientError, TimeoutError) as error:
        fail(f"Not complete: {error or 'Kafka stopped answering'}.", 1)
    except KeyboardInterrupt:
        fail("Interrupted, not complete: the unread events were not checked.", 1)
    except BrokenPipeError:
        # Otherwise Python reports the broken pipe again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail("Not complete: the program that read the output has ended.", 1)


def run_async(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """As `run`, for a coroutine."""
    former = signal.getsignal(signal.SIGINT)
    is_ours = former is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if is_ours:
        # asyncio's own handler only takes effect at an await: not while records are read or a full pipe is written to.
        signal.signal(signal.SIGINT, _interrupted)
    try:
        return run(lambda: asyncio.run(work()))
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, former)


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def fail(sentence: str, code: int) -> NoReturn:
    """Print the reason on standard error and exit with `code`."""
    sys.stderr.write(sentence.replace("..", ".") + "\n")
    raise typer.Exit(code)


def say(sentence: str) -> None:
    """Print a message on standard error; it is not part of the answer."""
    sys.stderr.write(sentence + "\n")


def write(content: bytes) -> None:
    """Write a part of the answer to standard output. Raises BrokenPipeError."""
    sys.stdout.buffer.write(content)


def write_json(document: object) -> None:
    """Write one JSON document, or one JSON line, to standard output."""
    write(orjson.dumps(document, default=str, option=orjson.OPT_UTC_Z) + b"\n")


def finish(wrong: bool) -> NoReturn:
    """Flush standard output, then exit with 1 when something is wrong, else 0."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        run(_raise_broken_pipe)
    raise typer.Exit(1 if wrong else 0)


def _raise_broken_pipe() -> None:
    raise BrokenPipeError


def show(*parts: Table | str) -> None:
    """Print tables and lines for people."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    for part in parts:
        console.print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))


class Progress:
    """Progress of a reading: one changing line on a terminal, elsewhere a line every ten seconds. Uses no thread."""

    def __init__(self, activity: str) -> None:
        self._activity = activity
        self._is_terminal = sys.stderr.isatty()
        self._began = self._printed = time.monotonic()

    def __call__(self, done: int, total: int | None = None) -> None:
        """Report that `done` events were read, of `total` where it is known."""
        now = time.monotonic()
        if now - self._printed < (0.2 if self._is_terminal else 10):
            return
        self._printed = now
        share = f" of {total}" if total is not None else ""
        line = f"{self._activity}: {done}{share} events, {now - self._began:.0f} s"
        sys.stderr.write(f"\r\x1b[K{line}" if self._is_terminal else f"{line}\n")
        sys.stderr.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")


def instant(text: str, *, end: bool) -> datetime:
    """Parse an instant, or a date: the beginning or the end of that day in Amsterdam. In UTC. Raises WrongUse."""
    try:
        moment = typed_moment(text)
    except ValueError:
        raise WrongUse(f"{text} is no time: 2026-03-01T09:30:00Z, or 2026-03-01 for the whole day") from None
    if not plausible.is_in_window(moment):
        raise WrongUse(f"{text} lies outside the years {plausible.FIRST_YEAR} to {plausible.LAST_YEAR}")
    if not isinstance(moment, datetime):
        return end_of_day(moment) if end else start_of_day(moment)
    if moment.tzinfo is None:
        raise WrongUse(f"{text} has no time zone: write 2026-03-01T09:30:00Z")
    return in_utc(moment)
