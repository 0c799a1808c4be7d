"""`passage token`: prints a token for the local stack, to try the APIs by hand."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from shared.web.local_tokens import AUDIENCE, ISSUER, mint
from shared.web.roles import is_role, known_roles


def token(
    role: Annotated[list[str], typer.Option(help=f"Repeatable; one of {', '.join(known_roles())}")],
    person: Annotated[str, typer.Option(help="The login's subject, e.g. student-1")],
    keys: Annotated[Path, typer.Option(help="Folder of the local stack's keys")] = Path(".local/keys"),
    hours: Annotated[int, typer.Option(min=1, max=24)] = 8,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print a bearer token for the local stack. No other installation accepts it."""
    if unknown := [name for name in role if not is_role(name)]:
        sys.stderr.write(f"No such role: {', '.join(unknown)}. The roles are {', '.join(known_roles())}.\n")
        raise typer.Exit(2)
    issuer, audience = os.environ.get("TOKEN_ISSUER", ISSUER), os.environ.get("TOKEN_AUDIENCE", AUDIENCE)
    try:
        minted = mint(keys, person, role, issuer=issuer, audience=audience, lifetime_seconds=hours * 3_600)
    except FileNotFoundError:
        sys.stderr.write(f"No keys in {keys}: `make up` creates them.\n")
        raise typer.Exit(2) from None
    sys.stdout.write(json.dumps({"token": minted, "person": person, "roles": role}) if as_json else minted)
    sys.stdout.write("\n")
