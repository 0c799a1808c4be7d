"""Wrong values for every place of a good body, derived from the JSON schema of an OpenAPI document."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]


def resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind a `$ref`, and the branch of an `anyOf` that is not null."""
    while True:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema:
            schema = next(branch for branch in schema["anyOf"] if branch.get("type") != "null")
        else:
            return schema


def is_nullable(schema: Mapping[str, Any]) -> bool:
    """Whether null is a value of it."""
    return schema.get("type") == "null" or any(branch.get("type") == "null" for branch in schema.get("anyOf", ()))


def places(
    schema: Mapping[str, Any], value: Any, document: Mapping[str, Any], path: Path = ()
) -> Iterator[tuple[Path, Mapping[str, Any], bool]]:
    """Every place in a good value: its path, its schema, and whether it may be null."""
    known = resolved(schema, document)
    yield path, known, is_nullable(schema)
    if isinstance(value, dict):
        for name, inner in known.get("properties", {}).items():
            if value.get(name) is not None:
                yield from places(inner, value[name], document, (*path, name))
    if isinstance(value, list) and value:
        yield from places(known["items"], value[0], document, (*path, 0))


def wrong_values(schema: Mapping[str, Any], *, nullable: bool) -> list[Any]:
    """Values that a schema does not allow, of every kind that a caller may try."""
    kind = schema.get("type")
    wrong: list[Any] = [] if nullable else [None]
    if kind == "string":
        wrong += [7, True, ["x"], {"$ne": None}]
        wrong += wrong_texts(schema)
    elif kind == "boolean":
        wrong += ["true", "yes", 1, 0, []]
    elif kind == "integer":
        wrong += ["5", 1.5, True, []]
    elif kind == "array":
        wrong += ["x", {}, 7]
    elif kind == "object":
        wrong += ["x", [], 7]
    return wrong


def wrong_texts(schema: Mapping[str, Any]) -> list[str]:
    """Texts that a schema of a string, a number or a boolean in a query does not allow."""
    wrong = []
    if "enum" in schema or "const" in schema or schema.get("type") in ("integer", "boolean"):
        wrong += ["invented", ""]
    if "pattern" in schema:
        wrong += [text for text in ("!", "a b", "") if not re.search(schema["pattern"], text)]
    if "maxLength" in schema:
        wrong.append("x" * (schema["maxLength"] + 1))
    if schema.get("minLength", 0) > 0:
        wrong.append("")
    if schema.get("format") == "date":
        wrong += ["yesterday", "2026-02-30", "1767225600", "2026-05-01T00:00:00Z", "20260501"]
    if "minimum" in schema:
        wrong.append(str(schema["minimum"] - 1))
    if "maximum" in schema:
        wrong.append(str(schema["maximum"] + 1))
    return wrong


def replaced(value: Any, path: Path, new: Any) -> Any:
    """A copy with another value at a place."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = new
    return changed


def removed(value: Any, path: Path) -> Any:
    """A copy without a place."""
    changed = copy.deepcopy(value)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return changed


def named(path: Path) -> str:
    """How a problem names a place of the body."""
    return ".".join(("body", *(str(step) for step in path)))


def mistakes(schema: Mapping[str, Any], good: Any, document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Bodies with one mistake each, with the field that the problem must name."""
    for path, known, nullable in places(schema, good, document):
        for wrong in wrong_values(known, nullable=nullable):
            yield named(path), replaced(good, path, wrong)
        for name in known.get("required", ()):
            yield named((*path, name)), removed(good, (*path, name))
        if known.get("type") == "object":
            yield named((*path, "isApproved")), replaced(good, (*path, "isApproved"), True)
