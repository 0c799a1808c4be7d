"""What an audit costs: verify, replay, state and explain against a consumer that only reads, and their memory.

Each run is a process of its own, as an auditor starts it; the bare consumer too, so that both begin equally cold.
Memory has runs of its own: sampling it every 20 ms would change the measured times.
"""

import asyncio
import os
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path

import psutil
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from shared.bus import topics
from shared.bus.settings import BusSettings
from shared.events import (
    AlertRaised,
    AlertTrigger,
    ApprovalGranted,
    Channel,
    DeliveryOutcome,
    Event,
    Level,
    NotificationsAccepted,
    Recipient,
    RecipientsSelected,
    RegistrationApproved,
    SelectionCompleted,
)
from tests.audit.log import START, Log
from tests.benchmarks.measure import Measure, Round, Where, against, ratio
from tests.rules.notify_world import change, days, submitted

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = {"travel.approval.v1": 6, "travel.registration.v1": 12, "travel.advice.v1": 6,
              "travel.notification.v1": 12}  # fmt: skip
FULL = 1_000_000
#: People of the explained alert: the same at every size, so that its memory can be compared.
AFFECTED = 1_000
COMMANDS = {
    "verify": ("≥ 0.5 × a bare consumer", ["verify", "--json"]),
    "replay": ("≥ 0.5 × a bare consumer", ["replay", "--json"]),
    "state": ("≥ 0.35 × a bare consumer", ["state", "--registration", "r-there-1", "--json"]),
    "explain": ("≥ 0.35 × a bare consumer", ["explain", "ES-2", "--json"]),
}


