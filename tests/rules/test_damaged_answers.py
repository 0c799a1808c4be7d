"""Damaged answers of every source: one odd sign costs one record at most, and what is missing is always shown."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.safety.reading import Batch, BatchRejected, CountryReading
from services.safety.sources import canada, cap, germany, netherlands, united_kingdom, united_states
from services.safety.sources.decoding import REPLACED, decoded
from services.safety.sources.documents import DAMAGED
from services.safety.sources.json_records import is_json
from shared.events import Level
from tests.failures import Failures
from tests.rules.feeds import NOW, Parse
from tests.rules.test_cap import alert

MODIFIED = 1_783_604_826
WORDS = ("Exercise Normal Precautions", "Exercise Increased Caution", "Reconsider Travel", "Do Not Travel")


@dataclass(frozen=True)
class Answer:
    """An answer of a source in pieces, one for each country. Each piece is a part of one page, or a page."""

    parse: Parse
    countries: tuple[str, ...]
    pieces: tuple[bytes, ...]
    before: bytes = b"["
    between: bytes = b","
    behind: bytes = b"]"
    are_pages: bool = False

    def pages(self, pieces: Sequence[bytes] | None = None) -> list[bytes]:
        """The pages of these pieces."""
        chosen = self.pieces if pieces is None else pieces
        return list(chosen) if self.are_pages else [self.before + self.between.join(chosen) + self.behind]

    def read(self, pages: Sequence[bytes], floor: int = 1) -> Batch:
        """What the pages say."""
        return self.parse(pages, NOW, floor=floor)


def dutch(code: str, name: str, colour: str) -> bytes:
    """An advisory of the ministry's list."""
    return body({
        "id": code, "title": f"Reisadvies {name} | Ministerie",
        "introduction": f"<p>Pas op.</p><p>De kleurcode van het reisadvies voor {name} is {colour}.</p>",
        "location": name, "isocode": code, "lastmodified": "2026-09-15T13:45:43.714Z",
    })  # fmt: skip


def body(document: object) -> bytes:
    """A document as bytes, with its own letters."""
    return json.dumps(document, ensure_ascii=False).encode()


def american(name: str, iso3: str, level: int) -> dict[str, Any]:
    """An advisory of the list of the United States."""
    return {
        "Title": f"{name} - Level {level}: {WORDS[level - 1]}", "Updated": "2026-07-29T20:00:00-04:00",
        "Link": f"https://travel.example/destination.{iso3}.html", "Category": ["ZZ"], "Summary": "<p>Read it.</p>",
    }  # fmt: skip


def item(name: str, tag: str, level: int) -> bytes:
    """An advisory of the RSS."""
    return (
        f"<item><title>{name} - Level {level}: {WORDS[level - 1]}</title><link>https://travel.example/x</link>"
        f"<pubDate>Tue, 28 Apr 2026</pubDate><description><![CDATA[<p>Read it.</p>]]></description>"
        f'<category domain="Country-Tag">{tag}</category></item>'
    ).encode()


def canadian(code: str, state: int) -> bytes:
    """A destination of Canada's index."""
    text = next(text for text, level in canada._TEXTS.items() if level == state)
    return f'"{code}": '.encode() + body({
        "country-iso": code, "advisory-state": state, "date-published": {"asp": "2026-06-23T16:13:34.7179321-04:00"},
        "has-regional-advisory": 0, "eng": {"name": code, "url-slug": "x", "advisory-text": text.capitalize()},
    })  # fmt: skip


def german(number: int, iso2: str, iso3: str, name: str, content: str, *, warning: bool = False) -> bytes:
    """An advisory of the index with its content."""
    return f'"{number}": '.encode() + body({
        "lastModified": MODIFIED, "effective": MODIFIED, "countryCode": iso2, "iso3CountryCode": iso3,
        "countryName": name, "warning": warning, "partialWarning": False, "situationWarning": False,
        "situationPartWarning": False, "content": f"<p>{content}</p>",
    })  # fmt: skip


def british(slug: str, *statuses: str) -> bytes:
    """A page of GOV.UK."""
    return body({
        "public_updated_at": "2026-09-15T15:41:54+01:00",
        "details": {
            "country": {"name": slug.title(), "slug": slug}, "alert_status": list(statuses),
            "parts": [{"slug": "safety", "body": "<p>Take care.</p>"}],
        },
    })  # fmt: skip


