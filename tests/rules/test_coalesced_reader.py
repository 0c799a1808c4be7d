"""Reads that share a round trip: never older than the asking, never lost, an error for everybody who asked."""

import asyncio
from collections.abc import Collection

import pytest

from shared.mongo.coalesced_reader import CoalescedReader


class Place:
    """Something that is read: slowly, and as it is when the read begins."""

    def __init__(self) -> None:
        self.reads: list[set[str]] = []
        self.value = 0
        self.go = asyncio.Event()
        self.broken = False

    async def read(self, keys: Collection[str]) -> int:
        """What it is now."""
        self.reads.append(set(keys))
        found = self.value
        await self.go.wait()
        if self.broken:
            raise OSError("gone")
        return found


async def test_coalesced_reader_whoever_asks_during_a_read_gets_a_newer_one() -> None:
    """The second and third share one read, which begins after they asked; the first keeps its own."""
    place = Place()
    reader = CoalescedReader(place.read)
    first = asyncio.create_task(reader.ask(["ES"]))
    while not place.reads:
        await asyncio.sleep(0)
    place.value = 1
    others = [asyncio.create_task(reader.ask([country])) for country in ("FR", "PT")]
    await asyncio.sleep(0)
    place.go.set()

    assert await first == 0
    assert await asyncio.gather(*others) == [1, 1]
    assert place.reads == [{"ES"}, {"FR", "PT"}]
    assert await reader.ask(["DE"]) == 1


async def test_coalesced_reader_an_error_reaches_everybody_and_ends_nothing() -> None:
    """The next ones are read for as if nothing had been; who gave up waiting takes nobody along."""
    place = Place()
    place.broken = True
    reader = CoalescedReader(place.read)
    asked = [asyncio.create_task(reader.ask([country])) for country in ("ES", "FR")]
    gone = asyncio.create_task(reader.ask(["PT"]))
    while not place.reads:
        await asyncio.sleep(0)
    gone.cancel()
    place.go.set()

    for each in asked:
        with pytest.raises(OSError, match="gone"):
            await each
    place.broken = False
    assert await reader.ask(["ES"]) == 0
