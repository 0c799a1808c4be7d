"""`make bench`: runs the named benchmarks, or all; prints a table, and writes JSON so that two runs can be compared.

`python -m tests.benchmarks [NAME …] [--scale 0.1] [--against FILE]`

"""

import argparse
import asyncio
import json
import logging
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.local.ports import Ports
from deploy.local.stack import LocalStack
from tests.benchmarks.measure import Measure, Where
from tests.benchmarks.registry import BENCHMARKS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".local" / "bench"


def main() -> int:
    """Exit 0 when everything could be measured, 2 for wrong use. People judge whether a goal is reached."""
    parser = argparse.ArgumentParser(prog="make bench", description="Ratios to a floor measured in the same run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size, e.g. 0.1")
    parser.add_argument("--against", type=Path, help="a former run's JSON to compare with")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in BENCHMARKS]
    if unknown or not 0 < asked.scale <= 1:
        parser.error(f"no such benchmark: {', '.join(unknown)}" if unknown else "the scale lies between 0 and 1")
    logging.disable(logging.WARNING)  # a broker that has just made a topic is not ready, and says so
    former = _former(asked.against)
    console = Console(stderr=True)
    measures: list[Measure] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stack = LocalStack(Path(folder), ROOT / ".local", Ports.free(), jvm_options=())
        stack.start()
        try:
            for name in asked.names or BENCHMARKS:
                console.print(f"[bold]{name}[/bold] …")
                where = Where(stack.kafka, stack.mongo, Path(folder), asked.scale)
                for measure in asyncio.run(BENCHMARKS[name](where)):
                    measures.append(measure)
                    console.print(f"  {measure.name}: {_value(measure)} (goal {measure.goal})")
        finally:
            stack.stop()
    _show(measures, former)
    RESULTS.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    file = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()}
    document = {
        "at": now.isoformat(),
        "scale": asked.scale,
        "machine": machine,
        "measures": [measure.document() for measure in measures],
    }
    file.write_text(json.dumps(document, indent=1), encoding="utf-8")
    console.print(f"kept as {file.relative_to(ROOT)}")
    return 0


def _former(path: Path | None) -> dict[str, float]:
    if path is None:
        return {}
    return {measure["name"]: float(measure["value"]) for measure in json.loads(path.read_text())["measures"]}


def _value(measure: Measure) -> str:
    unit = {"ratio": "×", "s": " s", "bytes": " B"}[measure.unit]
    return f"{measure.value:.2f}{unit} ({measure.low:.2f}–{measure.high:.2f})"


def _show(measures: list[Measure], former: dict[str, float]) -> None:
    table = Table(title="benchmarks")
    for column in ("measure", "goal", "found (spread)", *(["before"] if former else []), "facts"):
        table.add_column(column)
    for measure in measures:
        facts = ", ".join(f"{name} {value}" for name, value in measure.facts.items())
        before = [f"{former[measure.name]:.2f}" if measure.name in former else "–"] if former else []
        table.add_row(measure.name, measure.goal, _value(measure), *before, facts)
    Console(file=sys.stdout).print(table)


if __name__ == "__main__":
    sys.exit(main())
