"""Decodes the bytes of a page. What cannot be decoded costs one sign, never the page. Pure."""

import codecs
import re

#: Stands for what cannot be decoded.
REPLACED = "\ufffd"

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
#: Bytes at the beginning that show UTF-16 without a mark: every second one is zero.
_HEAD = 64
_UTF_8 = re.compile(f"[^\x00-\x7f{REPLACED}]")
#: A page in Windows-1252, which includes Latin-1: letters and the signs of a text. Without the two that begin a sign of
#: UTF-8, and without signs that no text uses: those show a damaged page.
_LATIN = re.compile("[\x00-\x7f\xa0-\xc1\xc4-\xfdŠŒŽšœž…‘’“”•–—™]*")
# Byte order marks inside a page, and control signs, which could hide a word. Tabs and line ends are white space.
_LINE_CONTROLS = re.compile("[\x0b\x0c\x1c-\x1f\x85]+")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x7f\ufeff]+")


def decoded(page: bytes) -> str:
    """The text of a page, without byte order marks and control signs. What cannot be decoded is REPLACED."""
    text = _text(page)
    text = _LINE_CONTROLS.sub(" ", text) if _LINE_CONTROLS.search(text) else text
    return _CONTROLS.sub("", text) if _CONTROLS.search(text) else text


def _text(page: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if page.startswith(mark):
            return page[len(mark) :].decode(encoding, "replace")
    even, odd = page[:_HEAD:2], page[1:_HEAD:2]
    if len(odd) > 1 and not any(even) and all(odd):
        return page.decode("utf-16-be", "replace")
    if len(odd) > 1 and not any(odd) and all(even):
        return page.decode("utf-16-le", "replace")
    try:
        return page.decode("utf-8")
    except UnicodeDecodeError:
        text = page.decode("utf-8", "replace")
    latin = page.decode("windows-1252", "replace")
    return latin if _UTF_8.search(text) is None and _LATIN.fullmatch(latin) else text
