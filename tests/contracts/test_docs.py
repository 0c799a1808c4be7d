"""Documents and code refer to each other, and every reference resolves; nothing refers outside the repository."""

import os
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: A longer line in a document hides what it says.
LONGEST_LINE = 400
#: Files of ours that people read; data and generated files are not among them.
SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".j2", ".example", ".template", ""}
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
#: `docs/notifications.md`, perhaps followed by `, Promises`: file, comma, title of a section.
REFERENCE = re.compile(r"(?<![\w/.])(?P<file>docs/[\w./-]+\.md)(?:, (?P<rest>[\"“']?[A-Z].{0,120}))?")
#: Names of papers that lie outside the repository, and other ways to point there.
OUTSIDE = re.compile(
    r"\b(?:DESIGN|NOTIFY|KAFKA|FEEDS|STANDARDS|RULES|STYLE|ENGINE|PAGES|WORDS)(?:\.md\b| ?§|, \"| R\d)"
    r"|(?<![(\w])\.\./shared/|\bthe issue on\b|\(issue \d|\bissue \d+,"
)
THIS = Path(__file__).name


@cache
def files() -> tuple[Path, ...]:
    """The text files of the repository, without hidden folders; of the tests' data only what explains them."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        found += [Path(folder, name) for name in names]
    data = ROOT / "tests" / "data"
    return tuple(
        sorted(path for path in found if path.suffix in SUFFIXES and (data not in path.parents or path.suffix == ".md"))
    )


def documents() -> list[Path]:
    """Every Markdown file."""
    return [path for path in files() if path.suffix == ".md"]


@cache
def headings(path: Path) -> tuple[str, ...]:
    """The titles of a document's sections, without those in code blocks."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return tuple(re.findall(r"^#{1,6} +(.+?) *$", text, re.MULTILINE))


def anchor(title: str) -> str:
    """The anchor that GitHub makes of a title."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def names_section(rest: str, titles: tuple[str, ...]) -> bool:
    """Whether a text begins with the title of a section, or with the part of it before a colon (`R16`)."""
    plain = rest.lstrip("\"“'")
    wanted = set(titles) | {title.partition(":")[0] for title in titles}
    return any(re.match(re.escape(title) + r"(?!\w)", plain) for title in wanted)


def test_documents_every_link_resolves() -> None:
    """A link leads to a file of the repository, and its anchor to a section of that file."""
    broken = []
    for document in documents():
        text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in LINK.finditer(re.sub(r"`[^`\n]*`", "", text)):
            target, _, section = link["target"].partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            path = (document.parent / target).resolve() if target else document
            if ROOT not in path.parents or not path.exists():
                broken.append(f"{document.relative_to(ROOT)}: {link['target']}")
            elif section and section not in {anchor(title) for title in headings(path)}:
                broken.append(f"{document.relative_to(ROOT)}: {link['target']}: no such section")

    assert broken == []


def test_documents_every_reference_resolves() -> None:
    """`docs/notifications.md, Promises` in code, documents or configuration names a file and a section that exist."""
    broken = []
    for path in files():
        if path.name == THIS:
            continue
        text = re.sub(r"\s*\n[ \t]*(?:#:?|\"\"\"|\*|//)?[ \t]*", " ", path.read_text(encoding="utf-8"))
        for reference in REFERENCE.finditer(text):
            document = ROOT / reference["file"]
            if not document.exists():
                broken.append(f"{path.relative_to(ROOT)}: {reference['file']}")
            elif reference["rest"] and not names_section(reference["rest"], headings(document)):
                broken.append(
                    f"{path.relative_to(ROOT)}: {reference['file']}, {reference['rest'][:40]}: no such section"
                )

    assert broken == []


@pytest.mark.parametrize("kind", ["documents", "code"])
def test_documents_nothing_refers_outside_the_repository(kind: str) -> None:
    """The repository explains itself: it names no paper that its readers do not have."""
    outside = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in files()
        if path.name != THIS and (path.suffix == ".md") == (kind == "documents")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if OUTSIDE.search(line)
    ]

    assert outside == []


def test_documents_have_no_endless_lines() -> None:
    """A line can be read, quoted and compared."""
    long = [
        f"{path.relative_to(ROOT)}:{number}: {len(line)} characters"
        for path in documents()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > LONGEST_LINE
    ]

    assert long == []


def test_documents_decisions_stand_in_their_index() -> None:
    """Each decision record has its line in docs/decisions/README.md."""
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in sorted(folder.glob("0*.md")) if f"({path.name})" not in index] == []


def test_operations_name_every_metric() -> None:
    """An operator who is paged finds the metric in docs/operations.md."""
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    metrics = (ROOT / "shared" / "observability" / "metrics.py").read_text(encoding="utf-8")
    names = re.findall(r"(?:Counter|Gauge|Histogram)\(\s*\"(\w+)\"", metrics)

    assert names
    assert [name for name in names if f"`{name}" not in operations] == []
