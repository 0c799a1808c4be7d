"""`passage topics` and `passage parked`. Exit code 0: fine; 1: something is wrong; 2: wrong use."""

import asyncio
import getpass
import json
import os
import ssl
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer

from shared.bus import discarding, parking
from shared.bus import topics as declared_topics
from shared.bus.settings import BusSettings
from shared.command_line import fail
from shared.errors import PermanentError, TransientError
from shared.mongo.client import Database, Document, Mongo, PyMongoError
from shared.setting_types import check_host_ports

topics = typer.Typer(no_args_is_help=True, help="Create and check the topics of deploy/topics.yaml.")
parked = typer.Typer(no_args_is_help=True, help="Show, requeue or discard events that a service could not process.")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Service = Annotated[str, typer.Argument(help="approval, registration, safety or notify")]
T = TypeVar("T")
#: Lengths of the reason and of the name in a discard.
MIN_REASON_CHARS, MAX_REASON_CHARS, MAX_NAME_CHARS = 10, 500, 80


@topics.command("apply")
def apply(
    replication: Annotated[
        str, typer.Option(help="Row of `replication` in the file: local, production or single; default: ENV")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Create the missing topics; change no others."""
    declared, row = _declared(), replication or os.environ.get("ENV", "local")
    if row not in declared.replication:
        fail(f"--replication (or ENV) is none of {', '.join(declared.replication)}.", 2)
    created = _run(declared_topics.apply(_settings(), declared, row))
    _print(as_json, {"created": created}, [f"created {name}" for name in created] or ["every topic exists"])


@topics.command("check")
def check(as_json: AsJson = False) -> None:
    """Show how the cluster differs from the declaration."""
    declared = _declared()
    names = [topic.name for topic in declared.topics]
    differences = [str(difference) for difference in _run(declared_topics.check(_settings(), declared, names))]
    _print(as_json, {"differences": differences}, differences or ["the cluster is as declared"])
    raise typer.Exit(1 if differences else 0)


@parked.command("list")
def list_(
    service: Service,
    discarded: Annotated[bool, typer.Option("--discarded", help="Also those that were discarded.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the parked events of a service, oldest first."""
    selector: Document = {} if discarded else parking.OPEN
    rows = [_row(document) for document in _run(_with_database(service, lambda of: parking.listed(of, selector)))]
    _print(as_json, rows, [_line(row) for row in rows] or ["nothing is parked"])


@parked.command()
def show(service: Service, parked_id: str, as_json: AsJson = False) -> None:
    """Show where one parked event stands in Kafka and why it was parked."""
    documents = _run(_with_database(service, lambda database: parking.listed(database, {})))
    rows = [_row(document) for document in documents if document["_id"] == parked_id]
    if not rows:
        fail(f"{service} has no parked event {parked_id}: `passage parked list {service}` shows them.", 1)
    _print(as_json, rows[0], [f"{name}: {value}" for name, value in rows[0].items()])


@parked.command()
def requeue(
    service: Service,
    parked_id: Annotated[str | None, typer.Argument(help="Id of one parked event; without it, all of them")] = None,
    as_json: AsJson = False,
) -> None:
    """Have the service process parked events again, in order."""
    selector: Document = {"_id": parked_id} if parked_id else {}
    count = _run(_with_database(service, lambda database: parking.requeue(database, selector)))
    _print(as_json, {"requeued": count}, [f"{count} requeued; the service tries them again within a second"])
    raise typer.Exit(0 if count or parked_id is None else 1)


@parked.command()
def discard(
    service: Service,
    parked_id: Annotated[str, typer.Argument(help="Id of one parked event")],
    reason: Annotated[str, typer.Option(help="Why nobody will process it; without personal data")],
    by: Annotated[str, typer.Option(help="Who decides; the login name when left out")] = "",
    as_json: AsJson = False,
) -> None:
    """Give up a parked event for ever; an event of the service says who did it and why.

    The record stays in its topic and among the dead letters. Events that waited behind it are processed.
    """
    who, why = (by or getpass.getuser()).strip(), reason.strip()
    if not MIN_REASON_CHARS <= len(why) <= MAX_REASON_CHARS or not 0 < len(who) <= MAX_NAME_CHARS:
        fail(
            f"--reason has {MIN_REASON_CHARS} to {MAX_REASON_CHARS} characters, --by 1 to {MAX_NAME_CHARS}: an auditor "
            "must understand why the event was given up.",
            2,
        )
    follows = _run(_discard(service, parked_id, who, why))
    _print(as_json, {"discarded": parked_id, "follows": follows}, [f"discarded {parked_id}; {follows}"])


async def _discard(service: str, parked_id: str, by: str, reason: str) -> str:
    mongo = _mongo()
    try:
        return await discarding.discard(mongo, service, parked_id, by, reason)
    finally:
        mongo.close()


def _line(row: dict[str, Any]) -> str:
    why = f"{row['kind']}: {row['reason']}"
    if row["state"] == parking.DISCARDED:
        why += f"; discarded by {row['discardedBy']}: {row['discardReason']}"
    return f"{row['id']}  {row['state']}  {why}"


def _row(document: Document) -> dict[str, Any]:
    decision = {
        name: document[name] for name in ("discardedBy", "discardReason") if document["state"] == parking.DISCARDED
    }
    return {
        "id": document["_id"],
        "topic": document["topic"],
        "partition": document["partition"],
        "offset": document["offset"],
        "state": document["state"],
        "kind": document["kind"],
        "reason": document["reason"],
        "at": document["at"].isoformat(),
        **decision,
    }


async def _with_database(service: str, work: Any) -> Any:
    mongo = _mongo()
    try:
        database: Database = mongo.database(service)
        return await work(database)
    finally:
        mongo.close()


def _mongo() -> Mongo:
    return Mongo(_required("MONGO_URL"), namespace=os.environ.get("NAMESPACE", ""))


def _settings() -> BusSettings:
    ca_file, password = os.environ.get("KAFKA_CA_FILE"), os.environ.get("KAFKA_PASSWORD")
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    except OSError:
        fail("KAFKA_CA_FILE names no PEM file that can be read.", 2)
    servers = _required("KAFKA_BOOTSTRAP_SERVERS")
    try:
        check_host_ports(servers)
    except ValueError as error:
        fail(f"KAFKA_BOOTSTRAP_SERVERS {error}.", 2)
    return BusSettings(
        servers,
        os.environ.get("NAMESPACE", ""),
        "operator",
        "passage",
        username=os.environ.get("KAFKA_USERNAME") or None,
        password=password or None,
        ssl_context=context,
    )


def _declared() -> declared_topics.Topics:
    try:
        return declared_topics.load(os.environ.get("TOPICS_FILE", "deploy/topics.yaml"))
    except PermanentError as error:
        fail(str(error), 2)


def _required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        fail(f"{name} is not set (`set -a; . .local/env` for the local stack).", 2)
    return value


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (PermanentError, TransientError, PyMongoError) as error:
        fail(f"Failed: {error}.", 1)


def _print(as_json: bool, document: Any, lines: list[str]) -> None:
    sys.stdout.write((json.dumps(document) if as_json else "\n".join(lines)) + "\n")
