"""What waits for a person, and what a person decides about it: released or rejected, whole or in part, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.safety.commands.readings import Decide, written_in
from services.safety.model import CountryState, Hold
from services.safety.rules import release
from services.safety.rules.release import HoldDecision, decided, standing, hold_of_pending
from services.safety.store.advice import FirstApproval, Store
from shared.envelope import Cause
from shared.events import AreaChange, Part
from shared.mongo.client import Database, Mongo, Session
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import FieldError, Problem, invalid, not_found

Decision = Literal["release", "reject"]
#: A fall that waits for its second reading is shown beside the holds; a person may decide it before.
WAITING = "fall_unconfirmed"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where decisions get their facts and leave their events. `two_persons` release a mass fall."""

    mongo: Mongo
    database: Database
    store: Store
    two_persons: bool


class HeldCountry(Part):
    """One country of a hold: what would change, or, where the worse counts already, what has."""

    country: str
    changes: tuple[AreaChange, ...]
    source_version: str
    url: str


class OpenHold(Part):
    """One question to a person. `releasesAt`: goes by itself then; null: waits for a person."""

    hold_id: str
    reason: str
    source: str
    held_at: datetime
    releases_at: datetime | None
    countries: tuple[HeldCountry, ...]
    first_word: FirstApproval | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person decides. `countries` empty: all of them."""

    hold_id: str
    decision: Decision
    reason: str
    countries: tuple[str, ...]


async def open_holds(store: Store) -> list[OpenHold]:
    """Everything that waits, the newest first."""
    found: dict[str, list[tuple[CountryState, Hold]]] = {}
    for state in (await store.open_countries()).values():
        for hold in state.holds:
            found.setdefault(hold.hold_id, []).append((state, hold))
    items = [_open_hold(held, held[0][1].reason.value, await store.first_word(hold_id)) for hold_id, held in found.items()]
    for country, fall in (await store.pending_improvements()).items():
        waiting_in = (await store.countries.load(country)).state
        waiting = hold_of_pending(waiting_in, fall) if waiting_in is not None else None
        if waiting_in is not None and waiting is not None:
            items.append(_open_hold([(waiting_in, waiting)], WAITING, None))
    return sorted(items, key=lambda item: (item.held_at, item.hold_id), reverse=True)


async def decide(
    desk: Desk, person_id: str, asked: Asked, once: IdempotentRequest | None, *, cause: Cause, now: datetime
) -> Answer:
    """A person decides about a hold: one transaction for all its countries. Raises Problem.

    Where two persons are asked, the first word is kept and answered with 202; the second makes it so.
    """

    async def work(session: Session) -> Answer:
        held = await _held(desk.store, asked.hold_id, session)
        if not held:
            raise not_found()
        first = await desk.store.first_word(asked.hold_id, session)
        words = HoldDecision(accepted=asked.decision == "release", by=person_id, reason=asked.reason)
        countries = _chosen(asked, held, first if words.accepted else None)
        reason = None if asked.hold_id.startswith("fall-") else next(iter(held.values()))[1].reason
        match standing(reason, words, first.by if first else None, two_persons=desk.two_persons):
            case release.Reason.NEEDS_A_SECOND_PERSON:
                word = FirstApproval(hold_id=asked.hold_id, by=person_id, reason=asked.reason, countries=countries, at=now)
                await desk.store.put_first_approval(word, session)
                return Answer(202, _body(asked, "waits_for_second_person", countries, len(held)))
            case release.Reason.SAME_PERSON_TWICE:
                raise Problem(409, "A second person has to want it too.", rule="R12", reason="same_person_twice")
        if words.accepted and first is not None:
            words = HoldDecision(accepted=True, by=first.by, reason=first.reason, second=person_id)
        for country in countries:
            await written_in(desk.store, country, _deciding(held[country][1], words, now), cause, now, session)
            await desk.store.put_pending_improvement(country, None, session)
        await desk.store.delete_first_approval(asked.hold_id, session)
        state = "released" if words.accepted else "rejected"
        return Answer(201, _body(asked, state, countries, len(held) - len(countries)))

    return await run_once(desk.mongo, desk.database, once, work)


def _deciding(hold: Hold, words: HoldDecision, now: datetime) -> Decide:
    return lambda state: decided(state, hold, words, now)


async def _held(store: Store, hold_id: str, session: Session) -> dict[str, tuple[CountryState, Hold]]:
    """The countries for which it is open."""
    if hold_id.startswith("fall-"):
        country = hold_id.split("-")[1]
        loaded, fall = await store.countries.load(country, session), await store.pending_improvement(country, session)
        waiting = hold_of_pending(loaded.state, fall) if loaded.state is not None and fall is not None else None
        if loaded.state is None or waiting is None or waiting.hold_id != hold_id:
            return {}
        return {country: (loaded.state, waiting)}
    found = {}
    for country, state in (await store.countries_of_hold(hold_id, session)).items():
        hold = state.hold(hold_id)
        if hold is not None:
            found[country] = (state, hold)
    return found


def _chosen(asked: Asked, held: Mapping[str, tuple[CountryState, Hold]], first: FirstApproval | None) -> tuple[str, ...]:
    """The countries that are meant, in their order; the second person means what the first did."""
    unknown = sorted(set(asked.countries) - set(held))
    if unknown:
        raise invalid(FieldError("body.countries", f"not held here: {', '.join(unknown[:10])}"))
    if first is None:
        return tuple(sorted(set(asked.countries) or set(held)))
    wanted = tuple(country for country in first.countries if country in held)
    if asked.countries and tuple(sorted(set(asked.countries))) != wanted:
        raise Problem(409, "The first person named other countries.", rule="R12", reason="other_countries")
    return wanted


def _open_hold(held: Sequence[tuple[CountryState, Hold]], reason: str, first: FirstApproval | None) -> OpenHold:
    hold = held[0][1]
    return OpenHold(
        hold_id=hold.hold_id,
        reason=reason,
        source=hold.source,
        held_at=min(each.held_at for _, each in held),
        releases_at=hold.releases_at,
        countries=tuple(
            HeldCountry(country=state.country, changes=each.changes, source_version=each.source_version, url=state.url)
            for state, each in sorted(held, key=lambda pair: pair[0].country)
        ),
        first_word=first,
    )


def _body(asked: Asked, state: str, countries: tuple[str, ...], left: int) -> dict[str, object]:
    return {"holdId": asked.hold_id, "state": state, "countries": list(countries), "left": left}
