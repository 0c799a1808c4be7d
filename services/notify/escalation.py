"""R38: runs the escalation policy, until each recipient has answered or a team has taken over.

It covers the recipients of the last 7 days with whom the conversation goes on, and every cry for help, whatever the
age or the state of its alert. `app.py` runs it every LADDER_SECONDS, in one process at a time. A run may stop anywhere
and be repeated: steps are recorded once (alert_steps.py). If MongoDB fails, the next run does the rest.
See docs/notifications.md, Escalation.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from services.notify import notices
from services.notify.alert_steps import EscalationDeps, PlannedStep, plan_step, record_steps
from services.notify.columns.recipient_columns import Recipient
from services.notify.conversations import endings
from services.notify.messages.content import IncidentContent, common_content
from services.notify.rules.conversation import ESCALATION_ENDS_AFTER
from services.notify.rules.escalation import (
    EscalationDecision,
    EscalationStep,
    Reason,
    decide_escalation,
    recipient_state,
)
from services.notify.rules.routing import route
from services.notify.store.alerts import Alert
from services.notify.store.selections import Selection
from services.notify.store.send_queue import EMERGENCY
from shared.catalogue import Contact
from shared.envelope import Cause
from shared.events import AlertTrigger
from shared.ids import derived_id

#: People in one transaction.
PERSONS_BATCH = 200
NEVER = datetime.fromtimestamp(0, UTC)
#: Selections of one alert that one run checks for each step.
SELECTIONS_BATCH = 50


@dataclass(slots=True)
class _TeamNotice:
    """What one team is told: how many people and why, never who; `cases` only makes the notice's id."""

    contact: Contact
    reasons: Counter[str] = field(default_factory=Counter)
    cases: list[str] = field(default_factory=list)


async def run_escalations(deps: EscalationDeps, now: datetime) -> int:
    """Record every step that is due in any alert; how many. In a drill only a cry for help escalates."""
    asking_for_help = await deps.deliveries.answers.persons_asking_for_help()
    in_conversation = {
        alert.alert_id: alert
        for alert in await deps.alerts.in_conversation(now - ESCALATION_ENDS_AFTER)
        if alert.trigger is not AlertTrigger.DRILL
    }
    count = 0

    async def run(alert_id: str) -> None:
        nonlocal count
        alert = in_conversation.get(alert_id) or await deps.alerts.get(alert_id)
        if alert is not None:
            selections = await _selections_to_check(deps, alert, now) if alert_id in in_conversation else {}
            persons = {*asking_for_help.get(alert_id, ()), *await _persons_to_check(deps, alert, selections)}
            count += await _escalate(deps, alert, selections, sorted(persons), now)

    for alert_id in dict.fromkeys((*in_conversation, *asking_for_help)):
        await deps.set_aside.attempt("escalation", alert_id, partial(run, alert_id))
    return count


async def _escalate(
    deps: EscalationDeps,
    alert: Alert,
    selections: dict[EscalationStep, list[Selection]],
    persons: Sequence[str],
    now: datetime,
) -> int:
    steps_due: dict[EscalationStep, list[PlannedStep]] = defaultdict(list)
    for start in range(0, len(persons), PERSONS_BATCH):
        for step, planned in await _steps_due(deps, alert, persons[start : start + PERSONS_BATCH], now):
            steps_due[step].append(planned)
    # The mails come first: after a crash in between, the next run creates the same mails again, under the same ids.
    await _notify_teams(deps, alert, steps_due[EscalationStep.CRISIS_TEAM], now)
    for step, planned_steps in steps_due.items():
        for start in range(0, len(planned_steps), PERSONS_BATCH):
            batch = planned_steps[start : start + PERSONS_BATCH]
            await record_steps(deps, alert, step, batch, "rules", Cause(alert.alert_id, "ladder"), now)
    for step, checked in selections.items():
        for selection in checked:
            await deps.alerts.selections.note_checked(selection.selection_id, step.name)
    return sum(len(planned_steps) for planned_steps in steps_due.values())


async def _selections_to_check(
    deps: EscalationDeps, alert: Alert, now: datetime
) -> dict[EscalationStep, list[Selection]]:
    """The selections for which the waiting time of a step is over."""
    waits = {EscalationStep.REMINDER: deps.policy.reminder, EscalationStep.CRISIS_TEAM: deps.policy.crisis_team}
    since = max(now - ESCALATION_ENDS_AFTER, alert.closed_at or NEVER)
    return {
        step: await deps.alerts.selections.not_checked(alert.alert_id, step.name, since, now - wait, SELECTIONS_BATCH)
        for step, wait in waits.items()
    }


