"""A burst of webhook requests: memory stays bounded, a refusal comes with Retry-After, and nothing is lost."""

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.notify.api import webhooks
from services.notify.channels.sms_callbacks import CALLBACK_LIMIT_BYTES
from services.notify.store.callbacks import BATCH_BYTES, CallbackStore, Kind
from shared.clock import utc_now
from shared.privacy.service_key import ServiceKey
from shared.web.slots import Slots
from tests.integration.bus_world import until
from tests.integration.notify_public import CM, INBOUND, RECEIPTS, PublicRoutes, public_routes
from tests.integration.notify_sending_world import alerted, number
from tests.integration.notify_world import KEY, World


class GatedStore(CallbackStore):
    """Stores nothing until `goes_on` is set; counts how many requests it stores at once."""

    def __init__(self, database: Any, key: ServiceKey) -> None:
        super().__init__(database, key)
        self.goes_on = asyncio.Event()
        self.at_once = self.most_at_once = 0

    async def store(self, provider: str, kind: Kind, body: bytes, now: datetime) -> bool:
        """As the store, behind the gate."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.goes_on.wait()
            return await super().store(provider, kind, body, now)
        finally:
            self.at_once -= 1


async def test_a_burst_is_stored_few_at_once_and_what_was_refused_comes_again(world: World, tmp_path: Path) -> None:
    """Twenty replies at once where two are stored and ten may wait: the others get 503, are repeated, and count."""
    store = GatedStore(world.database, KEY)
    deps = webhooks.WebhookDeps(store, {CM.provider: CM}, "http://notify.example")
    deps = replace(deps, slots=Slots(2, of_one=2, wait_seconds=60, waiting=10))
    people = [f"p{count}" for count in range(20)]
    await alerted(world, *people)
    async with public_routes(world, tmp_path, webhook_deps=deps) as public:
        posts = [
            {"from": {"number": number(person).replace("+", "00")}, "message": {"text": "HELP"}} for person in people
        ]
        sent = [asyncio.create_task(public.post(INBOUND, post)) for post in posts]
        await until(lambda: sum(task.done() for task in sent) == 8)
        refused = [task.result() for task in sent if task.done()]
        store.goes_on.set()
        answers = [await task for task in sent]
        repeated = [await public.post(INBOUND, post) for post in posts]
        await public.work()

        assert [answer.status_code for answer in refused] == [503] * 8
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert sorted(answer.status_code for answer in answers) == [200] * 12 + [503] * 8
        assert {answer.status_code for answer in repeated} == {200}
        assert store.most_at_once == 2
        assert sorted(await public.said()) == sorted((person, "help", "sms") for person in people)


@pytest.mark.parametrize("path", [RECEIPTS, INBOUND])
async def test_a_body_without_end_is_not_read_to_its_end(public: PublicRoutes, path: str) -> None:
    """Of a stranger's body that never ends nothing is read: 401, and nothing is stored."""
    read = 0

    async def endless() -> Any:
        nonlocal read
        while read < 100 * CALLBACK_LIMIT_BYTES:
            read += 10_000
            yield b" " * 10_000

    answer = await public.http.post(path, content=endless(), auth=("cm", "wrong"))

    assert answer.status_code == 401
    assert read <= 2 * CALLBACK_LIMIT_BYTES
    assert await public.notes() == []


async def test_a_batch_is_bounded_by_its_bytes(world: World) -> None:
    """Hundreds of the largest requests wait: the worker takes a few MB at a time, and all of them in the end."""
    body = b'{"x": "' + b"y" * (CALLBACK_LIMIT_BYTES - 20) + b'"}'
    for count in range(50):
        await world.callbacks.store("cm", "receipt", body + b" " * count, utc_now())

    batch = await world.callbacks.due("receipt", utc_now(), 500)

    assert BATCH_BYTES <= sum(len(callback.body) for callback in batch) <= BATCH_BYTES + CALLBACK_LIMIT_BYTES
    assert 0 < len(batch) < 50


def test_no_receipt_of_a_full_request_is_left_out() -> None:
    """As many receipts as fit into the largest request are all read."""
    entry = {"reference": "r", "status": {"code": 2}}
    count = (CALLBACK_LIMIT_BYTES - 50) // (len(orjson.dumps(entry)) + 1)
    body = orjson.dumps({"messages": {"msg": [entry] * count}})

    assert len(body) <= CALLBACK_LIMIT_BYTES
    assert len(CM.parse_receipts(body)) == count
