"""R17: overrides, the university's own levels beside the ministry's: set one, end one, list the open ones."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from services.safety.commands.country import decide_country_in
from services.safety.commands.deps import DecisionDeps
from services.safety.model import CountryState, Override
from services.safety.rules.override import Permission, permission
from services.safety.rules.release import apply_overrides_of_today, state_after
from services.safety.store.advice import Store
from services.safety.texts import OVERRIDE_REFUSALS
from shared.clock import amsterdam_date
from shared.command import Command
from shared.events import Event, Level, OverrideEnded, OverrideSet, Part
from shared.ids import new_id
from shared.mongo.client import Session
from shared.web.idempotency import Answer, run_once
from shared.web.problem import Problem, not_found

Effect = Literal["stricter", "looser"]


@dataclass(frozen=True, slots=True)
class RequestedOverride:
    """An override as a safety officer asks for it. `loosens` None: if its level is better than the adopted one."""

    country: str
    area: str
    level: Level
    loosens: bool | None
    valid_from: date
    valid_until: date | None
    document: str
    reason: str
    order_to_leave: bool = False


class OpenOverride(Part):
    """One override that is valid now or later. Effect `looser` lowers the level, and never red."""

    override_id: str
    country: str
    area: str
    level: Level
    effect: Effect
    state: Literal["valid", "to_come"]
    valid_from: date
    valid_until: date | None
    decided_by: str
    document: str
    reason: str
    set_at: datetime
    order_to_leave: bool


async def open_overrides(store: Store, now: datetime) -> list[OpenOverride]:
    """Every override that has not ended, newest first."""
    overrides = [
        _open_override(state, override, now)
        for state in (await store.open_countries()).values()
        for override in state.overrides
    ]
    return sorted(overrides, key=lambda override: (override.set_at, override.override_id), reverse=True)


async def set_override(deps: DecisionDeps, command: Command[str], request: RequestedOverride) -> Answer:
    """Set an override; it counts at once if it begins today. `command.caller` is the officer. Raises Problem."""
    override_id, now = new_id(), command.now

    def decide(state: CountryState) -> tuple[Event, ...]:
        decision = permission(
            state, request.area, request.level, request.valid_until, loosens=request.loosens,
            order_to_leave=request.order_to_leave, today=amsterdam_date(now),
        )  # fmt: skip
        if not decision.is_given:
            raise _blocked(decision)
        event = OverrideSet(
            country=request.country,
            override_id=override_id,
            area=request.area,
            level=request.level,
            valid_from=request.valid_from,
            valid_until=request.valid_until,
            decided_by=command.caller,
            document=request.document,
            reason=request.reason,
            loosens=decision.loosens,
            order_to_leave=request.order_to_leave,
        )
        return (event, *apply_overrides_of_today(state_after(state, (event,), now), now))

    async def work(session: Session) -> Answer:
        if not await decide_country_in(deps.store, request.country, decide, command.cause, now, session):
            raise not_found()
        state = (await deps.store.countries.load(request.country, session)).state
        assert state is not None
        override = next(override for override in state.overrides if override.override_id == override_id)
        return Answer(201, _open_override(state, override, now).model_dump(mode="json", by_alias=True))

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


async def end_override(deps: DecisionDeps, command: Command[str], override_id: str, reason: str) -> Answer:
    """End an override before its last day; the ministry's level counts again at once. Raises Problem."""
    now = command.now

    async def work(session: Session) -> Answer:
        country = await deps.store.country_of_override(override_id, session)
        if country is None:
            raise not_found()

        def decide(state: CountryState) -> tuple[Event, ...]:
            event = OverrideEnded(country=country, override_id=override_id, ended_by=command.caller, reason=reason)
            return (event, *apply_overrides_of_today(state_after(state, (event,), now), now))

        await decide_country_in(deps.store, country, decide, command.cause, now, session)
        return Answer(201, {"overrideId": override_id, "country": country, "state": "ended"})

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


def _open_override(state: CountryState, override: Override, now: datetime) -> OpenOverride:
    return OpenOverride(
        override_id=override.override_id,
        country=state.country,
        area=override.area,
        level=override.level,
        effect="looser" if override.loosens else "stricter",
        state="valid" if override.valid_from <= amsterdam_date(now) else "to_come",
        valid_from=override.valid_from,
        valid_until=override.valid_until,
        decided_by=override.decided_by,
        document=override.document,
        reason=override.reason,
        set_at=override.set_at,
        order_to_leave=override.order_to_leave,
    )


def _blocked(decision: Permission) -> Problem:
    _, english = OVERRIDE_REFUSALS[decision.reason]
    return Problem(409, english, type_="blocked-by-rule", rule="R17", reason=decision.reason.value)
