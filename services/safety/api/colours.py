"""The names of the four levels on the wire."""

from typing import Literal

from shared.events import Level

Colour = Literal["green", "yellow", "orange", "red"]
ShownColour = Literal["green", "yellow", "orange", "red", "unknown"]
LEVELS: dict[Colour, Level] = {
    "green": Level.GREEN, "yellow": Level.YELLOW, "orange": Level.ORANGE, "red": Level.RED
}  # fmt: skip
COLOURS: dict[Level | None, ShownColour] = {None: "unknown", **{level: colour for colour, level in LEVELS.items()}}
