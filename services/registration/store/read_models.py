"""Read models: what approval and safety last published, kept here because services never call each other.

Collections `approvals`, `advice` and `sources`; `handlers.py` writes them, `decision_inputs.py` reads them. `advice`
also notes up to which version and day the registrations of its country were evaluated, `looks` up to when new and
changed ones were evaluated once more.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime

from services.registration.read_models import Approval, ApprovalStatus, Freshness, evolve_approval
from services.registration.store import indexes
from shared.advice import CountryAdvice
from shared.advice import evolve as evolve_advice
from shared.clock import start_of_day
from shared.envelope import Envelope
from shared.events import ApprovalEvent, Level, SourceChecked, TravelAdviceChanged
from shared.mongo.client import Database, Document, DuplicateKeyError, ReplaceOne, Session
from shared.mongo.coalesced_reader import CoalescedReader


class ReadModelStore:
    """Reads go to the primary, so they see everything that was committed before they began."""

    def __init__(self, database: Database) -> None:
        self._approvals = database["approvals"]
        self._registrations = database["registrations"]
        self._advice = database["advice"]
        self._sources = database["sources"]
        self._looks = database["looks"]
        self._cached_advice: dict[str, CountryAdvice] = {}
        self._cached_freshness: Mapping[str, Freshness] = {}
        self._event_ids = CoalescedReader(self._read_event_ids)

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._approvals.create_indexes(indexes.APPROVALS)

    async def approvals(self, approval_ids: Sequence[str]) -> dict[str, Approval]:
        """Approvals by id, without the ids that are not known."""
        if not approval_ids:
            return {}
        documents = self._approvals.find({"_id": {"$in": list(approval_ids)}})
        return {str(document["_id"]): Approval.model_validate(document) async for document in documents}

    async def unregistered(
        self, query: Document, today: date, granted_before: date | None, skip: int, limit: int
    ) -> list[Approval]:
        """Granted approvals of activities that are not over and that no registration names, by first day."""
        granted: Document = {"status": ApprovalStatus.GRANTED.value, "endDate": {"$gte": today.isoformat()}}
        if granted_before is not None:
            start = start_of_day(granted_before)
            granted["grantedAt"] = {"$lt": f"{start:%Y-%m-%dT%H:%M:%S}"}
        named: Document = {
            "from": self._registrations.name,
            "localField": "_id",
            "foreignField": "approvalId",
            "pipeline": [{"$match": {"status": {"$ne": "cancelled"}}}, {"$limit": 1}, {"$project": {"_id": 1}}],
            "as": "registered",
        }
        pipeline: list[Document] = [
            {"$match": {"$and": [query, granted]}},
            {"$lookup": named},
            {"$match": {"registered": []}},
            {"$sort": {"startDate": 1, "_id": 1}},
            {"$skip": skip},
            {"$limit": limit},
            {"$unset": "registered"},
        ]
        return [Approval.model_validate(document) async for document in self._approvals.aggregate(pipeline)]

    async def has_request(self, person_id: str) -> bool:
        """Whether the student has an approval, or a request for one that is not decided."""
        wanted = {"personId": person_id, "status": {"$in": [ApprovalStatus.PENDING, ApprovalStatus.GRANTED]}}
        return await self._approvals.find_one(wanted, {"_id": 1}) is not None

    async def save_approvals(self, envelopes: Sequence[Envelope[ApprovalEvent]], session: Session) -> None:
        """Fold events into their approvals, in the transaction of the inbox: one read and one bulk write."""
        approval_ids = sorted({envelope.data.approval_id for envelope in envelopes})
        documents = self._approvals.find({"_id": {"$in": approval_ids}}, session=session)
        approvals = {str(document["_id"]): Approval.model_validate(document) async for document in documents}
        for envelope in envelopes:
            event = envelope.data
            approvals[event.approval_id] = evolve_approval(approvals.get(event.approval_id), event, envelope.time)
        writes = [
            ReplaceOne({"_id": approval_id}, approvals[approval_id].model_dump(mode="json", by_alias=True), upsert=True)
            for approval_id in approval_ids
        ]
        if writes:
            await self._approvals.bulk_write(writes, session=session)

    async def advice(self, countries: Sequence[str]) -> dict[str, CountryAdvice]:
        """Country → current advice, without the countries of which none is known."""
        documents = self._advice.find({"_id": {"$in": list(countries)}}, {"state": 1})
        return {str(document["_id"]): CountryAdvice.model_validate(document["state"]) async for document in documents}

    async def advice_event_ids(self, countries: Sequence[str]) -> tuple[dict[str, str], dict[str, datetime]]:
        """Country → id of the event of its current advice; and source → until when the source is fresh.

        Requests that ask at the same moment share the read.
        """
        event_ids, fresh_until = await self._event_ids.ask(countries)
        return {country: event_ids[country] for country in countries if country in event_ids}, fresh_until

    async def _read_event_ids(self, countries: Collection[str]) -> tuple[dict[str, str], dict[str, datetime]]:
        pipeline: list[Document] = [
            {"$match": {"_id": {"$in": list(countries)}}},
            {"$project": {"eventId": "$state.eventId"}},
            {"$unionWith": {"coll": self._sources.name, "pipeline": [{"$project": {"freshUntil": 1}}]}},
        ]
        rows = [row async for row in self._advice.aggregate(pipeline)]
        return (
            {str(row["_id"]): str(row["eventId"]) for row in rows if "eventId" in row},
            {str(row["_id"]): row["freshUntil"] for row in rows if "freshUntil" in row},
        )

    async def cached_advice(self, countries: Sequence[str]) -> tuple[dict[str, CountryAdvice], Mapping[str, Freshness]]:
        """The same as `advice` and `sources`, for one small read: only changed advice is read and parsed again."""
        event_ids, fresh_until = await self.advice_event_ids(countries)
        changed = [
            country
            for country, event_id in event_ids.items()
            if country not in self._cached_advice or self._cached_advice[country].event_id != event_id
        ]
        if changed:
            self._cached_advice |= await self.advice(changed)
        if fresh_until != {source: freshness.fresh_until for source, freshness in self._cached_freshness.items()}:
            self._cached_freshness = await self.sources()
        advice = {country: self._cached_advice[country] for country in event_ids if country in self._cached_advice}
        return advice, self._cached_freshness

    async def save_advice(self, envelope: Envelope[TravelAdviceChanged]) -> bool:
        """Store an advice that is newer than the stored one; False when it is not. Notify keeps the texts."""
        event = envelope.data
        document = await self._advice.find_one({"_id": event.country})
        former = CountryAdvice.model_validate(document["state"]) if document else None
        current = evolve_advice(former, event, envelope.id, envelope.time)
        if current is former:
            return False
        state = current.model_copy(update={"text_nl": "", "text_en": ""}).model_dump(mode="json", by_alias=True)
        levels = [current.whole.level, *(area.level for area in current.regions)]
        negative = any(level is not None and level >= Level.ORANGE for level in levels)
        try:
            await self._advice.update_one(
                {"_id": event.country, "version": {"$lt": event.advice_version}},
                {
                    "$set": {"version": event.advice_version, "state": state, "negative": negative},
                    "$setOnInsert": {"followed": 0},
                },
                upsert=True,
            )
        except DuplicateKeyError:
            return False  # another member of the consumer group stored this version or a newer one first
        return True

    async def sources(self) -> Mapping[str, Freshness]:
        """Source → what it said when it was last read completely."""
        return {
            str(document["_id"]): Freshness(document["freshUntil"], document["countries"], document.get("checkedAt"))
            async for document in self._sources.find({})
        }

    async def save_source(self, envelope: Envelope[SourceChecked]) -> None:
        """Store what a source said, unless something newer is stored."""
        event = envelope.data
        state = {
            "version": envelope.streamversion,
            "freshUntil": event.fresh_until,
            "countries": event.countries,
            "checkedAt": event.checked_at,
        }
        try:
            await self._sources.update_one(
                {"_id": event.source, "version": {"$lt": envelope.streamversion}}, {"$set": state}, upsert=True
            )
        except DuplicateKeyError:
            return  # the stored one is as new or newer

    async def note_country_evaluated(self, country: str, version: int, today: date) -> None:
        """Every registration in the country was evaluated on this version of its advice, on this day."""
        evaluated = {"followed": version, "followedOn": today.isoformat()}
        await self._advice.update_one({"_id": country}, {"$max": evaluated})

    async def countries_to_evaluate(self, today: date) -> list[tuple[str, int]]:
        """(country, advice version) whose registrations were not all evaluated; where it is negative, not today."""
        outdated = [
            {"$expr": {"$lt": ["$followed", "$version"]}},
            {"negative": True, "followedOn": {"$lt": today.isoformat()}},
        ]
        documents = self._advice.find({"$or": outdated}, {"version": 1})
        return [(str(document["_id"]), int(document["version"])) async for document in documents]

    async def is_country_evaluated(self, country: str, version: int, today: date) -> bool:
        """Whether every registration was evaluated on this version or a newer one; where it is negative, today."""
        evaluated = {
            "_id": country,
            "followed": {"$gte": version},
            "$or": [{"negative": {"$ne": True}}, {"followedOn": {"$gte": today.isoformat()}}],
        }
        return await self._advice.find_one(evaluated, {"_id": 1}) is not None

    async def evaluated_until(self) -> datetime:
        """Registrations submitted or changed before this instant were evaluated once more."""
        noted = await self._looks.find_one({"_id": "changed"})
        return noted["until"] if noted else datetime.fromtimestamp(0, UTC)

    async def note_evaluated_until(self, until: datetime) -> None:
        """The instant never moves back."""
        await self._looks.update_one({"_id": "changed"}, {"$max": {"until": until}}, upsert=True)
