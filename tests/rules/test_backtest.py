"""The back-test replays the past through the real rules: a small history, an invented quarter, and the real one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from services.passage.backtest_rules import BacktestRules
from services.safety.backtest.chart import chart
from services.safety.backtest.inputs import (
    DatedChange,
    InputRejected,
    read_history,
    read_journeys,
    synthetic_journeys,
)
from services.safety.backtest.replay import Terms, replay
from services.safety.backtest.report import Report
from services.safety.rules.bulk_change_guard import GuardLimits

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "feeds" / "history" / "nl-2020.jsonl"
#: More than a quarter of the world.
FLOOD = [
    "AT", "BE", "BG", "CH", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE", "IS", "IT", "LT",
    "LU", "LV", "MT", "NO", "PL", "PT", "RO", "SE", "SI", "SK", "AR", "AU", "BR", "CA", "CL", "CN", "CO", "CR", "CU",
    "EG", "ET", "ID", "IN", "IR", "IQ", "IL", "JM", "JO", "JP", "KE", "KH", "KR", "KW", "LA", "LB", "LK", "MA", "MX",
    "MY", "NA", "NG", "NP", "NZ", "OM", "PA", "PE", "PH",
]  # fmt: skip


def line(day: str, country: str, before: int, after: int, region: str | None = None, *flags: str) -> str:
    """One change in the format of the history."""
    record = {
        "ts": f"2021-{day}T00:00:00Z", "source": "example", "kind": "regional" if region else "level",
        "country_iso2": country, "level_before": before, "level_after": after, "flags": flags,
    }  # fmt: skip
    return json.dumps(record | ({"region": region, "region_name": f"Province {region}"} if region else {}))


#: A rise, a province, a plausible fall, one that is not, a quiet week, and a flood.
HISTORY = [
    line("01-04", "ES", 1, 2), line("01-04", "IT", 1, 2, "IT-82"), line("01-05", "KE", 2, 1), line("01-06", "KR", 3, 0),
    *(line("01-15", country, 2 if country == "ES" else 1, 3) for country in FLOOD if country not in ("KE", "KR")),
]  # fmt: skip


def journey(number: int, country: str, start: str, end: str, region: str | None = None) -> str:
    """A student who registered in time."""
    leg = {"startDate": f"2021-{start}", "endDate": f"2021-{end}", "country": country, "region": region,
           "place": "Example Town", "kind": "stay"}  # fmt: skip
    return json.dumps({"registrationId": f"r-{number}", "personId": f"p-{number}",
                       "registeredAt": "2020-11-01T12:00:00Z", "legs": [leg]})  # fmt: skip


JOURNEYS = [
    journey(1, "ES", "01-01", "03-01"),  # there when it rises, twice
    journey(2, "ES", "01-08", "03-01"),  # comes into it
    journey(3, "IT", "01-01", "03-01", "IT-82"),
    journey(4, "IT", "01-01", "03-01", "IT-25"),  # elsewhere, until the flood
    journey(5, "DE", "02-01", "03-01"),  # has not left: loses clearance
    journey(6, "KE", "01-01", "03-01"),
    journey(7, "AQ", "01-01", "03-01"),
]


def played(history: Sequence[str], journeys: Sequence[str], **terms: object) -> Report:
    """Replay a history; `terms` override the defaults."""
    return replay(read_history(history), read_journeys(journeys), BacktestRules(), Terms(**terms))  # type: ignore[arg-type] # given by name


def test_backtest_tells_who_had_to_be_told_and_says_what_waited() -> None:
    """The right persons are notified of the right country. Only the bulk change's alerts wait, for three minutes."""
    report = played(HISTORY, JOURNEYS)
    told = {(person, country) for person, country, _ in report.notified}
    totals = report.totals()

    assert told == {("p-1", "ES"), ("p-2", "ES"), ("p-3", "IT"), ("p-4", "IT")}
    assert [alert[0] for alert in report.notified].count("p-1") == 2  # orange, then red
    assert totals["alertsTwice"] == totals["risesDelayed"] == 0
    assert {alert.seconds for alert in report.delayed} == {180.0}
    assert len(report.delayed) == len(FLOOD) - 2
    assert sum(alert.persons for alert in report.delayed) == 3
    assert (report.days[0].alerts, report.days[4].late_alerts) == (2, 0)
    assert sum(day.late_alerts for day in report.days) == 1
    assert report.days[0].suspended == 1  # p-2, who had not left for Spain
    assert totals["suspended"] == 2
    assert all(not (day.changes or day.alerts or day.held) for day in report.days[4:10])


def test_backtest_improvement_of_three_levels_waits_for_the_officer() -> None:
    """It counts after the officer's hours; with an officer who never decides it stays red."""
    agreed, never = played(HISTORY, []), played(HISTORY, [], officer=None)

    assert (agreed.days[2].held, agreed.days[2].released) == (1, 1)
    assert (never.days[2].held, never.days[2].released) == (1, 0)
    assert never.days[2].levels["red"] == agreed.days[2].levels["red"] + 1


