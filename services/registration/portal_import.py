"""Imports registrations of the former portal from a file; every line is checked before anything is stored.

`passage registration import` calls it. A line is a registration as `POST /v1/registrations` takes it, with the
portal's id and the student's login. Idempotent: ids are derived from the portal's id, so a line that was imported
before changes nothing. Nothing here alerts anybody, and the sweep decides the registrations afterwards. A stay that is
over is imported too: without a recorded return the student is overdue, and counts as still there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails

from services.registration.api.bodies import RegistrationBody
from services.registration.commands.deps import CommandDeps
from services.registration.commands.form import event_fields, registration_errors
from services.registration.decision_inputs import load_inputs_of
from services.registration.evaluation import CONFLICTS
from services.registration.evolve import evolve
from services.registration.import_file import CsvLine
from services.registration.itinerary_places import seal_places, with_region
from services.registration.model import Registration
from services.registration.rules.clearance import Queue
from services.registration.rules.places import places
from services.registration.search_terms import hashed, words_of
from shared.bus.aggregate import Loaded
from shared.envelope import Cause, Draft, draft
from shared.errors import PermanentError
from shared.events import Identifier, RegistrationSubmitted, TaskOpened
from shared.ids import derived_id, new_id
from shared.mongo.client import Session
from shared.privacy.logins import Login, look_alike

#: Lines that share a transaction.
TRANSACTION_SIZE = 100
NEGATIVE = "imported_into_negative_advice"


class Outcome(StrEnum):
    """The result of a line."""

    WRONG = "wrong"
    NEW = "new"
    KNOWN = "known"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class LineError:
    """One error of a line. The value itself is never quoted: it may be personal data."""

    field: str
    reason: str


@dataclass(slots=True)
class ImportLine:
    """One line of the file, numbered as an editor numbers them. `negative`: a safety officer gets a task.

    `looks_like`: whose login a person would take for this one, although they are two persons; empty: nobody's.
    """

    number: int
    external_id: str = ""
    mistakes: list[LineError] = field(default_factory=list)
    record: "ImportRecord | None" = None
    outcome: Outcome = Outcome.WRONG
    negative: bool = False
    looks_like: str = ""

    @property
    def registration_id(self) -> str:
        """Derived from the portal's id."""
        return derived_id("imported-registration", self.external_id)


class ImportRecord(RegistrationBody):
    """A line without errors. `externalId`: its id in the portal; `login`: the student's subject at the login."""

    external_id: Identifier
    login: Login

    @model_validator(mode="before")
    @classmethod
    def _take_one_name(cls, value: Any) -> Any:
        """A person with one name, which some portals keep as the surname."""
        contact = value.get("contact") if isinstance(value, dict) else None
        if not isinstance(contact, dict) or contact.get("givenName") or not contact.get("surname"):
            return value
        others = {name: part for name, part in contact.items() if name not in ("givenName", "surname")}
        return {**value, "contact": {**others, "givenName": contact["surname"]}}


def check_lines(deps: CommandDeps, rows: Iterable[tuple[int, Any]], now: datetime) -> list[ImportLine]:
    """Every line with all of its errors. A portal's id that comes twice is an error on the second line."""
    first_lines: dict[str, int] = {}
    lines = [_check_line(deps, number, content, first_lines, now) for number, content in rows]
    _mark_look_alikes(deps, lines)
    return lines


def _mark_look_alikes(deps: CommandDeps, lines: Sequence[ImportLine]) -> None:
    """Mark the lines whose login looks like the one of an earlier line, and is another."""
    first: dict[str, tuple[str, int]] = {}
    for line in lines:
        if line.record is not None:
            key = deps.keyring.login_key(line.record.login)
            first_key, number = first.setdefault(look_alike(key), (key, line.number))
            line.looks_like = "" if key == first_key else f"line {number}"


def _check_line(deps: CommandDeps, number: int, content: Any, first_lines: dict[str, int], now: datetime) -> ImportLine:
    line = ImportLine(number)
    if not isinstance(content, dict):
        line.mistakes.append(LineError("line", "is not an object"))
        return line
    external_id = content.get("externalId")
    line.external_id = external_id[:80] if isinstance(external_id, str) else ""
    if isinstance(content, CsvLine):
        line.mistakes += [LineError(field, reason) for field, reason in content.mistakes]
    named = {mistake.field for mistake in line.mistakes}
    try:
        record = ImportRecord.model_validate(content)
    except ValidationError as invalid:
        line.mistakes += [
            LineError(field, reason)
            for field, reason in map(_field_and_reason, invalid.errors(include_input=False))
            if not any(name == field or name.startswith(f"{field}.") for name in named)
        ]
        return line
    first_line = first_lines.setdefault(record.external_id, number)
    if first_line != number:
        line.mistakes.append(LineError("externalId", f"stands on line {first_line} already"))
    if record.group_id is not None:
        line.mistakes.append(LineError("groupId", "is not imported: group trips are made in this service"))
    form = record.form()
    line.mistakes += [
        LineError(error.field.removeprefix("body."), error.reason)
        for error in registration_errors(deps, form, now, may_be_over=True)
    ]
    if not line.mistakes:
        line.record, line.outcome = record, Outcome.NEW
    return line


def _field_and_reason(error: ErrorDetails) -> tuple[str, str]:
    return ".".join(map(str, error["loc"])) or "line", str(error["msg"]).removeprefix("Value error, ")


