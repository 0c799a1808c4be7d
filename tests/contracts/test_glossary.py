"""A class is named by words that a newcomer knows: ordinary English, or a term of docs/glossary.md."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
#: Kept by hand: words that need no explanation here. A noun with a meaning of our own goes into the glossary instead.
ORDINARY = ROOT / "tests" / "data" / "ordinary_words.txt"


def split(name: str) -> list[str]:
    """The words of a class name or of a term: `SendJob` → send, job."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


@cache
def sources() -> tuple[Path, ...]:
    """The Python files of the product."""
    return tuple(sorted(path for folder in ("services", "shared", "deploy") for path in (ROOT / folder).rglob("*.py")))


def class_names() -> dict[str, str]:
    """Class → the file that defines it."""
    return {
        node.name: str(path.relative_to(ROOT))
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }


def terms() -> list[str]:
    """The first column of both tables of the glossary."""
    return [term.strip() for term in re.findall(r"^\| ([^|]+) \|", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)]


def test_class_names_are_ordinary_words_or_stand_in_the_glossary() -> None:
    """No word of a class name is known to us alone."""
    known = set(ORDINARY.read_text(encoding="utf-8").split())
    known |= {word for term in terms() for word in split(term)}
    unknown: dict[str, list[str]] = defaultdict(list)
    for name, path in class_names().items():
        for word in split(name):
            if word not in known and word.removesuffix("s") not in known:
                unknown[word].append(f"{name} in {path}")

    assert dict(unknown) == {}, "explain the word in docs/glossary.md, or choose an ordinary one"


def test_ordinary_words_are_sorted_and_each_stands_once() -> None:
    """The list can be read and compared."""
    words = ORDINARY.read_text(encoding="utf-8").split()

    assert words == sorted(set(words))


def test_glossary_is_sorted_and_each_term_stands_once() -> None:
    """A term is found where the alphabet puts it."""
    for table in GLOSSARY.read_text(encoding="utf-8").split("\n## ")[1:]:
        listed = [term.strip("` ").lower() for term in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)][1:]
        listed = [term for term in listed if set(term) != {"-"}]
        assert listed == sorted(set(listed))


def test_glossary_names_exist_in_the_code() -> None:
    """A name that is explained is a name that is used."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources())
    used = set(re.findall(r"\w+", code))
    names = {name for term in terms() for name in re.findall(r"`(\w+)`", term)}

    assert sorted(name for name in names if name not in used and not any(word.endswith(name) for word in used)) == []
