"""The only import of motor: one client per process, majority everywhere, transactions that retry whole.

Why motor and what follows it: docs/decisions/0002-motor.md.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
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

from shared.errors import TransientError
from shared.mongo.retry import retry

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
    "insert",
]

#: MongoDB's code of a duplicate key.
DUPLICATE = 11_000
MAJORITY = WriteConcern("majority", wtimeout=10_000, j=True)
#: Between two attempts at a transaction that others push aside.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.1


class MongoUnavailable(TransientError):
    """MongoDB did not answer in time: nothing is known to be stored; ask again."""


class Mongo:
    """One client. Databases are named `<namespace><name>`; every write is majority and journaled.

    Instants are kept as aware UTC datetimes. `transaction_seconds` bounds a whole transaction with its retries.
    """

    def __init__(self, url: str, *, namespace: str = "", transaction_seconds: float = 15.0) -> None:
        self._client: Client = AsyncIOMotorClient(
            url,
            serverSelectionTimeoutMS=5_000,
            connectTimeoutMS=5_000,
            socketTimeoutMS=60_000,
            maxPoolSize=64,
            tz_aware=True,
            appname="safe-passage",
        )
        self._namespace = namespace
        self._transaction_seconds = transaction_seconds

    def database(self, name: str) -> Database:
        """The database `<namespace><name>`, majority reads and writes on the primary."""
        return self._client.get_database(
            self._namespace + name,
            read_concern=ReadConcern("majority"),
            write_concern=MAJORITY,
            read_preference=ReadPreference.PRIMARY,
        )

    async def transaction(self, work: Callable[[Session], Coroutine[Any, Any, T]], *, insist: bool = True) -> T:
        """Run `work(session)` in one snapshot transaction, majority committed when this returns.

        `work` may run several times: no I/O in it but MongoDB with this session. DuplicateKeyError ends the
        transaction and reaches the caller, and so does, without `insist`, the OperationFailure of one that others
        pushed aside: nothing of it is kept. Raises MongoUnavailable when no commit succeeded in time.
        """
        try:
            async with asyncio.timeout(self._transaction_seconds):
                # Beginning and ending a session asks the server nothing: no need of motor's threads for that.
                session: Session = AsyncIOMotorClientSession(self._client.delegate.start_session(), self._client)
                try:
                    return await self._committed(session, work, insist)
                finally:
                    # A cancelled abort goes on in its thread and may end the transaction before this does.
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

    async def _committed(self, session: Session, work: Callable[[Session], Coroutine[Any, Any, T]], insist: bool) -> T:
        """The whole again for as long as others push it aside; the commit again while its fate is not known.

        Not motor's `with_transaction`: that commits outside of what it repeats, so a conflict found by the commit
        reaches the caller.
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
                with contextlib.suppress(InvalidOperation):  # the commit has ended it
                    await session.abort_transaction()
                if not error.has_error_label("TransientTransactionError"):
                    raise
                if isinstance(error, OperationFailure) and not insist:
                    raise
            await asyncio.sleep(pause * random.random())
            pause = min(pause * 2 or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """A session whose reads all see one moment (no transaction, no writes)."""
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
        """Forget the database `<namespace><name>`: for tests and shadow databases."""
        await self._client.drop_database(self._namespace + name)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()


async def insert(collection: Collection, documents: list[Document], session: Session) -> None:
    """Insert many in a transaction. One kind of error for one cause: DuplicateKeyError, whoever noticed it."""
    try:
        await collection.insert_many(documents, session=session)
    except BulkWriteError as error:
        if all(each["code"] == DUPLICATE for each in error.details["writeErrors"]):
            raise DuplicateKeyError("a key is taken", DUPLICATE) from None
        raise


async def _commit(session: Session) -> None:
    while True:
        try:
            await session.commit_transaction()
            return
        except PyMongoError as error:
            if not error.has_error_label("UnknownTransactionCommitResult"):
                raise
            await asyncio.sleep(FIRST_PAUSE_SECONDS)