async def import_lines(
    deps: CommandDeps, lines: Sequence[ImportLine], issuer: str, *, dry_run: bool, now: datetime
) -> None:
    """Store every line without errors, or with `dry_run` only predict it. Sets outcome and negative."""
    correct_lines = [line for line in lines if line.record is not None]
    cause = Cause(new_id(), "import")
    for start in range(0, len(correct_lines), TRANSACTION_SIZE):
        part = correct_lines[start : start + TRANSACTION_SIZE]
        known_ids = await _known_ids(deps, part)
        for line in part:
            line.outcome = Outcome.KNOWN if line.registration_id in known_ids else Outcome.NEW
        new_lines = [line for line in part if line.outcome is Outcome.NEW]
        await _mark_known_look_alikes(deps, new_lines, issuer)
        await _import_new_lines(deps, new_lines, issuer, cause, dry_run, now)


async def _mark_known_look_alikes(deps: CommandDeps, lines: Sequence[ImportLine], issuer: str) -> None:
    """Mark the lines whose login looks like the one of a person who exists, and is another."""
    unmarked = [(line, line.record.login) for line in lines if line.record is not None and not line.looks_like]
    alike = await deps.keyring.look_alikes(issuer, [login for _, login in unmarked])
    for line, login in unmarked:
        line.looks_like = "a person who exists" if login in alike else ""


async def _import_new_lines(
    deps: CommandDeps, lines: Sequence[ImportLine], issuer: str, cause: Cause, dry_run: bool, now: datetime
) -> None:
    """In one transaction. When the same file is imported twice at once, the first commit of a line counts."""
    submissions: list[tuple[ImportLine, Draft]] = []
    for line in lines:
        submitted = await _submission(deps, line, issuer, seal=not dry_run)
        if submitted is None:
            line.outcome = Outcome.ERASED
        else:
            submissions.append((line, submitted))
    await _mark_negative(deps, submissions, now)
    if dry_run or not submissions:
        return
    changes: list[tuple[Loaded[Registration], list[Draft]]] = [
        (Loaded(line.registration_id, None, 0), [submitted, *_task(line, submitted)]) for line, submitted in submissions
    ]

    async def work(session: Session) -> None:
        await deps.store.record_all(changes, cause=cause, now=now, session=session)
        for line, submitted in submissions:
            assert line.record is not None
            assert isinstance(submitted.data, RegistrationSubmitted)
            terms = hashed(deps.keyring, words_of(line.record.contact))
            await deps.store.search.put(line.registration_id, submitted.data.person_id, terms, session)

    try:
        await deps.mongo.transaction(work)
    except CONFLICTS:
        known_ids = await _known_ids(deps, lines)
        if not known_ids:
            raise  # no other import has stored any of them: the conflict has another cause
        for line, _ in submissions:
            if line.registration_id in known_ids:
                line.outcome = Outcome.KNOWN
            else:
                await _import_new_lines(deps, [line], issuer, cause, dry_run, now)


async def _known_ids(deps: CommandDeps, lines: Sequence[ImportLine]) -> set[str]:
    registrations = await deps.store.load_many([line.registration_id for line in lines])
    return {loaded.id for loaded in registrations}


async def _mark_negative(deps: CommandDeps, submissions: Sequence[tuple[ImportLine, Draft]], now: datetime) -> None:
    """Mark the lines of students who travel to a place where the advice is, or may be, negative."""
    states = [evolve(None, submitted.data, now, 1) for _, submitted in submissions]
    inputs_of_states = await load_inputs_of(deps.evaluation, states)
    for (line, _), state, inputs in zip(submissions, states, inputs_of_states, strict=True):
        line.negative = any(place.may_be_negative for place in places(state.legs, inputs, now))


async def _submission(deps: CommandDeps, line: ImportLine, issuer: str, *, seal: bool) -> Draft | None:
    """The event of a line; None when the person was erased. Without `seal` (a dry run) no person and no key is made."""
    assert line.record is not None
    form, event_id = line.record.form(), derived_id("imported", line.record.external_id)
    resolve = deps.evaluation.resolve
    person_id, contact = "dry-run", "sealed:v1:dry-run"
    legs = tuple(with_region(leg, resolve) for leg in form.legs)
    if seal:
        person_id = await deps.keyring.person_id(issuer, line.record.login)
        try:
            contact = await deps.keyring.seal(person_id, event_id, "/contact", form.contact)
            legs = await seal_places(deps.keyring, resolve, person_id, form.legs)
        except PermanentError:
            return None
    form = replace(form, legs=legs)
    fields = event_fields(deps.catalogue, form, line.registration_id, person_id, contact)
    event = RegistrationSubmitted(**fields, external_id=line.record.external_id, imported=True)
    return Draft(event, event_id)


def _task(line: ImportLine, submitted: Draft) -> list[Draft]:
    """R13, R20: a safety officer speaks to each of these students, instead of alerting all of them at once."""
    if not line.negative:
        return []
    assert isinstance(submitted.data, RegistrationSubmitted)
    task = TaskOpened(
        registration_id=submitted.data.registration_id,
        person_id=submitted.data.person_id,
        task_id=derived_id("imported-task", line.external_id),
        queue=Queue.SAFETY_OFFICER,
        scope="",
        rule="R13",
        reason=NEGATIVE,
    )
    return [draft(task)]