ANSWERS: dict[str, Answer] = {
    "netherlands": Answer(
        netherlands.parse, ("ES", "MA", "FR", "XK"),
        (dutch("ESP", "Spanje", "groen"), dutch("MAR", "Marokko", "rood"), dutch("FRA", "Frankrijk", "geel"),
         dutch("XKX", "Kosovo", "oranje")),
    ),
    "united_states": Answer(
        united_states.parse, ("ES", "MA", "FR", "PE"),
        tuple(body(american(*fields)) for fields in
              (("Spain", "esp", 1), ("Morocco", "mar", 4), ("France", "fra", 2), ("Peru", "per", 3))),
    ),
    "united_states_rss": Answer(
        united_states.parse, ("ES", "MA", "FR", "PE"),
        (item("Spain", "SP", 1), item("Morocco", "MO", 4), item("France", "FR", 2), item("Peru", "PE", 3)),
        b'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>', b"\n", b"</channel></rss>",
    ),
    "canada": Answer(
        canada.parse, ("ES", "MA", "FR", "PE"),
        (canadian("ES", 0), canadian("MA", 3), canadian("FR", 1), canadian("PE", 2)),
        b'{"metadata": {"generated": 1}, "data": {', b", ", b"}}",
    ),
    "germany": Answer(
        germany.parse, ("ES", "MA", "FR", "PE"),
        (german(1, "ES", "ESP", "Spanien", "Ruhig."), german(2, "MA", "MAR", "Marokko", "Ruhig.", warning=True),
         german(3, "FR", "FRA", "Frankreich", "Alles ruhig."),
         german(4, "PE", "PER", "Peru", "Von Reisen nach Peru wird abgeraten.")),
        b'{"response": {"lastModified": 1783604826, ', b", ", b', "contentList": ["1", "2"]}}',
    ),
    "united_kingdom": Answer(
        united_kingdom.parse, ("ES", "MA", "FR", "PE"),
        (british("spain"), british("morocco", "avoid_all_travel_to_whole_country"), british("france"),
         british("peru", "avoid_all_but_essential_travel_to_whole_country")),
        are_pages=True,
    ),
}  # fmt: skip
JSON_ANSWERS = [name for name in ANSWERS if name != "united_states_rss"]


def levels(batch: Batch) -> dict[str, tuple[Level | None, Level | None]]:
    """Country → its own level and that of its worst region."""
    return {reading.country: (reading.level, reading.regional_max) for reading in batch.countries}


def worst(reading: CountryReading | None) -> int:
    """The worst level that a reading states; -1 for none."""
    stated = () if reading is None else (reading.level, reading.regional_max)
    return max((level for level in stated if level is not None), default=-1)


def check_shown(batch: Batch, country: str, whole: CountryReading) -> None:
    """A damaged record says the same as before, or nothing, or worse; and a person is shown which."""
    reading = next((reading for reading in batch.countries if reading.country == country), None)
    if reading is not None and (reading.level, reading.regions) == (whole.level, whole.regions):
        return
    assert reading is None or reading.level is None or reading.level >= (whole.level or Level.GREEN)
    assert reading is None or not reading.is_without_warning
    assert batch.damage or batch.skipped or (reading is not None and reading.unread), "nobody is shown what is missing"


# ---------------------------------------------------------------- signs that change nothing

BARE = "“Spanje”, é, ô"


def without_end(page: bytes) -> bytes:
    """The page with a comma before its last bracket, as people write lists."""
    text = page.rstrip()
    return text[:-1] + b" ,\n" + text[-1:]


HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "byte order mark": lambda page: b"\xef\xbb\xbf" + page,
    "two byte order marks": lambda page: b"\xef\xbb\xbf\xef\xbb\xbf" + page,
    "byte order mark behind": lambda page: page + b"\xef\xbb\xbf",
    "UTF-16 with a mark": lambda page: page.decode().encode("utf-16"),
    "UTF-16, big end first": lambda page: b"\xfe\xff" + page.decode().encode("utf-16-be"),
    "UTF-16 without a mark": lambda page: page.decode().encode("utf-16-le"),
    "UTF-32": lambda page: page.decode().encode("utf-32"),
    "trailing zeros": lambda page: page + b"\x00\x00\x00",
    "leading white space": lambda page: b"\r\n\r\n \t" + page,
    "form feed behind": lambda page: page + b"\x0c",
    "substitute sign at the end": lambda page: page + b"\x1a",
}  # fmt: skip
HARMLESS_IN_JSON: dict[str, Callable[[bytes], bytes]] = {
    "comma before the end": without_end,
    "NaN": lambda page: page.replace(b"{", b'{"score": NaN, "other": -Infinity, ', 1),
    "tab in every text": lambda page: page.replace(b"<p>", b"<p>\t"),
    "line break in every text": lambda page: page.replace(b"<p>", b"<p>\r\n"),
    "control sign in every text": lambda page: page.replace(b"<p>", b"<p>\x08\x00"),
    "escaped control sign": lambda page: page.replace(b"<p>", rb"<p>\u0000"),
    "garbage behind": lambda page: page + b"\n<!-- served by cache 7 -->",
    "garbage in front": lambda page: b"Warning: cache is stale in line [7]\n" + page,
    "the document twice": lambda page: page + b"\n" + page,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_sign_that_changes_nothing_loses_nothing(name: str) -> None:
    """Every country has the level of the whole answer, whatever stands around it or in its texts."""
    answer = ANSWERS[name]
    expected = levels(answer.read(answer.pages()))
    oddities = HARMLESS if name not in JSON_ANSWERS else HARMLESS | HARMLESS_IN_JSON

    with Failures() as failures:
        for oddity, odd in oddities.items():
            with failures.case(oddity):
                assert levels(answer.read([odd(page) for page in answer.pages()])) == expected


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252"])
def test_page_in_an_old_encoding_is_read_with_its_letters(encoding: str) -> None:
    """Latin-1, declared or not: letters are letters, and no record counts as damaged."""
    page = b"[" + dutch("CIV", "Ivoorkust, Côte d'Ivoire", "rood") + b"," + dutch("BEL", "België", "groen") + b"]"
    batch = netherlands.parse([page.decode().encode(encoding)], NOW, floor=2)
    rss = ANSWERS["united_states_rss"]
    declared = rss.pages()[0].replace(b"UTF-8", b"ISO-8859-1").replace(b"Read it", b"R\xe9ad it")

    assert {reading.country: (reading.level, reading.is_damaged) for reading in batch.countries}["BE"] == (0, False)
    for xml in (declared, declared.replace(b"ISO-8859-1", b"UTF-8")):
        assert levels(rss.read([xml])) == levels(rss.read(rss.pages()))


def test_bytes_of_any_kind_are_a_text() -> None:
    """What cannot be decoded is one sign; byte order marks and control signs are gone."""
    assert decoded(BARE.encode()) == decoded(BARE.encode("windows-1252")) == decoded(BARE.encode("utf-16")) == BARE
    assert decoded("é".encode() + b"\xff ro\x00od") == f"é{REPLACED} rood"
    assert decoded(b"a\xc3") == f"a{REPLACED}"
    assert decoded(b"\xff\xfe[").startswith(REPLACED)
    assert decoded(b"") == ""


# ---------------------------------------------------------------- one damaged record


@pytest.mark.parametrize("name", JSON_ANSWERS)
def test_half_of_a_pair_costs_no_other_country(name: str) -> None:
    """Half an emoji in one text, at each record in turn: the others say what they said."""
    answer = ANSWERS[name]
    whole = {reading.country: reading for reading in answer.read(answer.pages()).countries}
    for place, country in enumerate(answer.countries):
        for half in (rb"\ud83c", rb"\udf08", rb"\ud83c\ud83c", b"\xed\xa0\xbc", b"\xff", rb"\u12", rb"\x"):
            pieces = list(answer.pieces)
            pieces[place] = pieces[place].replace(b"<p>", b"<p>" + half).replace(b'text": "', b'text": "' + half)
            batch = answer.read(answer.pages(pieces))

            assert {reading.country for reading in batch.countries} == set(answer.countries)
            for reading in batch.countries:
                if reading.country != country:
                    assert reading == whole[reading.country]
            check_shown(batch, country, whole[country])


def test_damaged_record_is_unread_and_its_worst_counts() -> None:
    """A quotation mark that nobody escaped: green is unknown, red is red, and a person is told."""

    def quoted(code: str, name: str, colour: str) -> bytes:
        return dutch(code, name, colour).replace(b"Pas op.", b'Pas "goed" op, "altijd".')

    page = b"[" + b",".join([quoted("ESP", "Spanje", "groen"), quoted("MAR", "Marokko", "rood"),
                             dutch("FRA", "Frankrijk", "geel")]) + b"]"  # fmt: skip
    batch = netherlands.parse([page], NOW, floor=3)

    by_country = {reading.country: reading for reading in batch.countries}
    assert {country: reading.level for country, reading in by_country.items()} == {"ES": None, "MA": 3, "FR": 1}
    assert {country for country, reading in by_country.items() if reading.is_damaged} == {"ES", "MA"}
    assert by_country["ES"].unread[0] == f"ESP: {DAMAGED}"
    assert batch.damage == ("page 1 is not JSON: 1 records are read whole, 2 in part",)
    assert batch.incomplete is None


def test_field_with_two_values_counts_with_the_worse() -> None:
    """JSON does not say which of two values counts, in a record or in the index: never the better one alone."""
    doubled = dutch("ESP", "Spanje", "groen").replace(b"groen", b"rood", 1)[:-1]
    doubled += b", " + dutch("ESP", "Spanje", "groen")[1:]
    [spain] = netherlands.parse([b"[" + doubled + b"]"], NOW, floor=1).countries
    twice = canada.parse([b'{"data": {' + canadian("ES", 3) + b", " + canadian("ES", 0) + b"}}"], NOW, floor=1)

    assert spain.level == Level.RED
    assert [reading.level for reading in twice.countries] == [Level.RED]


SIGNS = (b'"', b"\\ ", rb"\ud83c", b"\xff", b"\xc3", b"{", b"}", b"[", b"]", rb"\u00", b"<", b"&", b"&nbsp;", b"<dc:x>",
         b"]]>", b"NaN")  # fmt: skip
#: Signs that are nothing: in place of a letter they would be another word, which is no damage.
BLANKS = (b"\t", b"\n", b"\x00", b"\x1b", b"\xef\xbb\xbf")
STRUCTURE = b'"{}[]:,<>'


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_one_odd_sign_anywhere_costs_one_record_at_most(data: st.DataObject) -> None:
    """Inserted, in place of a sign, or a bracket less: every other country says what it said, and none gets better."""
    answer = ANSWERS[data.draw(st.sampled_from(sorted(ANSWERS)))]
    whole = {reading.country: reading for reading in answer.read(answer.pages()).countries}
    place = data.draw(st.integers(0, len(answer.pieces) - 1))
    piece = answer.pieces[place]
    at = data.draw(st.integers(1, len(piece) - 1))
    is_bracket = piece[at] in STRUCTURE
    sign = data.draw(st.sampled_from((*SIGNS, *BLANKS, *([b""] if is_bracket else []))))
    kept = at if sign in BLANKS else at + data.draw(st.sampled_from([0, 1]))
    pieces = list(answer.pieces)
    pieces[place] = piece[:at] + sign + piece[kept:]

    batch = answer.read(answer.pages(pieces))

    for reading in batch.countries:
        if reading.country != answer.countries[place]:
            assert reading.country in whole, "a country that nobody named"
            assert reading == whole[reading.country]
    assert {reading.country for reading in batch.countries} >= set(answer.countries) - {answer.countries[place]}
    # A page that is JSON word for word holds another text, and no damage.
    is_another_text = all(is_json(page) for page in answer.pages(pieces)) and rb"\ud" not in pieces[place]
    # A tab or line end is white space: within a word it makes two words of it.
    is_another_text |= sign in (b"\t", b"\n") and piece[at - 1 : at + 1].isalpha()
    if not is_another_text:
        check_shown(batch, answer.countries[place], whole[answer.countries[place]])


@pytest.mark.parametrize("name", ANSWERS)
def test_one_bracket_less_costs_one_record_at_most(name: str) -> None:
    """Each bracket of each record in turn: no other country is swallowed."""
    answer = ANSWERS[name]
    with Failures() as failures:
        for place, piece in enumerate(answer.pieces):
            for at in range(1, len(piece) - 1):
                if piece[at] in STRUCTURE:
                    with failures.case(f"{answer.countries[place]} without {piece[at - 9 : at + 9]!r}"):
                        pieces = [*answer.pieces[:place], piece[:at] + piece[at + 1 :], *answer.pieces[place + 1 :]]
                        found = {reading.country for reading in answer.read(answer.pages(pieces)).countries}
                        assert found >= set(answer.countries) - {answer.countries[place]}


# ---------------------------------------------------------------- an answer that is cut off


@pytest.mark.parametrize("name", [name for name in ANSWERS if not ANSWERS[name].are_pages])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_answer_cut_anywhere_counts_as_far_as_it_goes(name: str, data: st.DataObject) -> None:
    """Each whole record counts, and the rest is missing, shown, and confirmed by nothing."""
    answer = ANSWERS[name]
    [page] = answer.pages()
    whole = {reading.country: reading for reading in answer.read([page]).countries}
    first_end = len(answer.before) + len(answer.pieces[0])
    cut = page[: data.draw(st.integers(first_end, len(page) - 1))]

    batch = answer.read([cut], floor=len(answer.pieces))

    assert batch.damage
    assert batch.incomplete is not None or {reading.country for reading in batch.countries} == whole.keys()
    for country, piece in zip(answer.countries, answer.pieces, strict=True):
        if piece in cut:
            assert next(reading for reading in batch.countries if reading.country == country) == whole[country]
        else:
            check_shown(batch, country, whole[country])


def test_list_that_is_short_and_whole_is_rejected() -> None:
    """Without any damage a page got lost: nothing says which, and nothing of it counts."""
    answer = ANSWERS["netherlands"]

    with pytest.raises(BatchRejected, match="4 advisories where at least 5 are expected"):
        answer.read(answer.pages(), floor=5)


def test_page_that_is_none_costs_its_own_records() -> None:
    """The second page of a list is an error page: what the first one says counts, and the list is not whole."""
    answer = ANSWERS["netherlands"]
    batch = answer.read([*answer.pages(), b"<html>Bad gateway</html>"], floor=5)
    pages = ANSWERS["united_kingdom"]
    british_batch = pages.read([b"<html>Bad gateway</html>", *pages.pages()[1:]], floor=3)

    assert levels(batch) == levels(answer.read(answer.pages()))
    assert batch.incomplete == "page 2 is not JSON; 4 advisories where at least 5 are expected"
    assert levels(british_batch)["MA"] == (3, None)
    assert british_batch.damage == ("page 1 is not JSON",)


def test_xml_is_read_item_by_item_and_never_its_entities() -> None:
    """An unbound prefix, a sign of HTML, a bare ampersand are mended. A document type is refused with any damage."""
    rss = ANSWERS["united_states_rss"]
    expected = levels(rss.read(rss.pages()))
    odd = b"<dc:identifier>x</dc:identifier>&nbsp;&eacute; R&D &#xD83C; &#0;</item>"
    [page] = rss.pages()

    assert levels(rss.read([page.replace(b"</item>", odd)])) == expected
    for document_type in (b'<!DOCTYPE rss [<!ENTITY a "b">]>', b'<!DOCTYPE rss SYSTEM "file:///etc/passwd">'):
        for damage in (b"", b"&a;", b"&nbsp;"):
            with pytest.raises(BatchRejected, match="document type or entities"):
                rss.read([page.replace(b"<rss", document_type + b"<rss").replace(b"</link>", damage + b"</link>")])


def test_cap_message_that_is_damaged_costs_no_other() -> None:
    """Of three messages one is cut: the others are read, under the namespace of their feed, and it is named."""
    feed = b'<feed xmlns:c="urn:x">' + b"".join(alert(number).encode() for number in "123") + b"</feed>"
    damaged = feed.replace(b"<identifier>2</identifier>", b"<identifier>2</identifier><c:broken>")

    messages, left_out = cap.parse(damaged)

    assert [message.identifier for message in messages] == ["1", "3"]
    assert left_out == ["damaged: 2"]
