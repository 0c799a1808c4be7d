"""Every source by its name: adding a country is a module beside this one, a line here, and a test."""

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
