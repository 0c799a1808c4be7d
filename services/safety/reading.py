"""One reading of a source: a batch of countries, or the reason why the whole answer is rejected."""

from datetime import datetime

from pydantic import Field

from shared.errors import PermanentError
from shared.events import Country, Level, Part, RegionCode

AREA_LENGTH = 300
TEXT_LENGTH = 20_000
URL_LENGTH = 500
MAX_REGIONS = 60


class RegionReading(Part):
    """One area with a level of its own."""

    area: str = Field(min_length=1, max_length=AREA_LENGTH, description="As the source names it")
    code: RegionCode | None = Field(default=None, description="ISO 3166-2, if the gazetteer is sure")
    level: Level | None = Field(description="null: not read, e.g. an island that is missing from this reading")
    unread: bool = Field(default=False, description="`area` is a sentence that names the level and was not read (R14)")


class CountryReading(Part):
    """What a source says about one country. A region's level never changes the country's own level."""

    source: str = Field(description="Source module, e.g. `netherlands`")
    source_id: str = Field(description="The source's own id; several ids of one country are joined by commas")
    country: Country
    level: Level | None = Field(
        description="The whole country, or its rest beside the regions; null: not said, or not readable"
    )
    regions: tuple[RegionReading, ...] = Field(default=(), max_length=MAX_REGIONS)
    regional_max: Level | None = Field(default=None, description="Worst level of a region; it never raises `level`")
    effective_at: datetime = Field(description="Since when, by the source; UTC")
    source_modified_at: datetime = Field(description="When the source last changed it; UTC; orders readings")
    text_nl: str = Field(max_length=TEXT_LENGTH, description="Plain text")
    text_en: str = Field(max_length=TEXT_LENGTH, description="Plain text")
    url: str = Field(max_length=URL_LENGTH, description="The advice as a web page; empty if the source gives none")
    unread: tuple[str, ...] = Field(default=(), description="Sentences that the parser could not read, for a person")
    is_without_warning: bool = Field(
        default=False,
        description="Fully read, and without any warning: for a source that has no green level",
    )
    is_damaged: bool = Field(
        default=False, description="Its record came damaged: what it says counts where it is worse, never as better"
    )


class Batch(Part):
    """One reading of a source: each country at most once."""

    source: str
    parser_version: int
    countries: tuple[CountryReading, ...]
    skipped: tuple[str, ...] = Field(default=(), description="Records without a known country or a date, and why")
    damage: tuple[str, ...] = Field(default=(), description="What was damaged in the answer, page by page")
    incomplete: str | None = Field(
        default=None, description="Why a damaged answer is not the whole list: it confirms no country that it lacks"
    )


class BatchRejected(PermanentError):
    """The whole answer is rejected, and the state stays as it was. The reason never quotes the answer."""
