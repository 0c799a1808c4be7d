"""How the ministry words a colour: the sentences of an advice's introduction and of its regional risks. Pure.

The order and the shape of the colour sentences are the editors'; everything around them is our own text.
"""

import html
import textwrap
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

COLOURS = ("groen", "geel", "oranje", "rood")
_MEANING = {
    "groen": "U kunt hiernaartoe. Lees hieronder waar u op moet letten.",
    "geel": "U kunt hiernaartoe, maar houd rekening met meer gevaar dan thuis.",
    "oranje": "Ga alleen als uw reis echt niet kan wachten.",
    "rood": "Ga niet, hoe dringend uw reis ook is.",
}
_NOTICE = '<div class="notification attention">Dit is een oefenadvies van de lokale omgeving.</div>'


def _colour(value: object) -> object:
    """0..3 or the Dutch word in any case, as the word."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(COLOURS):
        return COLOURS[value]
    return value.lower() if isinstance(value, str) else value


Colour = Annotated[Literal["groen", "geel", "oranje", "rood"], BeforeValidator(_colour)]


class RegionLevel(BaseModel):
    """A part of a country and its colour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    area: str = Field(min_length=1, description="as it stands in the sentence, with its article if it has one")
    level: Colour


def introduction(place: str, level: str | None, regions: Sequence[RegionLevel], news: str | None) -> str:
    """The introduction as HTML: news first, then the carve-outs from red to green, then the rest of the country.

    Without a level there is no sentence about the whole country, as for Iraq in the real feed.
    """
    sentences = [news] if news else []
    sentences += _colour_sentences(place, level, regions)
    if len(sentences) == 1:
        body = f"<p>{_wrapped(sentences[0])}</p>"
    else:
        body = f"<ul>  {'  '.join(f'<li>{_wrapped(sentence)}</li>' for sentence in sentences)} </ul>"
    return f"<h2>In het kort</h2>\n  {body}{_NOTICE}"


def regional_blocks(regions: Sequence[RegionLevel]) -> list[dict[str, str]]:
    """The content blocks under "Regionale risico's", red first."""
    return [
        {
            "paragraphtitle": f"{colour.capitalize()}: {listed(areas)}",
            "paragraph": f"<p>{html.escape(f'Kleurcode {colour} geldt voor {listed(areas)}.', quote=False)}</p>",
        }
        for colour, areas in _by_colour(regions)
    ]


def listed(names: Sequence[str]) -> str:
    """`A`, `A en B`, `A, B en C`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} en {names[-1]}"


def _colour_sentences(place: str, level: str | None, regions: Sequence[RegionLevel]) -> list[str]:
    if not regions:
        return [f"De kleurcode van het reisadvies voor {place} is {level}. {_MEANING[level]}"] if level else []
    sentences: list[str] = []
    for colour, areas in _by_colour(regions):
        start = (
            f"Voor {listed(areas)} geldt kleurcode {colour}."
            if sentences
            else f"De kleurcode van het reisadvies is {colour} voor {listed(areas)}."
        )
        sentences.append(f"{start} {_MEANING[colour]} Zie ook Regionale risico’s.")
    if level:
        sentences.append(f"Voor de rest van {place} geldt kleurcode {level}. {_MEANING[level]}")
    return sentences


def _by_colour(regions: Sequence[RegionLevel]) -> list[tuple[str, list[str]]]:
    areas = [(colour, [region.area for region in regions if region.level == colour]) for colour in reversed(COLOURS)]
    return [(colour, names) for colour, names in areas if names]


def _wrapped(sentence: str) -> str:
    # The real feed breaks its lines in the middle of sentences, so a phrase may span two lines.
    text = html.escape(sentence, quote=False)
    return "\n    ".join(textwrap.wrap(text, width=68, break_long_words=False, break_on_hyphens=False))
