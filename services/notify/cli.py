"""`passage notify whereabouts`, `preview` and `callbacks`, and `passage drill`.

They read notify's own database (MONGO_URL, NAMESPACE, SERVICE_KEY), so they also work while the service is down.
Exit code 0: fine; 1: something is wrong, and the output says what; 2: wrong use.
"""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from pydantic import TypeAdapter, ValidationError

from services.notify.audience.deps import SelectionDeps
from services.notify.audience.manual_alerts import EmptyDrillList, plan_manual_alert
from services.notify.audience.selection_run import run_selection
from services.notify.commands.alerts import CommandDeps, raise_alert
from services.notify.messages.content import Kind
from services.notify.messages.rendering import FORMS, Messages
from services.notify.messages.specimens import SPECIMENS, STUDENT, VARIANTS, reader_name
from services.notify.messages.wording import Language
from services.notify.model.whereabouts import Whereabouts
from services.notify.places import open_places
from services.notify.rules.audience import stay_there
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import Alert, AlertStore
from services.notify.store.callbacks import CallbackStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.send_queue import SendQueue
from services.notify.store.whereabouts import WhereaboutsStore
from services.notify.unread_replies import UnreadReplies
from shared.bus import topics
from shared.bus.known_until import KnownUntil
from shared.bus.outbox import Outbox
from shared.clock import amsterdam_date, end_of_day, utc_now
from shared.command import Command
from shared.command_line import fail
from shared.envelope import Cause
from shared.errors import PermanentError, TransientError
from shared.events import RegistrationEvent
from shared.fields import CountryCode, is_region_of
from shared.ids import new_id
from shared.instants import typed_moment
from shared.mongo.client import Mongo, PyMongoError
from shared.observability import logs
from shared.plausible import FIRST_YEAR, is_past, is_travel_date
from shared.privacy.contact import StudentContact
from shared.privacy.keyring import Keyring
from shared.privacy.service_key import ServiceKey
from shared.trimming import trimmed
from shared.web.problem import Problem

notify = typer.Typer(no_args_is_help=True, help="Who is where, and how messages read.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else there.")]
Country = Annotated[str, typer.Option(help="ISO 3166-1 alpha-2")]
Region = Annotated[str | None, typer.Option(help="ISO 3166-2; persons who may be in it are shown as uncertain")]
PAGE = 500
POLL_SECONDS = 0.5
T = TypeVar("T")


@notify.command("whereabouts")
def whereabouts(
    country: Country,
    region: Region = None,
    at: Annotated[
        str | None, typer.Option(help="A day (YYYY-MM-DD) or an instant (RFC 3339); the past as it was known then")
    ] = None,
    contacts: Annotated[bool, typer.Option("--contacts", help="Also show contact details; this is logged.")] = False,
    as_json: AsJson = False,
) -> None:
    """Who is, or was, in a country: one line for each registration."""
    _check_place(country, region)
    day, instant = _when(at)

    async def work(mongo: Mongo) -> tuple[list[dict[str, Any]], datetime | None]:
        store = WhereaboutsStore(mongo.database("notify"), _key())
        rows: list[dict[str, Any]] = []
        for skip in range(0, sys.maxsize, PAGE):
            if instant is None:
                page = await store.there(country, day, skip, PAGE)
            else:
                page = await store.there_at(country, instant, skip, PAGE)
            rows += [row for where, contact in page if (row := _row(where, contact, country, region, day, contacts))]
            if len(page) < PAGE:
                break
        await _open_places(mongo, rows)
        return rows, await _known_until(mongo)

    rows, known_until = _run(_with(work))
    for row in rows:
        sys.stdout.write((json.dumps(row, ensure_ascii=False) if as_json else _line(row)) + "\n")
    if contacts:
        logged = {"event": "personal_data_read", "kind": "whereabouts", "country": country, "count": len(rows)}
        sys.stderr.write(json.dumps(logged) + "\n")
    sys.stderr.write(f"{len(rows)} registrations in {region or country} on {day.isoformat()}\n")
    until = f"{known_until:%Y-%m-%d %H:%M:%S} UTC" if known_until else "no time: not all of them were read yet"
    sys.stderr.write(f"Registrations are known until {until}.\n")


