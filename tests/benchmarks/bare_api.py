"""The floor of the submissions: a FastAPI route that validates the same body and inserts it with majority, nothing
else.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uuid_utils
from fastapi import FastAPI
from pydantic import BaseModel

from services.approval.api.bodies import RequestBody
from services.registration.api.bodies import RegistrationBody
from shared.mongo.client import Mongo, Session

mongo = Mongo(os.environ["MONGO_URL"], namespace=os.environ["NAMESPACE"])


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    for name in ("requests", "registrations"):  # or sixteen transactions that all make it push each other aside
        await mongo.database("bare").create_collection(name)
    yield
    mongo.close()


app = FastAPI(lifespan=_lifespan)


@app.post("/v1/approval-requests", status_code=201)
async def request(body: RequestBody) -> dict[str, str]:
    """Validate, insert, commit."""
    return await _inserted("requests", body)


@app.post("/v1/registrations", status_code=201)
async def register(body: RegistrationBody) -> dict[str, str]:
    """Validate, insert, commit."""
    return await _inserted("registrations", body)


async def _inserted(collection: str, body: BaseModel) -> dict[str, str]:
    document = {"_id": str(uuid_utils.uuid7()), **body.model_dump(mode="json", by_alias=True)}

    bare = mongo.database("bare")

    async def work(session: Session) -> None:
        await bare[collection].insert_one(document, session=session)

    async with await bare.client.start_session() as session:
        await session.with_transaction(work)
    return {"id": document["_id"]}
