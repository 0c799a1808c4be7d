"""The audit commands on a real Kafka: tampering and bad input are named in one sentence, with the right exit code."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from click.testing import Result
from typer.testing import CliRunner

from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from services.notify.store.selections import Selection
from services.notify.store.send_queue import EMERGENCY, SendJob, SendQueue
from services.passage import main
from services.passage.projections import DOCUMENT_PROJECTIONS
from services.passage.stream_folds import STREAM_FOLDS
from shared.audit.evidence import read
from shared.audit.projections import Folder
from shared.audit.reader import TOPICS, Record
from shared.events import AlertClosed, Channel, OutcomeEvent, RecipientsSelected
from shared.mongo.client import Mongo
from shared.privacy.service_key import ServiceKey
from tests.audit.log import Log, changed
from tests.audit.sample import Sample
from tests.audit.sample import published as published_log
from tests.contracts.test_events import SAMPLES
from tests.integration.simulators import running

RECORDS = Sample().records
ROOT = Path(__file__).resolve().parents[2]
Publish = Callable[[Sequence[Record]], dict[str, str]]
Tamper = Callable[[Mongo], Awaitable[None]]
Kept = Callable[[Tamper], dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def published(stack: Any) -> Iterator[Publish]:
    """Writes records into topics of their own, and gives the environment variables of an auditor who reads them."""
    with ExitStack() as logs:

        def write(records: Sequence[Record]) -> dict[str, str]:
            namespace = logs.enter_context(published_log(stack.kafka, records))
            return {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "NAMESPACE": namespace, "MONGO_URL": stack.mongo}

        yield write


@pytest.fixture(scope="module")
def sample(published: Publish) -> dict[str, str]:
    """The unchanged sample log."""
    return published(RECORDS)


def passage(environment: dict[str, str], *arguments: str) -> Result:
    """Run `passage audit …`."""
    result = CliRunner().invoke(main, ["audit", *arguments], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def of_topic(number: int) -> list[int]:
    """The positions of a topic's records in RECORDS."""
    return [at for at, record in enumerate(RECORDS) if record.topic == TOPICS[number]]


# ---------------------------------------------------------------- tampering


def _flip(records: list[Record]) -> None:
    at = of_topic(1)[3]
    records[at] = changed(records[at], b'"decidedBy":"rules"', b'"decidedBy":"rulez"')


def _drop(records: list[Record]) -> None:
    del records[of_topic(1)[2]]


def _insert(records: list[Record]) -> None:
    at = of_topic(3)[0]
    records.append(changed(records[at], b"advice_changed", b"late_arrival"))


def _reorder(records: list[Record]) -> None:
    same = [at for at in of_topic(1) if records[at].partition == records[of_topic(1)[0]].partition]
    one, other = same[0], same[1]
    records[one], records[other] = records[other], records[one]


def _cut_the_tail(records: list[Record]) -> None:
    # The registration that the alert's offsets speak of: the chain alone does not miss it.
    last = of_topic(1)[-6:]
    del records[last[0] : last[-1] + 1]


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [(_flip, "altered"), (_drop, "missing"), (_insert, "inserted"), (_reorder, "reordered"),
     (_cut_the_tail, "truncated")],
)  # fmt: skip
def test_verify_names_what_was_done(published: Publish, tamper: Callable[[list[Record]], None], fault: str) -> None:
    """Flip, drop, insert, reorder and truncate each give exit code 1 and a finding with its place."""
    records = list(RECORDS)
    tamper(records)

    result = passage(published(records), "verify", "--json")

    assert result.exit_code == 1
    assert fault in {finding["fault"] for finding in json.loads(result.stdout)["findings"]}