async def run(where: Where) -> list[Measure]:
    """Four commands over one log, and their memory against that over a log a tenth as long."""
    large, small = where.size(FULL), where.size(FULL // 10)
    before = await _in_a_log(where, small)
    measures, peaks = [], {}
    namespace = await _written(where.kafka, large)
    bare = _timed(where, namespace, large, ["-m", "tests.benchmarks.bare"])
    for name, (goal, arguments) in COMMANDS.items():
        peaks[name] = found = []
        command = ["-m", "services.passage", "audit", *arguments]
        measures.append(
            await against(f"audit-{name}", goal, _timed(where, namespace, large, command), bare, events=large)
        )
        for _ in range(2):
            await _timed(where, namespace, large, command, found)()
    await _forget(where.kafka, namespace)
    for name, found in peaks.items():
        sizes = {"megabytes": round(max(found) / 1e6), "megabytes_small": round(before[name] / 1e6)}
        shares = [peak / before[name] for peak in found]
        measures.append(ratio(f"audit-{name}-memory", f"≤ 1.2 × that of {small} events", shares, **sizes))
    return measures


async def _in_a_log(where: Where, events: int) -> dict[str, float]:
    """The memory of each command over a log of this size."""
    namespace = await _written(where.kafka, events)
    found = {}
    for name, (_, arguments) in COMMANDS.items():
        peaks: list[float] = []
        await _timed(where, namespace, events, ["-m", "services.passage", "audit", *arguments], peaks)()
        found[name] = max(peaks)
    await _forget(where.kafka, namespace)
    return found


def _timed(where: Where, namespace: str, events: int, command: list[str], peaks: list[float] | None = None) -> Round:
    async def once() -> float:
        environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": where.kafka, "NAMESPACE": namespace}
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        watch = asyncio.create_task(_peak(process.pid)) if peaks is not None else None
        code = await process.wait()
        seconds = time.perf_counter() - began
        if peaks is not None and watch is not None:
            peaks.append(await watch)
        if code != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {code}")
        return events / seconds

    return once


async def _peak(pid: int) -> float:
    """The peak memory of the process and its children together, bytes; shared pages count once (PSS)."""
    most = 0.0
    while True:
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
            most = max(most, float(sum(process.memory_full_info().pss for process in family)))
        except psutil.Error:
            return most
        await asyncio.sleep(0.02)


async def _written(kafka: str, events: int) -> str:
    """A log of about this size in its own namespace: one alert of AFFECTED people, and registrations elsewhere."""
    namespace = f"b{uuid.uuid4().hex[:8]}-"
    settings = BusSettings(kafka, namespace, "bench", "bench")
    await topics.apply(settings, topics.load(ROOT / "deploy" / "topics.yaml"), "local")
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, acks="all", linger_ms=20, max_batch_size=131_072
    )
    logs = {topic: Log(topic, count) for topic, count in PARTITIONS.items()}
    await producer.start()
    for country in ("FR", "ES"):
        for version, levels in ((1, (None, Level.YELLOW)), (2, (Level.YELLOW, Level.RED))):
            _append(logs, change(version, *levels, country=country), 0)
    for number in range(AFFECTED):
        _person(logs, f"there-{number}", "ES", number)
    _alert(logs)
    written, number = 0, AFFECTED
    while True:
        written += await _sent(producer, namespace, logs)
        if written >= events:
            break
        for _ in range(min(2_500, -(-(events - written) // 4))):
            _person(logs, f"elsewhere-{number}", "FR", number)
            number += 1
    await producer.stop()
    return namespace


async def _sent(producer: AIOKafkaProducer, namespace: str, logs: dict[str, Log]) -> int:
    records = [record for log in logs.values() for record in log.records]
    sent = [
        await producer.send(namespace + record.topic, record.value, key=record.key, partition=record.partition)
        for record in records
    ]
    await asyncio.gather(*sent)
    for log in logs.values():
        log.records.clear()
    return len(records)


def _append(logs: dict[str, Log], event: Event, number: int) -> None:
    logs[type(event).topic].append(event, at=START + timedelta(milliseconds=number))


def _person(logs: dict[str, Log], person: str, country: str, number: int) -> None:
    """Four events of one person: approved, registered, cleared, selected."""
    about = {"approval_id": f"a-{person}", "person_id": person}
    granted = ApprovalGranted(
        **about, faculty_id="f", programme_id="p", activity_type="internship", country=country,
        start_date=START.date(), end_date=START.date(), decided_by="coordinator", catalogue_version="c",
    )  # fmt: skip
    cleared = RegistrationApproved(
        **about, registration_id=f"r-{person}", reason="approved_and_safe", advice=(), decided_by="rules"
    )
    entry = DeliveryOutcome(
        delivery_id=f"{country}-2:{person}:email:1", person_id=person, registration_id=f"r-{person}",
        channel=Channel.EMAIL, step=1, provider="example", reference="0" * 32, at=START,
    )  # fmt: skip
    told = NotificationsAccepted(alert_id=f"{country}-2", shard=number % 400, entries=(entry,))
    for event in (granted, submitted(days(-9, 90, country), person=person), cleared, told):
        _append(logs, event, number)


def _alert(logs: dict[str, Log]) -> None:
    """Selects everybody who is registered in Spain so far."""
    raised = AlertRaised(
        alert_id="ES-2", trigger=AlertTrigger.ADVICE_CHANGED, country="ES", advice_version=2, advice_event_id="e",
        as_of=START + timedelta(days=1), shard_count=400, templates={},
    )  # fmt: skip
    _append(logs, raised, AFFECTED)
    for shard in range(0, AFFECTED, 250):
        recipients = tuple(
            Recipient(person_id=f"there-{number}", registration_id=f"r-there-{number}", registration_version=1,
                      reason="country", area="ES", level=Level.RED, channels=(Channel.EMAIL,))
            for number in range(shard, min(shard + 250, AFFECTED))
        )  # fmt: skip
        selected = RecipientsSelected(alert_id="ES-2", shard=shard // 250, late=False, recipients=recipients)
        _append(logs, selected, AFFECTED)
    offsets = {"travel.registration.v1": logs["travel.registration.v1"].ends}
    done = SelectionCompleted(alert_id="ES-2", offsets=offsets, selected=AFFECTED, unreachable=0)
    _append(logs, done, AFFECTED)


async def _forget(kafka: str, namespace: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_topics([topic for topic in await admin.list_topics() if topic.startswith(namespace)])
    await admin.close()
