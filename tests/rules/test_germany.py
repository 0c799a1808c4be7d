"""The Auswärtiges Amt: flags that know only red, sentences that know orange, seconds or milliseconds, and `{}`."""

import json
from datetime import UTC, datetime
from typing import Any

import pycountry
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.safety.reading import BatchRejected
from services.safety.sources.germany import FLOOR, parse
from services.safety.sources.identity import _german, by_name
from shared.events import Level
from tests.rules.feeds import NOW, body, damaged, mutated, read, tried

MODIFIED = 1_783_604_826


def entry(iso3: str = "KWT", name: str = "Kuwait", content: str | None = None, **more: object) -> dict[str, Any]:
    """An advisory as the index has it; with `content`, as its page has it."""
    codes = {"KWT": "KW", "JOR": "JO", "XKX": "XK", "PRK": "KP", "ROU": "RO", "IRQ": "IQ"}
    found = {
        "lastModified": MODIFIED, "effective": MODIFIED - 600, "title": f"{name}: Reise- und Sicherheitshinweise",
        "countryCode": codes.get(iso3, "??"), "iso3CountryCode": iso3, "countryName": name, "warning": False,
        "partialWarning": False, "situationWarning": False, "situationPartWarning": False,
    }  # fmt: skip
    return {**found, **({} if content is None else {"content": content}), **more}


def answer(*entries: dict[str, Any]) -> dict[str, Any]:
    """The answer of the index or of a page; both have the same format."""
    numbered = {str(200_000 + number): advisory for number, advisory in enumerate(entries)}
    return {"response": {"lastModified": MODIFIED, **numbered, "contentList": list(numbered)}}


@pytest.mark.parametrize(
    ("content", "level", "regions"),
    [
        ("<p>Von Reisen nach Kuwait wird abgeraten.</p>", 2, {}),
        ("<p>Von nicht notwendigen Reisen nach Kuwait wird derzeit abgeraten.</p>", 2, {}),
        ("<p>Von nicht unbedingt erforderlichen Reisen nach Kuwait wird weiterhin dringend abgeraten.</p>", 3, {}),
        ("<p>Vor Reisen nach Kuwait wird gewarnt.</p>", 3, {}),
        ("<p>Es wird dringend von Reisen nach Kuwait abgeraten.</p>", 3, {}),
        ("<p>Das Auswärtige Amt rät von Reisen nach Kuwait ab.</p>", 2, {}),
        ("<p>Das Auswärtige Amt warnt vor Reisen nach Kuwait.</p>", 3, {}),
        ("<h3>Von Reisen nach Kuwait wird abgeraten.</h3>", 2, {}),
        ("<p>Von Reisen in das Land wird abgeraten.</p>", 2, {}),
        ("<p>Von Reisen nach Kuwait und Bahrain wird abgeraten.</p>", 2, {}),
        ("<p>Von Reisen nach Kuwait, mit Ausnahme von Kuwait-Stadt, wird abgeraten.</p>", 2, {}),
        (
            "<p>Vor Reisen in das Grenzgebiet zum Irak wird gewarnt.</p>"
            "<p>Von Reisen in die übrigen Landesteile wird abgeraten.</p>",
            2,
            {"das Grenzgebiet zum Irak": 3},
        ),
        ("<p>Von Reisen in den Norden wird abgeraten.</p>", None, {"den Norden": 2}),
        ("<p>Von Reisen in den Irak wird dringend abgeraten.</p>", None, {}),
        ("<p>Von Reisen nach Kuwait wird nicht mehr abgeraten.</p>", None, {}),
        ("<p>Von Fahrten bei Nacht wird abgeraten.</p>", None, {}),
        ("<p>Nichts.</p>", None, {}),
    ],
)
def test_german_sentence_is_a_level_of_what_it_names(content: str, level: int | None, regions: dict[str, int]) -> None:
    """A sentence is about the country, its rest or a part; a neighbour on the same page is ignored."""
    reading = read(parse, answer(entry(content=content)))["KW"]

    assert (reading.level, {region.area: region.level for region in reading.regions}) == (level, regions)
    assert reading.unread == ()
    assert reading.is_without_warning is (level is None and not regions)


def test_german_flags_are_red_whatever_the_text_says() -> None:
    """A flag is red, for the country or for parts without a name."""
    whole = read(parse, answer(entry(warning=True, content="<p>Von Reisen nach Kuwait wird abgeraten.</p>")))["KW"]
    parts = read(parse, answer(entry(partialWarning=True, content="<p>Nichts.</p>")))["KW"]

    assert whole.level == Level.RED
    assert (parts.level, [(region.area, region.level) for region in parts.regions]) == (None, [("parts of Kuwait", 3)])


