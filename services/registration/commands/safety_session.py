"""R39: somebody records whether the student attended the health and safety session. It blocks nothing."""

from datetime import date, datetime

from services.registration.access import Permissions
from services.registration.commands.registrations import CommandDeps, load_supervised, shown, state_of
from services.registration.model import Status
from shared.envelope import Cause, draft
from shared.events import SafetySessionRecorded
from shared.mongo.client import Session
from shared.web.concurrency import must_match
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import Problem


async def record_session(
    deps: CommandDeps,
    permissions: Permissions,
    registration_id: str,
    attended: bool,
    on: date | None,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """On the version that was seen; who looks after the student may say it. Raises Problem; said again, no new fact."""

    async def work(session: Session) -> Answer:
        loaded = await load_supervised(deps, permissions, registration_id, session)
        must_match(seen, loaded.version)
        state = state_of(loaded)
        if state.status is Status.CANCELLED:
            raise Problem(409, "It was cancelled; hand in a new one.", reason="cancelled")
        if state.progress.session_attended is not attended:
            fact = SafetySessionRecorded(
                registration_id=registration_id,
                person_id=state.person_id,
                attended=attended,
                on=on,
                recorded_by=permissions.person_id,
            )
            loaded = await deps.store.record(loaded, [draft(fact)], cause=cause, now=now, session=session)
        return shown(deps, loaded, 200)

    return await run_once(deps.mongo, deps.database, once, work)
