"""Alerts over HTTP: list them, see how far one is, preview one, raise one, close one, reopen one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Response
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator
from starlette.background import BackgroundTask

from services.notify.api.not_assessable import count_not_assessable
from services.notify.audience.deps import SelectionDeps
from services.notify.audience.manual_alerts import EmptyDrillList, plan_manual_alert
from services.notify.audience.preview import preview_audience
from services.notify.audience.selection_run import run_selection
from services.notify.commands.alerts import CommandDeps, raise_alert, reopen_alert
from services.notify.commands.closing import close_alert
from services.notify.commands.raised_twice import open_alerts_there
from services.notify.message_content import manual_content
from services.notify.messages.links import answer_link
from services.notify.messages.rendering import Messages
from services.notify.messages.sms import SEGMENT_LIMIT
from services.notify.messages.wording import LANGUAGES
from services.notify.model.answers import AnswerRecord, open_cries
from services.notify.model.deliveries import DeliveryState
from services.notify.rules.escalation import RollCallStatus
from services.notify.rules.handing_over import Assignment
from services.notify.store.alerts import Alert
from services.notify.store.callbacks import TO_BE_READ, CallbackStore
from services.notify.store.send_queue import SendQueue
from shared.bus.bus import Bus
from shared.clock import utc_now
from shared.command import Command
from shared.envelope import Cause
from shared.events import AlertTrigger, Channel, Identifier, Part
from shared.fields import AlertMessage, CountryCode, ReasonText, RegionOfCountry, is_region_of
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Session
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.idempotency import Answer, Idempotency, run_once
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.problem import FieldError, Problem, invalid, not_found
from shared.web.routes import RouteClass, Routes

Officer = Annotated[Identity, Depends(require("safety-officer"))]
Reader = Annotated[Identity, Depends(require("safety-officer", "crisis-team", "international-office", "auditor"))]
AlertId = Annotated[Identifier, Path()]

AlertState = Literal["selecting", "sending", "sent", "closed"]
#: Stands for the recipient's own answer link in a message that is only shown.
EXAMPLE_TOKEN = "0" * 22


class AlertSummary(Part):
    """One alert in a list. `sent`: every message has been attempted, which does not mean that it arrived."""

    alert_id: str
    country: str
    advice_version: int
    trigger: AlertTrigger
    as_of: datetime
    state: AlertState
    selected: int
    unreachable: int = Field(description="Recipients without any usable channel")
    area: str | None = Field(default=None, description="Manual alert: the region; null: the whole country")
    raised_by: str | None = Field(default=None, description="Manual alert: personId of the officer")
    closed_at: datetime | None = None
    asking_for_help: int = Field(
        default=0, description="Recipients whose cry for help stands: no officer has heard since that they are safe"
    )
    help_since_closing: int = Field(
        default=0, description="Of these, how many cried after the alert was closed: it can be reopened"
    )


class Answers(Part):
    """How many recipients gave which answer. No answer never means safe."""

    safe: int
    help: int
    none: int


class AlertInFull(AlertSummary):
    """One alert with how far it is."""

    deliveries: dict[Channel, dict[DeliveryState, int]] = Field(description="Channel → state → deliveries")
    sent_again: int = Field(description="Deliveries sent again after `unknown`; each may have arrived twice")
    answers: Answers
    unclear_replies: int = Field(
        description="SMS replies, to any alert, that a human has to read, and posts that could not be read"
    )
    not_assessable: int = Field(
        description="Registrations that nobody can assess: parked, or beyond what the rules can judge"
    )
    templates: dict[str, str] | None = None


class AlertBody(Body):
    """An alert to everyone in a place, in the officer's own words. Both languages are sent to everyone."""

    country: CountryCode
    region: RegionOfCountry | None = None
    message_nl: AlertMessage
    message_en: AlertMessage
    drill: bool = Field(default=False, description="A drill reaches only addresses on the configured list")
    alerts_known: bool = Field(
        default=False, description="True: the officer knows of the open alerts for this place, and means one more"
    )

    @model_validator(mode="after")
    def _in_the_country(self) -> "AlertBody":
        if self.region is not None and not is_region_of(self.region, self.country):
            raise ValueError("the region is not one of the country")
        return self


class ShownMessage(Part):
    """How a message will read."""

    language: Literal["nl", "en"] = Field(description="The recipient's own language, which stands first")
    subject: str
    text: str
    sms: str
    sms_segments: int


class OpenAlertEntry(Part):
    """An open alert of an officer, in earnest or as a drill like the new one, that told people in the same place."""

    alert_id: str
    identical: bool = Field(description="The same place and the same words")
    region: str | None
    raised_by: str | None
    as_of: datetime


