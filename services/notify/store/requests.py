"""Requests for approval, folded from the events of approval: what mail about them says.

`requests`: {_id approvalId, version, state}. An older version never replaces a newer one. The contact details of a
request stand with all others (store/contacts.py), under `contact_key`.
"""

from collections.abc import Collection, Mapping

from services.notify.model.requests import Request
from shared.mongo.client import Database, UpdateOne, upsert_guarded


def contact_key(approval_id: str) -> str:
    """Where the contact details of a request are stored."""
    return f"request-{approval_id}"


class RequestStore:
    """Requests by approvalId."""

    def __init__(self, database: Database) -> None:
        self._requests = database["requests"]

    async def load(self, approval_ids: Collection[str]) -> dict[str, Request]:
        """These requests; one that is not known is not in the answer."""
        documents = self._requests.find({"_id": {"$in": list(approval_ids)}})
        return {str(document["_id"]): Request.model_validate(document["state"]) async for document in documents}

    async def put(self, requests: Mapping[str, Request]) -> None:
        """Store requests, each unless a newer version is stored."""
        updates = [
            UpdateOne(
                {"_id": approval_id, "version": {"$lt": request.version}},
                {"$set": {"version": request.version, "state": request.model_dump(mode="json", by_alias=True)}},
                upsert=True,
            )
            for approval_id, request in requests.items()
        ]
        await upsert_guarded(self._requests, updates)