async def _open_places(mongo: Mongo, rows: Sequence[dict[str, Any]]) -> None:
    """Show the places as they were written; with KEY_ENCRYPTION_KEY alone, and not those of erased persons."""
    key, sealed = os.environ.get("KEY_ENCRYPTION_KEY"), [row.pop("placeSealed") for row in rows]
    if key:
        places = await open_places(Keyring(mongo, base64.b64decode(key)), sealed)
        for row, text, place in zip(rows, sealed, places, strict=True):
            row["place"] = row["place"] if text is None else place


async def _known_until(mongo: Mongo) -> datetime | None:
    """Until when notify has read all registrations."""
    topic = RegistrationEvent.topic
    declared = topics.load(os.environ.get("TOPICS_FILE", "deploy/topics.yaml"))
    partitions = next(declaration.partitions for declaration in declared.topics if declaration.name == topic)
    group = f"{os.environ.get('NAMESPACE', '')}notify.{topic}"
    return await KnownUntil(mongo.database("notify")).read(group, partitions)


@notify.command("preview")
def preview(
    kind: Annotated[str, typer.Argument(help=", ".join(get_args(get_args(Kind)[0]) + get_args(get_args(Kind)[1])))],
    language: Annotated[str, typer.Option(help="nl or en: the language that comes first")] = "nl",
    variant: Annotated[
        str | None, typer.Option(help="Decided by another, or for somebody who is elsewhere; an unknown one lists all")
    ] = None,
    templates: Annotated[Path | None, typer.Option(help="Folder of templates to try instead")] = None,
    as_json: AsJson = False,
) -> None:
    """How a message reads, with invented content. Exit 1 names a template that does not work."""
    kinds: dict[str, Kind] = {str(form): form for form in FORMS}
    languages: dict[str, Language] = {"nl": "nl", "en": "en"}
    if kind not in kinds or language not in languages:
        fail(f"There is no message {kind} in {language}.", 2)
    variants = VARIANTS.get(kinds[kind], {})
    if variant is not None and variant not in variants:
        fail(f"The message {kind} has no variant {variant}. Its variants: {', '.join(variants) or 'none'}.", 2)
    sender = "alerts@university.example"
    try:
        messages = Messages(sender, templates=templates) if templates is not None else Messages(sender)
    except PermanentError as error:
        fail(str(error), 1)
    link = "https://notify.example/v1/answers/" + "0" * 22
    content = SPECIMENS[kinds[kind]] if variant is None else variants[variant]
    student = f"{STUDENT.full_name} ({STUDENT.student_number})"
    message = messages.preview(
        kinds[kind], languages[language], content, name=reader_name(kinds[kind]), link=link, student=student
    )
    document = {
        "kind": kind,
        "variant": variant,
        "version": messages.versions()[kind],
        "subject": message.subject,
        "text": message.text,
        "sms": message.sms,
        "smsSegments": message.segments,
    }
    sms = "" if message.sms is None else f"\n\nSMS, {message.segments} parts of at most 3:\n{message.sms}"
    plain = f"Subject: {message.subject}\n\n{message.text}{sms}"
    sys.stdout.write((json.dumps(document, ensure_ascii=False) if as_json else plain) + "\n")


