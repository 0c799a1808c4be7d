"""The answer page behind the link in each message. Only sending its form records an answer.

Opening the page changes nothing, because mail scanners follow links. The token names the alert and the person, to our
key alone. See docs/notifications.md, Answers.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import AfterValidator
from starlette.exceptions import HTTPException

from services.notify.commands.answers import is_perhaps_a_scanner, record_answer
from services.notify.messages.wording import Language
from services.notify.pages.answer import AnswerPage, Pages
from services.notify.rules.repeated_answers import PERIOD, AnswerDecision
from services.notify.store.alerts import AlertStore
from services.notify.store.contacts import ContactStore
from services.notify.store.deliveries import DeliveryStore
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.events import Level, PersonAnswered
from shared.ids import new_id
from shared.web.error_pages import ErrorPages
from shared.web.phrases import preferred_language
from shared.web.problem import Problem
from shared.web.routes import RouteClass, Routes

#: Where people get pages, whatever goes wrong.
PAGES = ("/v1/answers", "/v1/returns")
#: What mail programs take for a part of a link: a slash, or a sign of the sentence around it.
_AROUND_LINKS = " /.,;:!?()<>[]{}*\"'’”"
#: Not validated: a person who mistypes a token or a language still gets a page, not a problem document.
Token = Annotated[str, Path(), AfterValidator(lambda token: token.strip(_AROUND_LINKS))]
LanguageOf = Annotated[str | None, Query(alias="language")]

#: The field as a form of any kind, text or JSON has it.
_HELP_IN_BODY = re.compile(rb"\banswer\b\W{1,8}help\b")


@dataclass(frozen=True, slots=True)
class AnswerDeps:
    """What the routes need."""

    outbox: Outbox
    deliveries: DeliveryStore
    alerts: AlertStore
    contacts: ContactStore
    pages: Pages
    scanner_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class _LinkTarget:
    """The alert and the person that a link names; `answer`: what the person answered so far."""

    alert_id: str
    shard: int
    person_id: str
    country: str
    level: Level | None
    answer: Literal["safe", "help"] | None


def routes(deps: AnswerDeps) -> Routes:
    """The answer page and its form."""
    router = Routes(RouteClass.ANSWER_LINK, tags=["answers"], default_response_class=HTMLResponse)

    @router.get("/v1/answers/{token:path}", operation_id="showAnswerPage")
    async def show(request: Request, token: Token, chosen: LanguageOf = None) -> Response:
        """The page, with the answer so far."""
        language = asked_language(request, chosen)
        target = await _link_target(deps, token)
        if target is None:
            return HTMLResponse(deps.pages.unknown_link(language), 404, deps.pages.headers)
        page = AnswerPage(target.country, target.level, given=target.answer)
        return HTMLResponse(deps.pages.answer(language, page), 200, deps.pages.headers)

    @router.post(
        "/v1/answers/{token:path}", operation_id="answerAlert", status_code=303, response_class=RedirectResponse
    )
    async def post_answer(request: Request, token: Token, chosen: LanguageOf = None) -> Response:
        """Record "safe" or "help". The same answer twice counts once; help counts however often the answer changed."""
        language = asked_language(request, chosen)
        target = await _link_target(deps, token)
        if target is None:
            return HTMLResponse(deps.pages.unknown_link(language), 404, deps.pages.headers)
        answer_given = await _chosen_answer(request)
        if answer_given is None:
            page = AnswerPage(target.country, target.level, given=target.answer, nothing_chosen=True)
            return HTMLResponse(deps.pages.answer(language, page), 400, deps.pages.headers)
        now = utc_now()
        by_person = await deps.deliveries.of_recipients(target.alert_id, {target.person_id: target.shard})
        deliveries = by_person.get(target.person_id, [])
        # Only "safe" can be unverified: a request for help counts even if a machine may have made it.
        within = timedelta(seconds=deps.scanner_seconds)
        verified = answer_given == "help" or not is_perhaps_a_scanner(deliveries, now, within)
        answered = PersonAnswered(
            alert_id=target.alert_id,
            shard=target.shard,
            person_id=target.person_id,
            answer=answer_given,
            via="link",
            answered_at=now,
            verified=verified,
        )
        recorded = await record_answer(deps.outbox, deps.deliveries, answered, event_id=new_id(), now=now)
        if recorded is AnswerDecision.TOO_OFTEN:
            page = AnswerPage(target.country, target.level, given=target.answer, changed_too_often=True)
            headers = {**deps.pages.headers, "Retry-After": f"{PERIOD.total_seconds():.0f}"}
            return HTMLResponse(deps.pages.answer(language, page), 429, headers)
        return RedirectResponse(f"?language={language}", 303, deps.pages.headers)

    return router


async def _chosen_answer(request: Request) -> Literal["safe", "help"] | None:
    """The answer in the form; None without one: the page then asks to choose.

    A request for help counts in a body of any kind: a broken form, one with too many fields, or another media type.
    """
    body = await request.body()
    try:
        form = await request.form()
    except (HTTPException, ValueError, LookupError):
        chosen = None
    else:
        chosen = form.get("answer")
    if chosen == "help" or _HELP_IN_BODY.search(body):
        return "help"
    return "safe" if chosen == "safe" else None


async def _link_target(deps: AnswerDeps, token: str) -> _LinkTarget | None:
    """The target of a link. None for a token that we did not make, or that names no recipient of an alert; and for an
    erased person, of whom nothing new may be recorded.
    """
    key = deps.deliveries.answers.read_link_token(token)
    selected = await deps.alerts.recipient_of_link(*key) if key is not None else None
    if selected is None:
        return None
    selection, recipient = selected
    alert = await deps.alerts.get(selection.alert_id)
    if alert is None or recipient.level is None or recipient.person_id is None:
        return None
    if await deps.contacts.is_erased(recipient.person_id):
        return None
    answer = await deps.deliveries.answers.standing(selection.alert_id, recipient.person_id)
    return _LinkTarget(
        selection.alert_id,
        selection.shard,
        recipient.person_id,
        alert.country,
        None if alert.is_manual else recipient.level,
        "help" if answer == "help" else "safe" if answer == "safe" else None,
    )


def asked_language(request: Request, chosen: str | None) -> Language:
    """The language of `?language=`; else the one that the browser prefers; else English."""
    if chosen is not None and chosen.lower() in ("nl", "en"):
        return "nl" if chosen.lower() == "nl" else "en"
    return preferred_language(request.headers.get("accept-language")) or "en"


def error_pages(pages: Pages) -> ErrorPages:
    """What a person sees when their request cannot be handled."""

    def render(request: Request, problem: Problem) -> Response:
        language = asked_language(request, request.query_params.get("language"))
        page = pages.unknown_link(language) if problem.status == 404 else pages.failed(language)
        return HTMLResponse(page, problem.status, pages.headers)

    return ErrorPages(PAGES, render)