def test_verify_with_manifest_shows_a_chain_made_anew(
    published: Publish, sample: dict[str, str], tmp_path: Path
) -> None:
    """A log rewritten as a whole, with every hash correct, is revealed by the manifest only."""
    key, public, file = (str(tmp_path / name) for name in ("audit.key", "audit.pub", "manifest.json"))
    assert passage(sample, "key", key, public).exit_code == 0
    assert passage(sample, "manifest", file, "--key", key).exit_code == 0
    manifest = json.loads(Path(file).read_text())
    anew = Log("travel.approval.v1", 6, "/approval")
    rewritten = [record for record in RECORDS if record.topic != anew.topic]
    for at in of_topic(0):
        evidence = read(RECORDS[at])
        fact = evidence.data
        if evidence.type == "ApprovalGranted":
            fact = fact.model_copy(update={"decided_by": "coordinator-02"})
        anew.append(fact, at=evidence.at, event_id=evidence.id)
    other = published([*anew.records, *rewritten])
    manifest["manifest"]["namespace"] = other["NAMESPACE"]  # the check of the signature comes first

    alone = passage(other, "verify")
    held = passage({**other, "NAMESPACE": sample["NAMESPACE"]}, "verify", "--manifest", file, "--public-key", public)
    Path(file).with_suffix(".2").write_text(json.dumps(manifest))
    forged = passage(other, "verify", "--manifest", str(Path(file).with_suffix(".2")), "--public-key", public)

    assert (alone.exit_code, held.exit_code, forged.exit_code) == (0, 0, 2)
    assert "was changed" in forged.stderr


# ---------------------------------------------------------------- replay and export


def test_replay_twice_is_the_same_and_complete(sample: dict[str, str]) -> None:
    """Two replays give identical bytes: every record once, each topic in chain order."""
    first, second = (passage(sample, "replay", "--json") for _ in range(2))

    lines = [json.loads(line) for line in first.stdout.splitlines()]
    assert first.stdout_bytes == second.stdout_bytes
    assert first.exit_code == 0
    assert sorted(line["event"]["id"] for line in lines) == sorted(read(record).id for record in RECORDS)
    for topic in TOPICS:
        sequences = [line["event"]["sequence"] for line in lines if line["topic"] == topic]
        assert sequences == sorted(sequences)


def test_replay_beside_the_providers_leaves_their_logs_empty(sample: dict[str, str], tmp_path: Path) -> None:
    """A process with all of notify's settings for sending replays an alert and sends nothing."""
    with (
        running("smtp_inbox", tmp_path / "inbox", "--control-port", "0") as inbox,
        running("sms_gateway", tmp_path / "sms") as gateway,
    ):
        sending = {
            "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(inbox.port), "SMTP_SENDER": "alerts@university.example",
            "SMS_URL": f"http://127.0.0.1:{gateway.port}", "SMS_TOKEN": "t", "SMS_SENDER": "+31970000000",
        }  # fmt: skip
        arguments = [sys.executable, "-m", "services.passage", "audit", "replay", "--alert", "ES-2", "--json"]
        runs = [
            subprocess.run(
                arguments, env={**os.environ, **sample, **sending}, capture_output=True, check=True, cwd=ROOT
            )
            for _ in range(2)
        ]

    assert b"RecipientsSelected" in runs[0].stdout
    assert runs[0].stdout == runs[1].stdout
    assert [path for path in (tmp_path / "inbox" / "maildir").rglob("*") if path.is_file()] == []
    assert (tmp_path / "sms" / "sms.jsonl").read_text() == ""


def test_replay_filters_and_ends_where_it_is_told(sample: dict[str, str]) -> None:
    """Replay filters by type, country, person, alert, correlation and time, and stops at given offsets."""

    def types(*arguments: str) -> list[str]:
        result = passage(sample, "replay", "--json", *arguments)
        assert result.exit_code == 0, result.stderr
        return [json.loads(line)["event"]["type"] for line in result.stdout.splitlines()]

    assert types("--type", "AlertRaised", "--country", "IT") == ["AlertRaised"]
    assert types("--person", "student-08") == ["RegistrationSubmitted", "RecipientsSelected", "NotificationsAccepted"]
    assert set(types("--alert", "IT-2")) == {"AlertRaised", "RecipientsSelected", "SelectionCompleted",
                                             "NotificationsAccepted"}  # fmt: skip
    assert types("--correlation", "cancel-student-06") == ["RegistrationCancelled"]
    assert types("--since", "2026-03-02T15:05:00Z") == ["NotificationsAccepted"]
    assert types("--offsets", '{"travel.advice.v1": {"2": 1}}') == ["TravelAdviceChanged"]


