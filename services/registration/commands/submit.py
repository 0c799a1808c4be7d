"""Submits a registration: six steps, from a student's form to a decision that is known to rest on current advice.

The API calls it for a student who registers or joins a group trip. A 2xx means that the registration and its
decision are stored. If the process dies after the commit, the sweep does the last step (`evaluation.sweep`).
Why a registration is evaluated more than once: docs/architecture.md, When a registration is evaluated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from services.registration.access import Permissions
from services.registration.commands.after_commit import check_not_being_erased, evaluate_after_commit
from services.registration.commands.answers import registration_answer
from services.registration.commands.deps import CommandDeps
from services.registration.commands.form import (
    RegistrationForm,
    acknowledged_pages,
    check_registration,
    event_fields,
    with_login_facts,
)
from services.registration.commands.overlaps import check_overlaps
from services.registration.decision_events import decision_events
from services.registration.decision_inputs import inputs_unchanged, load_inputs
from services.registration.evolve import evolve
from services.registration.itinerary_places import seal_places
from services.registration.model import Registration
from services.registration.read_models import DecisionInputs
from services.registration.rules.evaluation import evaluation
from services.registration.search_terms import student_terms
from shared.command import Command
from shared.envelope import Draft
from shared.errors import TransientError
from shared.events import RegistrationSubmitted
from shared.ids import new_id
from shared.mongo.client import DuplicateKeyError, PyMongoError, Session
from shared.mongo.group_commit import insert_all
from shared.mongo.retry import retry
from shared.testing.failpoints import failpoint
from shared.transient import reason_of
from shared.web.idempotency import Answer, insert_once, is_repeat, run_once
from shared.web.problem import FieldError, Problem, invalid
from shared.web.sealing import sealed


@dataclass(frozen=True, slots=True)
class Submission:
    """A registration that is not stored yet: its first event, and the state after it.

    `registrations`: how many the student had when overlaps were checked; None when they were not.
    """

    submitted: Draft
    state: Registration
    registrations: int | None = None


#: More submissions of one student at the same moment than this are refused with 503.
ATTEMPTS = 20


async def submit(deps: CommandDeps, form: RegistrationForm, command: Command[Permissions]) -> Answer:
    """Register a journey. Raises Problem for a wrong form, a trip that cannot be joined, a person being erased.

    Of submissions of one student at the same moment, one commits; the others begin again and see it.
    """
    form = with_login_facts(deps.catalogue, form, command.caller.login)
    submission, inputs, decision, answer = await retry(
        partial(_store, deps, form, command), what="a registration", retry_on=(DuplicateKeyError,), attempts=ATTEMPTS
    )
    # If the advice changed since `load_inputs`, its handler may not have found this registration: evaluate it again.
    return await confirm_inputs(deps, submission, inputs, decision, answer, command)


async def _store(
    deps: CommandDeps, form: RegistrationForm, command: Command[Permissions]
) -> tuple[Submission, DecisionInputs, Sequence[Draft], Answer]:
    """Check, decide and commit. Raises DuplicateKeyError when another submission of the student committed meanwhile."""
    # First, so that the student sees every error at once and nothing is created for a wrong form.
    validate(deps, form, command)
    # Places under the student's own key, as in every registration: so they can be compared.
    form = replace(
        form, legs=await seal_places(deps.keyring, deps.evaluation.resolve, command.caller.person_id, form.legs)
    )
    registrations = await count_without_overlap(deps, form, command)
    # Contact details under the student's own key: destroying it erases them from every copy of the event.
    submission = await seal(deps, form, command, registrations)
    # Approval and advice from our own read models: a submission waits for no other service.
    inputs = await load_inputs(deps.evaluation, submission.state, cached=True)
    # Before the commit, so that registration and decision are stored in one transaction.
    decision = await decide_if_possible(deps, submission.state, inputs, command.now)
    await failpoint("decided_provisionally")
    # From here on the registration is durable, and handlers and the sweep can find it.
    return submission, inputs, decision, await commit(deps, form, submission, decision, command)


def validate(deps: CommandDeps, form: RegistrationForm, command: Command[Permissions]) -> None:
    """Raises Problem 400 with every error of the form."""
    check_registration(deps, form, command.now)
    acknowledged_pages(deps.catalogue, form.acknowledged)


async def count_without_overlap(deps: CommandDeps, form: RegistrationForm, command: Command[Permissions]) -> int | None:
    """How many registrations the student has; None when overlaps do not matter.

    Raises Problem 409 when the student has registered these days already.
    """
    try:
        return await check_overlaps(deps, form, command.caller.person_id)
    except Problem:
        if not await is_repeat(deps.database, command.idempotency):  # a repeat overlaps what it has stored itself
            raise
        return None


async def seal(
    deps: CommandDeps, form: RegistrationForm, command: Command[Permissions], registrations: int | None
) -> Submission:
    """The event, with sealed contact details, and the state after it. Raises Problem when the person was erased."""
    registration_id, event_id, person_id = new_id(), new_id(), command.caller.person_id
    contact = await sealed(deps.keyring, person_id, event_id, "/contact", form.contact)
    event = RegistrationSubmitted(**event_fields(deps.catalogue, form, registration_id, person_id, contact))
    return Submission(Draft(event, event_id), evolve(None, event, command.now, 1), registrations)


def decide_provisionally(state: Registration, inputs: DecisionInputs, now: datetime) -> Sequence[Draft]:
    """The events of the decision; none when the rules cannot decide yet (advice is on its way). Pure."""
    return decision_events(state, evaluation(state, inputs, now))


async def decide_if_possible(
    deps: CommandDeps, state: Registration, inputs: DecisionInputs, now: datetime
) -> Sequence[Draft]:
    """As `decide_provisionally`. A registration that the rules cannot judge is not assessable: noted, and not decided.

    It is stored all the same: who goes where must be known.
    """
    try:
        return decide_provisionally(state, inputs, now)
    # The rules ask nobody: whatever they raise, this registration cannot be judged.
    except Exception as error:
        await deps.store.unjudged.note({state.registration_id: reason_of(error)}, now)
        return ()


async def commit(
    deps: CommandDeps,
    form: RegistrationForm,
    submission: Submission,
    decision: Sequence[Draft],
    command: Command[Permissions],
) -> Answer:
    """Store the registration with its decision, or return the answer that this Idempotency-Key got before.

    Everything is new and nothing is read, so the transaction is shared with other requests of this moment
    (docs/decisions/0022); only a participant of a group trip needs a transaction that reads.
    """
    after, documents = deps.store.new_documents(
        submission.state.registration_id,
        [submission.submitted, *decision],
        cause=command.cause,
        now=command.now,
        first_state=submission.state,
    )
    terms = await student_terms(deps.keyring, submission.state)
    entry = deps.store.search.document(submission.state.registration_id, submission.state.person_id, terms)
    documents[deps.store.search.collection.name] = [entry]
    if submission.registrations is not None:
        name, place = deps.persons.submission_document(
            submission.state.person_id, submission.registrations, command.now
        )
        documents[name] = [place]
    answer = registration_answer(deps.catalogue, after, 201)
    if form.group_id is None:
        return await insert_once(deps.group_commit, deps.database, command.idempotency, answer, documents)

    async def join_trip(session: Session) -> Answer:
        assert form.group_id is not None
        await check_may_join(deps, form.group_id, command.caller.person_id, session)
        await insert_all(deps.database, documents, session)
        return answer

    return await run_once(deps.mongo, deps.database, command.idempotency, join_trip)


async def confirm_inputs(
    deps: CommandDeps,
    submission: Submission,
    inputs: DecisionInputs,
    decision: Sequence[Draft],
    answer: Answer,
    command: Command[Permissions],
) -> Answer:
    """The answer, if approval and advice are the same after the commit; otherwise evaluate the registration again.

    Raises Problem 409 when the person's data are being erased.
    """
    await failpoint("after_commit")
    await check_not_being_erased(deps, command.caller.person_id)
    was_stored_before = answer.body["registrationId"] != submission.state.registration_id
    try:
        if decision and not was_stored_before and await inputs_unchanged(deps.evaluation, submission.state, inputs):
            return answer
    except (TransientError, PyMongoError):
        return answer  # it is committed, and the sweep evaluates it again after a minute
    return await evaluate_after_commit(deps, answer, command)


async def check_may_join(deps: CommandDeps, group_id: str, person_id: str, session: Session) -> None:
    """The trip exists and is open, and the person does not take part yet. Raises Problem otherwise."""
    trip = (await deps.store.trips.load(group_id, session)).state
    if trip is None:
        raise invalid(FieldError("body.groupId", "is no group trip"))
    if not trip.is_open:
        raise Problem(409, "The trip is closed; ask its leader.", reason="closed")
    if await deps.store.is_participant(group_id, person_id, session):
        raise Problem(409, "You are registered for this trip; change that registration.", reason="already_joined")
