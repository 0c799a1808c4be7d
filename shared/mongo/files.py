"""Files of any size in GridFS, streamed in and out; a name is never a path, it is not even kept here.

`<name>.files`, `<name>.chunks`. A file that was not closed was never there.
"""

from collections.abc import AsyncIterator
from datetime import datetime

from gridfs.errors import NoFile

from shared.mongo.client import ASCENDING, AsyncIOMotorGridFSBucket, Database, IndexModel


class Files:
    """The files of one kind. `chunk_bytes`: what is written in pieces of exactly this size is read in the same."""

    def __init__(self, database: Database, name: str, chunk_bytes: int) -> None:
        self._bucket = AsyncIOMotorGridFSBucket(database, bucket_name=name, chunk_size_bytes=chunk_bytes)
        self._files = database[f"{name}.files"]

    async def create_indexes(self) -> None:
        """Idempotent. GridFS makes those that it needs itself."""
        await self._files.create_indexes(
            [
                IndexModel([("metadata.owner", ASCENDING)], name="owner"),
                IndexModel([("metadata.trusted", ASCENDING), ("uploadDate", ASCENDING)], name="doubted"),
            ]
        )

    async def write(self, file_id: str, owner: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep what comes, majority committed; whatever interrupts it leaves nothing."""
        file = self._bucket.open_upload_stream_with_id(file_id, "-", metadata={"owner": owner, "trusted": False})
        try:
            async for chunk in chunks:
                await file.write(chunk)
        except BaseException:
            await file.abort()
            raise
        await file.close()

    async def read(self, file_id: str) -> AsyncIterator[bytes] | None:
        """The file in its chunks; None when it is not there."""
        try:
            file = await self._bucket.open_download_stream(file_id)
        except NoFile:
            return None

        async def chunks() -> AsyncIterator[bytes]:
            while chunk := await file.readchunk():
                yield chunk

        return chunks()

    async def delete(self, file_id: str) -> None:
        """Forget it; one that is not there is forgotten already."""
        try:
            await self._bucket.delete(file_id)
        except NoFile:
            return

    async def delete_of(self, owner: str) -> int:
        """Forget everything of an owner; returns how many files that were."""
        found = [str(document["_id"]) async for document in self._files.find({"metadata.owner": owner}, {"_id": 1})]
        for file_id in found:
            await self.delete(file_id)
        return len(found)

    async def doubted(self, before: datetime, limit: int) -> list[str]:
        """The oldest files, finished before a moment, of which it is not known whether anything names them."""
        query = {"metadata.trusted": False, "uploadDate": {"$lt": before}}
        found = self._files.find(query, {"_id": 1}).sort("uploadDate", 1).limit(limit)
        return [str(document["_id"]) async for document in found]

    async def trust(self, file_id: str) -> None:
        """Something names it."""
        await self._files.update_one({"_id": file_id}, {"$set": {"metadata.trusted": True}})

    async def doubt(self, file_id: str) -> None:
        """Something is about to stop naming it: it will have to be looked at again."""
        await self._files.update_one({"_id": file_id}, {"$set": {"metadata.trusted": False}})
