"""Everything that the service is made of, built once from its settings: stores, channels, and what each part needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.notify.alert_steps import EscalationDeps
from services.notify.audience.deps import SelectionDeps
from services.notify.bounce_mailbox import BOUNCE_PROVIDER
from services.notify.callbacks.deps import CallbackDeps
from services.notify.channel_spec import CHANNELS
from services.notify.channels.bounces import parse_bounce
from services.notify.channels.registry import Senders, channels_of_providers, open_channels, open_sms_providers
from services.notify.channels.sms_provider import SmsProvider
from services.notify.commands.alerts import CommandDeps
from services.notify.composer import ComposerDeps
from services.notify.handlers import HandlerDeps
from services.notify.messages.rendering import Messages
from services.notify.notices import NoticeDeps
from services.notify.provider_health import ProviderHealth
from services.notify.rules.escalation import EscalationPolicy
from services.notify.send_deps import SendDeps
from services.notify.sending_rules import SendingRules
from services.notify.service_mail.deps import ServiceMailDeps
from services.notify.settings import Settings
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import AlertStore
from services.notify.store.callbacks import CallbackStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.office_cases import OfficeCaseStore
from services.notify.store.planned_mails import PlannedMailStore
from services.notify.store.provider_health import ProviderHealthStore
from services.notify.store.providers import ProviderStore
from services.notify.store.requests import RequestStore
from services.notify.store.send_queue import SendQueue
from services.notify.store.whereabouts import WhereaboutsStore
from services.notify.unread_replies import UnreadReplies
from shared import gazetteer
from shared.bus.outbox import Outbox
from shared.events import Channel
from shared.live_catalogue import LiveCatalogue
from shared.privacy.service_key import ServiceKey
from shared.process import Process


@dataclass(frozen=True, slots=True)
class Stores:
    """What the service keeps in MongoDB."""

    outbox: Outbox
    whereabouts: WhereaboutsStore
    advice: AdviceStore
    alerts: AlertStore
    send_queue: SendQueue
    deliveries: DeliveryStore
    callbacks: CallbackStore
    providers: ProviderStore
    provider_health: ProviderHealthStore
    requests: RequestStore
    planned_mails: PlannedMailStore
    office_cases: OfficeCaseStore

    @classmethod
    def open(cls, process: Process, settings: Settings) -> "Stores":
        """The stores on the database of this process."""
        database, key = process.database, ServiceKey(settings.service_key)
        return cls(
            outbox=Outbox(database, "/notify"),
            whereabouts=WhereaboutsStore(database, key),
            advice=AdviceStore(database),
            alerts=AlertStore(database),
            send_queue=SendQueue(database, process.holder),
            deliveries=DeliveryStore(database, key),
            callbacks=CallbackStore(database, key),
            providers=ProviderStore(database),
            provider_health=ProviderHealthStore(database),
            requests=RequestStore(database),
            planned_mails=PlannedMailStore(database),
            office_cases=OfficeCaseStore(database),
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the service, each with what it needs."""

    stores: Stores
    live: LiveCatalogue
    messages: Messages
    sms_providers: Mapping[str, SmsProvider]
    senders: Mapping[Channel, Senders]
    provider_health: ProviderHealth
    commands: CommandDeps
    handlers: HandlerDeps
    sending: SendDeps
    callbacks: CallbackDeps


def assemble(process: Process, settings: Settings) -> Parts:
    """Build the parts. Nothing connects or runs yet."""
    stores = Stores.open(process, settings)
    live = process.follow_catalogue(settings)
    messages = Messages(settings.smtp_sender)
    sms_members = open_sms_providers(settings)
    sms_providers = {member.name: member.provider for member in sms_members}
    handlers = _handler_deps(process, settings, stores, live, messages)
    provider_health = ProviderHealth(stores.provider_health, channels_of_providers(sms_members))
    return Parts(
        stores=stores,
        live=live,
        messages=messages,
        sms_providers=sms_providers,
        senders=open_channels(settings, sms_members, stores.providers, provider_health.note),
        provider_health=provider_health,
        commands=CommandDeps(
            mongo=process.mongo,
            database=process.database,
            outbox=stores.outbox,
            alerts=stores.alerts,
            deliveries=stores.deliveries,
            replies=UnreadReplies(
                stores.callbacks,
                stores.whereabouts.contacts,
                {name: provider.parse_replies for name, provider in sms_providers.items()},
                stores.alerts.senders,
            ),
        ),
        handlers=handlers,
        sending=_send_deps(process, settings, stores, live, messages),
        callbacks=_callback_deps(stores, handlers.escalation, sms_providers),
    )


