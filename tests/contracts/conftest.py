"""The four services, started once for all contract tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import Stack
from tests.contracts.services_world import MANY, OTHER_STUDENT, SHORT_NOTICE, STUDENT, Person, World, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The services, filled with more than one page of every resource."""
    async with running(stack.mongo, tmp_path_factory.mktemp("keys")) as world:
        await world.give_advice(["ES"], versions=MANY)
        others = ["AT", "BE", "CZ", "DE", "DK", "FI", "FR", "GR", "IE", "IT", "PL", "PT"]
        await world.give_advice(others)
        await world.give_opinions(["ES", *others])
        await world.give_messages(MANY)
        await world.raise_alert(*(Person(f"traveller-{number}", ("student",)) for number in range(MANY)))
        await world.hold_falls(MANY)
        advised = await world.advised_country()
        for _ in range(MANY):
            await world.unclear_reply()
            await world.raise_alert(STUDENT)
            await world.override(advised)
            await world.ask_approval(STUDENT)
            await world.lead(STUDENT)
            await world.open_task("faculty-contact", STUDENT, legs=SHORT_NOTICE)
        await world.ask_approval(OTHER_STUDENT)
        await world.register(OTHER_STUDENT)
        yield world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in the event loop of the services."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