def test_replay_of_every_golden_sample_shows_each(published: Publish) -> None:
    """Every golden sample of an event is read and shown."""
    logs = {topic: Log(topic) for topic in TOPICS}
    for number, path in enumerate(SAMPLES):
        fact = read(Record("", 0, 0, None, path.read_bytes())).data
        logs[type(fact).topic].append(fact, event_id=f"golden-{number}", at=datetime(2026, 3, 1, 9, tzinfo=UTC))
    environment = published([record for log in logs.values() for record in log.records])

    for arguments in (["replay", "--json"], ["replay"]):
        result = passage(environment, *arguments)
        assert result.exit_code == 0, result.stderr
        assert f"{len(SAMPLES)} of {len(SAMPLES)} events." in result.stderr


def test_export_is_whole_and_overwrites_nothing(sample: dict[str, str], tmp_path: Path) -> None:
    """CSV has one row for each event; an existing file is not overwritten, and a failure leaves no part of a file."""
    csv = tmp_path / "events.csv"

    results = [passage(sample, "export", str(path)) for path in (csv, csv, tmp_path / "events.doc")]

    assert [result.exit_code for result in results] == [0, 1, 1]
    assert len(csv.read_text().splitlines()) == len(RECORDS) + 1
    assert not list(tmp_path.glob("*.part"))


def test_export_to_parquet_is_whole(sample: dict[str, str], tmp_path: Path) -> None:
    """One row for each event."""
    pyarrow = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "events.parquet"

    assert passage(sample, "export", str(file)).exit_code == 0
    assert pyarrow.read_table(file).num_rows == len(RECORDS)


def test_timings_draw_a_picture(sample: dict[str, str], tmp_path: Path) -> None:
    """`timings --svg` writes a chart with its numbers."""
    result = passage(sample, "timings", "ES-2", "--svg", str(tmp_path / "es-2.svg"), "--json")

    (times,) = json.loads(result.stdout)
    assert (times["people"], times["late"], times["accepted"]["p100Seconds"]) == (2, 1, 8.0)
    assert (tmp_path / "es-2.svg").read_text().startswith("<svg")


# ---------------------------------------------------------------- diff


async def keep(mongo: Mongo) -> None:
    """The documents that the services keep after these events."""
    folder, evidences = Folder(STREAM_FOLDS), [read(record) for record in RECORDS]
    for evidence in evidences:
        folder.take(evidence)
    for (service, kind, identity), known in folder.known.items():
        fields = {"state": known.state} if service == "notify" else known.state
        document = {"_id": identity, "version": known.version, **fields}
        await mongo.database(service)[kind].insert_one(document)
    by_hand = ("answers", "deliveries", "lanes", "selections")
    for (service, kind), item in DOCUMENT_PROJECTIONS.items():
        for evidence in evidences if kind not in by_hand else ():
            for identity, part in item.changes(evidence).items():
                made = mongo.database(service)[kind]
                after = item.apply(await made.find_one({"_id": identity}), evidence, part)
                if after is not None:
                    await made.replace_one({"_id": identity}, after, upsert=True)
    deliveries = DeliveryStore(mongo.database("notify"), ServiceKey(b"k" * 32))
    for evidence in evidences:
        if isinstance(evidence.data, OutcomeEvent):
            await deliveries.fold([StoredEvent(evidence.id, evidence.at, evidence.data)])
        if isinstance(evidence.data, RecipientsSelected):
            await keep_selection(mongo, evidence.data, evidence.at)
    answers = {"alertId": "ES-2", "personId": "student-01", "answer": "safe"}
    given = [{"eventId": evidence.id, "answer": "safe", "via": "link"} for evidence in evidences
             if evidence.type == "PersonAnswered"]  # fmt: skip
    await mongo.database("notify")["answers"].insert_one({"_id": "ES-2:student-01", **answers, "given": given})


