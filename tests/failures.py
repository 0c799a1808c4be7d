"""Collects the failures of a table, so that one test tries every row and reports all rows that failed."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

MAX_SHOWN = 30
MAX_CHARS = 400


class Failures:
    """`with Failures() as failures:` around the rows, `with failures.case(name):` around each row.

    A row that raises AssertionError, LookupError or ValueError is noted, and the next one is tried. The test fails
    at the end of the block, with one entry for each failed row. It fails as well when no row was tried, unless the
    table `may_be_empty`.
    """

    def __init__(self, *, may_be_empty: bool = False) -> None:
        self._tried = 0
        self._may_be_empty = may_be_empty
        self._failed: list[str] = []

    def __enter__(self) -> Self:
        return self

    @contextmanager
    def case(self, *name: object) -> Iterator[None]:
        """Run one row of the table."""
        self._tried += 1
        try:
            yield
        except (AssertionError, LookupError, ValueError) as error:
            self._failed.append(f"{' '.join(map(str, name))}: {_shown(error)}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        __tracebackhide__ = True
        if error is not None:
            if self._failed:
                error.add_note(self._report())
            return
        assert self._tried or self._may_be_empty, "no row of the table was tried"
        assert not self._failed, self._report()

    def _report(self) -> str:
        more = len(self._failed) - MAX_SHOWN
        lines = [f"{len(self._failed)} of {self._tried} failed:", *self._failed[:MAX_SHOWN]]
        return "\n  ".join(lines + ([f"and {more} more"] if more > 0 else []))


def _shown(error: Exception) -> str:
    """The error on a few short lines, and the line of the test that raised it."""
    frame = next(
        (line for line in reversed(traceback.extract_tb(error.__traceback__)) if "/tests/" in line.filename), None
    )
    where = f" ({Path(frame.filename).name}:{frame.lineno})" if frame else ""
    text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    return text[:MAX_CHARS].replace("\n", "\n    ") + where
