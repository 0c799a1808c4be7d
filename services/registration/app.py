"""The registration service, wired."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from services.registration import erasure, handlers, scheduler
from services.registration.api import decisions as decisions_api
from services.registration.api import documents as documents_api
from services.registration.api import group_trips as trips_api
from services.registration.api import persons as persons_api
from services.registration.api import registrations as registrations_api
from services.registration.api import safety_session as sessions_api
from services.registration.api import tasks as tasks_api
from services.registration.commands.documents import delete_unreferenced_documents
from services.registration.commands.registrations import CommandDeps
from services.registration.document_storage import DocumentStorage
from services.registration.evaluation import EvaluationDeps, sweep
from services.registration.settings import Settings
from services.registration.store.persons import PersonsStore
from services.registration.store.store import Store
from shared import catalogue_files, gazetteer
from shared.clock import utc_now
from shared.envelope import Envelope
from shared.events import (
    AlertEvent,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalWithdrawn,
    Event,
    RegistrationEvent,
    SourceChecked,
    TravelAdviceChanged,
)
from shared.mongo.group_commit import GroupCommit
from shared.process import Process, freeze_gc_after_startup
from shared.settings import from_environment as read_environment
from shared.web.routes import roomy

DESCRIPTION = "Who goes where and when, and whether they may (R1, R2, R6-R16, R18-R21, R23-R25)."

APPROVAL, ADVICE = ApprovalEvent.topic, TravelAdviceChanged.topic


def build(settings: Settings) -> FastAPI:
    """The service with these settings; nothing runs until the app starts."""
    process = Process("registration", settings)
    store = Store(process.database)
    known = catalogue_files.load(settings.catalogue_dir)
    evaluation = EvaluationDeps(process.mongo, store, gazetteer.resolve, known)
    persons = PersonsStore(process.database)
    documents = DocumentStorage(process.database, process.keyring, settings.scanner)
    deps = CommandDeps(
        process.mongo,
        process.database,
        store,
        persons,
        process.keyring,
        known,
        evaluation,
        documents,
        GroupCommit(process.mongo, process.database),
        exceptions_at_orange=settings.exceptions_at_orange,
    )
    on_approval = partial(
        handlers.evaluate_registrations_when_approval_changed,
        deps=evaluation,
        inbox=process.bus.inbox,
        group=process.bus.group(APPROVAL),
    )
    process.bus.subscribe(
        APPROVAL,
        dict.fromkeys(
            (ApprovalRequested, ApprovalGranted, ApprovalReturned, ApprovalRefused, ApprovalWithdrawn), on_approval
        ),
    )
    process.bus.subscribe(
        ADVICE,
        {
            TravelAdviceChanged: partial(handlers.evaluate_registrations_when_travel_advice_changed, deps=evaluation),
            SourceChecked: partial(handlers.save_freshness_when_source_checked, deps=evaluation),
        },
        ordered=False,
    )

    async def look_again() -> None:
        await sweep(evaluation, utc_now())
        await delete_unreferenced_documents(deps, utc_now())

    async def run_due() -> None:
        await scheduler.run_due(evaluation, utc_now())

    async def forget_documents(person_id: str, registration_ids: Sequence[str]) -> None:
        await documents.files.delete_of(person_id)

    erasures = erasure.ErasureDeps(
        process.mongo, process.database, store, persons, process.keyring, (forget_documents,)
    )

    async def take_notifications(envelopes: Sequence[Envelope[Event]]) -> None:
        await persons.follow_alerts(envelopes)
        await scheduler.remind_after_failed_messages(evaluation, envelopes)

    async def erase_what_is_due() -> None:
        await erasure.finish_all(erasures, utc_now())
        if settings.retention_days is not None:
            await erasure.erase_after_retention(erasures, timedelta(days=settings.retention_days), now=utc_now())

    process.prepares(persons.create_indexes)
    process.repeats("scheduler", settings.scheduler_seconds, run_due)
    process.repeats("erasures", settings.erasure_seconds, erase_what_is_due)
    process.bus.project(AlertEvent.topic, take_notifications, ordered=False)

    process.publishes(store.outbox, RegistrationEvent.topic)
    process.prepares(store.create_indexes)
    process.prepares(documents.create_indexes)
    process.repeats("sweep", settings.sweep_seconds, look_again)
    room = roomy(settings.document_limit_bytes, settings.document_timeout_seconds)
    routers = [
        registrations_api.routes(deps),
        decisions_api.routes(deps),
        documents_api.routes(deps, room),
        tasks_api.routes(deps),
        trips_api.routes(deps),
        sessions_api.routes(deps),
        persons_api.routes(erasures),
    ]
    return process.app("Safe Passage: registration", DESCRIPTION, routers)


def from_environment() -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`."""
    return freeze_gc_after_startup(build(read_environment(Settings)))
