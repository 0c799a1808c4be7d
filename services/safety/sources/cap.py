"""CAP 1.2 (OASIS Common Alerting Protocol): messages of other warning systems, as information. Pure but `fetch`.

Source: docs.oasis-open.org/emergency/cap/v1.2. XML without a document type or entities; `Actual` only; a message is
known by sender, identifier and sent, and is over when its own sender updates or cancels it, or when it expires.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import Field

from services.safety.reading import BatchRejected
from services.safety.sources.documents import one_line, parse_instant
from services.safety.sources.fetch import Fetcher
from shared.events import Part

NAMESPACE = "{urn:oasis:names:tc:emergency:cap:1.2}"
MAX_MESSAGES = 200
MAX_AREAS = 50
MAX_REFERENCES = 50
LINE_LENGTH = 300
TEXT_LENGTH = 2_000
#: A message that says no end is over after this.
WITHOUT_END = timedelta(days=2)


class CapMessage(Part):
    """One message; of several languages the English one, else the first."""

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
        """The triple that other messages refer to it by."""
        return _key(self.sender, self.identifier, self.sent)


def parse(page: bytes) -> tuple[list[CapMessage], list[str]]:
    """The messages in a document (one `alert`, or a feed that holds some), and why others are left out.

    Raises BatchRejected for what is no XML, or declares a document type or entities.
    """
    try:
        root = fromstring(page, forbid_dtd=True)
    except DefusedXmlException:
        raise BatchRejected("it declares a document type or entities") from None
    except (ParseError, ValueError, LookupError):
        raise BatchRejected("it is not well-formed XML") from None
    found: list[CapMessage] = []
    left_out: list[str] = []
    for number, alert in enumerate(root.iter(f"{NAMESPACE}alert"), start=1):
        if number > MAX_MESSAGES:
            left_out.append(f"more than {MAX_MESSAGES} messages")
            break
        message = _message(alert)
        if isinstance(message, CapMessage):
            found.append(message)
        else:
            left_out.append(f"message {number}: {message}")
    if not found and not left_out:
        raise BatchRejected("it holds no CAP 1.2 message")
    return found, left_out


def messages_in_force(messages: Iterable[CapMessage], now: datetime) -> list[CapMessage]:
    """What still holds at `now`, the newest first, in whatever order the messages came.

    Only its own sender takes a message back; a message cannot take back what was sent after it.
    """
    known = {message.key: message for message in messages}
    over = {
        reference
        for message in known.values()
        if message.kind in ("Update", "Cancel")
        for reference in message.references
        if reference not in known
        or (known[reference].sender == message.sender and known[reference].sent <= message.sent)
    }
    holds = [each for each in known.values() if each.kind != "Cancel" and each.key not in over and each.expires > now]
    return sorted(holds, key=lambda each: (each.sent, each.key), reverse=True)


def _message(alert: Element) -> CapMessage | str:
    """A message, or why it is none for us."""
    status, kind = _line(alert, "status"), _line(alert, "msgType")
    if status != "Actual":
        return f"its status is {status[:20] or 'missing'}, not Actual"
    if kind not in ("Alert", "Update", "Cancel"):
        return f"its type is {kind[:20] or 'missing'}"
    sender, identifier, sent = _line(alert, "sender"), _line(alert, "identifier"), parse_instant(_line(alert, "sent"))
    if not sender or not identifier or sent is None:
        return "no sender, identifier or time"
    references = tuple(found for each in _line(alert, "references", 20_000).split() if (found := _reference(each)))
    infos = alert.findall(f"{NAMESPACE}info")
    info = next(
        (each for each in infos if _line(each, "language").lower().startswith("en")), infos[0] if infos else None
    )
    if info is None and kind != "Cancel":
        return "nothing is said"
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
        expires=parse_instant(_line(info, "expires")) or sent + WITHOUT_END,
    )


def _reference(text: str) -> str | None:
    parts = text.split(",")
    sent = parse_instant(parts[2]) if len(parts) == 3 else None
    return _key(parts[0], parts[1], sent) if sent is not None else None


def _key(sender: str, identifier: str, sent: datetime) -> str:
    return f"{sender},{identifier},{sent.isoformat()}"


def _line(element: Element, name: str, length: int = LINE_LENGTH) -> str:
    return one_line((element.findtext(f"{NAMESPACE}{name}") or "")[:length])


async def fetch(source: Fetcher) -> list[bytes]:
    """The document. Raises FetchFailed."""
    return [await source.get()]
