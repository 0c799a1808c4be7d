"""Every benchmark by name, in the order in which `make bench` runs them."""

from collections.abc import Awaitable, Callable, Mapping

from tests.benchmarks import (
    approval,
    audit,
    backtest,
    bus,
    engine,
    feed_parse,
    feed_to_event,
    rebuild,
    registration_advice,
    registration_approvals,
    registration_reads,
    registration_rebuild,
    registration_submit,
    selection,
)
from tests.benchmarks.measure import Measure, Where

BENCHMARKS: Mapping[str, Callable[[Where], Awaitable[list[Measure]]]] = {
    "relay": bus.relay,
    "projection": bus.projection,
    "subscriber": bus.subscriber,
    "rebuild": rebuild.rebuild,
    "feed-parse": feed_parse.run,
    "approval-submit": approval.submit,
    "approval-queue": approval.queue,
    "registration-submit": registration_submit.run,
    "registration-reads": registration_reads.run,
    "registration-advice": registration_advice.run,
    "registration-approvals": registration_approvals.run,
    "registration-rebuild": registration_rebuild.run,
    "feed-to-event": feed_to_event.run,
    "backtest": backtest.run,
    "selection-1m": selection.run,
    "engine-100k": engine.engine_100k,
    "engine-two-workers": engine.engine_two_workers,
    "engine-5k": engine.engine_5k,
    "engine-priority": engine.engine_priority,
    "engine-receipts": engine.engine_receipts,
    "audit": audit.run,
}
