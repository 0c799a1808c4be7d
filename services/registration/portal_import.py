"""Registrations of the former portal, taken over from a file: every line is checked before anything is kept.

A line is a registration as `POST /v1/registrations` takes it, with the portal's id and the student's login. Ids are
derived from the portal's id, so a line that is imported again meets itself. Nothing here alerts anybody.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, ValidationError

from services.registration.api.registrations import RegistrationBody
from services.registration.commands.registrations import CommandDeps, RegistrationForm, fields_of, mistakes
from services.registration.evaluation import load_inputs_of
from services.registration.model import Registration, evolve
from services.registration.rules.clearance import Queue
from services.registration.rules.places import places
from shared.bus.aggregate import Loaded
from shared.bus.outbox import StreamMoved
from shared.envelope import Cause, Draft, draft
from shared.errors import PermanentError
from shared.events import Identifier, RegistrationSubmitted, TaskOpened
from shared.ids import derived_id, new_id
from shared.mongo.client import DuplicateKeyError, Session

#: Lines that share a transaction.
TOGETHER = 100
#: Longer ones are refused unread.
MOST_LINE_BYTES = 100_000
_BOOLEANS = {"true": True, "false": False}
NEGATIVE = "imported_into_negative_advice"


class Outcome(StrEnum):
    """What became of a line."""

    WRONG = "wrong"
    NEW = "new"
    KNOWN = "known"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong on a line; the value itself is never quoted."""

    field: str
    reason: str


@dataclass(slots=True)
class Line:
    """One line of the file, counted as an editor counts them. `negative`: the safety officer gets a task."""

    number: int
    external_id: str = ""
    mistakes: list[Mistake] = field(default_factory=list)
    record: "Record | None" = None
    outcome: Outcome = Outcome.WRONG
    negative: bool = False


class Record(RegistrationBody):
    """A line. `externalId`: its id in the portal; `login`: the student's subject at the university's login."""

    external_id: Identifier
    login: Annotated[str, Field(min_length=1, max_length=255)]


class Unreadable(PermanentError):
    """The file is none that could be imported; nothing of it was."""


