"""Holds: the list of open ones, and a person's decision to release or reject one, whole or for some countries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.safety.commands.country import Decide, decide_country_in
from services.safety.commands.deps import DecisionDeps
from services.safety.model import CountryState, Hold
from services.safety.rules import release
from services.safety.rules.release import HoldDecision, decide_hold, decision_outcome, hold_of_pending
from services.safety.store.advice import FirstApproval, Store
from shared.command import Command
from shared.events import AreaChange, Part
from shared.mongo.client import Session
from shared.web.idempotency import Answer, run_once
from shared.web.problem import FieldError, Problem, invalid, not_found

Decision = Literal["release", "reject"]
#: `reason` of an improvement that waits for its second reading. It is listed with the holds: a person may decide first.
UNCONFIRMED = "fall_unconfirmed"
#: Ids of such holds begin so; they are derived, not stored.
_UNCONFIRMED_PREFIX = "fall-"


class HeldCountry(Part):
    """One country of a hold, and its changes: to come, or done already where the worse level counts."""

    country: str
    changes: tuple[AreaChange, ...]
    source_version: str
    url: str


class OpenHold(Part):
    """One question to a person. At `releasesAt` it is released without a decision; null: it waits for a person."""

    hold_id: str
    reason: str
    source: str
    held_at: datetime
    releases_at: datetime | None
    countries: tuple[HeldCountry, ...]
    first_word: FirstApproval | None = None


@dataclass(frozen=True, slots=True)
class RequestedDecision:
    """A decision as a safety officer sends it. `countries` empty: all countries of the hold."""

    hold_id: str
    decision: Decision
    reason: str
    countries: tuple[str, ...]


async def open_holds(store: Store) -> list[OpenHold]:
    """Every open hold, newest first."""
    held_by_id: dict[str, list[tuple[CountryState, Hold]]] = {}
    for state in (await store.open_countries()).values():
        for hold in state.holds:
            held_by_id.setdefault(hold.hold_id, []).append((state, hold))
    listed = [
        _open_hold(held, held[0][1].reason.value, await store.first_approval(hold_id))
        for hold_id, held in held_by_id.items()
    ]
    for country, pending in (await store.pending_improvements()).items():
        pending_state = (await store.countries.load(country)).state
        pending_hold = hold_of_pending(pending_state, pending) if pending_state is not None else None
        if pending_state is not None and pending_hold is not None:
            listed.append(_open_hold([(pending_state, pending_hold)], UNCONFIRMED, None))
    return sorted(listed, key=lambda hold: (hold.held_at, hold.hold_id), reverse=True)


async def decide(deps: DecisionDeps, command: Command[str], request: RequestedDecision) -> Answer:
    """Decide about a hold, in one transaction for all its countries. `command.caller` is the officer. Raises Problem.

    Where two persons must agree, the first approval is stored and answered with 202; the second carries it out.
    """

    async def work(session: Session) -> Answer:
        held = await _held_countries(deps.store, request.hold_id, session)
        if not held:
            raise not_found()
        first = await deps.store.first_approval(request.hold_id, session)
        decision = HoldDecision(request.decision == "release", decided_by=command.caller, reason=request.reason)
        countries = _chosen_countries(request, held, first if decision.accepted else None)
        is_unconfirmed = request.hold_id.startswith(_UNCONFIRMED_PREFIX)
        reason = None if is_unconfirmed else next(iter(held.values()))[1].reason
        match decision_outcome(reason, decision, first.by if first else None, two_persons=deps.two_persons):
            case release.Reason.NEEDS_A_SECOND_PERSON:
                approval = FirstApproval(
                    hold_id=request.hold_id, by=command.caller, reason=request.reason, countries=countries,
                    at=command.now,
                )  # fmt: skip
                await deps.store.put_first_approval(approval, session)
                return Answer(202, _decided(request, "waits_for_second_person", countries, len(held)))
            case release.Reason.SAME_PERSON_TWICE:
                raise Problem(409, "A second person has to want it too.", rule="R12", reason="same_person_twice")
        if decision.accepted and first is not None:
            decision = HoldDecision(True, decided_by=first.by, reason=first.reason, second_person=command.caller)
        for country in countries:
            decide_country = _deciding(held[country][1], decision, command.now)
            await decide_country_in(deps.store, country, decide_country, command.cause, command.now, session)
            await deps.store.put_pending_improvement(country, None, session)
        await deps.store.delete_first_approval(request.hold_id, session)
        state = "released" if decision.accepted else "rejected"
        return Answer(201, _decided(request, state, countries, len(held) - len(countries)))

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


def _deciding(hold: Hold, decision: HoldDecision, now: datetime) -> Decide:
    return lambda state: decide_hold(state, hold, decision, now)


async def _held_countries(store: Store, hold_id: str, session: Session) -> dict[str, tuple[CountryState, Hold]]:
    """The countries for which the hold is open, each with its state and its part of the hold."""
    if hold_id.startswith(_UNCONFIRMED_PREFIX):
        country = hold_id.split("-")[1]
        state = (await store.countries.load(country, session)).state
        pending = await store.pending_improvement(country, session)
        pending_hold = hold_of_pending(state, pending) if state is not None and pending is not None else None
        if state is None or pending_hold is None or pending_hold.hold_id != hold_id:
            return {}
        return {country: (state, pending_hold)}
    held = {}
    for country, state in (await store.countries_of_hold(hold_id, session)).items():
        hold = state.hold(hold_id)
        if hold is not None:
            held[country] = (state, hold)
    return held


def _chosen_countries(
    request: RequestedDecision, held: Mapping[str, tuple[CountryState, Hold]], first: FirstApproval | None
) -> tuple[str, ...]:
    """The countries that the decision is about. A second person decides about those that the first one named."""
    unknown = sorted(set(request.countries) - set(held))
    if unknown:
        names = ", ".join(unknown[:10])
        raise invalid(FieldError("body.countries", f"not held here: {names}", f"hier niet vastgehouden: {names}"))
    if first is None:
        return tuple(sorted(set(request.countries) or set(held)))
    chosen = tuple(country for country in first.countries if country in held)
    if request.countries and tuple(sorted(set(request.countries))) != chosen:
        raise Problem(409, "The first person named other countries.", rule="R12", reason="other_countries")
    return chosen


def _open_hold(held: Sequence[tuple[CountryState, Hold]], reason: str, first: FirstApproval | None) -> OpenHold:
    hold = held[0][1]
    return OpenHold(
        hold_id=hold.hold_id,
        reason=reason,
        source=hold.source,
        held_at=min(country_hold.held_at for _, country_hold in held),
        releases_at=hold.releases_at,
        countries=tuple(
            HeldCountry(
                country=state.country,
                changes=country_hold.changes,
                source_version=country_hold.source_version,
                url=state.url,
            )
            for state, country_hold in sorted(held, key=lambda pair: pair[0].country)
        ),
        first_word=first,
    )


def _decided(request: RequestedDecision, state: str, countries: tuple[str, ...], left: int) -> dict[str, object]:
    return {"holdId": request.hold_id, "state": state, "countries": list(countries), "left": left}
