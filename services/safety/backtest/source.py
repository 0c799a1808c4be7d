"""What the source of a back-test says at a moment: its levels, rebuilt from the dated changes of the past."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pycountry

from services.safety.backtest.inputs import DatedChange
from services.safety.reading import MAX_REGIONS, CountryReading, RegionReading
from shared.events import Level

SOURCE = "history"


@dataclass(slots=True)
class PublishedAdvice:
    """What the source says about one country. `regions`: name and level by code."""

    level: Level | None
    regions: dict[str, tuple[str, Level]]
    since: datetime

    def apply(self, change: DatedChange) -> None:
        """The source publishes a change."""
        self.since = change.ts
        if change.region is None:
            self.level = change.level_after
            if "whole-country" in change.flags:
                self.regions.clear()
        elif change.level_after is None or (change.level_after == self.level):
            self.regions.pop(change.region, None)
        else:
            self.regions[change.region] = (change.region_name or change.region, change.level_after)


class ReplayedSource:
    """The source on its way through the history."""

    def __init__(self, history: Sequence[DatedChange], began: datetime) -> None:
        self._history = list(history)
        self._published = _advice_before(history, began)
        self._next = 0

    def advance(self, now: datetime) -> None:
        """Publish every change until `now`."""
        while self._next < len(self._history) and self._history[self._next].ts <= now:
            change = self._history[self._next]
            self._published[change.country].apply(change)
            self._next += 1

    def readings(self) -> Iterator[CountryReading]:
        """Every country as the source says it now."""
        for country, advice in self._published.items():
            regions = tuple(
                RegionReading(area=name, code=code, level=level) for code, (name, level) in advice.regions.items()
            )
            yield CountryReading(
                source=SOURCE,
                source_id=country,
                country=country,
                level=advice.level,
                regions=regions[:MAX_REGIONS],
                regional_max=max((region.level for region in regions if region.level is not None), default=None),
                effective_at=advice.since,
                source_modified_at=advice.since,
                text_nl="",
                text_en="",
                url="",
            )


def _advice_before(history: Sequence[DatedChange], at: datetime) -> dict[str, PublishedAdvice]:
    """The advice before the first change. The level of a country that never changed is not known."""
    codes = sorted({"XK", *(country.alpha_2 for country in pycountry.countries)})
    published = {code: PublishedAdvice(None, {}, at) for code in codes}
    for change in reversed(history):
        advice = published.setdefault(change.country, PublishedAdvice(None, {}, at))
        if change.region is None:
            advice.level = change.level_before
    first_changes: dict[tuple[str, str], DatedChange] = {}
    for change in history:
        if change.region is not None:
            first_changes.setdefault((change.country, change.region), change)
    for (country, region), change in first_changes.items():
        advice = published[country]
        if advice.level is None:
            # Only regions of this country changed: its own level is the one that they began with.
            advice.level = change.level_before
        if change.level_before is not None and change.level_before != advice.level:
            advice.regions[region] = (change.region_name or region, change.level_before)
    return published