def read(name: str, text: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Number and content of each line: `.jsonl` holds an object on each, `.csv` dotted names (`legs.0.country`).

    What is no object is given as None. Raises Unreadable.
    """
    if name.endswith(".jsonl"):
        yield from _json_lines(text)
    elif name.endswith(".csv"):
        yield from _csv_lines(text)
    else:
        raise Unreadable("the file's name ends neither in .csv nor in .jsonl")


def checked(deps: CommandDeps, rows: Iterable[tuple[int, Any]], now: datetime) -> list[Line]:
    """Every line with everything that is wrong on it; a portal's id that comes twice is wrong the second time."""
    seen: dict[str, int] = {}
    lines = []
    for number, content in rows:
        line = Line(number)
        lines.append(line)
        if not isinstance(content, dict):
            line.mistakes.append(Mistake("line", "is not an object"))
            continue
        name = content.get("externalId")
        line.external_id = name[:80] if isinstance(name, str) else ""
        try:
            record = Record.model_validate(content)
        except ValidationError as error:
            line.mistakes += [Mistake(_where(each["loc"]), _why(each)) for each in error.errors(include_input=False)]
            continue
        first = seen.setdefault(record.external_id, number)
        if first != number:
            line.mistakes.append(Mistake("externalId", f"stands on line {first} already"))
        if record.group_id is not None:
            line.mistakes.append(Mistake("groupId", "is not taken over: trips are made here"))
        form = record.form()
        found = mistakes(deps, form.faculty_id, form.programme_id, form.legs, form.language, now)
        line.mistakes += [Mistake(each.field.removeprefix("body."), each.reason) for each in found]
        if not line.mistakes:
            line.record, line.outcome = record, Outcome.NEW
    return lines


async def import_lines(deps: CommandDeps, lines: Sequence[Line], issuer: str, *, dry_run: bool, now: datetime) -> None:
    """Keep every line that has no mistake, whole, or say what would become of it. Sets outcome and negative."""
    good = [line for line in lines if line.record is not None]
    cause = Cause(new_id(), "import")
    for start in range(0, len(good), TOGETHER):
        some = good[start : start + TOGETHER]
        known = {each.id for each in await deps.store.many([_id(line) for line in some])}
        fresh = []
        for line in some:
            line.outcome = Outcome.KNOWN if _id(line) in known else Outcome.NEW
            if line.outcome is Outcome.NEW:
                fresh.append(line)
        await _take(deps, fresh, issuer, cause, dry_run, now)


async def _take(
    deps: CommandDeps, lines: Sequence[Line], issuer: str, cause: Cause, dry_run: bool, now: datetime
) -> None:
    submitted: list[tuple[Line, Draft]] = []
    for line in lines:
        assert line.record is not None
        filed = await _filed(deps, line.record, issuer, seal=not dry_run)
        if filed is None:
            line.outcome = Outcome.ERASED
        else:
            submitted.append((line, filed))
    await _judge(deps, submitted, now)
    if dry_run or not submitted:
        return
    changes = [(_nothing(line), [filed, *_task(line, filed)]) for line, filed in submitted]

    async def work(session: Session) -> None:
        await deps.store.record_all(changes, cause=cause, now=now, session=session)

    try:
        await deps.mongo.transaction(work)
    except (DuplicateKeyError, StreamMoved):
        # Somebody imports the same file at the same moment: whose transaction was first has kept them.
        known = {each.id for each in await deps.store.many([_id(line) for line in lines])}
        if not known:
            raise  # it was something else
        if missing := [line for line, _ in submitted if _id(line) not in known]:
            for line in missing:
                await _take(deps, [line], issuer, cause, dry_run, now)
        for line, _ in submitted:
            if _id(line) in known:
                line.outcome = Outcome.KNOWN


async def _judge(deps: CommandDeps, submitted: Sequence[tuple[Line, Draft]], now: datetime) -> None:
    """Who comes into an area that is negative already goes onto the safety officer's list."""
    states = [evolve(None, filed.data, now, 1) for _, filed in submitted]
    for (line, _), state, inputs in zip(submitted, states, await load_inputs_of(deps.evaluation, states), strict=True):
        line.negative = any(each.may_be_negative for each in places(state.legs, inputs, now))


async def _filed(deps: CommandDeps, record: Record, issuer: str, *, seal: bool) -> Draft | None:
    """The fact of a line; None when the person was erased. A dry run makes no person and no key."""
    form: RegistrationForm = record.form()
    registration_id = _registration_id(record.external_id)
    event_id = derived_id("imported", record.external_id)
    person_id, contact = "dry-run", "sealed:v1:dry-run"
    if seal:
        person_id = await deps.keyring.person_id(issuer, record.login)
        try:
            contact = await deps.keyring.seal(person_id, event_id, "/contact", form.contact)
        except PermanentError:
            return None
    fields = fields_of(form, registration_id, person_id, contact)
    event = RegistrationSubmitted(**fields, external_id=record.external_id, imported=True)
    return Draft(event, event_id)


def _task(line: Line, filed: Draft) -> list[Draft]:
    """R13, R20: one by one, by a person who knows them; never a flood of alerts."""
    if not line.negative:
        return []
    assert isinstance(filed.data, RegistrationSubmitted)
    task = TaskOpened(
        registration_id=filed.data.registration_id,
        person_id=filed.data.person_id,
        task_id=derived_id("imported-task", line.external_id),
        queue=Queue.SAFETY_OFFICER,
        scope="",
        rule="R13",
        reason=NEGATIVE,
    )
    return [draft(task)]


def _registration_id(external_id: str) -> str:
    return derived_id("imported-registration", external_id)


def _id(line: Line) -> str:
    return _registration_id(line.external_id)


def _nothing(line: Line) -> Loaded[Registration]:
    return Loaded(_id(line), None, 0)


def _json_lines(text: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line) if len(line) <= MOST_LINE_BYTES else None
        except (ValueError, RecursionError):
            yield number, None


def _csv_lines(text: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Numbered by the file's own lines: a quoted field may span several."""
    reader = csv.reader(text, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if "externalId" not in names or len(set(names)) != len(names):
            raise Unreadable("the first line names no column externalId, or one column twice")
        if any(other.startswith(f"{name}.") for name in names for other in names):
            raise Unreadable("the first line names a column and a part of it")
        while True:
            number = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            if row:
                yield number, _nested(dict(zip(names, row, strict=True))) if len(row) == len(names) else None
    except csv.Error as error:
        raise Unreadable(f"line {reader.line_num}: {error}") from None


def _nested(flat: dict[str, str]) -> dict[str, Any]:
    """`legs.0.country` as the JSON that it stands for; an empty cell is no value."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        if value == "":
            continue
        *parents, last = name.split(".")
        place = nested
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = _BOOLEANS.get(value, value) if parents == ["answers"] else value
    return {name: _listed(value) for name, value in nested.items()}


def _listed(value: Any) -> Any:
    if isinstance(value, dict) and value and all(key.isdigit() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=int)]
    return {key: _listed(each) for key, each in value.items()} if isinstance(value, dict) else value


def _where(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) or "line"


def _why(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ")