@pytest.mark.parametrize(
    "content",
    [
        "<p>Für Kuwait gilt eine Reisewarnung.</p>",
        "<p>Vor Reisen, gleich welcher Art, wird eindringlich gewarnt.</p>",
    ],
)
def test_german_sentence_that_cannot_be_read_is_no_all_clear(content: str) -> None:
    """The country is unknown, and the sentence is shown to a person."""
    reading = read(parse, answer(entry(content=content)))["KW"]

    assert (reading.level, reading.is_without_warning) == (None, False)
    assert len(reading.unread) == 1


#: Sentences that warn, in forms of every kind, each with the least that it may count as.
WARNINGS = (
    ("Für {name} besteht eine Reisewarnung.", 3),
    ("Für {name} gilt weiterhin eine Reisewarnung.", 3),
    ("Für Teile von {name} gilt eine Teilreisewarnung.", 3),
    ("Es besteht eine Reisewarnung für {name}.", 3),
    ("Reisewarnung für {name}", 3),
    ("Teilreisewarnung", 3),
    ("Auf Reisen nach {name} sollte verzichtet werden.", 2),
    ("Auf nicht notwendige Reisen nach {name} ist dringend zu verzichten, da die Lage angespannt ist.", 2),
    ("Reisen nach {name} sind zu unterlassen.", 3),
    ("Reisen nach {name} sollten vermieden werden.", 2),
    ("Von Individualreisen nach {name} wird abgeraten.", 2),
    ("Von Individualreisen in das Grenzgebiet wird dringend abgeraten.", 3),
    ("Von einer Reise nach {name} muss derzeit abgeraten werden.", 2),
    ("Von Reisen nach {name} ist abzuraten.", 2),
    ("Vor Reisen nach {name} muss gewarnt werden.", 3),
    ("Es wird vor einem Aufenthalt in {name} gewarnt.", 3),
    ("Wir raten von Reisen nach {name} dringend ab.", 3),
    ("Das Auswärtige Amt rät weiterhin und bis auf Weiteres von allen Reisen nach {name} ab.", 2),
    ("Die Bundesregierung warnt eindringlich vor Reisen nach {name} und in die Nachbarländer.", 3),
    ("Von Aufenthalten in {name} wird abgeraten.", 2),
    ("Von Besuchen in der Provinz Nr. 5 (z. B. der Hauptstadt) wird dringend abgeraten.", 3),
    ("Vor Reisen nach {name} ab dem 1. Mai wird gewarnt.", 3),
    ("Vor Reisen in den Norden, u.a. nach Nordstadt, wird gewarnt.", 3),
    ("Vor Reisen nach St. Irgendwo wird gewarnt.", 3),
    ("Vor Reisen nach {name} (ca. 20 km von der Grenze) wird gewarnt.", 3),
    ("Deutsche Staatsangehörige werden aufgefordert, das Land zu verlassen.", 3),
    ("Deutsche sollten auf dem schnellsten Weg aus dem Land auszureisen versuchen.", 3),
    ("Verschieben Sie Reisen nach {name}, wenn Sie können: Sie sollten aufgeschoben werden.", 2),
    ("Die Reisewarnung für den Norden wurde aufgehoben, für den Süden gilt sie weiter.", 3),
    ("Vor Reisen, für die keine Genehmigung vorliegt, wird gewarnt.", 3),
    ("Von Reisen in den Norden wird abgeraten, vor Reisen in den Süden wird gewarnt.", 3),
)
CALM = (
    "Von Fahrten bei Nacht wird abgeraten.", "Vor Taschendieben wird gewarnt.", "Es besteht keine Reisewarnung.",
    "Von Reisen nach {name} wird nicht mehr abgeraten.", "Für {name} gilt derzeit keine Reisewarnung mehr.",
    "Die Teilreisewarnung wurde am 3. Mai aufgehoben.", "Der Verzicht auf eine Versicherung ist teuer.",
    "Vom Verzehr roher Speisen wird dringend abgeraten.", "Die Behörden warnen vor Unwettern.",
    "Das Auswärtige Amt rät dringend, eine Versicherung abzuschließen.", "Meiden Sie Menschenansammlungen.",
    "Was bedeutet eine Reisewarnung?", "Erkundigen Sie sich vor Reisen nach der Lage.",
)  # fmt: skip
GERMAN_NAMES = sorted(_german()(country.name) for country in pycountry.countries if len(country.name) < 30)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(WARNINGS), st.sampled_from(GERMAN_NAMES), st.lists(st.sampled_from(CALM), max_size=3), st.data())
def test_german_warning_in_any_form_is_never_without_warning(
    warning: tuple[str, int], name: str, calm: list[str], data: st.DataObject
) -> None:
    """Among harmless sentences, in a paragraph, list or heading: it counts, or is unread and feared."""
    sentence, least = warning
    sentences = [*calm]
    sentences.insert(data.draw(st.integers(0, len(calm))), sentence)
    mark = data.draw(st.sampled_from(["<p>{}</p>", "<li>{}</li>", "<h3>{}</h3>", "<p>{} "]))
    content = "".join(mark.format(text.format(name=name)) for text in sentences)
    reading = read(parse, answer(entry(name=name, content=content)))["KW"]

    other = by_name(name)
    is_neighbour = other not in (None, "KW") and reading.unread == ()
    assert not reading.is_without_warning or is_neighbour
    worst = max((level for level in (reading.level, reading.regional_max) if level is not None), default=None)
    assert is_neighbour or (worst is not None and worst >= least), content


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(CALM), max_size=6), st.sampled_from(GERMAN_NAMES))
def test_german_harmless_forms_are_no_warning(calm: list[str], name: str) -> None:
    """What is lifted, and what warns of anything but travel to a place, leaves a country without a warning."""
    reading = read(
        parse, answer(entry(name=name, content="".join(f"<p>{text.format(name=name)}</p>" for text in calm)))
    )

    assert reading["KW"].is_without_warning, reading["KW"].unread


