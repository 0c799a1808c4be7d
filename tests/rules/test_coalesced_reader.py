"""Coalesced reads: never older than the question, never lost, and an error reaches every caller."""

import asyncio
from collections.abc import Collection

import pytest

from shared.mongo.coalesced_reader import CoalescedReader


class SlowStore:
    """A store whose read takes the value at its beginning and returns it when `go` is set."""

    def __init__(self) -> None:
        self.reads: list[set[str]] = []
        self.value = 0
        self.go = asyncio.Event()
        self.broken = False

    async def read(self, keys: Collection[str]) -> int:
        """The value at the beginning of the read."""
        self.reads.append(set(keys))
        value = self.value
        await self.go.wait()
        if self.broken:
            raise OSError("gone")
        return value


async def test_coalesced_reader_callers_during_a_read_share_the_next_one() -> None:
    """The second and third caller share a read that begins after they asked; the first gets its own."""
    store = SlowStore()
    reader = CoalescedReader(store.read)
    first = asyncio.create_task(reader.ask(["ES"]))
    while not store.reads:
        await asyncio.sleep(0)
    store.value = 1
    others = [asyncio.create_task(reader.ask([country])) for country in ("FR", "PT")]
    await asyncio.sleep(0)
    store.go.set()

    assert await first == 0
    assert await asyncio.gather(*others) == [1, 1]
    assert store.reads == [{"ES"}, {"FR", "PT"}]
    assert await reader.ask(["DE"]) == 1


async def test_coalesced_reader_an_error_reaches_everybody_and_ends_nothing() -> None:
    """Every caller of the read gets its error, the next read works, and a cancelled caller cancels no other."""
    store = SlowStore()
    store.broken = True
    reader = CoalescedReader(store.read)
    asked = [asyncio.create_task(reader.ask([country])) for country in ("ES", "FR")]
    gone = asyncio.create_task(reader.ask(["PT"]))
    while not store.reads:
        await asyncio.sleep(0)
    gone.cancel()
    store.go.set()

    for caller in asked:
        with pytest.raises(OSError, match="gone"):
            await caller
    store.broken = False
    assert await reader.ask(["ES"]) == 0
