"""The process that parses feeds, with a ministry whose texts can do anything. `test_slow_advice.py` starts it.

A text names what reading it does: it never ends, it takes all memory, it waits, or it kills the process.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import orjson

from services.safety import feed_parser_child
from services.safety.reading import Batch, CountryReading
from services.safety.sources.documents import NOT_READ, MayRead, is_readable
from services.safety.sources.registry import SOURCES
from shared.events import Level


def parse(pages: Sequence[bytes], now: datetime, *, floor: int, may_read: MayRead = is_readable) -> Batch:
    """Country → text; a text that can be read says green."""
    readings = []
    for country, text in orjson.loads(pages[0]).items():
        sys.stdout.write("a library writes to standard output\n")
        is_read = may_read(text)
        if is_read:
            _read(text)
        readings.append(
            CountryReading(
                source="netherlands", source_id=country, country=country, level=Level.GREEN if is_read else None,
                effective_at=now, source_modified_at=now, text_nl="", text_en="", url="",
                unread=() if is_read else (NOT_READ,),
            )
        )  # fmt: skip
    _read(orjson.loads(pages[1]))
    return Batch(source="netherlands", parser_version=os.getpid(), countries=tuple(readings))


def _read(text: str) -> None:
    match text.partition(" ")[0]:
        case "endless":
            while True:
                pass
        case "hungry":
            _ = bytearray(3_000_000_000)
        case "waiting":
            time.sleep(3_600)
        case "deadly":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "deep":
            sys.setrecursionlimit(200)
            _deeper()


def _deeper() -> None:
    _deeper()


if __name__ == "__main__":
    feed_parser_child.TEXT_SECONDS = feed_parser_child.WHOLE_SECONDS = 1
    feed_parser_child.SOURCES = {"netherlands": replace(SOURCES["netherlands"], parse=parse)}
    feed_parser_child.main()
