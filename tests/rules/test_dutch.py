"""The ministry's Dutch sentences: which colour each gives to what. A part never colours the country."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.safety.sources.documents import HTML_LIMIT
from services.safety.sources.dutch.blocks import Colours
from services.safety.sources.dutch.introduction import introduction_blocks, read_colours
from shared.events import Level

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741 - the colours' own letters
COLOURS = {"groen": G, "geel": Y, "oranje": O, "rood": R}
unhurried = settings(deadline=None)
DO_NOT = "Wat uw situatie ook is: reis niet hierheen. Lees meer onder Regionale risico’s."
NORTH_RED = "De kleurcode van het reisadvies is rood voor het noorden van Marokko."
REST_GREEN = "Voor de rest van Marokko geldt kleurcode groen."


def read(*texts: str, country: str = "MA", called: str = "Marokko") -> Colours:
    """The colours in these blocks, for Morocco."""
    return read_colours(texts, country, [called])


def parts(colours: Colours) -> list[tuple[str, int]]:
    """Area and level of each part."""
    return [(part.area, int(part.level)) for part in colours.parts]


def worst(colours: Colours) -> Level | None:
    """The worst level of the country and its parts."""
    return max((level for level in (colours.level, *(part.level for part in colours.parts)) if level is not None),
               default=None)  # fmt: skip


@pytest.mark.parametrize(
    ("sentence", "level"),
    [
        ("De kleurcode van het reisadvies voor Marokko is geel. U kunt erheen reizen.", Y),
        ("De kleurcode voor het reisadvies voor Marokko is geel.", Y),
        ("De kleurcode van het reisadvies is oranje voor Marokko.", O),
        ("De kleurcode van het reisadvies is oranje voor heel Marokko.", O),
        ("De kleurcode van het reisadvies is oranje voor Marokko, inclusief de Westelijke Sahara.", O),
        ("De kleurcode van het reisadvies voor Marokko is nog steeds rood.", R),
        ("De kleurcode van het reisadvies voor het hele land is rood.", R),
        ("Voor Marokko geldt kleurcode groen.", G),
        ("In heel Marokko geldt kleurcode oranje.", O),
        ("Kleurcode rood geldt voor Marokko.", R),
        ("De kleurcode rood geldt voor het hele land.", R),
        ("Voor Marokko geldt nog steeds kleurcode Rood.", R),
        ("Voor Marokko geldt code rood.", R),
        ("Voor Marokko geldt kleucode rood.", R),
        ("Voor Marokko geldt kleur code rood.", R),
        ("De kleurcode van het reisadvies voor Marokko is groen.U kunt erheen reizen.", G),
    ],
)  # fmt: skip
def test_dutch_sentence_about_the_country_gives_its_level(sentence: str, level: Level) -> None:
    """The editors' fixed sentences, their variants and their typing errors."""
    colours = read(sentence)

    assert (colours.level, colours.parts, colours.unread) == (level, (), ())


