"""What the processing of stored requests needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.notify.alert_steps import EscalationDeps
from services.notify.channels.sms_callbacks import DeliveryReceipt
from services.notify.store.alerts import AlertStore
from services.notify.store.callbacks import CallbackStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.providers import ProviderStore
from services.notify.store.whereabouts import WhereaboutsStore
from services.notify.unread_replies import ParseReplies
from shared.bus.outbox import Outbox

ParseReceipts = Callable[[bytes], list[DeliveryReceipt]]


@dataclass(frozen=True, slots=True)
class CallbackDeps:
    """The stores, and how to read each provider's requests: provider → parser."""

    outbox: Outbox
    callbacks: CallbackStore
    deliveries: DeliveryStore
    alerts: AlertStore
    whereabouts: WhereaboutsStore
    escalation: EscalationDeps
    receipt_parsers: Mapping[str, ParseReceipts]
    reply_parsers: Mapping[str, ParseReplies]
    providers: ProviderStore
