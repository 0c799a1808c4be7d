"""R34: the few slots of a regular rotation. Source: Leiden University, "Internships, ...", tab LUMC, "a few slots"."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.approval.model import PoolEntry, SlotPool
from services.approval.rules.ruling import Effect, Ruling
from shared.events import StepKind

#: Nobody further down the waiting list would ever get a slot.
MAX_WAITING = 500


class Reason(StrEnum):
    """What becomes of a request for a slot."""

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
    """A pool of the catalogue, with its first and its last day (Europe/Amsterdam, both included)."""

    pool_id: str
    starts_on: date
    ends_on: date


@dataclass(frozen=True, slots=True)
class Allocation:
    """Decision on one request. `position`: on the waiting list, from 1, if it waits."""

    reason: Reason
    position: int | None = None

    @property
    def is_taken(self) -> bool:
        """Whether it has a slot or waits for one."""
        return self.reason in (Reason.ALLOCATED, Reason.WAITLISTED)


@dataclass(frozen=True, slots=True)
class Promotion:
    """Decision on a free slot: the entry that gets it."""

    reason: Reason
    entry: PoolEntry | None = None


def cluster(
    named: str | None, start_date: date, clusters: Mapping[str, tuple[Period, ...]]
) -> tuple[Ruling, Period | None]:
    """R34: the cluster, and its pool, whose period contains the first day. Without a pool the office decides."""
    if named is None or named not in clusters:
        reason = Reason.CLUSTER_NOT_SAID if named is None else Reason.NOT_A_CLUSTER
        return Ruling(Effect.INCOMPLETE, "R34", reason, field="details.cluster", choices=tuple(clusters)), None
    period = next((period for period in clusters[named] if period.starts_on <= start_date <= period.ends_on), None)
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
    """R34: a slot if one is free and nobody waits, else the end of the waiting list. One entry for each student."""
    if any(entry.person_id == person_id for entry in (*pool.allocated, *pool.waiting)):
        return Allocation(Reason.ALREADY_IN_POOL)
    if len(pool.allocated) < slots and not pool.waiting:
        return Allocation(Reason.ALLOCATED)
    if len(pool.waiting) < MAX_WAITING:
        return Allocation(Reason.WAITLISTED, len(pool.waiting) + 1)
    return Allocation(Reason.LIST_IS_FULL)


def promotion(pool: SlotPool, slots: int) -> Promotion:
    """R34: a free slot goes to the first on the waiting list. If the slots become fewer, nobody loses theirs."""
    if pool.waiting and len(pool.allocated) < slots:
        return Promotion(Reason.PROMOTED, pool.waiting[0])
    return Promotion(Reason.NOBODY_TO_PROMOTE)
