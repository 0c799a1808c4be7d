"""Dutch advice in many wordings with a known right value: what is read is never safer than what the text says."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.safety.sources.dutch.blocks import Colours
from services.safety.sources.dutch.colours import ORDINARY
from services.safety.sources.dutch.introduction import introduction_blocks, read_colours
from shared.events import Level
from tests.failures import Failures

TABLE: dict[str, list[Any]] = json.loads(
    (Path(__file__).resolve().parents[1] / "data" / "feeds" / "netherlands" / "sentences.json").read_text(
        encoding="utf-8"
    )
)
LEVELS = {"groen": Level.GREEN, "geel": Level.YELLOW, "oranje": Level.ORANGE, "rood": Level.RED}
INFLECTED = {"groen": "groene", "geel": "gele", "oranje": "oranje", "rood": "rode"}
GREEN = "De kleurcode van het reisadvies voor Marokko is groen."
NORTH = "De kleurcode van het reisadvies is rood voor het noorden. Wat uw situatie ook is: reis er niet heen."
REST = "Voor de rest van Marokko geldt kleurcode groen. U kunt hierheen reizen."
unhurried = settings(deadline=None)


def read(html: str) -> Colours:
    """The colours in an introduction about Morocco."""
    return read_colours(introduction_blocks(html), "MA", ["Marokko"])


# ---------------------------------------------------------------- a table of texts


@pytest.mark.parametrize("kind", ["read", "travel", "unread"])
def test_dutch_sentences_of_the_table(kind: str) -> None:
    """Each text gives its level, its parts, what is feared for every place, and whether a person is shown something."""
    with Failures() as failures:
        for row in TABLE[kind]:
            with failures.case(row["html"]):
                colours = read(row["html"])
                feared = max((part.level for part in colours.parts if part.unread), default=None)

                assert colours.level == row["level"]
                assert [[part.area, part.level] for part in colours.parts if not part.unread] == row["parts"]
                assert feared == row["feared"]
                assert bool(colours.unread) == row["shown"]


@pytest.mark.parametrize(
    "layout", ["<p>{calm}</p><p>{harmless}</p>", "<p>{harmless}</p><p>{calm}</p>", "<p>{calm} {harmless}</p>"]
)
@pytest.mark.parametrize(
    "calm", [GREEN, f"{NORTH}</p><p>{REST}", f"{REST}</p><p>{NORTH}"], ids=["green", "rest last", "north last"]
)
def test_dutch_harmless_sentence_changes_nothing(calm: str, layout: str) -> None:
    """Insurance, weather, meanings, neighbours, names, what holds no longer: the other sentences give the levels."""
    alone = read(f"<p>{calm}</p>")
    with Failures() as failures:
        for harmless in TABLE["harmless"]:
            with failures.case(harmless):
                colours = read(layout.format(calm=calm, harmless=harmless))

                assert (colours.level, colours.parts) == (alone.level, alone.parts)


def one_edit_away(word: str) -> set[str]:
    """Every word with one letter left out, doubled, changed or exchanged with the next."""
    letters = "aeiojrnx0"
    places = range(len(word))
    return {
        *(word[:at] + word[at + 1 :] for at in places),
        *(word[:at] + word[at] + word[at:] for at in places),
        *(word[:at] + letter + word[at + 1 :] for at in places for letter in letters),
        *(word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in places[:-1]),
    } - {word}


@pytest.mark.parametrize("colour", ["rood", "oranje", "geel"])
@pytest.mark.parametrize(
    "form",
    ["Voor het noorden geldt kleurcode {}.", "De kleurcode voor het noorden: code {}.", "Code {} voor het noorden."],
)
def test_dutch_misspelt_colour_is_feared(colour: str, form: str) -> None:
    """With any one letter wrong the colour counts, for the north or for every place."""
    with Failures() as failures:
        for misspelt in sorted(one_edit_away(colour)):
            for word in (misspelt, misspelt.capitalize()):
                with failures.case(word):
                    colours = read(f"<p>{GREEN}</p><p>{form.format(word)}</p>")

                    assert colours.level is None or max(part.level for part in colours.parts) >= LEVELS[colour]
                    assert colours.unread or not any(part.unread for part in colours.parts)


@pytest.mark.parametrize(("word", "level"), [("red", Level.RED), ("Rot", Level.RED), ("amber", Level.ORANGE)])
def test_dutch_colour_in_another_language_is_feared_behind_code(word: str, level: Level) -> None:
    """A translator left it as it was."""
    colours = read(f"<p>{GREEN}</p><p>In het noorden geldt code {word}.</p>")

    assert [(part.level, part.unread) for part in colours.parts] == [(level, True)]


@pytest.mark.parametrize(
    "word", ["noord", "dood", "brood", "woord", "nood", "Spanje", "Franse", "rond", "road", "Oran", "deel", "heel"]
)
def test_dutch_ordinary_word_is_no_misspelt_colour(word: str) -> None:
    """Words that resemble a colour alarm nobody."""
    for sentence in (f"Lees meer over {word} en meer.", f"{word.capitalize()} is hier bekend.", f"Het is {word}."):
        assert read(f"<p>{GREEN}</p><p>{sentence}</p>") == read(f"<p>{GREEN}</p>"), sentence


# ---------------------------------------------------------------- texts from a grammar

AREAS = (
    "het noorden", "de provincie Nador", "de grens met Algerije", "Noordstad e.o.", "St. Noord",
    "het zuiden (o.a. Zuidstad)", "de kust, bijv. Kuststad", "het eiland Sto. Voorbeeld",
    "de Oranje Vallei", "het gebied rond weg no. A1",
)  # fmt: skip
#: Forms that are read for what they say.
READ = (
    "De kleurcode van het reisadvies is {colour} voor {area}",
    "De kleurcode van het reisadvies voor {area} is {colour}",
    "Voor {area} geldt kleurcode {colour}", "Kleurcode {colour} geldt voor {area}",
    "Voor {area} geldt code {colour}",
    "In {area} geldt nog steeds kleurcode {colour}", "De kleurcode is ook {colour} voor {area}", "{Area} is {colour}",
    "De kleurcode voor {area} blijft {colour}", "{Area} heeft kleurcode {colour}",
    "{Area} heeft een {inflected} kleurcode",
    "In {area} is de kleurcode {colour}", "Er geldt kleurcode {colour} voor {area}", "En {colour} voor {area}",
    "Sinds 28 februari 2026 geldt kleurcode {colour} voor {area}", "{Colour}: {area}", "{Area}: {colour}",
    "Kleurcode {colour} voor {area}", "Het reisadvies voor {area} is {colour}",
)  # fmt: skip
#: Forms that hide a colour, or misspell it: they may be feared for every place.
HIDDEN = (
    "{Area} kleurt {colour}", "{Area} kreeg onlangs kleurcode {colour}", "Op de kaart is {area} {colour}",
    "Per 1 mei wordt {area} {colour}", "Vanwege onrust geldt kleurcode {colour} voor {area}",
    "De {inflected} gebieden: {area}", "Het {inflected} gebied is {area}",
    "Reist u naar {area}? Daar geldt kleurcode {colour}", "{Area} is {colour} gekleurd",
    "De kleurcode voor {area} is verhoogd naar {colour}", "Let op {area}, want het is er nu {colour}",
)  # fmt: skip
CONTINUED = (
    "Hetzelfde geldt voor {area}", "Dit geldt ook voor {area}", "En voor {area}", "Ook voor {area}", "Evenals {area}",
    "Net als {area}", "Idem voor {area}", "{Area} ook", "{Area} heeft dezelfde kleurcode",
    "Voor {area} geldt hetzelfde", "Dezelfde kleurcode geldt voor {area}", "Dat geldt eveneens voor {area}",
)  # fmt: skip
#: What the editors write behind a colour.
TRAVEL = {
    "groen": "U kunt hierheen reizen",
    "geel": "U kunt hierheen reizen. Maar let op: er zijn bijzondere veiligheidsrisico’s",
    "oranje": "Reis alleen hierheen als het noodzakelijk is. Het is niet veilig er op vakantie te gaan",
    "rood": "Wat uw situatie ook is: reis niet hierheen. Het is er te gevaarlijk",
}  # fmt: skip
WARNINGS = (
    "Wat uw situatie ook is: reis niet hierheen", "reis er niet heen", "Reis alleen hierheen als het noodzakelijk is",
    "Niet-noodzakelijke reizen worden ontraden", "Er geldt een negatief reisadvies", "Reizen wordt afgeraden",
)  # fmt: skip
RESTS = (
    "Voor de rest van Marokko geldt kleurcode {colour}", "Voor de rest van het land geldt kleurcode {colour}",
    "De rest van Marokko is {colour}", "Elders geldt kleurcode {colour}", "Elders in Marokko geldt kleurcode {colour}",
    "Voor het grootste deel van Marokko geldt kleurcode {colour}", "De rest van het land heeft kleurcode {colour}",
    "Voor de overige gebieden geldt kleurcode {colour}", "Overige gebieden: {colour}",
)  # fmt: skip
LAYOUTS = (
    "<p>{}</p>",
    "<ul><li>{}</li></ul>",
    "<div>{}</div>",
    "{}<br>",
    "<table><tr><td>{}</td></tr></table>",
    "<h3>{}</h3>",
)


def laid_out(blocks: list[str], layouts: list[str]) -> str:
    """The blocks as HTML. Headings without a colour are left out of an introduction: none is made of such a block."""
    return "".join(
        (layout if any(f" {colour}" in block for colour in LEVELS) else "<p>{}</p>").format(block)
        for layout, block in zip(layouts, blocks, strict=False)
    )


@dataclass
class Written:
    """A text, and what it says."""

    blocks: list[str] = field(default_factory=list)
    truth: dict[str, Level] = field(default_factory=dict)
    rest: Level = Level.GREEN


def filled(form: str, area: str = "", colour: str = "") -> str:
    """A form with its area and its colour."""
    return form.format(
        area=area,
        Area=area[:1].upper() + area[1:],
        colour=colour,
        Colour=colour.capitalize(),
        inflected=INFLECTED.get(colour),
    )


@st.composite
def advice(draw: st.DrawFn, forms: tuple[str, ...]) -> Written:
    """Blocks about some areas, each with a colour in one of the forms, and about the rest."""
    written = Written()
    areas = draw(st.permutations(AREAS))[: draw(st.integers(1, 4))]
    stop = st.sampled_from([".", ".", "!", " ."])
    while areas:
        area, *areas = areas
        colour = draw(st.sampled_from(list(LEVELS)))
        sentences = [filled(draw(st.sampled_from(forms)), area, colour)]
        written.truth[area] = LEVELS[colour]
        is_read = sentences[0] in {filled(form, area, colour) for form in READ}
        if areas and is_read and draw(st.booleans()):
            other, *areas = areas
            sentences.append(filled(draw(st.sampled_from(CONTINUED)), other))
            written.truth[other] = LEVELS[colour]
        if draw(st.booleans()):
            sentences.append(TRAVEL[colour])
        if draw(st.booleans()):
            written.blocks.append(" ".join(sentence + draw(stop) for sentence in sentences))
        else:
            written.blocks += [sentence + draw(stop) for sentence in sentences]
    colour = draw(st.sampled_from(list(LEVELS)))
    written.rest = LEVELS[colour]
    at = draw(st.sampled_from([0, len(written.blocks)]))
    written.blocks.insert(at, filled(draw(st.sampled_from(RESTS)), colour=colour) + draw(stop))
    return written


def level_at(colours: Colours, area: str) -> Level | None:
    """The level that counts in an area: its own, or the country's, or what is feared for every place."""
    own = [part.level for part in colours.parts if not part.unread and area.rstrip(".").lower() in part.area.lower()]
    feared = [part.level for part in colours.parts if part.unread]
    known = own or ([colours.level] if colours.level is not None else [])
    return max([*known, *feared], default=None)


