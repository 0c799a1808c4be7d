"""Service mail to students that is planned, sent or dropped.

`plannedmails`: {_id mail, kind, about, group, version, personId, dueAt, state, reason, mail}. `state`: `waiting`,
`sent` (its notice is stored) or `dropped` (for `reason`). A mail never leaves `sent` or `dropped`, and is never
deleted: so an event that is handled again plans nothing again. `mail` is the PlannedMail. `tag`, `who`: the first four
bytes of the stream's digest and the person's digest, which the link of a mail carries.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.notify.model.planned_mails import PlannedMail
from services.notify.model.shards import digest
from services.notify.rules.service_mail import ASKS_FOR_RETURN, MailPlan, Reason
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session, UpdateMany, UpdateOne


class MailState(StrEnum):
    """How far a mail is."""

    WAITING = "waiting"
    SENT = "sent"
    DROPPED = "dropped"


class PlannedMailStore:
    """Planned mails by id, by stream and by due time."""

    def __init__(self, database: Database) -> None:
        self._mails = database["plannedmails"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        waiting = {"state": MailState.WAITING.value}
        await self._mails.create_indexes(
            [
                IndexModel([("dueAt", ASCENDING)], name="due", partialFilterExpression=waiting),
                IndexModel([("about", ASCENDING)], name="about"),
                IndexModel([("tag", ASCENDING), ("who", ASCENDING)], name="link", sparse=True),
            ]
        )

    async def put(self, plans: Iterable[tuple[str, int, MailPlan]]) -> None:
        """Store what events of these streams, at these versions, ask for: in order, so the last one decides."""
        writes: list[UpdateMany | UpdateOne] = []
        for stream, version, plan in plans:
            if plan.ends:
                writes.append(_end(stream, plan.ends, version))
            writes += [_plan(mail) for mail in plan.mails]
            writes += [_need_no_more(mail) for mail in plan.needless]
        if writes:
            await self._mails.bulk_write(writes, ordered=True)

    async def due(self, now: datetime, limit: int) -> list[PlannedMail]:
        """Waiting mails that are due, the oldest first."""
        query = {"state": MailState.WAITING.value, "dueAt": {"$lte": now}}
        documents = self._mails.find(query, {"mail": 1}).sort("dueAt", 1).limit(limit)
        return [PlannedMail.model_validate(document["mail"]) async for document in documents]

    async def count_due(self, until: datetime) -> int:
        """How many waiting mails are due by then."""
        query = {"state": MailState.WAITING.value, "dueAt": {"$lte": until}}
        return int(await self._mails.count_documents(query))

    async def needless(self, mail_ids: Collection[str]) -> set[str]:
        """Which of these mails were not needed, because the student had registered."""
        query = {"_id": {"$in": list(mail_ids)}, "reason": Reason.REGISTERED.value}
        return {str(document["_id"]) async for document in self._mails.find(query, {"_id": 1})}

    async def settle(self, outcomes: Mapping[str, Reason], session: Session | None = None) -> set[str]:
        """Mails become sent (TRUE) or dropped. Returns those that were waiting until now."""
        query = {"_id": {"$in": list(outcomes)}, "state": MailState.WAITING.value}
        waiting = [str(document["_id"]) async for document in self._mails.find(query, {"_id": 1}, session=session)]
        writes = [
            UpdateOne(
                {"_id": mail_id, "state": MailState.WAITING.value},
                {"$set": {"state": _state(outcomes[mail_id]).value, "reason": outcomes[mail_id].value}},
            )
            for mail_id in waiting
        ]
        if writes:
            await self._mails.bulk_write(writes, ordered=False, session=session)
        return set(waiting)

    async def asked_by_link(self, tag: bytes, who: bytes) -> PlannedMail | None:
        """The newest sent mail whose link carries this tag of its stream and this digest of its person."""
        query = {"tag": tag, "who": who, "kind": ASKS_FOR_RETURN, "state": MailState.SENT.value}
        document = await self._mails.find_one(query, {"mail": 1}, sort=[("dueAt", -1)])
        return PlannedMail.model_validate(document["mail"]) if document else None


def _state(reason: Reason) -> MailState:
    return MailState.SENT if reason is Reason.TRUE else MailState.DROPPED


def _end(stream: str, groups: Collection[str], version: int) -> UpdateMany:
    """Drop the waiting mails of these groups that older events of the stream asked for."""
    waiting = {"about": stream, "state": MailState.WAITING.value, "group": {"$in": list(groups)}}
    dropped = {"state": MailState.DROPPED.value, "reason": Reason.NO_LONGER_TRUE.value}
    return UpdateMany({**waiting, "version": {"$lt": version}}, {"$set": dropped})


def _plan(mail: PlannedMail) -> UpdateOne:
    return UpdateOne({"_id": mail.mail_id}, {"$setOnInsert": _document(mail, MailState.WAITING, "")}, upsert=True)


def _need_no_more(mail: PlannedMail) -> UpdateOne:
    """The mail is dropped, whether its event was handled before or comes later; one that was sent stays sent."""
    fields: Document = {
        name: {"$ifNull": [f"${name}", {"$literal": value}]}
        for name, value in _document(mail, MailState.DROPPED, Reason.REGISTERED.value).items()
    }
    is_sent = {"$eq": ["$state", MailState.SENT.value]}
    fields["state"] = {"$cond": [is_sent, "$state", MailState.DROPPED.value]}
    fields["reason"] = {"$cond": [is_sent, "$reason", Reason.REGISTERED.value]}
    return UpdateOne({"_id": mail.mail_id}, [{"$set": fields}], upsert=True)


def _document(mail: PlannedMail, state: MailState, reason: str) -> dict[str, Any]:
    return {
        "kind": mail.kind,
        "about": mail.about,
        "group": str(mail.group),
        "version": mail.version,
        "personId": mail.person_id,
        "dueAt": mail.due_at,
        "state": state.value,
        "reason": reason,
        "mail": mail.model_dump(mode="json", by_alias=True),
        **({"tag": digest(mail.about)[:4], "who": digest(mail.person_id)} if mail.kind == ASKS_FOR_RETURN else {}),
    }
