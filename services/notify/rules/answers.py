"""Reads a person's reply by SMS: safe, help, or unclear. A safety officer reads the unclear ones. Pure.

The messages ask for VEILIG, SAFE, OK, HULP or HELP. Any other reply is unclear and never counts as safe.
See docs/notifications.md, Answers.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum


class ReplyMeaning(StrEnum):
    """What a reply means."""

    SAFE = "safe"
    HELP = "help"
    UNCLEAR = "unclear"


class Reason(StrEnum):
    """Why a reply was read so."""

    WORD_FOR_SAFE = "word_for_safe"
    WORD_FOR_HELP = "word_for_help"
    EMPTY = "empty"
    NEGATED = "negated"
    CONTRADICTORY = "contradictory"
    QUESTION = "question"
    TOO_LONG = "too_long"
    FOREIGN_SIGNS = "foreign_signs"
    OTHER_WORDS = "other_words"


@dataclass(frozen=True, slots=True)
class ReplyReading:
    """How a reply was read, and why."""

    meaning: ReplyMeaning
    reason: Reason


# A reply means safe only when it is exactly one of these: one word more may turn it into the opposite.
SAFE_REPLIES = frozenset(
    {
        "veilig", "ik ben veilig", "ben veilig", "veilig ok", "ok veilig",
        "safe", "i am safe", "im safe", "am safe", "safe ok", "ok safe",
        "ok", "oke", "okay", "okee", "ik ben ok", "ik ben oke", "i am ok", "im ok", "i am okay", "im okay",
    }
)  # fmt: skip
SAFE_WORDS = frozenset({"veilig", "safe", "ok", "oke", "okay", "okee"})
HELP_WORDS = frozenset({"hulp", "help", "noodgeval", "emergency", "sos"})
NEGATIONS = frozenset(
    {
        "niet", "geen", "nooit", "zonder", "nee", "onveilig",
        "not", "no", "never", "without", "dont", "isnt", "cant", "wont", "aint", "neither", "nor", "unsafe",
    }
)  # fmt: skip
SAFE_LENGTH_LIMIT = 40
HELP_LENGTH_LIMIT = 640
HELP_WORDS_LIMIT = 8  # a longer text with `help` in it mostly comes from a machine that explains where to find help
_NEGATED_SAFE = re.compile(r"\b(?:niet|not|isnt|aint|never|nooit|no|geen) (?:\w+ )?(?:veilig|safe|oke?|okay)\b")
_NEGATED_HELP = re.compile(
    r"\b(?:geen|zonder|no|without) (?:\w+ )?(?:hulp|help)\b"
    r"|\b(?:not|dont|don t|never) (?:\w+ )?(?:need|want|require) (?:\w+ ){0,2}help\b"
    r"|\b(?:hulp|help) (?:\w+ ){0,2}(?:niet|not|nooit|never) (?:\w+ ){0,2}(?:nodig|needed|required|necessary)\b"
)
_HELP_ANYWHERE = re.compile(r"hulp|help|noodgeval|emergency|\bsos\b")
_PUNCTUATION = re.compile(r"[\s.,!'\"-]+")


def read_reply(text: str) -> ReplyReading:
    """What a reply to an alert means. The last branch is unclear, never safe."""
    plain = _plain(text)
    if not plain:
        return ReplyReading(ReplyMeaning.UNCLEAR, Reason.EMPTY)
    return _asks_for_help(plain) or _says_safe(plain)


def names_help(text: str) -> bool:
    """Whether any word for help stands in a text, of any length and in any form: a person has to look at once.

    For texts without a certain sender: nothing that follows would tell of them otherwise.
    """
    return _HELP_ANYWHERE.search(_without_marks(text)) is not None


def _asks_for_help(plain: str) -> ReplyReading | None:
    """Help, or why a text with a word for help is unclear; None without such a word."""
    words = re.findall(r"\w+", plain)
    if not HELP_WORDS & set(words):
        return None
    if _NEGATED_HELP.search(plain):
        return ReplyReading(ReplyMeaning.UNCLEAR, Reason.NEGATED)
    # "Not safe, help" asks for help: the negation belongs to the other word.
    if SAFE_WORDS & set(re.findall(r"\w+", _NEGATED_SAFE.sub(" ", plain))):
        return ReplyReading(ReplyMeaning.UNCLEAR, Reason.CONTRADICTORY)
    if words[0] not in HELP_WORDS and len(words) > HELP_WORDS_LIMIT:
        return ReplyReading(ReplyMeaning.UNCLEAR, Reason.TOO_LONG)
    return ReplyReading(ReplyMeaning.HELP, Reason.WORD_FOR_HELP)


def _says_safe(plain: str) -> ReplyReading:
    if len(plain) > SAFE_LENGTH_LIMIT:
        return ReplyReading(ReplyMeaning.UNCLEAR, Reason.TOO_LONG)
    if NEGATIONS & set(plain.split()):
        return ReplyReading(ReplyMeaning.UNCLEAR, Reason.NEGATED)
    if "?" in plain:
        return ReplyReading(ReplyMeaning.UNCLEAR, Reason.QUESTION)
    if not (plain.isascii() and plain.replace(" ", "").isalnum()):
        return ReplyReading(ReplyMeaning.UNCLEAR, Reason.FOREIGN_SIGNS)
    if plain in SAFE_REPLIES:
        return ReplyReading(ReplyMeaning.SAFE, Reason.WORD_FOR_SAFE)
    return ReplyReading(ReplyMeaning.UNCLEAR, Reason.OTHER_WORDS)


def _plain(text: str) -> str:
    """Lower case, one blank between words, without invisible marks, apostrophes and plain punctuation. Emoji stay."""
    joined = re.sub("['’‘`]", "", _without_marks(text[:HELP_LENGTH_LIMIT])).replace("oké", "oke")
    return _PUNCTUATION.sub(" ", joined).strip()


def _without_marks(text: str) -> str:
    """Lower case, in plain letters, without invisible marks."""
    normal = unicodedata.normalize("NFKC", text)
    return "".join(character for character in normal if unicodedata.category(character) != "Cf").casefold()
