"""Shows the answers of the audit to people, as tables and lines of text."""

from datetime import datetime
from typing import Any

import orjson
from rich.table import Column, Table

from shared.audit.alert_history import AlertHistory, because, proof
from shared.audit.output import show

#: People of one alert that the table shows; --json shows all.
MAX_PEOPLE = 50


def show_history(history: AlertHistory) -> None:
    """Show the steps, a table of people, and the proof."""
    lines = [
        f"{utc_time(fact.at)}  {fact.text}" + (f"  [{fact.place}]" if fact.place else "") for fact in history.facts()
    ]
    verdict = history.verdict
    table = people_table(history)
    hidden = len(history.told) - MAX_PEOPLE
    more = [f"… and {hidden} more people (--json shows all)"] if hidden > 0 else []
    show(*lines, table, *more, *_proof_lines(proof(verdict)))


def people_table(history: AlertHistory) -> Table:
    """One row for each of the first people: why they were selected, their messages, answers and escalation steps."""
    verdict = history.verdict
    # A cut id finds nobody: it stands whole, and the other cells wrap.
    columns = (Column(name, overflow="fold") for name in
               ("selected", "why", "accepted", "delivered", "failed", "unknown", "answered", "escalated"))  # fmt: skip
    table = Table(Column("person", no_wrap=True), *columns, title=f"{len(history.told)} people")
    for _, told in sorted(history.told.items())[:MAX_PEOPLE]:
        outcomes = (
            ", ".join(f"{message.channel} {_clock(message.outcomes[outcome])}" for message in told.messages.values()
                      if outcome in message.outcomes)
            for outcome in ("accepted", "delivered", "failed", "unknown")
        )  # fmt: skip
        answers = ", ".join(f"{answer} by {via} {_clock(at)}" for at, answer, via in told.answers)
        steps = ", ".join(f"step {step} to {to}: {reason}" for _, step, to, reason in told.escalations)
        table.add_row(told.person_id, _clock(told.selected_at) + (" late" if told.late else ""),
                      because(verdict.because.get(told.person_id)), *outcomes, answers, steps)  # fmt: skip
    return table


def _proof_lines(comparison: dict[str, Any]) -> list[str]:
    lines = [
        f"Proof of completeness, recomputed from events alone: {comparison['must']} must, {comparison['may']} may, "
        f"{comparison['selected']} were selected."
    ]
    for kind in ("missed", "unexpected", "concurrent"):
        people = comparison[kind][:MAX_PEOPLE]
        lines += [f"{kind}: {person['personId']}: {person['because']}" for person in people]
    holds = "Nobody was missed and nobody was told without reason."
    lines.append(holds if comparison["holds"] else "The promise is BROKEN.")
    return lines


def show_state(document: dict[str, Any]) -> None:
    """Show the state at an instant, value by value, with the event behind each."""
    lines: list[str] = [f"What was known at {utc_time(document['at'])}, from {document['events']} events:"]
    for known in document["known"]:
        lines.append(f"\n{known['service']} {known['kind']} {known['id']}, version {known['version']}")
        for name, value in known["state"].items():
            by = known["because"][name]
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            text = text if len(text) <= 70 else f"{text[:67]}..."
            lines.append(f"  {name} = {text}    [{by['type']} {utc_time(by['at'])} {by['place']}]")
    for alert in document["alerts"]:
        closed = f", closed {utc_time(alert['closed_at'])}" if alert["closed_at"] else ""
        lines.append(
            f"\nalert {alert['alert_id']} ({alert['trigger']}) raised {utc_time(alert['raised_at'])}{closed}: "
            f"{alert['selected']} selected, {alert['escalated']} escalated, answers {alert['answers'] or 'none'}"
        )
        lines += [f"  {channel}: {counts}" for channel, counts in sorted(alert["deliveries"].items())]
    for told in document["told"]:
        details = " ".join(f"{name}={value}" for name, value in told.items() if name not in ("at", "alertId", "what"))
        lines.append(f"{utc_time(told['at'])}  {told['alertId']}: {told['what']} {details}")
    if document["there"]:
        lines.append(f"\n{len(document['there'])} registrations there on that day:")
    for person in document["there"]:
        legs = ", ".join(f"{leg['startDate']} to {leg['endDate']} {_where(leg)}".strip() for leg in person["legs"])
        lines.append(f"  {person['personId']} ({person['registrationId']}): {legs}")
    if document["erasedAt"]:
        lines.append(f"erased {utc_time(document['erasedAt'])}: sealed fields are unreadable for ever")
    show(*lines)


def _where(leg: dict[str, Any]) -> str:
    """The region of a leg: chosen, or that of the place; older events have the place itself."""
    return leg.get("region") or leg.get("placeRegion") or leg.get("place") or ""


def show_timings(documents: list[dict[str, Any]]) -> None:
    """Show one row of seconds for each alert."""
    table = Table("alert", "decided", "raised", "selected", "people", "accepted p50 / p99 / last", "delivered",
                  "answered", title="Seconds since the decision")  # fmt: skip
    for alert in documents:
        accepted = alert["accepted"]
        spread = " / ".join(_seconds(accepted.get(name)) for name in ("p50Seconds", "p99Seconds", "p100Seconds"))
        table.add_row(alert["alertId"], utc_time(alert["decided"]), _seconds(alert["raisedSeconds"]),
                      _seconds(alert["selectedSeconds"]), f"{alert['people']} + {alert['late']} late",
                      f"{accepted['people']}: {spread}",
                      f"{alert['delivered']['people']}: {_seconds(alert['delivered'].get('p100Seconds'))}",
                      f"{alert['answered']['people']}: {_seconds(alert['answered'].get('p100Seconds'))}")  # fmt: skip
    show(table if documents else "No such alert.")


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def utc_time(at: datetime | None) -> str:
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"