@notify.command("callbacks")
def callbacks(
    requeue: Annotated[bool, typer.Option("--requeue", help="Have the service try them once more")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Give them up: they have no effect")] = False,
    as_json: AsJson = False,
) -> None:
    """Receipts that were set aside because processing them failed in every attempt. Exit 1 while there are any."""
    if requeue and discard:
        fail("Choose one: --requeue or --discard.", 2)

    async def work(mongo: Mongo) -> tuple[list[dict[str, Any]], int | None]:
        store = CallbackStore(mongo.database("notify"), _key())
        failed = await store.failed()
        done = await store.requeue_failed() if requeue else await store.discard_failed() if discard else None
        return failed, done

    failed, done = _run(_with(work))
    for document in failed:
        row = {
            "id": str(document["_id"]), "provider": document["provider"], "at": document["at"].isoformat(),
            "attempts": int(document.get("failures", 0)), "reason": document.get("failure", ""),
        }  # fmt: skip
        plain = f"{row['id']}  {row['provider']}  {row['at']}  {row['attempts']} attempts  {row['reason']}"
        sys.stdout.write((json.dumps(row) if as_json else plain) + "\n")
    if done is not None:
        sys.stderr.write(f"{done} {'tried again' if requeue else 'given up'}\n")
    elif not failed:
        sys.stderr.write("nothing was set aside\n")
    raise typer.Exit(1 if failed and done is None else 0)


def drill(
    country: Country,
    message_nl: Annotated[str, typer.Option(help="The text of the drill, Dutch")],
    message_en: Annotated[str, typer.Option(help="The text of the drill, English")],
    officer: Annotated[str, typer.Option(parser=trimmed, metavar="TEXT", help="personId of the responsible officer")],
    region: Region = None,
    wait_seconds: Annotated[
        float, typer.Option(min=0, max=86_400, help="Longest wait until all messages are sent")
    ] = 60,
    alerts_known: Annotated[
        bool, typer.Option("--alerts-known", help="Raise it although a drill for this place is open")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Raise a drill: a real alert, but only to addresses in DRILL_ALLOW_LIST. Exit 1 if a message was not sent."""
    _check_place(country, region)
    messages = {"nl": message_nl, "en": message_en}
    listed = frozenset(
        entry.strip().lower() for entry in os.environ.get("DRILL_ALLOW_LIST", "").split(",") if entry.strip()
    )
    if not listed:
        fail(str(EmptyDrillList()), 2)

    logs.configure("passage", "WARNING")

    async def work(mongo: Mongo) -> dict[str, Any]:
        deps = _selection_deps(mongo, listed)
        now = utc_now()
        plan = await plan_manual_alert(deps, country, region, messages, is_drill=True, raised_by=officer, now=now)
        return await _run_drill(mongo, deps, plan, officer, wait_seconds, alerts_known=alerts_known)

    result = _run(_with(work))
    plain = f"{result['alertId']}: {result['recipients']} recipients, {result['deliveries']}, {result['seconds']} s"
    sys.stdout.write((json.dumps(result) if as_json else plain) + "\n")
    states = {state for counts in result["deliveries"].values() for state in counts}
    all_sent = states <= {"accepted", "delivered"} and not result["waiting"]
    raise typer.Exit(0 if result["recipients"] and all_sent else 1)


async def _run_drill(
    mongo: Mongo, deps: SelectionDeps, plan: Alert, officer: str, wait_seconds: float, *, alerts_known: bool
) -> dict[str, Any]:
    """Raise the alert and select its recipients here; notify's send workers send. Returns how far they came."""
    database = mongo.database("notify")
    deliveries = DeliveryStore(database, _key())
    replies = UnreadReplies(CallbackStore(database, _key()), deps.whereabouts.contacts, {}, deps.alerts.senders)
    commands = CommandDeps(mongo, database, deps.outbox, deps.alerts, deliveries, replies)
    command = Command(officer, None, None, Cause(new_id(), "passage drill"), plan.as_of)
    try:
        answer = await raise_alert(commands, command, deps, plan, alerts_known=alerts_known)
    except Problem as problem:
        open_alerts = ", ".join(str(entry["alertId"]) for entry in problem.members.get("alerts", ()))
        fail(f"{open_alerts} for this place is open. Close it, or raise another one with --alerts-known.", 1)
    alert_id = str(answer.body["alertId"])
    alert = await deps.alerts.get(alert_id)
    assert alert is not None
    await run_selection(deps, alert, cause=Cause(alert_id, "passage drill"), now=utc_now())
    for _ in range(int(wait_seconds / POLL_SECONDS)):
        if not await deps.send_queue.unfinished_jobs(alert_id):
            break
        await asyncio.sleep(POLL_SECONDS)
    recipients, _ = await deps.alerts.selections.totals(alert_id)
    return {
        "alertId": alert_id,
        "recipients": recipients,
        "deliveries": await deliveries.counts(alert_id),
        "waiting": await deps.send_queue.unfinished_jobs(alert_id),
        "seconds": round((utc_now() - plan.as_of).total_seconds(), 1),
    }


def _selection_deps(mongo: Mongo, listed: frozenset[str]) -> SelectionDeps:
    database, key = mongo.database("notify"), _key()

    async def no_offsets(topic: str) -> dict[int, int]:
        raise TransientError("a drill is raised without offsets")

    return SelectionDeps(
        mongo=mongo,
        outbox=Outbox(database, "/notify"),
        whereabouts=WhereaboutsStore(database, key),
        advice=AdviceStore(database),
        alerts=AlertStore(database),
        send_queue=SendQueue(database, "passage-drill"),
        offsets=no_offsets,
        templates=Messages("drill@university.example").versions(),
        drill_list=listed,
    )


def _row(
    where: Whereabouts, contact: StudentContact | None, country: str, region: str | None, day: date, with_contact: bool
) -> dict[str, Any] | None:
    stay = stay_there(where, country, region, day)
    if stay is None:
        return None
    row: dict[str, Any] = {
        "personId": where.person_id,
        "registrationId": where.registration_id,
        "country": stay.country,
        "region": stay.region,
        "place": stay.place,
        "placeSealed": stay.place_sealed,
        "startDate": stay.start_date.isoformat(),
        "endDate": stay.end_date.isoformat(),
        "isCertain": region is None or stay.region == region,
        "isOverdue": where.is_overdue and day > stay.end_date,
    }
    if with_contact:
        row["contact"] = contact.reached_at.model_dump(mode="json", by_alias=True) if contact is not None else None
    return row


def _line(row: dict[str, Any]) -> str:
    place = row["region"] or row["place"] or "-"
    marks = ("" if row["isCertain"] else "  uncertain") + ("  overdue" if row["isOverdue"] else "")
    contact = row.get("contact")
    address = f"  {contact['email']}  {contact['mobile']}" if contact else ""
    return f"{row['personId']}  {row['country']} {place}  {row['startDate']} to {row['endDate']}{marks}{address}"


def _when(at: str | None) -> tuple[date, datetime | None]:
    """The day in question, and the past instant as of which it is answered; None for today and later."""
    now = utc_now()
    if at is None:
        return amsterdam_date(now), None
    try:
        instant = typed_moment(at)
    except ValueError:
        fail(f"{at} is neither a day (2026-03-02) nor an instant (2026-03-02T09:00Z).", 2)
    if not isinstance(instant, datetime):
        day = instant
        if not is_travel_date(day, amsterdam_date(now)):
            fail(f"{at} lies more than ten years from today.", 2)
        return day, end_of_day(day) if day < amsterdam_date(now) else None
    if instant.tzinfo is None:
        fail(f"{at} has no UTC offset: add Z or +02:00.", 2)
    if not is_past(instant, now):
        fail(f"{at} lies in the future, or before {FIRST_YEAR}: ask for a day to see planned stays.", 2)
    return amsterdam_date(instant), instant


def _check_place(country: str, region: str | None) -> None:
    try:
        TypeAdapter(CountryCode).validate_python(country)
    except ValidationError:
        fail(f"{country} is not a country.", 2)
    if region is not None and not is_region_of(region, country):
        fail(f"{region} is no region of {country}.", 2)


def _key() -> ServiceKey:
    try:
        return ServiceKey(base64.b64decode(_needed("SERVICE_KEY"), validate=True))
    except (ValueError, PermanentError):
        fail("SERVICE_KEY is not the base64 of 32 bytes.", 2)


async def _with(work: Callable[[Mongo], Awaitable[T]]) -> T:
    mongo = Mongo(_needed("MONGO_URL"), namespace=os.environ.get("NAMESPACE", ""))
    try:
        return await work(mongo)
    finally:
        mongo.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except PermanentError as error:
        fail(f"{type(error).__name__}: {error}", 1)
    except (TransientError, PyMongoError):
        fail("MongoDB does not answer: check MONGO_URL.", 1)


def _needed(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        fail(f"{name} is not set; for the local stack: set -a; . .local/env", 2)
    return value
