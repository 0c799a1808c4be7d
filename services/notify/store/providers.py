"""State of the SMS providers that all notify processes share: rate limits, counters, weights, and provider ids.

`buckets`: {_id provider, tokens, at} · `provider_minutes`: {_id `<provider>:<minute>`, at, errors, judged, slow}
`provider_weights`: {_id channel, of, movedAt} · `provider_ids`: {_id `<provider>:<id>`, ref, at}.
"""

import contextlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.notify.rules.weights import Health, Weights
from shared.mongo.client import ASCENDING, Database, DuplicateKeyError, IndexModel, PyMongoError, UpdateOne

KEPT_SECONDS = 14 * 24 * 3_600
MINUTES_KEPT_SECONDS = 3_600
#: `moved_at` of weights that never moved.
NEVER = datetime.fromtimestamp(0, UTC)
#: A delivery that took longer counts as slow.
SLOW = timedelta(minutes=5)


class ProviderStore:
    """`ProviderState` in MongoDB. Rate limits use the database's clock, which all processes share."""

    def __init__(self, database: Database) -> None:
        self._buckets = database["buckets"]
        self._minutes = database["provider_minutes"]
        self._weights = database["provider_weights"]
        self._ids = database["provider_ids"]

    async def create_indexes(self) -> None:
        """Create the indexes; idempotent."""
        by_age = [("at", ASCENDING)]
        await self._minutes.create_indexes([IndexModel(by_age, name="kept", expireAfterSeconds=MINUTES_KEPT_SECONDS)])
        await self._ids.create_indexes([IndexModel(by_age, name="kept", expireAfterSeconds=KEPT_SECONDS)])

    async def take_tokens(self, provider: str, count: int, *, per_second: float, burst: int, reserve: int) -> bool:
        """Take `count` tokens from the provider's bucket; False when fewer than `reserve` would be left.

        The bucket fills at `per_second` up to `burst`. All processes take from the same bucket, so together they
        stay within the provider's limit.
        """
        clock = {"$toLong": "$$NOW"}
        elapsed = {"$subtract": [clock, {"$ifNull": ["$at", clock]}]}
        filled = {"$add": [{"$ifNull": ["$tokens", burst]}, {"$multiply": [per_second / 1000, elapsed]}]}
        update: list[Mapping[str, Any]] = [
            {"$set": {"tokens": {"$min": [burst, filled]}, "at": clock}},
            {"$set": {"granted": {"$cond": [{"$gte": ["$tokens", count + reserve]}, count, 0]}}},
            {"$set": {"tokens": {"$subtract": ["$tokens", "$granted"]}}},
        ]
        while True:
            try:
                after = await self._buckets.find_one_and_update(
                    {"_id": provider}, update, upsert=True, return_document=True
                )
                return bool(after["granted"])
            except DuplicateKeyError:
                continue  # two processes created the bucket at the same moment

    async def count(self, provider: str, now: datetime, *, errors: int = 0, judged: int = 0, slow: int = 0) -> None:
        """Add to the provider's counters of this minute. A database error is ignored: the outcomes matter more."""
        minute = now.replace(second=0, microsecond=0)
        increments = {"errors": errors, "judged": judged, "slow": slow}
        on_insert = {"provider": provider, "at": minute}
        with contextlib.suppress(PyMongoError):
            await self._minutes.update_one(
                {"_id": f"{provider}:{minute.isoformat()}"},
                {"$inc": increments, "$setOnInsert": on_insert},
                upsert=True,
            )

    async def record_delivery_times(self, provider: str, durations: Collection[timedelta], now: datetime) -> None:
        """Count how long deliveries took from acceptance to the handset, as receipts report it."""
        if durations:
            slow = sum(1 for duration in durations if duration > SLOW)
            await self.count(provider, now, judged=len(durations), slow=slow)

    async def health(self, now: datetime) -> dict[str, Health]:
        """Provider → its errors of this minute and the one before, and its deliveries of the last 15 minutes."""
        totals: dict[str, list[int]] = {}
        async for minute in self._minutes.find({"at": {"$gte": now - timedelta(minutes=16)}}):
            sums = totals.setdefault(str(minute["provider"]), [0, 0, 0])
            if minute["at"] >= now - timedelta(minutes=2):
                sums[0] += int(minute["errors"])
            sums[1] += int(minute["judged"])
            sums[2] += int(minute["slow"])
        return {provider: Health(*sums) for provider, sums in totals.items()}

    async def weights(self, channel: str) -> Weights:
        """The weights of a channel's providers; none were adjusted_weights at first."""
        document = await self._weights.find_one({"_id": channel})
        return Weights(document["of"], document["movedAt"]) if document else Weights({}, NEVER)

    async def store_weights(self, channel: str, weights: Weights) -> None:
        """Replace the weights. The caller holds the lease of the weight adjustment."""
        fields = {"of": dict(weights.of), "movedAt": weights.moved_at}
        await self._weights.update_one({"_id": channel}, {"$set": fields}, upsert=True)

    async def store_ids(self, references: Mapping[str, str], now: datetime) -> None:
        """Store `<provider>:<its id>` → our reference, for receipts that name nothing else.

        A database error is ignored, as in `count`.
        """
        if not references:
            return
        with contextlib.suppress(PyMongoError):
            writes = [
                UpdateOne({"_id": provider_id}, {"$set": {"ref": reference, "at": now}}, upsert=True)
                for provider_id, reference in references.items()
            ]
            await self._ids.bulk_write(writes, ordered=False)

    async def our_references(self, provider_ids: Collection[str]) -> dict[str, str]:
        """`<provider>:<its id>` → our reference, for the ids that are stored."""
        if not provider_ids:
            return {}
        documents = self._ids.find({"_id": {"$in": list(provider_ids)}})
        return {str(document["_id"]): str(document["ref"]) async for document in documents}
