"""What providers last answered, which all notify processes share.

`provider_health`: {_id provider, acceptedAt, refusedAt, refusedCode, failingSince, accountRefusedAt, accountCode}
`provider_answers`: {_id `<provider>:<minute>`, provider, at, answers, refusals}.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notify.rules.provider_health import RECENT, ProviderRecord
from shared.mongo.client import ASCENDING, Database, Document, IndexModel

MINUTES_KEPT_SECONDS = 3_600
#: A stored time that is so much later than a new answer comes from a clock that was ahead.
CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(slots=True)
class ProviderAnswers:
    """A provider's answers of about a second. Times are None where there was no such answer."""

    answers: int = 0
    refusals: int = 0
    accepted_at: datetime | None = None
    refused_at: datetime | None = None
    refused_code: str = ""
    failed_at: datetime | None = None
    account_refused_at: datetime | None = None
    account_code: str = ""


class ProviderHealthStore:
    """The last answers of each provider in MongoDB."""

    def __init__(self, database: Database) -> None:
        self._health = database["provider_health"]
        self._minutes = database["provider_answers"]

    async def create_indexes(self) -> None:
        """Create the indexes; idempotent."""
        by_age = IndexModel([("at", ASCENDING)], name="kept", expireAfterSeconds=MINUTES_KEPT_SECONDS)
        await self._minutes.create_indexes([by_age])

    async def add(self, provider: str, answers: ProviderAnswers) -> None:
        """Add answers. Processes may add in any order: of two times the later one stays, unless it is in the future."""
        at = max(moment for moment in (answers.accepted_at, answers.refused_at) if moment is not None)
        update = [{"$set": _without_future(at)}, {"$set": _later_times(answers)}]
        if answers.failed_at is not None:
            # The failing began with this answer, unless it had begun before and nothing was accepted in between.
            has_begun = {"$gt": ["$failingSince", {"$ifNull": ["$acceptedAt", None]}]}
            update.append({"$set": {"failingSince": {"$cond": [has_begun, "$failingSince", answers.failed_at]}}})
        await self._health.update_one({"_id": provider}, update, upsert=True)
        minute = at.replace(second=0, microsecond=0)
        await self._minutes.update_one(
            {"_id": f"{provider}:{minute.isoformat()}"},
            {
                "$inc": {"answers": answers.answers, "refusals": answers.refusals},
                "$setOnInsert": {"provider": provider, "at": minute},
            },
            upsert=True,
        )

    async def records(self, now: datetime) -> dict[str, ProviderRecord]:
        """Provider → its record, for the providers that were asked at least once."""
        counted: dict[str, list[int]] = {}
        async for minute in self._minutes.find({"at": {"$gte": now - RECENT}}):
            sums = counted.setdefault(str(minute["provider"]), [0, 0])
            sums[0] += int(minute["answers"])
            sums[1] += int(minute["refusals"])
        return {
            str(document["_id"]): _record(document, *counted.get(str(document["_id"]), (0, 0)))
            async for document in self._health.find({})
        }


def _without_future(at: datetime) -> Document:
    """The fields of an update that moves times from a clock that was ahead back to this answer: it hides nothing."""
    names = ("acceptedAt", "refusedAt", "failingSince", "accountRefusedAt")
    return {name: {"$cond": [{"$gt": [f"${name}", at + CLOCKS_DIFFER]}, at, f"${name}"]} for name in names}


def _later_times(answers: ProviderAnswers) -> Document:
    """The fields of an update that never goes back in time; a code goes along with its time."""
    fields: Document = {}
    if answers.accepted_at is not None:
        fields["acceptedAt"] = {"$max": ["$acceptedAt", answers.accepted_at]}
    for name, code_name, at, code in (
        ("refusedAt", "refusedCode", answers.refused_at, answers.refused_code),
        ("accountRefusedAt", "accountCode", answers.account_refused_at, answers.account_code),
    ):
        if at is not None:
            is_later = {"$gte": [at, {"$ifNull": [f"${name}", None]}]}
            fields[name] = {"$cond": [is_later, at, f"${name}"]}
            fields[code_name] = {"$cond": [is_later, {"$literal": code}, f"${code_name}"]}
    return fields


def _record(document: Document, answers: int, refusals: int) -> ProviderRecord:
    return ProviderRecord(
        document.get("acceptedAt"),
        document.get("refusedAt"),
        document.get("refusedCode", ""),
        document.get("failingSince"),
        document.get("accountRefusedAt"),
        document.get("accountCode", ""),
        answers,
        refusals,
    )
