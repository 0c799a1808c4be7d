"""The ladder (R38): who does not answer, cannot be reached or asks for help, step by step until somebody has spoken.

Every step may be repeated by anybody at any time: what was taken already is met again by its number.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from services.notify import notices
from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.messages.content import AnswerContent, AnyContent, IncidentContent, common_content
from services.notify.model.answers import AnswerRecord, is_verified, standing_answer
from services.notify.model.deliveries import FAILURES, Delivery, DeliveryState, step_of
from services.notify.rules.escalation import (
    NEW_ADDRESS,
    EscalationDecision,
    EscalationPolicy,
    EscalationStep,
    Reason,
    RecipientState,
    decide_escalation,
)
from services.notify.rules.routing import route
from services.notify.store.alerts import Alert, AlertStore
from services.notify.store.contacts import ChangedAddress
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.escalations import EscalationRecord
from services.notify.store.selections import Selection
from services.notify.store.send_queue import EMERGENCY, SendQueue, send_jobs
from services.notify.store.whereabouts import WhereaboutsStore
from shared.bus.outbox import Outbox
from shared.catalogue import Contact
from shared.envelope import Cause, Draft
from shared.errors import TransientError
from shared.events import AlertEscalated, AlertTrigger, Channel, PersonAnswered
from shared.ids import derived_id
from shared.mongo.client import DuplicateKeyError, Mongo, Session
from shared.observability.logs import get_logger

#: An alert older than this has no ladder any more: whoever is still open is in the hands of the teams.
LADDER_AGE = timedelta(days=7)
#: So many people are escalated in one transaction, and so many selections looked at for each alert and look.
AT_ONCE, SELECTIONS_AT_ONCE = 200, 50
RENEWED_AT_ONCE = 500
ATTEMPTS = 8
#: Steps that confirm an answer; a number for each answer, so each is confirmed once for an alert.
CONFIRMATIONS: Mapping[str, int] = {"safe": 5, "help": 6}

#: From the least to the most that is known of a message; a failure of any kind is no hope.
_RANK = tuple(DeliveryState)

log = get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EscalationDeps:
    """Where the ladder gets its facts and leaves its work."""

    mongo: Mongo
    outbox: Outbox
    alerts: AlertStore
    send_queue: SendQueue
    deliveries: DeliveryStore
    whereabouts: WhereaboutsStore
    notices: notices.NoticeDeps
    ladder: EscalationPolicy = field(default_factory=EscalationPolicy)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step for one person: to whom it goes, why, and by which message; without channels nothing is sent to them."""

    chosen: Recipient
    selection: Selection
    to: str
    reason: str


def recipient_state(
    chosen: Recipient, at: datetime, deliveries: Sequence[Delivery], given: Sequence[AnswerRecord]
) -> RecipientState:
    """What is known of one recipient: the best of all steps counts for a channel, and no channel is no hope."""
    states: dict[Channel, DeliveryState] = {}
    for channel in chosen.channels:
        known = [each.state for each in deliveries if each.channel is channel and not _is_confirmation(each)]
        hopeful = [state for state in known if state not in FAILURES]
        best = max(hopeful, key=_RANK.index, default=DeliveryState.CREATED)
        states[channel] = best if hopeful or not known else DeliveryState.FAILED
    return RecipientState(at, standing_answer(given), is_verified(given), states)


def _is_confirmation(delivery: Delivery) -> bool:
    return step_of(delivery.delivery_id) in CONFIRMATIONS.values()


async def run_escalations(deps: EscalationDeps, now: datetime) -> int:
    """Look at every open alert once: who is due for the next step gets it. How many steps were taken."""
    taken = 0
    for alert in await deps.alerts.open_since(now - LADDER_AGE):
        if alert.trigger is not AlertTrigger.DRILL:
            taken += await _climb(deps, alert, now)
    return taken


async def _climb(deps: EscalationDeps, alert: Alert, now: datetime) -> int:
    urgent = await deps.deliveries.answers.persons_who_answered(alert.alert_id, ("help", "wrong_person"))
    urgent += await deps.deliveries.persons_with_failures(alert.alert_id)
    for selection in await deps.alerts.selections.with_unreachable(alert.alert_id):
        urgent += [str(each.person_id) for each in selection.recipients if not each.channels]
    due_now: dict[EscalationStep, list[Selection]] = {}
    for rung, wait in (
        (EscalationStep.REMINDER, deps.ladder.reminder),
        (EscalationStep.CRISIS_TEAM, deps.ladder.crisis_team),
    ):
        due_now[rung] = await deps.alerts.selections.not_checked(
            alert.alert_id, rung.name, now - wait, SELECTIONS_AT_ONCE
        )
        urgent += [str(each.person_id) for selection in due_now[rung] for each in selection.recipients]
    persons = sorted(set(urgent))
    due: dict[EscalationStep, list[PlannedStep]] = defaultdict(list)
    for first in range(0, len(persons), AT_ONCE):
        for rung, step in await _look(deps, alert, persons[first : first + AT_ONCE], now):
            due[rung].append(step)
    # Before the step is noted: who dies in between writes the same mail again, which is then met.
    await _tell_teams(deps, alert, due[EscalationStep.CRISIS_TEAM], now)
    for rung, steps in due.items():
        for first in range(0, len(steps), AT_ONCE):
            part = steps[first : first + AT_ONCE]
            await record_steps(deps, alert, rung, part, "rules", Cause(alert.alert_id, "ladder"), now)
    for rung, selections in due_now.items():
        for selection in selections:
            await deps.alerts.selections.note_checked(selection.selection_id, rung.name)
    return sum(len(steps) for steps in due.values())


