"""After the commit of a command: evaluates the registration on approvals and advice that were committed meanwhile."""

from services.registration.access import Permissions
from services.registration.commands.answers import registration_answer
from services.registration.commands.deps import CommandDeps
from services.registration.evaluation import evaluate
from shared.command import Command
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint
from shared.transient import is_transient, reason_of
from shared.web.idempotency import Answer, replace_stored_answer
from shared.web.problem import Problem

log = get_logger()


async def evaluate_after_commit(deps: CommandDeps, answer: Answer, command: Command[Permissions]) -> Answer:
    """Evaluate the registration of a committed command, whatever its state; returns the answer with the new decision.

    A held registration too: its approval may have been granted between the command's reading and its commit. When
    that fails, the command's own answer stands: it is committed, and the sweep evaluates the registration later. One
    that the rules cannot judge is noted as not assessable.
    """
    await failpoint("after_commit")
    registration_id = answer.body["registrationId"]
    try:
        after = await evaluate(deps.evaluation, registration_id, cause=command.cause, now=command.now)
        evaluated = registration_answer(deps.catalogue, after, answer.status)
        # The Location may be that of a document which the command attached.
        location = {name: value for name, value in answer.headers.items() if name == "Location"}
        evaluated = Answer(answer.status, {**answer.body, **evaluated.body}, {**evaluated.headers, **location})
        await replace_stored_answer(deps.database, command.idempotency, evaluated)
        return evaluated
    except Exception as error:
        if not is_transient(error):
            await deps.store.unjudged.note({registration_id: reason_of(error)}, command.now)
        log.warning("decision_waits", registration_id=registration_id, reason=reason_of(error), next_step="sweep")
        return answer


async def check_not_being_erased(deps: CommandDeps, person_id: str) -> None:
    """Raises Problem 409 when the person's data are being erased. Call it after the commit.

    An erasure marks the person before it reads their registrations; a command reads the mark after it committed one.
    So at least one of them sees the other, and nobody is told that they are registered while their data go.
    """
    if await deps.persons.is_being_erased(person_id):
        raise Problem(
            409,
            "This person's data are being erased at this moment. Look in ten minutes whether the registration is "
            "there; if it is not, submit it again.",
            reason="being_erased",
        )
