"""Every regular expression of the code reads a text of any kind in time proportional to its length.

The patterns are found in the code, and the texts are made from the patterns: a new careless pattern fails here. What is
asserted is growth (a text twice as long takes twice as long), measured in CPU time, the shortest of several.
"""

import itertools
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.abuse.expressions import KNOWN_WHEN_RUN, ROOT, Expression, every_expression
from tests.abuse.repetition import Text, texts
from tests.failures import Failures

#: Characters. The first look, and the most that any boundary takes in one text (a page of advice).
FIRST, WHOLE = 4_000, 200_000
#: CPU seconds. Faster than this no growth is measured: linear reading takes less, quadratic reading ten times more.
QUICK = 0.002
#: Twice the text takes twice the time; quadratic reading takes four times as long.
MAX_GROWTH = 3.0
#: CPU seconds after which a pattern is stopped. On a busy machine a linear one with a large factor takes half a second.
STOPPED = 10.0
#: For a pattern that is known to be careless.
STOPPED_SOON = 0.5


class DoesNotEnd(AssertionError):
    """A pattern that was stopped."""


def test_every_pattern_reads_in_linear_time() -> None:
    """Whatever repeats in a text, twice as long a text takes about twice as long to read."""
    expressions = every_expression()

    assert len(expressions) > 100
    with Failures() as failures:
        for expression in expressions:
            with failures.case(expression.where, repr(expression.pattern.pattern)[:80]):
                check(expression)


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"\brelay\b.*\bdenied\b", "search"),
        (r"<li\b[^>]*>", "sub"),
        (r"^(a+)+$", "match"),
        (r"(?:a|aa)+b", "search"),
        (rb"^x:\s*(\S+\s*)+;$", "match"),
    ],
)
def test_careless_pattern_is_found(pattern: str, method: str) -> None:
    """The texts that are made of a pattern show it when it backtracks."""
    with pytest.raises(AssertionError):
        check(Expression("planted", re.compile(pattern), frozenset({method})), STOPPED_SOON)


def test_example_of_each_pattern_that_is_made_while_running_is_still_needed() -> None:
    """A line of the table whose code is gone is removed."""
    for file, source in KNOWN_WHEN_RUN:
        assert f"({source}" in (ROOT / file).read_text(encoding="utf-8"), f"{file}: {source}"


def check(expression: Expression, stopped: float = STOPPED) -> None:
    """Assert that no text takes a pattern more than about twice as long when it is twice as long.

    Raises DoesNotEnd after `stopped` CPU seconds over one text.
    """
    slowest: tuple[float, Callable[[str | bytes], object], str, Text] | None = None
    # `sub` looks at the whole text, as `findall` and `split` do, and as `search` does when nothing fits.
    scans = bool(expression.methods - {"match", "fullmatch"})
    for method in ["sub"] * scans + sorted(expression.methods & ({"fullmatch"} if scans else {"match", "fullmatch"})):
        apply = _applied(expression.pattern, method)
        for name, text in texts(expression.pattern):
            seconds = _seconds(apply, text(FIRST), times=1, stopped=stopped)
            if seconds > QUICK:
                _check_growth(apply, text, FIRST, name, stopped)
            if slowest is None or seconds > slowest[0]:
                slowest = (seconds, apply, name, text)
    if slowest is not None:
        _, apply, name, text = slowest
        _check_growth(apply, text, WHOLE // 2, name, stopped)


def _check_growth(apply: Callable[[str | bytes], object], text: Text, length: int, name: str, stopped: float) -> None:
    """A quick pattern passes; a slow one must be slow in proportion.

    The growth is measured twice, as memory that no longer fits into a cache makes one of them look steeper.
    """
    lengths = (length // 2, length, 2 * length)
    half, whole = (_seconds(apply, text(part), times=1, stopped=stopped) for part in lengths[1:])
    if whole > QUICK and whole > MAX_GROWTH * half:
        seconds = [_seconds(apply, text(part), times=4, stopped=stopped) for part in lengths]
        growth = min(longer / shorter for shorter, longer in itertools.pairwise(seconds))
        assert growth <= MAX_GROWTH, f"{length} characters take {growth:.1f} times as long as half of them: {name}"


def _applied(pattern: re.Pattern[str] | re.Pattern[bytes], method: str) -> Callable[[str | bytes], object]:
    if method == "sub":
        return lambda text: pattern.sub(text[:0], text)  # type: ignore[type-var]
    function: Callable[[str | bytes], object] = getattr(pattern, method)
    return function


def _seconds(apply: Callable[[str | bytes], object], text: str | bytes, *, times: int, stopped: float) -> float:
    """CPU seconds of this thread: the shortest of several."""
    shortest = float("inf")
    for _ in range(times):
        with _stopped_after(stopped):
            began = time.thread_time()
            apply(text)
            shortest = min(shortest, time.thread_time() - began)
    return shortest


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise DoesNotEnd(f"reads for more than {seconds:g} s of CPU time")

    former = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)
