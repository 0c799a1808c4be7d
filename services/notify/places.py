"""Opens the places of stays for those who may look people up. Messages need no place, only its region."""

from collections.abc import Sequence

from shared.privacy.keyring import Keyring

#: The field of a registration's leg for which its place is sealed.
PLACE_PATH = "/placeSealed"


async def open_places(keyring: Keyring, sealed: Sequence[str | None]) -> list[str | None]:
    """Each place as its student wrote it; None where there is none, and where it does not open any more."""
    texts = [text for text in sealed if text is not None]
    opened = iter(await keyring.open_many(texts, PLACE_PATH) if texts else ())
    return [None if text is None else next(opened).value for text in sealed]
