"""What tests of abuse share: notify with its public routes (webhooks, answer page) and callback worker, on MongoDB."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.notify_public import PublicRoutes, public_routes
from tests.integration.notify_world import World, notify


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
