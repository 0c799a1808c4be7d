"""R34: the few places of a regular rotation. Source: Leiden University, "Internships, ...", tab LUMC, "a few slots"."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.approval.model import PoolEntry, SlotPool
from services.approval.rules.ruling import Effect, Ruling
from shared.events import StepKind

#: Longer waiting lists help nobody.
MAX_WAITING = 500


class Reason(StrEnum):
    """What became of the wish for a place."""

    PLACE_FROM_POOL = "place_from_pool"
    NO_SLOTS_CONFIGURED = "no_slots_configured"
    CLUSTER_NOT_SAID = "cluster_not_said"
    NOT_A_CLUSTER = "not_a_cluster"
    ALLOCATED = "allocated"
    WAITLISTED = "waitlisted"
    ALREADY_IN_POOL = "already_in_pool"
    LIST_IS_FULL = "waiting_list_full"
    PROMOTED = "promoted"
    NOBODY_TO_PROMOTE = "nobody_to_promote"


@dataclass(frozen=True, slots=True)
class Period:
    """A pool of the catalogue: its days, Europe/Amsterdam, both of them in it."""

    pool_id: str
    starts_on: date
    ends_on: date


@dataclass(frozen=True, slots=True)
class Allocation:
    """The decision about one request; `position` in the waiting list, from 1, when it waits."""

    reason: Reason
    position: int | None = None

    @property
    def is_taken(self) -> bool:
        """It has a place or waits for one."""
        return self.reason in (Reason.ALLOCATED, Reason.WAITLISTED)


@dataclass(frozen=True, slots=True)
class Promotion:
    """The decision about a free place."""

    reason: Reason
    place: PoolEntry | None = None


def cluster(
    named: str | None, start_date: date, clusters: Mapping[str, tuple[Period, ...]]
) -> tuple[Ruling, Period | None]:
    """R34: one of the clusters; the pool is the one whose period holds the first day. None configured: a person."""
    if named is None:
        return Ruling(Effect.INCOMPLETE, "R34", Reason.CLUSTER_NOT_SAID, field="details.cluster"), None
    if named not in clusters:
        return Ruling(Effect.INCOMPLETE, "R34", Reason.NOT_A_CLUSTER, field="details.cluster"), None
    period = next((each for each in clusters[named] if each.starts_on <= start_date <= each.ends_on), None)
    if period is not None:
        return Ruling(Effect.SHOWN, "R34", Reason.PLACE_FROM_POOL, "international-office"), period
    return (
        Ruling(
            Effect.DEMANDED, "R34", Reason.NO_SLOTS_CONFIGURED, "international-office",
            StepKind.INTERNATIONAL_OFFICE_CONTACTED,
        ),
        None,
    )  # fmt: skip


def allocation(pool: SlotPool, slots: int, person_id: str) -> Allocation:
    """R34: a place while there is one and nobody waits, else the end of the list; one place for each student."""
    if any(each.person_id == person_id for each in (*pool.allocated, *pool.waiting)):
        return Allocation(Reason.ALREADY_IN_POOL)
    if len(pool.allocated) < slots and not pool.waiting:
        return Allocation(Reason.ALLOCATED)
    if len(pool.waiting) < MAX_WAITING:
        return Allocation(Reason.WAITLISTED, len(pool.waiting) + 1)
    return Allocation(Reason.LIST_IS_FULL)


def promotion(pool: SlotPool, slots: int) -> Promotion:
    """R34: a free place goes to the first in line. Fewer slots than before take nobody's place away."""
    if pool.waiting and len(pool.allocated) < slots:
        return Promotion(Reason.PROMOTED, pool.waiting[0])
    return Promotion(Reason.NOBODY_TO_PROMOTE)
