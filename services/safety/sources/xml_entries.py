"""Reads the entries of an XML page: one by one where a page is not well-formed, so that no other is lost. Pure.

No document type and no entity of a page is ever read. In a single entry harmless faults are mended: a prefix that is
bound to nothing, an ampersand that stands alone, the name of a sign of HTML, a number of no sign.
"""

import html
import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from services.safety.reading import BatchRejected
from services.safety.sources.decoding import REPLACED, decoded

_DOCUMENT_TYPE = re.compile(r"<!(?:DOCTYPE|ENTITY)\b", re.IGNORECASE)
_BINDING = re.compile(r"""\bxmlns(?::(?P<prefix>[\w.-]{1,40}))?\s{0,9}=\s{0,9}(?:"[^"<]{0,300}"|'[^'<]{0,300}')""")
_PREFIX = re.compile(r"(?:</?|\s)(?P<prefix>[A-Za-z_][\w.-]{0,40}):[A-Za-z_]")
_CDATA_OR_AMPERSAND = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&(?:(?P<own>(?:amp|lt|gt|quot|apos);)|#(?P<number>\d{1,7}|[xX][0-9a-fA-F]{1,6});|"
    r"(?P<name>[A-Za-z]\w{1,30};)?)",
    re.DOTALL,
)
_TAG = re.compile(r"<(?P<end>/?)(?:[A-Za-z_][\w.-]{0,40}:)?(?P<name>[A-Za-z]\w{0,40})(?=[\s/>])")
#: Characters of a field that is taken from a damaged entry.
_FIELD_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class XmlEntries:
    """The entries of a page. `damaged`: the text of those that could not be read. `root`: None if it was damaged."""

    root: Element | None
    entries: list[Element]
    damaged: list[str]


def xml_entries(page: bytes, tag: str, *, namespace: str = "") -> XmlEntries:
    """The elements with this tag, in the order of the page, none inside another.

    Raises BatchRejected if the page declares a document type or entities, or is not well-formed and holds no entry.
    """
    try:
        root = fromstring(page, forbid_dtd=True)
    except DefusedXmlException:
        raise BatchRejected("declares a document type or entities") from None
    except (ParseError, ValueError, LookupError):
        return _recovered(decoded(page), tag, namespace)
    text = decoded(page)
    # A section of text that is not closed goes on to the end of the next one, and swallows the entries between.
    count = sum(str(element.tag).rpartition("}")[2] == tag for element in root.iter())
    if len(_begins(text, tag)) > count:
        return _recovered(text, tag, namespace)
    return XmlEntries(root, list(root.iter(namespace + tag)), [])


def _begins(text: str, tag: str) -> list[int]:
    """Where an entry begins, in a text that need not be well-formed."""
    return [match.start() for match in _TAG.finditer(text) if match["name"] == tag and not match["end"]]


def field_of(entry: str, name: str) -> str:
    """The text of a field in a damaged entry; empty if it is not there."""
    tag = next((match for match in _TAG.finditer(entry) if match["name"] == name and not match["end"]), None)
    if tag is None:
        return ""
    text = entry[tag.end() : tag.end() + _FIELD_CHARS].partition(">")[2].partition(f"</{name}")[0]
    return html.unescape(text.replace("<![CDATA[", "").replace("]]>", "")).strip()


def _recovered(text: str, tag: str, namespace: str) -> XmlEntries:
    begins = _begins(text, tag)
    head = text[: begins[0]] if begins else text
    if _DOCUMENT_TYPE.search(head):
        raise BatchRejected("declares a document type or entities")
    if not begins:
        raise BatchRejected("is not well-formed XML")
    bindings = {match["prefix"] or "": match[0] for match in _BINDING.finditer(head)}
    entries: list[Element] = []
    damaged: list[str] = []
    for begin, next_begin in zip(begins, [*begins[1:], len(text)], strict=True):
        tags = _TAG.finditer(text, begin, next_begin)
        end = next((match for match in tags if match["name"] == tag and match["end"]), None)
        # Up to its own end; the text behind it belongs to no entry.
        part = text[begin : text.find(">", end.end()) + 1 if end else next_begin]
        entry = _entry(part, bindings, namespace + tag) if end else None
        if entry is None:
            damaged.append(part)
        else:
            entries.append(entry)
    return XmlEntries(None, entries, damaged)


def _entry(part: str, bindings: dict[str, str], tag: str) -> Element | None:
    """The entry in a part of a page, under the bindings of the page; None if it cannot be read."""
    used = {match["prefix"] for match in _PREFIX.finditer(part)} - {"xml", "xmlns"}
    unbound = [f'xmlns:{prefix}="urn:unbound:{prefix}"' for prefix in sorted(used - bindings.keys())]
    attributes = " ".join([*bindings.values(), *unbound])
    try:
        root = fromstring(f"<page {attributes}>{_CDATA_OR_AMPERSAND.sub(_mended, part)}</page>", forbid_dtd=True)
    except (DefusedXmlException, ParseError, ValueError, LookupError):
        return None
    entry: Element | None = root.find(tag)
    return entry


def _mended(match: re.Match[str]) -> str:
    if match["own"] or match[0].startswith("<"):
        return match[0]
    if match["number"]:
        base, digits = (16, match["number"][1:]) if match["number"][0] in "xX" else (10, match["number"])
        return match[0] if _is_sign(int(digits, base)) else REPLACED
    sign = html.unescape(match[0])
    return sign if match["name"] and sign != match[0] and sign not in "<&" else f"&amp;{match[0][1:]}"


def _is_sign(number: int) -> bool:
    """Whether XML allows the sign with this number."""
    return number in (9, 10, 13) or 32 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0x10000 <= number < 0x110000
