"""One process of a service: its clients, what it does beside HTTP, and what it says of its health.

`app.py` of each service makes one, tells it what to prepare and to keep doing, and asks it for the app.
"""

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from shared.bus.bus import Bus
from shared.bus.outbox import Outbox
from shared.bus.relay import Relay
from shared.clock import utc_now
from shared.errors import PermanentError, TransientError
from shared.mongo.client import Mongo, PyMongoError
from shared.mongo.lease import Lease, while_held
from shared.observability import logs, metrics
from shared.observability.health import Check
from shared.privacy.keyring import Keyring
from shared.settings import CommonSettings
from shared.web import idempotency
from shared.web.identity import Verifier
from shared.web.rates import Rates
from shared.web.routes import Routes
from shared.web.service import service as web_service

Work = Callable[[], Awaitable[None]]
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0

log = logs.get_logger()


def freeze_gc_after_startup(app: FastAPI) -> FastAPI:
    """The app of an operating-system process of its own: what was made until now stays for as long as that.

    So the garbage collector leaves it alone; looking through it again and again took a twelfth of notify's time.
    """
    gc.collect()
    gc.freeze()
    return app


class Process:
    """Clients and background work of one process. `name` is the service: approval, registration, safety, notify."""

    def __init__(self, name: str, settings: CommonSettings) -> None:
        logs.configure(name, settings.log_level)
        self.name = name
        self.settings = settings
        self.mongo = Mongo(settings.mongo_url.get_secret_value(), namespace=settings.namespace)
        self.database = self.mongo.database(name)
        self.keyring = Keyring(self.mongo, settings.key_encryption_key)
        self.bus_settings = settings.bus(name)
        self.bus = Bus(self.bus_settings, self.mongo, self.database)
        self.instance = self.bus_settings.instance
        self._relay: Relay | None = None
        self._preparations: list[Work] = [
            self.keyring.check,
            lambda: idempotency.create_indexes(self.database),
            self.bus.parking.create_indexes,
        ]
        self._works: dict[str, Work] = {}
        self._closings: list[Work] = []
        self._checks: list[Callable[[], Awaitable[Sequence[Check]]]] = []
        self._troubles: dict[str, str] = {}
        self._prepared = False

    def publishes(self, outbox: Outbox, topic: str) -> None:
        """The service's facts go to Kafka from this process, too."""
        self._relay = Relay(self.bus_settings, self.mongo, self.database, outbox, [topic])
        self._preparations.append(self._relay.refuse_start_when_log_is_ahead)
        self._works["relay"] = self._relay.run

    def prepares(self, work: Work) -> None:
        """Done before any other work, once MongoDB answers: indexes, checks. A PermanentError ends the process."""
        self._preparations.append(work)

    def works(self, name: str, work: Work) -> None:
        """Goes on for ever in every worker; started anew when it ends or fails."""
        self._works[name] = work

    def leads(self, name: str, work: Work) -> None:
        """Goes on for ever in one process of the service at a time, the one that has the lease."""

        async def led(lease: Lease) -> None:
            await work()

        self._works[name] = lambda: while_held(self.database, name, self.instance, led)

    def repeats(self, name: str, seconds: float, work: Work) -> None:
        """Done again and again in one process of the service at a time, `seconds` apart."""

        async def for_ever() -> None:
            while True:
                await work()
                self._troubles.pop(name, None)
                await asyncio.sleep(seconds)

        self.leads(name, for_ever)

    def closes(self, work: Work) -> None:
        """Done at the end."""
        self._closings.append(work)

    def checks(self, check: Callable[[], Awaitable[Sequence[Check]]]) -> None:
        """More for `/readyz`; sets the service's own metrics as well."""
        self._checks.append(check)

    def app(self, title: str, description: str, routers: Sequence[Routes]) -> FastAPI:
        """The app: HTTP unless ROLE=worker, the background work unless ROLE=api."""
        return web_service(
            title,
            description,
            routers if self.settings.role != "worker" else (),
            settings=self.settings.web(),
            verifier=Verifier(self.settings.tokens(), self.keyring, Rates(self.settings.requests_per_second)),
            checks=self.health,
            lifespan=self._lifespan,
        )

    async def health(self) -> list[Check]:
        """What `/readyz` shows and `/metrics` counts. Without MongoDB nothing can be done; all else is degraded."""
        try:
            await self.mongo.ping()
        except TransientError:
            return [Check("mongo", False, True, "does not answer")]
        found = [Check("mongo", True, True, "answers")]
        if not self._prepared:
            return [*found, Check("start", False, True, "preparing")]
        if self.settings.role != "api":
            found += await self._worker_health()
        for name, trouble in sorted(self._troubles.items()):
            found.append(Check(name, False, False, trouble))
        for check in self._checks:
            found += await check()
        metrics.log_fields_dropped.set(logs.dropped_fields)
        return found

    async def _worker_health(self) -> list[Check]:
        found = await self.bus.health() if self.bus.subscriptions else []
        for topic, subscription in self.bus.subscriptions.items():
            metrics.bus_lag_events.labels(topic).set(subscription.status.lag)
            metrics.bus_lag_seconds.labels(topic).set(subscription.lag_seconds(utc_now()))
            metrics.bus_restarts.labels(topic).set(subscription.status.restarts)
            metrics.parked.labels(topic).set(await self.bus.parking.count(subscription.group))
        if self._relay is not None:
            metrics.outbox_age_seconds.set(await self._relay.oldest_pending_seconds(utc_now()))
            found += self._relay.health()
        return found

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        try:
            # What is wrong for good (a wrong key) is found before the first request, where that is possible.
            await self._prepare()
        except PermanentError as error:
            log.error("cannot_start", reason=str(error))
            raise
        background = asyncio.create_task(self._background())
        log.info("started", role=self.settings.role)
        try:
            yield
        finally:
            background.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await background
            for closing in self._closings:
                await closing()
            self.mongo.close()
            log.info("stopped")

    async def _prepare(self) -> None:
        try:
            for preparation in self._preparations:
                await preparation()
            self._prepared = True
        except (PyMongoError, TransientError, TimeoutError) as error:
            log.warning("not_prepared", error=type(error).__name__)

    async def _background(self) -> None:
        """Wait for the database, then keep everything going until told to stop."""
        while not self._prepared:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                await self._prepare()
            except PermanentError as error:
                log.error("cannot_start", reason=str(error))
                os.kill(os.getpid(), signal.SIGTERM)
                return
        works = dict(self._works)
        if self.settings.role == "api":
            works.clear()
        elif self.bus.subscriptions:
            works["bus"] = self.bus.run
        async with asyncio.TaskGroup() as tasks:
            for name, work in works.items():
                tasks.create_task(self._keep_going(name, work))

    async def _keep_going(self, name: str, work: Work) -> None:
        pause = PAUSE_SECONDS
        while True:
            began = time.monotonic()
            try:
                await work()
                trouble = "ended"
            # The outermost loop of the process: one kind of work that fails must not end the others.
            except Exception as error:
                trouble = type(error).__name__
                log.warning("work_failed", kind=name, error=trouble)
            self._troubles[name] = f"{trouble}, started anew"
            pause = PAUSE_SECONDS if time.monotonic() - began > 60 else min(pause * 2, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)
