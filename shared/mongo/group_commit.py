"""Documents that are all new share a transaction with whatever others insert at the same moment (decision 0022)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.errors import TransientError
from shared.mongo.client import Database, Document, Mongo, Session, insert

#: So many of those who wait share a transaction.
MOST_TOGETHER = 64

#: Collection → documents that are not there yet.
New = Mapping[str, Sequence[Document]]


class _Waiting(NamedTuple):
    new: New
    done: asyncio.Future[None]


class GroupCommit:
    """Inserts into one database. While a transaction is under way whoever comes waits for the next one.

    Only for what reads nothing in its transaction: everybody's documents are theirs alone, or somebody's id is taken.
    """

    def __init__(self, mongo: Mongo, database: Database) -> None:
        self._mongo = mongo
        self._database = database
        self._waiting: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()

    async def insert(self, new: New) -> None:
        """All of these documents or none, majority committed when this returns.

        Raises DuplicateKeyError when one of them is there already, MongoUnavailable when no commit succeeded in time.
        What others insert at the same moment is never the reason for either.
        """
        loop = asyncio.get_running_loop()
        mine = _Waiting(new, loop.create_future())
        self._waiting.append(mine)
        if self._committing is None:
            self._committing = loop.create_task(self._run())
        await mine.done

    async def _run(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                await self._commit([each for each in some if not each.done.done()])
        finally:
            self._committing = None

    async def _commit(self, some: Sequence[_Waiting]) -> None:
        """All in one transaction; where something is in the way of one of them, each alone, and the next need not wait.

        So somebody's key that a dying process still holds is waited for by nobody else.
        """
        try:
            if some:
                await self._inserted(some, insist=False)
        except TransientError as error:
            _tell(some, error)
        except Exception:
            for each in some:
                task = asyncio.create_task(self._commit_alone(each))
                self._alone.add(task)
                task.add_done_callback(self._alone.discard)
        except BaseException:
            for each in some:
                each.done.cancel()
            raise
        else:
            _tell(some, None)

    async def _commit_alone(self, one: _Waiting) -> None:
        try:
            await self._inserted([one], insist=True)
        # Whatever it is, it belongs to whoever waits.
        except Exception as error:
            _tell([one], error)
        else:
            _tell([one], None)

    async def _inserted(self, some: Sequence[_Waiting], *, insist: bool) -> None:
        async def work(session: Session) -> None:
            await insert_all(self._database, _merged(some), session)

        await self._mongo.transaction(work, insist=insist)


def _tell(some: Sequence[_Waiting], failure: Exception | None) -> None:
    for each in some:
        if each.done.done():
            continue  # nobody waits for it any more
        if failure is None:
            each.done.set_result(None)
        else:
            each.done.set_exception(failure)


async def insert_all(database: Database, new: New, session: Session) -> None:
    """Insert all of these in the caller's transaction. Raises DuplicateKeyError when one of them is there already."""
    for name, documents in new.items():
        if documents:
            await insert(database[name], list(documents), session)


def _merged(some: Sequence[_Waiting]) -> dict[str, list[Document]]:
    merged: dict[str, list[Document]] = {}
    for each in some:
        for name, documents in each.new.items():
            merged.setdefault(name, []).extend(documents)
    return merged
