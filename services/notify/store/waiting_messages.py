"""Messages that a provider refused for now and that wait for their next attempt, as their send jobs tell.

No event reports such an attempt, so a delivery has no row yet (docs/notifications.md, Retries).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby

from services.notify.model.deliveries import delivery_id
from services.notify.store.selections import Selection
from shared.events import Channel
from shared.mongo.client import Database


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """Attempts so far, and the provider's reason at the last one."""

    attempts: int
    reason: str
    at: datetime | None


class WaitingMessages:
    """Reads the collection `lanes` of the send queue."""

    def __init__(self, database: Database) -> None:
        self._jobs = database["lanes"]

    async def of(self, selections: Collection[Selection]) -> dict[str, WaitingMessage]:
        """Delivery id → its last attempt, for the messages of these selections that wait for another one."""
        by_id = {selection.selection_id: selection for selection in selections}
        jobs = self._jobs.find(
            {
                "alertId": {"$in": sorted({selection.alert_id for selection in selections})},
                "selectionId": {"$in": sorted(by_id)},
                "done": False,
                "refusals": {"$exists": True},
            }
        ).sort("attempt", 1)
        waiting: dict[str, WaitingMessage] = {}
        async for job in jobs:
            selection = by_id[job["selectionId"]]
            persons, channel = selection.recipients.persons, Channel(job["channel"])
            for index, reason in zip(job["indices"], decode_refusals(job["refusals"]), strict=True):
                person = persons[index]
                if person is not None:
                    name = delivery_id(selection.alert_id, person, channel, selection.step)
                    waiting[name] = WaitingMessage(int(job["attempt"]) - 1, reason, job["refusedAt"])
        return waiting


def encode_refusals(reasons: Collection[str]) -> list[list[str | int]]:
    """Reasons as runs of [reason, how often]: mostly the provider gives all messages the same one."""
    return [[reason, len(list(run))] for reason, run in groupby(reasons)]


def decode_refusals(runs: Collection[list[str | int]]) -> list[str]:
    """The reasons that `encode_refusals` encoded."""
    return list(chain.from_iterable([str(reason)] * int(count) for reason, count in runs))
