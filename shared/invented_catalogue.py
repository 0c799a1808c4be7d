"""Finds invented data: a catalogue that says it is invented, and addresses of reserved domains.

An alert names the catalogue's emergency number and its offices; with an invented catalogue it leads nowhere.
"""

from collections.abc import Iterator
from typing import Any

from shared.catalogue import Catalogue
from shared.catalogue_mistakes import UNIVERSITY_FILE, Mistake
from shared.marked_yaml import FieldPath, dotted

# Source: RFC 2606 and RFC 6761, domains that belong to nobody.
RESERVED_TOP_LEVEL = frozenset({"test", "example", "invalid", "localhost", "local"})
RESERVED = ("example.com", "example.net", "example.org")
MAX_NAMED = 5


def invented_parts(catalogue: Catalogue) -> list[Mistake]:
    """Every part of the catalogue that is invented: the mark, and each reserved address."""
    mistakes = []
    if catalogue.university.invented:
        mistakes.append(Mistake(UNIVERSITY_FILE, 0, "invented", "is true: no such university exists"))
    parts: dict[str, Any] = {UNIVERSITY_FILE: catalogue.university.model_dump()}
    parts |= {f"faculty {faculty_id}": faculty.model_dump() for faculty_id, faculty in catalogue.faculties.items()}
    for name, part in parts.items():
        mistakes += [Mistake(name, 0, dotted(path), "leads to a reserved domain") for path in _reserved(part, ())]
    return mistakes


def _reserved(value: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _reserved(inner, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _reserved(inner, (*path, index))
    elif isinstance(value, str) and is_reserved(value):
        yield path


def is_reserved(text: str) -> bool:
    """Whether a mail address or a web address, and nothing else, leads to a reserved domain."""
    if " " in text:
        return False
    if text.startswith("https://"):
        host = text.removeprefix("https://").partition("/")[0].partition(":")[0]
    else:
        _, at, host = text.rpartition("@")
        if not at:
            return False
    host = host.lower().removesuffix(".")
    return host.rpartition(".")[2] in RESERVED_TOP_LEVEL or any(f".{host}".endswith(f".{name}") for name in RESERVED)
