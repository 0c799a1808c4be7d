"""Reads what arrived: the mails in the simulated inbox's Maildir, the SMS in the simulated gateway's log."""

import functools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it arrived. `reference` is the Message-ID of a mail, or the 32 hex digits that we gave an SMS.

    `kind`: of a mail, as its header names it.
    """

    reference: str
    to: str
    at: datetime
    kind: str = ""


def mails(maildir: Path) -> list[Received]:
    """Every mail in the Maildir."""
    return [_mail(path) for path in mail_files(maildir)]


def mail_files(maildir: Path) -> list[Path]:
    """The files of the mails, in the order in which they arrived."""
    return sorted(path for folder in ("new", "cur") for path in (maildir / folder).glob("*"))


def read_mails(maildir: Path, wanted: Callable[[Received], bool]) -> list[Message]:
    """The mails that are wanted, whole."""
    return [message_from_bytes(path.read_bytes()) for path in mail_files(maildir) if wanted(_mail(path))]


@functools.lru_cache(maxsize=200_000)
def _mail(path: Path) -> Received:
    """One mail; it arrived at the file's time. A file of a Maildir never changes, so it is parsed once."""
    with path.open("rb") as file:
        headers = BytesHeaderParser(policy=policy.default).parse(file)
    at = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return Received(str(headers["Message-ID"]).strip(), str(headers["Delivered-To"]).strip().lower(), at,
                    str(headers.get("X-Safe-Passage-Kind", "")))  # fmt: skip


def texts(sms_log: Path) -> list[Received]:
    """Every SMS in the gateway's log; a last line that is not yet complete is left out."""
    messages = []
    for line in sms_log.read_text(encoding="utf-8").splitlines() if sms_log.exists() else []:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        messages.append(Received(entry["reference"], entry["to"], datetime.fromisoformat(entry["received_at"])))
    return messages


def repeats(messages: list[Received]) -> Counter[str]:
    """Reference → how many times the message arrived after its first time."""
    arrivals = Counter(message.reference for message in messages)
    return Counter({reference: count - 1 for reference, count in arrivals.items() if count > 1})
