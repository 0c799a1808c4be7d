"""The name of an uploaded file, however a browser, curl or a program writes the header."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from services.registration.api.file_name import MAX_NAME_CHARS, PATTERN, file_name
from shared.fields import ShortText
from shared.web.problem import Problem


def named(header: str) -> str | None:
    """The name; None when the header is refused."""
    if not re.fullmatch(PATTERN, header):
        return None
    try:
        return file_name(header)
    except Problem:
        return None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("attachment; filename*=UTF-8''l%C3%A9tter.pdf", "létter.pdf"),
        ("attachment; filename*=utf-8''l%c3%a9tter.pdf", "létter.pdf"),
        ("Attachment; FileName*=Utf-8''letter.pdf", "letter.pdf"),
        ("ATTACHMENT;FILENAME*=UTF-8'nl'brief.pdf", "brief.pdf"),
        ("attachment; filename*=utf-8'en-GB'letter.pdf;", "letter.pdf"),
        ("attachment ; filename = letter.pdf", "letter.pdf"),
        ("attachment; filename=letter.pdf", "letter.pdf"),
        ('attachment; filename="letter of the host.pdf"', "letter of the host.pdf"),
        ('attachment; FILENAME="letter.pdf" ; ', "letter.pdf"),
        ('attachment; filename="a \\"nice\\" letter.pdf"', 'a "nice" letter.pdf'),
        ('attachment; filename="a;b, c.pdf"', "a;b, c.pdf"),
        ('attachment; filename="filename*=utf-8.pdf"', "filename*=utf-8.pdf"),
        ("attachment; filename=\"l.pdf\"; filename*=utf-8''l%C3%A9tter.pdf", "létter.pdf"),
        ("attachment; filename*=utf-8''l%C3%A9tter.pdf; filename=\"l.pdf\"", "létter.pdf"),
        ('attachment; filename="létter.pdf"', "létter.pdf"),
        ('attachment; filename="' + "brief — Süd.pdf".encode().decode("latin-1") + '"', "brief — Süd.pdf"),
        ("attachment", None),
        ("inline; filename=letter.pdf", None),
        ('form-data; name="file"; filename="letter.pdf"', None),
        ('attachment; filename=""', None),
        ('attachment; filename="letter.pdf', None),
        ('attachment; filename="letter.pdf"; size=3', None),
        ('attachment; filename="..\\\\boot.ini"', None),
        ('attachment; filename="../letter.pdf"', None),
        ("attachment; filename*=utf-8''..%2Fletter.pdf", None),
        ("attachment; filename*=utf-8''%FF%FE.pdf", None),
        ("attachment; filename*=utf-8''%zz.pdf", None),
        ("attachment; filename*=utf-8''%E2%80%AEfdp.exe", None),
        ("attachment; filename*=iso-8859-1''letter.pdf", None),
        ("attachment; filename*=utf-8'letter.pdf", None),
        ("attachment; filename*=letter.pdf", None),
    ],
)
def test_file_name_table(header: str, expected: str | None) -> None:
    """As it is written, decoded once; anything else is refused."""
    assert named(header) == expected


def _is_a_name(name: str) -> bool:
    try:
        TypeAdapter(ShortText).validate_python(name)
    except ValidationError:
        return False
    return not set("/\\") & set(name) and name.strip(". ") != "" and name == name.strip()


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=MAX_NAME_CHARS).filter(_is_a_name)


@given(
    NAMES,
    st.sampled_from(["UTF-8", "utf-8", "Utf-8", "uTF-8"]),
    st.sampled_from(["filename", "FILENAME", "fileName"]),
    st.sampled_from(["", "nl", "en-GB"]),
    st.booleans(),
)
def test_file_name_comes_back_however_it_was_encoded(
    name: str, charset: str, parameter: str, language: str, is_small: bool
) -> None:
    """Any case, any language tag, percent-encoding in capitals or small letters; and as raw bytes in quotes."""
    encoded = re.sub("%..", lambda code: code[0].lower() if is_small else code[0], quote(name, safe=""))
    expected = TypeAdapter(ShortText).validate_python(name)

    if len(encoded) <= 900:
        assert named(f"attachment; {parameter}*={charset}'{language}'{encoded}") == expected
    raw = name.replace('"', '\\"').encode().decode("latin-1")
    if len(raw) <= 900 and not re.search("[^ -~\x80-\xff]", raw):
        assert named(f'attachment; {parameter}="{raw}"') == expected