async def keep_selection(mongo: Mongo, event: RecipientsSelected, at: datetime) -> None:
    """Store a selection whose send jobs are finished."""
    recipients = RecipientColumns.from_recipients(
        Recipient(entry.person_id, entry.registration_id, "alert_country", "nl", entry.channels,
                  entry.registration_version, entry.area, entry.level, entry.reason)
        for entry in event.recipients
    )  # fmt: skip
    name = f"{event.alert_id}:{event.shard}{':late' if event.late else ''}"
    made = Selection(name, event.alert_id, event.shard, event.late, at, recipients)
    await mongo.database("notify")["selections"].insert_one(made.document())
    jobs = [
        SendJob(f"{name}:{channel.value}", name, event.alert_id, event.shard, channel, EMERGENCY,
             recipients.indices_for(channel), attempt=1, possible_duplicate=False)
        for channel in Channel
    ]  # fmt: skip
    await SendQueue(mongo.database("notify"), "worker").add(jobs, at)
    sent = {"$set": {"done": True, "ends": [len(recipients)]}}
    await mongo.database("notify")["lanes"].update_many({"selectionId": name}, sent)


@pytest.fixture(scope="module")
def kept(published: Publish) -> Iterator[Kept]:
    """Changes the services' documents, and gives the differences by id of the document."""
    environment = published(RECORDS)

    def differences(tamper: Tamper) -> dict[str, dict[str, Any]]:
        async def arrange() -> None:
            mongo = Mongo(environment["MONGO_URL"], namespace=environment["NAMESPACE"])
            for name in ("approval", "registration", "safety", "notify"):
                await mongo.drop(name)
            await keep(mongo)
            await tamper(mongo)
            mongo.close()

        asyncio.run(arrange())
        result = passage(environment, "diff", "--json", "--patience", "0")
        found = json.loads(result.stdout)["differences"]
        assert result.exit_code == bool(found)
        return {item["difference"]["id"]: {**item["difference"], "events": " ".join(item["events"])} for item in found}

    yield differences

    async def clean() -> None:
        mongo = Mongo(environment["MONGO_URL"], namespace=environment["NAMESPACE"])
        for name in ("approval", "registration", "safety", "notify"):
            await mongo.drop(name)
        mongo.close()

    asyncio.run(clean())


def test_diff_names_what_is_not_what_its_events_say(kept: Kept) -> None:
    """Documents as folded show no difference. A changed, missing or invented one is named, with its events."""
    told = list[str]()

    async def nothing(mongo: Mongo) -> None:
        assert await mongo.database("notify")["lanes"].count_documents({}) == 6

    async def tamper(mongo: Mongo) -> None:
        registrations = mongo.database("registration")["registrations"]
        await registrations.update_one({"_id": "r-student-01"}, {"$set": {"status": "refused"}})
        await registrations.delete_one({"_id": "r-student-02"})
        await mongo.database("notify")["alerts"].update_one({"_id": "ES-2"}, {"$inc": {"state.selected": 1}})
        await mongo.database("notify")["answers"].delete_one({"_id": "ES-2:student-01"})
        deliveries = mongo.database("notify")["deliveries"]
        page = await deliveries.find_one({"refs.0": {"$exists": True}}, sort=[("_id", 1)])
        rows = orjson.loads(page["rows"])
        told.append(rows[0][0])
        rows[0][3] = "failed" if rows[0][3] == "delivered" else "delivered"
        await deliveries.update_one({"_id": page["_id"]}, {"$set": {"rows": orjson.dumps(rows)}})
        await mongo.database("approval")["requests"].insert_one({"_id": "a-nobody", "version": 1})
        failing = {"$set": {"state.failedAt": "2026-03-02T12:00:00Z"}}
        await mongo.database("safety")["sources"].update_one({"_id": "netherlands"}, failing)

    assert kept(nothing) == {}
    found = kept(tamper)
    assert set(found) == {
        "r-student-01", "r-student-02", "a-nobody", "ES-2", "ES-2:student-01", "netherlands", *told,
    }  # fmt: skip
    assert found[told[0]]["fields"] == ["state"]
    assert "Notifications" in found[told[0]]["events"]
    assert "PersonAnswered" in found["ES-2:student-01"]["events"]
    assert found["ES-2"]["fields"] == ["selected"]
    assert "SelectionCompleted" in found["ES-2"]["events"]
    assert found["r-student-01"]["fields"] == ["status"]
    assert "RegistrationApproved" in found["r-student-01"]["events"]
    assert found["netherlands"]["fields"] == ["failedAt"]
    assert "SourceChecked" in found["netherlands"]["events"]


