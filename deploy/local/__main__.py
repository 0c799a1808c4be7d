"""`python -m deploy.local up|down|reset`: Kafka, MongoDB, the simulators and the four services on this machine."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TextIO

from deploy.local import gateway, jars
from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.services import CATALOGUE, Choices, LocalServices
from deploy.local.stack import LocalStack
from deploy.local.stack_lock import locked
from shared import catalogue_files
from shared.errors import PermanentError

ROOT = Path(__file__).resolve().parents[2] / ".local"
STARTED_AT = time.monotonic()


def say(sentence: str) -> None:
    """Write one line of progress, with the seconds since the command began."""
    sys.stderr.write(f"{time.monotonic() - STARTED_AT:6.1f} s  {sentence}\n")


def main(arguments: list[str], root: Path = ROOT, answers: TextIO = sys.stdin) -> int:
    """Run one command on the local stack below `root`; `answers` are those to its questions.

    The exit code: 0 done, 1 failed, 2 wrong use.
    """
    if len(arguments) != 1 or arguments[0] not in _COMMANDS:
        sys.stderr.write(f"usage: python -m deploy.local {'|'.join(_COMMANDS)}\n")
        return 2
    try:
        with locked(root / "lock", "another command is at work on the local stack"):
            _COMMANDS[arguments[0]](LocalStack(root / "stack", root, Ports.from_environment(), say), root, answers)
    except (LocalStackError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def up(stack: LocalStack, root: Path, answers: TextIO) -> None:
    """Start everything that does not run yet, and print the addresses. A failed start leaves nothing of it running."""
    ran_before = set(stack.processes.names())
    try:
        _start(stack, root)
    except BaseException:
        begun = [name for name in stack.processes.names() if name not in ran_before]
        stack.stop(begun)
        say(f"the start failed; what it had begun is stopped again ({', '.join(begun) or 'nothing'})")
        if ran_before:
            say(f"as before, these run: {', '.join(sorted(ran_before))}; `make down` stops them")
        raise


def _start(stack: LocalStack, root: Path) -> None:
    catalogue = _catalogue(os.environ.get("CATALOGUE_DIR", ""))
    picture = os.environ.get("FEED")
    if picture and not Path(picture).is_file():
        raise LocalStackError(f"FEED={picture}: there is no such file.")
    through_gateway = os.environ.get("GATEWAY") == "1"
    if through_gateway:
        gateway.nginx()  # before the provider is told addresses behind a gateway that does not start
    stack.start()
    choices = Choices(
        keys=root / "keys",
        picture=Path(picture).resolve() if picture else None,
        through_gateway=through_gateway,
        catalogue=catalogue,
    )
    services = LocalServices(stack, choices, say)
    services.start()
    services.write_addresses(root / "env")
    say(f"the catalogue is {catalogue}")
    for name, base in services.bases().items():
        say(f"{name:13} {base}/v1/openapi.json")
    say(f"mail arrives in {services.maildir}, SMS in {services.sms_log}")
    say(f"addresses are in {root / 'env'}; `passage token --role safety-officer --person officer-1` gives a token")


def down(stack: LocalStack, root: Path, answers: TextIO) -> None:
    """Stop every process of the local stack, and those that a demo left running."""
    for running in (stack, LocalStack(root / "demo", root, stack.ports, say)):
        running.stop()
    (root / "env").unlink(missing_ok=True)  # it would name addresses at which nothing answers
    say("everything of the local stack is stopped")


def reset(stack: LocalStack, root: Path, answers: TextIO) -> None:
    """Stop everything and delete all local state, after asking."""
    demo = root / "demo"
    if os.environ.get("FORCE") != "1":
        sys.stderr.write(f"Delete everything in {stack.root} and {demo}? [y/N] ")
        sys.stderr.flush()
        if answers.readline().strip().lower() not in ("y", "yes"):
            say("nothing was changed")
            return
    down(stack, root, answers)
    for folder in (stack.root, demo):
        shutil.rmtree(folder, ignore_errors=True)
    say("the local state is deleted")


def _catalogue(folder: str) -> Path:
    """The catalogue to use. Raises LocalStackError, which names CATALOGUE_DIR, when it cannot be used."""
    if not folder:
        return CATALOGUE
    path = Path(folder).resolve()
    try:
        catalogue_files.load(path)
    except PermanentError as error:
        mistakes = str(error).splitlines()
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        raise LocalStackError(
            f"CATALOGUE_DIR={folder} cannot be used: {mistakes[0]}{more}. `passage catalogue check {folder}` shows "
            "all; without CATALOGUE_DIR the example catalogue is used."
        ) from None
    return path


def fetch(stack: LocalStack, root: Path, answers: TextIO) -> None:
    """Fetch what the stack needs from the network, so that later starts need none."""
    jars.ready(root, say)


_COMMANDS = {"up": up, "down": down, "reset": reset, "fetch": fetch}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
