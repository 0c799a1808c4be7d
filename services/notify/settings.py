"""The environment variables of the notify service."""

from typing import Literal

from pydantic import Field, SecretStr

from services.notify.model.shards import MAX_EVENT_ENTRIES
from shared.settings import CatalogueSettings, Key


class Settings(CatalogueSettings):
    """Every variable of the service. The variables common to all services stand in shared/settings.py."""

    service_key: Key = Field(description="Base64 of 32 bytes: seals contact details, makes answer links")
    smtp_host: str = Field(min_length=1, description="The submission server")
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_sender: str = Field(min_length=3, max_length=254, description="Address in From")
    smtp_starttls: bool = Field(default=False, description="Require STARTTLS")
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_connections: int = Field(
        default=10, ge=1, le=100, description="Connections for all mail, and as many again for alerts alone"
    )
    sms_url: str = Field(pattern=r"^https?://\S+$", description="Base of CM's API")
    sms_token: SecretStr = Field(description="CM's product token")
    sms_sender: str = Field(min_length=1, max_length=17, description="A number that can be answered")
    sms_weight: int = Field(default=51, ge=0, le=100, description="CM's share of the SMS, against the other weights")
    sms_per_second: float = Field(default=0, ge=0, description="SMS per second, of all processes; 0: no limit")
    spryng_url: str = Field(default="https://api.spryng.nl", pattern=r"^https?://\S+$", description="Base of its API")
    spryng_api_key: SecretStr | None = Field(default=None, description="When set, Spryng is used as well")
    spryng_account: str = Field(default="", description="Its account reference, SPNL0000000")
    spryng_weight: int = Field(default=49, ge=0, le=100, description="Spryng's share of the SMS")
    spryng_per_second: float = Field(default=0, ge=0, description="SMS per second, of all processes; 0: no limit")
    twilio_url: str = Field(default="https://api.twilio.com", pattern=r"^https?://\S+$", description="Base of its API")
    twilio_account: str = Field(default="", description="Account SID, AC…; when set, Twilio is used as well")
    twilio_token: SecretStr | None = Field(default=None, description="Auth token; Twilio signs its requests with it")
    twilio_sender: str = Field(default="", max_length=40, description="A number, or a messaging service's SID (MG…)")
    twilio_weight: int = Field(default=49, ge=0, le=100, description="Twilio's share of the SMS")
    twilio_per_second: float = Field(default=0, ge=0, description="SMS per second, of all processes; 0: no limit")
    sms_without_receipts: str = Field(
        default="", description="Prefixes of numbers without delivery receipts (+1,+98), comma-separated"
    )
    bounce_address: str = Field(default="", description="Mailbox of bounces, local@domain, `+` extensions on (VERP)")
    bounce_maildir: str = Field(default="", description="Maildir that receives the bounces; empty: none")
    answer_base_url: str = Field(pattern=r"^https?://\S+$", description="Public address of this service")
    webhook_secret: SecretStr = Field(min_length=16, description="Password in the webhook URLs of the providers")
    email_window: int = Field(
        default=100,
        ge=1,
        le=MAX_EVENT_ENTRIES,
        description="Emails in one chunk: a crash leaves at most so many unknown for each worker",
    )
    sms_window: int = Field(
        default=100,
        ge=1,
        le=MAX_EVENT_ENTRIES,
        description="SMS in one chunk: a crash leaves at most so many unknown for each worker",
    )
    workers: int = Field(default=4, ge=1, le=50, description="Send workers of each channel")
    unknown_wait_seconds: float = Field(
        default=120, ge=0, description="How long an unknown delivery waits for a receipt"
    )
    unknown_policy: Literal["resend", "hold"] = Field(default="resend", description="Then: send again, or hold")
    urgent_workers: int = Field(
        default=1, ge=1, le=50, description="Further send workers of each channel, for alerts alone"
    )
    sweep_seconds: float = Field(default=5, gt=0, description="Time between two sweeps for unfinished work")
    recipient_allow_list: str = Field(
        default="",
        description="Addresses, @domains, numbers, comma-separated; set: no other gets a message (test copy)",
    )

    drill_allow_list: str = Field(
        default="", description="Addresses, @domains, numbers, comma-separated; a drill reaches nobody else"
    )
    reminder_minutes: float = Field(default=30, gt=0, description="Time without an answer before the reminder (R38)")
    crisis_minutes: float = Field(default=60, gt=0, description="Time without an answer before the crisis team (R38)")
    ladder_seconds: float = Field(default=10, gt=0, description="Time between two runs of the escalation policy")
    scanner_seconds: float = Field(
        default=20,
        ge=0,
        description="A *safe* by link this soon after its message is unverified: scanners follow links",
    )

    @property
    def numbers_without_receipts(self) -> tuple[str, ...]:
        """Prefixes of telephone numbers from which no delivery receipt will come."""
        return tuple(prefix.strip() for prefix in self.sms_without_receipts.split(",") if prefix.strip())

    @property
    def drill_list(self) -> frozenset[str]:
        """The addresses that a drill may reach; empty: nobody."""
        return _entries(self.drill_allow_list)

    @property
    def allow_list(self) -> frozenset[str] | None:
        """The only addresses that may get a message; None: all."""
        return _entries(self.recipient_allow_list) or None


def _entries(listed: str) -> frozenset[str]:
    return frozenset(entry.strip().lower() for entry in listed.split(",") if entry.strip())
