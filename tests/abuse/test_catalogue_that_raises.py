"""Whatever an edited catalogue file makes the reader raise, the service keeps its last good version and says so."""

from pathlib import Path

import pytest

from shared.catalogue import Catalogue
from shared.live_catalogue import LiveCatalogue
from tests.integration.registration_parts import CATALOGUE


class Failing(LiveCatalogue):
    """Its second reading raises the error."""

    error: Exception | None = None

    def _load(self) -> Catalogue:
        if self.error is not None:
            raise self.error
        return super()._load()


@pytest.mark.parametrize("error", [OverflowError(), RecursionError(), MemoryError(), KeyError("x"), TypeError()])
async def test_reading_that_raises_keeps_the_last_version(tmp_path: Path, error: Exception) -> None:
    """The follower lives on, the health check names the error, and the next good reading ends it."""
    for file in CATALOGUE.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    live = Failing(tmp_path)
    version = live.current.version
    live.error = error
    (tmp_path / "university.yaml").open("a").write("\n# edited\n")

    await live.refresh()

    (check,) = await live.health()
    assert not check.ok
    assert type(error).__name__ in check.detail
    assert live.current.version == version
    live.error = None
    await live.refresh()
    (check,) = await live.health()
    assert check.ok
