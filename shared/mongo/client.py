"""The MongoDB client of a process, and the only import of motor. Reads and writes are majority, transactions repeat.

Why motor, and its successor: docs/decisions/0002-motor.md.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
    AsyncIOMotorGridFSBucket,
)
from pymongo import ASCENDING, IndexModel, InsertOne, ReadPreference, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from shared.errors import PermanentError, TransientError
from shared.mongo.retry import retry
from shared.mongo.url import read_url

Document: TypeAlias = dict[str, Any]
if TYPE_CHECKING:  # generic for the type checker only
    Session: TypeAlias = AsyncIOMotorClientSession
    Collection: TypeAlias = AsyncIOMotorCollection[Document]
    Database: TypeAlias = AsyncIOMotorDatabase[Document]
    Client: TypeAlias = AsyncIOMotorClient[Document]
else:
    Session, Collection, Database, Client = (
        AsyncIOMotorClientSession,
        AsyncIOMotorCollection,
        AsyncIOMotorDatabase,
        AsyncIOMotorClient,
    )
T = TypeVar("T")

__all__ = [
    "ASCENDING",
    "AsyncIOMotorGridFSBucket",
    "AutoReconnect",
    "BulkWriteError",
    "Collection",
    "ConnectionFailure",
    "Database",
    "Document",
    "DuplicateKeyError",
    "IndexModel",
    "InsertOne",
    "Mongo",
    "MongoUnavailable",
    "OperationFailure",
    "PyMongoError",
    "ReadConcern",
    "ReplaceOne",
    "Session",
    "UpdateMany",
    "UpdateOne",
    "WrongAddress",
    "insert",
    "raise_unless_duplicates",
    "upsert_guarded",
]

DUPLICATE_KEY_CODE = 11_000  # of MongoDB
MAJORITY = WriteConcern("majority", wtimeout=10_000, j=True)
#: Pause before a transaction that a competing one aborted is repeated: the first, doubling up to the longest.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.1


class MongoUnavailable(TransientError):
    """MongoDB did not answer in time. Whether the write was stored is not known; it may be tried again."""


class WrongAddress(PermanentError):
    """MongoDB's driver does not understand the URL, or cannot read a file that it names."""


