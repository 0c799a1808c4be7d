"""The notify service, wired."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from fastapi import FastAPI

from services.notify import (
    alert_steps,
    bounce_mailbox,
    escalation,
    follow_ups,
    handlers,
    notices,
    provider_callbacks,
    send_worker,
    unknown_deliveries,
)
from services.notify.api import alerts as alerts_api
from services.notify.api import answers as answers_api
from services.notify.api import replies as replies_api
from services.notify.api import webhooks as webhooks_api
from services.notify.api import whereabouts as whereabouts_api
from services.notify.audience.advice_path import sweep
from services.notify.audience.deps import SelectionDeps
from services.notify.channel_spec import CHANNELS
from services.notify.channels.bounces import parse_bounce
from services.notify.channels.registry import open_channels, open_sms_providers
from services.notify.composer import ComposerDeps
from services.notify.messages.rendering import Messages
from services.notify.model.deliveries import DeliveryState
from services.notify.pages.answer import Pages
from services.notify.rules.escalation import EscalationPolicy
from services.notify.send_deps import SendDeps
from services.notify.sending_rules import SendingRules
from services.notify.settings import Settings
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import AlertStore
from services.notify.store.callbacks import CallbackStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.providers import ProviderStore
from services.notify.store.send_queue import EMERGENCY, NOTICE, SendQueue
from services.notify.store.whereabouts import WhereaboutsStore
from shared import catalogue_files, gazetteer
from shared.bus.bus import Bus
from shared.bus.handler_subscription import Handler
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.envelope import Cause
from shared.events import (
    AlertEvent,
    Channel,
    Event,
    RegistrationEvent,
)
from shared.ids import new_id
from shared.observability import metrics
from shared.observability.health import Check
from shared.privacy.service_key import ServiceKey
from shared.process import Process, freeze_gc_after_startup
from shared.settings import from_environment as read_environment

DESCRIPTION = "Everyone affected is told, and what became of it is known (R19, R26-R28)."
MOST_RESOLVED = 1_000
RESOLVE_SECONDS = 1.0
PROVIDERS_SECONDS = 10.0
T = TypeVar("T")


def build(settings: Settings) -> FastAPI:
    """The service with these settings; nothing runs until the app starts."""
    process = Process("notify", settings)
    university = catalogue_files.load(settings.catalogue_dir)
    key = ServiceKey(settings.service_key)
    outbox = Outbox(process.database, "/notify")
    whereabouts = WhereaboutsStore(process.database, key)
    advice = AdviceStore(process.database)
    alerts = AlertStore(process.database)
    send_queue = SendQueue(process.database, process.instance)
    deliveries = DeliveryStore(process.database, key)
    callbacks = CallbackStore(process.database, key)
    messages = Messages(settings.smtp_sender)
    providers = ProviderStore(process.database)
    sms_members = open_sms_providers(settings)
    sms_providers = {member.name: member.provider for member in sms_members}
    senders = open_channels(settings, sms_members, providers)

    selecting_desk = SelectionDeps(
        mongo=process.mongo,
        outbox=outbox,
        whereabouts=whereabouts,
        advice=advice,
        alerts=alerts,
        send_queue=send_queue,
        offsets=process.bus.offsets,
        templates=messages.versions(),
        drill_list=settings.drill_list,
    )
    notices_desk = notices.NoticeDeps(process.mongo, alerts, send_queue, university, whereabouts, advice)
    ladder = EscalationPolicy(timedelta(minutes=settings.reminder_minutes), timedelta(minutes=settings.crisis_minutes))
    escalating_desk = alert_steps.EscalationDeps(
        process.mongo, outbox, alerts, send_queue, deliveries, whereabouts, notices_desk, ladder
    )
    deps = handlers.HandlerDeps(
        selecting_desk,
        notices_desk,
        escalating_desk,
        deliveries,
        process.keyring,
        gazetteer.resolve,
    )
    rules = SendingRules(
        sender=settings.smtp_sender,
        answer_base_url=settings.answer_base_url,
        chunk_sizes={channel: spec.chunk_size(settings) for channel, spec in CHANNELS.items()},
        allow_list=settings.allow_list,
        bounce_address=settings.bounce_address or None,
        drill_list=settings.drill_list,
    )
    composing = ComposerDeps(messages, university.university, deliveries.answers, rules)
    send_deps = SendDeps(outbox, send_queue, alerts, whereabouts, deliveries, composing)
    receipts_desk = provider_callbacks.CallbackDeps(
        outbox,
        callbacks,
        deliveries,
        alerts,
        whereabouts,
        {
            **{name: provider.parse_receipts for name, provider in sms_providers.items()},
            bounce_mailbox.BOUNCE_PROVIDER: parse_bounce,
        },
        {name: provider.parse_reply for name, provider in sms_providers.items()},
        providers,
    )

    _subscribe(process.bus, deps)

    async def look_again() -> None:
        await sweep(selecting_desk, cause=Cause(new_id(), "sweep"), now=utc_now())

    async def climb() -> None:
        now = utc_now()
        await follow_ups.alert_new_addresses(escalating_desk, Cause(new_id(), "sweep"), now)
        await escalation.run_escalations(escalating_desk, now)

    async def resolve() -> None:
        wait = timedelta(seconds=settings.unknown_wait_seconds)
        resend = settings.unknown_policy == "resend"
        lookups = {channel: each.lookup for channel, each in senders.items() if each.lookup is not None}
        await unknown_deliveries.resolve_unknown(
            send_deps, wait=wait, resend=resend, limit=MOST_RESOLVED, now=utc_now(), lookups=lookups
        )
        await unknown_deliveries.give_up_silent(send_deps, limit=MOST_RESOLVED, now=utc_now())

    async def maintain() -> None:
        for channel_senders in senders.values():
            if channel_senders.maintain is not None:
                await channel_senders.maintain(utc_now())

    process.publishes(outbox, AlertEvent.topic)
    for store in (outbox, whereabouts, alerts, send_queue, deliveries, callbacks, providers):
        process.prepares(store.create_indexes)
    process.repeats("sweep", settings.sweep_seconds, look_again)
    process.repeats("ladder", settings.ladder_seconds, climb)
    process.repeats("unknown", RESOLVE_SECONDS, resolve)
    process.repeats("providers", PROVIDERS_SECONDS, maintain)
    process.leads("callbacks", partial(provider_callbacks.run_callback_worker, receipts_desk))
    if settings.bounce_maildir:
        process.leads("bounces", partial(bounce_mailbox.run_bounce_reader, Path(settings.bounce_maildir), callbacks))
    for number in range(settings.workers + settings.urgent_workers):
        # The last workers of each channel send nothing but alerts, so an alert never waits for reminders.
        is_urgent = number >= settings.workers
        least_urgent = EMERGENCY if is_urgent else NOTICE
        for channel, channel_senders in senders.items():
            provider = channel_senders.urgent if is_urgent else channel_senders.ordinary
            worker = f"{channel.value}-{number}"
            process.works(
                worker, partial(send_worker.run_send_worker, send_deps, channel, provider, worker, least_urgent)
            )
    for channel_senders in senders.values():
        process.closes(channel_senders.close)
    process.checks(lambda: _delivery_checks(deliveries, send_queue))
    return process.app(
        "Safe Passage: notify",
        DESCRIPTION,
        [
            whereabouts_api.routes(whereabouts_api.WhereaboutsApiDeps(whereabouts, advice, process.bus)),
            alerts_api.routes(
                alerts_api.AlertApiDeps(
                    process.mongo,
                    process.database,
                    outbox,
                    alerts,
                    send_queue,
                    deliveries,
                    callbacks,
                    process.bus,
                    selecting_desk,
                    messages,
                    university.university,
                    settings.answer_base_url,
                )
            ),
            answers_api.routes(
                answers_api.AnswerDeps(
                    outbox, deliveries, alerts, Pages(university.university), settings.scanner_seconds
                )
            ),
            replies_api.routes(
                replies_api.ReplyDeps(
                    process.mongo,
                    process.database,
                    outbox,
                    callbacks,
                    alerts,
                    deliveries,
                    whereabouts,
                    {name: provider.parse_reply for name, provider in sms_providers.items()},
                )
            ),
            webhooks_api.routes(webhooks_api.WebhookDeps(callbacks, sms_providers, settings.answer_base_url)),
        ],
    )


def _subscribe(bus: Bus, deps: handlers.HandlerDeps) -> None:
    """What `handlers` registers: one subscription for each topic."""

    def with_deps(handle: Callable[[T, handlers.HandlerDeps], Awaitable[None]]) -> Callable[[T], Awaitable[None]]:
        return lambda event_or_batch: handle(event_or_batch, deps)

    for topic, project in handlers.PROJECTIONS.items():
        bus.project(topic, with_deps(project), ordered=topic == RegistrationEvent.topic)
    by_topic: dict[str, dict[type[Event], Handler]] = defaultdict(dict)
    for event, handle in handlers.SUBSCRIPTIONS.items():
        by_topic[event.topic][event] = with_deps(handle)
    for topic, subscribed in by_topic.items():
        bus.subscribe(topic, subscribed, ordered=False)


def from_environment() -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`."""
    return freeze_gc_after_startup(build(read_environment(Settings)))


async def _delivery_checks(deliveries: DeliveryStore, send_queue: SendQueue) -> Sequence[Check]:
    """Deliveries by state, and for how long the oldest has been waiting."""
    counts = await deliveries.counts()
    for channel in Channel:
        for state in DeliveryState:
            metrics.deliveries.labels(channel.value, state.value).set(counts.get(channel.value, {}).get(state.value, 0))
    oldest = await send_queue.oldest_unsent()
    age = (utc_now() - oldest).total_seconds() if oldest else 0.0
    metrics.oldest_unsent_seconds.set(age)
    unknown = sum(states.get(DeliveryState.UNKNOWN.value, 0) for states in counts.values())
    facts: dict[str, int | float | str | bool] = {"oldest_unsent_seconds": round(age, 3), "unknown": unknown}
    aside = await send_queue.quarantined()
    detail = f"{aside} send jobs are in quarantine" if aside else "work waits for minutes" if age > 300 else "sending"
    return [Check("sending", detail == "sending", False, detail, facts)]
