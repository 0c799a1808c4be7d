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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.stack import LocalStack

CACHE = Path(__file__).resolve().parents[1] / ".local"
WAIT_SECONDS = 300.0
_INPUT = "stack_file"


@dataclass
class SharedStack:
    """The stack in a folder of its own, started in a thread; `file` tells the workers its addresses or its error."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="safe-passage-tests-")))

    def __post_init__(self) -> None:
        self.file = self.folder / "stack.json"
        self._stack = LocalStack(self.folder / "stack", CACHE, Ports.free())
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
        shutil.rmtree(self.folder, ignore_errors=True)


_STACK = pytest.StashKey[SharedStack]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the controller, once for each worker: the first one starts the stack, all get the name of the file."""
    if os.environ.get("STACK") == "containers" or os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return
    if _STACK not in node.config.stash:
        node.config.stash[_STACK] = SharedStack()
    node.workerinput[_INPUT] = str(node.config.stash[_STACK].file)


def pytest_unconfigure(config: pytest.Config) -> None:
    """In the controller, after the last test."""
    if _STACK in config.stash:
        config.stash[_STACK].stop()


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