@pytest.mark.parametrize(
    "rest",
    [
        "Voor de rest van Marokko geldt kleurcode geel.",
        "Vor de rest van Marokko geldt kleurcode geel.",
        "Voor de rest van het land geldt kleurcode geel.",
        "In de rest van Marokko geldt kleurcode geel.",
        "Voor het overige deel van Marokko geldt kleurcode geel.",
        "Voor de overige delen van Marokko geldt kleurcode geel.",
        "Voor alle andere gebieden in Marokko geldt kleurcode geel.",
        "Voor de rest van Marokko, onder andere de hoofdstad Rabat, geldt kleurcode geel.",
        "Voor de rest van Marokko (waaronder Rabat) geldt kleurcode geel.",
        "Maar voor de rest van Marokko geldt kleurcode geel.",
        "De kleurcode van het reisadvies voor de rest van Marokko is geel.",
        "De kleurcode van het reisadvies is geel voor de rest van Marokko.",
        "Kleurcode geel geldt voor de rest van Marokko.",
    ],
)
def test_dutch_rest_of_the_country_is_the_country(rest: str) -> None:
    """The sentence about the rest gives the country its level; the sentence about a part never does."""
    colours = read(f"{NORTH_RED} {DO_NOT}", rest)

    assert colours.level == Y
    assert parts(colours) == [("het noorden van Marokko", R)]
    assert colours.unread == ()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("De kleurcode van het reisadvies voor het zuidoosten van Marokko is rood.", ["het zuidoosten van Marokko"]),
        ("Ook voor het oosten geldt kleurcode rood.", ["het oosten"]),
        ("En voor het oosten geldt ook kleurcode rood.", ["het oosten"]),
        ("Voor de rest van de provincie Nador geldt kleurcode rood.", ["de rest van de provincie Nador"]),
        ("Kleurcode rood geldt voor de rest van het Rifgebergte.", ["de rest van het Rifgebergte"]),
        ("Voor de volgende gebieden geldt kleurcode rood:", ["de volgende gebieden"]),
        ("De kleurcode van het reisadvies is rood voor het oosten. En voor de grens.", ["het oosten", "de grens"]),
        ("Voor het oosten geldt kleurcode rood. Reis er niet heen. Dit geldt ook voor de grens.",
         ["het oosten", "de grens"]),
        ("Voor het oosten geldt kleurcode rood en voor de grens geldt kleurcode rood.", ["het oosten", "de grens"]),
        ("De kleurcode van het reisadvies is rood voor alle grenzen (behalve die met Spanje).",
         ["alle grenzen (behalve die met Spanje)"]),
    ],
)  # fmt: skip
def test_dutch_part_never_colours_the_country(sentence: str, expected: list[str]) -> None:
    """A part in the form of the country's sentence, the rest of a part, and a part in a second sentence."""
    colours = read(sentence, REST_GREEN)

    assert colours.level == G
    assert parts(colours) == [(area, R) for area in expected]
    assert colours.unread == ()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Voor A geldt kleurcode rood en voor B geldt kleurcode oranje.", [("A", R), ("B", O)]),
        ("Voor A geldt kleurcode geel; voor B geldt kleurcode rood.", [("A", Y), ("B", R)]),
        ("De kleurcode van het reisadvies is geel voor A en rood voor B.", [("A", Y), ("B", R)]),
        ("De kleurcode van het reisadvies is rood voor A, oranje voor B en geel voor C.",
         [("A", R), ("B", O), ("C", Y)]),
        ("Voor A geldt kleurcode geel en voor B rood.", [("A", Y), ("B", R)]),
        ("Kleurcode oranje geldt voor het zuiden. En rood voor het noorden.", [("het zuiden", O), ("het noorden", R)]),
        ("Kleurcode oranje geldt voor gebieden naast de regio’s met kleurcode rood.",
         [("gebieden naast de regio’s met kleurcode rood", O)]),
    ],
)  # fmt: skip
def test_dutch_two_colours_in_one_sentence_are_kept_apart(sentence: str, expected: list[tuple[str, int]]) -> None:
    """Both colours are read; a colour that only describes where an area lies is none of its own."""
    assert parts(read(sentence, REST_GREEN)) == expected


def test_dutch_rest_in_the_sentence_of_the_part_is_the_country() -> None:
    """Both statements of one sentence are read, each for its own area."""
    colours = read("Voor A geldt kleurcode rood, maar voor de rest van Marokko geldt kleurcode geel.")

    assert (colours.level, parts(colours)) == (Y, [("A", R)])


@pytest.mark.parametrize(
    "sentence",
    [
        "Gelukkig is de kleurcode van het reisadvies voor het noorden van Marokko sinds kort rood.",
        "De kleurcode van het reisadvies voor het noorden is verhoogd van geel naar rood.",
        "Voor het noorden geldt de hoogste kleurcode: rood.",
        "VOOR HET NOORDEN GELDT KLEURCODE ROOD.",
        "Het noorden is niet groen maar rood.",
        "Het noorden kreeg gisteren kleurcode rood.",
        "Rode gebieden: het noorden en het zuiden.",
        "Op de kaart is het noorden rood gekleurd.",
        "Voor het noorden geldt code roood.",
        "Voor het noorden geldt kleurcode ood.",
        "De kleurcode van het reisadvies is kleurcoderood voor het noorden.",
        "De kleurcode van het reisadvies voor Marokko is groen, behalve voor het noorden, waar kleurcode rood geldt.",
        "Reist u naar het noorden? Daar geldt kleurcode rood.",
    ],
)
def test_dutch_unread_negative_colour_counts_for_all_places(sentence: str) -> None:
    """An unread sentence with red is shown and counts for the whole country; nothing is green because of it."""
    colours = read(sentence)

    assert colours.level is None
    assert worst(colours) == R
    assert colours.unread


def test_dutch_colour_that_was_left_is_not_feared() -> None:
    """News of a change from orange to yellow does not count as orange."""
    colours = read("De kleurcode van het reisadvies voor Marokko ging van oranje naar geel.", "Voor Marokko geldt "
                   "kleurcode geel.")  # fmt: skip

    assert (colours.level, colours.parts) == (Y, ())


