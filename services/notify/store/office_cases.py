"""Cases that wait for offices, and the mails that told of them.

`officecases`: {_id case, version, state, mailedBy, mailbox, mailedAt}. `mailedBy`: null until it is decided whether the
case gets a mail at once; then the id of that notice, or `digest`. A case that opens again is decided anew.
`officedigests`: {_id Amsterdam date}: the days whose digests are made.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import date, datetime

from services.notify.model.office_cases import CaseChange, CaseKind, OfficeCase, fold_changes
from services.notify.rules.office_mail import EMERGENCY_KINDS, EMERGENCY_RULES
from shared.mongo.client import (
    ASCENDING,
    BulkWriteError,
    Database,
    Document,
    IndexModel,
    Session,
    UpdateMany,
    UpdateOne,
    raise_unless_duplicates,
)
from shared.mongo.retry import retry

#: Emergencies beside those kinds: tasks of these rules.
_BY_RULE: Document = {"state.rule": {"$in": [*EMERGENCY_RULES]}}
#: `mailedBy` of a case that only stands in the digest.
IN_DIGEST = "digest"
ATTEMPTS = 8


class _CaseMoved(Exception):
    """A competing writer changed one of the cases first."""


class OfficeCaseStore:
    """Cases by id. An older version never replaces a newer one."""

    def __init__(self, database: Database) -> None:
        self._cases = database["officecases"]
        self._digests = database["officedigests"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._cases.create_indexes(
            [
                IndexModel([("mailedBy", ASCENDING), ("state.openedAt", ASCENDING)], name="undecided"),
                IndexModel([("mailbox", ASCENDING), ("mailedAt", ASCENDING)], name="mailbox", sparse=True),
                IndexModel([("state.isOpen", ASCENDING)], name="open"),
            ]
        )

    async def apply(self, changes: Sequence[CaseChange]) -> None:
        """Store what the changes leave different."""
        if changes:
            await retry(
                lambda: self._apply(changes), what="cases of offices", retry_on=(_CaseMoved,), attempts=ATTEMPTS
            )

    async def _apply(self, changes: Sequence[CaseChange]) -> None:
        before = await self._load({change.case_id for change in changes})
        after = fold_changes(before, changes)
        writes = []
        for case_id, case in after.items():
            stored = before.get(case_id)
            fields: Document = {"version": case.version, "state": case.model_dump(mode="json", by_alias=True)}
            if stored is None or stored.opened_at != case.opened_at:
                fields |= {"mailedBy": None}
            unchanged = {"_id": case_id, "version": stored.version if stored else 0}
            writes.append(UpdateOne(unchanged, {"$set": fields}, upsert=stored is None))
        if not writes:
            return
        try:
            result = await self._cases.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            raise_unless_duplicates(error)
            raise _CaseMoved from error
        if result.matched_count + len(result.upserted_ids or {}) < len(writes):
            raise _CaseMoved

    async def _load(self, case_ids: Collection[str]) -> dict[str, OfficeCase]:
        documents = self._cases.find({"_id": {"$in": list(case_ids)}}, {"state": 1})
        return {str(document["_id"]): OfficeCase.model_validate(document["state"]) async for document in documents}

    async def undecided(self, limit: int) -> list[OfficeCase]:
        """Cases of which it is not decided whether they get a mail at once: emergencies first, then the oldest."""
        emergencies = await self._undecided({"$or": [{"state.kind": {"$in": [*EMERGENCY_KINDS]}}, _BY_RULE]}, limit)
        others = await self._undecided({"state.kind": {"$nin": [*EMERGENCY_KINDS]}, "$nor": [_BY_RULE]}, limit)
        return [*emergencies, *others]

    async def count_undecided(self) -> int:
        """How many cases wait for the decision whether they get a mail at once."""
        return int(await self._cases.count_documents({"mailedBy": None}))

    async def open_of_kind(self, kind: CaseKind) -> list[OfficeCase]:
        """The open cases of a kind."""
        documents = self._cases.find({"state.isOpen": True, "state.kind": kind.value}, {"state": 1})
        return [OfficeCase.model_validate(document["state"]) async for document in documents]

    async def _undecided(self, query: Document, limit: int) -> list[OfficeCase]:
        undecided = {"mailedBy": None, **query}
        documents = self._cases.find(undecided, {"state": 1}).sort("state.openedAt", 1).limit(limit)
        return [OfficeCase.model_validate(document["state"]) async for document in documents]

    async def open_cases(self, batch: int) -> AsyncIterator[list[OfficeCase]]:
        """All open cases, in batches."""
        cases: list[OfficeCase] = []
        async for document in self._cases.find({"state.isOpen": True}, {"state": 1}):
            cases.append(OfficeCase.model_validate(document["state"]))
            if len(cases) == batch:
                yield cases
                cases = []
        if cases:
            yield cases

    async def mailed_between(self, mailbox: str, since: datetime, now: datetime) -> bool:
        """Whether the mailbox got a mail about a case after `since`.

        A mail later than `now` does not count: a clock that was wrong for a moment must not silence an office.
        """
        query = {"mailbox": mailbox, "mailedAt": {"$gt": since, "$lte": now}}
        return await self._cases.find_one(query, {"_id": 1}) is not None

    async def note_mailed(
        self, cases: Sequence[OfficeCase], notice: str, mailbox: str, now: datetime, session: Session | None = None
    ) -> None:
        """The cases stand in this notice to the mailbox."""
        mailed = {"mailedBy": notice, "mailbox": mailbox, "mailedAt": now}
        await self._cases.bulk_write([_decided(cases, mailed)], session=session)

    async def leave_to_digest(self, cases: Sequence[OfficeCase]) -> None:
        """The cases get no mail at once."""
        if cases:
            await self._cases.bulk_write([_decided(cases, {"mailedBy": IN_DIGEST})])

    async def is_digest_made(self, day: date) -> bool:
        """Whether the digests of that day were made."""
        return await self._digests.find_one({"_id": day.isoformat()}) is not None

    async def note_digest_made(self, day: date) -> None:
        """The digests of that day were made."""
        await self._digests.update_one({"_id": day.isoformat()}, {"$set": {}}, upsert=True)


def _decided(cases: Sequence[OfficeCase], fields: Document) -> UpdateMany:
    return UpdateMany({"_id": {"$in": [case.case_id for case in cases]}, "mailedBy": None}, {"$set": fields})
