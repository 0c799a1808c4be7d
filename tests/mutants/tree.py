"""Builds .local/mutants/tree: a copy of the repository in which each pure module holds all its changed functions."""

import ast
import hashlib
import json
import multiprocessing
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name, orig_function_and_class_names_from_key

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".local" / "mutants"
COPIED = ("services", "shared", "tests", "deploy", "docs", "pyproject.toml", "uv.lock", "README.md", "CONTRIBUTING.md")


@dataclass(frozen=True)
class Mutant:
    """One change: `old` became `new` at this line of `file`, in `function`. `name` chooses it at run time."""

    name: str
    file: str
    line: int
    function: str
    old: str
    new: str


def build(names: list[str]) -> tuple[Path, list[Mutant]]:
    """The folder in which the tests run, and the changes that its modules hold."""
    os.chdir(ROOT)  # mutmut reads pyproject.toml where it runs.
    prefixes = tuple(name.rstrip("/") for name in names)
    files = [path for path in walk_mutatable_files() if not names or str(path).startswith(prefixes)]
    folder = WORK / "tree"
    shutil.rmtree(folder, ignore_errors=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, folder / name)
    mutants: list[Mutant] = []
    with multiprocessing.get_context("fork").Pool() as pool:
        for path, changed in pool.imap(_change, files, chunksize=1):
            (folder / path).write_text(changed.code, encoding="utf-8")
            mutants += described(path, changed)
    (folder / "mutants.json").write_text(json.dumps([asdict(mutant) for mutant in mutants]), encoding="utf-8")
    return folder, mutants


def results_file(folder: Path, tests: list[str]) -> Path:
    """Where the outcomes are kept: a run over the same code and the same tests goes on where it was stopped."""
    digest = hashlib.sha256("\0".join(tests).encode())
    for path in sorted(path for name in ("services", "shared", "tests") for path in (ROOT / name).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.name != "equivalent.toml":
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return folder.parent / f"{digest.hexdigest()[:16]}.jsonl"


def _change(path: Path) -> tuple[Path, MutatedFile]:
    return path, mutate_file_contents(str(path), path.read_text(encoding="utf-8"))


def described(path: Path, changed: MutatedFile) -> list[Mutant]:
    """Each change of this module with its place in the unchanged file."""
    lines = changed.code.splitlines()
    first_lines = _first_lines(path.read_text(encoding="utf-8"))

    def source(function: str) -> list[str]:
        span = changed.line_span_by_function_name[function]
        body = lines[span.start - 1 : span.end]
        while not body[0].lstrip().startswith(("def ", "async def ")):
            body = body[1:]
        return [line.replace(function, "") for line in body]

    mutants: list[Mutant] = []
    for function in changed.mutant_names:
        before, after = source(function.partition("__mutmut_")[0] + "__mutmut_orig"), source(function)
        start = next((n for n, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), len(after) - 1)
        tail = 0
        while tail < min(len(before), len(after)) - start - 1 and before[-1 - tail] == after[-1 - tail]:
            tail += 1
        old, new = (" ".join(map(str.strip, part[start : len(part) - tail])) for part in (before, after))
        name, owner = orig_function_and_class_names_from_key(get_mutant_name(path, function))
        qualified = f"{owner}.{name}" if owner else name
        line = first_lines[qualified] + start
        mutants.append(Mutant(get_mutant_name(path, function), str(path), line, qualified, old, new))
    return mutants


def _first_lines(source: str) -> dict[str, int]:
    """The line of `def` of each function and method of a module."""
    found: dict[str, int] = {}
    for node in ast.parse(source).body:
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
                found[owner + inner.name] = inner.lineno
    return found