def test_dutch_colour_of_something_else_alarms_nobody() -> None:
    """The colour of a thing gives no level."""
    colours = read("Het water van de rivier is rood door vervuiling.", "Voor Marokko geldt kleurcode groen.")

    assert (colours.level, colours.parts, colours.unread) == (G, (), ())


@pytest.mark.parametrize(
    "lost",
    [
        "Kleurcode geldt voor het noorden.",
        "De kleurcode van het reisadvies voor het noorden is hoog.",
    ],
)
def test_dutch_unreadable_colour_makes_the_country_unknown(lost: str) -> None:
    """If a part's colour cannot be read, "the rest is green" makes no green country."""
    colours = read(lost, "Voor het oosten geldt kleurcode oranje.", REST_GREEN)

    assert colours.level is None
    assert parts(colours) == [("het oosten", O)]
    assert colours.unread


@pytest.mark.parametrize(
    "alone",
    [
        REST_GREEN,
        "De kleurcode van het reisadvies voor Marokko is geel (behalve voor het noorden).",
        "De kleurcode van het reisadvies voor Marokko is voor het grootste deel groen.",
        "De kleurcode van het reisadvies is groen voor Marokko, met uitzondering van de grens.",
    ],
)
def test_dutch_rest_without_its_part_is_unknown(alone: str) -> None:
    """If the text speaks of a rest and no part was read, the country is unknown."""
    colours = read(alone)

    assert colours.level is None
    assert colours.unread


def test_dutch_rest_without_its_part_stays_negative() -> None:
    """Orange and red stay, whatever else is missing."""
    assert read("De kleurcode van het reisadvies voor Marokko is rood (behalve voor Rabat).").level == R


@pytest.mark.parametrize("news", ["De kleurcode van het reisadvies is aangepast.", "Er geldt een avondklok.", ""])
def test_dutch_news_without_a_colour_takes_nothing_away(news: str) -> None:
    """Only a sentence that seems to state a colour, and states none, makes the country unknown."""
    assert read(news, "De kleurcode van het reisadvies voor Marokko is groen.").level == G


def test_dutch_country_with_two_colours_is_the_worse_and_unread() -> None:
    """If the text contradicts itself, the worse colour counts, and a person is told."""
    colours = read("Voor Marokko geldt kleurcode groen.", "Voor het hele land geldt kleurcode oranje.")

    assert colours.level == O
    assert colours.unread == ("the country has two colours",)


@pytest.mark.parametrize(
    ("country", "called", "own", "is_known"),
    [
        ("AE", "Verenigde Arabische Emiraten", "de Verenigde Arabische Emiraten (VAE)", True),
        ("AE", "Verenigde Arabische Emiraten", "de VAE", True),
        ("NR", "Nauru", "Naoero", True),
        ("CD", "Congo, Democratische Republiek", "de Democratische Republiek Congo", True),
        ("CD", "Congo, Democratische Republiek", "de DRC", True),
        ("CG", "Congo, de Republiek", "de Republiek Congo", True),
        ("BY", "Belarus (Wit-Rusland)", "Belarus", True),
        ("MO", "Macau SAR", "Macau", True),
        ("SJ", "Spitsbergen (Svalbard)", "Spitsbergen", True),
        ("TR", "Türkiye", "Türkiye", True),
        ("MM", "Myanmar", "Birma", True),
        ("US", "Verenigde Staten van Amerika", "de Verenigde Staten", True),
        ("US", "Verenigde Staten van Amerika", "de USA", True),
        ("US", "Verenigde Staten van Amerika", "de VS", True),
        ("GB", "Verenigd Koninkrijk", "Groot-Brittannië", True),
        ("GB", "Verenigd Koninkrijk", "het VK", True),
        ("AE", "Verenigde Arabische Emiraten", "de Emiraten", True),
        ("CD", "Congo, Democratische Republiek", "DR Congo", True),
        ("CD", "Congo, Democratische Republiek", "Congo-Kinshasa", True),
        ("BA", "Bosnië en Herzegovina", "Bosnië-Herzegovina", True),
        ("MK", "Noord-Macedonië", "Macedonië", True),
        ("SA", "Saoedi-Arabië", "Saudi-Arabië", True),
        ("KG", "Kirgizië", "Kirgistan", True),
        ("MV", "Maldiven", "de Malediven", True),
        ("CI", "Ivoorkust", "heel Ivoorkust", True),
        ("SS", "Zuid-Soedan", "Soedan", False),
        ("KR", "Zuid-Korea", "Noord-Korea", False),
        ("US", "Verenigde Staten van Amerika", "Amerikaans-Samoa", False),
        ("TR", "Turkije", "Nieuwland", False),
        ("NE", "Niger", "Nigeria", False),
        ("NG", "Nigeria", "Niger", False),
        ("GN", "Guinee", "Equatoriaal-Guinea", False),
        ("CG", "Congo, de Republiek", "de DRC", False),
        ("LU", "Luxemburg", "de stad Luxemburg", False),
    ],
)
def test_dutch_country_is_known_by_its_whole_names_only(country: str, called: str, own: str, *, is_known: bool) -> None:
    """Old, new, short and official names are the country; a similar name is a part."""
    colours = read(f"De kleurcode van het reisadvies voor {own} is oranje.", country=country, called=called)

    assert (colours.level, parts(colours)) == ((O, []) if is_known else (None, [(own, O)]))


