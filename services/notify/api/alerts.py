"""The alerts: raise one, who was selected and why, what became of every message, who answered; write down a call."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator
from starlette.background import BackgroundTask

from services.notify.audience.deps import SelectionDeps
from services.notify.audience.manual_alerts import plan_manual_alert
from services.notify.audience.preview import preview_audience
from services.notify.audience.selection_run import run_selection
from services.notify.columns.recipient_columns import Recipient
from services.notify.commands import close_alert, raise_alert, record_call
from services.notify.message_content import manual_content
from services.notify.messages.links import answer_link
from services.notify.messages.rendering import Messages
from services.notify.messages.sms import SEGMENT_LIMIT
from services.notify.messages.wording import LANGUAGES
from services.notify.model.answers import AnswerRecord, AnswerWord
from services.notify.model.deliveries import Delivery, DeliveryState, step_of
from services.notify.provider_callbacks import UNCLEAR
from services.notify.rules.escalation import RecipientState, RollCallStatus, recipient_state, roll_call_status
from services.notify.store.alerts import Alert, AlertStore
from services.notify.store.callbacks import CallbackStore
from services.notify.store.deliveries import DeliveryStore, created
from services.notify.store.escalations import EscalationRecord
from services.notify.store.selections import Selection
from services.notify.store.send_queue import SendQueue
from shared.bus.bus import Bus
from shared.bus.outbox import Outbox
from shared.catalogue import University
from shared.clock import utc_now
from shared.envelope import Cause
from shared.events import AlertTrigger, Channel, Identifier, Level, Part, RegistrationEvent
from shared.fields import CountryCode, FreeText, RegionOfCountry, is_region_of
from shared.mongo.client import Database, Mongo, Session
from shared.observability.logs import get_logger
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.idempotency import Answer, IdempotentRequest, idempotent_request, run_once
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.problem import FieldError, invalid, not_found
from shared.web.routes import RouteClass, Routes

Officer = Annotated[Identity, Depends(require("safety-officer"))]
Reader = Annotated[Identity, Depends(require("safety-officer", "international-office", "auditor"))]
OnceOf = Annotated[IdempotentRequest | None, Depends(idempotent_request)]
Id = Annotated[Identifier, Path()]

AlertState = Literal["selecting", "sending", "sent", "closed"]
READ_AT_ONCE = 500
#: Stands for a person's own link where a message is only shown.
SHOWN_TOKEN = "0" * 22

log = get_logger()


class AlertSummary(Part):
    """One alert in a list. `sent`: every message has been attempted; not that it arrived."""

    alert_id: str
    country: str
    advice_version: int
    trigger: AlertTrigger
    as_of: datetime
    state: AlertState
    selected: int
    unreachable: int = Field(description="Selected, without any usable channel")
    area: str | None = Field(default=None, description="By hand: the region; null: the whole country")
    raised_by: str | None = Field(default=None, description="By hand: personId of the officer")


class Answers(Part):
    """How many answered what; no answer is never safe."""

    safe: int
    help: int
    none: int


class AlertInFull(AlertSummary):
    """One alert with how far it is."""

    deliveries: dict[Channel, dict[DeliveryState, int]] = Field(description="Channel → state → how many")
    sent_again: int = Field(description="Sent again after unknown; each may have arrived twice")
    answers: Answers
    unclear_replies: int = Field(description="SMS replies, to any alert, that a human has to read")
    not_assessable: int = Field(description="Registrations that are parked: nobody knows whether they are affected")
    templates: dict[str, str] | None = None


class DeliveryEntry(Part):
    """One message to one recipient."""

    channel: Channel
    step: int = Field(description="Step of the ladder; 1: the alert itself")
    state: DeliveryState
    attempts: int
    sent_again: int
    reason: str = Field(description="The newest word on it, without addresses")
    at: datetime | None


class EscalationEntry(Part):
    """A step of the ladder that was taken."""

    step: int
    to: str
    reason: str
    by: str
    at: datetime


class RecipientEntry(Part):
    """One recipient: why, what became of the messages, what they answered."""

    person_id: str | None
    registration_id: str | None
    reason: str
    area: str
    level: Level | None
    late: bool
    selected_at: datetime
    deliveries: tuple[DeliveryEntry, ...]
    answer: AnswerWord | None
    status: RollCallStatus = Field(
        description="Only an answer is safe; `unverified`: perhaps a machine followed the link"
    )
    escalations: tuple[EscalationEntry, ...] = ()


class Board(Part):
    """The roll call: everybody selected stands under exactly one status."""

    alert_id: str
    counts: dict[RollCallStatus, int]
    to_do: int = Field(description="Help, unreachable, somebody else, or handed to a team: a person has to act")
    not_assessable: int = Field(description="Registrations that are parked: nobody knows whether they are affected")


class AlertBody(Body):
    """An alert to everybody in a place, in the officer's own words; both languages are sent to everyone."""

    country: CountryCode
    region: RegionOfCountry | None = None
    message_nl: FreeText = Field(max_length=1_000)
    message_en: FreeText = Field(max_length=1_000)
    drill: bool = Field(default=False, description="A drill: reaches only addresses on the configured list")

    @model_validator(mode="after")
    def _in_the_country(self) -> "AlertBody":
        if self.region is not None and not is_region_of(self.region, self.country):
            raise ValueError("the region is not one of the country")
        return self


