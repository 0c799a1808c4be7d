"""The back-test: the past through the real rules. A small history of our own always; the real quarter where it is."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from services.passage.backtest_rules import BacktestRules
from services.safety.backtest.chart import chart
from services.safety.backtest.inputs import (
    DatedChange,
    InputRejected,
    Journey,
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
    """One change as the record has it."""
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
    """Somebody who registered in time."""
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
    """A run; `terms` replace some."""
    return replay(read_history(history), read_journeys(journeys), BacktestRules(), Terms(**terms))  # type: ignore[arg-type] # given by name


def test_backtest_tells_who_had_to_be_told_and_says_what_waited() -> None:
    """Person by person: who is told of what; the flood's alerts wait three minutes, and nothing else does."""
    report = played(HISTORY, JOURNEYS)
    told = {(person, country) for person, country, _ in report.notified}
    totals = report.totals()

    assert told == {("p-1", "ES"), ("p-2", "ES"), ("p-3", "IT"), ("p-4", "IT")}
    assert [each[0] for each in report.notified].count("p-1") == 2  # orange, then red
    assert totals["alertsTwice"] == totals["risesDelayed"] == 0
    assert {each.seconds for each in report.delayed} == {180.0}
    assert len(report.delayed) == len(FLOOD) - 2
    assert sum(each.persons for each in report.delayed) == 3
    assert (report.days[0].alerts, report.days[4].late_alerts) == (2, 0)
    assert sum(day.late_alerts for day in report.days) == 1
    assert report.days[0].suspended == 1  # p-2, who had not left for Spain
    assert totals["suspended"] == 2
    assert all(not (day.changes or day.alerts or day.held) for day in report.days[4:10])


def test_backtest_fall_of_three_levels_waits_for_the_officer() -> None:
    """Believed after the hours given; with an officer who never looks it stays red."""
    agreed, never = played(HISTORY, []), played(HISTORY, [], officer=None)

    assert (agreed.days[2].held, agreed.days[2].released) == (1, 1)
    assert (never.days[2].held, never.days[2].released) == (1, 0)
    assert never.days[2].levels["red"] == agreed.days[2].levels["red"] + 1


def test_backtest_delay_is_from_the_sources_time_to_ours() -> None:
    """Half an interval on average: no rise waits for anything but the next reading."""
    report = played(HISTORY, [], interval=timedelta(minutes=10))

    assert {seconds for day in report.days for seconds in day.delays} == {300.0}


def test_backtest_without_the_hold_delays_nothing() -> None:
    """MASS_RISE_SECONDS=0."""
    report = played(HISTORY, JOURNEYS, limits=GuardLimits(alert_hold=timedelta(0)))

    assert report.delayed == []
    assert len(report.notified) == len(played(HISTORY, JOURNEYS).notified)


def test_backtest_twice_is_the_same() -> None:
    """Byte for byte, invented journeys included."""
    history = read_history(HISTORY)
    journeys = [synthetic_journeys(200, history) for _ in range(2)]
    reports = [replay(history, each, BacktestRules(), Terms()) for each in journeys]

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
    """One clear sentence, without the content."""
    with pytest.raises(InputRejected, match=says):
        read_history(lines)


def test_backtest_picture_is_an_svg_of_every_day() -> None:
    """Well-formed, and each day adds up to all countries."""
    report = played(HISTORY, [])

    drawn = ElementTree.fromstring(chart(report))  # our own

    assert drawn.tag.endswith("svg")
    assert len({sum(day.levels.values()) for day in report.days}) == 1


@pytest.fixture(scope="module")
def quarter() -> tuple[list[DatedChange], list[Journey], Report]:
    """January to March 2020, as the ministry wrote it, with ten thousand invented journeys."""
    if not REAL.exists():
        pytest.skip(f"{REAL} is not here: the real history is not part of the project")
    history = read_history(REAL.read_text(encoding="utf-8").splitlines())
    journeys = synthetic_journeys(10_000, history)
    return history, journeys, replay(history, journeys, BacktestRules(), Terms())


def test_backtest_of_2020_delays_no_rise_beyond_the_hold(
    quarter: tuple[list[DatedChange], list[Journey], Report],
) -> None:
    """Every rise counts at the next reading; alerts wait on 17 March alone, for three minutes, and one each."""
    report = quarter[2]
    totals = report.totals()

    assert (totals["days"], totals["risesDelayed"], totals["alertsTwice"]) == (90, 0, 0)
    assert totals["delayMax"] <= 300
    assert {each.seconds for each in report.delayed} == {180.0}
    assert [day.date.isoformat() for day in report.days if day.held > 20] == ["2020-03-17"]
    assert totals["alerts"] == len(set(report.notified)) > 5_000


def test_backtest_of_2020_keeps_the_quiet_weeks_quiet(quarter: tuple[list[DatedChange], list[Journey], Report]) -> None:
    """A day on which the ministry wrote nothing brings no change, no hold, and nobody a pass."""
    history, _, report = quarter
    busy = {each.ts.date() for each in history}
    # A fall that was read at midnight is believed half an hour later; an officer agrees to one within hours.
    for day in report.days:
        if day.date not in busy:
            assert (day.changes, day.held, day.released, day.alerts) == (0, 0, 0, 0)


def test_backtest_of_2020_is_the_picture_in_the_readme(
    quarter: tuple[list[DatedChange], list[Journey], Report],
) -> None:
    """`passage feed backtest … --picture services/safety/backtest-2020.svg` draws it anew."""
    drawn = (ROOT / "services" / "safety" / "backtest-2020.svg").read_text(encoding="utf-8")

    assert chart(quarter[2]) == drawn


def test_backtest_file_and_stamp_are_utc() -> None:
    """Times are instants; the days of the report are Amsterdam's."""
    [first] = read_history(HISTORY[:1])

    assert first.ts == datetime(2021, 1, 4, tzinfo=UTC)
