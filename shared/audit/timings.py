"""Measures how long an alert took, from the change of advice to the answers, with percentiles and an SVG chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from shared.audit.alert_history import AlertHistory
from shared.events import AlertTrigger, TravelAdviceChanged

OUTCOMES = ("accepted", "delivered", "answered")
#: Alerts that are no consequence of a change of advice: an officer raised them, or a student came to a bad place later.
WITHOUT_CHANGE = frozenset({AlertTrigger.MANUAL, AlertTrigger.DRILL, AlertTrigger.LATE_ARRIVAL})
PERCENTILES = (50, 90, 99, 100)
_COLOURS = {"accepted": "#1f4e8c", "delivered": "#2e7d32", "answered": "#b26a00"}


@dataclass(slots=True)
class Timings:
    """Instants of one alert. Durations count from `decided`: everything before that is the ministry's time.

    An alert without a change is decided when it is raised: a change of advice, perhaps months before, is no part of it.
    """

    alert_id: str
    changed: datetime | None
    read: datetime | None
    decided: datetime | None
    raised: datetime | None
    selected: datetime | None
    people: int
    #: recipients added after the selection run; they are notified, but do not count for its speed
    late: int
    #: outcome → instant of each person's first such message, or first answer; sorted
    reached: dict[str, list[datetime]]

    @classmethod
    def of(cls, story: AlertHistory) -> "Timings":
        """Compute the timings of one alert from its history."""
        without_change = story.raised is not None and story.raised.trigger in WITHOUT_CHANGE
        change = None if without_change else story.change
        data = change.data if change is not None else None
        on_time = [person for person in story.told.values() if not person.late]
        reached = {
            outcome: sorted(at for person in on_time if (at := person.first(outcome)) is not None)
            for outcome in ("accepted", "delivered")
        }
        reached["answered"] = sorted(min(at for at, _, _ in person.answers) for person in on_time if person.answers)
        return cls(
            story.alert,
            data.effective_at if isinstance(data, TravelAdviceChanged) else None,
            None if without_change else story.read_at,
            story.raised_at if without_change else change.at if change is not None else None,
            story.raised_at,
            max((person.selected_at for person in on_time), default=story.completed_at),
            len(on_time),
            len(story.told) - len(on_time),
            reached,
        )

    def seconds(self, at: datetime | None) -> float | None:
        """Seconds from the decision to `at`, never negative: clocks differ. None when one of them is unknown."""
        return None if at is None or self.decided is None else max(0.0, (at - self.decided).total_seconds())

    @property
    def longest_acceptance(self) -> float | None:
        """Seconds from the decision to the last person's first acceptance."""
        return self.seconds(self.reached["accepted"][-1]) if self.reached["accepted"] else None

    def document(self) -> dict[str, Any]:
        """JSON-able; `…Seconds` count from the decision."""
        return {
            "alertId": self.alert_id,
            "changedAtSource": self.changed,
            "read": self.read,
            "decided": self.decided,
            "raised": self.raised,
            "selected": self.selected,
            "people": self.people,
            "late": self.late,
            "raisedSeconds": self.seconds(self.raised),
            "selectedSeconds": self.seconds(self.selected),
            **{outcome: self._summary(times) for outcome, times in self.reached.items()},
        }

    def _summary(self, times: Sequence[datetime]) -> dict[str, Any]:
        if not times:
            return {"people": 0}
        return {
            "people": len(times),
            "first": times[0],
            "last": times[-1],
            "firstSeconds": self.seconds(times[0]),
            **{f"p{share}Seconds": self.seconds(percentile(times, share)) for share in PERCENTILES},
        }

    def svg(self) -> str:
        """The share of people reached over time, one step line for each outcome."""
        width, height, left, top = 720, 320, 60, 40
        values = {outcome: [max(0.0, self.seconds(at) or 0.0) for at in times]
                  for outcome, times in self.reached.items()}  # fmt: skip
        longest = max([1.0, *(value for line in values.values() for value in line)])
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
            f'font-size="12" role="img"><title>{escape(self.alert_id)}: people reached over time</title>',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<text x="{left}" y="20" font-size="14">{escape(self.alert_id)}: {self.people} people, seconds since '
            "the decision</text>",
        ]
        plot_width, plot_height = width - left - 120, height - top - 50
        for share in (0, 25, 50, 75, 100):
            y = top + plot_height * (1 - share / 100)
            lines.append(f'<path d="M{left} {y:.1f}H{left + plot_width}" stroke="#ddd"/>'
                         f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{share}%</text>')  # fmt: skip
        for part in range(5):
            x = left + plot_width * part / 4
            lines.append(f'<text x="{x:.1f}" y="{top + plot_height + 20}" text-anchor="middle">'
                         f"{longest * part / 4:.4g} s</text>")  # fmt: skip
        for number, (outcome, line) in enumerate(values.items()):
            lines.append(_step_line(line, self.people, longest, left, top, plot_width, plot_height, _COLOURS[outcome]))
            lines.append(f'<text x="{left + plot_width + 10}" y="{top + 14 + 18 * number}" '
                         f'fill="{_COLOURS[outcome]}">{outcome} {len(line)}</text>')  # fmt: skip
        return "\n".join([*lines, "</svg>"]) + "\n"


def _step_line(
    values: Sequence[float], people: int, longest: float, left: int, top: int, width: int, height: int, colour: str
) -> str:
    path = [f"M{left} {top + height}"]
    # At most one point for each pixel, so that a million people make no larger picture.
    step = max(1, len(values) // width)
    for number in [*range(0, len(values), step), len(values) - 1] if values else []:
        x = left + width * values[number] / longest
        y = top + height * (1 - (number + 1) / max(people, len(values)))
        path.append(f"H{x:.1f}V{y:.1f}")
    return f'<path d="{"".join(path)}H{left + width}" fill="none" stroke="{colour}" stroke-width="2"/>'


def percentile(times: Sequence[datetime], share: int) -> datetime:
    """The instant by which `share` percent were reached (nearest rank). `times` is sorted and not empty."""
    return times[max(0, -(-len(times) * share // 100) - 1)]