class Mongo:
    """A client. Databases are named `<namespace><name>`; every write is majority and journaled.

    Datetimes are aware and UTC. Raises WrongAddress. `transaction_seconds` bounds a transaction with all its repeats.
    A connection that was idle for `idle_seconds` is closed: a firewall on the way may have forgotten it, and then an
    operation would wait for the whole socketTimeoutMS. The driver itself sets TCP keepalive, and watches each server
    over a connection of its own: when that one is gone, it drops all others.
    """

    def __init__(
        self, url: str, *, namespace: str = "", transaction_seconds: float = 15.0, idle_seconds: float = 60.0
    ) -> None:
        try:
            read_url(url)  # the driver itself only warns of `tls=ture`, and then connects without
        except ValueError as error:
            raise WrongAddress(f"MONGO_URL {error}") from None
        self._client: Client = AsyncIOMotorClient(
            url,
            serverSelectionTimeoutMS=5_000,
            connectTimeoutMS=5_000,
            socketTimeoutMS=60_000,
            maxIdleTimeMS=round(idle_seconds * 1_000),
            maxPoolSize=64,
            tz_aware=True,
            appname="safe-passage",
        )
        self._namespace = namespace
        self._transaction_seconds = transaction_seconds

    def database(self, name: str) -> Database:
        """The database `<namespace><name>`, with majority reads and writes on the primary."""
        return self._client.get_database(
            self._namespace + name,
            read_concern=ReadConcern("majority"),
            write_concern=MAJORITY,
            read_preference=ReadPreference.PRIMARY,
        )

    async def transaction(self, work: Callable[[Session], Coroutine[Any, Any, T]], *, insist: bool = True) -> T:
        """Run `work(session)` in one snapshot transaction, which is majority committed when this returns.

        `work` may run several times, so it does no I/O but MongoDB with this session. A transaction that a competing
        one aborted is repeated; with `insist=False` its OperationFailure is raised instead. DuplicateKeyError aborts
        the transaction and is raised: see `transact`. Raises MongoUnavailable when no commit succeeded in time.
        """
        try:
            async with asyncio.timeout(self._transaction_seconds):
                # Starting and ending a session sends nothing to the server: no need for one of motor's threads.
                session: Session = AsyncIOMotorClientSession(self._client.delegate.start_session(), self._client)
                try:
                    return await self._run_and_commit(session, work, insist)
                finally:
                    # An abort that was cancelled goes on in its thread and may end the transaction first.
                    with contextlib.suppress(InvalidOperation):
                        if session.delegate.in_transaction:
                            await session.end_session()
                        else:
                            session.delegate.end_session()
        except (TimeoutError, ConnectionFailure) as error:
            raise MongoUnavailable(f"no commit within {self._transaction_seconds} s") from error

    async def transact(
        self,
        work: Callable[[Session], Coroutine[Any, Any, T]],
        *,
        what: str,
        retry_on: tuple[type[Exception], ...] = (DuplicateKeyError,),
        attempts: int = 8,
        pause_seconds: float = 0.0,
    ) -> T:
        """`transaction(work)`, repeated while a competing writer's commit makes it raise one of `retry_on`.

        Raises TransientError, which names `what` (e.g. "stream NL-12"), after `attempts`: see `shared.mongo.retry`.
        """
        return await retry(
            lambda: self.transaction(work),
            what=what,
            retry_on=retry_on,
            attempts=attempts,
            pause_seconds=pause_seconds,
        )

    async def _run_and_commit(
        self, session: Session, work: Callable[[Session], Coroutine[Any, Any, T]], insist: bool
    ) -> T:
        """Repeat the transaction while competing ones abort it, and the commit while its outcome is unknown.

        Motor's `with_transaction` does not repeat when the commit itself finds the conflict; this does.
        """
        pause = 0.0
        while True:
            session.start_transaction(
                read_concern=ReadConcern("snapshot"),
                write_concern=MAJORITY,
                read_preference=ReadPreference.PRIMARY,
                max_commit_time_ms=10_000,
            )
            try:
                result: T = await work(session)
                await _commit(session)
                return result
            except PyMongoError as error:
                with contextlib.suppress(InvalidOperation):  # the commit has ended the transaction
                    await session.abort_transaction()
                if not error.has_error_label("TransientTransactionError"):
                    raise
                if isinstance(error, OperationFailure) and not insist:
                    raise
            await asyncio.sleep(pause * random.random())
            pause = min(pause * 2 or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """A session whose reads all see the same moment. No transaction, no writes."""
        async with await self._client.start_session(snapshot=True) as session:
            yield session

    async def ping(self) -> None:
        """Raises MongoUnavailable when the primary does not answer within 3 s."""
        try:
            async with asyncio.timeout(3):
                await self._client.admin.command("ping")
        except (TimeoutError, PyMongoError) as error:
            raise MongoUnavailable("ping failed") from error

    async def drop(self, name: str) -> None:
        """Delete the database `<namespace><name>`: for tests and shadow databases."""
        await self._client.drop_database(self._namespace + name)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()


async def insert(collection: Collection, documents: list[Document], session: Session) -> None:
    """Insert many documents in a transaction. Raises DuplicateKeyError for a taken key, never BulkWriteError."""
    try:
        await collection.insert_many(documents, session=session)
    except BulkWriteError as error:
        if all(write_error["code"] == DUPLICATE_KEY_CODE for write_error in error.details["writeErrors"]):
            raise DuplicateKeyError("a key is taken", DUPLICATE_KEY_CODE) from None
        raise


async def upsert_guarded(collection: Collection, updates: Sequence[UpdateOne]) -> None:
    """Upsert by id and a guard, such as an older version: a document that is newer already stays as it is."""
    if not updates:
        return
    try:
        await collection.bulk_write(updates, ordered=False)
    except BulkWriteError as error:
        # The upsert of an older version collides with the id of the newer one: the guard at work.
        raise_unless_duplicates(error)


def raise_unless_duplicates(error: BulkWriteError) -> None:
    """Raise the error again unless all its failures are duplicate keys."""
    details = error.details or {}
    failures = details.get("writeErrors") or [{}]
    if details.get("writeConcernErrors") or any(failure.get("code") != DUPLICATE_KEY_CODE for failure in failures):
        raise error


async def _commit(session: Session) -> None:
    while True:
        try:
            await session.commit_transaction()
            return
        except PyMongoError as error:
            if not error.has_error_label("UnknownTransactionCommitResult"):
                raise
            await asyncio.sleep(FIRST_PAUSE_SECONDS)
