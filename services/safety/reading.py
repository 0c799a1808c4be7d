"""What a source said when it was read: a batch of countries, or the reason why nothing of it can be used."""

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
    code: RegionCode | None = Field(default=None, description="Where the gazetteer is sure")
    level: Level | None = Field(description="null: not read, e.g. an island that this reading lacks")


class CountryReading(Part):
    """What a source says of one country. The country's level and its regions' are separate facts."""

    source: str = Field(description="Source module, e.g. `netherlands`")
    source_id: str = Field(description="The source's own id; several, joined by commas, where they make one country")
    country: Country
    level: Level | None = Field(
        description="The whole country, or its rest beside the regions; null not said or unread"
    )
    regions: tuple[RegionReading, ...] = Field(default=(), max_length=MAX_REGIONS)
    regional_max: Level | None = Field(default=None, description="Worst level of a region; it never raises `level`")
    effective_at: datetime = Field(description="Since when, by the source; UTC")
    source_modified_at: datetime = Field(description="When the source last wrote it; UTC; orders readings")
    text_nl: str = Field(max_length=TEXT_LENGTH, description="Plain text")
    text_en: str = Field(max_length=TEXT_LENGTH, description="Plain text")
    url: str = Field(max_length=URL_LENGTH, description="The advice for people; empty when it named none")
    unread: tuple[str, ...] = Field(default=(), description="The sentences that stopped the parser, for a person")
    is_without_warning: bool = Field(
        default=False, description="Read whole: the source, which has no green, warns against no travel there"
    )


class Batch(Part):
    """A source read whole: each country at most once."""

    source: str
    parser_version: int
    countries: tuple[CountryReading, ...]
    skipped: tuple[str, ...] = Field(default=(), description="Records that name no country or no date, and why")


class BatchRejected(PermanentError):
    """The answer as a whole cannot be used; the state stays as it was. The reason never quotes the answer."""
