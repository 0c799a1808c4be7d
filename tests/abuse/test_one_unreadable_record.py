"""One record in the log that cannot be read ends no question of the auditor: the rest is answered, and it is named."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from services.passage import main
from shared.audit.evidence import Unreadable, read
from shared.audit.reader import TOPICS, Record
from tests.audit.log import changed
from tests.audit.sample import Sample, published

RECORDS = Sample().records
AN_EVENT = next(record.value or b"" for record in RECORDS)
#: Values that no relay writes: no JSON, no event, an event before all time in another layout, or nested without end.
NONSENSE: dict[str, bytes | None] = {
    "nothing": None,
    "empty": b"",
    "no JSON": b"\xff\x00nonsense",
    "another object": b'{"type": "AlertRaised"}',
    "a list": b"[1, 2]",
    "before all time": AN_EVENT.replace(b'"time":"2026', b'"time" :"0001', 1).replace(
        b'Z","subject', b'+14:00","subject', 1
    ),
    "a day that does not exist": AN_EVENT.replace(b'"time":"2026-01', b'"time":"2026-00', 1),
    "nested": b'{"data":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
}


@dataclass(frozen=True)
class Logs:
    """The environment of an auditor of the sample log, and of one whose log has nonsense in it as well."""

    whole: dict[str, str]
    with_nonsense: dict[str, str]


@pytest.fixture(scope="module")
def logs(stack: Any) -> Iterator[Logs]:
    """Both logs; the nonsense lies at the end of a partition of each topic."""
    ends = {(record.topic, record.partition): record.offset + 1 for record in RECORDS}
    nonsense = []
    for number, value in enumerate(NONSENSE.values()):
        topic = TOPICS[number % len(TOPICS)]
        partition = next(partition for name, partition in ends if name == topic)
        nonsense.append(Record(topic, partition, ends[topic, partition], b"key", value))
        ends[topic, partition] += 1
    auditor = {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "MONGO_URL": stack.mongo}
    with published(stack.kafka, RECORDS) as whole, published(stack.kafka, [*RECORDS, *nonsense]) as with_nonsense:
        yield Logs({**auditor, "NAMESPACE": whole}, {**auditor, "NAMESPACE": with_nonsense})


def passage(environment: dict[str, str], *arguments: str) -> Result:
    """Run `passage audit …`."""
    result = CliRunner().invoke(main, ["audit", *arguments], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("name", NONSENSE)
def test_reading_raises_nothing_else(name: str) -> None:
    """Whatever the bytes are, a record is an event or it is unreadable."""
    with pytest.raises(Unreadable):
        read(Record(TOPICS[0], 0, 0, b"key", NONSENSE[name]))


def test_export_writes_the_rest_and_names_what_is_missing(logs: Logs, tmp_path: Path) -> None:
    """Every event has its row; each unreadable record has one as well, with its place; the exit code is 1."""
    file = tmp_path / "events.csv"

    result = passage(logs.with_nonsense, "export", str(file), "--json")

    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    missing = [row for row in rows if row["type"] == "Unreadable"]
    assert result.exit_code == 1
    assert f"Not complete: {len(NONSENSE)} records are" in result.stderr
    assert (len(rows), len(missing)) == (len(RECORDS) + len(NONSENSE), len(NONSENSE))
    assert all(row["topic"] in TOPICS and row["offset"].isdigit() and row["data"] for row in missing)
    assert json.loads(result.stdout) == {"file": str(file), "events": len(RECORDS), "unreadable": len(NONSENSE)}
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "question",
    ["replay", "state --country ES --at 2026-03-02", "explain ES-2", "stale", "timings", "affected"],
)
def test_every_question_is_answered_as_without_it(logs: Logs, question: str) -> None:
    """The same answer as from the log without it; exit code 1 and one sentence say that something could not be read."""
    whole, answer = (passage(log, *question.split(), "--json") for log in (logs.whole, logs.with_nonsense))

    assert (answer.exit_code, "Not complete" in answer.stderr) == (1, True), answer.stderr
    assert answer.stdout == whole.stdout


@pytest.mark.parametrize("question", [["affected", "--json"], ["explain", "ES-2", "--json"], ["state", "--json"]])
def test_an_event_that_does_not_fit_its_schema_ends_no_question(logs: Logs, stack: Any, question: list[str]) -> None:
    """Its type is known and its data have the wrong shape: the others are answered."""
    records = list(RECORDS)
    at = next(
        number for number, record in enumerate(records) if b'"type":"RegistrationSubmitted"' in (record.value or b"")
    )
    records[at] = changed(records[at], b'"legs":[', b'"legs":[7,')
    with published(stack.kafka, records) as namespace:
        answer = passage({**logs.whole, "NAMESPACE": namespace}, *question)

    assert (answer.exit_code, "Not complete" in answer.stderr) == (1, True), answer.stderr
    assert json.loads(answer.stdout)
