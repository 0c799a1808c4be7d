"""A text of advice that cannot be read in time makes its country unknown, and holds up nobody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson
import psutil
import pytest

from services.safety.feed_parser import AGAIN_SECONDS, MAX_UNREADABLE, FeedParser
from services.safety.reading import Batch, BatchRejected
from services.safety.sources.documents import NOT_READ
from shared.clock import utc_now
from shared.events import Level
from tests.integration.bus_world import until


@dataclass
class Ministry:
    """A source whose texts can do anything, and a clock of its own."""

    now: float = 0.0
    turns: int = 0
    parser: FeedParser = field(init=False)

    def __post_init__(self) -> None:
        self.parser = self.parser_with()

    def parser_with(self, *, max_unreadable: int = MAX_UNREADABLE) -> FeedParser:
        """A parser whose process knows the texts of slow_feed_parser.py."""
        return FeedParser(
            "netherlands", lambda: self.now, step_seconds=3.0, max_unreadable=max_unreadable,
            module="tests.abuse.slow_feed_parser",
        )  # fmt: skip

    async def read(self, *, rest: str = "", **texts: str) -> Batch:
        """Parse these texts by country; `rest`: what happens after the last text."""
        return await self.parser.parse([orjson.dumps(texts), orjson.dumps(rest)], utc_now(), floor=1)


@pytest.fixture
async def ministry() -> AsyncIterator[Ministry]:
    """Beside other work of the process, which must go on."""
    ministry = Ministry()

    async def other_work() -> None:
        while True:
            ministry.turns += 1
            await asyncio.sleep(0.01)

    other = asyncio.create_task(other_work())
    yield ministry
    other.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await other
    await ministry.parser.close()


def processes() -> list[psutil.Process]:
    """The running processes that parse."""
    children = psutil.Process().children()
    return [child for child in children if any("slow_feed_parser" in word for word in child.cmdline())]


def levels(batch: Batch) -> dict[str, Level | None]:
    """Country → level."""
    return {reading.country: reading.level for reading in batch.countries}


async def test_text_that_cannot_be_read_is_unknown_and_the_others_are_read(ministry: Ministry) -> None:
    """Whatever reading it does to the process, no country is trusted without its text, and no other one is lost."""
    batch = await ministry.read(
        ES="fine", PT="endless", FR="fine too", DE="hungry", IT="waiting", BE="deadly", AT="deep", LU="fine as well"
    )

    unread = {reading.country: reading.unread for reading in batch.countries}
    assert {country for country, level in levels(batch).items() if level is Level.GREEN} == {"ES", "FR", "LU"}
    assert {country for country, remarks in unread.items() if remarks == (NOT_READ,)} == {"PT", "DE", "IT", "BE", "AT"}
    assert {level for country, level in levels(batch).items() if country not in ("ES", "FR", "LU")} == {None}
    assert ministry.turns > 50, "other work of the process stood still"


async def test_text_that_cannot_be_read_is_not_tried_at_each_reading(ministry: Ministry) -> None:
    """The same text is tried again after an hour, a changed text at once."""
    first = await ministry.read(ES="fine", PT="deadly one")
    second = await ministry.read(ES="fine", PT="deadly one")
    changed = await ministry.read(ES="fine", PT="harmless")
    ministry.now += AGAIN_SECONDS + 1
    later = await ministry.read(ES="fine", PT="deadly one")

    # The version of the parser is the number of its process here.
    assert first.parser_version == second.parser_version == changed.parser_version != later.parser_version
    assert [levels(batch)["PT"] for batch in (first, second, changed, later)] == [None, None, Level.GREEN, None]


async def test_answer_that_cannot_be_read_is_rejected(ministry: Ministry) -> None:
    """Where no single text is to blame, or too many are, the whole answer is: the advice stays and ages."""
    ministry.parser = ministry.parser_with(max_unreadable=1)
    with pytest.raises(BatchRejected, match="too much time or memory"):
        await ministry.read(ES="fine", rest="deadly")
    two = {"PT": "deadly", "FR": "deadly too"}
    with pytest.raises(BatchRejected, match="more than 1 texts"):
        await ministry.read(ES="fine", **two)

    # The parser remembers them: the next reading leaves these texts out, and blames no innocent one.
    assert levels(await ministry.read(ES="fine", **two)) == {"ES": Level.GREEN, "PT": None, "FR": None}


async def test_reading_that_is_cancelled_leaves_no_process(ministry: Ministry) -> None:
    """A lease that is lost ends the reading at once, and the next one begins anew."""
    reading = asyncio.create_task(ministry.read(PT="waiting"))
    await until(processes)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert not processes()
    assert levels(await ministry.read(ES="fine")) == {"ES": Level.GREEN}
