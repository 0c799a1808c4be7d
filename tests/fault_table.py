"""`--faults`: prints the tests marked `fault("description")` as a table: the fault, its test, and whether it held.

Registered by tests/conftest.py. The same tests run in `make test`, except those marked `long`, which only
`make faults` runs.
"""

from typing import Any

import pytest
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option `--faults`: print the table, and run the tests marked `long` too."""
    parser.addoption("--faults", action="store_true", help="the long fault tests too, and a table at the end")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the two marks."""
    config.addinivalue_line("markers", "fault(what): something is broken on purpose; a row of `make faults`")
    config.addinivalue_line("markers", "long: takes minutes; only `make faults` runs it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect (not skip) tests marked `long`, unless `--faults` is given."""
    if config.getoption("--faults"):
        return
    left = [item for item in items if item.get_closest_marker("long")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_runtest_makereport(item: pytest.Item, call: Any) -> None:
    """Add the description and the duration to the report, for the table."""
    mark = item.get_closest_marker("fault")
    if mark is not None and call.when == "call":
        parameters = getattr(item, "callspec", None)
        what = str(mark.args[0]) if mark.args else item.name
        item.user_properties.append(("fault", f"{what} [{parameters.id}]" if parameters else what))
        item.user_properties.append(("seconds", call.duration))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table."""
    if not config.getoption("--faults"):
        return
    table = Table(title="faults", show_lines=False)
    for column in ("fault", "where", "seconds", "held"):
        table.add_column(column, overflow="fold")
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            facts = dict(report.user_properties)
            if "fault" in facts:
                place = report.nodeid.split("::")[0].removeprefix("tests/")
                held = "yes" if outcome == "passed" else "NO"
                table.add_row(escape(str(facts["fault"])), escape(place), f"{facts['seconds']:.1f}", held)
    Console(file=terminalreporter._tw._file, width=140).print(table)
