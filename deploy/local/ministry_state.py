"""The state of the simulated feed: changes on top of a real picture on top of the synthetic world.

The picture and the changes are kept in one file, replaced as a whole, so that a restart shows the same.
"""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from deploy.local.ministry_wording import Colour, RegionLevel
from deploy.local.ministry_world import Advice, Record, advice, places, starting_world
from shared.clock import utc_now


class Change(BaseModel):
    """A new advice for one country."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: str = Field(description="ISO 3166-1 alpha-2 or alpha-3, the feed's own code, or the location key")
    level: Colour | None = Field(description="0..3 or the Dutch colour; null: no sentence about the whole country")
    regions: tuple[RegionLevel, ...] = ()
    text: str | None = Field(None, description="one sentence of news before the colours")
    introduction: str | None = Field(None, description="HTML that replaces the whole introduction, as it is")


class SavedFeed(BaseModel):
    """The changes and the picture, stored so that a restart continues with them."""

    as_of: datetime
    picture: list[Record] = []
    changes: dict[str, Advice] = {}


class Feed:
    """The advice of every country: changes over the picture over the synthetic world."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._places = places()
        self._kept = SavedFeed.model_validate_json(file.read_bytes()) if file.exists() else SavedFeed(as_of=utc_now())
        self._world = starting_world(self._kept.as_of)
        self._write()

    def show(self, picture: list[Record]) -> None:
        """Replace the synthetic records by real ones of the same country; the changes stay on top."""
        self._kept = self._kept.model_copy(update={"picture": picture})
        self._write()

    def change(self, change: Change, now: datetime) -> Advice:
        """Change the country's advice. Raises LookupError for an unknown country."""
        current = self._found(change.country)
        place = self._places.get(str(current.record["isocode"]))
        if place is None:
            raise LookupError(f"{change.country}: the picture has it, but its name is not known")
        new = advice(place, change.level, change.regions, change.text, now, "changed")
        # The picture's title, name and keys are the ministry's own and stay.
        record = current.record | {name: new.record[name] for name in ("introduction", "lastmodified")}
        if "modificationdate" in current.record:
            record["modificationdate"] = new.record["modificationdate"]
        if change.introduction is not None:
            record["introduction"] = change.introduction
        new = new.model_copy(update={"record": record})
        changes = self._kept.changes | {str(record["isocode"]): new}
        self._kept = self._kept.model_copy(update={"changes": changes})
        self._write()
        return new

    def forget_changes(self) -> None:
        """Go back to the first state with its old dates: for a fresh start, not for an improvement of advice."""
        self._kept = self._kept.model_copy(update={"changes": {}})
        self._write()

    def advices(self) -> list[Advice]:
        """Every country once, by location key."""
        pictured = {
            str(record["isocode"]): Advice(record=record, issued=str(record["lastmodified"]), origin="picture")
            for record in self._kept.picture
        }
        merged = self._world | pictured | self._kept.changes
        return sorted(merged.values(), key=lambda shown: str(shown.record["locationkey"]))

    def iso2(self, isocode: str) -> str | None:
        """ISO 3166-1 alpha-2 of a code of the feed."""
        place = self._places.get(isocode)
        return place.iso2 if place else None

    def _found(self, country: str) -> Advice:
        wanted = country.casefold()
        for shown in self.advices():
            code = str(shown.record["isocode"])
            if wanted in (code.casefold(), (self.iso2(code) or "").casefold(), shown.record["locationkey"]):
                return shown
        hint = " (BQ has three: BQ-BO, BQ-SA, BQ-SE)" if wanted in ("bq", "bes") else ""
        raise LookupError(f"{country}: not a country of this feed{hint}")

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(self._kept.model_dump_json(), encoding="utf-8")
        unfinished.replace(self._file)


def picture_of(body: object) -> list[Record]:
    """The records of a real list response. Raises ValueError with the reason for anything else."""
    if not isinstance(body, list):
        raise ValueError("the picture is not a list of records")
    for record in body:
        needed = ("isocode", "introduction", "locationkey", "lastmodified")
        if not isinstance(record, dict) or not all(isinstance(record.get(name), str) for name in needed):
            raise ValueError(f"a record of the picture lacks one of {', '.join(needed)}")
        datetime.fromisoformat(record["lastmodified"])
    return body
