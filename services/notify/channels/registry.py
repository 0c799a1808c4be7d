"""Which SMS providers and mail servers this installation sends through, made from its settings.

To add a provider or a channel, follow the steps in services/notify/README.md.
"""

from collections.abc import Callable, Mapping

from services.notify.channels import cm, spryng, twilio
from services.notify.channels.email import EmailChannel
from services.notify.channels.sms_provider import PoolMember
from services.notify.channels.smtp import EmailSettings
from services.notify.settings import Settings

#: Makes a provider from the settings; None when the settings hold no contract with it.
OpenProvider = Callable[[Settings], PoolMember | None]

#: Every SMS provider by the name that its webhook path, its outcomes and its stored state carry.
SMS_PROVIDERS: dict[str, OpenProvider] = {
    "cm": cm.from_settings,
    "spryng": spryng.from_settings,
    "twilio": twilio.from_settings,
}


def open_sms_providers(settings: Settings, registry: Mapping[str, OpenProvider] = SMS_PROVIDERS) -> list[PoolMember]:
    """The providers that this installation has a contract with."""
    members = [open_provider(settings) for open_provider in registry.values()]
    return [member for member in members if member is not None]


def open_email(settings: Settings) -> EmailChannel:
    """A pool of connections to the submission server."""
    return EmailChannel(
        EmailSettings(
            host=settings.smtp_host,
            port=settings.smtp_port,
            connections=settings.smtp_connections,
            starttls=settings.smtp_starttls,
            username=settings.smtp_username,
            password=settings.smtp_password,
        )
    )