def test_dutch_short_name_is_learnt_from_the_text() -> None:
    """`Long Name (LN)` in the text gives the country a short name; another country's short name does not."""
    intro = "In de Verenigde Staten van Voorbeeld (VSV) en de Democratische Republiek Congo (DRC) is onrust."
    called = "Verenigde Staten van Voorbeeld"
    north = "De kleurcode van het reisadvies is rood voor het noorden."

    own = read(intro, north, "Voor de rest van de VSV geldt kleurcode geel.", called=called)
    foreign = read(intro, north, "Voor de rest van de DRC geldt kleurcode geel.", country="CG", called="Congo")

    assert (own.level, foreign.level) == (Y, None)


@pytest.mark.parametrize(
    "html",
    [
        "<ul><li>{a}</li><li>{b}</li></ul>",
        "<p>{a}</p><p>{b}</p>",
        "<ul><li><p>{a}</p></li><li><p>{b}</p></li></ul>",
        "<div>{a}</div><p>{b}</p>",
        "{a}<br>{b}",
        "<ul><li>Er is onrust.</li></ul>{a}<p>{b}</p>",
        "<table><tr><td>{a}</td><td>{b}</td></tr></table>",
        '<p>{b}</p><div class="notification attention">{a}</div>',
        "<h3>{a}</h3><p>{b}</p>",
        "<UL><LI>{a}<LI>{b}</UL>",
    ],
)
def test_dutch_blocks_hide_no_sentence(html: str) -> None:
    """Lists, paragraphs, tables, loose text, headings and notices: a colour counts in each."""
    colours = read(*introduction_blocks(html.format(a=NORTH_RED, b=REST_GREEN)))

    assert (colours.level, parts(colours)) == (G, [("het noorden van Marokko", R)])


def test_dutch_blocks_leave_out_headings_notices_and_code() -> None:
    """The text without headings, notices and scripts; markup inside a sentence does not break it."""
    html = (
        "<style>p {color: red}</style><h2>In het kort</h2><p>De kleurcode van het\n reisadvies voor Marokko is "
        '<strong>gr&shy;oen</strong>&nbsp;.</p><div class="notification">Meld u aan</div><script>x()</script>'
    )

    assert introduction_blocks(html) == ("De kleurcode van het reisadvies voor Marokko is groen .",)
    assert read(*introduction_blocks(html)).level == G


def test_dutch_endless_text_is_unknown_and_quick() -> None:
    """A text of extreme size is unknown, and is read in a short time."""
    long = "De kleurcode van het reisadvies is groen voor " + "Marokko, behalve voor " * 8_000 + "."

    assert introduction_blocks("<p>" + "x" * HTML_LIMIT) == ()
    assert read(long).level is None
    assert read("A " * 90_000 + "(", "Van geldt " * 18_000, REST_GREEN).level is None


AREAS = ("het noorden van Marokko", "de provincie Nador", "de grens met Algerije", "de Sahara", "Rabat en omgeving")
NEWS = ("Er is onrust. Lees meer onder Actueel.", "Op 3 maart was er een aardbeving.", "Er geldt een avondklok.")
_FORMS = (
    "De kleurcode van het reisadvies is {colour} voor {area}.",
    "De kleurcode van het reisadvies voor {area} is {colour}.",
    "Voor {area} geldt kleurcode {colour}.",
    "Kleurcode {colour} geldt voor {area}.",
)


