"""Answers to alerts, folded from `PersonAnswered`, and the tokens of the links by which people answer.

`answers`: {_id `<alert>:<person>`, alertId, personId, answer, given, rev}. `answer` is the one that counts
(model/answers.py); `rev` guards against a competing writer.
"""

import asyncio
from collections.abc import Collection
from datetime import datetime
from weakref import WeakValueDictionary

from services.notify.model.answers import AnswerRecord, standing_answer
from services.notify.model.shards import digest
from shared.events import PersonAnswered
from shared.mongo.client import ASCENDING, Database, DuplicateKeyError, IndexModel
from shared.mongo.retry import retry
from shared.privacy.service_key import ServiceKey

ATTEMPTS = 12


class _AnswersMoved(Exception):
    """A competing writer stored an answer of the same person first."""


class AnswerStore:
    """The answers of each person to each alert. Storing the same event twice changes nothing."""

    def __init__(self, database: Database, key: ServiceKey) -> None:
        self._answers = database["answers"]
        self._key = key
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def turn(self, alert_id: str, person_id: str) -> asyncio.Lock:
        """Held while an answer of this person is decided and stored: in one process they follow one another."""
        return self._turns.setdefault((alert_id, person_id), asyncio.Lock())

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._answers.create_indexes(
            [IndexModel([("alertId", ASCENDING)], name="alert"), IndexModel([("answer", ASCENDING)], name="answer")]
        )

    def link_token(self, alert_id: str, person_id: str) -> str:
        """The last part of a person's answer link: alert and person, readable only with the service key."""
        return self._key.ticket(digest(alert_id)[:4] + digest(person_id))

    def read_link_token(self, token: str) -> tuple[bytes, bytes] | None:
        """The first four bytes of the alert's digest and the person's digest; None when this is no token of ours."""
        block = self._key.read_ticket(token)
        return (block[:4], block[4:]) if block is not None else None

    async def store(self, event_id: str, known_at: datetime, event: PersonAnswered) -> None:
        """Add an answer to those of its person, and decide anew which one counts."""
        record = AnswerRecord.of(event_id, known_at, event)
        what = f"answers of alert {event.alert_id}, event {event_id}"
        conflicts = (_AnswersMoved, DuplicateKeyError)
        await retry(lambda: self._add(event, record), what=what, retry_on=conflicts, attempts=ATTEMPTS)

    async def _add(self, event: PersonAnswered, record: AnswerRecord) -> None:
        document_id = f"{event.alert_id}:{event.person_id}"
        stored = await self._answers.find_one({"_id": document_id})
        records = [AnswerRecord.model_validate(answer) for answer in stored["given"]] if stored else []
        if any(earlier.event_id == record.event_id for earlier in records):
            return
        records.append(record)
        document = {
            "alertId": event.alert_id,
            "personId": event.person_id,
            "answer": standing_answer(records),
            "given": [answer.model_dump(mode="json", by_alias=True) for answer in records],
            "rev": len(records),
        }
        unchanged = {"_id": document_id, "rev": stored["rev"] if stored else 0}
        result = await self._answers.replace_one(unchanged, document, upsert=stored is None)
        if not result.matched_count and result.upserted_id is None:
            raise _AnswersMoved

    async def standing(self, alert_id: str, person_id: str) -> str | None:
        """The answer of a person that counts; None: no answer."""
        document = await self._answers.find_one({"_id": f"{alert_id}:{person_id}"}, {"answer": 1})
        return str(document["answer"]) if document else None

    async def standing_by_person(self, alert_id: str) -> dict[str, str]:
        """Person → the answer that counts."""
        documents = self._answers.find({"alertId": alert_id}, {"personId": 1, "answer": 1})
        return {str(document["personId"]): str(document["answer"]) async for document in documents}

    async def records(self, alert_id: str, persons: Collection[str]) -> dict[str, list[AnswerRecord]]:
        """Person → all their answers to an alert."""
        documents = self._answers.find(
            {"alertId": alert_id, "personId": {"$in": list(persons)}}, {"personId": 1, "given": 1}
        )
        return {
            str(document["personId"]): [AnswerRecord.model_validate(answer) for answer in document["given"]]
            async for document in documents
        }

    async def persons_asking_for_help(self) -> dict[str, list[str]]:
        """Alert → the persons whose cry for help stands: no officer has heard since that they are safe."""
        asking: dict[str, list[str]] = {}
        async for document in self._answers.find({"answer": "help"}, {"alertId": 1, "personId": 1}):
            asking.setdefault(str(document["alertId"]), []).append(str(document["personId"]))
        return asking

    async def persons_who_answered(self, alert_id: str, answers: Collection[str]) -> list[str]:
        """The persons whose standing answer is one of these."""
        documents = self._answers.find({"alertId": alert_id, "answer": {"$in": list(answers)}}, {"personId": 1})
        return [str(document["personId"]) async for document in documents]
