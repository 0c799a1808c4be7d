"""Removes addresses, telephone numbers and control characters from provider texts, before events and logs. Pure."""

import re

REASON_LIMIT = 200
_ADDRESS = re.compile(r"<?[^\s<>()\[\],;:\"']+(?:@|=40|%40)[^\s<>()\[\],;\"']+>?", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![A-Za-z0-9-])\+?\d[\d .()-]{6,}\d(?![A-Za-z0-9])")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_SHORTEST_LOCAL_PART = 3


def without_addresses(text: str, *known: str) -> str:
    """A provider's text without mail addresses: at most 200 printable ASCII characters.

    The `known` addresses are removed even where the pattern would miss them, and so is their part before the @: servers
    quote either.
    """
    for address in known:
        local_part = address.partition("@")[0]
        if local_part.casefold() not in text.casefold():
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
