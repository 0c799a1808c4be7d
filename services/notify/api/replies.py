"""SMS replies whose meaning or sender is unclear, and posts that nobody could read: a person reads each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator

from services.notify.channels.mail_kinds import MailKind
from services.notify.commands.alerts import CommandDeps, record_call
from services.notify.commands.senders import confirm_sender
from services.notify.notices import is_notice
from services.notify.store.callbacks import AUTOMATIC, READ, TO_BE_READ, CallbackStore
from services.notify.store.contacts import ContactStore
from services.notify.unread_replies import UnreadKind
from shared.clock import utc_now
from shared.command import Command
from shared.events import Identifier, Part
from shared.privacy.processing_log import log_personal_data_read
from shared.privacy.students import StudentEntry, student_entry
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.idempotency import Answer, Idempotency, run_once
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.problem import Problem, not_found
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require("safety-officer", "crisis-team"))]


class UnclearReply(Part):
    """A reply whose meaning or sender is uncertain, or a post that nobody could read."""

    reply_id: str
    at: datetime
    text: str = Field(description="The reply as it was sent; where none was found, the beginning of the post itself")
    number: str = Field(
        description="The number that it came from, E.164, or what the provider named instead; empty when it is hidden"
    )
    persons: tuple[str, ...] = Field(description="personIds with that number: none, one, or several that share it")
    alerts: tuple[str, ...] = Field(description="Alerts of these persons, newest last")
    students: tuple[StudentEntry, ...] = Field(description="Who these persons are and how else to reach them")
    kind: UnreadKind = Field(
        default="reply", description="An SMS that somebody sent; a receipt or a bounce that nobody could read"
    )
    proposed: tuple[StudentEntry, ...] = Field(
        default=(), description="Nobody has that number, but theirs ends in the same digits: a person has to confirm it"
    )
    readable: bool = Field(default=True, description="False: no reply could be found in the post")
    mail: MailKind | None = Field(
        default=None,
        description="What a mail to the address of bounces is; null: no mail. `number` is then the address in From, "
        "which may be forged; `persons` is to whom our mail went that it is about",
    )


class SenderBody(Body):
    """Whom a reply is from."""

    person_id: Identifier = Field(description="One of `persons` or `proposed` of the reply")


class ReadingBody(Body):
    """What a safety officer read in a reply. `nothing`: it is not about anyone's safety.

    `handled`: it is, the sender was helped, and there is no alert to record an answer in.
    """

    answer: Literal["safe", "help", "wrong_person", "nothing", "handled"]
    alert_id: Identifier | None = None
    person_id: Identifier | None = None

    @model_validator(mode="after")
    def _names_alert_and_person(self) -> "ReadingBody":
        if self.answer not in ("nothing", "handled") and (self.alert_id is None or self.person_id is None):
            raise ValueError("an answer needs alertId and personId")
        return self


@dataclass(frozen=True, slots=True)
class ReplyDeps:
    """What the routes need."""

    commands: CommandDeps
    callbacks: CallbackStore
    contacts: ContactStore


def routes(deps: ReplyDeps) -> Routes:
    """The unclear replies."""
    router = Routes(RouteClass.USER, tags=["replies"])

    @router.get("/v1/replies", operation_id="listUnclearReplies")
    async def unclear(
        caller: Reader,
        paged: Paged,
        automatic: Annotated[
            bool, Query(description="Also mails of machines that answer for a person, as in an absence")
        ] = False,
    ) -> Page[UnclearReply]:
        """Replies that no person has read yet, oldest first; then receipts and bounces that could not be read.

        They are kept for 14 days.
        """
        replies, read_persons = list[UnclearReply](), set[str]()
        notes = (*TO_BE_READ, AUTOMATIC) if automatic else TO_BE_READ
        for unread in await deps.commands.replies.page(paged.skip, paged.fetch, notes=notes):
            alerts = [id_ for person in unread.persons for id_ in await deps.commands.alerts.of_person(person)]
            opened = await deps.contacts.opened_by_person(unread.possible)
            read_persons |= set(unread.possible)
            replies.append(
                UnclearReply(
                    reply_id=unread.callback.id,
                    at=unread.callback.at,
                    text=unread.reply.text,
                    number=unread.reply.number,
                    persons=unread.persons,
                    alerts=tuple(dict.fromkeys(alert_id for alert_id in alerts if not is_notice(alert_id))),
                    students=tuple(
                        student_entry(person_id, opened.get(person_id), with_phone=True) for person_id in unread.persons
                    ),
                    proposed=tuple(
                        student_entry(person_id, opened.get(person_id), with_phone=True)
                        for person_id in unread.proposed
                    ),
                    kind=unread.kind,
                    readable=unread.reply.is_readable,
                    mail=unread.mail,
                )
            )
        log_personal_data_read("replies", caller.person_id, read_persons)
        return paged.page(replies)

    @router.post("/v1/replies/{reply_id}/senders", operation_id="confirmSender", status_code=201)
    async def confirm(
        caller: Reader,
        reply_id: Annotated[Identifier, Path()],
        body: SenderBody,
        repeat: Idempotency,
        cause: CauseOf,
        response: Response,
    ) -> JSONResponse:
        """Confirm whom a reply is from. It is then read as theirs, and stays in the list only if it is unclear."""
        command = Command(caller.person_id, None, repeat, cause, utc_now())
        return (await confirm_sender(deps.commands, command, reply_id, body.person_id)).response()

    @router.post("/v1/replies/{reply_id}/readings", operation_id="readReply", status_code=201)
    async def read(
        caller: Reader,
        reply_id: Annotated[Identifier, Path()],
        body: ReadingBody,
        repeat: Idempotency,
        cause: CauseOf,
        response: Response,
    ) -> JSONResponse:
        """Record what a reply means. It leaves the list, and the answer counts as one that an officer heard."""
        if not await deps.callbacks.has_note(reply_id, (*TO_BE_READ, AUTOMATIC, READ)):
            raise not_found()
        if body.answer == "nothing" or body.answer == "handled" or body.alert_id is None or body.person_id is None:

            async def without_answer(session: object) -> Answer:
                return Answer(201, {"replyId": reply_id, "answer": body.answer})

            answer = await run_once(deps.commands.mongo, deps.commands.database, repeat, without_answer)
        else:
            if await deps.commands.alerts.selections.recipient(body.alert_id, body.person_id) is None:
                raise Problem(409, "This person is no recipient of that alert.", reason="not_a_recipient")
            command = Command(caller.person_id, None, repeat, cause, utc_now())
            answer = await record_call(deps.commands, command, body.alert_id, body.person_id, body.answer)
        await deps.callbacks.mark_done([reply_id], READ)
        return answer.response()

    return router
