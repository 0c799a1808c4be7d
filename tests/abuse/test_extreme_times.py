"""No date and no time stops a rule, a fold or a subscription: implausible ones are parked, replaced or survived.

The inputs are generated: every date of every event, every public rule of every service, every use of a time zone.
"""

import ast
import importlib
import inspect
import itertools
import pkgutil
import types
import typing
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_origin

import orjson
import pytest
from pydantic import ValidationError

import services.approval.rules
import services.notify.rules
import services.registration.rules
import services.safety.rules
from services.notify.columns import registration_snapshot
from services.notify.messages import wording
from services.notify.model.whereabouts import Whereabouts, evolve_whereabouts
from services.registration import schedule
from services.registration.evolve import evolve
from services.registration.model import Registration
from services.registration.read_models import Approval, ApprovalStatus, evolve_approval
from services.registration.rules import approval as approval_rule
from shared import clock, plausible
from shared.audit import independent_rules
from shared.audit.output import WrongUse, instant
from shared.bus.believed_event import Implausible, believed_event
from shared.catalogue_entries import Pool
from shared.envelope import Envelope, parse
from shared.events import NAMED_OUTSIDE, ApprovalRequested, Event, Leg, LegKind, PersonAnswered, RegistrationSubmitted
from shared.plausible import believed_time
from tests.abuse.extreme_times import DATES

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
SAMPLES = sorted((ROOT / "tests" / "contracts" / "events").glob("*.json"))
EDGES = (date(1, 1, 1), date(1, 1, 2), date(1970, 1, 1), date(9999, 12, 30), date(9999, 12, 31))
INSTANT_EDGES = tuple(
    datetime.fromisoformat(text)
    for text in (
        "0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00-14:00",
        "1970-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", "9999-12-31T23:59:59.999999-14:00",
        "9999-12-31T23:59:59.999999+14:00",
    )
)  # fmt: skip


# ---------------------------------------------------------------- the windows


@pytest.mark.parametrize(
    ("claimed", "at", "is_replaced"),
    [
        (None, "10:00", False),
        ("2026-11-30T09:30Z", "09:30", False),
        ("2026-11-30T08:55Z", "09:00", False),  # the provider's clock is five minutes behind
        ("2026-11-30T10:09Z", "10:00", False),
        ("2026-11-30T08:00Z", "09:00", True),
        ("2026-11-30T11:00Z", "10:00", True),
        ("9999-12-31T23:59:59Z", "10:00", True),
        ("0001-01-01T00:00:00+14:00", "09:00", True),
        ("9999-12-31T23:59:59-14:00", "10:00", True),
    ],
)
def test_time_of_a_provider_stays_between_sending_and_receipt(claimed: str | None, at: str, is_replaced: bool) -> None:
    """Sent at 9:00, received at 10:00. A time that is off by more than ten minutes is marked."""
    given = datetime.fromisoformat(claimed) if claimed is not None else None

    believed = believed_time(given, sent=NOW, received=NOW + timedelta(hours=1))

    assert (f"{believed.at:%H:%M}", believed.is_replaced) == (at, is_replaced)


def test_time_without_a_known_sending_is_not_before_the_first_year() -> None:
    """A receipt may come before our own record of the delivery."""
    assert [believed_time(edge, sent=None, received=NOW).at for edge in INSTANT_EDGES] == [NOW] * len(INSTANT_EDGES)


# ---------------------------------------------------------------- events


def _moments(data: Any, kind: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], bool]]:
    """Every date and time that the sample of an event holds, by its model: the path, and whether it is a time."""
    for part in _models_in(kind):
        if isinstance(data, dict):
            for name, field in part.model_fields.items():
                alias = field.alias or name
                if data.get(alias) is None:
                    continue
                for inner in _types_in(field.annotation):
                    if inner in (date, datetime):
                        yield (*path, alias), inner is datetime
                values = data[alias] if isinstance(data[alias], list) else [data[alias]]
                for number, value in enumerate(values):
                    here = (*path, alias, number) if isinstance(data[alias], list) else (*path, alias)
                    yield from _moments(value, field.annotation, here)


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _types_in(part)


def _models_in(annotation: Any) -> list[Any]:
    return [part for part in _types_in(annotation) if isinstance(part, type) and hasattr(part, "model_fields")]


def _put(data: Any, path: tuple[str | int, ...], value: str) -> Any:
    changed = deepcopy(data)
    place = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


def _cases() -> list[tuple[str, dict[str, Any], tuple[str | int, ...], bool]]:
    found = []
    for sample in SAMPLES:
        envelope = orjson.loads(sample.read_bytes())
        kind = type(parse(sample.read_bytes()).data)
        found += [(sample.stem, envelope, path, is_time) for path, is_time in _moments(envelope["data"], kind)]
    return found


