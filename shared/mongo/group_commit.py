"""Group commit: requests that only insert new documents at the same moment share one transaction.

Why, and what it must not change: docs/decisions/0022-new-things-share-a-transaction.md.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.errors import TransientError
from shared.mongo.client import Database, Document, Mongo, Session, insert

#: At most this many requests share a transaction.
MAX_GROUP = 64

#: Collection → new documents.
NewDocuments = Mapping[str, Sequence[Document]]


class _Request(NamedTuple):
    new: NewDocuments
    done: asyncio.Future[None]


class GroupCommit:
    """Inserts into one database. Requests that come during a transaction wait for the next one.

    Only for requests that read nothing in their transaction, and whose documents have ids of their own.
    """

    def __init__(self, mongo: Mongo, database: Database) -> None:
        self._mongo = mongo
        self._database = database
        self._waiting: list[_Request] = []
        self._committing: asyncio.Task[None] | None = None
        self._single_commits: set[asyncio.Task[None]] = set()

    async def insert(self, new: NewDocuments) -> None:
        """Insert all of these documents or none; they are majority committed when this returns.

        Raises DuplicateKeyError when one of them is stored already, MongoUnavailable when no commit succeeded in time.
        Another request of the same transaction never causes either.
        """
        loop = asyncio.get_running_loop()
        request = _Request(new, loop.create_future())
        self._waiting.append(request)
        if self._committing is None:
            self._committing = loop.create_task(self._run())
        await request.done

    async def _run(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                await self._commit([request for request in group if not request.done.done()])
        finally:
            self._committing = None

    async def _commit(self, group: Sequence[_Request]) -> None:
        """Insert the group in one transaction; if that fails, each request in a transaction of its own.

        The next group does not wait for those: a key that a dying process still locks delays only the requests that
        need that key.
        """
        try:
            if group:
                await self._insert(group, insist=False)
        except TransientError as error:
            _finish(group, error)
        except Exception:
            for request in group:
                task = asyncio.create_task(self._commit_single(request))
                self._single_commits.add(task)
                task.add_done_callback(self._single_commits.discard)
        except BaseException:
            for request in group:
                request.done.cancel()
            raise
        else:
            _finish(group, None)

    async def _commit_single(self, request: _Request) -> None:
        try:
            await self._insert([request], insist=True)
        # Any error goes to the caller of this request.
        except Exception as error:
            _finish([request], error)
        else:
            _finish([request], None)

    async def _insert(self, group: Sequence[_Request], *, insist: bool) -> None:
        async def work(session: Session) -> None:
            await insert_all(self._database, _merged(group), session)

        await self._mongo.transaction(work, insist=insist)


async def insert_all(database: Database, new: NewDocuments, session: Session) -> None:
    """Insert the documents in the caller's transaction. Raises DuplicateKeyError when one of them is stored already."""
    for name, documents in new.items():
        if documents:
            await insert(database[name], list(documents), session)


def _finish(group: Sequence[_Request], error: Exception | None) -> None:
    for request in group:
        if request.done.done():
            continue  # its caller no longer waits
        if error is None:
            request.done.set_result(None)
        else:
            request.done.set_exception(error)


def _merged(group: Sequence[_Request]) -> dict[str, list[Document]]:
    merged: dict[str, list[Document]] = {}
    for request in group:
        for name, documents in request.new.items():
            merged.setdefault(name, []).extend(documents)
    return merged