@st.composite
def advice(draw: st.DrawFn) -> tuple[list[str], str, dict[str, str]]:
    """Blocks in the editors' grammar in any order, with the country's colour and each part's."""
    chosen = draw(st.dictionaries(st.sampled_from(AREAS), st.sampled_from(list(COLOURS)), max_size=4))
    colour = draw(st.sampled_from(list(COLOURS)))
    whole = "de rest van Marokko" if chosen else "Marokko"
    sentences = [
        draw(st.sampled_from(_FORMS)).format(area=area, colour=colour_of_area)
        for area, colour_of_area in [*chosen.items(), (whole, colour)]
    ]
    texts = [
        f"{sentence} {draw(st.sampled_from(['', DO_NOT])) if 'rood' in sentence else ''}" for sentence in sentences
    ]
    return draw(st.permutations(texts + draw(st.lists(st.sampled_from(NEWS), max_size=2)))), colour, chosen


@unhurried
@given(advice())
def test_dutch_any_order_reads_the_same(written: tuple[list[str], str, dict[str, str]]) -> None:
    """In any order of the sentences each part has its colour, and the country that of the rest."""
    texts, colour, chosen = written

    colours = read(*texts)

    assert colours.level == COLOURS[colour]
    assert {part.area: part.level for part in colours.parts} == {
        area: COLOURS[colour_of_area] for area, colour_of_area in chosen.items()
    }
    assert colours.unread == ()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[list[str], str]:
    """Blocks in the grammar with words lost, doubled, exchanged or cut, and the country's true colour."""
    texts, colour, _ = draw(advice())
    words = [text.split(" ") for text in texts]
    for _ in range(draw(st.integers(1, 4))):
        block = draw(st.sampled_from(words))
        at = draw(st.integers(0, max(0, len(block) - 1)))
        match draw(st.sampled_from(["lose", "double", "cut", "exchange", "letter"])):
            case "lose" if block:
                del block[at]
            case "double" if block:
                block.insert(at, block[at])
            case "cut":
                del block[at:]
            case "exchange" if block:
                other = draw(st.integers(0, len(block) - 1))
                block[at], block[other] = block[other], block[at]
            case "letter" if block and block[at]:
                letter = draw(st.integers(0, len(block[at]) - 1))
                block[at] = block[at][:letter] + block[at][letter + 1 :]
    return [" ".join(block) for block in words], colour


@unhurried
@given(damaged())
@example((["De kleurcode van het reisadvies is geel voor de Sahara en rood voor Rabat.", REST_GREEN], "groen"))
def test_dutch_damage_never_loses_a_negative_colour_nor_makes_one_up(written: tuple[list[str], str]) -> None:
    """For any damage: no level that the text does not state, and no orange or red that is overlooked."""
    texts, _ = written
    text = " ".join(texts)
    standing = {COLOURS[word.lower()] for word in re.findall(r"\b(?:groen|geel|oranje|rood)\b", text, re.IGNORECASE)}
    # A colour that lost a letter, and what "reis niet hierheen" demands, count as well.
    for colour, level in COLOURS.items():
        shorter = "|".join(colour[:at] + colour[at + 1 :] for at in range(len(colour)))
        standing |= {level} if re.search(rf"\b(?:{shorter})\b", text, re.IGNORECASE) else set()
    standing |= {R} if re.search("niet|gevaarlijk", text) else set()

    colours = read(*texts)

    assert {part.level for part in colours.parts} <= standing
    assert colours.level is None or colours.level in standing
    about_advice = [part for text in texts for part in text.split(". ") if re.search("kleurcode|reisadvies", part)]
    said = {COLOURS[word] for part in about_advice for word in re.findall(r"\b(oranje|rood)\b", part)}
    assert max(said, default=G) <= (worst(colours) or G)


_WORDS = (
    *("Voor", "voor", "de", "rest", "van", "Marokko", "geldt", "is", "kleurcode", "rood", "groen", "niet", "geel"),
    *(",", ".", ";", "(", ")", "behalve", "en", "reisadvies", "De", "het", "<p>", "</li>"),
)


@unhurried
@given(st.text(max_size=300) | st.lists(st.sampled_from(_WORDS), max_size=40).map(" ".join))
def test_dutch_any_text_is_read_without_an_error(text: str) -> None:
    """Any text, as HTML or as words, gives a result, never an exception, and never a colour that is not there."""
    colours = read(*introduction_blocks(text))

    assert worst(colours) is None or re.search("groen|geel|oranje|rood", text, re.IGNORECASE)