class AlertPreview(Part):
    """Whom an alert would reach now, and what it would say. Nothing is stored and nobody is told."""

    recipients: int
    unreachable: int = Field(description="Of these, without any usable channel")
    uncertain: int = Field(description="Of these, in a place that cannot be resolved: told all the same")
    by_region: dict[str, int] = Field(description="ISO 3166-2 → recipients; empty key: region not known")
    not_assessable: int
    messages: tuple[ShownMessage, ...]
    open_alerts: tuple[OpenAlertEntry, ...] = Field(
        default=(), description="To raise the alert all the same, `alertsKnown` has to be true"
    )


class HandOverEntry(Body):
    """Who takes care of recipients who are not safe: of one person, of all with one status, or of all others."""

    owner: str = Field(
        min_length=1,
        max_length=80,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        description="personId of a member of staff, or a team, such as `crisis-unit`; no name, no address",
    )
    status: RollCallStatus | None = Field(default=None, description="Everybody with this status on the board")
    person_id: Identifier | None = Field(default=None, description="This recipient alone")

    @model_validator(mode="after")
    def _names_one_thing(self) -> "HandOverEntry":
        if self.status is not None and self.person_id is not None:
            raise ValueError("name a status or a person, not both")
        if self.status is RollCallStatus.SAFE:
            raise ValueError("who is safe needs no owner")
        return self


class ClosureBody(Body):
    """Why an alert is closed, and who goes on with the open cases. No personal data: it becomes part of the record."""

    reason: ReasonText
    hand_over: tuple[HandOverEntry, ...] = Field(
        default=(), max_length=250, description="The owner of each recipient who is not safe; the most specific counts"
    )


class ReopeningBody(Body):
    """Why a closed alert is opened again. No personal data: the reason becomes part of the record."""

    reason: ReasonText


@dataclass(frozen=True, slots=True)
class AlertApiDeps:
    """What the routes need."""

    commands: CommandDeps
    selection: SelectionDeps
    send_queue: SendQueue
    callbacks: CallbackStore
    bus: Bus
    messages: Messages
    live: LiveCatalogue
    answer_base_url: str


def routes(deps: AlertApiDeps) -> Routes:
    """Alerts."""
    router = Routes(RouteClass.USER, tags=["alerts"])
    alerts, deliveries = deps.commands.alerts, deps.commands.deliveries

    @router.get("/v1/alerts", operation_id="listAlerts")
    async def list_alerts(caller: Reader, paged: Paged) -> Page[AlertSummary]:
        """Alerts, newest first; before all others those in which a recipient asks for help, closed or not."""
        asking = await deliveries.answers.persons_asking_for_help()
        page = await alerts.page(paged.skip, paged.fetch, first=asking)
        return paged.page([await _summary(deps, alert) for alert in page])

    @router.post("/v1/alerts/preview", operation_id="previewAlert")
    async def preview(caller: Officer, body: AlertBody, idempotency: Idempotency, response: Response) -> AlertPreview:
        """Whom an alert would reach now, decided as for a real alert, and how its messages will read."""
        now = utc_now()
        plan = await _plan(deps, body, caller, now)
        size = await preview_audience(deps.selection, body.country, body.region, is_drill=body.drill, now=now)
        shown = AlertPreview(
            recipients=size.recipients,
            unreachable=size.unreachable,
            uncertain=size.uncertain,
            by_region=size.by_region,
            not_assessable=await count_not_assessable(deps.bus, deps.selection.whereabouts.unjudged),
            messages=_example_messages(deps, plan),
            open_alerts=tuple(OpenAlertEntry.model_validate(entry) for entry in await open_alerts_there(alerts, plan)),
        )

        async def answer(session: Session) -> Answer:
            return Answer(200, shown.model_dump(mode="json", by_alias=True))

        stored = await run_once(deps.commands.mongo, deps.commands.database, idempotency, answer)
        return AlertPreview.model_validate(stored.body)

    @router.post("/v1/alerts", operation_id="raiseAlert", status_code=201)
    async def raise_manual_alert(
        caller: Officer, body: AlertBody, idempotency: Idempotency, cause: CauseOf, response: Response
    ) -> JSONResponse:
        """Alert everyone in a place. 201: it is stored and will be sent, whatever happens to this process.

        Refused (R27) while an alert for the same place is open, unless `alertsKnown` is true.
        """
        now = utc_now()
        plan = await _plan(deps, body, caller, now)
        command = Command(caller.person_id, None, idempotency, cause, now)
        answer = await raise_alert(deps.commands, command, deps.selection, plan, alerts_known=body.alerts_known)
        # The sweep would start the selection run within seconds; this starts it at once.
        answered = answer.response()
        answered.background = BackgroundTask(_run_selection, deps, answer.body["alertId"], cause)
        return answered

    @router.get("/v1/alerts/{alert_id}", operation_id="getAlert")
    async def get_alert(caller: Reader, alert_id: AlertId) -> AlertInFull:
        """One alert with the deliveries by channel and state, and the answers."""
        alert = await alerts.get(alert_id)
        if alert is None:
            raise not_found()
        summary = await _summary(deps, alert)
        answers = list((await deliveries.answers.standing_by_person(alert_id)).values())
        not_assessable = await count_not_assessable(deps.bus, deps.selection.whereabouts.unjudged)
        counts = await deliveries.counts(alert_id)
        return AlertInFull(
            **summary.model_dump(),
            deliveries={
                Channel(channel): {DeliveryState(state): count for state, count in states.items()}
                for channel, states in counts.items()
            },
            sent_again=await deliveries.resent(alert_id),
            answers=Answers(
                safe=answers.count("safe"), help=answers.count("help"), none=max(0, summary.selected - len(answers))
            ),
            unclear_replies=await deps.callbacks.count(*TO_BE_READ),
            not_assessable=not_assessable,
        )

    @router.post("/v1/alerts/{alert_id}/closure", operation_id="closeAlert", status_code=201)
    async def close(
        caller: Officer, alert_id: AlertId, body: ClosureBody, idempotency: Idempotency, cause: CauseOf,
        response: Response,
    ) -> JSONResponse:  # fmt: skip
        """End the messages, reminders and escalation for everyone selected until now. Who comes later is still told.

        Refused (R38) until each recipient who is not safe has an owner. Answers are still taken; help still escalates.
        """
        command = Command(caller.person_id, None, idempotency, cause, utc_now())
        assignments = [Assignment(entry.owner, entry.status, entry.person_id) for entry in body.hand_over]
        return (await close_alert(deps.commands, command, alert_id, body.reason, assignments)).response()

    @router.post("/v1/alerts/{alert_id}/reopening", operation_id="reopenAlert", status_code=201)
    async def reopen(
        caller: Officer, alert_id: AlertId, body: ReopeningBody, idempotency: Idempotency, cause: CauseOf,
        response: Response,
    ) -> JSONResponse:  # fmt: skip
        """Open a closed alert again: the reminders and the escalation go on for recipients without an answer."""
        command = Command(caller.person_id, None, idempotency, cause, utc_now())
        return (await reopen_alert(deps.commands, command, alert_id, body.reason)).response()

    return router


