"""An alert never names an invented emergency number: production refuses an invented catalogue."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from shared.catalogue_files import BrokenCatalogue
from shared.invented_catalogue import is_reserved
from shared.live_catalogue import LiveCatalogue

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "deploy" / "local" / "catalogue"
#: A domain that is not reserved.
REAL = "abroad.a-name-like-any-other.eu"


def as_if_real(folder: Path) -> Path:
    """The invented catalogue without its mark, with addresses of a domain that is not reserved."""
    for file in LOCAL.glob("*.yaml"):
        text = file.read_text(encoding="utf-8").replace("invented: true", "invented: false")
        (folder / file.name).write_text(re.sub(r"[a-z.-]+\.example\b", REAL, text))
    return folder


def test_the_local_catalogue_is_refused_in_production_and_its_parts_are_named() -> None:
    """It says by itself that it is invented, and so do the domains of its addresses."""
    assert LiveCatalogue(LOCAL).current.university.invented

    with pytest.raises(BrokenCatalogue) as refused:
        LiveCatalogue(LOCAL, may_be_invented=False)

    assert "university.yaml:0: invented" in str(refused.value)
    assert "emergency_email: leads to a reserved domain" in str(refused.value)
    assert len(str(refused.value).splitlines()) < 10


def test_a_catalogue_with_real_addresses_is_taken_in_production(tmp_path: Path) -> None:
    """The same catalogue without the mark and the reserved domains."""
    assert not LiveCatalogue(as_if_real(tmp_path), may_be_invented=False).current.university.invented


@pytest.mark.parametrize(
    "address",
    [
        "a@x.example",
        "a@EXAMPLE.com",
        "a@mail.example.org",
        "https://x.test/page",
        "https://x.invalid:8443",
        "a@b.local",
    ],
)
def test_reserved_addresses_are_known(address: str) -> None:
    """Mail and pages, with subdomains, in any case."""
    assert is_reserved(address)


@pytest.mark.parametrize(
    "text", ["a@myexample.com", "a@example.com.eu", "https://test.eu/x.example", "+31710000999", "e.g. x@y.example"]
)
def test_other_addresses_and_words_are_fine(text: str) -> None:
    """Names that only sound like it, numbers, and sentences."""
    assert not is_reserved(text)


def test_one_reserved_address_anywhere_is_enough(tmp_path: Path) -> None:
    """Each address of the catalogue in turn, mail and pages: one copied from the example and forgotten."""
    folder = as_if_real(tmp_path)
    taken = []
    for file in sorted(folder.glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        for number in re.finditer(re.escape(REAL), text):
            file.write_text(text[: number.start()] + "abroad.example" + text[number.end() :], encoding="utf-8")
            with suppress(BrokenCatalogue):
                LiveCatalogue(folder, may_be_invented=False)
                taken.append(f"{file.name}: {text[number.start() - 60 : number.end()]}")
        file.write_text(text, encoding="utf-8")

    assert taken == []


async def test_an_edit_to_an_invented_catalogue_is_not_followed_in_production(tmp_path: Path) -> None:
    """While the service runs: it keeps the old version, and its health says why."""
    live = LiveCatalogue(as_if_real(tmp_path), may_be_invented=False)
    before = live.current
    shutil.copy(LOCAL / "university.yaml", tmp_path)
    os.utime(tmp_path / "university.yaml", ns=(1, 1))

    await live.refresh()

    assert live.current is before
    [check] = await live.health()
    assert not check.ok
    assert "invented" in check.detail
