"""The registration service in process, for the journeys that need no other: started once, empty for every test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import Stack
from tests.journeys.registration_world import Level, Portal, portal


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def started(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    """Exceptions at orange are off, and no scanner."""
    async with portal(stack.mongo, tmp_path_factory.mktemp("portal")) as found:
        yield found


@pytest_asyncio.fixture(name="portal", loop_scope="session")
async def _portal(started: Portal) -> Portal:
    """Nobody has registered anything; Spain, France and Portugal are green."""
    await started.forget()
    for country in ("ES", "FR", "PT"):
        await started.advise(country, Level.GREEN)
    return started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses the service runs in the loop that it runs in."""
    for item in items:
        if "portal" in getattr(item, "fixturenames", ()) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
