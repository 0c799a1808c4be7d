"""One process of send workers: the same parts as `services/notify/app.py`, against sinks, until it is killed.

`python -m tests.benchmarks.engine_worker MONGO KAFKA NAMESPACE SMTP_PORT CM_PORT INSTANCE CHUNK_SIZE`;
with `-` for KAFKA there is no relay.
"""

import asyncio
import gc
import sys
from dataclasses import dataclass

import uvloop
from pydantic import SecretStr

from services.notify import send_worker
from services.notify.channels.cm import CmProvider, CmSettings
from services.notify.channels.email import EmailChannel
from services.notify.channels.smtp import EmailSettings
from services.notify.composer import ComposerDeps
from services.notify.messages.rendering import Messages
from services.notify.send_deps import SendDeps
from services.notify.sending_rules import SendingRules
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import AlertStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.send_queue import EMERGENCY, NOTICE, SendQueue
from services.notify.store.whereabouts import WhereaboutsStore
from shared.bus.outbox import Outbox
from shared.bus.relay import Relay
from shared.bus.settings import BusSettings
from shared.events import Channel
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Mongo
from tests.integration.notify_world import CATALOGUE, KEY, SENDER

WORKERS, URGENT_WORKERS = 4, 1


@dataclass(frozen=True, slots=True)
class Where:
    """The arguments of the command line."""

    mongo: str
    kafka: str
    namespace: str
    smtp_port: int
    cm_port: int
    instance: str
    chunk_size: int = 100


async def run(where: Where) -> None:
    """Send until the process is killed."""
    mongo = Mongo(where.mongo, namespace=where.namespace)
    database = mongo.database("notify")
    outbox = Outbox(database, "/notify")
    deliveries = DeliveryStore(database, KEY)
    rules = SendingRules(SENDER, "https://travel.university.example/notify", dict.fromkeys(Channel, where.chunk_size))
    composing = ComposerDeps(Messages(SENDER), LiveCatalogue(CATALOGUE), deliveries.answers, rules)
    send_queue = SendQueue(database, where.instance)
    whereabouts, advice = WhereaboutsStore(database, KEY), AdviceStore(database)
    deps = SendDeps(outbox, send_queue, AlertStore(database), whereabouts, deliveries, advice, composing)
    sms = CmProvider(
        CmSettings(url=f"http://127.0.0.1:{where.cm_port}", product_token=SecretStr("t"), sender="+31970000000")
    )
    gc.collect()
    gc.freeze()  # as every process of a service (shared/process.py)
    async with asyncio.TaskGroup() as tasks:
        for number in range(WORKERS + URGENT_WORKERS):
            least = NOTICE if number < WORKERS else EMERGENCY
            if number in (0, WORKERS):
                email = EmailChannel(EmailSettings(host="127.0.0.1", port=where.smtp_port))
            for channel, provider in ((Channel.EMAIL, email), (Channel.SMS, sms)):
                tasks.create_task(
                    send_worker.run_send_worker(deps, channel, provider, f"{channel.value}-{number}", least)  # type: ignore[arg-type] # one of two channels
                )
        if where.kafka != "-":
            settings = BusSettings(where.kafka, where.namespace, "notify", where.instance)
            tasks.create_task(Relay(settings, mongo, database, outbox).run())


if __name__ == "__main__":
    mongo_url, kafka, namespace, smtp_port, cm_port, instance, chunk_size = sys.argv[1:]
    uvloop.run(run(Where(mongo_url, kafka, namespace, int(smtp_port), int(cm_port), instance, int(chunk_size))))
