"""What the receiving side has: the mails in the Maildir, the SMS in the gateway's log."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it arrived. `reference` is the Message-ID of a mail, our 32 hex of an SMS."""

    reference: str
    to: str
    at: datetime


def mails(maildir: Path) -> list[Received]:
    """Every mail in the Maildir; when it arrived is the file's time."""
    parser = BytesHeaderParser(policy=policy.default)
    found = []
    for path in sorted(path for folder in ("new", "cur") for path in (maildir / folder).glob("*")):
        with path.open("rb") as file:
            headers = parser.parse(file)
        at = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        found.append(Received(str(headers["Message-ID"]).strip(), str(headers["Delivered-To"]).strip().lower(), at))
    return found


def texts(sms_log: Path) -> list[Received]:
    """Every SMS in the gateway's log; a torn last line is not one."""
    found = []
    for line in sms_log.read_text(encoding="utf-8").splitlines() if sms_log.exists() else []:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        found.append(Received(entry["reference"], entry["to"], datetime.fromisoformat(entry["received_at"])))
    return found


def repeats(messages: list[Received]) -> Counter[str]:
    """How often each message came beyond its first time."""
    counted = Counter(message.reference for message in messages)
    return Counter({reference: times - 1 for reference, times in counted.items() if times > 1})
