"""The approval service, wired."""

from fastapi import FastAPI

from services.approval.api import catalogue, requests
from services.approval.deps import CommandDeps
from services.approval.settings import Settings
from services.approval.slots import fill_free_slots
from services.approval.store.requests import Store
from shared.clock import utc_now
from shared.events import ApprovalEvent
from shared.mongo.group_commit import GroupCommit
from shared.process import Process, freeze_gc_after_startup
from shared.settings import from_environment as read_environment

DESCRIPTION = "Nobody goes abroad for their studies without their programme's approval (R3-R5, R29-R37)."


def build(settings: Settings) -> FastAPI:
    """The service with these settings. Nothing runs until the app starts. Raises BrokenCatalogue."""
    process = Process("approval", settings)
    deps = CommandDeps(
        mongo=process.mongo,
        database=process.database,
        store=Store(process.database),
        keyring=process.keyring,
        live=process.follow_catalogue(settings),
        commits=GroupCommit(process.mongo, process.database),
    )

    async def fill() -> None:
        await fill_free_slots(deps, utc_now())

    process.publish(deps.store.outbox, ApprovalEvent.topic)
    process.at_start(deps.store.create_indexes)
    process.every("places", settings.places_seconds, fill)
    return process.app("Safe Passage: approval", DESCRIPTION, [requests.routes(deps), catalogue.routes(deps)])


def from_environment() -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`."""
    return freeze_gc_after_startup(build(read_environment(Settings)))
