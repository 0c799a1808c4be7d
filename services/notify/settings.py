"""The environment variables of the notify service."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from services.notify.model.shards import MAX_EVENT_ENTRIES
from services.notify.rules.office_mail import OfficePolicy
from services.notify.rules.service_mail import SERVICE_MAIL_KINDS, MailPolicy
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

    service_mail_seconds: float = Field(
        default=2, gt=0, description="Time between two looks at service mail that is due"
    )
    service_mail_settle_seconds: float = Field(
        default=10, ge=0, description="A service mail waits this long: a decision replaced within it makes one mail"
    )
    service_mail_max_age_hours: float = Field(
        default=72, gt=0, description="Service mail that was due longer ago is not sent, as after an outage"
    )
    service_mail_off: str = Field(
        default="", description="Kinds of service mail that are not sent, comma-separated: stay_over,office_digest"
    )
    quiet_from_hour: int = Field(
        default=22, ge=0, le=23, description="Service mail waits from this hour (Amsterdam), never an alert"
    )
    quiet_until_hour: int = Field(
        default=8, ge=0, le=23, description="Until this hour; the same as QUIET_FROM_HOUR: no quiet hours"
    )
    register_reminder_days: float = Field(
        default=3, gt=0, description="Days from an approval to the reminder that the journey is not registered"
    )
    return_question_days: str = Field(
        default="0,3,7",
        pattern=r"^\d{1,3}(?:,\d{1,3})*$",
        description="Days after the end of a stay on which the student is asked whether they are back",
    )
    digest_hour: int = Field(
        default=8, ge=0, le=23, description="From this hour (Amsterdam) each office gets its digest of the day"
    )
    office_mail_minutes: float = Field(
        default=15, ge=0, description="Urgent cases of one office within this time share a mail; emergencies: 1 minute"
    )
    overdue_days: float = Field(
        default=10, ge=0, description="Days after a stay until a missing return stands in the digest"
    )
    portal_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Page where students and staff work, linked in service mail; empty: no link",
    )

    @field_validator("service_mail_off")
    @classmethod
    def _knows_kinds(cls, value: str) -> str:
        unknown = _entries(value) - SERVICE_MAIL_KINDS
        if unknown:
            raise ValueError(f"unknown kinds of service mail; known are {', '.join(sorted(SERVICE_MAIL_KINDS))}")
        return value

    @property
    def mail_policy(self) -> MailPolicy:
        """When service mail is sent."""
        return MailPolicy(
            settle=timedelta(seconds=self.service_mail_settle_seconds),
            max_age=timedelta(hours=self.service_mail_max_age_hours),
            quiet_from=self.quiet_from_hour,
            quiet_until=self.quiet_until_hour,
            off=_entries(self.service_mail_off),
            register_after=timedelta(days=self.register_reminder_days),
            return_after=tuple(timedelta(days=int(days)) for days in self.return_question_days.split(",")),
        )

    @property
    def office_policy(self) -> OfficePolicy:
        """When offices get mail."""
        return OfficePolicy(
            digest_hour=self.digest_hour,
            pause=timedelta(minutes=self.office_mail_minutes),
            overdue_after=timedelta(days=self.overdue_days),
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
