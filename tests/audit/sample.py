"""A small log that code commits, the same on every machine: what the README's questions are asked of.

Spain turns red while three students are there; one comes late; Sicily turns orange and its mails are slow.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from aiokafka import AIOKafkaProducer

from shared.audit.reader import Record
from shared.bus import topics
from shared.bus.settings import BusSettings
from shared.envelope import Cause
from shared.events import (
    AdviceSeen,
    AlertEscalated,
    AlertRaised,
    ApprovalGranted,
    ApprovalRequested,
    AreaChange,
    Channel,
    DeliveryOutcome,
    Event,
    Leg,
    Level,
    LevelChange,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    PersonAnswered,
    Recipient,
    RecipientsSelected,
    RegionAdvice,
    RegistrationApproved,
    RegistrationCancelled,
    RegistrationSubmitted,
    ReturnRecorded,
    SelectionCompleted,
    SourceChecked,
    StudyAnswers,
    TravelAdviceChanged,
)
from shared.ids import derived_id
from tests.audit.log import Log

DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PARTITIONS = {"travel.approval.v1": 6, "travel.registration.v1": 12, "travel.advice.v1": 6,
              "travel.notification.v1": 12}  # fmt: skip
SOURCES = {"travel.approval.v1": "/approval", "travel.registration.v1": "/registration",
           "travel.advice.v1": "/safety", "travel.notification.v1": "/notify"}  # fmt: skip
ABOUT = {"faculty_id": "example-sciences", "programme_id": "example-biology", "activity_type": "internship"}
#: student → country, first and last day counted from DAY, region, place
STUDENTS = {
    "student-01": ("ES", -20, 20, "ES-MD", None),
    "student-02": ("ES", -10, 1, None, "Sevilla"),
    "student-03": ("ES", -30, -3, "ES-MD", None),
    "student-04": ("IT", -5, 30, None, "Palermo"),
    "student-05": ("IT", -5, 30, "IT-25", None),
    "student-06": ("ES", -10, 10, "ES-CT", None),
}


class Sample:
    """The four logs."""

    def __init__(self) -> None:
        self.logs = {name: Log(name, count, SOURCES[name]) for name, count in PARTITIONS.items()}
        self._count = 0
        self._tell()

    @property
    def records(self) -> list[Record]:
        """All of them."""
        return [record for log in self.logs.values() for record in log.records]

    def _add(self, event: Event, at: datetime, correlation: str) -> str:
        self._count += 1
        identity = derived_id("audit-sample", str(self._count))
        cause = Cause(correlation, correlation)
        return self.logs[type(event).topic].append(event, at=at, event_id=identity, cause=cause)

    def _tell(self) -> None:
        long_ago = NOON - timedelta(days=40)
        for country in ("ES", "IT"):
            self._advise(country, 1, None, Level.YELLOW, long_ago, baseline=True)
        self._check(long_ago + timedelta(minutes=1), ES=1, IT=1)
        for number, student in enumerate(STUDENTS):
            self._register(student, NOON - timedelta(days=35) + timedelta(minutes=number))
        self._cancel("student-06", NOON - timedelta(days=2))
        self._add(
            ReturnRecorded(registration_id="r-student-03", person_id="student-03", on=DAY - timedelta(days=3),
                           outcome="returned", recorded_by="office-01"), NOON - timedelta(days=2), "return-1",
        )  # fmt: skip
        self._spain(NOON)
        self._italy(NOON + timedelta(hours=3))
        # Approved on version 1 of Spain, an hour after version 2 was out.
        self._approve("student-07", "ES", 1, NOON + timedelta(hours=1))

    def _advise(self, country: str, version: int, before: Level | None, after: Level, at: datetime, *,
                baseline: bool = False, region: str | None = None) -> str:  # fmt: skip
        whole = LevelChange(before=before, after=before if region else after)
        listed = (RegionAdvice(area=region, code=region, before=Level.YELLOW, after=after),) if region else ()
        return self._add(
            TravelAdviceChanged(
                country=country, advice_version=version, baseline=baseline, ministry=whole, effective=whole,
                regions=listed, changes=(AreaChange(area=region or country, before=before, after=after),),
                source="netherlands", source_version=f"{at:%Y-%m-%dT%H:%M}", parser_version=1,
                effective_at=at - timedelta(minutes=4), text_nl="", text_en="", url="https://advice.example/",
                decided_by="rules",
            ), at, f"reading-{at:%d%H%M}",
        )  # fmt: skip

    def _check(self, at: datetime, **versions: int) -> None:
        fact = SourceChecked(source="netherlands", checked_at=at - timedelta(seconds=9),
                             fresh_until=at + timedelta(days=60), countries=versions)  # fmt: skip
        self._add(fact, at, f"reading-{at:%d%H%M}")

    def _register(self, student: str, at: datetime) -> None:
        country, start, end, region, place = STUDENTS[student]
        first, last = DAY + timedelta(days=start), DAY + timedelta(days=end)
        about = {"approval_id": f"a-{student}", "person_id": student}
        self._add(ApprovalRequested(**about, **ABOUT, country=country, start_date=first, end_date=last,
                                    description=None, catalogue_version="c1"), at, f"request-{student}")  # fmt: skip
        self._add(ApprovalGranted(**about, **ABOUT, country=country, start_date=first, end_date=last,
                                  decided_by="coordinator-01", catalogue_version="c1"),
                  at + timedelta(hours=2), f"request-{student}")  # fmt: skip
        leg = Leg(start_date=first, end_date=last, country=country, region=region, place=place)
        self._submit(student, leg, at + timedelta(hours=3))
        self._approve(student, country, 1, at + timedelta(hours=3, seconds=1))

    def _submit(self, student: str, leg: Leg, at: datetime) -> None:
        self._add(
            RegistrationSubmitted(
                registration_id=f"r-{student}", person_id=student, approval_id=f"a-{student}", legs=(leg,),
                answers=StudyAnswers(credits=True, university_funding=False, transcript_entry=True),
                study_related=True, contact=f"sealed:v1:{student}:sample:AAAA", language="nl", **ABOUT,
            ), at, f"registration-{student}",
        )  # fmt: skip

    def _approve(self, student: str, country: str, version: int, at: datetime) -> None:
        if student not in STUDENTS:
            leg = Leg(start_date=DAY + timedelta(days=20), end_date=DAY + timedelta(days=60), country=country)
            self._submit(student, leg, at)
        seen = (AdviceSeen(country=country, advice_version=version, level=Level.YELLOW),)
        self._add(
            RegistrationApproved(registration_id=f"r-{student}", person_id=student, reason="approved_and_safe",
                                 approval_id=f"a-{student}", advice=seen, decided_by="rules"),
            at + timedelta(seconds=1), f"registration-{student}",
        )  # fmt: skip

    def _cancel(self, student: str, at: datetime) -> None:
        fact = RegistrationCancelled(registration_id=f"r-{student}", person_id=student, cancelled_by=student)
        self._add(fact, at, f"cancel-{student}")

    def _spain(self, at: datetime) -> None:
        """Red: two are there, one registers a quarter of an hour later, one does not answer."""
        advice = self._advise("ES", 2, Level.YELLOW, Level.RED, at)
        self._check(at + timedelta(seconds=1), ES=2, IT=1)
        self._raise("ES-2", "ES", 2, advice, at + timedelta(seconds=2))
        self._select("ES-2", "ES", Level.RED, ("student-01", "student-02"), at + timedelta(seconds=3))
        self._complete("ES-2", 2, at + timedelta(seconds=4))
        for student, wait in (("student-01", 6), ("student-02", 8)):
            self._outcome(NotificationsAccepted, "ES-2", student, at + timedelta(seconds=wait))
        self._outcome(NotificationsDelivered, "ES-2", "student-01", at + timedelta(seconds=20), Channel.SMS)
        self._outcome(NotificationsFailed, "ES-2", "student-02", at + timedelta(seconds=30), Channel.SMS)
        later = at + timedelta(minutes=3)
        self._add(PersonAnswered(alert_id="ES-2", shard=0, person_id="student-01", answer="safe", via="link",
                                 answered_at=later), later, "answer-1")  # fmt: skip
        self._add(AlertEscalated(alert_id="ES-2", person_id="student-02", step=2, to="on-call", reason="no_answer",
                                 by="rules"), at + timedelta(minutes=30), "ES-2")  # fmt: skip
        late = at + timedelta(minutes=15)
        self._submit("student-08", Leg(start_date=DAY, end_date=DAY + timedelta(days=9), country="ES"), late)
        self._select("ES-2", "ES", Level.RED, ("student-08",), late + timedelta(seconds=1), late=True)
        self._outcome(NotificationsAccepted, "ES-2", "student-08", late + timedelta(seconds=3))

    def _italy(self, at: datetime) -> None:
        """Sicily orange: one of two is there; the provider takes six minutes."""
        advice = self._advise("IT", 2, Level.YELLOW, Level.ORANGE, at, region="IT-82")
        self._check(at + timedelta(seconds=1), ES=2, IT=2)
        self._raise("IT-2", "IT", 2, advice, at + timedelta(seconds=2))
        self._select("IT-2", "IT-82", Level.ORANGE, ("student-04",), at + timedelta(seconds=3))
        self._complete("IT-2", 1, at + timedelta(seconds=4))
        self._outcome(NotificationsAccepted, "IT-2", "student-04", at + timedelta(minutes=6))

    def _raise(self, alert: str, country: str, version: int, advice: str, at: datetime) -> None:
        self._add(
            AlertRaised(alert_id=alert, trigger="advice_changed", country=country, advice_version=version,
                        advice_event_id=advice, as_of=at, shard_count=1, templates={"alert_country": "abcdef012345"}),
            at, alert,
        )  # fmt: skip

    def _select(self, alert: str, area: str, level: Level, students: Sequence[str], at: datetime, *,
                late: bool = False) -> None:  # fmt: skip
        recipients = tuple(
            Recipient(person_id=student, registration_id=f"r-{student}", registration_version=1,
                      reason="region" if "-" in area else "country", area=area, level=level, channels=tuple(Channel))
            for student in students
        )  # fmt: skip
        self._add(RecipientsSelected(alert_id=alert, shard=0, late=late, recipients=recipients), at, alert)

    def _complete(self, alert: str, selected: int, at: datetime) -> None:
        read = ("travel.registration.v1", "travel.advice.v1")
        offsets = {name: {number: end for number, end in self.logs[name].ends.items() if end} for name in read}
        self._add(SelectionCompleted(alert_id=alert, offsets=offsets, selected=selected, unreachable=0), at, alert)

    def _outcome(self, kind: type[NotificationsAccepted | NotificationsDelivered | NotificationsFailed], alert: str,
                 student: str, at: datetime, *channels: Channel) -> None:  # fmt: skip
        entries = tuple(
            DeliveryOutcome(
                delivery_id=f"{alert}:{student}:{channel.value}:1", person_id=student,
                registration_id=f"r-{student}", channel=channel, step=1, provider="example", reference="0" * 32, at=at,
            )
            for channel in channels or tuple(Channel)
        )  # fmt: skip
        self._add(kind(alert_id=alert, shard=0, entries=entries), at, alert)


async def _publish(kafka: str, namespace: str, records: Sequence[Record]) -> None:
    settings = BusSettings(kafka, namespace, "audit-sample", "audit-sample")
    await topics.apply(settings, topics.load("deploy/topics.yaml"), "local")
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, linger_ms=5)
    await producer.start()
    try:
        sent = [
            await producer.send(namespace + each.topic, each.value, key=each.key, partition=each.partition)
            for each in records
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


def publish(kafka: str, namespace: str, records: Sequence[Record]) -> None:
    """Write records where they stand in the logs, into topics that nobody has written to yet."""
    asyncio.run(_publish(kafka, namespace, records))
