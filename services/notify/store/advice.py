"""The current advice of each country, the advice whose alerts are held, and when everyone affected was last checked.

`advice`: {_id country, version, negative, raises, state, swept: {version, day}, held, decided}. `raises`: this version
asks for a selection run. `held`: a newer advice whose alerts are held (see services/safety). It has no effect until
its hold is accepted or expires. `decided`: decisions about holds, because one may arrive before its advice.
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

#: A hold that has expired before it is read (notify was away) waits this long, for a decision that may follow it.
EXPIRED_HOLD_WAIT = timedelta(seconds=5)
DECISIONS_MAX = 50


@dataclass(frozen=True, slots=True)
class _ArrivedAdvice:
    """An advice with the id and the time of its event."""

    event: TravelAdviceChanged
    event_id: str
    at: datetime


class AdviceStore:
    """The newest advice of each country. An older version never replaces a newer one."""

    def __init__(self, database: Database) -> None:
        self._advice = database["advice"]

    # ------------------------------------------------------------ write

    async def put(self, envelope: Envelope[TravelAdviceChanged], now: datetime) -> None:
        """Store the advice; if its alerts are held, store it as held, and drop it if the hold was rejected already."""
        arrived = _ArrivedAdvice(envelope.data, envelope.id, envelope.time)
        document = await self._advice.find_one({"_id": envelope.data.country})
        until = envelope.data.alerts_held_until
        accepted = _decision(document, envelope.data.hold_id)
        if until is None or accepted is True:
            await self._make_current(arrived, document)
        elif accepted is None:
            await self._hold(arrived, document, max(until, now + EXPIRED_HOLD_WAIT))

    async def decide(self, country: str, hold_id: str, accepted: bool) -> None:
        """Apply the decision about a hold: the held advice becomes current, or is dropped."""
        decided = {"$each": [{"holdId": hold_id, "accepted": accepted}], "$slice": -DECISIONS_MAX}
        new: Document = {"version": 0, "negative": False}
        await self._advice.update_one(
            {"_id": country}, {"$push": {"decided": decided}, "$setOnInsert": new}, upsert=True
        )
        document = await self._advice.find_one({"_id": country, "held.holdId": hold_id})
        if document is None:
            return
        if accepted:
            await self._make_current(_held_advice(document), document)
        else:
            await self._advice.update_one({"_id": country, "held.holdId": hold_id}, {"$unset": {"held": ""}})

    async def release_due(self, now: datetime) -> None:
        """Make every held advice current whose hold has expired: no decision counts as acceptance."""
        async for document in self._advice.find({"held.until": {"$lte": now}}):
            await self._make_current(_held_advice(document), document)

    async def note_swept(self, country: str, version: int, today: date) -> None:
        """Everyone in the country was checked under this version and on this day."""
        await self._advice.update_one(
            {"_id": country, "version": version}, {"$set": {"swept": {"version": version, "day": today.isoformat()}}}
        )

    async def _hold(self, arrived: _ArrivedAdvice, document: Document | None, until: datetime) -> None:
        event, waiting = arrived.event, (document or {}).get("held")
        newest = max((document or {}).get("version", 0), waiting["version"] if waiting else 0)
        if newest >= event.advice_version:
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

    async def _make_current(self, arrived: _ArrivedAdvice, document: Document | None) -> None:
        event, held = arrived.event, (document or {}).get("held")
        before = CountryAdvice.model_validate(document["state"]) if document and "state" in document else None
        after = evolve(before, event, arrived.event_id, arrived.at)
        if after is before:
            return
        # A held advice that this one replaces has raised no alert, so this one raises it.
        replaced = held if held is not None and held["version"] <= event.advice_version else None
        fields = {
            "version": after.advice_version,
            "negative": after.is_negative_somewhere,
            "raises": raises_alert(event) or bool(replaced and replaced["raises"]),
            "state": after.model_dump(mode="json", by_alias=True),
        }
        change: Document = {"$set": fields}
        if replaced is not None:
            change["$unset"] = {"held": ""}
        try:
            await self._advice.update_one(
                {"_id": event.country, "version": {"$lt": after.advice_version}}, change, upsert=True
            )
        except DuplicateKeyError:
            return  # another process has stored the same version or a newer one

    # ------------------------------------------------------------ read

    async def get(self, country: str) -> CountryAdvice | None:
        """The current advice of a country; None when none is known."""
        document = await self._advice.find_one({"_id": country}, {"state": 1})
        return CountryAdvice.model_validate(document["state"]) if document and "state" in document else None

    async def is_current(self, country: str, version: int, session: Session | None = None) -> bool:
        """Whether this version is the current one."""
        query = {"_id": country, "version": version}
        return await self._advice.find_one(query, {"_id": 1}, session=session) is not None

    async def raises_alert(self, country: str, version: int) -> bool:
        """Whether this version is the current one and asks for a selection run."""
        query = {"_id": country, "version": version, "raises": True}
        return await self._advice.find_one(query, {"_id": 1}) is not None

    async def negative(self, countries: Collection[str] | None = None) -> list[str]:
        """The countries, of these or of all, whose advice is negative in at least one area."""
        query: dict[str, object] = {"negative": True}
        if countries is not None:
            query["_id"] = {"$in": sorted(countries)}
        return sorted([str(document["_id"]) async for document in self._advice.find(query, {"_id": 1})])

    async def unswept(self, today: date) -> list[str]:
        """Negative countries in which not everyone was checked under the current version and today."""
        query = {
            "negative": True,
            "$or": [{"swept.day": {"$ne": today.isoformat()}}, {"$expr": {"$ne": ["$swept.version", "$version"]}}],
        }
        return sorted([str(document["_id"]) async for document in self._advice.find(query, {"_id": 1})])

    async def urls(self, countries: list[str]) -> dict[str, str]:
        """The web page of the advice of each of these countries."""
        documents = self._advice.find({"_id": {"$in": countries}, "state": {"$ne": None}}, {"state.url": 1})
        return {str(document["_id"]): str(document["state"]["url"]) async for document in documents}


def _decision(document: Document | None, hold_id: str | None) -> bool | None:
    """Whether the hold was accepted; None when nobody has decided."""
    decided: list[Any] = (document or {}).get("decided", [])
    return next((bool(entry["accepted"]) for entry in reversed(decided) if entry["holdId"] == hold_id), None)


def _held_advice(document: Document) -> _ArrivedAdvice:
    held = document["held"]
    return _ArrivedAdvice(TravelAdviceChanged.model_validate(held["event"]), held["eventId"], held["at"])
