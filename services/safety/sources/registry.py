"""Every source by its name. A new source is a module here, a line below, a sample and a test (CONTRIBUTING.md)."""

from collections.abc import Mapping

from services.safety.sources import canada, germany, netherlands, united_kingdom, united_states
from services.safety.sources.feed import Feed

SOURCES: Mapping[str, Feed] = {
    "netherlands": netherlands.FEED,
    "united_kingdom": united_kingdom.FEED,
    "united_states": united_states.FEED,
    "germany": germany.FEED,
    "canada": canada.FEED,
}