def test_events_with_dates_are_found() -> None:
    """The search for dates works: legs, approvals, receipts and answers are among them."""
    found = {(name.split(".")[0], str(path[-1])) for name, _, path, _ in _cases()}

    assert {
        ("RegistrationSubmitted", "endDate"), ("ApprovalGranted", "endDate"), ("NotificationsFailed", "at"),
        ("PersonAnswered", "answeredAt"), ("TravelAdviceChanged", "effectiveAt"), ("SourceChecked", "freshUntil"),
    } <= found  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_sample_of_an_event_is_believed_as_it_is(sample: Path) -> None:
    """Nothing in the golden samples lies outside its window."""
    envelope = parse(sample.read_bytes())

    assert believed_event(envelope) is envelope


def test_event_with_an_extreme_date_is_parked_or_replaced_and_stays_readable() -> None:
    """Every date and time of every event, at every edge: a subscriber parks the event, or takes the event's own time.

    The schema itself takes it: folds and the audit read what a former version wrote.
    """
    wrong = []
    for name, envelope, path, is_time in _cases():
        for edge in INSTANT_EDGES if is_time else EDGES:
            data = _put(envelope["data"], path, edge.isoformat())
            event = parse(orjson.dumps({**envelope, "data": data}))
            try:
                believed = believed_event(event)
            except Implausible as refusal:
                if edge.isoformat() in str(refusal):
                    wrong.append(f"{name} {path}: the reason quotes the value")
                continue
            dumped = believed.data.model_dump(mode="json", by_alias=True)
            for part in path:
                dumped = dumped[part]
            if not is_time or datetime.fromisoformat(dumped) != event.time:
                wrong.append(f"{name} {path} = {edge}: believed")

    assert wrong == []


@pytest.mark.parametrize("edge", INSTANT_EDGES, ids=str)
def test_event_with_an_extreme_time_of_its_own_is_parked(edge: datetime) -> None:
    """The envelope's own time decides since when a person is somewhere."""
    with pytest.raises(Implausible):
        believed_event(replace(parse(SAMPLES[0].read_bytes()), time=edge))


def test_event_speaks_of_a_year_ahead_and_no_further() -> None:
    """When a reading is stale, when a hold ends: a leap year from the event's own time is believed."""
    sample = parse((ROOT / "tests/contracts/events/SourceChecked.v1.json").read_bytes())

    def until(fresh_until: datetime) -> Envelope[Event]:
        return replace(sample, data=sample.data.model_copy(update={"fresh_until": fresh_until}))

    latest = sample.time + timedelta(days=366)
    assert believed_event(until(latest)).data == until(latest).data
    for wrong in (latest + timedelta(microseconds=1), datetime(1999, 12, 31, tzinfo=UTC)):
        with pytest.raises(Implausible, match="freshUntil"):
            believed_event(until(wrong))


def test_time_that_a_provider_named_is_replaced_by_the_events_own() -> None:
    """An old answer dated 9999 is confirmed like any other; its other fields stay."""
    sample = parse((ROOT / "tests/contracts/events/PersonAnswered.v1.json").read_bytes())
    event = replace(sample, data=sample.data.model_copy(update={"answered_at": INSTANT_EDGES[4]}))

    believed = believed_event(event).data

    assert isinstance(believed, PersonAnswered)
    assert believed.answered_at == sample.time
    assert believed.model_copy(update={"answered_at": INSTANT_EDGES[4]}) == event.data
    assert NAMED_OUTSIDE in PersonAnswered.model_fields["answered_at"].metadata


# ---------------------------------------------------------------- rules and folds over old state


def _registered(first: date, last: date) -> Envelope[Any]:
    sample = parse((ROOT / "tests/contracts/events/RegistrationSubmitted.v1.json").read_bytes())
    assert isinstance(sample.data, RegistrationSubmitted)
    legs = tuple(leg.model_copy(update={"start_date": first, "end_date": last}) for leg in sample.data.legs)
    return replace(sample, data=sample.data.model_copy(update={"legs": legs}))


SPANS = [(first, last) for first, last in itertools.product((*EDGES, NOW.date()), repeat=2) if first <= last]


def _pool() -> dict[Any, list[Any]]:
    """Values for the parameters of rules, by type: the edges of time, and what folds make of events at them."""
    registrations, whereabouts, legs, dates = [], [], [], []
    for first, last in SPANS:
        event = _registered(first, last)
        registration = evolve(None, event.data, event.time, 1)
        where = evolve_whereabouts(None, event.data, 1, event.time, lambda *_: None)
        assert where is not None
        registrations.append(registration)
        whereabouts += [where, where.model_copy(update={"ended": True}), where.model_copy(update={"returned_on": last})]
        legs.append(event.data.legs[0])
        dates.append(registration.dates)
    requested = parse((ROOT / "tests/contracts/events/ApprovalRequested.v1.json").read_bytes())
    assert isinstance(requested.data, ApprovalRequested)
    approvals = [
        evolve_approval(
            None, requested.data.model_copy(update={"start_date": first, "end_date": last}), requested.time
        ).model_copy(update={"status": ApprovalStatus.GRANTED})
        for first, last in SPANS
    ]
    return {
        Registration: registrations,
        Whereabouts: whereabouts,
        type(whereabouts[0].stays[0]): [where.stays[0] for where in whereabouts[::3]],
        Leg: legs,
        Approval: approvals,
        schedule.JourneyDates: dates,
        date: [*EDGES, NOW.date()],
        datetime: [*INSTANT_EDGES, NOW],
        str: ["ES"],
        bool: [False],
        int: [1],
        type(None): [None],
        timedelta: [timedelta(0), timedelta(days=1)],
    }


