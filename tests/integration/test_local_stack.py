"""`make up`, `make down`, `make reset`: repeated, interrupted, obstructed; errors are one sentence with a next step."""

import asyncio
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pymongo
import pytest
from aiokafka import AIOKafkaProducer

from deploy.local import __main__ as command
from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST, Ports
from deploy.local.processes import MARK, Processes
from deploy.local.services import CATALOGUE, SERVICES, SIMULATORS, Choices, LocalServices
from deploy.local.stack import LocalStack

CHECKOUT = Path(__file__).resolve().parents[2]
EVERYTHING = {"kafka", "mongod", *SERVICES, *SIMULATORS}


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    """Free ports, also for the commands; the machine's own Kafka and MongoDB are not used."""
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGO_URL", "FEED", "GATEWAY", "FORCE", "CATALOGUE_DIR"):
        monkeypatch.delenv(name, raising=False)
    chosen = Ports.free()
    for name, port in asdict(chosen).items():
        monkeypatch.setenv(f"{name.upper()}_PORT", str(port))
    return chosen


@pytest.fixture
def root(tmp_path: Path, ports: Ports, stack: object) -> Iterator[Path]:
    """An empty `.local` with the jars of this checkout; processes that the test starts are stopped."""
    (tmp_path / "kafka").symlink_to(CHECKOUT / ".local" / "kafka")
    yield tmp_path
    LocalStack(tmp_path / "stack", tmp_path, ports).stop()


def marks(root: Path) -> list[str]:
    """The marks of all running processes of this root."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
        except psutil.Error:
            continue
        if mark.startswith(f"{root.resolve()}/") and process.status() != psutil.STATUS_ZOMBIE:
            found.append(mark)
    return found


def test_up_and_down_are_idempotent_and_state_survives(
    root: Path, ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up twice starts nothing twice; down leaves no process; stored data are there again; reset deletes them."""
    processes = Processes(root / "stack")
    assert command.main(["up"], root) == 0
    assert set(processes.names()) == EVERYTHING
    before = [processes.find(name) for name in sorted(EVERYTHING)]
    assert command.main(["up"], root) == 0
    assert [processes.find(name) for name in sorted(EVERYTHING)] == before
    assert "the catalogue is" in capsys.readouterr().err
    park_a_record(ports)
    assert command.main(["up"], root) == 0
    assert "notify works, but is degraded: subscription travel.registration.v1: 1 parked" in capsys.readouterr().err
    assert f"KAFKA_BOOTSTRAP_SERVERS={HOST}:{ports.kafka}" in (root / "env").read_text()
    with pymongo.MongoClient(HOST, ports.mongod) as client:  # type: ignore[var-annotated] # any document
        client["kept"]["things"].insert_one({"_id": 1})
    assert command.main(["down"], root) == 0
    assert marks(root) == []
    assert not (root / "env").exists(), "it would name addresses at which nothing answers"
    assert command.main(["down"], root) == 0

    stack = LocalStack(root / "stack", root, ports)
    stack.start()
    with pymongo.MongoClient(HOST, ports.mongod) as client:  # type: ignore[var-annotated] # any document
        assert client["kept"]["things"].find_one() == {"_id": 1}

    assert command.main(["reset"], root, io.StringIO("no\n")) == 0
    assert "nothing was changed" in capsys.readouterr().err
    assert (root / "stack").is_dir()
    monkeypatch.setenv("FORCE", "1")
    assert command.main(["reset"], root) == 0
    assert not (root / "stack").exists()
    assert marks(root) == []


def park_a_record(ports: Ports) -> None:
    """Publish bytes that are no event, and wait until notify has parked them."""

    async def publish() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=f"{HOST}:{ports.kafka}")
        await producer.start()
        try:
            await producer.send_and_wait("travel.registration.v1", b"{torn", key=b"r-1")
        finally:
            await producer.stop()

    asyncio.run(publish())
    deadline = time.monotonic() + 120
    with pymongo.MongoClient(HOST, ports.mongod) as client:  # type: ignore[var-annotated] # any document
        while client["notify"]["parked"].count_documents({}) == 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize("name", ["kafka_controller", "safety"])
