"""Callback worker: turns stored webhook requests and bounces into outcome events, and SMS replies into answers.

`background.py` runs it in one process at a time. Requests may come twice, late, forged and in any order: only what fits
a delivery of ours has an effect, and only once. What a machine cannot decide keeps a note for a safety officer. A
request that fails for a reason of its own is tried a few times and then set aside; it never stands before others. If
MongoDB fails, the worker waits and goes on.
"""

import asyncio

from services.notify.callbacks.deps import CallbackDeps
from services.notify.callbacks.receipts import process_receipts
from services.notify.callbacks.replies import process_replies
from shared.clock import utc_now
from shared.observability.logs import get_logger
from shared.transient import reason_of

POLL_SECONDS = 0.25

log = get_logger()


async def run_callback_worker(deps: CallbackDeps) -> None:
    """Process stored requests until cancelled. After an error the next round repeats the work.

    Replies come first, and neither kind waits for the other: a cry for help never waits for a receipt.
    """
    while True:
        processed = 0
        for process in (process_replies, process_receipts):
            try:
                processed += await process(deps, utc_now())
            # Most often the database is away. Whatever it is, the other kind is processed.
            except Exception as error:
                log.warning("callbacks_wait", error=type(error).__name__, reason=reason_of(error))
        if not processed:
            await asyncio.sleep(POLL_SECONDS)
