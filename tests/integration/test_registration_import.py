"""`passage registration import`: every wrong line named with its field, nothing half kept, the same file twice once."""

import asyncio
import base64
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.registration import portal_import
from services.registration.import_file import Unreadable, decoded, read
from services.registration.portal_import import ImportLine, Outcome
from services.registration.scheduler import record_due_events
from shared.clock import amsterdam_date, utc_now
from shared.events import Level, RegistrationSubmitted, ReturnRecorded, TaskOpened
from shared.web.local_tokens import AUDIENCE, ISSUER
from tests.conftest import Stack
from tests.integration.registration_parts import CATALOGUE, KEY, Parts, parts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def made(stack: Stack, namespace: str) -> AsyncIterator[Parts]:
    """The service's parts."""
    async with parts(stack.mongo, namespace) as found:
        yield found


def record(number: int, country: str = "ES", **other: Any) -> dict[str, Any]:
    """One record of the former portal."""
    start = amsterdam_date(utc_now()) + timedelta(days=40)
    return {
        "externalId": f"portal-{number}", "login": f"login-{number}", "facultyId": "example-sciences",
        "programmeId": "example-biology", "activityType": "internship", "language": "nl",
        "answers": {"credits": False, "universityFunding": False, "transcriptEntry": False},
        "contact": {
            "givenName": f"Given {number}", "surname": f"Surname {number}", "email": f"s{number}@example.org",
            "mobile": f"+316{10_000_000 + number}",
        },
        "legs": [{
            "country": country, "startDate": start.isoformat(), "endDate": (start + timedelta(days=30)).isoformat(),
        }],
        **other,
    }  # fmt: skip


#: What may be wrong with a record → the field that is named.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"activityType": "holiday"}, "activityType"),
    ({"programmeId": "no-such"}, "programmeId"),
    ({"facultyId": "no-such"}, "facultyId"),
    ({"language": "fr"}, "language"),
    ({"login": ""}, "login"),
    ({"status": "approved"}, "status"),
    ({"groupId": "trip-1"}, "groupId"),
    ({"legs": []}, "legs"),
    ({"contact": {"givenName": "A", "surname": "B", "email": "none", "mobile": "+31612345678"}}, "contact.email"),
    ({"contact": {"givenName": "A", "surname": "B", "email": "a@example.org", "mobile": "0612"}}, "contact.mobile"),
    ({"legs": [{"country": "QQ", "startDate": "2030-01-01", "endDate": "2030-02-01"}]}, "legs.0.country"),
    ({"legs": [{"country": "ES", "startDate": "2030-02-01", "endDate": "2030-01-01"}]}, "legs.0.endDate"),
    ({"externalId": "../../etc/passwd"}, "externalId"),
]  # fmt: skip


def checked(made: Parts, records: list[Any]) -> list[ImportLine]:
    """Lines of a JSON lines file."""
    text = [line if isinstance(line, str) else json.dumps(line) for line in records]
    return portal_import.check_lines(made.commands, read("x.jsonl", text), utc_now())


async def taken(made: Parts, lines: list[ImportLine], *, dry_run: bool = False) -> None:
    """Import them."""
    await portal_import.import_lines(made.commands, lines, ISSUER, dry_run=dry_run, now=utc_now())


async def test_import_of_10000_lines_names_each_of_37_wrong_ones(made: Parts) -> None:
    """Line and field of each. The dry run stores nothing; a stored one is complete, sealed, marked as imported."""
    await made.advise("ES", Level.GREEN, 1)
    records: list[Any] = [record(number) for number in range(10_000)]
    expected = {}
    for place in range(37):
        number, (change, field) = 17 + place * 251, WRONG[place % len(WRONG)]
        records[number] = record(number, **change)
        expected[number + 1] = field

    lines = checked(made, records)
    await taken(made, lines[:300], dry_run=True)
    kept_by_dry_run = await made.store.registrations.collection.count_documents({})
    await taken(made, lines[:300])

    assert {line.number: line.mistakes[0].field for line in lines if line.mistakes} == expected
    assert kept_by_dry_run == 0
    assert await made.mongo.database("keyring")["persons"].count_documents({}) == 300 - sum(n <= 300 for n in expected)
    wrong = sum(number <= 300 for number in expected)
    assert await made.store.registrations.collection.count_documents({}) == 300 - wrong
    assert await made.store.outbox.events.count_documents({}) == 300 - wrong
    event = (await made.events(str((await made.store.registrations.collection.find_one({}))["_id"])))[0]  # type: ignore[index] # one is there
    assert isinstance(event, RegistrationSubmitted)
    assert event.imported
    opened = await made.keyring.open(event.contact, "/contact")
    assert opened["surname"] == f"Surname {str(event.external_id).removeprefix('portal-')}"


