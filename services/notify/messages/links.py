"""The link to a person's answer page, and the Message-ID of an email. Pure."""

import re

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")


def answer_link(base_url: str, token: str) -> str:
    """`<base>/v1/answers/<token>`; the base is the service's public address. Raises ValueError for an invalid token."""
    return _link(base_url, "answers", token)


def return_link(base_url: str, token: str) -> str:
    """`<base>/v1/returns/<token>`: the page on which a person says that they are back."""
    return _link(base_url, "returns", token)


def _link(base_url: str, page: str, token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise ValueError("not an answer token")
    return f"{base_url.rstrip('/')}/v1/{page}/{token}"


def message_id(reference: str, sender: str) -> str:
    """`<reference@domain of the sender>`: the same at every attempt, so a mail server may drop the repeat."""
    return f"<{reference}@{sender.rpartition('@')[2]}>"
