"""The auditor's credentials on a broker with access rights: they suffice to read everything, and allow nothing else."""

import ssl
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError

from shared.bus.settings import BusSettings
from tests.audit.sample import publish
from tests.audit.secured import Secured, secured_broker
from tests.audit.test_command import RECORDS, passage

USERS = {"auditor": "reads-alone", "stranger": "may-nothing"}


@pytest.fixture(scope="module")
def broker(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Secured, str]]:
    """The broker, and the namespace of the sample log that the auditor may read."""
    namespace = f"t{uuid.uuid4().hex[:8]}-"
    with secured_broker(tmp_path_factory.mktemp("secured"), USERS) as made:
        publish(made.inside, namespace, RECORDS)
        made.may_read("auditor", namespace)
        yield made, namespace


def environment(broker: tuple[Secured, str], user: str, password: str) -> dict[str, str]:
    """The auditor's variables take precedence over a service's."""
    made, namespace = broker
    return {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "AUDIT_KAFKA_BOOTSTRAP_SERVERS": made.clients,
            "NAMESPACE": namespace, "KAFKA_CA_FILE": str(made.ca_file), "KAFKA_USERNAME": "nobody",
            "KAFKA_PASSWORD": "nothing", "AUDIT_KAFKA_USERNAME": user,
            "AUDIT_KAFKA_PASSWORD": password}  # fmt: skip


def test_auditor_reads_everything_over_tls_without_any_right_to_groups(broker: tuple[Secured, str]) -> None:
    """READ and DESCRIBE on the topics suffice: the audit joins no group and commits nothing."""
    asked = environment(broker, "auditor", USERS["auditor"])

    replayed = passage(asked, "replay", "--json")
    verified = passage(asked, "verify")
    explained = passage(asked, "explain", "ES-2")

    assert (replayed.exit_code, len(replayed.stdout.splitlines())) == (0, len(RECORDS)), replayed.stderr
    assert verified.exit_code == 0, verified.stdout
    assert "Every chain holds." in verified.stdout
    assert explained.exit_code in (0, 1), explained.stderr
    assert "student-01" in explained.stdout


def test_stranger_sees_no_topic(broker: tuple[Secured, str]) -> None:
    """A user without grants sees no topic."""
    result = passage(environment(broker, "stranger", USERS["stranger"]), "verify")

    assert (result.exit_code, "Not complete: no topic" in result.stderr) == (1, True), result.stderr


def test_wrong_password_is_reported_as_refused_credentials(broker: tuple[Secured, str]) -> None:
    """The error names the refused credentials, not a broker that is away, and quotes no password."""
    result = passage(environment(broker, "auditor", "guessed"), "verify")

    assert result.exit_code == 1
    assert "Kafka does not take the credentials of auditor" in result.stderr
    assert "guessed" not in result.stderr


async def test_auditor_can_not_write(broker: tuple[Secured, str]) -> None:
    """No event can be written with the auditor's credentials."""
    made, namespace = broker
    tls = ssl.create_default_context(cafile=made.ca_file)
    settings = BusSettings(
        made.clients, namespace, "audit", "test", username="auditor", password=USERS["auditor"], ssl_context=tls
    )
    producer = AIOKafkaProducer(**settings.client())
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(namespace + RECORDS[0].topic, b"{}")
    finally:
        await producer.stop()
