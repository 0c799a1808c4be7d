"""Report of a back-test: what each day brought, which alerts a hold delayed, and the totals."""

import statistics
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(slots=True)
class Day:
    """What one day brought. `levels`: how many countries have which worst level at its end."""

    date: date
    changes: int = 0
    rises: int = 0
    held: int = 0
    released: int = 0
    suspended: int = 0
    alerts: int = 0
    late_alerts: int = 0
    affected: set[str] = field(default_factory=set)
    delays: list[float] = field(default_factory=list)
    levels: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON; delays are seconds from the source's change to our event."""
        return {
            "date": self.date.isoformat(),
            "changes": self.changes,
            "rises": self.rises,
            "held": self.held,
            "released": self.released,
            "studentsAffected": len(self.affected),
            "suspended": self.suspended,
            "alerts": self.alerts,
            "lateAlerts": self.late_alerts,
            "delayMedian": round(statistics.median(self.delays), 1) if self.delays else None,
            "delayMax": round(max(self.delays), 1) if self.delays else None,
            "levels": self.levels,
        }


@dataclass(frozen=True, slots=True)
class DelayedAlert:
    """An alert that a hold delayed, and how many persons it concerned."""

    country: str
    advice_version: int
    hold_id: str | None
    seconds: float
    persons: int

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "country": self.country,
            "adviceVersion": self.advice_version,
            "holdId": self.hold_id,
            "delayedSeconds": self.seconds,
            "persons": self.persons,
        }


@dataclass(slots=True)
class Report:
    """The result. `notified`: (person, country, advice version) of each alert that would have been sent."""

    days: list[Day]
    delayed: list[DelayedAlert] = field(default_factory=list)
    notified: list[tuple[str, str, int]] = field(default_factory=list)
    rises_delayed: int = 0
    events: int = 0

    def totals(self) -> dict[str, Any]:
        """The totals, as JSON."""
        delays = [seconds for day in self.days for seconds in day.delays]
        return {
            "days": len(self.days),
            "quietDays": sum(day.changes == 0 for day in self.days),
            "changes": sum(day.changes for day in self.days),
            "rises": sum(day.rises for day in self.days),
            "risesDelayed": self.rises_delayed,
            "held": sum(day.held for day in self.days),
            "released": sum(day.released for day in self.days),
            "suspended": sum(day.suspended for day in self.days),
            "alerts": len(self.notified),
            "alertsTwice": len(self.notified) - len(set(self.notified)),
            "alertsDelayed": sum(alert.persons for alert in self.delayed),
            "passesDelayed": len(self.delayed),
            "longestDelayByHold": max((alert.seconds for alert in self.delayed), default=0.0),
            "studentsAlerted": len({person for person, _, _ in self.notified}),
            "delayMedian": round(statistics.median(delays), 1) if delays else None,
            "delayMax": round(max(delays), 1) if delays else None,
            "events": self.events,
        }
