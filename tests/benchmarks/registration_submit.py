"""Submitting a registration over HTTP, durable and decided, against a bare route that validates and inserts."""

from shared.events import Level
from shared.ids import new_id
from shared.mongo.client import Mongo
from tests.benchmarks.measure import Measure, Where
from tests.benchmarks.served import beside_a_bare_route
from tests.contracts.services_world import Person, registration_body
from tests.integration.registration_parts import CATALOGUE, parts

FULL = 1_500


async def run(where: Where) -> list[Measure]:
    """A country whose advice is known, so that each submission is decided."""
    namespace = f"bench-{new_id()[-6:]}-"
    bodies = [registration_body(Person(f"bench-{number}", ("student",))) for number in range(20)]
    async with parts(where.mongo, namespace) as made:
        await made.advise("ES", Level.YELLOW, 1)
    try:
        return [
            await beside_a_bare_route(
                where, namespace, "registration", "/v1/registrations", bodies, where.size(FULL),
                {"CATALOGUE_DIR": str(CATALOGUE)},
            )
        ]  # fmt: skip
    finally:
        mongo = Mongo(where.mongo, namespace=namespace)
        for name in ("registration", "bare", "keyring"):
            await mongo.drop(name)
        mongo.close()
