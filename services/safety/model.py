"""The advice for one country as safety keeps it: the fold of its TravelAdviceChanged events."""

from datetime import datetime

from shared.events import Event, Level, Part, TravelAdviceChanged


class Region(Part):
    """One region as it counts now."""

    area: str
    code: str | None
    level: Level | None


class CountryState(Part):
    """What counts for a country, and what the source said last."""

    country: str
    advice_version: int
    ministry: Level | None
    effective: Level | None
    regions: tuple[Region, ...]
    source: str
    source_version: str
    parser_version: int
    effective_at: datetime
    text_nl: str
    text_en: str
    url: str
    changed_at: datetime

    @property
    def worst(self) -> Level | None:
        """The worst level anywhere in the country that is known."""
        known = [level for level in (self.effective, *(region.level for region in self.regions)) if level is not None]
        return max(known) if known else None


def evolve(state: CountryState | None, event: Event, at: datetime, version: int) -> CountryState:
    """The state after an event of the country's stream."""
    assert isinstance(event, TravelAdviceChanged)
    return CountryState(
        country=event.country,
        advice_version=event.advice_version,
        ministry=event.ministry.after,
        effective=event.effective.after,
        regions=tuple(Region(area=each.area, code=each.code, level=each.after) for each in event.regions),
        source=event.source,
        source_version=event.source_version,
        parser_version=event.parser_version,
        effective_at=event.effective_at,
        text_nl=event.text_nl,
        text_en=event.text_en,
        url=event.url,
        changed_at=at,
    )


class PendingFall(Part):
    """A reading that lowers something and waits to be read a second time."""

    country: str
    levels: str
    first_read_at: datetime
