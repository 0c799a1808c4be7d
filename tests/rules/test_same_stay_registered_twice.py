"""R26: a stay that a person registered twice is listed once, under the newest registration."""

from datetime import timedelta

import pytest

from services.notify.model.whereabouts import Stay, Whereabouts
from services.notify.rules.registered_twice import registered_twice
from tests.rules.notify_world import LONG_AGO, TODAY, stay, whereabouts

SPAIN, MADRID, LATER = stay(), stay(region="ES-MD"), stay(start=2)


def registration(name: str, changed: int, there: Stay, *, cancelled: bool = False) -> Whereabouts:
    """A registration that changed so many minutes after the first one."""
    update = {"registration_id": name, "changed_at": LONG_AGO + timedelta(minutes=changed)}
    return whereabouts(there, cancelled=cancelled).model_copy(update=update)


@pytest.mark.parametrize(
    ("of_it", "of_other", "changed", "cancelled", "others", "same_stay_as"),
    [
        (SPAIN, SPAIN, 1, False, ("r-b",), "r-b"),
        (SPAIN, SPAIN, -1, False, ("r-b",), None),  # this one is the newest
        (SPAIN, SPAIN, 0, False, ("r-b",), "r-b"),  # both at once: one of them, always the same one
        (SPAIN, MADRID, 1, False, ("r-b",), None),  # another stay, so both count
        (SPAIN, LATER, 1, False, (), None),  # not there on that day
        (SPAIN, SPAIN, 1, True, (), None),
    ],
)
def test_same_stay_counts_once_at_the_newest_registration(
    of_it: Stay, of_other: Stay, changed: int, cancelled: bool, others: tuple[str, ...], same_stay_as: str | None
) -> None:
    """Where messages go: to the contact details of the newest registration of that very stay."""
    it, other = registration("r-a", 0, of_it), registration("r-b", changed, of_other, cancelled=cancelled)

    for own in ([it, other], [other, it]):
        twice = registered_twice(it, of_it, own, TODAY)
        assert (twice.others, twice.same_stay_as) == (others, same_stay_as)
