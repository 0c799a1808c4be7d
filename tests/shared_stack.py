"""One Kafka and one MongoDB for all workers of a parallel test run (pytest-xdist).

The controller starts both while the workers collect the tests, and stops them at the end. Each worker waits for the
addresses in a file. A single process, given addresses and containers have no need of it: see `stack` in conftest.py.
"""

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.stack import LocalStack

CACHE = Path(__file__).resolve().parents[1] / ".local"
WAIT_SECONDS = 300.0
MEMORY = Path("/dev/shm")
MEMORY_NAME = "safe-passage-tests"
MEMORY_BYTES = 3_000_000_000
_INPUT = "stack_file"


@contextmanager
def mongod_folder() -> Iterator[Path | None]:
    """A folder in memory for MongoDB's data; None where memory has less than 3 GB for files.

    MongoDB syncs every new file. The tests create some ten thousand indexes: 28 ms each on a disk, 4 ms in memory.
    """
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_BYTES:
        yield None
        return
    for folder in MEMORY.glob(f"{MEMORY_NAME}-*"):
        if not psutil.pid_exists(int(folder.name.split("-")[3])):  # left by a run that was killed
            shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=f"{MEMORY_NAME}-{os.getpid()}-", dir=MEMORY, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


@dataclass
class SharedStack:
    """The stack in a folder of its own, started in a thread; `file` tells the workers its addresses or its error."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="safe-passage-tests-")))

    def __post_init__(self) -> None:
        self.file = self.folder / "stack.json"
        self._data = ExitStack()
        data = self._data.enter_context(mongod_folder())
        self._stack = LocalStack(self.folder / "stack", CACHE, Ports.free(), mongod_data=data)
        self._thread = threading.Thread(target=self._start)
        self._thread.start()

    def _start(self) -> None:
        try:
            self._stack.start()
            addresses = {"kafka": self._stack.kafka, "mongo": self._stack.mongo}
        except (LocalStackError, OSError) as error:
            addresses = {"error": str(error)}
        unfinished = self.file.with_suffix(".new")
        unfinished.write_text(json.dumps(addresses), encoding="utf-8")
        unfinished.replace(self.file)

    def stop(self) -> None:
        """Stop both and delete their data."""
        self._thread.join()
        self._stack.stop()
        self._data.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class SharedStackHooks:
    """The plugin of the controller; tests/conftest.py registers it."""

    def __init__(self) -> None:
        self._shared: SharedStack | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Called once for each worker: the first one starts the stack, all get the name of its file."""
        if os.environ.get("STACK") == "containers" or os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            return
        self._shared = self._shared or SharedStack()
        node.workerinput[_INPUT] = str(self._shared.file)

    def pytest_unconfigure(self) -> None:
        """Called after the last test."""
        if self._shared is not None:
            self._shared.stop()


def shared_addresses(config: pytest.Config) -> dict[str, str] | None:
    """In a worker: `kafka` and `mongo` of the shared stack, once it runs; None where there is none.

    Raises LocalStackError when it could not be started.
    """
    name = getattr(config, "workerinput", {}).get(_INPUT)
    if name is None:
        return None
    file, deadline = Path(name), time.monotonic() + WAIT_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise LocalStackError(f"the shared stack did not start within {WAIT_SECONDS:.0f} s (see {file.parent})")
        time.sleep(0.05)
    addresses: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    if "error" in addresses:
        raise LocalStackError(addresses["error"])
    return addresses
