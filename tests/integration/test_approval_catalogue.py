"""The catalogue of a running service: edited, broken and mended; added slots go to the waiting list."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.approval import slots
from services.approval.app import build
from services.approval.deps import CommandDeps
from services.approval.store.requests import Store
from shared.catalogue_files import BrokenCatalogue
from shared.clock import utc_now
from shared.live_catalogue import LiveCatalogue
from shared.mongo.group_commit import GroupCommit
from shared.web.local_tokens import create_keys
from tests.approval_service import MEDICINE, ApprovalService, approval_service_on, change, leiden, settings

DEADLINE_SECONDS = 90


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Keys, and a catalogue that the test edits."""
    keys, catalogue = tmp_path / "keys", tmp_path / "leiden"
    keys.mkdir()
    catalogue.mkdir()
    create_keys(keys)
    return keys, leiden(catalogue)


def edit(file: Path, before: str, after: str) -> None:
    """An edit with a newer file time, however fast the test is."""
    seen = file.stat()
    change(file, before, after)
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns + int(timedelta(seconds=1).total_seconds() * 1e9)))


async def until(approval_service: ApprovalService, detail: str) -> None:
    """Wait until the health of the catalogue has this state."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            checks = {check["name"]: check for check in (await approval_service.http.get("/readyz")).json()["checks"]}
            if detail in checks["catalogue"]["detail"]:
                return
            await asyncio.sleep(0.05)


async def test_broken_edit_keeps_the_old_catalogue_and_a_mended_one_is_taken(
    stack: Any, namespace: str, folders: tuple[Path, Path]
) -> None:
    """Requests go on under the last good version, which their events name; the health names the mistake."""
    keys, catalogue = folders
    file = catalogue / "lumc.yaml"
    wish = {"details": {"theme": "oncology", "institute": "listed"}}
    async with approval_service_on(stack.mongo, namespace, keys, catalogue, catalogue_seconds=0.05) as approval_service:
        before = await _version(approval_service, wish)

        edit(file, "id: oncology", "id: [oncology")
        await until(approval_service, "lumc.yaml")
        assert await _version(approval_service, wish) == before

        edit(file, "id: [oncology", "id: astrology")
        await until(approval_service, "as in its files")

        refused = await approval_service.tries(approval_service.student(), **wish)
        assert refused.status_code == 400
        assert await _version(approval_service, {"details": {"theme": "astrology", "institute": "listed"}}) != before


async def _version(approval_service: ApprovalService, wish: dict[str, Any]) -> str:
    """The catalogue version in the events of a new request and of its grant."""
    student = approval_service.student()
    approval_id = (await approval_service.asks(student, **wish))["approvalId"]
    await approval_service.granted(MEDICINE, approval_id)
    return str((await approval_service.look(approval_id, student))["catalogueVersion"])


@pytest.mark.parametrize(("before", "after"), [("slots: 3", "slots: -1"), ("themes:", "themes: [")])
def test_service_refuses_to_start_with_a_broken_catalogue(folders: tuple[Path, Path], before: str, after: str) -> None:
    """The error names file, line and field."""
    keys, catalogue = folders
    change(catalogue / "lumc.yaml", before, after)

    with pytest.raises(BrokenCatalogue, match=r"lumc\.yaml:"):
        build(settings("mongodb://127.0.0.1:9", "", keys, catalogue))


async def test_slots_that_the_catalogue_adds_go_to_the_waiting_list_in_order(
    stack: Any, namespace: str, folders: tuple[Path, Path]
) -> None:
    """R34: two more slots promote the first two, once; with fewer slots nobody loses one."""
    keys, catalogue = folders
    rotation = {
        "activityType": "clinical_clerkship", "country": "SR", "startDate": "2034-06-01", "endDate": "2034-07-01",
        "details": {"rotation": "regular", "cluster": "surinam-surgery"},
    }  # fmt: skip
    async with approval_service_on(stack.mongo, namespace, keys, catalogue) as approval_service:
        students = [approval_service.student() for _ in range(4)]
        ids = [
            (await approval_service.asks(student, **rotation, contact=student.contact))["approvalId"]
            for student in students
        ]
        live = LiveCatalogue(catalogue, 3_600)
        commits = GroupCommit(approval_service.mongo, approval_service.database)
        deps = CommandDeps(
            approval_service.mongo,
            approval_service.database,
            Store(approval_service.database),
            approval_service.keyring,
            live,
            commits,
        )
        line = "id: example-surgery-2034, starts_on: 2034-01-01, ends_on: 2034-12-31, slots: "

        nothing = await slots.fill_free_slots(deps, utc_now())
        edit(catalogue / "lumc.yaml", f"{line}1", f"{line}3")
        await live.refresh()
        first, again = await slots.fill_free_slots(deps, utc_now()), await slots.fill_free_slots(deps, utc_now())
        edit(catalogue / "lumc.yaml", f"{line}3", f"{line}0")
        await live.refresh()
        fewer = await slots.fill_free_slots(deps, utc_now())

        pool = (await deps.store.pools.load("example-surgery-2034")).state
        assert (nothing, first, again, fewer) == (0, 2, 0, 0)
        assert pool is not None
        assert [entry.approval_id for entry in pool.allocated] == ids[:3]
        assert [entry.approval_id for entry in pool.waiting] == ids[3:]
