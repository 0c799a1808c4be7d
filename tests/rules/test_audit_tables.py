"""The auditor's tables and timings with the ids and the alerts of real life."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared.audit.output import show
from shared.audit.presentation import people_table
from shared.audit.timings import Timings
from shared.events import AlertTrigger
from shared.ids import new_id

CHANGED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
OUTCOMES = ("accepted", "delivered", "failed", "unknown")
RAISED = CHANGED + timedelta(hours=5)


def history(trigger: AlertTrigger, persons: int = 0) -> Any:
    """An alert five hours after the newest change of advice."""
    told = {
        person: SimpleNamespace(
            person_id=person, selected_at=RAISED, late=False, first=lambda _: None,
            messages={
                channel: SimpleNamespace(channel=channel, outcomes=dict.fromkeys(OUTCOMES, RAISED))
                for channel in ("email", "sms")
            },
            answers=[(RAISED, "safe", "link"), (RAISED, "help", "officer")],
            escalations=[(RAISED, step, "crisis-unit", "unreachable") for step in (2, 3, 4)],
        )
        for person in (new_id() for _ in range(persons))
    }  # fmt: skip
    return SimpleNamespace(
        alert="ES-m1", raised=SimpleNamespace(trigger=trigger), raised_at=RAISED, read_at=CHANGED, told=told,
        completed_at=RAISED + timedelta(seconds=1), change=SimpleNamespace(at=CHANGED, data=None),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trigger", "seconds"),
    [
        (AlertTrigger.MANUAL, 0.0),
        (AlertTrigger.DRILL, 0.0),
        (AlertTrigger.LATE_ARRIVAL, 0.0),
        (AlertTrigger.ADVICE_CHANGED, 5 * 3_600.0),
    ],
)
def test_timings_of_an_alert_without_a_change_count_from_its_raising(trigger: AlertTrigger, seconds: float) -> None:
    """The advice may have changed hours before: an officer, or a person who came later, did not wait for it."""
    assert Timings.of(history(trigger)).document()["raisedSeconds"] == seconds


def test_the_table_of_an_alert_shows_whole_ids(capsys: pytest.CaptureFixture[str]) -> None:
    """A cut id finds nobody."""
    story = history(AlertTrigger.MANUAL, persons=3)
    story.verdict = SimpleNamespace(because={})

    show(people_table(story))

    out = capsys.readouterr().out
    assert all(person in out for person in story.told)
