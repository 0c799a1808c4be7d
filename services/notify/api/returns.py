"""The page behind the link "I am back" in the mail after a stay. Only sending its form reports the return.

Opening the page changes nothing, because mail scanners follow links. The token names the registration and the person,
to our key alone. Registration records the return. See docs/notifications.md, Service mail.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.notify.api.answers import LanguageOf, Token, asked_language
from services.notify.commands.answers import is_perhaps_a_scanner
from services.notify.model.planned_mails import PlannedMail
from services.notify.model.whereabouts import Whereabouts
from services.notify.notices import notice_id
from services.notify.pages.answer import Pages
from services.notify.store.answers import AnswerStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.planned_mails import PlannedMailStore
from services.notify.store.whereabouts import WhereaboutsStore
from shared.bus.outbox import Outbox
from shared.clock import amsterdam_date, utc_now
from shared.envelope import Cause, Draft
from shared.events import ReturnReported
from shared.ids import derived_id
from shared.web.routes import RouteClass, Routes


@dataclass(frozen=True, slots=True)
class ReturnDeps:
    """What the routes need."""

    outbox: Outbox
    answers: AnswerStore
    deliveries: DeliveryStore
    planned: PlannedMailStore
    whereabouts: WhereaboutsStore
    pages: Pages
    scanner_seconds: float = 20.0


class _Standing(StrEnum):
    """State of a return. NOTHING_TO_REPORT: the stay is not over, for example after new dates."""

    ASKED = "asked"
    REPORTED = "reported"
    NOTHING_TO_REPORT = "nothing_to_report"


@dataclass(frozen=True, slots=True)
class _Target:
    """The question that a link answers."""

    mail: PlannedMail
    where: Whereabouts

    @property
    def event_id(self) -> str:
        """The same for every tap: a return is reported once."""
        return derived_id("return", self.mail.mail_id)


def routes(deps: ReturnDeps) -> Routes:
    """The page and its form."""
    router = Routes(RouteClass.ANSWER_LINK, tags=["answers"], default_response_class=HTMLResponse)

    @router.get("/v1/returns/{token:path}", operation_id="showReturnPage")
    async def show(request: Request, token: Token, chosen: LanguageOf = None) -> Response:
        """The page: the question, or the state of the return when there is nothing to ask."""
        language = asked_language(request, chosen)
        target = await _target(deps, token)
        if target is None:
            return HTMLResponse(deps.pages.unknown_link(language), 404, deps.pages.headers)
        standing = await _standing(deps, target)
        page = deps.pages.returned(language, _countries(target), standing.value)
        return HTMLResponse(page, 200, deps.pages.headers)

    @router.post(
        "/v1/returns/{token:path}", operation_id="reportReturn", status_code=303, response_class=RedirectResponse
    )
    async def report(request: Request, token: Token, chosen: LanguageOf = None) -> Response:
        """Report that the person is back. The same answer twice counts once."""
        language = asked_language(request, chosen)
        target = await _target(deps, token)
        if target is None:
            return HTMLResponse(deps.pages.unknown_link(language), 404, deps.pages.headers)
        now = utc_now()
        if await _standing(deps, target) is _Standing.ASKED:
            mail, person = notice_id(target.mail.mail_id), target.where.person_id
            deliveries = (await deps.deliveries.of_recipients(mail, {person: 0})).get(person, [])
            if is_perhaps_a_scanner(deliveries, now, timedelta(seconds=deps.scanner_seconds)):
                # A return that nobody reported would take a student abroad out of every alert.
                page = deps.pages.returned(language, _countries(target), "again")
                return HTMLResponse(page, 409, deps.pages.headers)
            event = ReturnReported(
                alert_id=mail,
                shard=0,
                person_id=person,
                registration_id=target.where.registration_id,
                on=amsterdam_date(now),
            )
            draft = Draft(event, target.event_id)
            await deps.outbox.append_once(draft, cause=Cause(mail, target.event_id), now=now)
        return RedirectResponse(f"?language={language}", 303, deps.pages.headers)

    return router


async def _target(deps: ReturnDeps, token: str) -> _Target | None:
    """The question that a link answers. None for a token that we did not make, or of which no mail was sent; and for
    an erased person.
    """
    key = deps.answers.read_link_token(token)
    mail = await deps.planned.asked_by_link(*key) if key is not None else None
    if mail is None:
        return None
    where = (await deps.whereabouts.load([mail.about])).get(mail.about)
    if where is None or await deps.whereabouts.contacts.is_erased(where.person_id):
        return None
    return _Target(mail, where)


async def _standing(deps: ReturnDeps, target: _Target) -> _Standing:
    if target.where.returned_on is not None or await deps.outbox.bodies_by_id([target.event_id]):
        return _Standing.REPORTED
    is_over = target.where.is_overdue and not target.where.cancelled
    return _Standing.ASKED if is_over else _Standing.NOTHING_TO_REPORT


def _countries(target: _Target) -> list[str]:
    return list(dict.fromkeys(stay.country for stay in target.where.stays))