class ShownMessage(Part):
    """How a message will read."""

    language: Literal["nl", "en"] = Field(description="The recipient's own, which stands first")
    subject: str
    text: str
    sms: str
    sms_segments: int


class AlertPreview(Part):
    """Whom an alert would reach now, and what it would say. Nothing is kept and nobody is told."""

    recipients: int
    unreachable: int = Field(description="Of these, without any usable channel")
    uncertain: int = Field(description="Of these, in a place that cannot be resolved: told all the same")
    by_region: dict[str, int] = Field(description="ISO 3166-2 to people; empty: not known")
    not_assessable: int
    messages: tuple[ShownMessage, ...]


class CallBody(Body):
    """What came of a call with a student, or with somebody else under their number."""

    person_id: Identifier = Field(description="Recipient of the alert")
    answer: Literal["safe", "help", "wrong_person"]


class ClosureBody(Body):
    """Why an alert is closed; no personal data: it becomes part of the record."""

    reason: FreeText = Field(max_length=500)


@dataclass(frozen=True, slots=True)
class AlertApiDeps:
    """What the routes need."""

    mongo: Mongo
    database: Database
    outbox: Outbox
    alerts: AlertStore
    send_queue: SendQueue
    deliveries: DeliveryStore
    callbacks: CallbackStore
    bus: Bus
    selection: SelectionDeps
    messages: Messages
    university: University
    answer_base_url: str