async def _summary(deps: AlertApiDeps, alert: Alert) -> AlertSummary:
    state: AlertState = "sent"
    if alert.is_closed:
        state = "closed"
    elif not alert.is_selected:
        state = "selecting"
    elif await deps.send_queue.unfinished_jobs(alert.alert_id):
        state = "sending"
    selected, unreachable = await deps.commands.alerts.selections.totals(alert.alert_id)
    cries = await _standing_cries(deps, alert.alert_id)
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
        closed_at=alert.closed_at,
        asking_for_help=len(cries),
        help_since_closing=sum(alert.closed_at is not None and cry.order[0] > alert.closed_at for cry in cries),
    )


async def _standing_cries(deps: AlertApiDeps, alert_id: str) -> list[AnswerRecord]:
    """The newest cry for help of each recipient whose cry stands."""
    answers = deps.commands.deliveries.answers
    persons = await answers.persons_who_answered(alert_id, ("help",))
    return [open_cries(records)[-1] for records in (await answers.records(alert_id, persons)).values()]


async def _plan(deps: AlertApiDeps, body: AlertBody, caller: Identity, now: datetime) -> Alert:
    messages = {"nl": body.message_nl, "en": body.message_en}
    try:
        return await plan_manual_alert(
            deps.selection, body.country, body.region, messages, is_drill=body.drill, raised_by=caller.person_id,
            now=now,
        )  # fmt: skip
    except EmptyDrillList as error:
        raise Problem(409, str(error), type_="empty-drill-list", reason="drill_list_empty") from None


def _example_messages(deps: AlertApiDeps, plan: Alert) -> tuple[ShownMessage, ...]:
    """The planned alert's message in each language. Raises a problem when its SMS takes more than three parts."""
    content = manual_content(plan, deps.live.current.university)
    kind: Literal["manual", "drill"] = "drill" if plan.trigger is AlertTrigger.DRILL else "manual"
    link = answer_link(deps.answer_base_url, EXAMPLE_TOKEN)
    shown = []
    for language in LANGUAGES:
        message = deps.messages.preview(kind, language, content, name="…", link=link)
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


async def _run_selection(deps: AlertApiDeps, alert_id: str, cause: Cause) -> None:
    alert = await deps.selection.alerts.get(alert_id)
    if alert is not None:
        await run_selection(deps.selection, alert, cause=cause, now=utc_now())
