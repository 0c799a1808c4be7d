"""The approval service, wired."""

from collections.abc import Sequence

from fastapi import FastAPI

from services.approval import texts
from services.approval.api import bulk_decisions, requests
from services.approval.api import catalogue as catalogue_api
from services.approval.deps import CommandDeps
from services.approval.settings import Settings
from services.approval.slots import fill_free_slots
from services.approval.store import open_work
from services.approval.store.requests import Store
from shared.catalogue import Catalogue
from shared.clock import amsterdam_date, utc_now
from shared.events import ApprovalEvent
from shared.mongo.group_commit import GroupCommit
from shared.open_work import OpenWork, OpenWorkCheck
from shared.process import Process, app_from_environment

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
        set_aside=process.set_aside,
        smtp_non_ascii=settings.smtp_non_ascii,
    )

    async def requests_without_home(catalogue: Catalogue) -> Sequence[OpenWork]:
        return await open_work.requests_without_home(deps.database, catalogue, amsterdam_date(utc_now()))

    async def fill() -> None:
        await fill_free_slots(deps, utc_now())

    process.publish(deps.store.outbox, ApprovalEvent.topic)
    process.at_start(deps.store.create_indexes)
    process.add_checks(OpenWorkCheck(deps.live, requests_without_home).health)
    process.every("places", settings.places_seconds, fill)
    phrases = (*texts.REASONS.values(), *texts.PROBLEMS)
    routers = [requests.routes(deps), bulk_decisions.routes(deps), catalogue_api.routes(deps)]
    return process.app("Safe Passage: approval", DESCRIPTION, routers, phrases)


def from_environment() -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`."""
    return app_from_environment("approval", Settings, build)
