"""Removes addresses, telephone numbers and control characters from provider texts, before events and logs. Pure.

Strangers write these texts (a bounce, a webhook, a server's reply), so every step takes time in proportion to the
text's length, and no more than READ_LIMIT characters of a text are read.
"""

import re

#: Characters of a foreign text that are read, and characters of it that are kept.
READ_LIMIT = 2_000
REASON_LIMIT = 200
#: RFC 5321 §4.5.3: a local part of 64 characters, an @ and a domain of 255.
_LONGEST_ADDRESS = 320
_SHORTEST_LOCAL_PART = 3
# The local part begins where a word begins, so that a word without an @ is tried once and not from each of its letters.
_ADDRESS = re.compile(
    r"<?(?<![^\s<>()\[\],;:\"'])[^\s<>()\[\],;:\"']+(?:@|=40|%40)[^\s<>()\[\],;\"']+>?", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<![A-Za-z0-9-])\+?\d[\d .()-]{6,}\d(?![A-Za-z0-9])")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


def without_addresses(text: str, *known: str) -> str:
    """The beginning of a provider's text without mail addresses: at most 200 printable ASCII characters.

    The `known` addresses are removed even where the pattern would miss them, and so is their part before the @: servers
    quote either.
    """
    text = beginning(text)
    for address in known:
        local_part = address.partition("@")[0]
        if len(address) > _LONGEST_ADDRESS or local_part.casefold() not in text.casefold():
            continue  # saves time, as this runs for every message: without the local part the address cannot occur
        for secret in (address, local_part):
            if len(secret) >= _SHORTEST_LOCAL_PART:
                text = re.sub(re.escape(secret), "[address]", text, flags=re.IGNORECASE)
    if "@" in text or "40" in text:
        text = _ADDRESS.sub("[address]", text)
    if not (text.isascii() and text.isprintable()):
        text = _UNPRINTABLE.sub(" ", text)
    return " ".join(text.split())[:REASON_LIMIT]


def without_numbers(text: str) -> str:
    """The text of an SMS provider: `without_addresses`, and without anything that looks like a telephone number."""
    return _NUMBER.sub("[number]", without_addresses(text))


def beginning(text: str) -> str:
    """The first READ_LIMIT characters of a longer text, without the word that the limit cuts.

    Half an address would no longer look like one.
    """
    if len(text) <= READ_LIMIT:
        return text
    *whole_words, _ = text[:READ_LIMIT].split() or [""]
    return " ".join(whole_words)
