"""Adopts the batches in a file, one after the other, in a process that a test may kill.

`python -m tests.faults.reading_process MONGO NAMESPACE FILE`
"""

import asyncio
import sys
from pathlib import Path

from services.safety.reading import Batch
from shared.errors import TransientError
from shared.mongo.client import Mongo, PyMongoError
from tests.integration.safety_world import SafetyWorld


async def take(mongo_url: str, namespace: str, file: Path) -> None:
    """Each line is a batch. If it could not be stored, it is adopted again, as the next reading would."""
    mongo = Mongo(mongo_url, namespace=namespace)
    world = SafetyWorld(mongo)
    for line in file.read_text(encoding="utf-8").splitlines():
        batch = Batch.model_validate_json(line)
        world.now = max(reading.source_modified_at for reading in batch.countries)
        for _ in range(50):
            try:
                await world.read(batch.countries, batch.parser_version)
                break
            except (TransientError, PyMongoError):
                continue
    mongo.close()


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
