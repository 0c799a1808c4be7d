"""The rulebook: every rule leads from a service's README to its function and its test, and back from the code."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("approval", "registration", "safety", "notify")
#: Every rule of the university is decided somewhere.
DECIDED = {f"R{number}" for number in range(1, 40)}
_ROW = re.compile(r"^\| (?P<rules>R\d[^|]*) \| (?P<code>[^|]*) \| (?P<test>[^|]*) \|$", re.MULTILINE)
_CODE = re.compile(r"`(?P<path>[\w/]+\.py)` `(?P<function>\w+)`")


@dataclass(frozen=True)
class Row:
    """One line of a table: rules, the functions that decide them, the tests that show it."""

    service: str
    rules: frozenset[str]
    code: tuple[tuple[Path, str], ...]
    tests: tuple[tuple[Path, str], ...]


def rows() -> list[Row]:
    """Every line of every table."""
    found = []
    for service in SERVICES:
        text = (ROOT / "services" / service / "README.md").read_text(encoding="utf-8")
        for match in _ROW.finditer(text):
            code = tuple((ROOT / "services" / service / path, name) for path, name in _CODE.findall(match["code"]))
            tests = tuple((ROOT / path, name) for path, name in _CODE.findall(match["test"]))
            found.append(Row(service, frozenset(re.findall(r"\bR\d+\b", match["rules"])), code, tests))
    return found


def functions(path: Path) -> dict[str, str]:
    """Function or class → its docstring, with the module's."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    whole = ast.get_docstring(tree) or ""
    return {node.name: f"{whole} {ast.get_docstring(node) or ''}" for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.service} {' '.join(sorted(row.rules))}")
def test_row_leads_to_its_function_and_its_test(row: Row) -> None:
    """Both exist, and the function says which rule it is."""
    assert row.code, "no `path.py` `function` in the second column"
    assert row.tests, "no `path.py` `test` in the third column"
    for path, name in (*row.code, *row.tests):
        assert name in functions(path), f"{path.relative_to(ROOT)} has no {name}"
    said = " ".join(functions(path)[name] for path, name in row.code)
    assert row.rules <= set(re.findall(r"\bR\d+\b", said)), "the docstrings do not name the rule"


def test_every_decided_rule_is_in_a_table() -> None:
    """And nothing is in a table that the services do not decide yet."""
    assert {rule for row in rows() for rule in row.rules} == DECIDED


@pytest.mark.parametrize(
    "module",
    [path for path in sorted(ROOT.glob("services/*/rules/*.py")) if path.name != "__init__.py"],
    ids=lambda path: f"{path.parts[-3]}-{path.stem}",
)
def test_every_module_of_rules_is_in_its_readme(module: Path) -> None:
    """No decision hides."""
    readme = (module.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"`rules/{module.name}`" in readme


def test_rules_page_names_the_services_that_decide() -> None:
    """docs/rules.md has a section for each rule, and its table names the services in whose READMEs the rule stands."""
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| \[(R\d+)\]\(#\S+\) \| .* \| (.*) \|$", page, re.MULTILINE)

    named = {rule: set(re.findall(r"\[(\w+)\]\(", services)) for rule, services in table}
    assert named == {rule: {row.service for row in rows() if rule in row.rules} for rule in DECIDED}
    assert set(re.findall(r"^### (R\d+): ", page, re.MULTILINE)) == DECIDED
