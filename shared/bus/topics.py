"""Topics: declared in deploy/topics.yaml, created by `passage topics apply`, checked before a subscription starts."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.bus.parking import MAX_DEAD_LETTER_BYTES
from shared.bus.settings import BusSettings
from shared.errors import PermanentError, TransientError


class WrongTopics(PermanentError):
    """The cluster differs from the declaration. The text names every difference."""


class DeclaredTopic(BaseModel):
    """One topic. Its partitions are fixed at creation; its records are never deleted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9.-]{2,100}$")
    partitions: int = Field(ge=1, le=512)


class Replication(BaseModel):
    """How many replicas a record has, and how many must have it before it is acknowledged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: int = Field(ge=1, le=7)
    min_insync: int = Field(ge=1, le=7)


class Topics(BaseModel):
    """The whole file. Dead-letter topics are declared like others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    replication: dict[str, Replication]
    topics: tuple[DeclaredTopic, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between the cluster and the declaration."""

    topic: str
    reason: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.reason}"


def load(path: str | Path) -> Topics:
    """Read and validate the declaration. Raises PermanentError, which names file and field."""
    try:
        return Topics.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise PermanentError(f"{path}: {error}") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise PermanentError(f"{path}: {problems}") from None


async def apply(settings: BusSettings, declared: Topics, environment: str) -> list[str]:
    """Create the missing topics and change no others. Returns the logical names of the created ones."""
    replication = declared.replication[environment]
    async with _Admin(settings) as admin:
        existing = set(await admin.list_topics())
        missing = [topic for topic in declared.topics if settings.physical(topic.name) not in existing]
        created = [_new(settings, topic, replication) for topic in missing]
        if created:
            with contextlib.suppress(TopicAlreadyExistsError):  # another process applies at the same moment
                await admin.create_topics(created, timeout_ms=20_000)
            await _wait_until_shown(admin, {topic.name for topic in created})
    return [topic.name for topic in missing]


async def _wait_until_shown(admin: AIOKafkaAdminClient, physical: set[str]) -> None:
    """Wait until the broker shows the topics: it learns from the controller a moment after that has created them."""
    try:
        async with asyncio.timeout(20):
            while not physical <= set(await admin.list_topics()):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise TransientError("topics were created, but the broker does not show them yet; run it again") from None


async def check(settings: BusSettings, declared: Topics, names: Sequence[str]) -> list[Difference]:
    """The differences between cluster and declaration for these topics."""
    declared_by_name = {topic.name: topic for topic in declared.topics}
    differences = [Difference(name, "is not declared") for name in names if name not in declared_by_name]
    async with _Admin(settings) as admin:
        existing = set(await admin.list_topics())
        present = [name for name in names if name in declared_by_name and settings.physical(name) in existing]
        differences += [
            Difference(name, "does not exist; `passage topics apply` creates it")
            for name in names
            if name in declared_by_name and settings.physical(name) not in existing
        ]
        for described in await admin.describe_topics([settings.physical(name) for name in present]) if present else []:
            name = str(described["topic"]).removeprefix(settings.namespace)
            partitions = len(described["partitions"])
            if partitions != declared_by_name[name].partitions:
                differences.append(
                    Difference(name, f"has {partitions} partitions, {declared_by_name[name].partitions} are declared")
                )
        if await _creates_topics_by_itself(admin):
            differences.append(Difference("*", "auto.create.topics.enable is on: a typo would become a topic"))
    return differences


async def _creates_topics_by_itself(admin: AIOKafkaAdminClient) -> bool:
    brokers = (await admin.describe_cluster())["brokers"]
    resource = ConfigResource(ConfigResourceType.BROKER, str(brokers[0]["node_id"]))
    for response in await admin.describe_configs([resource]):
        for described in response.resources:
            entries: list[Any] = described[4]
            for entry in entries:
                if entry[0] == "auto.create.topics.enable":
                    return str(entry[1]).lower() == "true"
    return False


def _new(settings: BusSettings, topic: DeclaredTopic, replication: Replication) -> NewTopic:
    return NewTopic(
        settings.physical(topic.name),
        topic.partitions,
        replication.factor,
        topic_configs={
            "retention.ms": "-1",
            "cleanup.policy": "delete",
            "min.insync.replicas": str(replication.min_insync),
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(MAX_DEAD_LETTER_BYTES if topic.name.endswith(".dlq") else 1_048_588),
        },
    )


class _Admin:
    """An admin client with a time limit for each step."""

    def __init__(self, settings: BusSettings) -> None:
        self._client = AIOKafkaAdminClient(**settings.client(), request_timeout_ms=15_000)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        try:
            async with asyncio.timeout(20):
                await self._client.start()
        except (KafkaError, TimeoutError) as error:
            await self._client.close()
            raise TransientError(f"Kafka does not answer ({type(error).__name__})") from error
        return self._client

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(10):
            await self._client.close()
