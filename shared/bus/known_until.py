"""Until when a service has handled a topic, for each of its processes: also those that read no topic themselves.

`known_until`: {_id `<group>|<instance>`, group, partitions, at}: this process had handled every record of these
partitions that Kafka had at that time.
"""

from collections.abc import Collection as AnyOf
from datetime import datetime

from shared.mongo.client import Collection, Database


class KnownUntil:
    """The times that the processes of one service note."""

    def __init__(self, database: Database, instance: str) -> None:
        self._known: Collection = database["known_until"]
        self._instance = instance

    async def note(self, group: str, partitions: AnyOf[int], at: datetime) -> None:
        """This process has handled every record of its partitions that Kafka had at that time."""
        await self._known.update_one(
            {"_id": f"{group}|{self._instance}"},
            {"$set": {"group": group, "partitions": sorted(partitions), "at": at}},
            upsert=True,
        )

    async def read(self, group: str, partition_count: int) -> datetime | None:
        """Until when all partitions are known. None: some partition was never read to its end."""
        newest: dict[int, datetime] = {}
        async for document in self._known.find({"group": group}):
            for partition in document["partitions"]:
                newest[partition] = max(newest.get(partition, document["at"]), document["at"])
        if set(range(partition_count)) - set(newest):
            return None
        return min(newest.values(), default=None)
