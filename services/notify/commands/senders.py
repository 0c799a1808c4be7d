"""A person confirms whom a reply is from, where its number alone does not say so."""

from services.notify.commands.alerts import CommandDeps
from services.notify.model.senders import ConfirmedSender
from services.notify.notices import notice_id
from services.notify.store.callbacks import TO_BE_READ
from shared.command import Command
from shared.envelope import Draft
from shared.events import ReplySenderConfirmed
from shared.ids import derived_id
from shared.mongo.client import Session
from shared.web.idempotency import Answer, run_once
from shared.web.problem import Problem, not_found


async def confirm_sender(deps: CommandDeps, command: Command[str], reply_id: str, person_id: str) -> Answer:
    """Record that a reply is from this person; it is then processed as theirs. Raises Problem: 404, 409.

    Only a person who has the number, or one like it, can be named: an officer may record any other answer as a call.
    """
    stream = notice_id(derived_id("sender", reply_id))

    async def store(session: Session) -> Answer:
        unread = await deps.replies.find(reply_id)
        if unread is None:
            raise not_found()
        if await deps.outbox.version(stream, session):
            raise Problem(409, "Who sent this reply is confirmed already.", reason="already_confirmed")
        if person_id not in unread.possible:
            raise Problem(
                409,
                "This person has neither that number nor one like it: record the answer as a reading instead.",
                dutch="Deze persoon heeft dit nummer niet en geen dat erop lijkt: leg het antwoord vast als lezing.",
                reason="not_proposed",
            )
        event = ReplySenderConfirmed(
            alert_id=stream, reply_id=reply_id, person_id=person_id, confirmed_by=command.caller
        )
        draft = Draft(event, derived_id("sender-confirmed", reply_id))
        await deps.outbox.append([draft], expected=0, cause=command.cause, now=command.now, session=session)
        await deps.alerts.senders.add(reply_id, ConfirmedSender.of(event, command.now), session)
        return Answer(201, {"replyId": reply_id, "personId": person_id})

    answer = await run_once(deps.mongo, deps.database, command.idempotency, store)
    # The worker reads it again, now as this person's. After a crash before this line our own event does it.
    await deps.replies.callbacks.process_again(reply_id, TO_BE_READ)
    return answer
