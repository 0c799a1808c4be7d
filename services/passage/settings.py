"""`passage settings`: every environment variable of the services as one table, and a check of an environment.

Exit code 0: fine; 1: the environment is wrong, and the output says where; 2: wrong use.
"""

import json
import sys
from typing import Annotated

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from services.approval.settings import Settings as Approval
from services.notify.settings import Settings as Notify
from services.registration.settings import Settings as Registration
from services.safety.settings import Settings as Safety
from shared.environment import BadEnvironment, EnvironmentSettings, demands, from_environment
from shared.settings import CatalogueSettings, CommonSettings

settings = typer.Typer(no_args_is_help=True, help="The environment variables of the services.")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

SETTINGS: dict[str, type[CommonSettings]] = {
    "approval": Approval,
    "registration": Registration,
    "safety": Safety,
    "notify": Notify,
}
#: Title → the class whose own variables stand under it, and the classes that have theirs under an earlier title.
SECTIONS: dict[str, tuple[type[EnvironmentSettings], tuple[type[EnvironmentSettings], ...]]] = {
    "Every service": (CommonSettings, ()),
    "approval, registration and notify": (CatalogueSettings, (CommonSettings,)),
    "approval": (Approval, (CatalogueSettings,)),
    "registration": (Registration, (CatalogueSettings,)),
    "safety": (Safety, (CommonSettings,)),
    "notify": (Notify, (CatalogueSettings,)),
}


@settings.command()
def table() -> None:
    """Print every variable with its default, its meaning and what production demands, as Markdown."""
    sys.stdout.write(as_markdown())


@settings.command()
def check(
    service: Annotated[str, typer.Argument(help="approval, registration, safety or notify")], as_json: AsJson = False
) -> None:
    """Check the variables of this environment as the service does at its start, and change nothing."""
    if service not in SETTINGS:
        sys.stderr.write(f"{service} is not a service: {', '.join(SETTINGS)}.\n")
        raise typer.Exit(2)
    mistakes: list[str] = []
    try:
        from_environment(SETTINGS[service])
    except BadEnvironment as error:
        mistakes = error.mistakes
    lines = mistakes or [f"every variable of {service} is right"]
    sys.stdout.write(json.dumps({"mistakes": mistakes}) + "\n" if as_json else "\n".join(lines) + "\n")
    raise typer.Exit(1 if mistakes else 0)


def as_markdown() -> str:
    """The tables, one for each section."""
    return "\n".join(
        f"## {title}\n\n| variable | default | means | production |\n|---|---|---|---|\n"
        + "".join(_row(name, field) for name, field in own_fields(*section).items())
        for title, section in SECTIONS.items()
    )


def own_fields(of: type[EnvironmentSettings], earlier: tuple[type[EnvironmentSettings], ...]) -> dict[str, FieldInfo]:
    """The fields of a class that none of the other classes has."""
    known = {name for base in earlier for name in base.model_fields}
    return {name: field for name, field in of.model_fields.items() if name not in known}


def _row(name: str, field: FieldInfo) -> str:
    default = "required" if field.default is PydanticUndefined else _default(field.default)
    demanded = "; ".join(demand.text for demand in demands(field))
    means = str(field.description).replace("<", "&lt;").replace("|", "&#124;")
    return f"| `{name.upper()}` | {default} | {means} | {demanded} |\n"


def _default(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value not in (None, "", {}) else ""
