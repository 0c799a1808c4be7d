"""Changes and cancels a registration; only the student can."""

from services.registration.access import Permissions
from services.registration.commands.after_commit import check_not_being_erased, evaluate_after_commit
from services.registration.commands.answers import registration_answer
from services.registration.commands.deps import CommandDeps
from services.registration.commands.form import RegistrationForm, check_form, event_fields
from services.registration.commands.loading import load_own, load_visible, state_of
from services.registration.commands.submit import check_may_join
from services.registration.decision_events import close_all_tasks
from shared.command import Command
from shared.envelope import Draft
from shared.events import RegistrationCancelled, RegistrationChanged
from shared.ids import new_id
from shared.mongo.client import Session
from shared.web.concurrency import must_match
from shared.web.idempotency import Answer, run_once
from shared.web.sealing import sealed


async def change(
    deps: CommandDeps, registration_id: str, form: RegistrationForm, command: Command[Permissions]
) -> Answer:
    """Replace the whole registration, on the version that the student saw; then evaluate it."""
    check_form(deps.catalogue, form, form.language, command.now)
    person_id = state_of(await load_visible(deps, command.caller, registration_id)).person_id
    event_id = new_id()
    contact = await sealed(deps.keyring, person_id, event_id, "/contact", form.contact)
    event = RegistrationChanged(**event_fields(deps.catalogue, form, registration_id, person_id, contact))

    async def work(session: Session) -> Answer:
        loaded = await load_own(deps, command.caller, registration_id, session)
        must_match(command.expected_version, loaded.version)
        if form.group_id is not None and form.group_id != state_of(loaded).group_id:
            await check_may_join(deps, form.group_id, command.caller.person_id, session)
        drafts = [Draft(event, event_id)]
        after = await deps.store.record(loaded, drafts, cause=command.cause, now=command.now, session=session)
        return registration_answer(deps.catalogue, after, 200)

    answer = await run_once(deps.mongo, deps.database, command.idempotency, work)
    await check_not_being_erased(deps, person_id)
    return await evaluate_after_commit(deps, answer, command)


async def cancel(deps: CommandDeps, registration_id: str, command: Command[Permissions]) -> Answer:
    """Cancel the registration and close its open tasks."""

    async def work(session: Session) -> Answer:
        loaded = await load_own(deps, command.caller, registration_id, session)
        must_match(command.expected_version, loaded.version)
        state = state_of(loaded)
        event = RegistrationCancelled(
            registration_id=registration_id, person_id=state.person_id, cancelled_by=command.caller.person_id
        )
        drafts = [Draft(event, new_id()), *close_all_tasks(state)]
        after = await deps.store.record(loaded, drafts, cause=command.cause, now=command.now, session=session)
        return registration_answer(deps.catalogue, after, 201)

    return await run_once(deps.mongo, deps.database, command.idempotency, work)
