"""Provider texts on their way into events and logs: addresses, numbers and control characters taken out. Pure."""

import re

REASON_LIMIT = 200
_ADDRESS = re.compile(r"<?[^\s<>()\[\],;:\"']+(?:@|=40|%40)[^\s<>()\[\],;\"']+>?", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![A-Za-z0-9-])\+?\d[\d .()-]{6,}\d(?![A-Za-z0-9])")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_SHORTEST_LOCAL_PART = 3


def without_addresses(text: str, *known: str) -> str:
    """A provider's words, at most 200 printable ASCII characters, without mail addresses and the `known` ones.

    Of a known address its part before the @ goes too: servers quote either.
    """
    for address in known:
        local_part = address.partition("@")[0]
        if local_part.casefold() not in text.casefold():
            continue  # this runs for every message; and where its part is not, the address is not
        for secret in (address, local_part):
            if len(secret) >= _SHORTEST_LOCAL_PART:
                text = re.sub(re.escape(secret), "[address]", text, flags=re.IGNORECASE)
    if "@" in text or "40" in text:
        text = _ADDRESS.sub("[address]", text)
    if not (text.isascii() and text.isprintable()):
        text = _UNPRINTABLE.sub(" ", text)
    return " ".join(text.split())[:REASON_LIMIT]


def without_numbers(text: str) -> str:
    """The same without anything that looks like a telephone number, for what an SMS provider says."""
    return _NUMBER.sub("[number]", without_addresses(text))
