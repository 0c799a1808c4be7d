"""How a command of `passage` ends when it cannot do its work."""

import sys
from typing import NoReturn

import typer


def fail(sentence: str, code: int) -> NoReturn:
    """Print the reason on standard error and exit: code 1 for a failure, 2 for wrong use."""
    sys.stderr.write(sentence + "\n")
    raise typer.Exit(code)