async def _look(
    deps: EscalationDeps, alert: Alert, persons: Collection[str], now: datetime
) -> list[tuple[EscalationStep, PlannedStep]]:
    """Decide for these persons: the steps that are due."""
    chosen = await deps.alerts.selections.recipients_by_person(alert.alert_id, persons)
    noted = await deps.alerts.escalations.by_person(alert.alert_id, persons)
    taken = {person: {step.step for step in steps} for person, steps in noted.items()}
    shards = {person: selection.shard for person, (selection, _) in chosen.items()}
    deliveries = await deps.deliveries.of_recipients(alert.alert_id, shards)
    given = await deps.deliveries.answers.records(alert.alert_id, persons)
    due = []
    for person, (selection, each) in chosen.items():
        known = recipient_state(each, selection.at, deliveries.get(person, ()), given.get(person, ()))
        decision = decide_escalation(known, taken.get(person, ()), deps.ladder, now)
        if decision.step is not None:
            due.append((decision.step, _step(decision, selection, each)))
    return due


def _step(decision: EscalationDecision, selection: Selection, chosen: Recipient) -> PlannedStep:
    if decision.step is EscalationStep.SECOND_SMS:
        return PlannedStep(_by(chosen, chosen.kind, (Channel.SMS,)), selection, Channel.SMS.value, decision.reason)
    if decision.step is EscalationStep.REMINDER:
        return PlannedStep(_by(chosen, "reminder", chosen.channels), selection, "reminder", decision.reason)
    return PlannedStep(_by(chosen, chosen.kind, ()), selection, "crisis-unit", decision.reason)


def _by(chosen: Recipient, kind: str, channels: tuple[Channel, ...]) -> Recipient:
    return chosen._replace(kind=kind, channels=channels)


async def record_steps(
    deps: EscalationDeps,
    alert: Alert,
    number: int,
    steps: Sequence[PlannedStep],
    by: str,
    cause: Cause,
    now: datetime,
    *,
    facts: AnyContent | None = None,
    is_escalation: bool = True,
) -> None:
    """One step for some persons: the facts, the note, and the work of sending it, in one transaction."""
    persons = [str(each.chosen.person_id) for each in steps]

    async def work(session: Session) -> int:
        noted = await deps.alerts.escalations.by_person(alert.alert_id, persons, session)
        already = {person for person, known in noted.items() if any(each.step == number for each in known)}
        already |= await deps.alerts.selections.persons_in_step(alert.alert_id, number, persons, session)
        left = [each for each in steps if each.chosen.person_id not in already]
        if not left:
            return 0
        if is_escalation:
            await _say(deps, alert, number, left, by, cause, now, session)
        by_shard: dict[int, list[Recipient]] = defaultdict(list)
        for each in left:
            if each.chosen.channels:
                by_shard[each.selection.shard].append(each.chosen)
        for shard, recipients in sorted(by_shard.items()):
            made = _selection(alert, number, shard, recipients, cause, now, facts)
            await deps.alerts.selections.insert([made], session)
            await deps.send_queue.add(send_jobs(made, EMERGENCY), now, session)
        return len(left)

    count = await _repeated(deps, work)
    if count:
        log.info("escalated", alert_id=alert.alert_id, kind=str(number), count=count)


async def _say(
    deps: EscalationDeps,
    alert: Alert,
    number: int,
    steps: Sequence[PlannedStep],
    by: str,
    cause: Cause,
    now: datetime,
    session: Session,
) -> None:
    drafts, notes = [], []
    for each in steps:
        person = str(each.chosen.person_id)
        event = AlertEscalated(
            alert_id=alert.alert_id, person_id=person, step=number, to=each.to, reason=each.reason, by=by
        )
        drafts.append(Draft(event, derived_id("escalated", alert.alert_id, person, str(number))))
        notes.append(EscalationRecord.of(event, now))
    expected = await deps.outbox.version(alert.alert_id, session)
    await deps.outbox.append(drafts, expected=expected, cause=cause, now=now, session=session)
    await deps.alerts.escalations.add(alert.alert_id, notes, session)