def _values(annotation: Any, pool: Mapping[Any, list[Any]]) -> list[Any] | None:
    """Values for a parameter; None when the pool knows none of its type."""
    if annotation in pool:
        return pool[annotation]
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is typing.Literal:
        return list(parts)
    if kind in (typing.Union, types.UnionType):
        known = [values for part in parts if (values := _values(part, pool)) is not None]
        return [value for values in known for value in values] or None
    if kind in (tuple, typing.get_origin(typing.Sequence[int])) and parts:
        values = _values(parts[0], pool)
        return [(value,) for value in values] if values is not None else None
    return None


def _rules() -> Iterator[Any]:
    """Every public function of the rules, and of the modules beside them that count days or name times."""
    packages = (services.approval.rules, services.notify.rules, services.registration.rules, services.safety.rules)
    modules: list[types.ModuleType] = [schedule, clock, plausible, independent_rules, wording, registration_snapshot]
    for package in packages:
        for module_info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            modules.append(importlib.import_module(module_info.name))
    for module in modules:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield function


def test_rules_survive_every_date() -> None:
    """Each rule that can be called with dates alone is called with the edges of time: it decides, and never raises.

    State that a former version stored, and events that it wrote, may hold such dates.
    """
    pool, tried, failed = _pool(), set(), {}
    for rule in _rules():
        hints = typing.get_type_hints(rule)
        parameters = inspect.signature(rule).parameters.values()
        needed = [parameter for parameter in parameters if parameter.default is inspect.Parameter.empty]
        if {parameter.kind for parameter in needed} & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
            continue
        values = [_values(hints[parameter.name], pool) for parameter in needed]
        is_about_time = {hints[parameter.name] for parameter in needed} - {str, int, bool}
        if not needed or any(value is None for value in values) or not is_about_time:
            continue
        tried.add(f"{rule.__module__}.{rule.__name__}")
        for given in itertools.islice(itertools.product(*values), 20_000):  # type: ignore[arg-type] # none is None
            arguments = dict(zip((parameter.name for parameter in needed), given, strict=True))
            try:
                result = rule(**arguments)
                if inspect.isgenerator(result):
                    list(result)
            except LookupError:
                break  # a name or a code that the pool does not know
            except (OverflowError, ValueError, ArithmeticError) as error:
                failed[f"{rule.__module__}.{rule.__name__}"] = f"{error!r} for {arguments}"[:500]
                break

    assert failed == {}
    assert {
        "services.registration.rules.approval.approval_standing", "services.notify.rules.audience.is_there",
        "services.registration.rules.reminders.bounce_reminder", "services.registration.schedule.planned_reminders",
    } <= tried  # fmt: skip


def test_approval_until_the_last_day_of_time_covers_a_journey() -> None:
    """The days on which one may travel before and after it are counted without an overflow."""
    event = _registered(date(2026, 12, 1), date(2026, 12, 24))
    registration = evolve(None, event.data, event.time, 1)
    requested = parse((ROOT / "tests/contracts/events/ApprovalRequested.v1.json").read_bytes())
    assert isinstance(requested.data, ApprovalRequested)
    approval = evolve_approval(None, requested.data, requested.time).model_copy(
        update={
            "status": ApprovalStatus.GRANTED, "approval_id": registration.approval_id,
            "person_id": registration.person_id,
            "faculty_id": registration.faculty_id, "programme_id": registration.programme_id,
            "activity_type": registration.activity_type, "country": "ES",
            "start_date": date.min, "end_date": date.max,
        }
    )  # fmt: skip
    assert {leg.kind for leg in registration.legs} == {LegKind.THROUGH, LegKind.STAY}

    assert approval_rule.approval_standing(registration, approval).permits


def test_time_zones_are_moved_in_one_place() -> None:
    """`astimezone` overflows at the edges of time, so only shared/clock.py calls it."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("services", "shared")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(clock.__file__) and "astimezone" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr == "astimezone"
    ]

    assert calls == []


# ---------------------------------------------------------------- files and commands


@pytest.mark.parametrize("value", DATES, ids=repr)
def test_period_of_the_catalogue_is_plausible(value: object) -> None:
    """The catalogue's files give dates as texts; whatever else a file holds is refused as well."""
    with pytest.raises(ValidationError):
        Pool.model_validate({"id": "example", "starts_on": value, "ends_on": "2026-12-31", "slots": 1})


@pytest.mark.parametrize("text", [value for value in DATES if isinstance(value, str)] + ["9999-12-31T23:59:59-14:00"])
def test_instant_of_an_audit_command_is_plausible(text: str) -> None:
    """`--since`, `--until` and `--at` refuse it in a sentence, exit code 2."""
    try:
        taken = instant(text, end=True)
    except WrongUse:
        return
    assert plausible.is_in_window(taken)
