"""Erases a person: one officer requests it, a second one confirms it (docs/architecture.md, Privacy).

The event `PersonErased` is stored first; then the key is destroyed and what else is stored is deleted. If the process
dies in between, `finish_open_erasures` does the rest. `retention.py` erases by itself after a configured time.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial

from services.registration.decision_events import close_all_tasks
from services.registration.model import Status
from services.registration.rules.erasure import Reason, erasure
from services.registration.store.persons import PersonsStore
from services.registration.store.registrations import Store
from shared.clock import amsterdam_date
from shared.command import Command
from shared.envelope import Cause, Draft
from shared.events import PersonErased, RegistrationCancelled
from shared.ids import derived_id, new_id
from shared.mongo.client import Database, Document, DuplicateKeyError, Mongo, Session
from shared.mongo.retry import retry
from shared.observability.logs import get_logger
from shared.privacy.keyring import Keyring
from shared.set_aside import SetAside
from shared.testing.failpoints import failpoint
from shared.web.concurrency import etag, must_match
from shared.web.idempotency import Answer, run_once
from shared.web.identity import Identity
from shared.web.problem import Problem, not_found

#: Who cancels a registration that was committed beside an erasure.
ERASURE = "erasure"

#: delete(personId, ids of the person's registrations): deletes a person's data elsewhere, e.g. files. Idempotent.
DeleteElsewhere = Callable[[str, Sequence[str]], Awaitable[None]]

log = get_logger()


class Ground(StrEnum):
    """The ground of AVG article 17 on which an erasure is requested."""

    REQUEST = "request"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    NO_LONGER_NEEDED = "no_longer_needed"
    UNLAWFUL = "unlawful"


@dataclass(frozen=True, slots=True)
class ErasureDeps:
    """What an erasure works with, and what else has to be deleted of a person."""

    mongo: Mongo
    database: Database
    store: Store
    persons: PersonsStore
    keyring: Keyring
    delete_elsewhere: tuple[DeleteElsewhere, ...] = ()
    set_aside: SetAside = field(default_factory=SetAside)


async def erase(deps: ErasureDeps, person_id: str, ground: Ground, command: Command[Identity]) -> Answer:
    """The first officer requests, a second one confirms. Raises Problem; 409 while it is not permitted."""
    officer_id, now = command.caller.person_id, command.now
    if await deps.persons.erasure(person_id) is None and not await deps.keyring.knows(person_id):
        raise not_found()
    if officer_id == person_id:
        raise Problem(403, "Nobody erases themselves: ask a colleague.", reason="own_data")

    async def work(session: Session) -> Answer:
        standing = await deps.persons.erasure(person_id, session)
        must_match(command.expected_version, version(standing))
        if standing is not None and standing["state"] != "requested":
            return _answer(person_id, "erased")
        await _check_erasable(deps, person_id, now, session)
        if standing is None:
            request = {"state": "requested", "reason": ground.value, "requestedBy": officer_id, "requestedAt": now}
            await deps.persons.erasures.insert_one({"_id": person_id, **request}, session=session)
            return _answer(person_id, "requested")
        if standing["requestedBy"] == officer_id:
            return _answer(person_id, "requested")
        event = PersonErased(
            person_id=person_id,
            requested_by=standing["requestedBy"],
            confirmed_by=officer_id,
            reason=standing["reason"],
        )
        await record_erasure(deps, event, command.cause, now, session)
        return _answer(person_id, "erased")

    # Marked before the registrations are read; a submission looks for the mark after its commit. So one of the two
    # sees the other (`after_commit.check_not_being_erased`).
    mark_id = new_id()
    await deps.persons.mark_being_erased(person_id, mark_id, now)
    await failpoint("erasure_marked")
    try:
        # Two officers may request it at the same moment: the second attempt finds the first request stored.
        answer = await retry(
            lambda: run_once(deps.mongo, deps.database, command.idempotency, work),
            what=f"erasure of person {person_id}",
            retry_on=(DuplicateKeyError,),
        )
    except Problem:
        await deps.persons.unmark_being_erased(person_id, mark_id)
        raise
    # After any other error the event may be stored: the mark stays until it expires.
    if answer.body["state"] == "erased":
        await failpoint("erasure_recorded")
        await finish_erasure(deps, person_id, now)
    else:
        await deps.persons.unmark_being_erased(person_id, mark_id)
    return answer


async def record_erasure(deps: ErasureDeps, event: PersonErased, cause: Cause, now: datetime, session: Session) -> None:
    """Store the event, and the erasure's state. The event's id is derived: there is one for each person."""
    drafts = [Draft(event, derived_id("person-erased", event.person_id))]
    await deps.store.outbox.append(drafts, expected=0, cause=cause, now=now, session=session)
    state = {
        "state": "erasing",
        "reason": event.reason,
        "requestedBy": event.requested_by,
        "confirmedBy": event.confirmed_by,
        "recordedAt": now,
    }
    await deps.persons.erasures.update_one({"_id": event.person_id}, {"$set": state}, upsert=True, session=session)


async def finish_erasure(deps: ErasureDeps, person_id: str, now: datetime) -> None:
    """Destroy the person's key and delete what else is stored. Idempotent."""
    await _cancel_late_registrations(deps, person_id, now)
    await deps.keyring.erase(person_id)
    await _delete_elsewhere(deps, person_id)
    await deps.persons.delete_alerts_of(person_id)
    await deps.persons.erasures.update_one(
        {"_id": person_id, "state": "erasing"}, {"$set": {"state": "erased", "erasedAt": now}}
    )
    log.info("person_erased", person_id=person_id)