def test_diff_names_whoever_fell_out_of_a_selection(kept: Kept) -> None:
    """One of two selected people is missing, and the other has another registration version: both are named."""

    async def tamper(mongo: Mongo) -> None:
        selections = mongo.database("notify")["selections"]
        one = Selection.read(await selections.find_one({"_id": "ES-2:0"})).recipients[0]
        roll = RecipientColumns.from_recipients([one._replace(registration_version=7)])
        await selections.update_one({"_id": "ES-2:0"}, {"$set": {"roll": roll.encode()}})
        await mongo.database("notify")["lanes"].update_many({"selectionId": "ES-2:0"}, {"$set": {"indices": [0]}})

    found = kept(tamper)
    assert set(found) == {
        "ES-2:student-01", "ES-2:student-02", "ES-2:student-02:email:1", "ES-2:student-02:sms:1",
    }  # fmt: skip
    assert found["ES-2:student-01"]["fields"] == ["registrationVersion"]
    assert found["ES-2:student-02"]["what"] == "is in the events and is not kept"
    assert "RecipientsSelected" in found["ES-2:student-02"]["events"]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"done": False}, {}),  # begun: it may have been said or not
        ({"done": False, "ends": []}, {"ES-2:student-08:sms:1": ["told"]}),  # said, and nobody ever began it
        ({"selectionId": "gone"}, {"ES-2:student-08:sms:1": [], "ES-2:0:late:sms": []}),
    ],
)
def test_diff_names_work_that_is_not_as_it_was_said(
    kept: Kept, change: dict[str, Any], wrong: dict[str, list[str]]
) -> None:
    """A send job that is being worked on, one that was never begun, and one without its selection."""

    async def tamper(mongo: Mongo) -> None:
        await mongo.database("notify")["lanes"].update_one({"_id": "ES-2:0:late:sms"}, {"$set": change})

    assert {name: each["fields"] for name, each in kept(tamper).items()} == wrong


def test_diff_names_work_that_is_done_and_of_which_nothing_was_said(kept: Kept) -> None:
    """A finished send job has one more recipient, for whom no outcome event exists."""

    async def tamper(mongo: Mongo) -> None:
        notify = mongo.database("notify")
        made = Selection.read(await notify["selections"].find_one({"_id": "IT-2:0"}))
        more = made.recipients[0]._replace(person_id="student-09")
        roll = RecipientColumns.from_recipients([*made.recipients, more])
        await notify["selections"].update_one({"_id": "IT-2:0"}, {"$set": {"roll": roll.encode()}})
        await notify["lanes"].update_one({"_id": "IT-2:0:email"}, {"$set": {"indices": [0, 1]}})

    found = kept(tamper)
    assert {name: each["what"] for name, each in found.items()} == {
        "IT-2:student-09": "is kept and is not in the events",
        "IT-2:student-09:email:1": "is kept and is not in the events",
    }


# ---------------------------------------------------------------- bad input


def test_wrong_use_is_two_and_one_sentence(sample: dict[str, str], tmp_path: Path) -> None:
    """No Kafka, an unknown person, alert or type, a bad time or manifest: exit code 2 and one sentence."""
    asked = [
        (["explain", "--person", "nobody"], "no such person"),
        (["explain", "--registration", "r-nobody"], "no such registration"),
        (["explain", "ES-99"], "No alert ES-99"),
        (["explain"], "Name an alert"),
        (["affected", "ES-99"], "No alert ES-99"),
        (["state", "--person", "nobody"], "Nothing was known of nobody"),
        (["state", "--person", "a", "--country", "ES"], "only one of"),
        (["replay", "--type", "Nothing"], "There is no event Nothing"),
        (["replay", "--since", "yesterday"], "is no time"),
        (["replay", "--until", "2026-03-01T10:00:00"], "no time zone"),
        (["replay", "--offsets", "[]"], "--offsets takes"),
        (["verify", "--manifest", str(tmp_path / "none")], "--public-key"),
        (["timings", "--svg", str(tmp_path / "x.svg")], "name it"),
    ]
    for arguments, sentence in asked:
        result = passage(sample, *arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), (arguments, result.stderr)
        assert sentence in result.stderr
    nowhere = passage({"KAFKA_BOOTSTRAP_SERVERS": "", "AUDIT_KAFKA_BOOTSTRAP_SERVERS": ""}, "verify")
    assert (nowhere.exit_code, "is not set" in nowhere.stderr) == (2, True)


