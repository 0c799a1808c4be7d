"""The last page of the demonstration: figures, where to look, and promises that were not kept."""

import json
from pathlib import Path

from deploy.local.demo.report import Report
from deploy.local.demo.view import View


def print_summary(view: View, report: Report, path: Path) -> None:
    """Print the figures for people, and one line of JSON: whether all promises were kept."""
    figures = report.figures
    view.chapter("What happened")
    seconds = figures["seconds"]
    view.console.print(
        f"  students {figures['students']}, affected {figures['affected']}, selected {figures['selected']}, "
        f"missed {len(figures['missed'])}, unexpected {len(figures['unexpected'])}"
    )
    for channel in ("email", "sms"):
        counts = ", ".join(f"{name} {value}" for name, value in figures[channel].items())
        view.console.print(f"  {channel:6} {counts}")
    view.console.print(
        f"  answers safe {figures['answers']['safe']}, help {figures['answers']['help']}\n"
        f"  from the change to the first acceptance {seconds['to_first_acceptance']} s, "
        f"to the last {seconds['to_last_acceptance']} s"
    )
    view.chapter("Where to look")
    view.console.print(f"  mail    {figures['paths']['maildir']}\n  SMS     {figures['paths']['sms_log']}")
    view.console.print(f"  report  {path}")
    for problem in report.broken:
        view.console.print(f"  [red]not as promised:[/red] {problem}")
    view.console.print(json.dumps({"as_promised": not report.broken}))