def _handler_deps(
    process: Process, settings: Settings, stores: Stores, live: LiveCatalogue, messages: Messages
) -> HandlerDeps:
    selection = SelectionDeps(
        mongo=process.mongo,
        outbox=stores.outbox,
        whereabouts=stores.whereabouts,
        advice=stores.advice,
        alerts=stores.alerts,
        send_queue=stores.send_queue,
        offsets=process.bus.offsets,
        templates=messages.versions(),
        drill_list=settings.drill_list,
        set_aside=process.set_aside,
    )
    notices = NoticeDeps(
        mongo=process.mongo,
        alerts=stores.alerts,
        send_queue=stores.send_queue,
        live=live,
        whereabouts=stores.whereabouts,
        advice=stores.advice,
    )
    policy = EscalationPolicy(timedelta(minutes=settings.reminder_minutes), timedelta(minutes=settings.crisis_minutes))
    escalation = EscalationDeps(
        mongo=process.mongo,
        outbox=stores.outbox,
        alerts=stores.alerts,
        send_queue=stores.send_queue,
        deliveries=stores.deliveries,
        whereabouts=stores.whereabouts,
        notices=notices,
        policy=policy,
        set_aside=process.set_aside,
    )
    return HandlerDeps(
        selection=selection,
        notices=notices,
        escalation=escalation,
        deliveries=stores.deliveries,
        service_mail=ServiceMailDeps(
            notices=notices,
            deliveries=stores.deliveries,
            requests=stores.requests,
            planned=stores.planned_mails,
            cases=stores.office_cases,
            callbacks=stores.callbacks,
            policy=settings.mail_policy,
            office_policy=settings.office_policy,
            portal_url=settings.portal_url,
        ),
        keyring=process.keyring,
        resolve=gazetteer.resolve,
    )


def _send_deps(
    process: Process, settings: Settings, stores: Stores, live: LiveCatalogue, messages: Messages
) -> SendDeps:
    rules = SendingRules(
        sender=settings.smtp_sender,
        answer_base_url=settings.answer_base_url,
        chunk_sizes={channel: spec.chunk_size(settings) for channel, spec in CHANNELS.items()},
        allow_list=settings.allow_list,
        bounce_address=settings.bounce_address or None,
        drill_list=settings.drill_list,
    )
    composing = ComposerDeps(messages, live, stores.deliveries.answers, rules)
    return SendDeps(
        outbox=stores.outbox,
        send_queue=stores.send_queue,
        alerts=stores.alerts,
        whereabouts=stores.whereabouts,
        deliveries=stores.deliveries,
        advice=stores.advice,
        composing=composing,
        keyring=process.keyring,
        set_aside=process.set_aside,
    )


def _callback_deps(
    stores: Stores, escalation: EscalationDeps, sms_providers: Mapping[str, SmsProvider]
) -> CallbackDeps:
    receipts = {name: provider.parse_receipts for name, provider in sms_providers.items()}
    return CallbackDeps(
        outbox=stores.outbox,
        callbacks=stores.callbacks,
        deliveries=stores.deliveries,
        alerts=stores.alerts,
        whereabouts=stores.whereabouts,
        escalation=escalation,
        receipt_parsers={**receipts, BOUNCE_PROVIDER: parse_bounce},
        reply_parsers={name: provider.parse_replies for name, provider in sms_providers.items()},
        providers=stores.providers,
    )
