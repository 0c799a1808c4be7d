"""`passage topics` and `passage parked`: documents on standard output, sentences on standard error."""

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.passage import main
from shared.bus import parking
from shared.events import RegistrationCancelled
from tests.integration.bus_world import TOPIC, TOPICS, publish, running, side, until


@pytest.fixture
def passage(stack: Any, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command in the environment of the test stack."""
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "MONGO_URL": stack.mongo, "NAMESPACE": namespace,
        "TOPICS_FILE": str(TOPICS), "ENV": "local",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments))

    return run


def test_topics_apply_creates_them_once(passage: Any) -> None:
    """All are missing (exit code 1); apply creates them; a second apply does nothing; check finds no difference."""
    before = passage("topics", "check", "--json")
    made = passage("topics", "apply", "--json")
    again = passage("topics", "apply", "--json")
    after = passage("topics", "check", "--json")

    assert (before.exit_code, made.exit_code, again.exit_code, after.exit_code) == (1, 0, 0, 0)
    assert len(json.loads(before.stdout)["differences"]) == len(json.loads(made.stdout)["created"])
    assert json.loads(again.stdout) == {"created": []}
    assert json.loads(after.stdout) == {"differences": []}


def test_parked_is_listed_shown_and_requeued(passage: Any, stack: Any, namespace: str) -> None:
    """Two unreadable records: both are listed with their reason, one is shown, both are requeued."""
    passage("topics", "apply")
    assert passage("parked", "list", "notify", "--json").stdout.strip() == "[]"
    asyncio.run(_park_two(stack, namespace))

    listed = json.loads(passage("parked", "list", "notify", "--json").stdout)
    shown = passage("parked", "show", "notify", listed[0]["id"], "--json")
    unknown = passage("parked", "show", "notify", "nowhere")
    requeued = passage("parked", "requeue", "notify", "--json")
    nothing = passage("parked", "requeue", "notify", "nowhere")

    assert sorted(row["kind"] for row in listed) == ["Unreadable", "Unreadable"]
    assert json.loads(shown.stdout) == listed[0]
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert json.loads(requeued.stdout) == {"requeued": 2}
    assert nothing.exit_code == 1


def test_command_without_addresses_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what to do; exit code 2."""
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGO_URL"):
        monkeypatch.delenv(name, raising=False)

    result = CliRunner().invoke(main, ["parked", "list", "notify"])

    assert (result.exit_code, result.stdout) == (2, "")
    assert ".local/env" in result.stderr


async def _park_two(stack: Any, namespace: str) -> None:
    notify = side(stack, namespace, "notify")
    bus = notify.bus()

    async def never(envelope: Any) -> None:
        raise AssertionError

    bus.subscribe(TOPIC, {RegistrationCancelled: never})
    await publish(stack, namespace, (b"k-1", b"{"), (b"k-2", None))

    async def parked() -> bool:
        return len(await parking.listed(notify.database)) == 2

    async with running(bus):
        await until(parked)
    notify.mongo.close()