async def _persons_to_check(
    deps: EscalationDeps, alert: Alert, selections: dict[EscalationStep, list[Selection]]
) -> list[str]:
    """Everyone in those selections, and everyone whose answer, failed message or lack of an address may need a step.

    Nobody when no selection is to be checked for the alert: then only cries for help escalate.
    """
    if not selections:
        return []
    persons = await deps.deliveries.answers.persons_who_answered(alert.alert_id, ("wrong_person",))
    persons += await deps.deliveries.persons_with_failures(alert.alert_id)
    for selection in await deps.alerts.selections.with_unreachable(alert.alert_id):
        persons += [str(recipient.person_id) for recipient in selection.recipients if not recipient.channels]
    for of_step in selections.values():
        persons += [str(recipient.person_id) for selection in of_step for recipient in selection.recipients]
    return persons


async def _steps_due(
    deps: EscalationDeps, alert: Alert, persons: Collection[str], now: datetime
) -> list[tuple[EscalationStep, PlannedStep]]:
    """The next step of each person that is due now."""
    recipients = await deps.alerts.selections.recipients_by_person(alert.alert_id, persons)
    records = await deps.alerts.escalations.by_person(alert.alert_id, persons)
    shards = {person: selection.shard for person, (selection, _) in recipients.items()}
    deliveries = await deps.deliveries.of_recipients(alert.alert_id, shards)
    answers = await deps.deliveries.answers.records(alert.alert_id, persons)
    ended = await endings(deps.conversations, alert, recipients, now)
    steps = []
    for person, (selection, recipient) in recipients.items():
        of_person = records.get(person, ())
        state = recipient_state(
            recipient.channels,
            selection.at,
            deliveries.get(person, ()),
            answers.get(person, ()),
            of_person,
            ended.get(person),
        )
        steps_taken = {record.step for record in of_person}
        decision = decide_escalation(state, steps_taken, deps.policy, now)
        if decision.step is not None:
            steps.append((decision.step, _planned(deps, decision, selection, recipient)))
    return steps


def _planned(
    deps: EscalationDeps, decision: EscalationDecision, selection: Selection, recipient: Recipient
) -> PlannedStep:
    if decision.step is EscalationStep.SECOND_SMS:
        channel = deps.policy.repeated_channel
        return plan_step(selection, recipient, (channel,), channel.value, decision.reason)
    if decision.step is EscalationStep.REMINDER:
        return plan_step(selection, recipient, recipient.channels, "reminder", decision.reason, "reminder")
    return plan_step(selection, recipient, (), "crisis-unit", decision.reason, answer_id=decision.answer_id)


async def _notify_teams(deps: EscalationDeps, alert: Alert, steps: Sequence[PlannedStep], now: datetime) -> None:
    """R38: create one mail for each team that takes over. It holds counts and reasons; the board shows the names."""
    university = deps.notices.catalogue.university
    registrations = {str(step.recipient.registration_id) for step in steps}
    whereabouts = await deps.whereabouts.load(registrations)
    teams: dict[str, _TeamNotice] = {}
    for step in steps:
        where = whereabouts.get(str(step.recipient.registration_id))
        decision = route(
            university.incident_routing,
            where.faculty_id if where else "",
            serious=step.reason == Reason.HELP,
            otherwise=university.safety_officers,
        )
        for contact in decision.contacts:
            team = teams.setdefault(contact.email, _TeamNotice(contact))
            team.reasons[step.reason] += 1
            team.cases.append(f"{step.person_id}/{step.answer_id}" if step.answer_id else step.person_id)
    for team in teams.values():
        content = IncidentContent(
            **common_content(university),
            alert_id=alert.alert_id,
            country=alert.country,
            reasons=tuple(sorted(team.reasons.items())),
            at=now,
            is_closed=alert.is_closed,
            is_drill=alert.trigger is AlertTrigger.DRILL,
        )
        key = derived_id("incident", alert.alert_id, team.contact.email, *sorted(team.cases))
        notice_id = notices.notice_id(key)
        recipient = notices.office_recipient(team.contact, "incident")
        cause = Cause(alert.alert_id, "ladder")
        await notices.create_notice(deps.notices, notice_id, "0", (recipient,), content, cause, now, priority=EMERGENCY)
