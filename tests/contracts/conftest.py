"""The four services, started once for all contract tests."""

from pathlib import Path

import pytest
import pytest_asyncio

from tests.contracts.services_world import World


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(four_services: World) -> World:
    """The services, filled with more than one page of every resource."""
    return four_services


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in the event loop of the services."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
