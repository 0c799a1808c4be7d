"""The four services in process on the real MongoDB, started once for the contract tests and the tests of abuse."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from tests.conftest import Stack
    from tests.contracts.services_world import World


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def four_services(stack: "Stack", tmp_path_factory: pytest.TempPathFactory) -> "AsyncIterator[World]":
    """The services, filled with more than one page of every resource. Imported here: other tests need none of it."""
    from tests.contracts.services_world import filled, running  # see the docstring

    async with running(stack.mongo, tmp_path_factory.mktemp("keys")) as world:
        await filled(world)
        yield world
