"""What send workers share: stores, timing, and the send job that a worker has claimed."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.notify.composer import Composer, ComposerDeps
from services.notify.conversations import ConversationDeps
from services.notify.rules.escalation import CONFIRMATION_STEPS
from services.notify.sending_rules import SendingRules
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import Alert, AlertStore
from services.notify.store.contacts import ContactAddress
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from services.notify.store.selections import Selection
from services.notify.store.send_queue import SendJob, SendQueue
from services.notify.store.whereabouts import WhereaboutsStore
from shared.bus.outbox import Outbox
from shared.envelope import Cause
from shared.events import Channel
from shared.privacy.keyring import Keyring
from shared.set_aside import SetAside


@dataclass(frozen=True, slots=True)
class SendTiming:
    """Times in seconds, and the number of attempts."""

    #: A worker that crashed is replaced after this time, at most.
    lease_seconds: float = 8.0
    #: How often a free worker looks for work that another process has queued.
    idle_seconds: float = 0.25
    #: Pause after each attempt that ended in "try later"; the last one is repeated. See docs/notifications.md, Retries.
    backoff_seconds: tuple[float, ...] = (0.0, 5.0, 15.0, 60.0, 300.0)
    max_attempts: int = 48
    #: A worker may begin a chunk for this long after the alert was closed.
    closed_alert_cache_seconds: float = 0.1
    #: Outcome events are folded when the job ends, or after this time when the provider is slow.
    fold_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class SendDeps:
    """The stores that sending reads and writes; shared by all send workers of a process."""

    outbox: Outbox
    send_queue: SendQueue
    alerts: AlertStore
    whereabouts: WhereaboutsStore
    deliveries: DeliveryStore
    advice: AdviceStore
    composing: ComposerDeps
    timing: SendTiming = field(default_factory=SendTiming)
    #: Opens the words of people that mails quote; without it such mails say nothing of them.
    keyring: Keyring | None = None
    set_aside: SetAside = field(default_factory=SetAside)
    #: One worker of a kind looks for work at a time, however many are free.
    claim_locks: dict[tuple[Channel, int], asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    #: Alert → when it was read (the loop's clock), and when it was closed.
    closed_alerts: dict[str, tuple[float, datetime | None]] = field(default_factory=dict)

    @property
    def rules(self) -> SendingRules:
        """Senders, chunk sizes and allow-lists."""
        return self.composing.rules

    @property
    def conversations(self) -> ConversationDeps:
        """The stores that tell whether a conversation is over."""
        return ConversationDeps(self.alerts, self.whereabouts, self.advice)

    async def sealed_words(self, selection: Selection) -> str:
        """The words that a notice quotes, opened; empty when it quotes none, or when the person was erased."""
        facts = selection.facts or {}
        sealed = facts.get("sealed")
        if sealed is None or self.keyring is None:
            return ""
        words = await self.keyring.open(sealed, facts["path"])
        return words if isinstance(words, str) else ""

    async def closed_at(self, alert_id: str) -> datetime | None:
        """When the alert was closed, as of `closed_alert_cache_seconds` ago; None: it is open."""
        now, max_age = asyncio.get_running_loop().time(), self.timing.closed_alert_cache_seconds
        read_at, closed_at = self.closed_alerts.get(alert_id, (-max_age, None))
        if now - read_at >= max_age:
            closed_at = await self.alerts.closed_at(alert_id)
            self.closed_alerts[alert_id] = now, closed_at
        return closed_at


@dataclass(slots=True)
class ClaimedJob:
    """A send job whose lease this worker holds, with the data its messages need.

    `safe_until` (monotonic clock): until then no other worker can have claimed it. `taken_over`: another worker has.
    `unfolded`: outcome events that were appended and not folded yet.
    """

    job: SendJob
    selection: Selection
    alert: Alert | None
    composer: Composer
    addresses: Mapping[str, ContactAddress]
    safe_until: float
    unfolded: list[StoredEvent] = field(default_factory=list)
    taken_over: bool = False

    def lease_is_lost(self) -> bool:
        """Whether another worker may have the job: stop sending.

        The clock also runs while the process is stopped: a worker that wakes up sees at once that it slept too long.
        """
        return self.taken_over or time.monotonic() >= self.safe_until

    @property
    def ends_at_closing(self) -> bool:
        """Whether closing the alert cancels the messages. Service mail goes on, and so do confirmations of answers."""
        return self.alert is not None and self.selection.step not in CONFIRMATION_STEPS.values()

    @property
    def cause(self) -> Cause:
        """What the outcome events name as their cause."""
        selection = self.selection
        return Cause(selection.correlation_id or selection.selection_id, self.job.id, selection.traceparent)
