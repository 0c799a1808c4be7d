"""R34 under kill -9: 200 students at once for 3 slots, the service dies halfway, and nobody gets two slots."""

import asyncio
import base64
import itertools
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.ports import Ports
from services.approval.model import SlotPool, evolve_pool
from services.approval.store.requests import Store
from shared.envelope import parse
from shared.events import SlotAllocated, SlotEvent, SlotWaitlisted
from shared.mongo.client import Mongo
from shared.web.local_tokens import AUDIENCE, ISSUER, create_keys, mint
from tests.approval_service import KEY_ENCRYPTION_KEY, NOWHERE, ROOT, Person, leiden, request

POOL, SLOTS, STUDENTS = "example-surgery-2033", 3, 200
#: A process that dies inside a transaction keeps the pool until MongoDB ends it, after a minute or two.
PATIENCE_SECONDS = 900.0


class Service:
    """The approval service as a process that may die, and is then started again."""

    def __init__(self, environment: dict[str, str], port: int) -> None:
        self._environment = environment
        self._port = port
        self.deaths = 0
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start a new process."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "uvicorn", "--factory", "services.approval.app:from_environment",
            "--host", "127.0.0.1", "--port", str(self._port), "--no-access-log", "--log-level", "warning",
            cwd=ROOT, env=self._environment,
        )  # fmt: skip

    async def nurse(self) -> None:
        """Start it again whenever it died, as an orchestrator would."""
        while True:
            assert self.process is not None
            await self.process.wait()
            self.deaths += 1
            await self.start()

    async def stop(self) -> None:
        """Stop this one process."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()


@asynccontextmanager
async def service(mongo: str, namespace: str, folder: Path) -> AsyncIterator[Service]:
    """The real service with failpoints, over the catalogue of the seven faculties."""
    failpoints, keys, catalogue = folder / "failpoints", folder / "keys", folder / "catalogue"
    for subfolder in (failpoints, keys, catalogue):
        subfolder.mkdir()
    create_keys(keys)
    environment = {
        **os.environ,
        "ENV": "local",
        "ROLE": "api",
        "NAMESPACE": namespace,
        "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
        "MONGO_URL": mongo,
        "KEY_ENCRYPTION_KEY": base64.b64encode(KEY_ENCRYPTION_KEY).decode(),
        "JWKS": str(keys / "jwks.json"),
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "CATALOGUE_DIR": str(leiden(catalogue)),
        "TOPICS_FILE": str(ROOT / "deploy" / "topics.yaml"),
        "REQUESTS_PER_SECOND": "0",
        "LOG_LEVEL": "ERROR",
        "FAILPOINTS_DIR": str(failpoints),
    }
    approval = Service(environment, Ports.free().approval)
    await approval.start()
    nurse = asyncio.create_task(approval.nurse())
    try:
        yield approval
    finally:
        nurse.cancel()
        await asyncio.gather(nurse, return_exceptions=True)
        await approval.stop()


async def ask(http: httpx.AsyncClient, token: str, number: int) -> dict[str, Any]:
    """One student asks until there is an answer, under the same Idempotency-Key."""
    student = Person(f"student-{number}")
    body = {
        **request("lumc-medicine"), "activityType": "clinical_clerkship", "country": "SR", "contact": student.contact,
        "details": {"rotation": "regular", "cluster": "surinam-surgery"},
        "startDate": "2033-06-01", "endDate": "2033-07-01",
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"rotation-{number}"}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                response = await http.post("/v1/approval-requests", json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if response.status_code == 201:
                answer: dict[str, Any] = response.json()
                return answer
            assert response.status_code in (408, 409, 503), response.text
            assert "retry-after" in response.headers or response.status_code == 408, response.text
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    "failpoint", ["place_committed", pytest.param("place_taken", marks=pytest.mark.long)]
)  # fmt: skip
@pytest.mark.fault("approval killed while 200 students ask for 3 slots")
async def test_slots_two_hundred_at_once_with_a_kill_halfway(
    failpoint: str, stack: Any, namespace: str, tmp_path: Path
) -> None:
    """3 allocated, 197 waiting in order, nobody twice; every answer matches the stored pool."""
    async with service(stack.mongo, namespace, tmp_path) as approval:
        (tmp_path / "failpoints" / failpoint).write_text("kill 100")
        tokens = [
            mint(tmp_path / "keys", f"student-{number}", ("student",), issuer=ISSUER, audience=AUDIENCE)
            for number in range(STUDENTS)
        ]
        async with httpx.AsyncClient(
            base_url=approval.url, timeout=60, limits=httpx.Limits(max_connections=STUDENTS)
        ) as http:
            answers = await asyncio.gather(*(ask(http, token, number) for number, token in enumerate(tokens)))
        deaths = approval.deaths

    mongo = Mongo(stack.mongo, namespace=namespace)
    database = mongo.database("approval")
    pool = (await Store(database).pools.load(POOL)).state
    stored_events = database["events"].find({"stream": POOL}).sort("version", 1)
    events = [parse(bytes(document["body"])) async for document in stored_events]
    requests = [str(document["_id"]) async for document in database["requests"].find({}, {"_id": 1})]
    mongo.close()

    assert deaths == 1
    assert pool is not None
    assert (len(pool.allocated), len(pool.waiting)) == (SLOTS, STUDENTS - SLOTS)
    entries = (*pool.allocated, *pool.waiting)
    approval_ids = {entry.approval_id for entry in entries}
    assert len(approval_ids) == len({entry.person_id for entry in entries}) == len(entries) == STUDENTS
    assert approval_ids == set(requests) == {answer["approvalId"] for answer in answers}
    _check_order(pool, events)
    for answer in answers:
        position = pool.position(answer["approvalId"])
        assert answer["slot"] == {"slotPoolId": POOL, "hasPlace": position is None, "position": position}


def _check_order(pool: SlotPool, events: list[Any]) -> None:
    """Slots and positions follow the order of the events; the pool is the fold of its events."""
    facts: list[SlotEvent] = [event.data for event in events]
    assert [type(fact) for fact in facts] == [SlotAllocated] * SLOTS + [SlotWaitlisted] * (STUDENTS - SLOTS)
    positions = [fact.position for fact in facts if isinstance(fact, SlotWaitlisted)]
    assert positions == list(range(1, STUDENTS - SLOTS + 1))
    assert [entry.approval_id for entry in pool.waiting] == [fact.approval_id for fact in facts[SLOTS:]]
    assert [event.streamversion for event in events] == list(itertools.islice(itertools.count(1), STUDENTS))
    state: SlotPool | None = None
    for event in events:
        state = evolve_pool(state, event.data, event.time, event.streamversion)
    assert state == pool
