"""Files of any size in GridFS (`<name>.files`, `<name>.chunks`), written and read as streams.

A file exists once it is closed. File names are not stored here. A file is *trusted* while a document refers to it;
untrusted files are candidates for deletion.
"""

from collections.abc import AsyncIterator
from datetime import datetime

from gridfs.errors import NoFile

from shared.mongo.client import ASCENDING, AsyncIOMotorGridFSBucket, Database, IndexModel


class Files:
    """The files of one kind. Chunks of exactly `chunk_bytes` are read back as the same chunks."""

    def __init__(self, database: Database, name: str, chunk_bytes: int) -> None:
        self._bucket = AsyncIOMotorGridFSBucket(database, bucket_name=name, chunk_size_bytes=chunk_bytes)
        self._files = database[f"{name}.files"]

    async def create_indexes(self) -> None:
        """Idempotent. GridFS creates its own indexes."""
        await self._files.create_indexes(
            [
                IndexModel([("metadata.owner", ASCENDING)], name="owner"),
                IndexModel([("metadata.trusted", ASCENDING), ("uploadDate", ASCENDING)], name="doubted"),
            ]
        )

    async def write(self, file_id: str, owner: str, chunks: AsyncIterator[bytes]) -> None:
        """Store the chunks, majority committed when this returns. An error or a cancellation leaves no file."""
        file = self._bucket.open_upload_stream_with_id(file_id, "-", metadata={"owner": owner, "trusted": False})
        try:
            async for chunk in chunks:
                await file.write(chunk)
        except BaseException:
            await file.abort()
            raise
        await file.close()

    async def read(self, file_id: str) -> AsyncIterator[bytes] | None:
        """The chunks of a file; None when there is no such file."""
        try:
            file = await self._bucket.open_download_stream(file_id)
        except NoFile:
            return None

        async def chunks() -> AsyncIterator[bytes]:
            while chunk := await file.readchunk():
                yield chunk

        return chunks()

    async def delete(self, file_id: str) -> None:
        """Delete the file, if it exists."""
        try:
            await self._bucket.delete(file_id)
        except NoFile:
            return

    async def delete_of(self, owner: str) -> int:
        """Delete every file of an owner. Returns how many."""
        file_ids = [str(document["_id"]) async for document in self._files.find({"metadata.owner": owner}, {"_id": 1})]
        for file_id in file_ids:
            await self.delete(file_id)
        return len(file_ids)

    async def doubted(self, before: datetime, limit: int) -> list[str]:
        """Ids of the oldest untrusted files that were closed before an instant."""
        query = {"metadata.trusted": False, "uploadDate": {"$lt": before}}
        files = self._files.find(query, {"_id": 1}).sort("uploadDate", 1).limit(limit)
        return [str(file["_id"]) async for file in files]

    async def trust(self, file_id: str) -> None:
        """A document refers to the file."""
        await self._files.update_one({"_id": file_id}, {"$set": {"metadata.trusted": True}})

    async def doubt(self, file_id: str) -> None:
        """A document is about to drop its reference: the file must be checked again."""
        await self._files.update_one({"_id": file_id}, {"$set": {"metadata.trusted": False}})