@pytest.mark.fault("the same file imported twice at the same moment")
async def test_import_of_the_same_lines_again_changes_nothing(made: Parts) -> None:
    """By the portal's id: also with two imports at the same moment, also with some new lines."""
    await made.advise("ES", Level.GREEN, 1)
    one = [checked(made, [record(number) for number in range(250)]) for _ in range(2)]
    await asyncio.gather(*(taken(made, lines) for lines in one))
    more = checked(made, [record(number) for number in range(260)])

    await taken(made, more)

    assert await made.store.outbox.events.count_documents({}) == 260
    assert [line.outcome for line in more].count(Outcome.KNOWN) == 250
    twice = checked(made, [record(1), record(1)])
    assert (twice[1].mistakes[0].field, twice[1].mistakes[0].reason) == ("externalId", "stands on line 1 already")


async def test_import_into_a_negative_area_is_a_list_for_the_safety_officer(made: Parts) -> None:
    """R13, R20: a task for each of them, once; the others have none."""
    await made.advise("ES", Level.GREEN, 1)
    await made.advise("SD", Level.RED, 1)
    lines = checked(made, [record(1), record(2, "SD"), record(3, "SD")])

    await taken(made, lines)
    await taken(made, checked(made, [record(2, "SD")]))

    assert [line.negative for line in lines] == [False, True, True]
    tasks = [task async for task in made.store.tasks.collection.find({})]
    assert [(task["queue"], task["reason"], task["open"]) for task in tasks] == [
        ("safety-officer", portal_import.NEGATIVE, True)
    ] * 2
    events = [await made.events(str(task["registrationId"])) for task in tasks]
    assert all([type(event) for event in stream] == [RegistrationSubmitted, TaskOpened] for stream in events)


async def test_import_of_somebody_erased_takes_nothing_over(made: Parts) -> None:
    """An erased person is not imported again: the line is `erased`."""
    person_id = await made.keyring.person_id(ISSUER, "login-5")
    lines = checked(made, [record(5), record(6)])
    await made.keyring.key(person_id)
    await made.mongo.database("keyring")["keys"].update_one({"_id": person_id}, {"$set": {"wrapped": None}})
    made.keyring._cache.clear()

    await taken(made, lines)

    assert [line.outcome for line in lines] == [Outcome.ERASED, Outcome.NEW]
    await made.keyring.erase(await made.keyring.person_id(ISSUER, "login-6"))
    again = checked(made, [record(6)])
    await taken(made, again)
    assert again[0].outcome is Outcome.KNOWN  # and nobody new is made of an erased login


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "is not an object"), ("[1]", "is not an object"), ("[" * 50_000, "is not an object"),
     ('"' + "x" * 200_000 + '"', "is not an object")],
    ids=["torn", "list", "deep", "long"],
)  # fmt: skip
async def test_import_of_garbage_is_a_wrong_line(made: Parts, content: str, reason: str) -> None:
    """A wrong line is named, and its neighbours are read."""
    lines = checked(made, [record(1), content, record(2)])

    assert [line.number for line in lines if line.mistakes] == [2]
    assert lines[1].mistakes[0].reason == reason


def test_import_csv_is_read_by_dotted_names_and_lines_are_the_files_own() -> None:
    """A quoted cell over several lines keeps the numbers right; wrong headers and open quotes refuse the file."""
    head = "externalId,legs.0.country,legs.1.country,answers.credits,contact.givenName"
    text = [f"{head}\n", 'a,ES,FR,true,"An\n', 'Example"\n', "b,ES,,false,B\n", "c,ES\n"]

    rows = list(read("x.csv", text))

    assert rows[0] == (
        2, {"externalId": "a", "legs": [{"country": "ES"}, {"country": "FR"}], "answers": {"credits": True},
            "contact": {"givenName": "An\nExample"}},
    )  # fmt: skip
    assert rows[1][0] == 4
    assert rows[1][1]["legs"] == [{"country": "ES"}]
    assert rows[2] == (5, None)
    for bad in (["a,b\n"], ["externalId,externalId\n"], ["externalId,legs,legs.0\n", "1,2,3\n"], [f"{head}\n", '"x']):
        with pytest.raises(Unreadable):
            list(read("x.csv", bad))
    with pytest.raises(Unreadable):
        list(read("x.xlsx", []))


async def test_passage_registration_import_and_export(
    made: Parts, stack: Stack, namespace: str, tmp_path: Path
) -> None:
    """The command: a CSV with one wrong line imports nothing, then the rest; export uses names of OEAPI and EWP."""
    await made.advise("ES", Level.GREEN, 1)
    file = tmp_path / "portal.csv"
    flat = [_flat(record(number)) for number in range(3)]
    flat[1]["contact.mobile"] = "none"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, flat[0])
        writer.writeheader()
        writer.writerows(flat)

    async def passage(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "services.passage", "registration", *arguments], cwd=ROOT,
            env=_environment(stack, namespace), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    refused = await passage("import", str(file), "--json")
    assert refused.returncode == 1, refused.stderr
    reports = [json.loads(line) for line in refused.stdout.splitlines()]
    assert [(row["line"], [m["field"] for m in row["mistakes"]]) for row in reports if row["mistakes"]] == [
        (3, ["contact.mobile"])
    ]
    assert await made.store.registrations.collection.count_documents({}) == 0
    taken_over = await passage("import", str(file), "--skip-wrong")
    assert taken_over.returncode == 1
    assert "line 3  contact.mobile" in taken_over.stdout
    exported = await passage("export", "--hei-id", "university.example", "--with-contact")
    assert exported.returncode == 0, exported.stderr
    rows = [json.loads(line) for line in exported.stdout.splitlines()]
    assert {row["otherCodes"][0]["code"] for row in rows} == {"portal-0", "portal-2"}
    assert {row["person"]["surname"] for row in rows} == {"Surname 0", "Surname 2"}
    assert {row["activityType"] for row in rows} == {"student-traineeships"}


