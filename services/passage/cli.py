"""Every command by its name. What one needs is imported when it is asked for: an audit does not wait for FastAPI."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

#: Name → where its Typer app, or its function, is.
GROUPS = {
    "audit": "services.passage.audit:audit",
    "catalogue": "services.approval.cli:catalogue",
    "drill": "services.notify.cli:drill",
    "feed": "services.passage.feed:feed",
    "notify": "services.notify.cli:notify",
    "parked": "shared.bus.cli:parked",
    "registration": "services.registration.cli:registration",
    "token": "shared.web.cli:token",
    "topics": "shared.bus.cli:topics",
}


class OnDemand(TyperGroup):
    """A group whose commands are looked up in GROUPS."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All of them, in the order of the alphabet."""
        return sorted(GROUPS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; None where there is none."""
        if cmd_name not in GROUPS:
            return None
        module, _, name = GROUPS[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        alone = typer.Typer(add_completion=False)
        alone.callback()(_line)  # so that it is a group, whatever stands in it
        if isinstance(found, typer.Typer):
            alone.add_typer(found, name=cmd_name)
        else:
            alone.command(cmd_name)(found)
        group = get_command(alone)
        assert isinstance(group, TyperGroup)
        return group.commands[cmd_name]


def _line() -> None:
    """Only the commands do something."""


main = typer.Typer(cls=OnDemand, no_args_is_help=True, add_completion=False)


main.callback(help="Safe Passage, from the command line.")(_line)
