"""Erasing a person (DESIGN §7): asked by one officer, confirmed by another, or by itself after a configured time.

The fact comes first; then the key is destroyed and whatever else is kept goes. What a crash leaves is finished later.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from services.registration.decision_events import ended
from services.registration.model import Status
from services.registration.rules.erasure import Erasure, Reason, erasure, retention
from services.registration.store.persons import PersonsStore
from services.registration.store.store import Store
from shared.clock import amsterdam_date
from shared.envelope import Cause, Draft
from shared.events import PersonErased, RegistrationCancelled
from shared.ids import derived_id, new_id
from shared.mongo.client import Database, Document, DuplicateKeyError, Mongo, Session
from shared.observability.logs import get_logger
from shared.privacy.keyring import Keyring
from shared.testing.failpoints import failpoint
from shared.web.concurrency import etag, must_match
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import Problem, not_found

RETENTION = "retention"
ERASURE = "erasure"
#: Persons of one pass of the retention; the next takes the next.
MOST_AT_ONCE = 200

#: forget(personId, ids of the person's registrations): delete what is kept of a person elsewhere; again is harmless.
Forget = Callable[[str, Sequence[str]], Awaitable[None]]

log = get_logger()


class Ground(StrEnum):
    """On what ground of AVG article 17 somebody asks for it."""

    REQUEST = "request"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    NO_LONGER_NEEDED = "no_longer_needed"
    UNLAWFUL = "unlawful"


@dataclass(frozen=True, slots=True)
class ErasureDeps:
    """Where an erasure finds what there is, and whom it tells."""

    mongo: Mongo
    database: Database
    store: Store
    persons: PersonsStore
    keyring: Keyring
    forgets: tuple[Forget, ...] = ()


@dataclass(frozen=True, slots=True)
class RetentionCandidate:
    """A person whose time is over, and whether the data may go."""

    person_id: str
    last_day: date
    decision: Erasure


async def erase(
    deps: ErasureDeps,
    person_id: str,
    ground: Ground,
    by: str,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """The first officer asks, a second one confirms it as they saw it. Raises Problem; 409 while it may not be."""
    known = await deps.persons.erasure(person_id)
    if known is None and not await deps.keyring.knows(person_id):
        raise not_found()
    if by == person_id:
        raise Problem(403, "Nobody erases themselves: ask a colleague.", reason="own_data")

    async def work(session: Session) -> Answer:
        standing = await deps.persons.erasure(person_id, session)
        must_match(seen, version(standing))
        if standing is not None and standing["state"] != "requested":
            return _answer(person_id, "erased")
        await _must_be_erasable(deps, person_id, now, session)
        if standing is None:
            request = {"state": "requested", "reason": ground.value, "requestedBy": by, "requestedAt": now}
            await deps.persons.erasures.insert_one({"_id": person_id, **request}, session=session)
            return _answer(person_id, "requested")
        if standing["requestedBy"] == by:
            return _answer(person_id, "requested")
        fact = PersonErased(
            person_id=person_id,
            requested_by=standing["requestedBy"],
            confirmed_by=by,
            reason=standing["reason"],
        )
        await _record(deps, fact, cause, now, session)
        return _answer(person_id, "erased")

    # Before the registrations are looked at, as `commands.submit` looks for this after its commit.
    note = new_id()
    await deps.persons.mark_being_erased(person_id, note, now)
    await failpoint("leaving_noted")
    state = ""
    try:
        try:
            answer = await run_once(deps.mongo, deps.database, once, work)
        except DuplicateKeyError:  # two officers asked at the same moment: now there is a first one
            answer = await run_once(deps.mongo, deps.database, once, work)
        state = answer.body["state"]
    finally:
        if state != "erased":
            await deps.persons.unmark_being_erased(person_id, note)
    if answer.body["state"] == "erased":
        await failpoint("erasure_recorded")
        await finish(deps, person_id, now)
    return answer


async def finish(deps: ErasureDeps, person_id: str, now: datetime) -> None:
    """Destroy the key and delete what is kept; done again, it changes nothing."""
    await _cancel_what_came_late(deps, person_id, now)
    registrations = await deps.persons.registrations_of(person_id)
    await deps.keyring.erase(person_id)
    for forget in deps.forgets:
        await forget(person_id, [each.registration_id for each in registrations])
    await deps.persons.forget(person_id)
    await deps.persons.erasures.update_one(
        {"_id": person_id, "state": "erasing"}, {"$set": {"state": "erased", "erasedAt": now}}
    )
    log.info("person_erased", person_id=person_id)


async def finish_all(deps: ErasureDeps, now: datetime) -> None:
    """What a crash has left between the fact and the deed."""
    async for each in deps.persons.erasures.find({"state": "erasing"}, {"_id": 1}):
        await finish(deps, str(each["_id"]), now)
    async for person_id in deps.persons.persons_being_erased():
        standing = await deps.persons.erasure(person_id)
        if standing is not None and standing["state"] == "erased":
            await _cancel_what_came_late(deps, person_id, now)


async def _cancel_what_came_late(deps: ErasureDeps, person_id: str, now: datetime) -> None:
    """A registration that was committed beside the erasure: its student was told that it may not count."""
    cause = Cause(new_id(), ERASURE)
    for each in await deps.persons.registrations_of(person_id):
        if each.status is Status.CANCELLED or each.has_returned:
            continue

        async def work(session: Session, registration_id: str = each.registration_id) -> None:
            loaded = await deps.store.registrations.load(registration_id, session)
            if loaded.state is None or loaded.state.status is Status.CANCELLED:
                return
            fact = RegistrationCancelled(registration_id=registration_id, person_id=person_id, cancelled_by=ERASURE)
            drafts = [Draft(fact, new_id()), *ended(loaded.state)]
            await deps.store.record(loaded, drafts, cause=cause, now=now, session=session)

        await deps.mongo.transaction(work)
        log.warning("registration_beside_an_erasure_cancelled", registration_id=each.registration_id)


async def retention_candidates(deps: ErasureDeps, kept: timedelta, today: date) -> AsyncIterator[RetentionCandidate]:
    """The preview: everybody whose last journey is over for so long, the longest first, and why somebody stays."""
    async for person_id, last_day in deps.persons.last_days(today - kept):
        registrations = await deps.persons.registrations_of(person_id)
        decision = retention(registrations, await deps.persons.open_alerts(person_id), today, kept)
        yield RetentionCandidate(person_id, last_day, decision)


async def erase_after_retention(deps: ErasureDeps, kept: timedelta, *, now: datetime) -> int:
    """Erase those whose time is over; returns how many. What may not go yet stays in the preview with its reason."""
    today, erased = amsterdam_date(now), 0
    async for due in retention_candidates(deps, kept, today):
        if not due.decision.permits:
            continue

        async def work(session: Session, person_id: str = due.person_id) -> bool:
            registrations = await deps.persons.registrations_of(person_id, session)
            alerts = await deps.persons.open_alerts(person_id, session)
            if not retention(registrations, alerts, today, kept).permits:
                return False
            fact = PersonErased(person_id=person_id, requested_by=RETENTION, confirmed_by=None, reason=RETENTION)
            await _record(deps, fact, Cause(new_id(), RETENTION), now, session)
            return True

        note = new_id()
        await deps.persons.mark_being_erased(due.person_id, note, now)
        if await deps.mongo.transaction(work):
            await finish(deps, due.person_id, now)
            erased += 1
        else:
            await deps.persons.unmark_being_erased(due.person_id, note)
        if erased >= MOST_AT_ONCE:
            break
    return erased


def version(standing: Document | None) -> int:
    """How far an erasure has come, for ETags: 0 nobody asked, 1 asked, 2 decided."""
    if standing is None:
        return 0
    return 1 if standing["state"] == "requested" else 2


def shown(document: Document) -> dict[str, object]:
    """An erasure as officers see it: ids and codes."""
    names = ("state", "reason", "requestedBy", "requestedAt", "confirmedBy", "erasedAt")
    return {"personId": document["_id"], **{name: document.get(name) for name in names}}


async def _must_be_erasable(deps: ErasureDeps, person_id: str, now: datetime, session: Session) -> None:
    registrations = await deps.persons.registrations_of(person_id, session)
    alerts = await deps.persons.open_alerts(person_id, session)
    decision = erasure(registrations, alerts, amsterdam_date(now))
    if not decision.permits:
        raise Problem(409, _WHY[decision.reason], reason=decision.reason.value)


async def _record(deps: ErasureDeps, fact: PersonErased, cause: Cause, now: datetime, session: Session) -> None:
    """One fact for each person, whoever comes first."""
    drafts = [Draft(fact, derived_id("person-erased", fact.person_id))]
    await deps.store.outbox.append(drafts, expected=0, cause=cause, now=now, session=session)
    state = {
        "state": "erasing",
        "reason": fact.reason,
        "requestedBy": fact.requested_by,
        "confirmedBy": fact.confirmed_by,
        "recordedAt": now,
    }
    await deps.persons.erasures.update_one({"_id": fact.person_id}, {"$set": state}, upsert=True, session=session)


def _answer(person_id: str, state: str) -> Answer:
    return Answer(200, {"personId": person_id, "state": state}, {"ETag": etag(version({"state": state}))})


_WHY = {
    Reason.ABROAD: "This person is abroad: who may have to be found is not forgotten.",
    Reason.OVERDUE: "No return is recorded of a journey that is over: record it first.",
    Reason.JOURNEY_AHEAD: "This person is going to travel: have the registration cancelled first.",
    Reason.OPEN_ALERT: "This person is in an open alert: close it first.",
}
