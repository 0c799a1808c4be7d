"""What one secondary source (a government whose levels do not count) says about a country, and since when. Pure."""

from datetime import datetime

from pydantic import Field

from services.safety.reading import MAX_REGIONS, CountryReading, RegionReading
from shared.events import Country, Level, Part

#: Characters of the source's own text that are stored; `url` leads to the rest.
MAX_TEXT_CHARS = 1_000


class SecondaryAdvice(Part):
    """The newest known advice of one secondary source about one country."""

    source: str
    country: Country
    level: Level | None
    is_without_warning: bool
    regions: tuple[RegionReading, ...] = Field(max_length=MAX_REGIONS)
    regional_max: Level | None
    says_so_since: datetime = Field(description="When we first read these levels there")
    effective_at: datetime = Field(description="Since when, by the source")
    source_modified_at: datetime
    text_en: str = Field(max_length=MAX_TEXT_CHARS)
    url: str

    @property
    def is_known(self) -> bool:
        """Whether it says how safe the country, or a part of it, is."""
        return self.level is not None or self.is_without_warning or self.regional_max is not None


def advice_after(before: SecondaryAdvice | None, reading: CountryReading, *, now: datetime) -> SecondaryAdvice:
    """The advice after a reading.

    An older text never replaces a newer one, an unreadable one never a known one, a damaged one only what is milder.
    """
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
        text_en=reading.text_en[:MAX_TEXT_CHARS],
        url=reading.url,
    )
    if before is None:
        return after
    if reading.is_damaged and before.is_known and _worst(after) <= _worst(before):
        return before
    if reading.source_modified_at < before.source_modified_at or (before.is_known and not after.is_known):
        return before
    if _levels(before) == _levels(after):
        return after.model_copy(update={"says_so_since": before.says_so_since})
    return after


def _worst(advice: SecondaryAdvice) -> int:
    return max((level for level in (advice.level, advice.regional_max) if level is not None), default=-1)


def _levels(advice: SecondaryAdvice) -> tuple[object, ...]:
    regions = sorted(
        (region.code or region.area, -1 if region.level is None else region.level) for region in advice.regions
    )
    return (advice.level, advice.is_without_warning, regions)