def check_never_safer(written: Written, colours: Colours) -> None:
    """No area, and not the rest, has a better level than the text gives it. Unknown is no warning."""
    for area, level in [*written.truth.items(), ("nergens genoemd", written.rest)]:
        found = level_at(colours, area)
        assert (found is None and level < Level.ORANGE) or (found is not None and found >= level), area


@unhurried
@given(advice(READ), st.lists(st.sampled_from(LAYOUTS), min_size=12, max_size=12))
def test_dutch_grammar_is_read_exactly(written: Written, layouts: list[str]) -> None:
    """In any form, order, layout and punctuation: each area has its colour, the country that of the rest."""
    colours = read(laid_out(written.blocks, layouts))

    assert {area: level_at(colours, area) for area in written.truth} == written.truth
    assert (colours.level, colours.unread) == (written.rest, ())


@unhurried
@given(advice(READ + HIDDEN), st.lists(st.sampled_from(LAYOUTS), min_size=12, max_size=12), st.booleans())
def test_dutch_grammar_is_never_read_safer_than_it_says(
    written: Written, layouts: list[str], is_one_block: bool
) -> None:
    """With forms that nobody foresaw among them, every colour still counts where it is said to."""
    one_block = f"<p>{' '.join(written.blocks)}</p>"
    colours = read(one_block if is_one_block else laid_out(written.blocks, layouts))

    check_never_safer(written, colours)


