"""R17: what the university decides beside the ministry: set an override, end one, look at those that are open."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from services.safety.commands.readings import written_in
from services.safety.model import CountryState, Override
from services.safety.rules.override import Permission, Reason, permission
from services.safety.rules.release import after, effect
from services.safety.store.advice import Store
from shared.clock import amsterdam_date
from shared.envelope import Cause
from shared.events import Event, Level, OverrideEnded, OverrideSet, Part
from shared.ids import new_id
from shared.mongo.client import Database, Mongo, Session
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import Problem, not_found

Effect = Literal["stricter", "looser"]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where overrides are written."""

    mongo: Mongo
    database: Database
    store: Store


@dataclass(frozen=True, slots=True)
class Asked:
    """An override as a safety officer asks for it; `loosens` None: as its level stands to what counts there."""

    country: str
    area: str
    level: Level
    loosens: bool | None
    valid_from: date
    valid_until: date | None
    document: str
    reason: str


class OpenOverride(Part):
    """One override that counts now or will. `effect` looser lowers, and never red."""

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


async def open_overrides(store: Store, now: datetime) -> list[OpenOverride]:
    """Every override that has not ended, the newest first."""
    found = [
        shown(state, override, now) for state in (await store.open_countries()).values() for override in state.overrides
    ]
    return sorted(found, key=lambda each: (each.set_at, each.override_id), reverse=True)


def shown(state: CountryState, override: Override, now: datetime) -> OpenOverride:
    """An override as it is shown."""
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
    )


async def set_override(
    desk: Desk, person_id: str, asked: Asked, once: IdempotentRequest | None, *, cause: Cause, now: datetime
) -> Answer:
    """A safety officer overrides the ministry; it counts in the same moment when it begins today. Raises Problem."""
    override_id = new_id()

    def decide(state: CountryState) -> tuple[Event, ...]:
        given = permission(
            state, asked.area, asked.level, asked.valid_until, loosens=asked.loosens, today=amsterdam_date(now)
        )
        if not given.is_given:
            raise _blocked(given)
        event = OverrideSet(
            country=asked.country,
            override_id=override_id,
            area=asked.area,
            level=asked.level,
            valid_from=asked.valid_from,
            valid_until=asked.valid_until,
            decided_by=person_id,
            document=asked.document,
            reason=asked.reason,
            loosens=given.loosens,
        )
        return (event, *effect(after(state, (event,), now), now))

    async def work(session: Session) -> Answer:
        if not await written_in(desk.store, asked.country, decide, cause, now, session):
            raise not_found()
        return await _answer(desk.store, asked.country, override_id, now, session)

    return await run_once(desk.mongo, desk.database, once, work)


async def end_override(
    desk: Desk,
    person_id: str,
    override_id: str,
    reason: str,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """A safety officer ends an override before its time; the ministry's level counts again at once."""

    async def work(session: Session) -> Answer:
        country = await desk.store.country_of_override(override_id, session)
        if country is None:
            raise not_found()

        def decide(state: CountryState) -> tuple[Event, ...]:
            event = OverrideEnded(country=country, override_id=override_id, ended_by=person_id, reason=reason)
            return (event, *effect(after(state, (event,), now), now))

        await written_in(desk.store, country, decide, cause, now, session)
        return Answer(201, {"overrideId": override_id, "country": country, "state": "ended"})

    return await run_once(desk.mongo, desk.database, once, work)


async def _answer(store: Store, country: str, override_id: str, now: datetime, session: Session) -> Answer:
    state = (await store.countries.load(country, session)).state
    assert state is not None
    override = next(each for each in state.overrides if each.override_id == override_id)
    return Answer(201, shown(state, override, now).model_dump(mode="json", by_alias=True))


_WORDS = {
    Reason.RED_IS_NEVER_LOOSENED: "Red is never loosened for students.",
    Reason.UNKNOWN_IS_NEVER_LOOSENED: "What is unknown is not safe: only orange or red says more than that.",
    Reason.IS_OVER: "Its last day is over.",
    Reason.TOO_MANY: "There are too many overrides for this country: end some first.",
}


def _blocked(given: Permission) -> Problem:
    return Problem(409, _WORDS[given.reason], type_="blocked-by-rule", rule="R17", reason=given.reason.value)
