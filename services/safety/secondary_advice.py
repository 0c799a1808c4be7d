"""What a source that does not decide says of a country, and since when. Pure."""

from datetime import datetime

from pydantic import Field

from services.safety.reading import MAX_REGIONS, CountryReading, RegionReading
from shared.events import Country, Level, Part

#: Characters of a source's own words; whoever wants more follows the link.
WORDS_LENGTH = 1_000


class SecondaryAdvice(Part):
    """The word of one source about one country, as it stands."""

    source: str
    country: Country
    level: Level | None
    is_without_warning: bool
    regions: tuple[RegionReading, ...] = Field(max_length=MAX_REGIONS)
    regional_max: Level | None
    says_so_since: datetime = Field(description="When we first read these levels there")
    effective_at: datetime = Field(description="Since when, by the source")
    source_modified_at: datetime
    text_en: str = Field(max_length=WORDS_LENGTH)
    url: str

    @property
    def is_known(self) -> bool:
        """Whether it says anything of how safe the country is."""
        return self.level is not None or self.is_without_warning or self.regional_max is not None


def updated_by(before: SecondaryAdvice | None, reading: CountryReading, *, now: datetime) -> SecondaryAdvice:
    """The opinion after a reading: an older text never replaces a newer, an unreadable one never what was said."""
    after = SecondaryAdvice(
        source=reading.source,
        country=reading.country,
        level=reading.level,
        is_without_warning=reading.is_without_warning,
        regions=reading.regions,
        regional_max=reading.regional_max,
        says_so_since=now,
        effective_at=reading.effective_at,
        source_modified_at=reading.source_modified_at,
        text_en=reading.text_en[:WORDS_LENGTH],
        url=reading.url,
    )
    if before is None:
        return after
    if reading.source_modified_at < before.source_modified_at or (before.is_known and not after.is_known):
        return before
    if _levels(before) == _levels(after):
        return after.model_copy(update={"says_so_since": before.says_so_since})
    return after


def _levels(advice: SecondaryAdvice) -> tuple[object, ...]:
    regions = sorted((each.code or each.area, -1 if each.level is None else each.level) for each in advice.regions)
    return (advice.level, advice.is_without_warning, regions)
