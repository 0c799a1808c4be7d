"""Forms that were posted after their session had ended. They are kept for their writer, who gets them back.

Collection `sessions.savedForms`: {_id (from the cookie's secret), content (encrypted), forgottenAt}.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.mongo.client import ASCENDING, IndexModel, Mongo
from shared.web.pages.sealed_records import SecretKey, is_secret, new_secret

KEPT = timedelta(hours=1)
#: Bytes of a form that are kept; larger ones are uploads, which the browser still has.
MAX_BYTES = 200_000
_PURPOSE = "saved form"

#: Field → its values, in the order of the form.
Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class SavedForm:
    """A form as its person had filled it in. `path`: the page of the form, with the gateway's prefix."""

    person_id: str
    path: str
    fields: Fields


class SavedForms:
    """The saved forms in MongoDB."""

    def __init__(self, mongo: Mongo) -> None:
        self._forms = mongo.database("sessions")["savedForms"]

    async def create_indexes(self) -> None:
        """MongoDB removes a form that nobody came back for."""
        await self._forms.create_indexes([IndexModel([("forgottenAt", ASCENDING)], expireAfterSeconds=0)])

    async def keep(self, form: SavedForm, now: datetime) -> str:
        """Store a form. Returns the secret for its cookie."""
        secret = new_secret()
        key = SecretKey(secret, _PURPOSE)
        content = {
            "personId": form.person_id,
            "path": form.path,
            "fields": {name: list(values) for name, values in form.fields.items()},
        }
        await self._forms.insert_one({"_id": key.record_id, "content": key.seal(content), "forgottenAt": now + KEPT})
        return secret

    async def take(self, secret: str | None, person_id: str, now: datetime) -> SavedForm | None:
        """The form of a cookie, which is then gone. None: there is none, or another person wrote it."""
        if not is_secret(secret):
            return None
        key = SecretKey(secret, _PURPOSE)
        record = await self._forms.find_one_and_delete({"_id": key.record_id})
        content = key.open(bytes(record["content"])) if record is not None else None
        if record is None or content is None or content["personId"] != person_id or record["forgottenAt"] <= now:
            return None
        return SavedForm(content["personId"], content["path"], content["fields"])