def routes(deps: AlertApiDeps) -> Routes:
    """The alerts."""
    router = Routes(RouteClass.USER, tags=["alerts"])

    @router.get("/v1/alerts", operation_id="listAlerts")
    async def listed(caller: Reader, paged: Paged) -> Page[AlertSummary]:
        """Alerts, newest first."""
        found = await deps.alerts.page(paged.skip, paged.fetch)
        return paged.page([await _summary(deps, alert) for alert in found])

    @router.post("/v1/alerts/preview", operation_id="previewAlert")
    async def previewed(caller: Officer, body: AlertBody, repeat: OnceOf, response: Response) -> AlertPreview:
        """Whom an alert would reach at this moment, by the same look as the alert itself, and how it will read."""
        now = utc_now()
        plan = await _plan(deps, body, caller, now)
        reach = await preview_audience(deps.selection, body.country, body.region, is_drill=body.drill, now=now)
        shown = AlertPreview(
            recipients=reach.recipients,
            unreachable=reach.unreachable,
            uncertain=reach.uncertain,
            by_region=reach.by_region,
            not_assessable=await _not_assessable(deps),
            messages=_shown(deps, plan),
        )

        async def keep(session: Session) -> Answer:
            return Answer(200, shown.model_dump(mode="json", by_alias=True))

        return AlertPreview.model_validate((await run_once(deps.mongo, deps.database, repeat, keep)).body)

    @router.post("/v1/alerts", operation_id="raiseAlert", status_code=201)
    async def raised(
        caller: Officer, body: AlertBody, repeat: OnceOf, cause: CauseOf, response: Response
    ) -> JSONResponse:
        """Alert everybody in a place. 201: it is durable and will be sent, whatever happens to this process."""
        now = utc_now()
        plan = await _plan(deps, body, caller, now)
        answer = await raise_alert(deps.selection, deps.database, plan, repeat, cause=cause, now=now)
        # The sweep would begin with it within seconds; nobody has to wait for that.
        given = answer.response()
        given.background = BackgroundTask(_select, deps, answer.body["alertId"], cause)
        return given

    @router.get("/v1/alerts/{alert_id}", operation_id="getAlert")
    async def one(caller: Reader, alert_id: Id) -> AlertInFull:
        """One alert with counts by channel and state, and the answers."""
        alert = await _known(deps, alert_id)
        summary = await _summary(deps, alert)
        answers = list((await deps.deliveries.answers.standing_by_person(alert_id)).values())
        parked = await _not_assessable(deps)
        counts = await deps.deliveries.counts(alert_id)
        return AlertInFull(
            **summary.model_dump(),
            deliveries={
                Channel(channel): {DeliveryState(state): count for state, count in states.items()}
                for channel, states in counts.items()
            },
            sent_again=await deps.deliveries.resent(alert_id),
            answers=Answers(
                safe=answers.count("safe"), help=answers.count("help"), none=max(0, summary.selected - len(answers))
            ),
            unclear_replies=await deps.callbacks.count(UNCLEAR),
            not_assessable=parked,
        )

    @router.get("/v1/alerts/{alert_id}/recipients", operation_id="listAlertRecipients")
    async def recipients(
        caller: Reader,
        alert_id: Id,
        paged: Paged,
        only: Annotated[
            RollCallStatus | None, Query(alias="status", description="Only who stands so on the board")
        ] = None,
    ) -> Page[RecipientEntry]:
        """Who was selected, why, what became of it and what they answered. Addresses are not shown."""
        await _known(deps, alert_id)
        if only is None:
            found = await deps.alerts.selections.page_of_recipients(alert_id, paged.skip, paged.fetch)
            return paged.page([_recipient(each) for each in await _looked_up(deps, alert_id, found)])
        entries: list[RecipientEntry] = []
        passed = 0
        async for each in _everybody(deps, alert_id):
            if roll_call_status(each.standing) is not only:
                continue
            passed += 1
            if passed > paged.skip:
                entries.append(_recipient(each))
            if len(entries) >= paged.fetch:
                break
        return paged.page(entries)

    @router.get("/v1/alerts/{alert_id}/counts", operation_id="getAlertBoard")
    async def board(caller: Reader, alert_id: Id) -> Board:
        """The roll call in numbers."""
        await _known(deps, alert_id)
        counts = dict.fromkeys(RollCallStatus, 0)
        to_do = 0
        async for each in _everybody(deps, alert_id):
            where = roll_call_status(each.standing)
            counts[where] += 1
            handed_over = any(step.to == "crisis-unit" for step in each.escalations)
            to_do += where in (RollCallStatus.HELP, RollCallStatus.UNREACHABLE, RollCallStatus.WRONG_PERSON) or (
                handed_over and where is not RollCallStatus.SAFE
            )
        return Board(alert_id=alert_id, counts=counts, to_do=to_do, not_assessable=await _not_assessable(deps))

    @router.post("/v1/alerts/{alert_id}/calls", operation_id="recordCall", status_code=201)
    async def called(
        caller: Officer,
        alert_id: Id,
        body: CallBody,
        repeat: OnceOf,
        cause: CauseOf,
        response: Response,
    ) -> JSONResponse:
        """Write down how somebody is whom an officer spoke to: it counts until they ask for help again."""
        await _known(deps, alert_id)
        answer, fact = await record_call(
            deps.mongo, deps.database, deps.outbox, deps.alerts, alert_id, body.person_id, body.answer,
            caller.person_id, repeat, cause=cause, now=utc_now(),
        )  # fmt: skip
        if fact is not None:
            await deps.deliveries.fold([fact])
        log.info("personal_data_read", kind="call", person_id=caller.person_id, alert_id=alert_id, count=1)
        return answer.response()

    @router.post("/v1/alerts/{alert_id}/closure", operation_id="closeAlert", status_code=201)
    async def close(
        caller: Officer, alert_id: Id, body: ClosureBody, repeat: OnceOf, cause: CauseOf, response: Response
    ) -> JSONResponse:
        """Nothing new is selected or sent for it; answers and receipts are still taken."""
        answer = await close_alert(
            deps.mongo, deps.database, deps.outbox, deps.alerts, alert_id, caller.person_id, body.reason, repeat,
            cause=cause, now=utc_now(),
        )  # fmt: skip
        return answer.response()

    return router


async def _known(deps: AlertApiDeps, alert_id: str) -> Alert:
    alert = await deps.alerts.get(alert_id)
    if alert is None:
        raise not_found()
    return alert


async def _summary(deps: AlertApiDeps, alert: Alert) -> AlertSummary:
    state: AlertState = "sent"
    if alert.is_closed:
        state = "closed"
    elif not alert.is_selected:
        state = "selecting"
    elif await deps.send_queue.unfinished_jobs(alert.alert_id):
        state = "sending"
    selected, unreachable = await deps.alerts.selections.totals(alert.alert_id)
    return AlertSummary(
        alert_id=alert.alert_id,
        country=alert.country,
        advice_version=alert.advice_version,
        trigger=alert.trigger,
        as_of=alert.as_of,
        state=state,
        selected=selected,
        unreachable=unreachable,
        area=alert.area,
        raised_by=alert.raised_by,
    )


