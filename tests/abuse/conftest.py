"""What tests of abuse share: the four services over HTTP, and notify with its webhooks, answer page and worker."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.contracts import services_world
from tests.integration.notify_public import PublicRoutes, public_routes
from tests.integration.notify_world import World, notify


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def services(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[services_world.World]:
    """The four services, without data, on a real MongoDB."""
    async with services_world.running(stack.mongo, tmp_path_factory.mktemp("keys")) as services:
        yield services


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests over the four services run in the event loop of these."""
    for item in items:
        if item.path.parent == Path(__file__).parent and "services" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    """Notify in a namespace of its own."""
    async with notify(stack, namespace) as world:
        yield world


@pytest.fixture
async def public(world: World, tmp_path: Path) -> AsyncIterator[PublicRoutes]:
    """Its public routes."""
    async with public_routes(world, tmp_path) as public:
        yield public
