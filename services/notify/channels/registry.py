"""Which SMS providers and mail servers this installation sends through, made from its settings.

To add one, follow CONTRIBUTING.md, Add an SMS provider, or Add a channel.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.notify.channels import cm, spryng, twilio
from services.notify.channels.email import EmailChannel
from services.notify.channels.message_channel import MessageChannel
from services.notify.channels.noted import NoteAnswers, NotedChannel
from services.notify.channels.sms import ProviderState, SmsPool
from services.notify.channels.sms_provider import PoolMember
from services.notify.channels.smtp import EmailSettings
from services.notify.model.outcome import Outcome
from services.notify.settings import Settings
from shared.events import Channel

#: Makes a provider from the settings; None when the settings hold no contract with it.
OpenProvider = Callable[[Settings], PoolMember | None]
#: (provider, reference) → what the provider knows of that message.
Lookup = Callable[[str, str], Awaitable[Outcome]]

#: Every SMS provider, by the name that its webhook path, its outcomes and its stored state carry.
SMS_PROVIDERS: dict[str, OpenProvider] = {
    "cm": cm.from_settings,
    "spryng": spryng.from_settings,
    "twilio": twilio.from_settings,
}


@dataclass(frozen=True, slots=True)
class Senders:
    """What sends the messages of one channel in this process.

    `urgent` serves the workers that send alerts alone, so that a server full of reminders delays no alert; it may be
    the same as `ordinary`. `lookup` asks a provider about an unknown delivery, where it can be asked. `maintain` runs
    every few seconds, in one process at a time.
    """

    ordinary: MessageChannel
    urgent: MessageChannel
    close: Callable[[], Awaitable[None]]
    lookup: Lookup | None = None
    maintain: Callable[[datetime], Awaitable[None]] | None = None


def open_sms_providers(settings: Settings) -> list[PoolMember]:
    """The providers that this installation has a contract with."""
    members = [open_provider(settings) for open_provider in SMS_PROVIDERS.values()]
    return [member for member in members if member is not None]


def sms_senders(members: list[PoolMember], state: ProviderState, note: NoteAnswers) -> Senders:
    """The pool of SMS providers; it keeps part of each rate limit for urgent messages itself."""
    pool = SmsPool(members, state, note)
    return Senders(pool, pool, pool.close, pool.lookup, pool.adjust_weights)


def email_senders(settings: Settings, note: NoteAnswers) -> Senders:
    """Two pools of connections to the submission server: one for all mail, one for alerts alone."""
    ordinary, urgent = open_email(settings), open_email(settings)

    async def close() -> None:
        await ordinary.close()
        await urgent.close()

    return Senders(NotedChannel(ordinary, note), NotedChannel(urgent, note), close)


def open_channels(
    settings: Settings,
    members: list[PoolMember],
    state: ProviderState,
    note: NoteAnswers = lambda provider, answers: None,
) -> Mapping[Channel, Senders]:
    """The senders of every channel. `note` hears what each provider answers."""
    return {Channel.EMAIL: email_senders(settings, note), Channel.SMS: sms_senders(members, state, note)}


def channels_of_providers(members: list[PoolMember]) -> Mapping[str, Channel]:
    """Provider → its channel, for every provider of this installation."""
    return {EmailChannel.provider: Channel.EMAIL, **{member.name: Channel.SMS for member in members}}


def open_email(settings: Settings) -> EmailChannel:
    """One pool of connections to the submission server."""
    return EmailChannel(
        EmailSettings(
            host=settings.smtp_host,
            port=settings.smtp_port,
            connections=settings.smtp_connections,
            starttls=settings.smtp_starttls,
            implicit_tls=settings.smtp_implicit_tls,
            ca_file=str(settings.smtp_ca_file) if settings.smtp_ca_file else None,
            username=settings.smtp_username,
            password=settings.smtp_password,
            smtp_non_ascii=settings.smtp_non_ascii,
        )
    )
