"""R27: an alert that an officer raises again would tell everybody there a second time: it is asked about. Proposal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.subdivision_names import enclosing


class Reason(StrEnum):
    """How an open alert stands to the one that is about to be raised."""

    IDENTICAL = "identical_alert"
    SAME_PLACE = "alert_for_this_place"


@dataclass(frozen=True, slots=True)
class ManualAlert:
    """What people get of an alert of an officer. `region` None: everybody in the country."""

    alert_id: str
    country: str
    region: str | None
    is_drill: bool
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An open alert that reached people whom the new one would reach as well."""

    reason: Reason
    alert_id: str


def raised_already(new: ManualAlert, open_alerts: Iterable[ManualAlert]) -> Sequence[OpenAlert]:
    """The open alerts whose place and the new one's overlap, identical ones first; else in the order given.

    A drill and an alert in earnest reach different people: neither asks about the other.
    """
    found = [
        OpenAlert(_reason(new, alert), alert.alert_id)
        for alert in open_alerts
        if alert.country == new.country and alert.is_drill is new.is_drill and _overlap(alert.region, new.region)
    ]
    return sorted(found, key=lambda alert: alert.reason is not Reason.IDENTICAL)


def _reason(new: ManualAlert, alert: ManualAlert) -> Reason:
    is_identical = (alert.region, alert.texts) == (new.region, new.texts)
    return Reason.IDENTICAL if is_identical else Reason.SAME_PLACE


def _overlap(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one in enclosing(other) or other in enclosing(one)
