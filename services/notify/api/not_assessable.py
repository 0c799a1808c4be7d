"""How many registrations nobody can assess: their events were parked or discarded, or the rules cannot judge them."""

from services.notify.store.unjudged import UnjudgedStore
from shared.bus.bus import Bus
from shared.events import RegistrationEvent


async def count_not_assessable(bus: Bus, unjudged: UnjudgedStore) -> int:
    """Records of registrations that are parked, or that an operator discarded and no later change made up for.

    Also the registrations that the rules could not judge when they last looked at them.
    Nobody knows whether their persons are affected, so every board shows the number.
    """
    return await bus.parking.count_unknown(bus.group(RegistrationEvent.topic)) + await unjudged.count()
