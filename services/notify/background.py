"""What notify runs beside HTTP and Kafka: the sweep, escalations, unknown deliveries, send workers and callbacks.

`repeats` and `leads` run in one process at a time, under a lease; `works` runs in every process.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from services.notify import bounce_mailbox, escalation, follow_ups, unknown_deliveries
from services.notify.audience.alerting import sweep
from services.notify.callbacks.worker import run_callback_worker
from services.notify.channels.registry import Senders
from services.notify.model.deliveries import DeliveryState
from services.notify.send_worker import run_send_worker
from services.notify.service_mail.case_mail import mail_digests, mail_urgent_cases
from services.notify.service_mail.student_mail import send_due_mails
from services.notify.settings import Settings
from services.notify.store.callbacks import FAILED, UNREADABLE, CallbackStore
from services.notify.store.send_queue import EMERGENCY, SERVICE
from services.notify.unread_replies import unread_counts
from services.notify.wiring import Parts, Stores
from shared.clock import utc_now
from shared.envelope import Cause
from shared.events import Channel
from shared.ids import new_id
from shared.observability import metrics
from shared.observability.health import Check
from shared.process import Process

#: Unknown deliveries that one look settles at most.
RESOLVED_AT_ONCE = 1_000
RESOLVE_SECONDS = 1.0
MAINTAIN_SENDERS_SECONDS = 10.0
#: Work that waits longer than this makes the health check warn.
WAITING_WARNING_SECONDS = 300


def run_in_background(process: Process, settings: Settings, parts: Parts) -> None:
    """Register everything; the process starts it."""
    process.every("sweep", settings.sweep_seconds, partial(_sweep, parts))
    process.every("ladder", settings.ladder_seconds, partial(_escalate, parts))
    process.every("service-mail", settings.service_mail_seconds, partial(_send_service_mail, parts))
    process.every("unknown", RESOLVE_SECONDS, partial(_settle_unknown, parts, settings))
    process.every("providers", MAINTAIN_SENDERS_SECONDS, partial(_maintain_senders, parts))
    process.under_lease("callbacks", partial(run_callback_worker, parts.callbacks))
    if settings.bounce_maildir:
        maildir = Path(settings.bounce_maildir)
        read = partial(bounce_mailbox.run_bounce_reader, maildir, parts.stores.callbacks, process.set_aside)
        process.under_lease("bounces", read)
    for channel, senders in parts.senders.items():
        _run_send_workers(process, settings, parts, channel, senders)
        process.at_stop(senders.close)
    process.in_background("provider health", parts.provider_health.store_regularly)
    process.add_checks(partial(_sending_health, parts.stores, settings))
    process.add_checks(partial(_provider_health, parts))
    process.add_checks(partial(_callback_health, parts.stores))
    process.add_checks(partial(unread_checks, parts.stores.callbacks))


def _run_send_workers(process: Process, settings: Settings, parts: Parts, channel: Channel, senders: Senders) -> None:
    """The last workers of a channel send nothing but alerts, so an alert never waits for reminders."""
    for number in range(settings.workers + settings.urgent_workers):
        is_urgent = number >= settings.workers
        sender, least_urgent = (senders.urgent, EMERGENCY) if is_urgent else (senders.ordinary, SERVICE)
        name = f"{channel.value}-{number}"
        process.in_background(name, partial(run_send_worker, parts.sending, channel, sender, name, least_urgent))


async def _sweep(parts: Parts) -> None:
    await sweep(parts.handlers.selection, cause=Cause(new_id(), "sweep"), now=utc_now())


async def _escalate(parts: Parts) -> None:
    deps, now = parts.handlers.escalation, utc_now()
    add = partial(follow_ups.alert_new_addresses, deps, Cause(new_id(), "sweep"), now)
    await deps.set_aside.attempt("step", "new addresses", add)
    await escalation.run_escalations(deps, now)


async def _send_service_mail(parts: Parts) -> None:
    deps, now, set_aside = parts.handlers.service_mail, utc_now(), parts.handlers.selection.set_aside
    await set_aside.attempt("step", "urgent cases", partial(mail_urgent_cases, deps, now))
    await set_aside.attempt("step", "due mails", partial(send_due_mails, deps, now))
    await set_aside.attempt("step", "digests", partial(mail_digests, deps, now))


async def _settle_unknown(parts: Parts, settings: Settings) -> None:
    deps, now = parts.sending, utc_now()
    settle = partial(
        unknown_deliveries.resolve_unknown,
        deps,
        wait=timedelta(seconds=settings.unknown_wait_seconds),
        resend=settings.unknown_policy == "resend",
        limit=RESOLVED_AT_ONCE,
        now=now,
        lookups={channel: senders.lookup for channel, senders in parts.senders.items() if senders.lookup is not None},
    )
    give_up = partial(unknown_deliveries.give_up_without_receipt, deps, limit=RESOLVED_AT_ONCE, now=now)
    await deps.set_aside.attempt("step", "unknown deliveries", settle)
    await deps.set_aside.attempt("step", "messages without a receipt", give_up)


async def _maintain_senders(parts: Parts) -> None:
    for channel, senders in parts.senders.items():
        if senders.maintain is not None:
            await parts.sending.set_aside.attempt("channel", channel.value, partial(senders.maintain, utc_now()))
    await parts.provider_health.log_changes(utc_now())


async def _provider_health(parts: Parts) -> Sequence[Check]:
    return await parts.provider_health.checks(utc_now())


async def _callback_health(stores: Stores) -> Sequence[Check]:
    """Receipts that failed in every attempt: an operator looks at them."""
    failed = await stores.callbacks.count(FAILED)
    metrics.callbacks_failed.set(failed)
    detail = f"{failed} receipts failed in every attempt: passage notify callbacks" if failed else "processed"
    return [Check("callbacks set aside", not failed, False, detail, {"failed": failed})]


async def unread_checks(callbacks: CallbackStore) -> Sequence[Check]:
    """Replies, receipts and mails that wait for a person. One that nobody could read is an alarm, and so is a mail.

    Of an unclear reply a mail tells the safety officers (service_mail/case_mail.py).
    """
    counts = await unread_counts(callbacks)
    for (kind, note), count in counts.items():
        metrics.unread_posts.labels(kind, note).set(count)
    facts: dict[str, int | float | str | bool] = {f"{kind}_{note}": count for (kind, note), count in counts.items()}
    unreadable = sum(count for (kind, note), count in counts.items() if note == UNREADABLE or kind == "bounce")
    read = f"{unreadable} posts and mails must be read: GET /v1/replies" if unreadable else "all posts could be read"
    return [Check("posts to be read", not unreadable, False, read, facts)]


async def _sending_health(stores: Stores, settings: Settings) -> Sequence[Check]:
    """Sets the metrics of deliveries by state, and reports for how long the oldest unsent message has been waiting."""
    counts = await stores.deliveries.counts()
    for channel in Channel:
        for state in DeliveryState:
            metrics.deliveries.labels(channel.value, state.value).set(counts.get(channel.value, {}).get(state.value, 0))
    oldest = await stores.send_queue.oldest_unsent()
    age = (utc_now() - oldest).total_seconds() if oldest else 0.0
    metrics.oldest_unsent_seconds.set(age)
    unknown = sum(states.get(DeliveryState.UNKNOWN.value, 0) for states in counts.values())
    settled = utc_now() + settings.mail_policy.settle
    waiting = await stores.planned_mails.count_due(settled) + await stores.office_cases.count_undecided()
    facts: dict[str, int | float | str | bool] = {
        "oldest_unsent_seconds": round(age, 3), "unknown": unknown, "service_mail_waiting": waiting
    }  # fmt: skip
    quarantined = await stores.send_queue.quarantined()
    metrics.send_jobs_quarantined.set(quarantined)
    detail = "sending"
    if quarantined:
        detail = f"{quarantined} send jobs are in quarantine"
    elif age > WAITING_WARNING_SECONDS:
        detail = "work waits for minutes"
    return [Check("sending", detail == "sending", False, detail, facts)]
