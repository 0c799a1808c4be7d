"""Until when a service has handled a topic, for each of its processes: also those that read no topic themselves.

`known_until`: {_id `<group>|<partition>`, group, partitions, at}: the service had handled every record of these
partitions that Kafka had at that time. However many processes come and go, a partition has one document.
"""

from collections.abc import Collection as AnyOf
from datetime import datetime

from shared.mongo.client import Collection, Database, UpdateOne


class KnownUntil:
    """The times that the processes of one service note."""

    def __init__(self, database: Database) -> None:
        self._known: Collection = database["known_until"]

    async def note(self, group: str, partitions: AnyOf[int], at: datetime) -> None:
        """This process has handled every record of its partitions that Kafka had at that time."""
        notes = [
            UpdateOne(
                {"_id": f"{group}|{partition}"},
                # A process that slept must not take back what another has noted since.
                {"$set": {"group": group, "partitions": [partition]}, "$max": {"at": at}},
                upsert=True,
            )
            for partition in sorted(partitions)
        ]
        if notes:
            await self._known.bulk_write(notes, ordered=False)

    async def read(self, group: str, partition_count: int) -> datetime | None:
        """Until when all partitions are known. None: some partition was never read to its end."""
        newest: dict[int, datetime] = {}
        async for document in self._known.find({"group": group}):
            for partition in document["partitions"]:
                newest[partition] = max(newest.get(partition, document["at"]), document["at"])
        if set(range(partition_count)) - set(newest):
            return None
        return min(newest.values(), default=None)
