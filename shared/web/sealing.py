"""Sealing personal data of a request: for an erased person there is no key, and the request is refused."""

from typing import Any

from shared.errors import PermanentError
from shared.privacy.keyring import Keyring
from shared.web.problem import Problem


def erased() -> Problem:
    """The answer for an erased person."""
    return Problem(409, "This person's data were erased: nothing can be added.", reason="erased")


async def sealed(keyring: Keyring, person_id: str, event_id: str, path: str, value: Any) -> str:
    """The value, sealed for this field of this event. Raises Problem 409 for an erased person."""
    try:
        return await keyring.seal(person_id, event_id, path, value)
    except PermanentError:
        raise erased() from None


async def sealed_alike(keyring: Keyring, person_id: str, path: str, text: str) -> str:
    """As `sealed`; the same text of the same person is sealed the same (`Keyring.seal_alike`)."""
    try:
        return await keyring.seal_alike(person_id, path, text)
    except PermanentError:
        raise erased() from None
