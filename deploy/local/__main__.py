"""`python -m deploy.local up|down|reset`: Kafka, MongoDB, the simulators and the four services on this machine."""

import os
import shutil
import sys
import time
from pathlib import Path

from deploy.local import jars
from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.services import Choices, LocalServices
from deploy.local.stack import LocalStack
from deploy.local.stack_lock import locked

ROOT = Path(__file__).resolve().parents[2] / ".local"
DEMO = ROOT / "demo"
BEGAN = time.monotonic()


def say(sentence: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"{time.monotonic() - BEGAN:6.1f} s  {sentence}\n")


def main(arguments: list[str]) -> int:
    """Exit code 0 fine, 1 trouble, 2 wrong use."""
    if len(arguments) != 1 or arguments[0] not in _COMMANDS:
        sys.stderr.write(f"usage: python -m deploy.local {'|'.join(_COMMANDS)}\n")
        return 2
    try:
        with locked(ROOT / "lock", "another command is at work on the local stack"):
            _COMMANDS[arguments[0]](LocalStack(ROOT / "stack", ROOT, Ports.from_environment(), say))
    except (LocalStackError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def up(stack: LocalStack) -> None:
    """Start what is not running, and say where it is."""
    stack.start()
    picture = os.environ.get("FEED")
    choices = Choices(
        keys=ROOT / "keys",
        picture=Path(picture).resolve() if picture else None,
        through_gateway=os.environ.get("GATEWAY") == "1",
    )
    services = LocalServices(stack, choices, say)
    services.start()
    services.write_addresses(ROOT / "env")
    for name, base in services.bases().items():
        say(f"{name:13} {base}/v1/openapi.json")
    say(f"mail arrives in {services.maildir}, SMS in {services.sms_log}")
    say(f"addresses are in {ROOT / 'env'}; `passage token --role safety-officer --person officer-1` gives a token")


def down(stack: LocalStack) -> None:
    """Stop everything of ours, also what a demo left running."""
    for each in (stack, LocalStack(DEMO, ROOT, stack.ports, say)):
        each.stop()
    say("everything of the local stack is stopped")


def reset(stack: LocalStack) -> None:
    """Stop, and forget all local state, after asking."""
    if os.environ.get("FORCE") != "1":
        sys.stderr.write(f"Forget everything in {stack.root} and {DEMO}? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            say("nothing was changed")
            return
    down(stack)
    for folder in (stack.root, DEMO):
        shutil.rmtree(folder, ignore_errors=True)
    (ROOT / "env").unlink(missing_ok=True)
    say("the local state is forgotten")


def fetch(stack: LocalStack) -> None:
    """Fetch what the stack needs from the network, so that later starts need none."""
    jars.ready(ROOT, say)


_COMMANDS = {"up": up, "down": down, "reset": reset, "fetch": fetch}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
