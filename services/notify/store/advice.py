"""The current advice of each country, and for which version and day everybody affected has been selected.

`advice`: {_id country, version, negative, raises, state, swept: {version, day}, held, decided}. An advice whose alerts
are held is as if it had not come yet: it waits in `held` until its time, or until a person has decided (`decided`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from services.notify.rules.audience import raises_alert
from shared.advice import CountryAdvice, evolve
from shared.envelope import Envelope
from shared.events import TravelAdviceChanged
from shared.mongo.client import Database, Document, DuplicateKeyError, Session

#: Read after its time has come (we were away), a hold waits so long for the decision that may stand behind it.
SETTLE = timedelta(seconds=5)
DECISIONS_KEPT = 50


@dataclass(frozen=True, slots=True)
class _Arrived:
    """An advice as an event brought it."""

    event: TravelAdviceChanged
    event_id: str
    at: datetime


class AdviceStore:
    """Full state, so that the newest alone is enough; an older one never replaces a newer one."""

    def __init__(self, database: Database) -> None:
        self._advice = database["advice"]

    async def put(self, envelope: Envelope[TravelAdviceChanged], now: datetime) -> None:
        """Keep the advice unless a newer one is kept already; one whose alerts are held waits beside it."""
        arrived = _Arrived(envelope.data, envelope.id, envelope.time)
        document = await self._advice.find_one({"_id": envelope.data.country})
        until = envelope.data.alerts_held_until
        decision = _decision(document, envelope.data.hold_id)
        if until is None or decision is True:
            await self._take(arrived, document)
        elif decision is None:
            await self._hold(arrived, document, max(until, now + SETTLE))

    async def decide(self, country: str, hold_id: str, accepted: bool) -> None:
        """A person, or silence, decided about a hold: what it held counts from now on, or never."""
        decided = {"$each": [{"holdId": hold_id, "accepted": accepted}], "$slice": -DECISIONS_KEPT}
        new: Document = {"version": 0, "negative": False}
        await self._advice.update_one(
            {"_id": country}, {"$push": {"decided": decided}, "$setOnInsert": new}, upsert=True
        )
        document = await self._advice.find_one({"_id": country, "held.holdId": hold_id})
        if document is None:
            return
        if accepted:
            await self._take(_waiting(document), document)
        else:
            await self._advice.update_one({"_id": country, "held.holdId": hold_id}, {"$unset": {"held": ""}})

    async def release_due(self, now: datetime) -> None:
        """Whatever was held until now counts: silence means go."""
        async for document in self._advice.find({"held.until": {"$lte": now}}):
            await self._take(_waiting(document), document)

    async def _hold(self, arrived: _Arrived, document: Document | None, until: datetime) -> None:
        event, waiting = arrived.event, (document or {}).get("held")
        known = max((document or {}).get("version", 0), waiting["version"] if waiting else 0)
        if known >= event.advice_version:
            return
        held = {
            "version": event.advice_version,
            "until": until,
            "holdId": event.hold_id,
            "raises": raises_alert(event) or bool(waiting and waiting["raises"]),
            "eventId": arrived.event_id,
            "at": arrived.at,
            "event": event.model_dump(mode="json", by_alias=True),
        }
        new: Document = {"version": 0, "negative": False}
        await self._advice.update_one(
            {"_id": event.country}, {"$set": {"held": held}, "$setOnInsert": new}, upsert=True
        )

    async def _take(self, arrived: _Arrived, document: Document | None) -> None:
        event, held = arrived.event, (document or {}).get("held")
        former = CountryAdvice.model_validate(document["state"]) if document and "state" in document else None
        after = evolve(former, event, arrived.event_id, arrived.at)
        if after is former:
            return
        # What was held and is overtaken by a newer version raised nothing yet: the newer one does.
        overtaken = held if held is not None and held["version"] <= event.advice_version else None
        fields = {
            "version": after.advice_version,
            "negative": after.is_negative_somewhere,
            "raises": raises_alert(event) or bool(overtaken and overtaken["raises"]),
            "state": after.model_dump(mode="json", by_alias=True),
        }
        change: Document = {"$set": fields}
        if overtaken is not None:
            change["$unset"] = {"held": ""}
        try:
            await self._advice.update_one(
                {"_id": event.country, "version": {"$lt": after.advice_version}}, change, upsert=True
            )
        except DuplicateKeyError:
            return  # another member of the group was faster with the same version or a newer one

    async def get(self, country: str) -> CountryAdvice | None:
        """The advice for a country; None where none is known."""
        document = await self._advice.find_one({"_id": country}, {"state": 1})
        return CountryAdvice.model_validate(document["state"]) if document and "state" in document else None

    async def held(self, country: str) -> bool:
        """Whether alerts of this country wait for their time or for a person."""
        return await self._advice.find_one({"_id": country, "held": {"$ne": None}}, {"_id": 1}) is not None

    async def is_current(self, country: str, version: int, session: Session | None = None) -> bool:
        """Whether no newer advice is known."""
        found = await self._advice.find_one({"_id": country, "version": version}, {"_id": 1}, session=session)
        return found is not None

    async def raises_alert(self, country: str, version: int) -> bool:
        """Whether this version, when it is the current one, asks for a pass over everybody."""
        found = await self._advice.find_one({"_id": country, "version": version, "raises": True}, {"_id": 1})
        return found is not None

    async def urls(self, countries: list[str]) -> dict[str, str]:
        """The page of the advice for each of these countries."""
        found = self._advice.find({"_id": {"$in": countries}, "state": {"$ne": None}}, {"state.url": 1})
        return {str(document["_id"]): str(document["state"]["url"]) async for document in found}

    async def negative(self, countries: Collection[str] | None = None) -> list[str]:
        """Countries whose advice is negative at least in a part."""
        query: dict[str, object] = {"negative": True}
        if countries is not None:
            query["_id"] = {"$in": sorted(countries)}
        return sorted([str(document["_id"]) async for document in self._advice.find(query, {"_id": 1})])

    async def unswept(self, today: date) -> list[str]:
        """Negative countries in which not everybody was looked at under this version and on this day."""
        query = {
            "negative": True,
            "$or": [{"swept.day": {"$ne": today.isoformat()}}, {"$expr": {"$ne": ["$swept.version", "$version"]}}],
        }
        return sorted([str(document["_id"]) async for document in self._advice.find(query, {"_id": 1})])

    async def note_swept(self, country: str, version: int, today: date) -> None:
        """Everybody was looked at under this version and on this day."""
        await self._advice.update_one(
            {"_id": country, "version": version}, {"$set": {"swept": {"version": version, "day": today.isoformat()}}}
        )


def _decision(document: Document | None, hold_id: str | None) -> bool | None:
    decided: list[Any] = (document or {}).get("decided", [])
    return next((bool(each["accepted"]) for each in reversed(decided) if each["holdId"] == hold_id), None)


def _waiting(document: Document) -> _Arrived:
    held = document["held"]
    return _Arrived(TravelAdviceChanged.model_validate(held["event"]), held["eventId"], held["at"])
