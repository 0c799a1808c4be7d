"""A relay in a process of its own, to be killed: `python -m tests.faults.relay_process KAFKA MONGO NAMESPACE`."""

import asyncio
import sys
from types import SimpleNamespace

from tests.integration.bus_world import side

if __name__ == "__main__":
    kafka, mongo, namespace = sys.argv[1:]
    asyncio.run(side(SimpleNamespace(kafka=kafka, mongo=mongo), namespace, "registration", "killed").relay().run())
