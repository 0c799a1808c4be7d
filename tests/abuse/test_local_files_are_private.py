"""Mails, messages with answer tokens, logs and data of the local stack are private; no secret is an argument."""

import json
import stat
from pathlib import Path

import pytest

from deploy.local.processes import Processes, Program
from deploy.local.services import SERVICES, SIMULATORS
from tests.full_stack import FullStack
from tests.integration.simulators import Simulator, running, until

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def readable_by_others(folder: Path) -> list[Path]:
    """The files and folders below this one, and itself, that anybody but the owner may read."""
    return [path for path in (folder, *folder.rglob("*")) if path.lstat().st_mode & OTHERS and not path.is_symlink()]


def test_program_of_the_local_stack_writes_for_its_own_user_alone(tmp_path: Path) -> None:
    """Its log, its notes and whatever it creates; also where an earlier version left a log that all may read."""
    root = tmp_path / "stack"
    (root / "log").mkdir(parents=True)
    (root / "log" / "writer.log").write_text("earlier\n")
    processes = Processes(root)

    processes.start(Program("writer", ["/bin/sh", "-c", "echo data > data; echo said"], root))
    until(lambda: processes.ended("writer"), "the program has ended")

    assert (root / "data").stat().st_mode & OTHERS == 0
    assert processes.log("writer").read_text() == "earlier\nsaid\n"
    assert readable_by_others(processes.log("writer")) == []
    assert root.stat().st_mode & OTHERS == 0


def test_simulators_keep_mails_and_messages_private(inbox: Simulator, gateway: Simulator) -> None:
    """A simulator that is started by hand sets its own mask."""
    assert readable_by_others(inbox.state / "maildir") == []
    assert readable_by_others(gateway.state / "sms.jsonl") == []


def test_sms_gateway_shows_its_configuration_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes them from the environment, and everybody on this machine may ask for the rest."""
    monkeypatch.setenv("SMS_GATEWAY_RECEIPTS_URL", "http://cm:canary-secret@127.0.0.1:9/receipts")
    monkeypatch.setenv("SMS_GATEWAY_PRODUCT_TOKEN", "canary-token")

    with running("sms_gateway", tmp_path) as gateway:
        shown = gateway.get("/config")

    assert shown["receipts_url"] == "http://127.0.0.1:9/receipts"
    assert "canary" not in str(shown)


async def test_full_stack_shows_nothing_to_other_users(full_stack: FullStack) -> None:
    """Other users can read no mail, message or log, and the list of processes names no secret."""
    stack = full_stack.services.stack
    secrets = json.loads((stack.root / "secrets.json").read_text())

    processes = [process for name in stack.processes.names() if (process := stack.processes.find(name)) is not None]
    arguments = [argument for process in processes for argument in process.cmdline()]

    assert len(processes) >= len(SERVICES) + len(SIMULATORS)
    assert [name for name, secret in secrets.items() if any(secret in argument for argument in arguments)] == []
    assert stack.root.stat().st_mode & OTHERS == 0
    for folder in ("log", "inbox", "sms", "feed"):
        assert readable_by_others(stack.root / folder) == [], folder
