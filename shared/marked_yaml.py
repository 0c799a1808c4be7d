"""YAML that a person edits: every field with its line, no key twice, and a mark for what nobody has told us yet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

#: What stands in the place of a value that somebody still has to find out.
TO_BE_CONFIGURED = "to be configured"
#: Where a value stands: the keys and indices that lead to it.
Place = tuple[str | int, ...]


class Unconfigured:
    """The value of a marked field, until it is left out or something else takes its place."""


UNCONFIGURED = Unconfigured()


class NotYaml(Exception):
    """The bytes cannot be read; `line` counts from 1, 0 when it is not known."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


@dataclass(slots=True)
class Marked:
    """A file as read. `lines` by place; `twice` and `gaps` are places, in the order of the file."""

    value: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    twice: list[tuple[Place, int]] = field(default_factory=list)
    gaps: list[Place] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """The line of a field, or of the nearest thing around it that is there."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 0)


def read(content: bytes) -> Marked:
    """The file's value with everything known about its places. Raises NotYaml."""
    marked = Marked()
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


def configured(value: Any) -> Any:
    """The same without what is to be configured: defaults take its place, or its absence is a mistake."""
    if isinstance(value, dict):
        return {key: configured(each) for key, each in value.items() if each is not UNCONFIGURED}
    if isinstance(value, list):
        return [configured(each) for each in value if each is not UNCONFIGURED]
    return value


def dotted(place: Place) -> str:
    """`programmes.medicine.coordinator`."""
    return ".".join(map(str, place)) or "-"


def parents(place: Place) -> Iterator[Place]:
    """The place itself and everything around it."""
    for length in range(len(place), -1, -1):
        yield place[:length]


def _value(node: yaml.Node, place: Place, marked: Marked) -> Any:
    """The plain value of a node; notes the line of every field, and a key that stands twice."""
    marked.lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*place, n), marked) for n, child in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        if node.value == TO_BE_CONFIGURED:
            marked.gaps.append(place)
            return UNCONFIGURED
        return node.value if node.tag in _TEXT_TAGS else yaml.safe_load(yaml.serialize(node))
    values: dict[str, Any] = {}
    for key_node, child in node.value:
        key = str(key_node.value)
        if key in values:
            marked.twice.append(((*place, key), key_node.start_mark.line + 1))
        values[key] = _value(child, (*place, key), marked)
        marked.lines[(*place, key)] = key_node.start_mark.line + 1
    return values


#: Kept as written: an unquoted `+31...`, a version or a date is text here.
_TEXT_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "timestamp")}
