"""Building blocks of benchmarks: a namespace with topics, events by the hundred thousand, a bare producer."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from aiokafka import AIOKafkaProducer

from shared.bus import topics
from shared.clock import amsterdam_date, utc_now
from shared.envelope import GENESIS, Cause, Draft, chain, compose
from shared.events import ActivityType, Leg, RegistrationSubmitted, StudyAnswers
from shared.ids import new_id
from tests.benchmarks.measure import Where
from tests.integration.bus_world import TOPICS, Side, side

CAUSE = Cause("benchmark", "benchmark")


@asynccontextmanager
async def installation(where: Where, service: str = "registration") -> AsyncIterator[Side]:
    """A service in a namespace of its own, with topics and indexes; its databases go afterwards."""
    namespace = f"b{uuid.uuid4().hex[:8]}-"
    one = side(SimpleNamespace(kafka=where.kafka, mongo=where.mongo), namespace, service)
    await topics.apply(one.settings, topics.load(TOPICS), "local")
    await one.outbox.create_indexes()
    try:
        yield one
    finally:
        await one.mongo.drop(service)
        one.mongo.close()


def registrations(
    count: int, *, first: int = 0, country: str = "ES", sealed: str = ""
) -> Iterator[tuple[Draft, bytes]]:
    """Submissions of this many people, numbered from `first`, with bodies of about 1,000 bytes."""
    today = amsterdam_date(utc_now())
    leg = Leg(start_date=today - timedelta(5), end_date=today + timedelta(30), country=country, place="Testville")
    answers = StudyAnswers(credits=True, university_funding=False, transcript_entry=True)
    for number in range(first, first + count):
        fact = RegistrationSubmitted(
            registration_id=f"r-{number}",
            person_id=f"p-{number}",
            approval_id=None,
            faculty_id="example-sciences",
            programme_id="example-biology",
            activity_type=ActivityType.INTERNSHIP,
            legs=(leg,),
            answers=answers,
            study_related=True,
            contact=sealed or f"sealed:v1:p-{number}:e-{number}:{'A' * 300}",
            language="nl",
        )
        draft = Draft(fact, new_id())
        yield draft, compose(draft, source="/registration", version=1, time=utc_now(), cause=CAUSE)


def chained(bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Final bytes with a placeholder chain, which no benchmark checks."""
    for number, body in enumerate(bodies):
        yield chain(body, number + 1, GENESIS)


async def produce(bootstrap: str, topic: str, messages: Sequence[tuple[bytes, bytes]]) -> float:
    """A bare idempotent producer with acks=all sends (key, value) in order; how many a second."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=131_072, linger_ms=0
    )
    await producer.start()
    try:
        began = time.perf_counter()
        for at in range(0, len(messages), 1_000):
            sent = [await producer.send(topic, value, key=key) for key, value in messages[at : at + 1_000]]
            await asyncio.gather(*sent)
        return len(messages) / (time.perf_counter() - began)
    finally:
        await producer.stop()


def peak_kilobytes(pid: int | str = "self") -> int:
    """The peak resident memory of this process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0