@dataclass(frozen=True, slots=True)
class _Looked:
    """One recipient with all that is known of them."""

    selection: Selection
    chosen: Recipient
    deliveries: Sequence[Delivery]
    given: Sequence[AnswerRecord]
    escalations: Sequence[EscalationRecord]

    @property
    def standing(self) -> RecipientState:
        return recipient_state(self.chosen.channels, self.selection.at, self.deliveries, self.given)


async def _looked_up(deps: AlertApiDeps, alert_id: str, found: Sequence[tuple[Selection, Recipient]]) -> list[_Looked]:
    shards = {chosen.person_id: selection.shard for selection, chosen in found if chosen.person_id is not None}
    steps = await deps.alerts.escalations.by_person(alert_id, shards)
    deliveries = await deps.deliveries.of_recipients(alert_id, shards)
    given = await deps.deliveries.answers.records(alert_id, shards)
    return [
        _Looked(
            selection,
            chosen,
            _with_created(selection, chosen, deliveries.get(chosen.person_id or "", [])),
            given.get(chosen.person_id or "", []),
            steps.get(chosen.person_id or "", []),
        )
        for selection, chosen in found
    ]


def _with_created(selection: Selection, chosen: Recipient, known: Sequence[Delivery]) -> list[Delivery]:
    """Of whom nothing was said yet is selected all the same."""
    said = {each.delivery_id for each in known}
    new = created(selection.alert_id, selection.shard, chosen, selection.step)
    return [*known, *(each for each in new if each.delivery_id not in said)]


async def _everybody(deps: AlertApiDeps, alert_id: str) -> AsyncIterator[_Looked]:
    async for selection in deps.alerts.selections.stream(alert_id):
        for first in range(0, len(selection.recipients), READ_AT_ONCE):
            part = [(selection, chosen) for chosen in selection.recipients[first : first + READ_AT_ONCE]]
            for looked in await _looked_up(deps, alert_id, part):
                yield looked


async def _plan(deps: AlertApiDeps, body: AlertBody, caller: Identity, now: datetime) -> Alert:
    words = {"nl": body.message_nl, "en": body.message_en}
    return await plan_manual_alert(
        deps.selection, body.country, body.region, words, is_drill=body.drill, raised_by=caller.person_id, now=now
    )


def _shown(deps: AlertApiDeps, plan: Alert) -> tuple[ShownMessage, ...]:
    facts = manual_content(plan, deps.university)
    kind: Literal["manual", "drill"] = "drill" if plan.trigger is AlertTrigger.DRILL else "manual"
    link = answer_link(deps.answer_base_url, SHOWN_TOKEN)
    shown = []
    for language in LANGUAGES:
        message = deps.messages.preview(kind, language, facts, name="…", link=link)
        if message.segments > SEGMENT_LIMIT:
            raise invalid(FieldError("body", "is too long for an SMS of three parts"))
        shown.append(
            ShownMessage(
                language=language,
                subject=message.subject,
                text=message.text,
                sms=message.sms or "",
                sms_segments=message.segments,
            )
        )
    return tuple(shown)


async def _select(deps: AlertApiDeps, alert_id: str, cause: Cause) -> None:
    alert = await deps.alerts.get(alert_id)
    if alert is not None:
        await run_selection(deps.selection, alert, cause=cause, now=utc_now())


async def _not_assessable(deps: AlertApiDeps) -> int:
    return await deps.bus.parking.count(deps.bus.group(RegistrationEvent.topic))


def _recipient(looked: _Looked) -> RecipientEntry:
    selection, chosen, found = looked.selection, looked.chosen, looked.standing
    return RecipientEntry(
        person_id=chosen.person_id,
        registration_id=chosen.registration_id,
        reason=chosen.reason,
        area=chosen.area,
        level=chosen.level,
        late=selection.late,
        selected_at=selection.at,
        deliveries=tuple(_delivery(each) for each in sorted(looked.deliveries, key=_order)),
        answer=found.answer,
        status=roll_call_status(found),
        escalations=tuple(
            EscalationEntry(step=each.step, to=each.to, reason=each.reason, by=each.by, at=each.at)
            for each in looked.escalations
        ),
    )


def _order(delivery: Delivery) -> tuple[int, str]:
    return step_of(delivery.delivery_id), delivery.channel


def _delivery(delivery: Delivery) -> DeliveryEntry:
    newest = next((turn for turn in reversed(delivery.history) if turn.counted), None)
    return DeliveryEntry(
        channel=delivery.channel,
        step=step_of(delivery.delivery_id),
        state=delivery.state,
        attempts=delivery.attempts,
        sent_again=delivery.resends,
        reason=newest.reason if newest else "",
        at=newest.at if newest else None,
    )
