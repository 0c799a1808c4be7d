"""`passage catalogue check`: what is wrong in a catalogue, and what still has to be configured. Exit 0, 1 wrong, 2."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from shared.catalogue import Reading, read

catalogue = typer.Typer(no_args_is_help=True, help="The university's catalogue: faculties, programmes, slots.")


@catalogue.callback()
def _several() -> None:
    """The catalogue's commands; more than one may follow."""


@catalogue.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of university.yaml and the faculties' files")] = Path(
        "deploy/catalogue"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One document, nothing else there.")] = False,
) -> None:
    """Name file, line and field of every mistake, and list what is marked `to be configured`.

    Exit 1 for a mistake, and for something without which no service starts.
    """
    if not folder.is_dir():
        sys.stderr.write(f"{folder} is not a folder.\n")
        raise typer.Exit(2)
    try:
        reading = read(folder)
    except OSError as error:
        sys.stderr.write(f"{folder}: {error.strerror or 'cannot be read'}.\n")
        raise typer.Exit(2) from None
    needed = [gap for gap in reading.gaps if gap.is_needed]
    sys.stdout.write(_document(reading) if as_json else _lines(reading))
    sys.stderr.write(
        f"{len(reading.mistakes)} mistakes; {len(reading.gaps)} things to be configured, {len(needed)} of them before "
        "a service can start\n"
    )
    raise typer.Exit(1 if reading.mistakes or needed else 0)


def _document(reading: Reading) -> str:
    document = {
        "version": reading.catalogue.version if reading.catalogue else None,
        "mistakes": [asdict(each) for each in reading.mistakes],
        "toBeConfigured": [
            {"file": each.file, "line": each.line, "field": each.field, "needed": each.is_needed}
            for each in reading.gaps
        ],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _lines(reading: Reading) -> str:
    lines = [f"wrong: {each}" for each in reading.mistakes]
    lines += [f"to be configured{' before a service starts' * each.is_needed}: {each}" for each in reading.gaps]
    if reading.catalogue is not None:
        lines.append(f"version {reading.catalogue.version}: {len(reading.catalogue.faculties)} faculties")
    return "".join(f"{line}\n" for line in lines)
