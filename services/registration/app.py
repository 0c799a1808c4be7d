"""The registration service, wired."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from services.registration import erasing, handlers, scheduler
from services.registration.api import decisions as decisions_api
from services.registration.api import documents as documents_api
from services.registration.api import persons as persons_api
from services.registration.api import registrations as registrations_api
from services.registration.api import sessions as sessions_api
from services.registration.api import tasks as tasks_api
from services.registration.api import trips as trips_api
from services.registration.commands import Desk
from services.registration.documents import forget_what_nobody_names
from services.registration.keeping import Documents
from services.registration.persons_store import PersonsStore
from services.registration.reconsideration import Desk as Reconsiderations
from services.registration.reconsideration import sweep
from services.registration.settings import Settings
from services.registration.store import Store
from shared import catalogue, gazetteer
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
    known = catalogue.load(settings.catalogue_dir)
    reconsiderations = Reconsiderations(process.mongo, store, gazetteer.resolve, known)
    persons = PersonsStore(process.database)
    documents = Documents(process.database, process.keyring, settings.scanner)
    desk = Desk(
        process.mongo,
        process.database,
        store,
        persons,
        process.keyring,
        known,
        reconsiderations,
        documents,
        GroupCommit(process.mongo, process.database),
        exceptions_at_orange=settings.exceptions_at_orange,
    )
    on_approval = partial(
        handlers.reconsider_registrations_when_approval_changed,
        desk=reconsiderations,
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
            TravelAdviceChanged: partial(handlers.follow_travel_advice_when_changed, desk=reconsiderations),
            SourceChecked: partial(handlers.keep_freshness_when_source_checked, desk=reconsiderations),
        },
        ordered=False,
    )

    async def look_again() -> None:
        await sweep(reconsiderations, utc_now())
        await forget_what_nobody_names(desk, utc_now())

    async def follow_the_clock() -> None:
        await scheduler.follow_the_clock(reconsiderations, utc_now())

    async def forget_documents(person_id: str, registration_ids: Sequence[str]) -> None:
        await documents.files.delete_of(person_id)

    erasures = erasing.Desk(process.mongo, process.database, store, persons, process.keyring, (forget_documents,))

    async def take_notifications(envelopes: Sequence[Envelope[Event]]) -> None:
        await persons.follow_alerts(envelopes)
        await scheduler.ask_after_failures(reconsiderations, envelopes)

    async def erase_what_is_due() -> None:
        await erasing.finish_all(erasures, utc_now())
        if settings.retention_days is not None:
            await erasing.keep_retention(erasures, timedelta(days=settings.retention_days), now=utc_now())

    process.prepares(persons.create_indexes)
    process.repeats("scheduler", settings.scheduler_seconds, follow_the_clock)
    process.repeats("erasures", settings.erasure_seconds, erase_what_is_due)
    process.bus.project(AlertEvent.topic, take_notifications, ordered=False)

    process.publishes(store.outbox, RegistrationEvent.topic)
    process.prepares(store.create_indexes)
    process.prepares(documents.create_indexes)
    process.repeats("sweep", settings.sweep_seconds, look_again)
    room = roomy(settings.document_limit_bytes, settings.document_timeout_seconds)
    routers = [
        registrations_api.routes(desk),
        decisions_api.routes(desk),
        documents_api.routes(desk, room),
        tasks_api.routes(desk),
        trips_api.routes(desk),
        sessions_api.routes(desk),
        persons_api.routes(erasures),
    ]
    return process.app("Safe Passage: registration", DESCRIPTION, routers)


def from_environment() -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`."""
    return freeze_gc_after_startup(build(read_environment(Settings)))