async def _delete_elsewhere(deps: ErasureDeps, person_id: str) -> None:
    registrations = await deps.persons.registrations_of(person_id)
    for delete in deps.delete_elsewhere:
        await delete(person_id, [registration.registration_id for registration in registrations])


async def finish_open_erasures(deps: ErasureDeps, now: datetime) -> None:
    """Finish what a crash left between the event and the deletion; and cancel registrations that came late."""
    async for open_erasure in deps.persons.erasures.find({"state": "erasing"}, {"_id": 1}):
        person_id = str(open_erasure["_id"])
        await deps.set_aside.attempt("erasure", person_id, partial(finish_erasure, deps, person_id, now))

    async def clean(person_id: str) -> None:
        standing = await deps.persons.erasure(person_id)
        if standing is not None and standing["state"] == "erased":
            await _cancel_late_registrations(deps, person_id, now)
            await _delete_elsewhere(deps, person_id)

    async for person_id in deps.persons.marked_persons():
        await deps.set_aside.attempt("erased person", person_id, partial(clean, person_id))


async def _cancel_late_registrations(deps: ErasureDeps, person_id: str, now: datetime) -> None:
    """Cancel registrations that were committed beside the erasure; their students got the answer `being_erased`."""
    cause = Cause(new_id(), ERASURE)
    for registration in await deps.persons.registrations_of(person_id):
        if registration.status is Status.CANCELLED or registration.has_returned:
            continue

        async def work(session: Session, registration_id: str = registration.registration_id) -> None:
            loaded = await deps.store.registrations.load(registration_id, session)
            if loaded.state is None or loaded.state.status is Status.CANCELLED:
                return
            event = RegistrationCancelled(registration_id=registration_id, person_id=person_id, cancelled_by=ERASURE)
            drafts = [Draft(event, new_id()), *close_all_tasks(loaded.state)]
            await deps.store.record(loaded, drafts, cause=cause, now=now, session=session)

        await deps.mongo.transaction(work)
        log.warning("registration_beside_an_erasure_cancelled", registration_id=registration.registration_id)


def version(standing: Document | None) -> int:
    """The version for ETags: 0 not requested, 1 requested, 2 erased or being erased."""
    if standing is None:
        return 0
    return 1 if standing["state"] == "requested" else 2


def erasure_entry(document: Document) -> dict[str, object]:
    """An erasure as officers see it: ids and codes."""
    names = ("state", "reason", "requestedBy", "requestedAt", "confirmedBy", "erasedAt")
    return {"personId": document["_id"], **{name: document.get(name) for name in names}}


async def _check_erasable(deps: ErasureDeps, person_id: str, now: datetime, session: Session) -> None:
    registrations = await deps.persons.registrations_of(person_id, session)
    open_alerts = await deps.persons.open_alerts(person_id, session)
    decision = erasure(registrations, open_alerts, amsterdam_date(now))
    if not decision.permits:
        raise Problem(409, _REASON_TEXTS[decision.reason], reason=decision.reason.value)


def _answer(person_id: str, state: str) -> Answer:
    return Answer(200, {"personId": person_id, "state": state}, {"ETag": etag(version({"state": state}))})


_REASON_TEXTS = {
    Reason.ABROAD: "This person is abroad and may have to be found: erase them after their return.",
    Reason.OVERDUE: "A journey of this person is over and no return is recorded: record the return first.",
    Reason.JOURNEY_AHEAD: "This person is going to travel: have the registration cancelled first.",
    Reason.OPEN_ALERT: "This person is in an open alert: close the alert first.",
}
