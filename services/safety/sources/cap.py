"""CAP 1.2 (OASIS Common Alerting Protocol): messages of other warning systems, for information. Pure but for `fetch`.

XML without a document type or entities, and `Actual` messages only. A message is identified by sender, identifier and
sent. It ends when it expires, or when its own sender updates or cancels it.
Source: docs.oasis-open.org/emergency/cap/v1.2. See docs/feeds.md, CAP messages.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal
from xml.etree.ElementTree import Element

from pydantic import Field

from services.safety.reading import BatchRejected
from services.safety.sources.documents import one_line, parse_instant
from services.safety.sources.fetch import Fetcher
from services.safety.sources.xml_entries import field_of, xml_entries
from shared.events import Part

NAMESPACE = "{urn:oasis:names:tc:emergency:cap:1.2}"
MAX_MESSAGES = 200
MAX_AREAS = 50
MAX_REFERENCES = 50
LINE_LENGTH = 300
TEXT_LENGTH = 2_000
#: A message without an expiry ends after this.
DEFAULT_LIFE = timedelta(days=2)


class CapMessage(Part):
    """One message, in English if it has that, otherwise in its first language."""

    sender: str = Field(min_length=1, max_length=LINE_LENGTH)
    identifier: str = Field(min_length=1, max_length=LINE_LENGTH)
    sent: datetime
    kind: Literal["Alert", "Update", "Cancel"]
    references: tuple[str, ...] = Field(default=(), max_length=MAX_REFERENCES)
    event: str = ""
    headline: str = ""
    description: str = ""
    urgency: str = ""
    severity: str = ""
    certainty: str = ""
    areas: tuple[str, ...] = Field(default=(), max_length=MAX_AREAS)
    expires: datetime

    @property
    def key(self) -> str:
        """Sender, identifier and sent, by which other messages refer to this one."""
        return _key(self.sender, self.identifier, self.sent)


class CapDocument(Part):
    """The messages in a document, and why others are left out."""

    messages: tuple[CapMessage, ...]
    left_out: tuple[str, ...]


def parse_document(page: bytes) -> CapDocument:
    """`parse`, as one value that can be sent from process to process."""
    messages, left_out = parse(page)
    return CapDocument(messages=tuple(messages), left_out=tuple(left_out[:MAX_MESSAGES]))


def parse(page: bytes) -> tuple[list[CapMessage], list[str]]:
    """The messages in a document (one `alert`, or a feed with several), and why others are left out.

    If it is not well-formed, the messages in it are read one by one. Raises BatchRejected if there is none, or if it
    declares a document type or entities.
    """
    try:
        found = xml_entries(page, "alert", namespace=NAMESPACE)
    except BatchRejected as rejected:
        raise BatchRejected(f"it {rejected}") from None
    messages: list[CapMessage] = []
    left_out = [f"damaged: {one_line(field_of(alert, 'identifier'))[:100]}" for alert in found.damaged[:MAX_MESSAGES]]
    for number, alert in enumerate(found.entries, start=1):
        if number > MAX_MESSAGES:
            left_out.append(f"more than {MAX_MESSAGES} messages")
            break
        message = _message(alert)
        if isinstance(message, CapMessage):
            messages.append(message)
        else:
            left_out.append(f"message {number}: {message}")
    if not messages and not left_out:
        raise BatchRejected("it holds no CAP 1.2 message")
    return messages, left_out


def messages_in_force(messages: Iterable[CapMessage], now: datetime) -> list[CapMessage]:
    """The messages in force at `now`, newest first. The order in which they arrived does not matter.

    A message is ended only by its own sender, and only by a later message.
    """
    by_key = {message.key: message for message in messages}
    ended = {
        reference
        for message in by_key.values()
        if message.kind in ("Update", "Cancel")
        for reference in message.references
        if reference not in by_key
        or (by_key[reference].sender == message.sender and by_key[reference].sent <= message.sent)
    }
    in_force = [
        message
        for message in by_key.values()
        if message.kind != "Cancel" and message.key not in ended and message.expires > now
    ]
    return sorted(in_force, key=lambda message: (min(message.sent, now), message.key), reverse=True)


def _message(alert: Element) -> CapMessage | str:
    """The message of an alert, or why it is left out."""
    status, kind = _line(alert, "status"), _line(alert, "msgType")
    if status != "Actual":
        return f"its status is {status[:20] or 'missing'}, not Actual"
    if kind not in ("Alert", "Update", "Cancel"):
        return f"its type is {kind[:20] or 'missing'}"
    sender, identifier, sent = _line(alert, "sender"), _line(alert, "identifier"), parse_instant(_line(alert, "sent"))
    if not sender or not identifier or sent is None:
        return "no sender, identifier or time"
    references = tuple(key for text in _line(alert, "references", 20_000).split() if (key := _referenced_key(text)))
    infos = alert.findall(f"{NAMESPACE}info")
    info = next(
        (info for info in infos if _line(info, "language").lower().startswith("en")), infos[0] if infos else None
    )
    if info is None and kind != "Cancel":
        return "no info element"
    info = info if info is not None else Element("info")
    return CapMessage(
        sender=sender,
        identifier=identifier,
        sent=sent,
        kind=kind,  # type: ignore[arg-type] # one of the three
        references=references[:MAX_REFERENCES],
        event=_line(info, "event"),
        headline=_line(info, "headline"),
        description=_line(info, "description", TEXT_LENGTH),
        urgency=_line(info, "urgency"),
        severity=_line(info, "severity"),
        certainty=_line(info, "certainty"),
        areas=tuple(_line(area, "areaDesc") for area in info.findall(f"{NAMESPACE}area"))[:MAX_AREAS],
        expires=parse_instant(_line(info, "expires")) or sent + DEFAULT_LIFE,
    )


def _referenced_key(text: str) -> str | None:
    parts = text.split(",")
    sent = parse_instant(parts[2]) if len(parts) == 3 else None
    return _key(parts[0], parts[1], sent) if sent is not None else None


def _key(sender: str, identifier: str, sent: datetime) -> str:
    return f"{sender},{identifier},{sent.isoformat()}"


def _line(element: Element, name: str, length: int = LINE_LENGTH) -> str:
    return one_line((element.findtext(f"{NAMESPACE}{name}") or "")[:length])


async def fetch(source: Fetcher) -> list[bytes]:
    """Fetch the document. Raises FetchFailed."""
    return [await source.get()]
