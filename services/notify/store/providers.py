"""What all processes have to know of a provider together: how fast it may be asked, how it is, and its own ids.

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
NEVER = datetime.fromtimestamp(0, UTC)
SLOW = timedelta(minutes=5)


class ProviderStore:
    """Judged by the database's clock where processes share something."""

    def __init__(self, database: Database) -> None:
        self._buckets = database["buckets"]
        self._minutes = database["provider_minutes"]
        self._weights = database["provider_weights"]
        self._ids = database["provider_ids"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        kept = [("at", ASCENDING)]
        await self._minutes.create_indexes([IndexModel(kept, name="kept", expireAfterSeconds=MINUTES_KEPT_SECONDS)])
        await self._ids.create_indexes([IndexModel(kept, name="kept", expireAfterSeconds=KEPT_SECONDS)])

    async def take(self, provider: str, count: int, *, per_second: float, burst: int, reserve: int) -> bool:
        """Take so many tokens of a bucket that fills with time; False when, after it, less than `reserve` is left.

        One bucket for all processes: they hold the provider's limit together.
        """
        clock = {"$toLong": "$$NOW"}
        passed = {"$subtract": [clock, {"$ifNull": ["$at", clock]}]}
        filled = {"$add": [{"$ifNull": ["$tokens", burst]}, {"$multiply": [per_second / 1000, passed]}]}
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
                continue  # the very first two at the same moment

    async def note(self, provider: str, now: datetime, *, errors: int = 0, judged: int = 0, slow: int = 0) -> None:
        """Count what a provider did in this minute. Not at any price: a verdict must not get lost over it."""
        minute = now.replace(second=0, microsecond=0)
        counted = {"errors": errors, "judged": judged, "slow": slow}
        known = {"provider": provider, "at": minute}
        with contextlib.suppress(PyMongoError):
            await self._minutes.update_one(
                {"_id": f"{provider}:{minute.isoformat()}"}, {"$inc": counted, "$setOnInsert": known}, upsert=True
            )

    async def note_deliveries(self, provider: str, took: Collection[timedelta], now: datetime) -> None:
        """How long deliveries took from acceptance to the handset, as receipts say."""
        if took:
            await self.note(provider, now, judged=len(took), slow=sum(1 for each in took if each > SLOW))

    async def health(self, now: datetime) -> dict[str, Health]:
        """Provider → how it is: errors of this minute and the one before, deliveries of fifteen."""
        found: dict[str, list[int]] = {}
        async for each in self._minutes.find({"at": {"$gte": now - timedelta(minutes=16)}}):
            sums = found.setdefault(str(each["provider"]), [0, 0, 0])
            if each["at"] >= now - timedelta(minutes=2):
                sums[0] += int(each["errors"])
            sums[1] += int(each["judged"])
            sums[2] += int(each["slow"])
        return {provider: Health(*sums) for provider, sums in found.items()}

    async def weights(self, channel: str) -> Weights:
        """The weights of a channel's providers; none were moved at first."""
        found = await self._weights.find_one({"_id": channel})
        return Weights(found["of"], found["movedAt"]) if found else Weights({}, NEVER)

    async def keep_weights(self, channel: str, weights: Weights) -> None:
        """Whoever looks keeps what it found."""
        kept = {"of": dict(weights.of), "movedAt": weights.moved_at}
        await self._weights.update_one({"_id": channel}, {"$set": kept}, upsert=True)

    async def keep_ids(self, references: Mapping[str, str], now: datetime) -> None:
        """`<provider>:<its id>` → our reference, for receipts that name nothing else. Not at any price, as above."""
        if not references:
            return
        with contextlib.suppress(PyMongoError):
            writes = [
                UpdateOne({"_id": theirs}, {"$set": {"ref": ours, "at": now}}, upsert=True)
                for theirs, ours in references.items()
            ]
            await self._ids.bulk_write(writes, ordered=False)

    async def ours(self, theirs: Collection[str]) -> dict[str, str]:
        """Our references of those of a provider's ids that are known."""
        if not theirs:
            return {}
        return {str(each["_id"]): str(each["ref"]) async for each in self._ids.find({"_id": {"$in": list(theirs)}})}
