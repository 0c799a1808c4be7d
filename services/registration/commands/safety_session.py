"""R39: records whether the student attended the health and safety session. It blocks nothing."""

from datetime import date

from services.registration.access import Permissions
from services.registration.commands.answers import registration_answer
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import check_not_cancelled, check_version, load_looked_after, state_of
from shared.command import Command
from shared.envelope import draft
from shared.events import SafetySessionRecorded
from shared.mongo.client import Session
from shared.web.idempotency import Answer, run_once


async def record_session(
    deps: CommandDeps, registration_id: str, attended: bool, on: date | None, command: Command[Permissions]
) -> Answer:
    """Record the attendance; the same again stores no new event. Raises Problem."""

    async def work(session: Session) -> Answer:
        loaded = await load_looked_after(deps, command.caller, registration_id, session)
        await check_version(deps, command, loaded)
        state = state_of(loaded)
        check_not_cancelled(state)
        if state.progress.session_attended is not attended:
            event = SafetySessionRecorded(
                registration_id=registration_id,
                person_id=state.person_id,
                attended=attended,
                on=on,
                recorded_by=command.caller.person_id,
            )
            loaded = await deps.store.record(
                loaded, [draft(event)], cause=command.cause, now=command.now, session=session
            )
        return registration_answer(deps.catalogue, loaded, 200)

    return await run_once(deps.mongo, deps.database, command.idempotency, work)