async def test_import_names_a_login_that_looks_like_another_one(made: Parts) -> None:
    """Blanks around a login are none of it; another case or alphabet is another person, and is named."""
    await made.advise("ES", Level.GREEN, 1)
    student = await made.keyring.person_id(ISSUER, "alice")
    logins = [" alice\u00a0", "\u200balice", "Alice", "bob", "b0b", "bob\t", "al\u0456ce"]

    lines = checked(made, [record(number, login=login) for number, login in enumerate(logins)])
    await taken(made, lines, dry_run=True)
    foreseen = [line.looks_like for line in lines]
    await taken(made, lines)

    assert [line.looks_like for line in lines] == foreseen
    assert foreseen == ["", "", "line 1", "", "line 4", "", "line 1"]
    persons = [(await made.store.registrations.load(line.registration_id)).state for line in lines]
    assert [state.person_id == student for state in persons if state is not None] == [
        True, True, False, False, False, False, False
    ]  # fmt: skip
    later = checked(made, [record(20, login="ALICE"), record(21, login="alice"), record(22, login="carol")])
    await taken(made, later)
    assert [line.looks_like for line in later] == ["a person who exists", "line 1", ""]


async def test_import_of_a_spreadsheet_is_the_import_of_its_rows(made: Parts) -> None:
    """Semicolons, a `sep=` line, WAAR, a person with one name; what the spreadsheet has changed is named, once."""
    await made.advise("ES", Level.GREEN, 1)
    rows = [_flat(record(number)) for number in range(3)]
    for row in rows:
        row["answers.credits"], row["answers.universityFunding"] = "WAAR", "ONWAAR"
        row["contact.givenName"] = ""
    rows[2]["contact.mobile"], rows[2]["legs.0.startDate"] = "3,16E+10", "3/4/2026"
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, rows[0], delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    raw = b"\xef\xbb\xbfsep=;\r\n" + out.getvalue().encode() + b";;;\r\n"

    lines = portal_import.check_lines(made.commands, read("portal.csv", decoded(raw)), utc_now())
    await taken(made, lines)

    assert [line.outcome for line in lines] == [Outcome.NEW, Outcome.NEW, Outcome.WRONG]
    assert [mistake.field for mistake in lines[2].mistakes] == ["contact.mobile", "legs.0.startDate"]
    (event,) = await made.events(lines[0].registration_id)
    assert isinstance(event, RegistrationSubmitted)
    assert (event.answers.credits, event.answers.university_funding) == (True, False)
    opened = await made.keyring.open(event.contact, "/contact")
    assert (opened["givenName"], opened["surname"]) == ("Surname 0", None)


def _flat(content: Any, name: str = "") -> dict[str, str]:
    if isinstance(content, dict):
        pairs: Any = content.items()
    elif isinstance(content, list):
        pairs = enumerate(content)
    else:
        return {name: str(content).lower() if isinstance(content, bool) else str(content)}
    flat: dict[str, str] = {}
    for key, value in pairs:
        flat |= _flat(value, f"{name}.{key}" if name else str(key))
    return flat


def _environment(stack: Stack, namespace: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "ENV": "local", "NAMESPACE": namespace, "MONGO_URL": stack.mongo,
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "KEY_ENCRYPTION_KEY": base64.b64encode(KEY).decode(),
        "JWKS": "nowhere.json", "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE, "CATALOGUE_DIR": str(CATALOGUE),
    }  # fmt: skip


async def test_import_takes_over_who_is_overdue_at_go_live(made: Parts) -> None:
    """A stay that is over is taken, with its student number: without a recorded return the student counts as there."""
    await made.advise("ES", Level.GREEN, 1)
    today = amsterdam_date(utc_now())
    first, last = (today - timedelta(days=days) for days in (40, 3))
    legs = [{"country": "ES", "startDate": first.isoformat(), "endDate": last.isoformat()}]
    contact = {**record(1)["contact"], "studentNumber": "s0000001"}

    lines = checked(made, [record(1, legs=legs, contact=contact)])
    await taken(made, lines)
    await record_due_events(made.commands.evaluation, utc_now())

    assert [(line.outcome, line.mistakes) for line in lines] == [(Outcome.NEW, [])]
    events = await made.events(lines[0].registration_id)
    assert type(events[0]).__name__ == "RegistrationSubmitted"
    assert {"StayStarted", "StayEnded"} <= {type(event).__name__ for event in events}
    assert not any(isinstance(event, ReturnRecorded) for event in events)
    [entry] = [entry async for entry in made.store.search.collection.find({})]
    assert entry["terms"], "and can be found by name and number"
