"""The events of a question, in order: filtered, and never silently short of one that could not be read."""

import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.audit.evidence import Evidence, Unreadable, read
from shared.audit.reader import TOPICS, Reader, Vector
from shared.events import EVENTS

#: Clocks of a cluster differ by less; what is later than this is of a clock that is wrong.
SKEW = timedelta(minutes=5)
#: Every event of version 1 in our relay's layout has these bytes; any other record is looked at closely.
_START, _VERSION = b'{"specversion":"1.0","id":"', b':1","streamversion":'


@dataclass(frozen=True, slots=True)
class Filter:
    """What an event must be to be shown; what is None asks for nothing."""

    since: datetime | None = None
    until: datetime | None = None
    type: str | None = None
    country: str | None = None
    person: str | None = None
    alert: str | None = None
    registration: str | None = None
    correlation: str | None = None

    def marks(self) -> list[bytes]:
        """Bytes that every such event holds."""
        found = [] if self.type is None else [b'"type":"%b"' % self.type.encode()]
        texts = (self.person, self.alert, self.registration, self.correlation)
        return found + [text.encode() for text in texts if text is not None]

    def allows(self, evidence: Evidence, alerts: set[str]) -> bool:
        """Whether the event is shown. `alerts`: those of the country so far; this adds to them."""
        if (self.since is not None and evidence.at < self.since) or (
            self.until is not None and evidence.at > self.until
        ):
            return False
        if (self.type, self.correlation) != (self.type and evidence.type, self.correlation and evidence.correlationid):
            return False
        names = (("personId", self.person), ("alertId", self.alert), ("registrationId", self.registration))
        if not all(
            wanted is None or b'"%b":"%b"' % (name.encode(), wanted.encode()) in evidence.data_bytes
            for name, wanted in names
        ):
            return False
        return self.country is None or self._is_of_country(evidence, alerts)

    def _is_of_country(self, evidence: Evidence, alerts: set[str]) -> bool:
        assert self.country is not None
        country = self.country.encode()
        if b'"country":"%b"' % country in evidence.data_bytes:
            if evidence.type == "AlertRaised":
                alerts.add(evidence.subject)
            return True
        if evidence.type == "SourceChecked":
            return b'"%b":' % country in evidence.data_bytes
        alert = _ALERT.search(evidence.data_bytes)
        return alert is not None and alert[1].decode() in alerts


_ALERT = re.compile(rb'"alertId":"([^"]+)"')


@dataclass(slots=True)
class Trail:
    """What was read, and what could not be."""

    events: int = 0
    shown: int = 0
    problems: int = 0
    first_problem: str = ""
    alerts: set[str] = field(default_factory=set)

    def note(self, place: str, problem: str) -> None:
        """Something is not as it should be: an answer without it is not complete."""
        self.problems += 1
        self.first_problem = self.first_problem or f"{place}: {problem}"

    @property
    def trouble(self) -> str:
        """One sentence about everything that could not be read; empty where all was."""
        if not self.problems:
            return ""
        records = "1 record is" if self.problems == 1 else f"{self.problems} records are"
        return f"{records} not as they should be, the first is {self.first_problem}"


async def follow(
    reader: Reader,
    trail: Trail,
    now: datetime,
    *,
    topics: Iterable[str] = TOPICS,
    until: Vector | None = None,
    marks: Iterable[bytes] = (),
    any_of: Iterable[bytes] = (),
    progress: Callable[[int], None] = lambda events: None,
) -> AsyncIterator[Evidence]:
    """The events of the topics in order. Those without all `marks`, and without one of `any_of`, are left out unread.

    What can not be read, is of a version that is not known, or of the future, is noted in the trail and left out.
    """
    all_of, some_of = list(marks), list(any_of)
    latest = (now + SKEW).strftime("%Y-%m-%dT%H:%M:%S").encode()

    def wanted(value: bytes) -> bool:
        trail.events += 1
        if trail.events % 1_000 == 0:
            progress(trail.events)
        if not value.startswith(_START) or _VERSION not in value:
            return True
        for mark in all_of:
            if mark not in value:
                return False
        # Plain loops: this looks at every event of the log.
        for mark in some_of:
            if mark in value:
                return True
        return not some_of

    last: dict[str, tuple[int, bytes]] = {}
    async for record in reader.in_order(topics, until, wanted):
        try:
            evidence = read(record)
        except Unreadable as error:
            trail.note(f"{record.topic}/{record.partition}@{record.offset}", str(error))
            continue
        if evidence.order > latest:
            trail.note(evidence.place, f"its time {evidence.order.decode()}Z is in the future, a clock is wrong")
        known = last.get(record.topic)
        if evidence.sequence is not None:
            if known is not None and evidence.sequence <= known[0]:
                if known != (evidence.sequence, record.value) and evidence.sequence == known[0]:
                    trail.note(evidence.place, "another event has the same sequence")
                continue  # a relay that crashed says the same again
            last[record.topic] = (evidence.sequence, record.value or b"")
        yield evidence


def type_marks(*types: str) -> list[bytes]:
    """Marks of the events of these classes."""
    assert set(types) <= set(EVENTS)
    return [b'"type":"%b"' % name.encode() for name in types]
