"""Reads delivery status notifications: what a mail server says became of a mail, recipient by recipient. Pure.

Servers differ from the standard in every way, so fields are read line by line and the worst of all recipients counts.
Source: RFC 3464 (delivery status notifications), RFC 3463 (status codes), RFC 6533 (the same with UTF-8).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.notify.channels.disclosure import beginning, without_addresses
from services.notify.channels.sms_callbacks import ReceiptState

#: From the worst to the best. `interim` settles nothing: relayed to a server that does not report, or not understood.
WORST_FIRST: tuple[ReceiptState, ...] = ("failed", "temporary", "pending", "interim", "delivered")
ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})
#: A code of RFC 3463, such as 5.1.1.
STATUS = re.compile(r"(?<![\d.])([245])\.\d{1,3}\.\d{1,3}(?!\d|\.\d)")
#: A reply code of RFC 5321 in front of a text.
_REPLY_CODE = re.compile(r"(?<![\d.])([245])[0-5]\d(?![\d.])")
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,60})[ \t]*:(.*)")
_COMMENT = re.compile(r"\([^()]*\)")
#: A report begins anew where one of these is repeated, even without an empty line.
_ONCE = frozenset({"original-recipient", "final-recipient", "action", "status"})
#: A group with none of these is about the mail as a whole. One without action and code is not understood.
_OF_A_RECIPIENT = frozenset({"final-recipient", "action", "status", "diagnostic-code"})
_ADDRESSES = ("final-recipient", "original-recipient", "x-actual-recipient")


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What a report says of one recipient. `reason` holds no address.

    `is_understood`: the server says what it did; from a code alone nobody knows whether it tries again.
    """

    state: ReceiptState
    reason: str
    is_understood: bool = True


def worst(reports: Sequence[RecipientReport]) -> RecipientReport | None:
    """The report that counts for a mail: the first one of the worst state."""
    return min(reports, key=lambda report: WORST_FIRST.index(report.state), default=None)


def recipient_reports(text: str) -> list[RecipientReport]:
    """One report for each recipient in the body of a `message/delivery-status`."""
    return [_report(fields) for fields in _field_groups(text) if fields.keys() & _OF_A_RECIPIENT]


def reports_in_text(text: str) -> list[RecipientReport]:
    """The same, where a server wrote the fields into plain text. Each names action and recipient: no sentence does."""
    lines = "\n".join(line.strip() for line in text.splitlines())
    return [_report(fields) for fields in _field_groups(lines) if fields.keys() >= {"action", "final-recipient"}]


def _field_groups(text: str) -> Iterator[dict[str, str]]:
    """The fields of each recipient, and those of the mail as a whole; names in lower case, comments removed."""
    fields: dict[str, list[str]] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        field = _FIELD.match(line)
        if line[:1] in (" ", "\t") and line.strip() and name:
            fields[name].append(line.strip())
        elif field is not None:
            name = field.group(1).lower()
            if name in _ONCE and name in fields:
                yield _joined(fields)
                fields = {}
            fields.setdefault(name, []).append(field.group(2).strip())
        elif not line.strip() and fields:
            yield _joined(fields)
            fields, name = {}, ""
    if fields:
        yield _joined(fields)


def _joined(fields: dict[str, list[str]]) -> dict[str, str]:
    return {name: beginning(" ".join(pieces)).strip() for name, pieces in fields.items()}


def _report(fields: dict[str, str]) -> RecipientReport:
    action = next(iter(re.findall(r"[a-z]+", _COMMENT.sub(" ", fields.get("action", "")).lower())), "")
    status, diagnostic = fields.get("status", ""), fields.get("diagnostic-code", "")
    words = diagnostic.partition(";")[2].strip() or diagnostic
    code = STATUS.search(_COMMENT.sub(" ", status)) or STATUS.search(status) or _REPLY_CODE.search(status)
    code = code or STATUS.search(words) or _REPLY_CODE.match(words)
    known = [fields.get(name, "").rpartition(";")[2].strip(" <>") for name in _ADDRESSES]
    shown = code.group() if code else next(iter(status.split()), "")
    reason = without_addresses(f"{action} {shown}: {words}", *filter(None, known))
    code_class = code.group(1) if code else ""
    return RecipientReport(state_of(action, code_class), reason.strip(": "), action in ACTIONS or code_class == "5")


def state_of(action: str, code_class: str) -> ReceiptState:
    """The state of an action, held against the class of its status code: 2, 4, 5, or empty.

    Without an action that the standard knows, the code decides. A code that is worse than the action counts.
    """
    if action.startswith("fail"):
        return "temporary" if code_class == "4" else "failed"
    if action.startswith("delay"):
        return "pending"
    if code_class == "5":
        return "failed"
    if code_class == "4":
        return "pending" if action in {"delivered", "relayed", "expanded"} else "temporary"
    return "delivered" if action == "delivered" else "interim"
