"""Sealing what somebody sends over HTTP: of a person who was erased nothing can be kept any more."""

from typing import Any

from shared.errors import PermanentError
from shared.privacy.keyring import Keyring
from shared.web.problem import Problem


def erased() -> Problem:
    """The answer where the person's key is gone."""
    return Problem(409, "This person's data were erased; nothing can be added.", reason="erased")


async def sealed(keyring: Keyring, person_id: str, event_id: str, path: str, value: Any) -> str:
    """Under the person's key, for that field of that event. Raises Problem 409 for a person who was erased."""
    try:
        return await keyring.seal(person_id, event_id, path, value)
    except PermanentError:
        raise erased() from None