def test_backtest_delay_is_from_the_sources_time_to_ours() -> None:
    """Half an interval: a worse level waits for nothing but the next reading."""
    report = played(HISTORY, [], interval=timedelta(minutes=10))

    assert {seconds for day in report.days for seconds in day.delays} == {300.0}


def test_backtest_without_the_hold_delays_nothing() -> None:
    """With MASS_RISE_SECONDS=0 no alert waits."""
    report = played(HISTORY, JOURNEYS, limits=GuardLimits(alert_hold=timedelta(0)))

    assert report.delayed == []
    assert len(report.notified) == len(played(HISTORY, JOURNEYS).notified)


def test_backtest_twice_is_the_same() -> None:
    """A second replay gives the same report, invented journeys included."""
    history = read_history(HISTORY)
    journeys = [synthetic_journeys(200, history) for _ in range(2)]
    reports = [replay(history, journey, BacktestRules(), Terms()) for journey in journeys]

    assert journeys[0] == journeys[1]
    assert [day.document() for day in reports[0].days] == [day.document() for day in reports[1].days]
    assert reports[0].notified == reports[1].notified


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "no change"),
        (["{"], "line 1: is not JSON"),
        ([HISTORY[0], "[]"], "line 2"),
        ([line("01-04", "Spain", 1, 2)], "line 1: country"),
        ([line("01-04", "ES", 1, 7)], "line 1: level_after"),
        (["[" * 100_000], "line 1: is not JSON"),
    ],
)
def test_backtest_bad_history_is_rejected_with_its_line(lines: list[str], says: str) -> None:
    """One sentence names the line and the field, without quoting it."""
    with pytest.raises(InputRejected, match=says):
        read_history(lines)


def test_backtest_picture_is_an_svg_of_every_day() -> None:
    """The SVG is well-formed, and the levels of each day add up to all countries."""
    report = played(HISTORY, [])

    drawn = ElementTree.fromstring(chart(report))  # our own

    assert drawn.tag.endswith("svg")
    assert len({sum(day.levels.values()) for day in report.days}) == 1


@dataclass(frozen=True)
class Quarter:
    """A replayed quarter: its history, its report, and the one day on which most countries turn red."""

    history: list[DatedChange]
    report: Report
    flood_day: str


def invented_quarter() -> list[str]:
    """Ninety days: every third day one country turns yellow or back, and on day 60 the whole of FLOOD turns red."""
    lines = [
        line(day_of(day), country, level, 1 - level)
        for level in (0, 1)
        for day, country in zip(range(1 + 28 * level, 28 + 28 * level, 3), FLOOD[:9], strict=True)
    ]
    return [*lines, *(line(day_of(60), country, 0, 3) for country in FLOOD), line(day_of(90), "KE", 3, 2)]


def day_of(number: int) -> str:
    """The month and day of a day of 2021, counted from 1."""
    return f"{date(2021, 1, 1) + timedelta(days=number - 1):%m-%d}"


@lru_cache(maxsize=2)
def played_quarter(name: str) -> Quarter:
    """The invented quarter, or the first quarter of 2020 as the ministry changed it, with 10,000 invented journeys."""
    lines = invented_quarter() if name == "invented" else REAL.read_text(encoding="utf-8").splitlines()
    history = read_history(lines)
    report = replay(history, synthetic_journeys(10_000, history), BacktestRules(), Terms())
    return Quarter(history, report, flood_day="2021-03-01" if name == "invented" else "2020-03-17")


@pytest.fixture(params=["invented", "real"] if REAL.exists() else ["invented"])
def quarter(request: pytest.FixtureRequest) -> Quarter:
    """An invented quarter always; the real one of 2020 where it lies beside the project."""
    return played_quarter(request.param)


def test_backtest_of_a_quarter_delays_no_deterioration_beyond_the_hold(quarter: Quarter) -> None:
    """Worse counts at the next reading. Alerts wait only on the day of the bulk change, three minutes, once each."""
    totals = quarter.report.totals()

    assert (totals["days"], totals["risesDelayed"], totals["alertsTwice"]) == (90, 0, 0)
    assert totals["delayMax"] <= 300
    assert {alert.seconds for alert in quarter.report.delayed} == {180.0}
    assert [day.date.isoformat() for day in quarter.report.days if day.held > 20] == [quarter.flood_day]
    assert totals["alerts"] == len(set(quarter.report.notified)) > 5_000


def test_backtest_of_a_quarter_keeps_the_quiet_weeks_quiet(quarter: Quarter) -> None:
    """A day without a change by the source brings no change, no hold, and no alert."""
    busy_days = {change.ts.date() for change in quarter.history}
    # An improvement that was read at midnight counts half an hour later; an officer decides within hours.
    for day in quarter.report.days:
        if day.date not in busy_days:
            assert (day.changes, day.held, day.released, day.alerts) == (0, 0, 0, 0)


def test_backtest_file_and_stamp_are_utc() -> None:
    """Times in the history are UTC; the days of the report are Amsterdam's."""
    [first] = read_history(HISTORY[:1])

    assert first.ts == datetime(2021, 1, 4, tzinfo=UTC)
