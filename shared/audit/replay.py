"""Replay: prints or exports the events in total order; two runs give identical bytes. It sends nothing.

The order comes from `total_order.py`. A JSON line holds the event's place in Kafka, then the event's own bytes.
"""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from shared.audit.evidence import Evidence
from shared.audit.total_order import Record
from shared.errors import PermanentError
from shared.spreadsheet import without_formula

COLUMNS = ("time", "type", "stream", "version", "sequence", "place", "what")
#: Data fields that the table shows beside the attributes, when an event has them. Never sealed fields.
TELLING = ("personId", "registrationId", "alertId", "country", "adviceVersion", "status", "rule", "reason", "trigger",
           "outcome", "answer", "decidedBy", "recordedBy", "cancelledBy", "closedBy", "step", "to", "kind",
           "queue", "late")  # fmt: skip
FIELDS = ("topic", "partition", "offset", "sequence", "id", "type", "time", "source", "subject", "streamversion",
          "correlationid", "causationid", "personId", "registrationId", "approvalId", "alertId", "country",
          "data")  # fmt: skip
#: The type of a row that stands for a record that cannot be read. No event has this name.
UNREADABLE = "Unreadable"


class NoParquet(PermanentError):
    """pyarrow is not installed."""


def as_json(record: Record) -> bytes:
    """One JSON line; the event's bytes are those of the record, unchanged."""
    return b'{"topic":"%b","partition":%d,"offset":%d,"event":%b}\n' % (
        record.topic.encode(), record.partition, record.offset, record.value or b"null",
    )  # fmt: skip


def header() -> bytes:
    """The first line of the table."""
    return _row(COLUMNS)


def as_row(evidence: Evidence) -> bytes:
    """One line of the table."""
    data = orjson.loads(evidence.data_bytes)
    what = " ".join(f"{name}={data[name]}" for name in TELLING if data.get(name) is not None)
    for plural in ("recipients", "entries"):
        if plural in data:
            what += f" {plural}={len(data[plural])}"
    return _row((f"{evidence.order.decode()}Z", evidence.type, evidence.subject, str(evidence.streamversion),
                 str(evidence.sequence or "-"), evidence.place, what.strip()))  # fmt: skip


def _row(cells: tuple[str, ...]) -> bytes:
    widths = (27, 22, 30, 4, 7, 32, 0)
    return ("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() + "\n").encode()


def exported(evidence: Evidence) -> dict[str, Any]:
    """The event as a row of an export."""
    data = orjson.loads(evidence.data_bytes)
    return {
        "topic": evidence.record.topic,
        "partition": evidence.record.partition,
        "offset": evidence.record.offset,
        "sequence": evidence.sequence,
        "id": evidence.id,
        "type": evidence.type,
        "time": f"{evidence.order.decode()}Z",
        "source": evidence.source,
        "subject": evidence.subject,
        "streamversion": evidence.streamversion,
        "correlationid": evidence.correlationid,
        "causationid": evidence.causationid,
        **{name: data.get(name) for name in ("personId", "registrationId", "approvalId", "alertId", "country")},
        "data": evidence.data_bytes.decode(),
    }


def harmless(value: object) -> object:
    """Prefix a cell that a spreadsheet would take for a formula."""
    return without_formula(value) if isinstance(value, str) else value


class CsvFile:
    """A CSV file, written row by row."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._text = io.StringIO(newline="")
        self._writer = csv.DictWriter(self._text, FIELDS, lineterminator="\r\n")
        self._writer.writeheader()

    def add(self, row: dict[str, Any]) -> None:
        """Add one event."""
        self._writer.writerow({name: harmless(value) for name, value in row.items()})
        if self._text.tell() > 256_000:
            self._flush()

    def close(self) -> None:
        """Write the remaining rows."""
        self._flush()

    def _flush(self) -> None:
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


class ParquetFile:
    """A Parquet file with row groups of 5,000 rows."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise NoParquet("Parquet needs pyarrow: `uv sync --extra parquet`; CSV does not") from None
        numbers = {"partition", "offset", "sequence", "streamversion"}
        self._schema = pyarrow.schema(
            [(name, pyarrow.int64() if name in numbers else pyarrow.string()) for name in FIELDS]
        )
        self._table = pyarrow.Table
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Add one event."""
        self._rows.append(row)
        if len(self._rows) >= 5_000:
            self._flush()

    def close(self) -> None:
        """Write the remaining rows."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(self._table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


Kind = Callable[[BinaryIO], CsvFile | ParquetFile]
#: By the ending of the file's name.
KINDS: dict[str, Kind] = {".csv": CsvFile, ".parquet": ParquetFile}


class Export:
    """A file that gets its final name when it is whole: `with Export(path) as export`, `add` each event, `done`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._is_done = False

    def __enter__(self) -> "Export":
        kind = KINDS.get(self._path.suffix)
        if kind is None:
            raise PermanentError(f"{self._path.name} ends in none of {', '.join(KINDS)}")
        if self._path.exists():
            raise PermanentError(f"{self._path} is there already")
        self._file = self._part.open("wb")
        try:
            self._rows = kind(self._file)
        except NoParquet:
            self.__exit__()
            raise
        return self

    def add(self, evidence: Evidence) -> None:
        """Add one event."""
        self._rows.add(exported(evidence))

    def add_unreadable(self, place: str, problem: str) -> None:
        """Add a record that is no readable event, so that the file itself names its gaps."""
        name, _, offset = place.rpartition("@")
        topic, _, partition = name.rpartition("/")
        row = {"topic": topic, "partition": int(partition), "offset": int(offset), "type": UNREADABLE, "data": problem}
        self._rows.add({**dict.fromkeys(FIELDS), **row})

    def done(self) -> None:
        """Finish the file; without this call it is deleted."""
        self._rows.close()
        self._is_done = True

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._is_done:
            self._part.rename(self._path)
        else:
            self._part.unlink()
