"""The page behind an answer link. Opening it changes nothing (mail scanners follow links): choose, then send."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.notify.commands.answers import is_perhaps_a_scanner, record_answer
from services.notify.messages.wording import Language
from services.notify.pages.answer import AnswerPage, Pages
from services.notify.store.alerts import AlertStore
from services.notify.store.deliveries import DeliveryStore
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.events import Level, PersonAnswered
from shared.ids import new_id
from shared.web.routes import RouteClass, Routes

#: Whatever stands there, a person gets a page: a token or a language that is none is not worth a problem document.
Token = Annotated[str, Path()]
LanguageOf = Annotated[str | None, Query(alias="language")]


@dataclass(frozen=True, slots=True)
class AnswerDeps:
    """What the routes need."""

    outbox: Outbox
    deliveries: DeliveryStore
    alerts: AlertStore
    pages: Pages
    scanner_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose page it is."""

    alert_id: str
    shard: int
    person_id: str
    country: str
    level: Level | None
    given: Literal["safe", "help"] | None


def routes(deps: AnswerDeps) -> Routes:
    """The answer page and its form."""
    router = Routes(RouteClass.ANSWER_LINK, tags=["answers"], default_response_class=HTMLResponse)

    @router.get("/v1/answers/{token}", operation_id="showAnswerPage")
    async def show(request: Request, token: Token, chosen: LanguageOf = None) -> Response:
        """The page with what was answered so far."""
        language = _language(request, chosen)
        asked = await _asked(deps, token)
        if asked is None:
            return HTMLResponse(deps.pages.unknown_link(language), 404, deps.pages.headers)
        page = AnswerPage(asked.country, asked.level, given=asked.given)
        return HTMLResponse(deps.pages.answer(language, page), 200, deps.pages.headers)

    @router.post("/v1/answers/{token}", operation_id="answerAlert", status_code=303, response_class=RedirectResponse)
    async def answer(request: Request, token: Token, chosen: LanguageOf = None) -> Response:
        """Safe, or help is needed. Repeatable; the same answer twice is one answer."""
        language = _language(request, chosen)
        asked = await _asked(deps, token)
        if asked is None:
            return HTMLResponse(deps.pages.unknown_link(language), 404, deps.pages.headers)
        form = await request.form()
        said = form.get("answer")
        if said not in ("safe", "help"):
            page = AnswerPage(asked.country, asked.level, given=asked.given, nothing_chosen=True)
            return HTMLResponse(deps.pages.answer(language, page), 400, deps.pages.headers)
        now = utc_now()
        known = await deps.deliveries.of_recipients(asked.alert_id, {asked.person_id: asked.shard})
        deliveries = known.get(asked.person_id, [])
        # Only *safe* is doubted: whoever asks for help gets it, machine or not.
        within = timedelta(seconds=deps.scanner_seconds)
        verified = said == "help" or not is_perhaps_a_scanner(deliveries, now, within)
        given = (await deps.deliveries.answers.records(asked.alert_id, [asked.person_id])).get(asked.person_id, [])
        last = given[-1] if given else None
        if last is None or last.answer != said or (verified and not last.verified):
            given_now = PersonAnswered(
                alert_id=asked.alert_id,
                shard=asked.shard,
                person_id=asked.person_id,
                answer="help" if said == "help" else "safe",
                via="link",
                answered_at=now,
                verified=verified,
            )
            await record_answer(deps.outbox, deps.deliveries, given_now, event_id=new_id(), now=now)
        return RedirectResponse(f"?language={language}", 303, deps.pages.headers)

    return router


async def _asked(deps: AnswerDeps, token: str) -> _Asked | None:
    key = deps.deliveries.answers.read_link_token(token)
    found = await deps.alerts.recipient_of_link(*key) if key is not None else None
    if found is None:
        return None
    selection, chosen = found
    alert = await deps.alerts.get(selection.alert_id)
    if alert is None or chosen.level is None or chosen.person_id is None:
        return None
    given = await deps.deliveries.answers.standing(selection.alert_id, chosen.person_id)
    return _Asked(
        selection.alert_id,
        selection.shard,
        chosen.person_id,
        alert.country,
        None if alert.is_manual else chosen.level,
        "help" if given == "help" else "safe" if given == "safe" else None,
    )


def _language(request: Request, chosen: str | None) -> Language:
    """What was chosen; else Dutch for a browser that says so first; English otherwise."""
    if chosen in ("nl", "en"):
        return "nl" if chosen == "nl" else "en"
    return "nl" if request.headers.get("accept-language", "").lower().startswith("nl") else "en"
