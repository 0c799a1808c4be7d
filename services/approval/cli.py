"""`passage catalogue check`: reports mistakes in a catalogue, and settings that are still to be configured.

Exit 0; 1: a mistake, or a missing setting without which no service starts; 2: wrong use.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from shared.catalogue_files import CatalogueReport, examine

catalogue = typer.Typer(no_args_is_help=True, help="The university's catalogue: faculties, programmes, slots.")


@catalogue.callback()
def _several() -> None:
    """Makes `check` a subcommand, although it is the only one."""


@catalogue.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder with university.yaml and the faculties' files")] = Path(
        "deploy/catalogue"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")] = False,
) -> None:
    """Print file, line and field of every mistake, and of every setting marked `to be configured`.

    Exit 1 for a mistake, and for a missing setting without which no service starts.
    """
    if not folder.is_dir():
        sys.stderr.write(f"{folder} is not a folder.\n")
        raise typer.Exit(2)
    try:
        report = examine(folder)
    except OSError as error:
        sys.stderr.write(f"{folder}: {error.strerror or 'cannot be read'}.\n")
        raise typer.Exit(2) from None
    needed = [gap for gap in report.gaps if gap.is_needed]
    sys.stdout.write(_document(report) if as_json else _lines(report))
    sys.stderr.write(
        f"{len(report.mistakes)} mistakes; {len(report.gaps)} things to be configured, {len(needed)} of them before "
        "a service can start\n"
    )
    raise typer.Exit(1 if report.mistakes or needed else 0)


def _document(report: CatalogueReport) -> str:
    document = {
        "version": report.catalogue.version if report.catalogue else None,
        "mistakes": [asdict(mistake) for mistake in report.mistakes],
        "toBeConfigured": [
            {"file": gap.file, "line": gap.line, "field": gap.field, "needed": gap.is_needed} for gap in report.gaps
        ],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _lines(report: CatalogueReport) -> str:
    lines = [f"wrong: {mistake}" for mistake in report.mistakes]
    lines += [f"to be configured{' before a service starts' * gap.is_needed}: {gap}" for gap in report.gaps]
    if report.catalogue is not None:
        lines.append(f"version {report.catalogue.version}: {len(report.catalogue.faculties)} faculties")
    return "".join(f"{line}\n" for line in lines)
