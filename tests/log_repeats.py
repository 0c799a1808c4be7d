"""Keeps the log of a failed test short: of records with the same text only the first few are shown.

A Kafka client whose broker was killed, or whose test has ended, repeats `OffsetCommit failed … will rejoin` for ever.
"""

import logging
from collections import Counter
from typing import Any

import pytest

MAX_REPEATS = 3


class _RepeatFilter(logging.Filter):
    """Lets the first records of each text pass; the text is the one before its arguments are filled in."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        key = (record.name, str(record.msg)[:60])
        self._counts[key] += 1
        return self._counts[key] <= MAX_REPEATS

    def reset(self) -> None:
        """Begin again for the next test."""
        self._counts.clear()


_FILTER = _RepeatFilter()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Filter what pytest collects for its report of a failed test; `caplog` of a test still gets everything."""
    plugin: Any = config.pluginmanager.get_plugin("logging-plugin")
    plugin.report_handler.addFilter(_FILTER)


def pytest_runtest_logstart() -> None:
    """Each test counts for itself."""
    _FILTER.reset()
