"""Reads what a mail server says in words alone: bounces of qmail, Exim, Exchange, Postfix, Domino and others. Pure.

A notice of delay announces the failure that may follow it, so only words that cannot stand in one make a failure beside
words of delay. Source: QSBMF (qmail's bounce format), and the default texts of the servers in English, Dutch, German.
"""

import re
import unicodedata
from collections.abc import Iterable

from services.notify.channels.delivery_reports import STATUS, RecipientReport
from services.notify.channels.sms_callbacks import ReceiptState

#: Characters of a server's own words that are read.
TEXT_LIMIT = 20_000
#: The returned mail, or its header, begins at such a line.
_RETURNED = re.compile(
    r"\s*(?:-{2}.*\b(?:copy of|below this line|original message|unsent message|(?:message|headers?|text) follows)\b"
    r"|(?:return-path|received|message-id|dkim-signature):"
    r"|(?:original|returned) message headers|ursprungliche nachrichtenkopf|oorspronkelijke berichtkop)"
)
#: How the mail of a server begins that no header need mark.
_OPENINGS = (
    "hi. this is the", "this is the qmail", "this message was created automatically by mail delivery software",
    "this is the mail system at host", "this is an automatically generated delivery status",
    "this is a delivery status", "the original message was received at", "delivery has failed to these recipients",
    "your message did not reach some", "delivery is delayed to these recipients",
    "uw bericht kan niet worden bezorgd bij", "de bezorging aan de volgende", "bezorging aan de volgende",
    "fehler bei der nachrichtenzustellung", "ihre nachricht hat einige oder alle",
)  # fmt: skip
#: Said of a message that will not be tried again.
_GIVEN_UP = (
    "this is a permanent error", "permanent fatal", "failed permanently", "permanently rejected", "i've given up",
    "have given up", "has given up", "not going to try again", "in the queue too long", "will not be retried",
    "no further attempts", "no more attempts", "delivery has failed to these", "address not found", "message blocked",
    "user unknown", "no such user", "fehler bei der nachrichtenzustellung",
)  # fmt: skip
#: Said of a message that is still tried.
_DELAYED = (
    "not yet been delivered", "not been delivered yet", "hasn't been delivered yet", "not yet delivered",
    "will be retried", "will retry", "will keep trying", "will continue to try", "will try again",
    "attempts will continue", "continue to be attempted", "warning message only", "warning only",
    "not need to resend", "delivery is delayed", "delivery delayed", "delivery has been delayed", "has been delayed",
    "delivery incomplete", "still undelivered", "notification (delay)", "notification (delayed)",
    "notification(delay)", "nog niet bezorgd", "nog niet afgeleverd", "is vertraagd", "bezorging vertraagd",
    "blijft proberen", "wordt opnieuw geprobeerd", "noch nicht zugestellt", "wird weiterhin versucht",
    "zustellung verz", "verzogerte zustellung", "wurde verz",
)  # fmt: skip
#: Said of a message that did not arrive; a notice of delay may say so as well.
_NOT_DELIVERED = (
    "not be delivered", "couldn't be delivered", "can't be delivered", "cannot be delivered", "not delivered",
    "wasn't delivered", "unable to deliver", "delivery failed", "delivery has failed", "delivery failure",
    "undeliver", "not deliver", "returning message", "returned mail", "returned to sender", "failure notice",
    "notification (failure)", "notification (failed)", "did not reach", "unknown user", "unknown recipient",
    "does not exist", "doesn't exist", "couldn't be found", "wasn't found", "rejected your message",
    "message was rejected", "mailbox full", "mailbox is full", "mailbox unavailable", "address rejected",
    "recipient rejected", "recipnotfound", "recipientnotfound", "over quota", "quota exceeded",
    "not listed in domino directory", "could not reach", "message expired", "failed recipient", "niet worden bezorgd",
    "niet bezorgd", "niet worden afgeleverd", "niet afgeleverd", "onbestelbaar", "niet te bezorgen", "niet bereikt",
    "bestaat niet", "mislukt", "geadresseerde is onbekend", "postvak is vol", "nicht zugestellt", "nicht zustellbar",
    "unzustellbar", "nicht erreicht", "zustellung fehlgeschlagen", "existiert nicht", "postfach ist voll",
    "empfanger unbekannt", "pas pu etre remis", "pas pu etre distribue", "echec de la remise", "non remis",
    "no se ha podido entregar", "no se pudo entregar", "error en la entrega", "impossibile recapitare",
    "non recapitabile", "falha na entrega", "nao foi possivel entregar",
)  # fmt: skip
#: A server's reply that refuses for good.
_REFUSAL = re.compile(r"(?:said|reason|error|code|response|returned|<<<|#)\W{0,5}5[0-5]\d(?!\d|\.\d)")


def own_words(text: str) -> str:
    """What the server itself says: without the mail that it returns, in lower case, without accents and line ends."""
    lines: list[str] = []
    for line in plain(text[:TEXT_LIMIT]).splitlines():
        if _RETURNED.match(line):
            break
        lines.append(line)
    return " ".join(" ".join(lines).split())


def plain(text: str) -> str:
    """In lower case and without accents; a sign that was lost in decoding is left out."""
    # Marks are removed before, because sorting a long run of them takes quadratic time.
    letters = _without_marks(text.replace("\u2019", "'").replace("\ufffd", ""))
    return _without_marks(unicodedata.normalize("NFKD", letters)).casefold()


def _without_marks(text: str) -> str:
    return "".join(sign for sign in text if not unicodedata.combining(sign))


def is_about_delivery(subject: str) -> bool:
    """Whether a subject is that of a server's notice about a mail: it failed, or is late."""
    return _contains(plain(subject[:TEXT_LIMIT]), (*_GIVEN_UP, *_DELAYED, *_NOT_DELIVERED))


def opens_as_bounce(text: str) -> bool:
    """Whether a text begins as no person begins one."""
    return plain(text[:TEXT_LIMIT]).lstrip(" \t\r\n*#>").startswith(_OPENINGS)


def refuses(text: str) -> bool:
    """Whether a text holds a server's reply that refuses a mail for good."""
    words = own_words(text)
    return _REFUSAL.search(words) is not None or any(code.group(1) == "5" for code in STATUS.finditer(words))


def report_in_words(subject: str, text: str) -> RecipientReport | None:
    """What a server's words say of our mail; None when they say nothing that is known.

    The reason holds none of the words, because they may name the recipient.
    """
    words = f"{plain(subject[:TEXT_LIMIT])} {own_words(text)}"
    codes = {code.group(1): code.group() for code in STATUS.finditer(words)}
    is_final = "5" in codes or _REFUSAL.search(words) is not None
    is_given_up, is_delayed = _contains(words, _GIVEN_UP), _contains(words, _DELAYED)
    if is_delayed and not is_given_up:
        return _report("pending", codes.get("4", ""))
    if not (is_given_up or is_final or _contains(words, _NOT_DELIVERED)):
        return None
    # Beside words of delay the code may be that of another recipient.
    if "4" in codes and not is_final and not is_delayed:
        return _report("temporary", codes["4"])
    return _report("failed", codes.get("5", ""))


def _report(state: ReceiptState, code: str) -> RecipientReport:
    return RecipientReport(state, " ".join(filter(None, ("in the server's words:", state, code))))


def _contains(words: str, phrases: Iterable[str]) -> bool:
    return any(phrase in words for phrase in phrases)
