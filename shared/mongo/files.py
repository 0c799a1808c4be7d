"""Files of any size in GridFS (`<name>.files`, `<name>.chunks`), written and read as streams.

File names are not stored here. A file is *trusted* while a document refers to it; untrusted files are candidates for
deletion, and so is a file of which a crash left only a part.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from gridfs.errors import NoFile

from shared.errors import TransientError
from shared.mongo.client import ASCENDING, AsyncIOMotorGridFSBucket, Database, Document, IndexModel


class Files:
    """The files of one kind. Chunks of exactly `chunk_bytes` are read back as the same chunks."""

    def __init__(self, database: Database, name: str, chunk_bytes: int) -> None:
        self._bucket = AsyncIOMotorGridFSBucket(database, bucket_name=name, chunk_size_bytes=chunk_bytes)
        self._chunk_bytes = chunk_bytes
        self._files = database[f"{name}.files"]
        self._chunks = database[f"{name}.chunks"]

    async def create_indexes(self) -> None:
        """Idempotent. That of the chunks is the one of GridFS."""
        await self._chunks.create_indexes([IndexModel([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)])
        await self._files.create_indexes(
            [
                IndexModel([("metadata.owner", ASCENDING)], name="owner"),
                IndexModel([("metadata.trusted", ASCENDING), ("uploadDate", ASCENDING)], name="doubted"),
            ]
        )

    async def write(self, file_id: str, owner: str, chunks: AsyncIterator[bytes]) -> None:
        """Store the chunks, majority committed when this returns. An error or a cancellation leaves no file.

        Each chunk is stored before the next one is asked for. The upload stream of pymongo collects 48 MB of them in
        memory first, so that a few uploads at once would fill it.
        Source: github.com/mongodb/specifications, gridfs-spec.md (files and chunks).
        """
        metadata = {"owner": owner, "trusted": False}
        # First, so that the sweep finds what a crash leaves of it.
        await self._files.insert_one(
            {"_id": file_id, "length": 0, "chunkSize": self._chunk_bytes, "uploadDate": datetime.now(UTC),
             "filename": "-", "metadata": metadata}
        )  # fmt: skip
        try:
            number = length = 0
            async for chunk in chunks:
                await self._chunks.insert_one({"files_id": file_id, "n": number, "data": chunk})
                number, length = number + 1, length + len(chunk)
            closed = {"$set": {"length": length, "uploadDate": datetime.now(UTC)}}
            if not (await self._files.update_one({"_id": file_id}, closed)).matched_count:
                raise TransientError(f"file {file_id} was deleted while it was written: its owner is being erased")
        except BaseException:
            await self._chunks.delete_many({"files_id": file_id})
            await self._files.delete_one({"_id": file_id})
            raise

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

    async def stored_bytes(self, owner: str) -> int:
        """The bytes of all files of an owner, those included that wait for their deletion."""
        pipeline: list[Document] = [
            {"$match": {"metadata.owner": owner}},
            {"$group": {"_id": None, "bytes": {"$sum": "$length"}}},
        ]
        totals = await self._files.aggregate(pipeline).to_list(None)
        return int(totals[0]["bytes"]) if totals else 0

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
