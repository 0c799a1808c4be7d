"""How many registrations nobody can assess: their events were parked after an error, or discarded."""

from shared.bus.bus import Bus
from shared.events import RegistrationEvent


async def count_not_assessable(bus: Bus) -> int:
    """Records of registrations that are parked, or that an operator discarded and no later change made up for.

    Nobody knows whether their persons are affected, so every board shows the number.
    """
    return await bus.parking.count_unknown(bus.group(RegistrationEvent.topic))
