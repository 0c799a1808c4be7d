"""Tries a stored request that may fail for a reason of its own, and logs the unreadable ones."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from services.notify.store.callbacks import Callback, CallbackStore
from shared.observability.logs import get_logger
from shared.transient import ATTEMPTS, is_transient, reason_of

log = get_logger()


async def attempt(
    callbacks: CallbackStore, callback: Callback, work: Callable[[], Awaitable[None]], now: datetime
) -> None:
    """Process one request. One that fails for a reason of its own is tried again later, and then set aside.

    A reply that is set aside is shown to a safety officer as unclear, a receipt in `/readyz`.
    """
    try:
        await work()
    except Exception as error:
        if is_transient(error):
            raise
        is_last = callback.failures + 1 >= ATTEMPTS
        log.error(
            "callback_failed",
            kind=callback.kind,
            provider=callback.provider,
            attempt=callback.failures + 1,
            reason=reason_of(error),
            next_step="passage notify callbacks" if is_last else "none: tried again by itself",
        )
        await callbacks.note_failure(callback, now, reason_of(error), is_last=is_last)


def log_unreadable(callback: Callback, reason: str) -> None:
    log.error(
        "callback_unreadable",
        kind=callback.kind,
        provider=callback.provider,
        reason=reason,
        next_step="read it: GET /v1/replies",
    )


def log_replaced_time(provider: str) -> None:
    log.warning("provider_time_replaced", provider=provider, next_step="ask the provider to set its clock")
