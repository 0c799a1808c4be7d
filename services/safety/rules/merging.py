"""R12, R13, R14: which of the levels that a source says may count now, beside the levels adopted before.

A worse level counts at once, a better one only when it is confirmed, and unknown never replaces a known level.
"""

import re
from dataclasses import dataclass

from services.safety.model import AdviceLevels
from services.safety.reading import CountryReading
from services.safety.rules.effective_level import sorted_regions
from shared.events import Level

#: Text that a source shows in place of missing advice. See docs/feeds.md.
_PLACEHOLDER = re.compile(r"summary not available|content not available", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MergedLevels:
    """Levels that may count now. `improvement_waits`: the source says a better level that is not confirmed yet."""

    levels: AdviceLevels
    improvement_waits: bool


def merge_levels(adopted: AdviceLevels, said: AdviceLevels, *, confirmed: bool) -> MergedLevels:
    """R12, R13, R14: adopt everything worse in `said`, everything better only if `confirmed`, and nothing unknown."""
    improvement_waits = False

    def merged(before: Level | None, after: Level | None) -> Level | None:
        nonlocal improvement_waits
        if after is None:
            return before
        if before is not None and after < before and not confirmed:
            improvement_waits = True
            return before
        return after

    country_level = merged(adopted.level, said.level)
    adopted_regions = {region.area: region for region in adopted.regions}
    regions = [
        # A region that was not listed before had the country's level until now.
        region.model_copy(
            update={
                "level": merged(
                    adopted_regions[region.area].level if region.area in adopted_regions else adopted.level,
                    region.level,
                )
            }
        )
        for region in said.regions
    ]
    listed_areas = {region.area for region in said.regions}
    for area, region in adopted_regions.items():
        if area in listed_areas:
            continue
        # A region that is no longer listed has the country's level. If that is better, it is an improvement as well.
        # If the source says no level for the country, it says nothing about this region: its level stays.
        if said.level is None or merged(region.level, country_level) != country_level:
            regions.append(region)
    return MergedLevels(AdviceLevels(level=country_level, regions=sorted_regions(regions)), improvement_waits)


def is_placeholder(reading: CountryReading) -> bool:
    """Whether the text stands in place of missing advice. A better level in such a text is not believed."""
    return _PLACEHOLDER.search(reading.text_nl) is not None or _PLACEHOLDER.search(reading.text_en) is not None
