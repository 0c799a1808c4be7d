"""Wires the registration service: clients, handlers, periodic work and routes. Nothing runs until the app starts."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from services.registration import api, handlers, scheduler, texts
from services.registration.commands.deps import UPLOADS_OF_ONE, CommandDeps, DocumentLimits
from services.registration.commands.documents import delete_unreferenced_documents
from services.registration.commands.erasure import ErasureDeps, finish_open_erasures
from services.registration.decision_inputs import EvaluationDeps
from services.registration.document_storage import DocumentStorage
from services.registration.evaluation import sweep
from services.registration.reported_returns import record_reported_returns
from services.registration.retention import erase_after_retention
from services.registration.search_index import complete_search_index
from services.registration.settings import Settings
from services.registration.store import open_work
from services.registration.store.persons import PersonsStore
from services.registration.store.registrations import Store
from shared import gazetteer
from shared.catalogue import Catalogue
from shared.clock import amsterdam_date, utc_now
from shared.envelope import Envelope
from shared.events import AlertEvent, ApprovalEvent, Event, RegistrationEvent, TravelAdviceChanged
from shared.mongo.group_commit import GroupCommit
from shared.observability import logs
from shared.open_work import OpenWork, OpenWorkCheck
from shared.process import Process, app_from_environment
from shared.web.routes import roomy
from shared.web.slots import Slots

log = logs.get_logger()

DESCRIPTION = "Who goes where and when, and whether they may (R1, R2, R6-R16, R18-R21, R23-R25)."


def build(settings: Settings) -> FastAPI:
    """The service with these settings."""
    process = Process("registration", settings)
    mongo, database, keyring = process.mongo, process.database, process.keyring
    store, persons = Store(database), PersonsStore(database)
    documents = DocumentStorage(database, keyring, settings.scanner)
    if settings.accept_unscanned_documents:
        log.warning("documents_not_scanned", next_step="none, if this was decided; else set CLAMD")
    live = process.follow_catalogue(settings)
    evaluation = EvaluationDeps(mongo=mongo, store=store, resolve=gazetteer.resolve, live=live)
    commands = CommandDeps(
        mongo=mongo,
        database=database,
        store=store,
        persons=persons,
        keyring=keyring,
        evaluation=evaluation,
        documents=documents,
        group_commit=GroupCommit(mongo, database),
        exceptions_at_orange=settings.exceptions_at_orange,
        smtp_non_ascii=settings.smtp_non_ascii,
        document_limits=DocumentLimits(
            settings.document_registration_bytes,
            settings.document_person_bytes,
            Slots(settings.document_uploads, of_one=UPLOADS_OF_ONE, wait_seconds=settings.document_upload_wait_seconds),
        ),
    )

    async def forget_texts_in_clear(person_id: str, registration_ids: Sequence[str]) -> None:
        catalogue = live.current
        named = {kind for faculty_id in catalogue.faculties for kind in catalogue.document_kinds(faculty_id)}
        await persons.forget_texts_in_clear(person_id, named)

    erasures = ErasureDeps(
        mongo=mongo,
        database=database,
        store=store,
        persons=persons,
        keyring=keyring,
        delete_elsewhere=(documents.delete_of_person, store.search.erase, forget_texts_in_clear),
        set_aside=process.set_aside,
    )

    async def without_home(catalogue: Catalogue) -> Sequence[OpenWork]:
        return await open_work.registrations_without_home(database, catalogue, amsterdam_date(utc_now()))

    process.add_checks(OpenWorkCheck(live, without_home).health)
    process.add_checks(store.unjudged.health)
    _subscribe(process, evaluation, persons)
    _repeat(process, settings, commands, erasures)
    process.publish(store.outbox, RegistrationEvent.topic)
    for create_indexes in (store.create_indexes, persons.create_indexes, documents.create_indexes):
        process.at_start(create_indexes)
    upload_limits = roomy(settings.document_limit_bytes, settings.document_timeout_seconds)
    routers = api.routers(commands, erasures, upload_limits)
    phrases = (*texts.REASONS.values(), *texts.STAFF.values(), *texts.PROBLEMS)
    return process.app("Safe Passage: registration", DESCRIPTION, routers, phrases)


def _subscribe(process: Process, evaluation: EvaluationDeps, persons: PersonsStore) -> None:
    """What the service reads from Kafka. Only approvals are `ordered`: advice and alert events are complete each."""
    deps = handlers.HandlerDeps(
        evaluation=evaluation, inbox=process.bus.inbox, approval_group=process.bus.group(ApprovalEvent.topic)
    )
    throughout = evaluation.live.throughout
    process.bus.subscribe_in_batches(
        ApprovalEvent.topic,
        handlers.APPROVALS,
        throughout(partial(handlers.evaluate_registrations_when_approvals_changed, deps=deps)),
    )
    advice = {event: throughout(partial(handler, deps=deps)) for event, handler in handlers.SUBSCRIPTIONS.items()}
    process.bus.subscribe(TravelAdviceChanged.topic, advice, ordered=False)

    async def project_notifications(envelopes: Sequence[Envelope[Event]]) -> None:
        await persons.save_alerts(envelopes)
        await scheduler.remind_after_failed_messages(evaluation, envelopes)
        await record_reported_returns(evaluation, envelopes)

    process.bus.project(AlertEvent.topic, project_notifications, ordered=False)


def _repeat(process: Process, settings: Settings, commands: CommandDeps, erasures: ErasureDeps) -> None:
    """Periodic work, each under a lease: one instance of the service runs it at a time."""

    attempt = process.set_aside.attempt

    async def run_sweep() -> None:
        await attempt("step", "evaluation", partial(sweep, commands.evaluation, utc_now()))
        await attempt("step", "documents", partial(delete_unreferenced_documents, commands, utc_now()))
        await attempt("step", "search index", partial(complete_search_index, commands.store, commands.keyring))

    async def run_scheduler() -> None:
        await scheduler.run_due(commands.evaluation, utc_now())

    async def run_erasures() -> None:
        await attempt("step", "open erasures", partial(finish_open_erasures, erasures, utc_now()))
        if settings.retention_days is not None:
            kept = timedelta(days=settings.retention_days)
            await attempt("step", "retention", partial(erase_after_retention, erasures, kept, now=utc_now()))

    process.every("scheduler", settings.scheduler_seconds, run_scheduler)
    process.every("erasures", settings.erasure_seconds, run_erasures)
    process.every("sweep", settings.sweep_seconds, run_sweep)


def from_environment() -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`."""
    return app_from_environment("registration", Settings, build)