def _selection(
    alert: Alert,
    number: int,
    shard: int,
    recipients: Sequence[Recipient],
    cause: Cause,
    now: datetime,
    facts: AnyContent | None,
) -> Selection:
    name = derived_id("step", str(number), *(str(each.person_id) for each in recipients))
    return Selection(
        selection_id=f"{alert.alert_id}:{shard}:{name}",
        alert_id=alert.alert_id,
        shard=shard,
        late=False,
        at=now,
        recipients=RecipientColumns.from_recipients(recipients),
        facts=facts.model_dump(mode="json") if facts is not None else None,
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
        step=number,
    )


async def _tell_teams(deps: EscalationDeps, alert: Alert, steps: Sequence[PlannedStep], now: datetime) -> None:
    """R38: one mail to each team that takes over, with how many people and why; who they are stands on the board."""
    university = deps.notices.catalogue.university
    registrations = {str(each.chosen.registration_id) for each in steps}
    where = await deps.whereabouts.load(registrations)
    teams: dict[str, tuple[Contact, Counter[str], list[str]]] = {}
    for each in steps:
        known = where.get(str(each.chosen.registration_id))
        table = university.incident_routing
        found = route(
            table,
            known.faculty_id if known else "",
            serious=each.reason == Reason.HELP,
            otherwise=university.safety_officers,
        )
        for contact in found.contacts:
            team = teams.setdefault(contact.email, (contact, Counter(), []))
            team[1][each.reason] += 1
            team[2].append(str(each.chosen.person_id))
    for contact, reasons, persons in teams.values():
        facts = IncidentContent(
            **common_content(university),
            alert_id=alert.alert_id,
            country=alert.country,
            reasons=tuple(sorted(reasons.items())),
            at=now,
        )
        notice_id = f"n-{derived_id('incident', alert.alert_id, contact.email, *sorted(persons))}"
        recipient = notices.office_recipient(contact, "incident")
        cause = Cause(alert.alert_id, "ladder")
        await notices.create_notice(deps.notices, notice_id, "0", (recipient,), facts, cause, now, priority=EMERGENCY)


async def alert_new_addresses(deps: EscalationDeps, cause: Cause, now: datetime) -> None:
    """Whoever changed an address after it was read for an alert is told once more, at the new one."""
    for renewed in await deps.whereabouts.contacts.changed_addresses(RENEWED_AT_ONCE):
        for alert in await deps.alerts.open_since(now - LADDER_AGE):
            await _tell_at_new_address(deps, alert, renewed, cause, now)
        await deps.whereabouts.contacts.note_handled(renewed)


async def _tell_at_new_address(
    deps: EscalationDeps, alert: Alert, renewed: ChangedAddress, cause: Cause, now: datetime
) -> None:
    where = renewed.where
    found = (await deps.alerts.selections.recipients_by_person(alert.alert_id, [where.person_id])).get(where.person_id)
    if found is None or found[1].registration_id != where.registration_id:
        return
    selection, chosen = found
    given = (await deps.deliveries.answers.records(alert.alert_id, [where.person_id])).get(where.person_id, [])
    if standing_answer(given) == "safe" and is_verified(given):
        return
    # Addresses are read when a worker claims the send job; before that the new ones are simply used.
    read = [each for each in renewed.channels
            if await deps.send_queue.addresses_as_of(alert.alert_id, selection.selection_id, each)]  # fmt: skip
    channels = tuple(channel for channel in read if channel in chosen.channels)
    if channels:
        step = PlannedStep(_by(chosen, chosen.kind, channels), selection, "+".join(channels), "contact_changed")
        await record_steps(deps, alert, NEW_ADDRESS + where.version, [step], "rules", cause, now)


async def confirm_answer(deps: EscalationDeps, event: PersonAnswered, cause: Cause, now: datetime) -> None:
    """The mail that says that an answer was received; nobody gets it for what an officer wrote down."""
    if event.via == "officer" or event.answer == "wrong_person":
        return
    alert = await deps.alerts.get(event.alert_id)
    found = (await deps.alerts.selections.recipients_by_person(event.alert_id, [event.person_id])).get(event.person_id)
    if alert is None or found is None or Channel.EMAIL not in found[1].channels:
        return
    selection, chosen = found
    facts = AnswerContent(
        **common_content(deps.notices.catalogue.university),
        country=alert.country,
        answer=event.answer,
        answered_at=event.answered_at,
    )
    step = PlannedStep(_by(chosen, "answer_received", (Channel.EMAIL,)), selection, "email", "answered")
    number = CONFIRMATIONS[event.answer]
    await record_steps(deps, alert, number, [step], "rules", cause, now, facts=facts, is_escalation=False)


async def _repeated(deps: EscalationDeps, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    """A transaction that somebody else's write may push aside: looked at again, a few times."""
    for _ in range(ATTEMPTS):
        try:
            return await deps.mongo.transaction(work)
        except DuplicateKeyError:
            continue
    raise TransientError("an alert is being written all the time")