@unhurried
@given(advice(READ), st.lists(st.sampled_from(TABLE["harmless"]), max_size=4), st.randoms(use_true_random=False))
def test_dutch_grammar_among_harmless_sentences_is_read_the_same(
    written: Written, harmless: list[str], random: Any
) -> None:
    """Harmless sentences before, behind and between change no level."""
    alone = read("".join(f"<p>{block}</p>" for block in written.blocks))
    among = [f"<p>{block}</p>" for block in written.blocks]
    for sentence in harmless:
        place = random.choice([0, len(among)])
        among.insert(place, f"<p>{sentence}</p>")
    colours = read("".join(among))

    assert (colours.level, colours.parts) == (alone.level, alone.parts)


@unhurried
@given(advice(READ), st.data())
def test_dutch_grammar_with_a_letter_wrong_is_never_read_safer(written: Written, data: st.DataObject) -> None:
    """One colour with a typing error: it is feared, or what it belongs to is unknown."""
    at = data.draw(st.integers(0, len(written.blocks) - 1))
    found = [colour for colour in ("rood", "oranje") if f" {colour}" in written.blocks[at]]
    if not found:
        return
    # Words that are ordinary ones are feared where a colour must stand, as the test above shows, and not in a label.
    misspelt = data.draw(st.sampled_from(sorted(one_edit_away(found[0]) - ORDINARY)))
    written.blocks[at] = written.blocks[at].replace(f" {found[0]}", f" {misspelt}")

    check_never_safer(written, read("".join(f"<p>{block}</p>" for block in written.blocks)))


@unhurried
@given(
    st.sampled_from(list(LEVELS)),
    st.sampled_from(WARNINGS),
    st.sampled_from(["<p>{} {}.</p>", "<ul><li>{}</li><li>{}</li></ul>", "<p>{} Lees meer onder Actueel. {}.</p>"]),
)  # fmt: skip
def test_dutch_worse_of_colour_and_travel_counts(colour: str, travel: str, layout: str) -> None:
    """A warning that the colour does not bear out counts, and is shown."""
    least = Level.RED if "niet h" in travel or "niet heen" in travel else Level.ORANGE

    colours = read(layout.format(f"De kleurcode van het reisadvies voor Marokko is {colour}.", travel))

    worst = max([part.level for part in colours.parts] + ([colours.level] if colours.level is not None else []))
    assert worst >= max(least, LEVELS[colour])
    assert bool(colours.unread) == (LEVELS[colour] < least)
