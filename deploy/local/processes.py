"""Programs in the background: found by process id and start time, stopped by process id only."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.errors import LocalStackError

MARK = "SAFE_PASSAGE_PART"
LOG_LIMIT_BYTES = 20_000_000
#: Data, mails and logs of the stack hold tokens and contact details: its own user alone may read them.
PRIVATE_FOLDER, PRIVATE_FILE, PRIVATE_UMASK = 0o700, 0o600, 0o077
START_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: `environment` is added to the caller's own."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class Processes:
    """The programs of one local stack; process ids in `<root>/run`, output in `<root>/log`.

    A process belongs to the stack when its id and start time are noted, or when its environment holds the stack's
    mark. The mark finds a process whose starter was killed before it noted the id.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._notes = root / "run"
        self._logs = root / "log"
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        """The file with the program's standard output and error."""
        return self._logs / f"{name}.log"

    def start(self, program: Program) -> int:
        """Start the program detached from the terminal; returns its process id. Raises LocalStackError if it fails."""
        for folder in (self._root, self._notes, self._logs):
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            folder.chmod(PRIVATE_FOLDER)  # an earlier version made it readable by all
        log = self.log(program.name)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment = {**inherited, **program.environment, MARK: self._mark(program.name)}
        try:
            with log.open("ab") as output:
                log.chmod(PRIVATE_FILE)
                child = subprocess.Popen(
                    list(program.command),
                    cwd=program.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    umask=PRIVATE_UMASK,
                )
        except (FileNotFoundError, PermissionError) as error:
            raise LocalStackError(
                f"{program.name} cannot be started: {error}. `make install` repairs the programs."
            ) from None
        self._children[child.pid] = child
        self._note(program.name, child.pid)
        return child.pid

    def find(self, name: str) -> psutil.Process | None:
        """The running process of this name, or None. Removes a note of a process that ended or is another program."""
        note = self._notes / f"{name}.json"
        process = self._noted(note)
        if process is None:
            process = next(self._marked(name), None)
            if process is None:
                note.unlink(missing_ok=True)
            else:
                self._note(name, process.pid)
        return process

    def require_same(self, name: str, environment: Mapping[str, str], command: Sequence[str] = ()) -> None:
        """Raise LocalStackError when the running process of this name was started with other variables or arguments.

        Without a command, its arguments are not compared.
        """
        process = self.find(name)
        if process is None:
            return
        differing: list[str] = []
        with suppress(psutil.Error, OSError):
            own = process.environ()
            differing = [variable for variable, value in sorted(environment.items()) if own.get(variable, "") != value]
            # Without the program itself: an interpreter may show under another path.
            if command and process.cmdline()[1:] != list(command)[1:]:
                differing.append("command line")
        if differing:
            raise LocalStackError(
                f"{name} runs already, with another {', '.join(differing)}: `make down`, then start again."
            )

    def ended(self, name: str) -> bool:
        """Whether the started program has ended."""
        for child in self._children.values():
            child.poll()
        return self.find(name) is None

    def stop(self, name: str, patience_seconds: float = 20.0) -> bool:
        """Send SIGTERM, then SIGKILL after the patience. True if a process was running."""
        return self._end(name, signal.SIGTERM, patience_seconds)

    def kill(self, name: str) -> bool:
        """Send SIGKILL and wait until the process has ended. True if one was running."""
        return self._end(name, signal.SIGKILL, 0)

    def names(self) -> list[str]:
        """The names of all running processes of this stack."""
        noted = {note.stem for note in self._notes.glob("*.json")} if self._notes.is_dir() else set()
        marked = {self._name(process) for process in self._marked()}
        return sorted(name for name in noted | marked if self.find(name))

    def last_words(self, name: str) -> str:
        """The last line of the program's log, shortened; empty when there is none."""
        with suppress(OSError):
            lines = self.log(name).read_bytes()[-20_000:].decode(errors="replace").splitlines()
            return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
        return ""

    def _end(self, name: str, first: signal.Signals, patience_seconds: float) -> bool:
        found = False
        while process := self.find(name):  # a second process only after a start that was killed
            found = True
            with suppress(psutil.NoSuchProcess):
                process.send_signal(first)
                if not self._gone(process, patience_seconds):
                    process.kill()
                    if not self._gone(process, 10):
                        raise LocalStackError(
                            f"{name} (process {process.pid}) does not end, even when killed; the disk may hang."
                        )
        return found

    def _gone(self, process: psutil.Process, patience_seconds: float) -> bool:
        end = time.monotonic() + patience_seconds
        while True:
            if process.pid in self._children:
                self._children[process.pid].poll()  # reaps it
            if not _lives(process):
                self._children.pop(process.pid, None)
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)

    def _note(self, name: str, pid: int) -> None:
        note = self._notes / f"{name}.json"
        with suppress(psutil.NoSuchProcess):
            started = psutil.Process(pid).create_time()
            fresh = note.with_suffix(".new")
            fresh.write_text(json.dumps({"pid": pid, "started": started}) + "\n", encoding="utf-8")
            fresh.replace(note)

    def _noted(self, note: Path) -> psutil.Process | None:
        try:
            noted = json.loads(note.read_text(encoding="utf-8"))
            process = psutil.Process(int(noted["pid"]))
            # The system reuses process ids: another start time is another process.
            same = abs(process.create_time() - float(noted["started"])) < START_TOLERANCE_SECONDS
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None
        return process if same and _lives(process) else None

    def _marked(self, name: str | None = None) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                mark = process.environ().get(MARK, "")
                if mark.startswith(f"{self._root}:") and name in (None, mark.rpartition(":")[2]) and _lives(process):
                    yield process

    def _mark(self, name: str) -> str:
        return f"{self._root}:{name}"

    def _name(self, process: psutil.Process) -> str:
        with suppress(psutil.Error, OSError):
            return str(process.environ().get(MARK, "")).rpartition(":")[2]
        return ""


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
