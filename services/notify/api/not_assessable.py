"""How many registrations nobody can assess: their events are parked after an error."""

from shared.bus.bus import Bus
from shared.events import RegistrationEvent


async def count_not_assessable(bus: Bus) -> int:
    """Parked registrations: nobody knows whether their persons are affected, so every board shows the number."""
    return await bus.parking.count(bus.group(RegistrationEvent.topic))
