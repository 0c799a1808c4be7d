"""The notify service: its parts, what it subscribes to, what it runs, and its HTTP routes."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from fastapi import FastAPI

from services.notify import handlers, texts
from services.notify.api import (
    alerts,
    answers,
    replies,
    returns,
    roll_call,
    webhooks,
    whereabouts,
    whereabouts_summary,
)
from services.notify.background import run_in_background
from services.notify.pages.answer import Pages
from services.notify.settings import Settings
from services.notify.wiring import Parts, assemble
from shared.bus.bus import Bus
from shared.bus.handler_subscription import Handler
from shared.events import AlertEvent, Event
from shared.observability import logs
from shared.process import Process, app_from_environment
from shared.web.routes import Routes

DESCRIPTION = "Everyone affected is told, and what became of it is known (R19, R26-R28)."
T = TypeVar("T")
log = logs.get_logger()


def build(settings: Settings) -> FastAPI:
    """The service with these settings; nothing runs until the app starts."""
    process = Process("notify", settings)
    if settings.allow_list is not None:
        step = "none in a test copy; else unset RECIPIENT_ALLOW_LIST"
        log.warning("recipients_limited", count=len(settings.allow_list), next_step=step)
    parts = assemble(process, settings)
    stores = parts.stores
    process.publish(stores.outbox, AlertEvent.topic)
    for store in (
        stores.outbox, stores.whereabouts, stores.alerts, stores.send_queue, stores.deliveries, stores.callbacks,
        stores.providers, stores.provider_health, stores.planned_mails, stores.office_cases,
    ):  # fmt: skip
        process.at_start(store.create_indexes)
    process.at_start(partial(stores.alerts.note_closing_times, stores.outbox))
    process.at_start(stores.whereabouts.contacts.add_phone_ends)
    subscribe(process.bus, parts.handlers)
    run_in_background(process, settings, parts)
    pages = answers.error_pages(Pages(parts.live))
    return process.app("Safe Passage: notify", DESCRIPTION, _routes(process, settings, parts), texts.PROBLEMS, pages)


def from_environment() -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`."""
    return app_from_environment("notify", Settings, build)


def subscribe(bus: Bus, deps: handlers.HandlerDeps) -> None:
    """Subscribe the handlers that handlers.py lists: one subscription for each topic."""

    def with_deps(handle: Callable[[T, handlers.HandlerDeps], Awaitable[None]]) -> Callable[[T], Awaitable[None]]:
        return deps.notices.live.throughout(lambda event_or_batch: handle(event_or_batch, deps))

    for topic, project in handlers.PROJECTIONS.items():
        bus.project(topic, with_deps(project), ordered=topic != AlertEvent.topic)
    by_topic: dict[str, dict[type[Event], Handler]] = defaultdict(dict)
    for event, handle in handlers.SUBSCRIPTIONS.items():
        by_topic[event.topic][event] = with_deps(handle)
    for topic, subscribed in by_topic.items():
        bus.subscribe(topic, subscribed, ordered=False)


def _routes(process: Process, settings: Settings, parts: Parts) -> list[Routes]:
    stores = parts.stores
    return [
        whereabouts.routes(
            whereabouts.WhereaboutsApiDeps(
                selection=parts.handlers.selection,
                bus=process.bus,
                keyring=process.keyring,
            )
        ),
        alerts.routes(
            alerts.AlertApiDeps(
                commands=parts.commands,
                selection=parts.handlers.selection,
                send_queue=stores.send_queue,
                callbacks=stores.callbacks,
                bus=process.bus,
                messages=parts.messages,
                live=parts.live,
                answer_base_url=settings.answer_base_url,
            )
        ),
        whereabouts_summary.routes(
            whereabouts_summary.SummaryDeps(
                whereabouts=stores.whereabouts,
                advice=stores.advice,
                bus=process.bus,
            )
        ),
        roll_call.routes(
            roll_call.RollCallDeps(
                commands=parts.commands,
                contacts=stores.whereabouts.contacts,
                unjudged=stores.whereabouts.unjudged,
                bus=process.bus,
            )
        ),
        answers.routes(
            answers.AnswerDeps(
                outbox=stores.outbox,
                deliveries=stores.deliveries,
                alerts=stores.alerts,
                contacts=stores.whereabouts.contacts,
                pages=Pages(parts.live),
                scanner_seconds=settings.scanner_seconds,
            )
        ),
        returns.routes(
            returns.ReturnDeps(
                outbox=stores.outbox,
                answers=stores.deliveries.answers,
                deliveries=stores.deliveries,
                planned=stores.planned_mails,
                whereabouts=stores.whereabouts,
                pages=Pages(parts.live),
                scanner_seconds=settings.scanner_seconds,
            )
        ),
        replies.routes(
            replies.ReplyDeps(
                commands=parts.commands,
                callbacks=stores.callbacks,
                contacts=stores.whereabouts.contacts,
            )
        ),
        webhooks.routes(
            webhooks.WebhookDeps(
                callbacks=stores.callbacks,
                providers=parts.sms_providers,
                base_url=settings.answer_base_url,
            )
        ),
    ]
