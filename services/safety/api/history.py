"""History of a country's advice over HTTP: every event of its stream, newest first.

Every login reads which levels held when. Who decided, on which document and why is for those who read the overrides.
"""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path

from services.safety.api.decisions import DECISION_READERS
from services.safety.store.advice import Store
from shared.events import (
    AdviceHeld,
    AdviceReleased,
    AreaChange,
    Event,
    LevelChange,
    OverrideEnded,
    OverrideSet,
    Part,
    TravelAdviceChanged,
)
from shared.fields import CountryCode
from shared.web.identity import Caller
from shared.web.paging import Page, Paged
from shared.web.problem import not_found
from shared.web.routes import RouteClass, Routes


class Change(Part):
    """One event of a country: a new version of its advice, or a hold, a decision, an override; who and why.

    `adviceVersion` is null for an event that is no new version. `decidedBy`, `second`, `document` and the `reason` of
    a decision or an override are null for a caller who may not list the overrides.
    """

    kind: Literal["changed", "held", "released", "rejected", "override_set", "override_ended"]
    at: datetime
    advice_version: int | None = None
    baseline: bool = False
    effective: LevelChange | None = None
    ministry: LevelChange | None = None
    changes: tuple[dict[str, str | int | None], ...] = ()
    source: str | None = None
    source_version: str | None = None
    decided_by: str | None = None
    second: str | None = None
    hold_id: str | None = None
    override_id: str | None = None
    reason: str | None = None
    document: str | None = None
    order_to_leave: bool | None = None


def routes(store: Store) -> Routes:
    """The route of the history."""
    router = Routes(RouteClass.USER, tags=["travel advice"])

    @router.get("/v1/travel-advice/{country}/history", operation_id="listTravelAdviceHistory")
    async def list_history(caller: Caller, country: Annotated[CountryCode, Path()], paged: Paged) -> Page[Change]:
        """Every version, hold, decision and override of a country, newest first."""
        if (await store.countries.load(country)).state is None:
            raise not_found()
        envelopes = await store.stream(country, skip=paged.skip, limit=paged.fetch)
        changes = [_change(envelope.data, envelope.time) for envelope in envelopes]
        sees_officers = any(caller.has(role) for role in DECISION_READERS)
        return paged.page(changes if sees_officers else [_without_officers(change) for change in changes])

    return router


def _without_officers(change: Change) -> Change:
    """The change without the officers' ids and words. The reason of a hold stays: it is a code of the rules."""
    reason = change.reason if change.kind == "held" else None
    return change.model_copy(update={"decided_by": None, "second": None, "document": None, "reason": reason})


def _change(event: Event, at: datetime) -> Change:
    match event:
        case TravelAdviceChanged():
            return Change(
                kind="changed",
                at=at,
                advice_version=event.advice_version,
                baseline=event.baseline,
                effective=event.effective,
                ministry=event.ministry,
                changes=_areas(event.changes),
                source=event.source,
                source_version=event.source_version,
                decided_by=event.decided_by,
                hold_id=event.hold_id,
                override_id=event.override_id,
            )
        case AdviceHeld():
            return Change(
                kind="held", at=at, changes=_areas(event.changes), source=event.source,
                source_version=event.source_version, hold_id=event.hold_id, reason=event.reason.value,
            )  # fmt: skip
        case AdviceReleased():
            return Change(
                kind="released" if event.accepted else "rejected", at=at, decided_by=event.decided_by,
                second=event.second, hold_id=event.hold_id, reason=event.reason,
            )  # fmt: skip
        case OverrideSet():
            return Change(
                kind="override_set", at=at, changes=({"area": event.area, "before": None, "after": event.level},),
                decided_by=event.decided_by, override_id=event.override_id, reason=event.reason,
                document=event.document, order_to_leave=event.order_to_leave,
            )  # fmt: skip
        case _:
            assert isinstance(event, OverrideEnded)
            return Change(
                kind="override_ended", at=at, decided_by=event.ended_by, override_id=event.override_id,
                reason=event.reason,
            )  # fmt: skip


def _areas(changes: tuple[AreaChange, ...]) -> tuple[dict[str, str | int | None], ...]:
    return tuple({"area": change.area, "before": change.before, "after": change.after} for change in changes)
