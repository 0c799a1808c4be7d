"""The inbox of SMS replies that no machine should judge: a safety officer reads each and says what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Response
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator

from services.notify.commands.alerts import CommandDeps, record_call
from services.notify.provider_callbacks import READ, UNCLEAR, ParseReply
from services.notify.store.callbacks import CallbackStore
from services.notify.store.whereabouts import WhereaboutsStore
from shared.clock import utc_now
from shared.command import Command
from shared.errors import PermanentError
from shared.events import Identifier, Part
from shared.observability.logs import get_logger
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.idempotency import Answer, IdempotentRequest, idempotent_request, run_once
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.problem import Problem, not_found
from shared.web.routes import RouteClass, Routes

Officer = Annotated[Identity, Depends(require("safety-officer"))]
OnceOf = Annotated[IdempotentRequest | None, Depends(idempotent_request)]

log = get_logger()


class UnclearReply(Part):
    """A reply that says neither safe nor help for certain, or whose sender is not certain."""

    reply_id: str
    at: datetime
    text: str = Field(description="As it was sent")
    number: str = Field(description="Whose phone it came from, E.164")
    persons: tuple[str, ...] = Field(description="personIds with that number: none, one, or several that share it")
    alerts: tuple[str, ...] = Field(description="Alerts of these persons, newest last")


class ReadingBody(Body):
    """What a human made of a reply. `nothing`: it says nothing about anybody's safety."""

    answer: Literal["safe", "help", "wrong_person", "nothing"]
    alert_id: Identifier | None = None
    person_id: Identifier | None = None

    @model_validator(mode="after")
    def _about_somebody(self) -> "ReadingBody":
        if self.answer != "nothing" and (self.alert_id is None or self.person_id is None):
            raise ValueError("an answer needs alertId and personId")
        return self


@dataclass(frozen=True, slots=True)
class ReplyDeps:
    """What the routes need."""

    commands: CommandDeps
    callbacks: CallbackStore
    whereabouts: WhereaboutsStore
    parsers: Mapping[str, ParseReply]


def routes(deps: ReplyDeps) -> Routes:
    """The inbox."""
    router = Routes(RouteClass.USER, tags=["replies"])

    @router.get("/v1/replies", operation_id="listUnclearReplies")
    async def unclear(caller: Officer, paged: Paged) -> Page[UnclearReply]:
        """Replies that nobody has read yet, oldest first. They are kept for 14 days."""
        found = await deps.callbacks.noted(UNCLEAR, paged.skip, paged.fetch)
        shown = []
        for post in found:
            try:
                reply = deps.parsers[post.provider](post.body)
            except (PermanentError, KeyError):  # unreadable, or of a provider that we no longer have
                continue
            persons = sorted(await deps.whereabouts.contacts.persons_with_number(reply.number))
            alerts = [each for person in persons for each in await deps.commands.alerts.of_person(person)]
            shown.append(
                UnclearReply(
                    reply_id=post.id,
                    at=post.at,
                    text=reply.text,
                    number=reply.number,
                    persons=tuple(persons),
                    alerts=tuple(dict.fromkeys(each for each in alerts if not each.startswith("n-"))),
                )
            )
        log.info("personal_data_read", kind="replies", person_id=caller.person_id, count=len(shown))
        return paged.page(shown)

    @router.post("/v1/replies/{reply_id}/readings", operation_id="readReply", status_code=201)
    async def read(
        caller: Officer,
        reply_id: Annotated[Identifier, Path()],
        body: ReadingBody,
        repeat: OnceOf,
        cause: CauseOf,
        response: Response,
    ) -> JSONResponse:
        """Say what a reply means; it leaves the inbox, and the answer counts as that of a human."""
        if not await deps.callbacks.is_noted(reply_id, (UNCLEAR, READ)):
            raise not_found()
        if body.answer == "nothing" or body.alert_id is None or body.person_id is None:

            async def nothing(session: object) -> Answer:
                return Answer(201, {"replyId": reply_id, "answer": "nothing"})

            answer = await run_once(deps.commands.mongo, deps.commands.database, repeat, nothing)
        else:
            if await deps.commands.alerts.selections.recipient(body.alert_id, body.person_id) is None:
                raise Problem(409, "This person is no recipient of that alert.", reason="not_a_recipient")
            command = Command(caller.person_id, None, repeat, cause, utc_now())
            answer = await record_call(deps.commands, command, body.alert_id, body.person_id, body.answer)
        await deps.callbacks.done([reply_id], READ)
        return answer.response()

    return router