def test_failed_start_leaves_nothing_running_and_says_so(
    root: Path, ports: Ports, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The controller's port is guarded as the others; parts that had started before the failure are stopped."""
    with socket.socket() as other:
        other.bind((HOST, getattr(ports, name)))
        other.listen()
        assert command.main(["up"], root) == 1
    *said, last = capsys.readouterr().err.splitlines()
    assert f"Port {getattr(ports, name)} for {name} is held by" in last
    assert f"{name.upper()}_PORT" in last
    assert any("what it had begun is stopped again" in line for line in said)
    assert marks(root) == []
    assert not (root / "env").exists()


def test_start_with_other_ports_than_what_runs_is_refused_by_name(
    root: Path, ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mongod of an earlier start would never answer at the new port: the reason is said at once."""
    stack = LocalStack(root / "stack", root, ports)
    stack.start()
    other = Ports.free()
    for name in ("mongod", "kafka_controller"):
        monkeypatch.setenv(f"{name.upper()}_PORT", str(getattr(other, name)))
    assert command.main(["up"], root) == 1
    *said, last = capsys.readouterr().err.splitlines()
    assert "kafka runs already, with another LOCAL_KAFKA_PORTS: `make down`, then start again." in last
    assert any("as before, these run: kafka, mongod" in line for line in said)
    assert sorted(mark.rpartition(":")[2] for mark in marks(root)) == ["kafka", "mongod"]


@pytest.mark.parametrize("content", [None, "id: [torn"])
def test_catalogue_that_cannot_be_used_is_refused_by_name(
    root: Path, ports: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    content: str | None,
) -> None:  # fmt: skip
    """CATALOGUE_DIR is used, or the start says why it is not: never ignored."""
    folder = tmp_path / "own"
    folder.mkdir()
    if content is not None:
        (folder / "university.yaml").write_text(content)
    monkeypatch.setenv("CATALOGUE_DIR", str(folder))
    assert command.main(["up"], root) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"CATALOGUE_DIR={folder} cannot be used: university.yaml" in last
    assert "passage catalogue check" in last
    assert marks(root) == []


def test_picture_that_is_not_there_is_refused_by_name(
    root: Path, ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """FEED names no file: nothing is started."""
    monkeypatch.setenv("FEED", "nowhere.json")
    assert command.main(["up"], root) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "FEED=nowhere.json: there is no such file."
    assert marks(root) == []


def test_own_catalogue_is_given_to_the_services(root: Path, ports: Ports, tmp_path: Path) -> None:
    """Its folder stands in the environment of the services that read it; another one while they run is refused."""
    folder = tmp_path / "own"
    shutil.copytree(CATALOGUE, folder)
    stack = LocalStack(root / "stack", root, ports)
    stack.start()
    services = LocalServices(stack, Choices(keys=root / "keys", catalogue=folder))
    services.start()
    approval = stack.processes.find("approval")
    assert approval is not None
    assert approval.environ()["CATALOGUE_DIR"] == str(folder)
    with pytest.raises(LocalStackError, match="approval runs already, with another CATALOGUE_DIR: `make down`"):
        LocalServices(stack, Choices(keys=root / "keys")).start()


def test_port_in_use_names_its_holder_and_a_way_on(
    root: Path, ports: Ports, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program listens on the inbox's port."""
    with socket.socket() as other:
        other.bind((HOST, ports.inbox))
        other.listen()
        assert command.main(["up"], root) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"Port {ports.inbox} for inbox is held by" in last
    assert f"process {os.getpid()}" in last
    assert "INBOX_PORT" in last


def test_stale_process_id_belongs_to_another_program(root: Path, ports: Ports) -> None:
    """The system gave a noted process id to another program: that one is left alone, and the part is started."""
    notes = root / "stack" / "run"
    notes.mkdir(parents=True)
    (notes / "mongod.json").write_text(f'{{"pid": {os.getpid()}, "started": 12.5}}\n')
    (notes / "kafka.json").write_text("half a no")
    stack = LocalStack(root / "stack", root, ports)
    stack.start()
    assert {"kafka", "mongod"} <= set(stack.processes.names())


def test_start_that_was_killed_halfway_is_taken_up(root: Path, ports: Ports) -> None:
    """The starter dies when mongod has begun: the next start finds what runs, and starts the rest."""
    stack = LocalStack(root / "stack", root, ports)
    lines = (
        "from pathlib import Path; from deploy.local.ports import Ports; from deploy.local.stack import LocalStack;"
        f"LocalStack(Path({str(root / 'stack')!r}), Path({str(root)!r}), Ports.from_environment()).start()"
    )
    starter = subprocess.Popen([sys.executable, "-c", lines], cwd=CHECKOUT)
    deadline = time.monotonic() + 60
    while not any(mark.endswith(":mongod") for mark in marks(root)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    stack.start()
    assert sorted(mark.rpartition(":")[2] for mark in marks(root)) == ["kafka", "mongod"]
    stack.stop()
    assert marks(root) == []


def test_full_disk_is_reported_before_anything_starts(root: Path, ports: Ports) -> None:
    """Less space is free than the stack asks for."""
    stack = LocalStack(root / "stack", root, ports, min_free_bytes=10**18)
    with pytest.raises(LocalStackError, match=r"Less than 1,000,000,000 GB is free where .*: make room"):
        stack.start()
    assert marks(root) == []


def test_service_with_a_wrong_environment_says_which_variable(root: Path, ports: Ports) -> None:
    """The error names the variable in one sentence, and never its value."""
    stack = LocalStack(root / "stack", root, ports)
    stack.start()
    choices = Choices(keys=root / "keys", overrides={"approval": {"REQUEST_LIMIT_BYTES": "hunter2"}})
    with pytest.raises(LocalStackError, match=r"approval ended: .*REQUEST_LIMIT_BYTES.*see .*approval\.log") as error:
        LocalServices(stack, choices).start()
    assert "hunter2" not in str(error.value)


def test_wrong_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 with the usage."""
    assert command.main(["sideways"]) == 2
    assert "usage" in capsys.readouterr().err
