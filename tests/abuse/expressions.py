"""Finds every regular expression of the code: compiled ones in modules, and every `re.…(…)` and `pattern=…` in source.

A call whose pattern is known only while it runs must stand in KNOWN_WHEN_RUN with an example, so that a new one is
seen.
"""

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.audit.fast_validation import event_pattern
from shared.events import PersonAnswered

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("services", "shared", "deploy")
#: Functions of `re`, and the place of their argument `flags`.
_FUNCTIONS = {
    "compile": 1, "match": 2, "fullmatch": 2, "search": 2, "findall": 2, "finditer": 2, "split": 3, "sub": 4, "subn": 4,
}  # fmt: skip
_METHODS = frozenset(_FUNCTIONS) - {"compile"}


def _pattern_of_an_event() -> str:
    """The pattern of a whole event, as the auditor compiles it from the event's schema."""
    event = event_pattern(PersonAnswered)
    assert event is not None
    return event.pattern.pattern.decode()


#: Patterns that a function builds: file and source of the argument → an example.
KNOWN_WHEN_RUN: Mapping[tuple[str, str], str] = {
    ("services/notify/channels/disclosure.py", "re.escape(secret)"): re.escape("jan.jansen@university.example"),
    ("services/notify/messages/skeleton.py", "f\"([{''.join(slots)}])\""): "([\ue000\ue001])",
    ("shared/audit/fast_validation.py", "pattern.encode()"): _pattern_of_an_event(),
    # The operator of a simulator writes these.
    ("deploy/local/smtp_inbox.py", "text"): r"@slow\.example$",
    ("deploy/local/smtp_inbox.py", "pattern"): r"@slow\.example$",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """One regular expression: where it stands, and the methods of a pattern that the code calls on it."""

    where: str
    pattern: re.Pattern[str] | re.Pattern[bytes]
    methods: frozenset[str]


def every_expression() -> list[Expression]:
    """Every regular expression of the code. A pattern that stands twice in a file counts once."""
    found: dict[tuple[str, str | bytes, int], Expression] = {}
    for path in source_files():
        for expression in _in_file(path):
            key = (expression.where.partition(":")[0], expression.pattern.pattern, expression.pattern.flags)
            former = found.get(key)
            methods = expression.methods | (former.methods if former else frozenset())
            found[key] = Expression(former.where if former else expression.where, expression.pattern, methods)
    return list(found.values())


def source_files() -> list[Path]:
    """The files of the code that are about patterns."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return [path for path in paths if re.search(r"\bre\b|pattern", path.read_text(encoding="utf-8"))]


def _in_file(path: Path) -> Iterator[Expression]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    file = str(path.relative_to(ROOT))
    module = importlib.import_module(file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    _check_imports(tree, file)
    for name, pattern in _compiled(vars(module), module):
        yield Expression(f"{file}: {name}", pattern, _methods_called().get(name, frozenset({"search"})))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _in_call(node, file, module)


def _check_imports(tree: ast.Module, file: str) -> None:
    """`import re` is the only way to the functions, so that the calls are found."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert all(alias.asname is None for alias in node.names if alias.name == "re"), f"{file}: import re as …"
            assert not any(alias.name == "regex" for alias in node.names), f"{file}: another engine"
        assert not (isinstance(node, ast.ImportFrom) and node.module in ("re", "regex")), f"{file}: from re import …"


def _compiled(values: Mapping[str, Any], module: ModuleType) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Compiled patterns among a module's values, also in containers and classes."""
    for name, value in list(values.items()):
        if isinstance(value, re.Pattern):
            yield name, value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            yield from _compiled(vars(value), module)
        elif isinstance(value, Mapping) and not name.startswith("__"):
            yield from ((name, entry) for entry in value.values() if isinstance(entry, re.Pattern))
        elif isinstance(value, tuple | list | set | frozenset):
            yield from ((name, entry) for entry in value if isinstance(entry, re.Pattern))


def _in_call(node: ast.Call, file: str, module: ModuleType) -> Iterator[Expression]:
    where = f"{file}:{node.lineno}"
    for keyword in node.keywords:
        if keyword.arg == "pattern":
            # pydantic searches.
            yield Expression(where, re.compile(_value(keyword.value, module)), frozenset({"search"}))
    function = node.func
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "re"):
        return
    if function.attr not in _FUNCTIONS:
        return
    example = KNOWN_WHEN_RUN.get((file, ast.unparse(node.args[0])))
    try:
        pattern = _value(node.args[0], module) if example is None else example
    except NameError:
        # Within a comprehension at the top of a module: its result is among the module's values.
        assert not _is_in_function(node, file), (
            f"{where}: add the pattern to KNOWN_WHEN_RUN, with an example: {ast.unparse(node.args[0])}"
        )
        return
    place = _FUNCTIONS[function.attr]
    flags = next((word.value for word in node.keywords if word.arg == "flags"), None)
    flags = flags or (node.args[place] if len(node.args) > place else None)
    compiled = re.compile(pattern, _value(flags, module) if flags is not None else 0)
    if function.attr != "compile":
        yield Expression(where, compiled, frozenset({function.attr}))
    elif _is_in_function(node, file):
        yield Expression(where, compiled, frozenset({"search"}))


def _value(node: ast.expr, module: ModuleType) -> Any:
    return eval(compile(ast.Expression(node), module.__name__, "eval"), dict(vars(module)))  # our own source


@cache
def _functions(file: str) -> tuple[tuple[int, int], ...]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return tuple(
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    )


def _is_in_function(node: ast.expr, file: str) -> bool:
    return any(first <= node.lineno <= last for first, last in _functions(file))


@cache
def _methods_called() -> dict[str, frozenset[str]]:
    """Name of a compiled pattern → methods of a pattern that the code calls on that name."""
    methods: dict[str, set[str]] = {}
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in _METHODS and isinstance(node.value, ast.Name):
                methods.setdefault(node.value.id, set()).add(node.attr)
    return {name: frozenset(called) for name, called in methods.items()}
