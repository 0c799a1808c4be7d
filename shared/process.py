"""A process of a service: its clients, its background work beside HTTP, and its health.

`app.py` of each service builds one, registers its work, and asks it for the FastAPI app. Work that fails is logged and
started again after a pause; it never ends the process.
"""

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import TypeVar

from fastapi import FastAPI

from shared.bus.bus import Bus
from shared.bus.outbox import Outbox
from shared.bus.relay import Relay
from shared.clock import utc_now
from shared.environment import from_environment
from shared.errors import PermanentError, TransientError
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Mongo, PyMongoError
from shared.mongo.holder import new_holder
from shared.mongo.instance_claim import InstanceClaim
from shared.mongo.lease import Lease, while_held
from shared.observability import logs, metrics
from shared.observability.health import Check
from shared.privacy.keyring import Keyring
from shared.set_aside import SetAside
from shared.settings import CatalogueSettings, CommonSettings
from shared.transient import is_transient, reason_of
from shared.web import idempotency
from shared.web.error_pages import ErrorPages
from shared.web.identity import Verifier
from shared.web.phrases import Phrase
from shared.web.rates import Rates
from shared.web.request_context import RequestContext
from shared.web.routes import Routes
from shared.web.service import service as web_service

Work = Callable[[], Awaitable[None]]
S = TypeVar("S", bound=CommonSettings)
#: Exit code of a process whose environment is wrong: that of `passage` for wrong use.
WRONG_USE = 2
#: Pause before failed work is started again; it doubles with each failure within `STABLE_SECONDS`.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, STABLE_SECONDS = 1.0, 15.0, 60.0

log = logs.get_logger()


def freeze_gc_after_startup(app: FastAPI) -> FastAPI:
    """Exclude all objects made so far from garbage collection. Returns the app.

    For an app with an operating-system process of its own: its start-up objects live as long as the process, and
    scanning them again and again took 8 % of notify's CPU time.
    """
    gc.collect()
    gc.freeze()
    return app


