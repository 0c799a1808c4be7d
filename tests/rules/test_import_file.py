"""The files of an import: the same rows are read alike from whatever a spreadsheet writes, and a doubt is named."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.import_cells import Refused, value_of
from services.registration.import_file import Unreadable, decoded, read

COLUMNS = [
    "externalId", "login", "activityType", "answers.credits", "overlapsKnown", "legs.0.country", "legs.0.startDate",
    "legs.1.country", "contact.givenName", "contact.surname", "contact.mobile", "contact.emergencyContact.name",
]  # fmt: skip
TRUTHS = {
    True: ["true", "TRUE", "WAAR", "waar", "ja", "Yes", "1"],
    False: ["false", "FALSE", "ONWAAR", "nee", "NO", "0"],
}
PASTED = ["", "\u200f", "\u200e", "\t", "\x0b", "\u200b", "\u00a0", "\u00ad", "  "]
words = st.text("abcéŁßأ日 -'.,;\"\n|", min_size=1, max_size=12).map(str.strip).filter(
    lambda text: bool(text) and not text.startswith("'") and text not in "-.,;|'\""
)  # fmt: skip
rows = st.lists(
    st.fixed_dictionaries(
        {
            "externalId": st.from_regex(r"\A[a-z]{2,6}-[0-9]{1,6}\Z"), "login": st.from_regex(r"\As[0-9]{7}\Z"),
            "answers.credits": st.booleans(), "overlapsKnown": st.booleans() | st.just(""),
            "legs.0.country": st.sampled_from(["ES", "SR"]), "legs.0.startDate": st.dates().map(str),
            "legs.1.country": st.sampled_from(["", "FR"]), "contact.givenName": words,
            "contact.surname": words | st.just(""),
            "contact.mobile": st.just("+31612345678"), "contact.emergencyContact.name": words | st.just(""),
            "activityType": st.just("internship"),
        }
    ),
    max_size=5,
)  # fmt: skip


def written(table: Sequence[Sequence[str]], **dialect: Any) -> str:
    """A table as CSV."""
    out = io.StringIO(newline="")
    csv.writer(out, **dialect).writerows(table)
    return out.getvalue()


def content_of(raw: bytes, encoding: str | None = None) -> list[Any]:
    """The rows of a file; none of them may have a mistake."""
    found = [row for _, row in read("portal.csv", decoded(raw, encoding))]
    assert not any(row.mistakes for row in found)
    return found


def plainly(table: list[dict[str, Any]]) -> list[Any]:
    """The rows as they are read from the plainest file."""
    cells = [
        [str(row[column]).lower() if isinstance(row[column], bool) else row[column] for column in COLUMNS]
        for row in table
    ]
    return content_of(written([COLUMNS, *cells]).encode())


@given(data=st.data(), table=rows)
def test_any_dialect_of_the_same_rows_is_the_same_import(data: st.DataObject, table: list[dict[str, Any]]) -> None:
    """Separators, quotes, line ends, encodings, headers, truths, dates, empty rows and columns, pasted signs."""

    def choose(options: Sequence[Any]) -> Any:
        return data.draw(st.sampled_from(options))

    def cell(column: str, value: Any) -> str:
        if isinstance(value, bool):
            text = str(choose(TRUTHS[value]))
        elif column.endswith("Date"):
            year, month, day = value.split("-")
            text = choose(
                [
                    value,
                    f"{value} 00:00",
                    f"{value}T00:00:00",
                    f"{int(day)}-{int(month)}-{year}",
                    f"{day}.{month}.{year}",
                ]
            )
        elif column == "contact.mobile":
            text = choose([value, f"'{value}", f'="{value}"'])
        else:
            text = value
        return f"{choose(PASTED)}{text}{choose(PASTED)}"

    separator, order = choose(",;\t|"), data.draw(st.permutations(COLUMNS))
    header = [choose([name, name.upper(), f" {name} ", f"{name}\u200b", name.replace(".", " . ")]) for name in order]
    more = data.draw(st.integers(0, 3))
    table_of_cells = [[*header, *[""] * more]]
    for row in table:
        table_of_cells += [[""] * (len(order) + more)] * data.draw(st.integers(0, 2))
        table_of_cells.append(
            [*(cell(column, row[column]) for column in order), *[""] * data.draw(st.integers(0, more))]
        )
    text = written(
        table_of_cells, delimiter=separator, lineterminator=choose(["\r\n", "\n"]),
        quoting=choose([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    )  # fmt: skip
    text = choose(["", f"sep={separator}\r\n"]) + text + choose(["", "\r\n", f"{separator * 3}\r\n", "\x1a"])

    assert content_of(text.encode(choose(["utf-8", "utf-8-sig", "utf-16"]))) == plainly(table)


def test_a_row_and_its_mistakes_carry_the_number_of_their_line() -> None:
    """As an editor counts: after a `sep=` line, empty rows and a cell with line breaks."""
    text = (
        'sep=;\r\n;;\r\nexternalId;contact.givenName;legs.0.startDate\r\n;;\r\na;"An\r\nna";3/4/2026\r\nb;B;46280\r\n'
    )

    found = list(read("PORTAL.CSV", decoded(text.encode())))

    assert [(number, row) for number, row in found] == [
        (5, {"externalId": "a", "contact": {"givenName": "An\r\nna"}}),
        (7, {"externalId": "b", "contact": {"givenName": "B"}})
    ]  # fmt: skip
    assert [row.mistakes for _, row in found] == [
        (("legs.0.startDate", "may be one of two dates: write it as 2026-09-15"),),
        (("legs.0.startDate", "is the number that a spreadsheet has for a day: format the column as a date"),),
    ]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("externalId,legs.²", "an unknown column 'legs.²'"),
        ("externalId,legs.².country", "an unknown column 'legs.².country' (is it legs.0.country?)"),
        ("externalId,contact.givenname,contact.e-mial", "an unknown column 'contact.e-mial' (is it contact.email?)"),
        ("externalId,legs.0.country,LEGS.00.Country", "the column legs.0.country twice"),
        ("externalId,status", "an unknown column 'status'"), ("externalId,legs.999.country", "an unknown column"),
        ("externalId,legs", "an unknown column 'legs'"), ("login,language", "no column externalId"),
        ("extrnalId,login", "an unknown column 'extrnalId' (is it externalId?), no column externalId"),
        ("", "no column"),
    ],
)  # fmt: skip
def test_a_header_that_is_not_known_is_named_with_the_nearest(header: str, words: str) -> None:
    """For the whole file, before any row."""
    with pytest.raises(Unreadable) as refused:
        list(read("x.csv", decoded(f"{header}\na,b,c\n".encode())))

    assert words in str(refused.value)


def test_a_first_row_of_data_is_not_repeated() -> None:
    """A file without a header: its first row may hold names of persons."""
    with pytest.raises(Unreadable) as refused:
        list(read("x.csv", decoded(b"portal-1;Robin;Voorbeeld\n")))

    assert str(refused.value) == "the first line has no column externalId"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("externalId;contact.givenName\na;José\n".encode("windows-1252"), "line 2: is not UTF-8"),
        ("externalId;contact.givenName\na;Łukasz\n".encode("windows-1250"), "--encoding windows-1252"),
        ("externalId,login\n".encode("utf-16-le"), "UTF-16 without its mark"), (b"PK\x03\x04...", "a workbook"),
        (b"\xff\xfea", "is not utf-16"), (b'externalId\na\n"b', "line 3: a quote that is never closed"),
    ],
)  # fmt: skip
def test_an_encoding_is_named_and_never_guessed(raw: bytes, words: str) -> None:
    """A name that is read in a wrong encoding is another name."""
    with pytest.raises(Unreadable) as refused:
        list(read("x.csv", decoded(raw)))

    assert words in str(refused.value)


def test_an_encoding_that_a_person_names_is_used() -> None:
    """One of a short list."""
    raw = "externalId;contact.givenName\na;José\n".encode("windows-1252")

    assert content_of(raw, "windows-1252") == [{"externalId": "a", "contact": {"givenName": "José"}}]
    for encoding in ("utf-8", "rot13", "base64", "x" * 1000):
        with pytest.raises(Unreadable):
            decoded(raw, encoding)


@pytest.mark.parametrize(
    ("text", "day"),
    [("15-9-2026", "2026-09-15"), ("1-2-2026", "2026-02-01"), ("01.02.2026", "2026-02-01"),
     ("2026-09-15 00:00", "2026-09-15"),
     ("2026-09-15T00:00:00Z", "2026-09-15"), ("2026/9/15", "2026-09-15"), ("15-9-2026 0:00", "2026-09-15"),
     ("30-2-2026", "30-2-2026"), ("09-15-2026", "09-15-2026"), ("2026-09-15 13:30", "2026-09-15 13:30"),
     ("tomorrow", "tomorrow"), ("٢٠٢٦-٠٩-١٥", "٢٠٢٦-٠٩-١٥")],
)  # fmt: skip
def test_a_day_is_read_where_it_can_be_one_day_alone(text: str, day: str) -> None:
    """What is no day stays as it is, for the form to refuse."""
    assert value_of(text, "day") == day


@pytest.mark.parametrize(
    ("text", "kind"),
    [("3/4/2026", "day"), ("13/4/2026", "day"), ("15-9-26", "day"), ("46280", "day"), ("46280,5", "day"),
     ("3.16E+10", "text"), ("3,16123E+10", "text"), ("1e-7", "text"),
     ("#####", "text"), ("#N/A", "text"), ("#NAAM?", "text"),
     ("#VALUE!", "truth"), ("Jos\ufffd", "text")],
)  # fmt: skip
def test_a_value_that_a_spreadsheet_has_changed_is_refused(text: str, kind: Any) -> None:
    """With the reason, and without the value."""
    found = value_of(text, kind)

    assert isinstance(found, Refused)
    assert text not in found.reason


def test_a_row_that_ends_early_lacks_only_what_may_be_missing() -> None:
    """A spreadsheet leaves out the last separators; a torn row is no registration. Values outside are named."""
    head = "externalId,contact.givenName,legs.1.country\n"

    assert content_of(f"{head}a,A\n".encode()) == [{"externalId": "a", "contact": {"givenName": "A"}}]
    assert [row for _, row in read("x.csv", decoded(f"{head}a\n".encode()))] == [None]
    ((_, row),) = read("x.csv", decoded(f"{head}a,A,,more\n".encode()))
    assert row.mistakes == (("line", "has a value outside of the columns of the first line"),)