@pytest.mark.parametrize("command", [["verify"], ["replay", "--json"], ["affected"], ["explain", "ES-2"], ["stale"]])
def test_partial_reading_is_never_called_complete(
    published: Publish, sample: dict[str, str], command: list[str]
) -> None:
    """A missing topic or a silent broker gives exit code 1."""
    missing = passage({**sample, "NAMESPACE": "nothing-here-"}, *command)

    assert missing.exit_code == 1
    assert "Not complete: no topic" in missing.stderr


def test_partial_unknown_version_and_wrong_clock_are_said(published: Publish) -> None:
    """An event of version 2, or from the year after next, makes every answer incomplete."""
    records = list(RECORDS)
    at = of_topic(3)[-1]
    records[at] = changed(records[at], b"NotificationsAccepted:1", b"NotificationsAccepted:2")
    future = Log("travel.approval.v1", 6, "/notify")
    future.append(AlertClosed(alert_id="x", closed_by="x", reason=""), at=datetime.now(UTC) + timedelta(days=700))
    log = published(records)
    later = published([replace(record, topic="travel.notification.v1") for record in future.records])

    for command in (["replay", "--json"], ["affected"], ["explain", "IT-2"], ["state", "--alert", "IT-2"]):
        result = passage(log, *command)
        assert (result.exit_code, "is not known here" in result.stderr) == (1, True), (command, result.stderr)
    assert "unknown_version" in passage(log, "verify").stdout
    result = passage(later, "replay")
    assert (result.exit_code, "future" in result.stderr) == (1, True)
    verified = passage(later, "verify")
    assert "future" in verified.stdout, verified.stderr


def test_partial_start_eaten_by_retention_is_said(published: Publish) -> None:
    """The first records of a partition were deleted."""
    environment = published(RECORDS)
    first = RECORDS[of_topic(1)[0]]

    async def eat() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=environment["KAFKA_BOOTSTRAP_SERVERS"])
        await admin.start()
        place = TopicPartition(environment["NAMESPACE"] + first.topic, first.partition)
        await admin.delete_records({place: RecordsToDelete(before_offset=1)})
        await admin.close()

    asyncio.run(eat())

    for command in (["verify"], ["replay"], ["affected"], ["explain", "ES-2"]):
        result = passage(environment, *command)
        assert (result.exit_code, "begins at offset 1" in result.stderr) == (1, True), (command, result.stderr)


def test_interrupted_says_so() -> None:
    """Ctrl-C while Kafka does not answer: one sentence, exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{silent.getsockname()[1]}"}
        process = subprocess.Popen(
            [sys.executable, "-m", "services.passage", "audit", "verify"],
            cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            # When the tests run in the background, SIGINT is ignored, and the command would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        connection.close()

    assert (process.returncode, said) == (1, "Interrupted, not complete: the unread events were not checked.\n")


def test_interrupted_in_the_middle_says_so(published: Publish) -> None:
    """Ctrl-C while the reader of the output does not read: one sentence, exit code 1, no process left."""
    log = Log(TOPICS[3], 12, "/notify")
    for number in range(4_000):
        log.append(AlertClosed(alert_id=f"ES-m{number}", closed_by="officer", reason="a long reason " * 20))
    environment = {**os.environ, **published(log.records)}
    process = subprocess.Popen(
        [sys.executable, "-m", "services.passage", "audit", "replay", "--json"],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(1) == b"{"
    children = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    said = process.stderr.read().decode()
    process.stdout.close()

    assert (process.wait(timeout=120), said) == (
        1,
        "Interrupted, not complete: the unread events were not checked.\n",
    )
    assert not psutil.wait_procs(children, timeout=90)[1]


def test_broken_pipe_says_so(sample: dict[str, str]) -> None:
    """The reader of the output has ended: one sentence, exit code 1."""
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "services.passage", "audit", "replay", "--json"],
        cwd=ROOT, env={**os.environ, **sample}, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    os.close(writing)

    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == "Not complete: the program that read the output has ended."