def app_from_environment(name: str, settings: type[S], build: Callable[[S], FastAPI]) -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`.

    Wrong variables or a broken catalogue end the process at once: one log line names every mistake, exit code 2.
    """
    logs.configure(name)
    try:
        return freeze_gc_after_startup(build(from_environment(settings)))
    except PermanentError as error:
        log.error("cannot_start", reason=reason_of(error), next_step="mend this, then start the process again")
        raise SystemExit(WRONG_USE) from None


class Process:
    """A process of the service `name`: approval, registration, safety or notify."""

    def __init__(self, name: str, settings: CommonSettings) -> None:
        logs.configure(name, settings.log_level)
        self.name = name
        self.settings = settings
        self.mongo = Mongo(settings.mongo_url.get_secret_value(), namespace=settings.namespace)
        self.database = self.mongo.database(name)
        self.keyring = Keyring(self.mongo, settings.key_encryption_key, ignores_case=settings.login_ignores_case)
        self.bus_settings = settings.bus(name)
        self.bus = Bus(self.bus_settings, self.mongo, self.database)
        #: Names this process where a document says who works on something. No other process has this name.
        self.holder = new_holder(settings.instance)
        self._claim = InstanceClaim(self.database, settings.instance) if settings.instance else None
        self._relay: Relay | None = None
        #: Entered around each request and each run of periodic work.
        self._around: Callable[[], AbstractContextManager[None]] = nullcontext
        self._start_work: list[Work] = [
            self.keyring.check,
            self.keyring.create_indexes,
            lambda: idempotency.create_indexes(self.database),
            self.bus.parking.create_indexes,
        ]
        self._background_work: dict[str, Work] = {}
        self._stop_work: list[Work] = []
        self._checks: list[Callable[[], Awaitable[Sequence[Check]]]] = []
        self._failures: dict[str, str] = {}
        self._prepared = False
        #: Work that goes on without failing for so long is well again.
        self.stable_seconds = STABLE_SECONDS
        self.set_aside = SetAside()

    def publish(self, outbox: Outbox, topic: str) -> None:
        """Run a relay, which publishes the service's events to Kafka."""
        self._relay = Relay(self.bus_settings, self.mongo, self.database, outbox, [topic])
        self._start_work.append(self._relay.refuse_start_when_log_is_ahead)
        self._background_work["relay"] = self._relay.run

    def follow_catalogue(self, settings: CatalogueSettings) -> LiveCatalogue:
        """Read the catalogue, and follow its files. Raises BrokenCatalogue, in production for an invented one too.

        `/readyz` shows its version. Each request and each run of periodic work sees one version throughout.
        """
        is_production = settings.env == "production"
        live = LiveCatalogue(settings.catalogue_dir, settings.catalogue_seconds, may_be_invented=not is_production)
        self.at_start(live.start)
        self.at_stop(live.stop)
        self.add_checks(live.health)
        self._around = live.pinned
        return live

    def at_start(self, work: Work) -> None:
        """Run this before all other work, once MongoDB answers: indexes, checks. A PermanentError ends the process."""
        self._start_work.append(work)

    def in_background(self, name: str, work: Work) -> None:
        """Run this in every worker process, without end."""
        self._background_work[name] = work

    def under_lease(self, name: str, work: Work) -> None:
        """Run this without end in one worker process at a time: the holder of the lease `name`."""

        async def run(lease: Lease) -> None:
            await work()

        self._background_work[name] = lambda: while_held(self.database, name, run, label=self.settings.instance)

    def every(self, name: str, seconds: float, work: Work) -> None:
        """Run this again and again in one worker process at a time, with a pause of `seconds`."""

        async def repeat() -> None:
            while True:
                with self._around():
                    await work()
                self._failures.pop(name, None)
                await asyncio.sleep(seconds)

        self.under_lease(name, repeat)

    def at_stop(self, work: Work) -> None:
        """Run this when the process stops."""
        self._stop_work.append(work)

    def add_checks(self, check: Callable[[], Awaitable[Sequence[Check]]]) -> None:
        """Add checks of the service to `/readyz`. They also set the service's own gauges."""
        self._checks.append(check)

    def app(
        self,
        title: str,
        description: str,
        routers: Sequence[Routes],
        phrases: Iterable[Phrase] = (),
        error_pages: ErrorPages | None = None,
    ) -> FastAPI:
        """The app: routes unless ROLE=worker, background work unless ROLE=api.

        `phrases`: what its problems say. `error_pages`: where a person gets a page instead of a problem.
        """
        app = web_service(
            title,
            description,
            routers if self.settings.role != "worker" else (),
            settings=self.settings.web(),
            verifier=Verifier(self.settings.tokens(), self.keyring, Rates(self.settings.requests_per_second)),
            checks=self.health,
            lifespan=self._lifespan,
            phrases=phrases,
            error_pages=error_pages,
        )
        app.add_middleware(RequestContext, enter=self._around)
        return app

    async def health(self) -> list[Check]:
        """The checks of `/readyz`; sets the gauges of `/metrics`. Without MongoDB, that check alone."""
        try:
            await self.mongo.ping()
        except TransientError:
            return [Check("mongo", False, True, "does not answer")]
        results = [Check("mongo", True, True, "answers")]
        if not self._prepared:
            return [*results, Check("start", False, True, "preparing")]
        if self.settings.role != "api":
            results += await self._worker_health()
        for name, failure in sorted(self._failures.items()):
            results.append(Check(name, False, False, failure))
        results += await self.set_aside.health()
        for check in self._checks:
            results += await check()
        metrics.log_fields_dropped.set(logs.dropped_fields)
        return results

    async def _worker_health(self) -> list[Check]:
        results = await self.bus.health() if self.bus.subscriptions else []
        for topic, subscription in self.bus.subscriptions.items():
            metrics.bus_lag_events.labels(topic).set(subscription.status.lag)
            metrics.bus_lag_seconds.labels(topic).set(subscription.lag_seconds(utc_now()))
            metrics.bus_restarts.labels(topic).set(subscription.status.restarts)
            metrics.parked.labels(topic).set(await self.bus.parking.count(subscription.group))
        if self._relay is not None:
            metrics.outbox_age_seconds.set(await self._relay.oldest_pending_seconds(utc_now()))
            results += self._relay.health()
        return results

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        try:
            # So that a permanent error, such as a wrong key, is found before the first request.
            await self._prepare()
        except Exception as error:
            log.error("cannot_start", reason=reason_of(error), next_step="mend this, then start the process again")
            raise
        background = asyncio.create_task(self._background())
        log.info("started", role=self.settings.role)
        try:
            yield
        finally:
            background.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await background
            for work in self._stop_work:
                await work()
            if self._claim is not None:
                await self._claim.give_back()
            self.mongo.close()
            log.info("stopped")

    async def _prepare(self) -> None:
        try:
            if self._claim is not None:
                await self._claim.take()
            for work in self._start_work:
                await work()
            self._prepared = True
        except Exception as error:
            if not isinstance(error, PyMongoError) and not is_transient(error):
                raise
            log.warning("not_prepared", error=type(error).__name__, next_step="none: tried again every second")

    async def _background(self) -> None:
        """Wait for MongoDB, then run all background work until cancelled."""
        while not self._prepared:
            await asyncio.sleep(FIRST_PAUSE_SECONDS)
            try:
                await self._prepare()
            except Exception as error:
                _end_process("cannot_start", error)
                return
        work_by_name = dict(self._background_work)
        if self.settings.role == "api":
            work_by_name.clear()
        elif self.bus.subscriptions:
            work_by_name["bus"] = self.bus.run
        async with asyncio.TaskGroup() as tasks:
            if self._claim is not None:
                tasks.create_task(self._keep_claim(self._claim))
            for name, work in work_by_name.items():
                tasks.create_task(self._keep_running(name, work))

    async def _keep_claim(self, claim: InstanceClaim) -> None:
        """Renew the claim on INSTANCE. A process that slept until a twin took its name ends."""
        try:
            await claim.keep()
        # Whatever it is, nobody keeps the name any more.
        except Exception as error:
            _end_process("cannot_go_on", error)

    async def _keep_running(self, name: str, work: Work) -> None:
        pause, attempt = FIRST_PAUSE_SECONDS, 1
        while True:
            began = time.monotonic()
            try:
                await self._until_it_ends(name, work)
                failure = "ended"
            # The outermost loop of the process: work that fails must not end other work.
            except Exception as error:
                failure = type(error).__name__
                log.warning(
                    "work_failed", kind=name, error=failure, reason=reason_of(error), attempt=attempt,
                    next_step="none: restarted",
                )  # fmt: skip
            self._failures[name] = f"{failure}, started again"
            was_stable = time.monotonic() - began > self.stable_seconds
            pause = FIRST_PAUSE_SECONDS if was_stable else min(pause * 2, LONGEST_PAUSE_SECONDS)
            attempt = 1 if was_stable else attempt + 1
            await asyncio.sleep(pause)

    async def _until_it_ends(self, name: str, work: Work) -> None:
        """Run the work. While it goes on for longer than `stable_seconds`, its former failure is over."""
        running = asyncio.ensure_future(work())
        try:
            await asyncio.wait({running}, timeout=self.stable_seconds)
            if not running.done():
                self._failures.pop(name, None)
            await running
        finally:
            if not running.done():
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running


def _end_process(event: str, error: Exception) -> None:
    """Log why, and end this process as its orchestrator would."""
    log.error(event, reason=reason_of(error), next_step="mend this, then start the process again")
    os.kill(os.getpid(), signal.SIGTERM)
