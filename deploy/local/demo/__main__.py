"""`python -m deploy.local.demo`: plays the main job, from an empty stack to the audit. KEEP=1, FEED=FILE, GATEWAY=1."""

import asyncio
import functools
import logging
import os
import shutil
import sys
import uuid
from pathlib import Path

from deploy.local import gateway, jars
from deploy.local.demo import story
from deploy.local.demo.people import People, Refused
from deploy.local.demo.report import Report
from deploy.local.demo.summary import print_summary
from deploy.local.demo.view import View
from deploy.local.errors import LocalStackError
from deploy.local.services import SERVICES, SIMULATORS, Choices, LocalServices, choose_ports
from deploy.local.stack import LocalStack
from deploy.local.stack_lock import locked
from shared.clock import amsterdam_date, utc_now
from shared.web.local_tokens import mint

LOCAL = Path(__file__).resolve().parents[3] / ".local"
ROOT = LOCAL / "demo"
REPORT = ROOT / "report.json"


def main() -> int:
    """The exit code: 0 if all promises were kept, 1 if not, 2 for wrong use."""
    view = View()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # errors are printed by the demo itself
    picture = os.environ.get("FEED")
    if picture and not Path(picture).is_file():
        sys.stderr.write(f"FEED={picture}: there is no such file.\n")
        return 2
    stack: LocalStack | None = None
    try:
        with locked(LOCAL / "lock", "another command is at work on the local stack"):
            if os.environ.get("GATEWAY") == "1":
                gateway.nginx()  # before anything starts
            if not os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
                jars.ready(LOCAL, view.say)  # before the ports are chosen: a download takes long enough to lose them
            stack = LocalStack(ROOT, LOCAL, choose_ports(), view.say)
            stack.stop()
            shutil.rmtree(ROOT, ignore_errors=True)
            view.chapter("Starting")
            if os.environ.get("CATALOGUE_DIR"):
                view.say("CATALOGUE_DIR is not used: the story plays at the faculties of the example catalogue")
            stack.start()
            services = LocalServices(stack, _choices(picture), view.say)
            services.start()
            if _is_kept():
                services.write_addresses(LOCAL / "env")
            report = asyncio.run(_play(services, view))
            report.write(REPORT)
            print_summary(view, report, REPORT)
            return 1 if report.broken else 0
    except (LocalStackError, Refused, OSError) as error:
        view.console.print(f"[red]stopped:[/red] {error}")
        return 1
    except ExceptionGroup as errors:  # of many students who act at the same time
        known, others = errors.split((LocalStackError, Refused, OSError))
        if others is not None or known is None:
            raise
        view.console.print(f"[red]stopped:[/red] {known.exceptions[0]}")
        return 1
    finally:
        if stack is not None and not _is_kept():
            stack.stop()
            view.say("everything is stopped (KEEP=1 leaves it running)")
        elif stack is not None:
            _say_what_runs(stack, view)


def _say_what_runs(stack: LocalStack, view: View) -> None:
    """After KEEP=1: what runs in truth. A part that fails to start ends the demo before the others begin."""
    running = stack.processes.names()
    if not {*SERVICES, *SIMULATORS} <= set(running):
        stack.stop()
        view.say("the start failed; everything of the demo is stopped")
        return
    view.say("everything is left running; `make down` stops it")
    view.say("`set -a; . .local/env`, then ask: `.venv/bin/passage audit explain ES-2`, `audit diff`, `--help`")


def _is_kept() -> bool:
    return os.environ.get("KEEP") == "1"


def _choices(picture: str | None) -> Choices:
    elsewhere = bool(os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or os.environ.get("MONGO_URL"))
    return Choices(
        keys=LOCAL / "keys",
        picture=Path(picture).resolve() if picture else None,
        through_gateway=os.environ.get("GATEWAY") == "1",
        namespace=f"demo-{uuid.uuid4().hex[:6]}-" if elsewhere else "",
    )


async def _play(services: LocalServices, view: View) -> Report:
    minted = functools.partial(mint, services.choices.keys)
    async with People(services.bases(), minted) as people:
        return await story.play(services, people, view, amsterdam_date(utc_now()))


if __name__ == "__main__":
    sys.exit(main())
