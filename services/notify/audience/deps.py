"""What selecting an audience needs: the stores it reads and writes, Kafka's offsets, and the size of a shard."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from services.notify.model.shards import SHARD_SIZE
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import AlertStore
from services.notify.store.send_queue import SendQueue
from services.notify.store.whereabouts import WhereaboutsStore
from shared.bus.outbox import Outbox
from shared.errors import TransientError
from shared.mongo.client import Mongo
from shared.observability.logs import get_logger
from shared.set_aside import SetAside

#: topic → partition → next offset. The effect of every event below these offsets is stored in the whereabouts.
Offsets = Callable[[str], Coroutine[Any, Any, dict[int, int]]]

log = get_logger()


@dataclass(frozen=True, slots=True)
class SelectionDeps:
    """The stores, Kafka's offsets, and what an alert records of its configuration.

    `templates`: template name → version, for `AlertRaised`. `drill_list`: the only addresses that a drill may reach.
    """

    mongo: Mongo
    outbox: Outbox
    whereabouts: WhereaboutsStore
    advice: AdviceStore
    alerts: AlertStore
    send_queue: SendQueue
    offsets: Offsets
    templates: dict[str, str]
    drill_list: frozenset[str] = frozenset()
    shard_size: int = SHARD_SIZE
    set_aside: SetAside = field(default_factory=SetAside)

    def tolerating_kafka_outage(self) -> "SelectionDeps":
        """The same, but an alert raised while Kafka is away carries no offsets instead of failing.

        Everyone affected is still notified. Without offsets the audit cannot say who *must* have been selected.
        """

        async def offsets_or_none(topic: str) -> dict[int, int]:
            try:
                return await self.offsets(topic)
            except TransientError as error:
                log.warning("offsets_not_known", topic=topic, error=type(error).__name__)
                return {}

        return replace(self, offsets=offsets_or_none)
