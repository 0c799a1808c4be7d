"""A running service follows edits of its catalogue, and keeps the old version while the files are broken."""

import asyncio
import os
from pathlib import Path

import pytest

from shared.catalogue_files import BrokenCatalogue
from shared.live_catalogue import LiveCatalogue
from tests.approval_service import change, leiden


def touched(file: Path) -> None:
    """Move the file's time forward, as an edit does."""
    seen = file.stat()
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1_000_000_000))


async def test_live_catalogue_follows_an_edit(tmp_path: Path) -> None:
    """The next refresh has the new version; without an edit it is the same object."""
    live = LiveCatalogue(leiden(tmp_path), 3_600)
    before = live.current
    await live.refresh()
    assert live.current is before

    change(tmp_path / "lumc.yaml", "slots: 3", "slots: 4")
    touched(tmp_path / "lumc.yaml")
    await live.refresh()

    assert live.current.version != before.version
    assert live.current.pools()["example-surgery-2033"].pool.slots == 4


async def test_live_catalogue_keeps_the_old_one_while_the_files_are_broken(tmp_path: Path) -> None:
    """Degraded, with file and field in the check; ready again after the file was corrected."""
    live = LiveCatalogue(leiden(tmp_path), 3_600)
    before = live.current

    change(tmp_path / "lumc.yaml", "slots: 3", "slots: -1")
    touched(tmp_path / "lumc.yaml")
    for _ in range(2):
        await live.refresh()
    (check,) = await live.health()

    assert live.current is before
    assert (check.ok, check.critical) == (False, False)
    assert "lumc.yaml" in check.detail
    assert "slots" in check.detail

    change(tmp_path / "lumc.yaml", "slots: -1", "slots: 5")
    touched(tmp_path / "lumc.yaml")
    await live.refresh()
    (check,) = await live.health()

    assert check.ok
    assert live.current.pools()["example-surgery-2033"].pool.slots == 5


async def test_live_catalogue_survives_files_that_are_gone(tmp_path: Path) -> None:
    """An empty folder (a lost mount) changes nothing but the health."""
    live = LiveCatalogue(leiden(tmp_path), 3_600)
    before = live.current

    for file in tmp_path.glob("*.yaml"):
        file.unlink()
    await live.refresh()
    (check,) = await live.health()

    assert (live.current, check.ok) == (before, False)


@pytest.mark.parametrize(
    ("before", "after"), [("slots: 3", "slots: -1"), ("id: lumc\n", "id: law\n"), ("themes:", "themes: [")]
)
def test_live_catalogue_does_not_start_with_a_broken_one(tmp_path: Path, before: str, after: str) -> None:
    """A count of -1, a duplicate id, a file that is no YAML: no service starts."""
    change(leiden(tmp_path) / "lumc.yaml", before, after)

    with pytest.raises(BrokenCatalogue):
        LiveCatalogue(tmp_path, 3_600)


async def test_live_catalogue_is_well_again_when_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    """A file that is moved away and back has its old time and size: the failure ends all the same."""
    live, away = LiveCatalogue(leiden(tmp_path), 3_600), tmp_path / "lumc.away"

    (tmp_path / "university.yaml").rename(away)
    await live.refresh()
    (while_away,) = await live.health()
    away.rename(tmp_path / "university.yaml")
    await live.refresh()
    (check,) = await live.health()

    assert (while_away.ok, check.ok) == (False, True)


async def test_a_request_sees_one_catalogue_throughout_although_the_files_change(tmp_path: Path) -> None:
    """Inside `pinned` the version stays, also across a refresh; afterwards, and for other work, it is the newest."""
    live = LiveCatalogue(leiden(tmp_path), 3_600)

    with live.pinned():
        before = live.current
        change(tmp_path / "lumc.yaml", "slots: 3", "slots: 4")
        touched(tmp_path / "lumc.yaml")
        await live.refresh()
        during = live.current
    (check,) = await live.health()

    assert during is before
    assert live.current is not before
    assert check.facts["version"] == live.current.version


async def test_work_sees_one_version_throughout_and_so_does_the_work_within_it(tmp_path: Path) -> None:
    """Across an edit; another catalogue of the same process is not pinned by it."""
    live, other = LiveCatalogue(leiden(tmp_path), 3_600), LiveCatalogue(leiden(tmp_path), 3_600)
    first, seen = live.current, []

    async def edit(before: int) -> None:
        change(tmp_path / "lumc.yaml", f"slots: {before}", f"slots: {before + 1}")
        touched(tmp_path / "lumc.yaml")
        await live.refresh()
        await other.refresh()

    @live.throughout
    async def work() -> None:
        await edit(3)
        seen.append(live.current)

    await work()
    assert seen == [first]
    second = live.current
    assert second is not first
    with live.pinned():
        await edit(4)
        with live.pinned():
            assert live.current is second
        assert other.current.version != second.version
    assert live.current.version == other.current.version


async def test_files_are_followed_by_one_task_that_ends_with_the_process(tmp_path: Path) -> None:
    """Starting twice, as when MongoDB was away at the first start, starts one; it follows an edit by itself."""
    live, before = LiveCatalogue(leiden(tmp_path), 0.01), asyncio.all_tasks()
    version = live.current.version

    await live.start()
    await live.start()
    assert len(asyncio.all_tasks() - before) == 1
    change(tmp_path / "lumc.yaml", "slots: 3", "slots: 4")
    touched(tmp_path / "lumc.yaml")
    async with asyncio.timeout(60):
        while live.current.version == version:
            await asyncio.sleep(0.01)
    await live.stop()
    assert asyncio.all_tasks() == before
