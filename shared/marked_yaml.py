"""Reads YAML that people edit: the line of every field, duplicate keys, and fields marked `to be configured`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

#: Written in the place of a value that still has to be found out.
TO_BE_CONFIGURED = "to be configured"
#: The keys and indices that lead to a value.
FieldPath = tuple[str | int, ...]


class Unconfigured:
    """The value of a marked field, until it is replaced or left out."""


UNCONFIGURED = Unconfigured()


class NotYaml(Exception):
    """The bytes cannot be read; `line` counts from 1, 0 when it is not known."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


@dataclass(slots=True)
class MarkedFile:
    """A file as read. `lines`: path → line; `duplicates` (with lines) and `gaps` in the order of the file."""

    value: Any = None
    lines: dict[FieldPath, int] = field(default_factory=dict)
    duplicates: list[tuple[FieldPath, int]] = field(default_factory=list)
    gaps: list[FieldPath] = field(default_factory=list)

    def line(self, path: FieldPath) -> int:
        """The line of a field, or of the nearest parent that stands in the file; 0 when there is none."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def read(content: bytes) -> MarkedFile:
    """The value of a file with its lines, duplicates and gaps. Raises NotYaml."""
    marked = MarkedFile()
    try:
        root = yaml.compose(content.decode("utf-8"), Loader=yaml.SafeLoader)
        marked.value = _value(root, (), marked) if root is not None else None
    except UnicodeDecodeError:
        raise NotYaml(0, "is not UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "cannot be read"
        raise NotYaml(mark.line + 1 if mark else 0, f"is not YAML: {problem}") from None
    except RecursionError:
        raise NotYaml(0, "is nested too deeply") from None
    return marked


def without_unconfigured(value: Any) -> Any:
    """The value without its marked fields: the model then uses a default, or reports the field as missing."""
    if isinstance(value, dict):
        return {key: without_unconfigured(child) for key, child in value.items() if child is not UNCONFIGURED}
    if isinstance(value, list):
        return [without_unconfigured(child) for child in value if child is not UNCONFIGURED]
    return value


def dotted(path: FieldPath) -> str:
    """`programmes.medicine.coordinator`."""
    return ".".join(map(str, path)) or "-"


def parents(path: FieldPath) -> Iterator[FieldPath]:
    """The path itself and each path above it."""
    for length in range(len(path), -1, -1):
        yield path[:length]


def _value(node: yaml.Node, path: FieldPath, marked: MarkedFile) -> Any:
    """The plain value of a node. Adds lines, duplicates and gaps to `marked`."""
    marked.lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, n), marked) for n, child in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        if node.value == TO_BE_CONFIGURED:
            marked.gaps.append(path)
            return UNCONFIGURED
        if node.tag == _TRUTH and node.value.lower() not in ("true", "false"):
            return node.value  # NO is Norway, as in YAML 1.2
        return node.value if node.tag in _TEXT_TAGS else yaml.safe_load(yaml.serialize(node))
    values: dict[str, Any] = {}
    for key_node, child in node.value:
        key = str(key_node.value)
        if key in values:
            marked.duplicates.append(((*path, key), key_node.start_mark.line + 1))
        values[key] = _value(child, (*path, key), marked)
        marked.lines[(*path, key)] = key_node.start_mark.line + 1
    return values


_TRUTH = "tag:yaml.org,2002:bool"
#: Read as the text that was written: an unquoted `+31...`, a version or a date is text in the catalogue.
_TEXT_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "timestamp")}