def test_german_index_without_the_page_is_unknown_and_an_old_page_says_nothing() -> None:
    """Kuwait and Jordan once read as green, because the flags know no orange."""
    old = entry(content="<p>Von Reisen nach Kuwait wird abgeraten.</p>", lastModified=MODIFIED - 60)

    assert read(parse, answer(entry()))["KW"].unread == ("200000: its page is missing",)
    both = read(parse, answer(entry()), answer(old))["KW"]
    assert (both.level, both.unread) == (None, ("200000: its page is older than the index says",))


@pytest.mark.parametrize("factor", [1, 1_000])
def test_german_time_is_seconds_or_milliseconds(factor: int) -> None:
    """The size of the number tells which it is."""
    reading = read(parse, answer(entry(lastModified=MODIFIED * factor, effective=MODIFIED * factor)))["KW"]

    assert reading.source_modified_at == reading.effective_at == datetime.fromtimestamp(MODIFIED, UTC)


@pytest.mark.parametrize("modified", [None, "gestern", True, 0, -1, 1e300, 5])
def test_german_advisory_without_a_date_is_left_out(modified: object) -> None:
    """It replaces nothing, and the others are read."""
    batch = parse([body(answer(entry(lastModified=modified), entry("JOR", "Jordanien")))], NOW, floor=1)

    assert [reading.country for reading in batch.countries] == ["JO"]
    assert batch.skipped == ("200000: no date",)


def test_german_codes_must_agree_and_have_two_spellings() -> None:
    """Kosovo, the field name `CountryCode`, and a record with codes of two countries, which is left out."""
    spelled = {name: value for name, value in entry("XKX", "Kosovo*").items() if name != "countryCode"}
    batch = parse([body(answer({**spelled, "CountryCode": "XK"}, entry("KWT", countryCode="IQ")))], NOW, floor=1)

    assert [reading.country for reading in batch.countries] == ["XK"]
    assert batch.skipped == ("200001: not a country that we know",)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"{}", "page 1 is an empty object: the source is out of order"),
        (b'{"response": {}}', "0 advisories"),
        (b'{"response": []}', "not an index"),
        (b"[]", "not an index"),
        (b"<html></html>", "not JSON"),
        (b"[" * 10_000, "not JSON"),
    ],
)
def test_german_answer_that_is_no_index_is_rejected(page: bytes, reason: str) -> None:
    """Out of order, the source answers 200 with `{}`: the answer is rejected, and no country is lost."""
    with pytest.raises(BatchRejected, match=reason):
        parse([page], NOW, floor=1)
    with pytest.raises(BatchRejected, match=f"1 advisories where at least {FLOOR}"):
        parse([body(answer(entry()))], NOW, floor=FLOOR)


WHOLE = answer(entry(content="<p>Von Reisen nach Kuwait wird abgeraten.</p>"), entry("JOR", "Jordanien", warning=True),
               entry("ROU", "Rumänien", "<p>Ruhig.</p>"))  # fmt: skip


@settings(deadline=None)
@given(st.data())
def test_german_level_stands_in_the_document(data: st.DataObject) -> None:
    """For any document: no exception, no green, and no level that neither a flag nor a sentence states."""
    document = data.draw(mutated(WHOLE))
    said = json.dumps(document, ensure_ascii=False)

    for reading in tried(parse, [body(document)]):
        levels = {reading.level, reading.regional_max}
        assert levels <= {None, Level.ORANGE, Level.RED}
        assert Level.RED not in levels or "true" in said
        assert Level.ORANGE not in levels or "abgeraten" in said
    tried(parse, [data.draw(damaged(body(WHOLE)))])
