"""Reads the blocks of a Dutch text one after the other, and settles at the end how they fit together. Pure."""

import re
from dataclasses import dataclass

from services.safety.sources.documents import StatedLevel, worst_by_area
from services.safety.sources.dutch.colours import COLOUR_WORD, worst_colour
from services.safety.sources.dutch.continuations import (
    continued_area,
    excepted_area,
    is_bare_area,
    is_like_another,
    is_unlike_another,
)
from services.safety.sources.dutch.harmless import is_harmless, marked, names_no_present_colour, unmarked
from services.safety.sources.dutch.names import CountryNames, Extent, area_key, is_named_neighbour
from services.safety.sources.dutch.sentences import sentences
from services.safety.sources.dutch.statements import (
    is_area,
    is_labelled,
    label,
    refers_to_areas,
    seems_to_state,
    statements,
)
from services.safety.sources.dutch.travel import TravelWarning, may_go, warning
from shared.events import Level

#: Characters; a longer sentence is not read. If it names a colour, that is feared.
_MAX_SENTENCE_CHARS = 2_000
_MAX_AREA_CHARS = 300
_CONTRADICTION = "the colour and the advice on travelling differ"
_COLON = re.compile(rf"(?<=code):(?= (?:{COLOUR_WORD})\b)", re.IGNORECASE)
_QUOTED = re.compile(rf"[‘’'\"“”„«] ?(?P<colour>{COLOUR_WORD}) ?[‘’'\"“”»]", re.IGNORECASE)
_OF_ADVICE = re.compile(r"(?:de )?(?:kleur)?code\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours in a text. `level`: of the country or of its rest; None if no sentence states it for certain."""

    level: Level | None
    parts: tuple[StatedLevel, ...]
    unread: tuple[str, ...]


@dataclass(slots=True)
class _Stated:
    """A level that the text gives to an area. None: to the country or its rest."""

    area: str | None
    level: Level


class Reader:
    """Reads block after block. What a sentence continues or contradicts is what the last statements said."""

    def __init__(self, names: CountryNames) -> None:
        self._names = names
        self._said: list[_Stated] = []
        self._neighbours: list[_Stated] = []
        #: Statements that name no area.
        self._bare: list[tuple[str, Level]] = []
        self._feared: list[StatedLevel] = []
        self._unread: list[str] = []
        #: Sentences that speak of the areas of a colour, and those that take an area out of one.
        self._references: list[tuple[str, Level]] = []
        self._exceptions: list[tuple[str, str, Level]] = []
        #: Of travelling to an area.
        self._warnings: list[TravelWarning] = []
        self._needs_parts = self._is_unsure = False
        #: What the last statements said.
        self._before: list[_Stated] = []
        #: Headings that are a colour, and that no area has followed yet.
        self._labels: list[tuple[str, Level, bool]] = []
        self._label_in_use: Level | None = None
        self._after_area = False

    def read_block(self, text: str) -> None:
        """Read a paragraph, a list item, a heading or a row."""
        found = label(text)
        if found is not None:
            self._read_label(text, *found)
            return
        first, *others = sentences(text) or [""]
        self._after_area = False
        if self._is_listed(first):
            self._add(first, self._labels[-1][1] if self._labels else self._label_in_use or Level.GREEN)
            self._use_label()
        else:
            if not self._read(first):
                self._before = []
            self._after_area = not others and is_area(first)
        for sentence in others:
            self._read(sentence)
        if self._labels and not self._is_about_travel(text):
            if self._labels[-1][1] in {said.level for said in self._before}:
                self._use_label()
            else:
                self._give_up_labels()

    def result(self) -> Colours:
        """The colours of the whole text."""
        self._give_up_labels()
        self._settle_bare()
        self._settle_warnings()
        self._settle_references()
        parts = [StatedLevel(_area(said.area), said.level) for said in self._said if said.area is not None]
        levels = [said.level for said in self._said if said.area is None]
        if not levels:
            parts += [StatedLevel(_area(said.area or ""), said.level) for said in self._neighbours]
        level = max(levels, default=None)
        if len(set(levels)) > 1:
            self._unread.append("the country has two colours")
        self._settle_exceptions()
        # Yellow where the rest is green; beside any other colour it changes nothing.
        parts += [
            stated
            for stated in self._feared
            if stated.level >= Level.ORANGE or (level is not None and stated.level > level)
        ]
        if self._needs_parts and not parts:
            self._unread.append("a rest of the country, but no part beside it")
            self._is_unsure = True
        if self._is_unsure and level is not None and level < Level.ORANGE:
            level = None
        return Colours(level, tuple(worst_by_area(parts)), tuple(map(unmarked, self._unread)))

    def _read(self, sentence: str) -> bool:
        """Read one sentence. Returns whether it is about colours or travelling."""
        sentence = marked(_QUOTED.sub(r"\g<colour>", _COLON.sub("", sentence)))
        level = worst_colour(sentence)
        if len(sentence) > _MAX_SENTENCE_CHARS:
            self._is_unsure = True
            self._fear(sentence, level)
            return True
        if level is not None:
            return self._read_colour(sentence, level)
        found = warning(sentence)
        if found is not None:
            self._hold_against(found, sentence)
            return True
        if may_go(sentence):
            if self._before and min(said.level for said in self._before) >= Level.ORANGE:
                self._unread.append(f"{_CONTRADICTION}: {sentence}")
            return True
        return self._read_continuation(sentence)

    def _read_colour(self, sentence: str, level: Level) -> bool:
        found = statements(sentence)
        if found:
            self._before = []
        for statement in found:
            if statement.area:
                self._add(statement.area, statement.level, statement.exception, implies_parts=statement.implies_parts)
            else:
                self._bare.append((sentence, statement.level))
                self._before.append(_Stated("", statement.level))
        if found:
            self._label_in_use = found[-1].level if is_labelled(sentence) else None
            return True
        if is_harmless(sentence):
            return False
        if refers_to_areas(sentence):
            self._references.append((sentence, level))
            self._before = [_Stated("", level)]
            return True
        self._fear(sentence, level)
        self._before = [_Stated("", level)]
        return True

    def _add(self, area: str, level: Level, exception: str = "", *, implies_parts: bool = False) -> None:
        """A statement: of the country, of a part, or of a neighbour."""
        extent = self._names.extent(area)
        if extent is Extent.NEIGHBOUR:
            if not is_named_neighbour(area):
                self._neighbours.append(_Stated(area + exception, level))
            self._before.append(_Stated("", level))
            return
        said = _Stated(None if extent is not Extent.PART else area + exception, level)
        if said.area is None:
            self._needs_parts |= implies_parts or extent is not Extent.WHOLE
        self._said.append(said)
        self._before.append(said)

    def _hold_against(self, found: TravelWarning, sentence: str) -> None:
        """The worse of a colour and the advice on travelling counts, and a contradiction is shown."""
        if found.area:
            self._warnings.append(found)
            return
        if any(said.level >= found.fits_from for said in self._before):
            return
        if not self._before or any(said.area == "" for said in self._before):
            if found.is_reference:
                self._references.append((sentence, found.level))
            else:
                self._fear(sentence, found.level)
            return
        for said in self._before:
            said.level = max(said.level, found.level)
        self._unread.append(f"{_CONTRADICTION}: {sentence}")

    def _read_continuation(self, sentence: str) -> bool:
        """ "Dit geldt ook voor …", "dit geldt niet voor …"; or a sentence that seems to give a colour and does not."""
        excepted = excepted_area(sentence)
        if excepted and self._before:
            self._exceptions.append((sentence, excepted, min(said.level for said in self._before)))
            return True
        area = continued_area(sentence) or (sentence if is_bare_area(sentence) else None)
        if area and self._before:
            level = max(said.level for said in self._before)
            extent = self._names.extent(area)
            if extent is not Extent.PART or any(said.area is not None for said in self._before):
                self._add(area, level)
            return True
        if self._before and is_like_another(sentence):
            self._fear(sentence, max(said.level for said in self._before))
            return True
        if (self._before and is_unlike_another(sentence)) or is_like_another(sentence):
            self._unread.append(sentence)
            self._is_unsure = True
            return True
        if seems_to_state(sentence) and not names_no_present_colour(sentence):
            self._fear(sentence, worst_colour(sentence, may_be_ordinary=False))
            self._is_unsure = True
        return False

    def _read_label(self, text: str, level: Level, has_meaning: bool) -> None:
        """A heading that is a colour: the areas after it have that colour. After an area it may belong to that one."""
        self._label_in_use = None
        self._before = []
        if self._after_area:
            self._fear(text, level)
        else:
            self._labels.append((text, level, has_meaning))
        self._after_area = False

    def _is_listed(self, sentence: str) -> bool:
        return bool(self._labels or self._label_in_use is not None) and is_area(sentence) and warning(sentence) is None

    def _is_about_travel(self, text: str) -> bool:
        return all(warning(sentence) or may_go(sentence) or refers_to_areas(sentence) for sentence in sentences(text))

    def _use_label(self) -> None:
        """The last heading has its areas; those before it have none."""
        if self._labels:
            self._label_in_use = self._labels.pop()[1]
            self._give_up_labels()

    def _give_up_labels(self) -> None:
        """No area follows these headings. All four colours in a row with their meanings are a legend."""
        is_legend = len(self._labels) >= len(Level) and all(has_meaning for _, _, has_meaning in self._labels)
        for text, level, _ in self._labels if not is_legend else ():
            if _OF_ADVICE.match(text):
                self._bare.append((text, level))
            else:
                self._fear(text, level)
        self._labels = []

    def _fear(self, sentence: str, level: Level | None) -> None:
        """An unread sentence is shown, and its colour counts for every place."""
        self._unread.append(sentence)
        if level is not None and level > Level.GREEN:
            self._feared.append(StatedLevel(_area(sentence[:_MAX_AREA_CHARS]), level, unread=True))

    def _settle_bare(self) -> None:
        """ "De kleurcode is geel" without an area is the country's if nothing else is said of any place."""
        is_alone = not self._said and not self._feared and len({level for _, level in self._bare}) == 1
        for sentence, level in self._bare:
            if is_alone:
                self._said.append(_Stated(None, level))
            else:
                self._fear(sentence, level)

    def _settle_warnings(self) -> None:
        """ "Reis niet naar het noorden" is a statement of its own, unless the north's colour agrees with it."""
        for travel_warning in self._warnings:
            extent = self._names.extent(travel_warning.area)
            key = None if extent is not Extent.PART else area_key(travel_warning.area)
            same = [said for said in self._said if (said.area and area_key(said.area)) == key]
            if extent is not Extent.NEIGHBOUR and not any(said.level >= travel_warning.fits_from for said in same):
                self._said.append(_Stated(None if key is None else travel_warning.area, travel_warning.level))

    def _settle_references(self) -> None:
        """ "Gebieden met kleurcode rood" is harmless if some area is red."""
        levels = {said.level for said in self._said} | {stated.level for stated in self._feared}
        for sentence, level in self._references:
            if not any(stated >= level for stated in levels):
                self._fear(sentence, level)

    def _settle_exceptions(self) -> None:
        """An area taken out of green or yellow has a colour of its own. If no sentence gives it, it is unknown."""
        stated = {area_key(said.area) for said in self._said if said.area}
        for sentence, area, level in self._exceptions:
            if area_key(area) not in stated:
                self._unread.append(sentence)
                self._is_unsure |= level < Level.ORANGE


def _area(text: str) -> str:
    return unmarked(text).strip(" ,;:?")
