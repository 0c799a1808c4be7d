"""Names every command of `passage`. A command's module is imported when the command is used, so an audit command does
not wait for FastAPI.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from shared.command_line import fail

#: Command → module and name of its Typer app or function.
GROUPS = {
    "audit": "services.passage.audit:audit",
    "catalogue": "services.passage.catalogue_check:catalogue",
    "drill": "services.notify.cli:drill",
    "feed": "services.passage.feed:feed",
    "notify": "services.notify.cli:notify",
    "parked": "shared.bus.cli:parked",
    "registration": "services.registration.cli:registration",
    "settings": "services.passage.settings:settings",
    "token": "shared.web.cli:token",
    "topics": "shared.bus.cli:topics",
}


class OnDemand(TyperGroup):
    """A command group that imports its commands from GROUPS on demand."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All commands, in alphabetical order."""
        return sorted(GROUPS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; None for an unknown name."""
        if cmd_name not in GROUPS:
            return None
        module, _, name = GROUPS[cmd_name].partition(":")
        target = getattr(import_module(module), name)
        wrapper = typer.Typer(add_completion=False)
        wrapper.callback()(_no_action)  # with a callback, Typer makes a group even of a single command
        if isinstance(target, typer.Typer):
            wrapper.add_typer(target, name=cmd_name)
        else:
            wrapper.command(cmd_name)(target)
        group = get_command(wrapper)
        assert isinstance(group, TyperGroup)
        return group.commands[cmd_name]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments. Bytes that are no UTF-8 reach Python as halves of characters, which nothing can print."""
        for argument in args:
            if not argument.isascii() and any("\ud800" <= sign <= "\udfff" for sign in argument):
                fail(f"{argument.encode('utf-8', 'replace').decode()} is no text in UTF-8.", 2)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. What its input causes ends in one line, not in a traceback."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            place = f"{error.filename}: " if error.filename is not None else ""
            fail(f"{place}{error.strerror or type(error).__name__}.", 1)
        except (ValueError, ArithmeticError) as error:
            fail(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}", 1)


def _no_action() -> None:
    """The group itself does nothing."""


main = typer.Typer(cls=OnDemand, no_args_is_help=True, add_completion=False)


main.callback(help="Safe Passage, from the command line.")(_no_action)
