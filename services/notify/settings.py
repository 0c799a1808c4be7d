"""The environment variables of the notify service."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from services.notify.model.shards import MAX_EVENT_ENTRIES
from services.notify.rules.office_mail import OfficePolicy
from services.notify.rules.service_mail import SERVICE_MAIL_KINDS, MailPolicy
from shared.environment import Demand
from shared.setting_types import (
    A_YEAR_SECONDS,
    BaseUrl,
    Certificates,
    EmailAddress,
    Host,
    Interval,
    Key,
    RandomSecret,
    Rate,
    Recipients,
    Seconds,
    Secret,
    Url,
    entries,
    given,
    is_loopback,
)
from shared.settings import CatalogueSettings

SENDER = r"^([A-Za-z0-9 ]{1,11}|\+?[0-9]{1,16})$"
#: A mail's reference, which the envelope sender carries between `+` and `@` (VERP).
REFERENCE_CHARS = 32
MAX_LOCAL_PART_CHARS = 64
A_YEAR_MINUTES = A_YEAR_SECONDS / 60


def _encrypts(starttls: bool, others: Mapping[str, Any]) -> bool:
    return starttls or others.get("smtp_implicit_tls", False) or is_loopback(others.get("smtp_host", ""))


def _room_for_a_reference(address: str) -> str:
    if len(address.rpartition("@")[0]) + 1 + REFERENCE_CHARS > MAX_LOCAL_PART_CHARS:
        raise ValueError(f"must have at most {MAX_LOCAL_PART_CHARS - REFERENCE_CHARS - 1} characters before the @")
    return address


def _prefixes(listed: str) -> str:
    if not all(re.fullmatch(r"\+[0-9]{1,15}", prefix) for prefix in entries(listed)):
        raise ValueError("must hold prefixes of numbers such as +1, with commas between them")
    return listed


def _in_order(listed: str) -> str:
    days = [int(day) for day in listed.split(",")]
    if days != sorted(set(days)):
        raise ValueError("must hold days in ascending order, each once")
    return listed


class Settings(CatalogueSettings):
    """Every variable of the service. The variables common to all services stand in shared/settings.py."""

    service_key: Key = Field(description="Base64 of 32 bytes: seals contact details, makes answer links")
    smtp_host: Host = Field(min_length=1, description="The submission server")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port")
    smtp_sender: EmailAddress = Field(min_length=3, description="Address in From")
    smtp_implicit_tls: bool = Field(default=False, description="TLS from the first byte, as on port 465")
    smtp_starttls: Annotated[
        bool, Demand("must be true, unless SMTP_IMPLICIT_TLS is, or SMTP_HOST is this machine", _encrypts)
    ] = Field(default=False, description="Require STARTTLS: a server without it gets no mail")
    smtp_ca_file: Certificates | None = Field(
        default=None, description="PEM file of the authority of the server's certificate; not set: the system's"
    )
    smtp_username: str | None = Field(default=None, description="For AUTH PLAIN or LOGIN; not set: no login")
    smtp_password: Secret | None = Field(default=None, description="Its password, sent over TLS alone")
    smtp_connections: int = Field(
        default=10, ge=1, le=100, description="Connections for all mail, and as many again for alerts alone"
    )
    sms_url: BaseUrl = Field(description="Base of CM's API")
    sms_token: Secret = Field(description="CM's product token")
    sms_sender: Annotated[
        str,
        Field(pattern=SENDER),
        Demand("must be a number, so that people can answer", lambda sender, others: sender.lstrip("+").isdigit()),
    ] = Field(description="A number that can be answered, +31970000000; or a name of at most 11 letters and digits")
    sms_weight: int = Field(default=51, ge=0, le=100, description="CM's share of the SMS, against the other weights")
    sms_per_second: Rate = Field(default=0, description="SMS per second, of all processes; 0: no limit")
    spryng_url: BaseUrl = Field(default="https://api.spryng.nl", description="Base of its API")
    spryng_api_key: Secret | None = Field(default=None, description="When set, Spryng is used as well")
    spryng_account: str = Field(
        default="", pattern=r"^[A-Za-z0-9]{0,40}$", description="Its account reference, SPNL0000000"
    )
    spryng_weight: int = Field(default=49, ge=0, le=100, description="Spryng's share of the SMS")
    spryng_per_second: Rate = Field(default=0, description="SMS per second, of all processes; 0: no limit")
    twilio_url: BaseUrl = Field(default="https://api.twilio.com", description="Base of its API")
    twilio_account: str = Field(
        default="",
        pattern=r"^(AC[0-9a-zA-Z]{1,40})?$",
        description="Account SID, AC and letters and digits; when set, Twilio is used as well",
    )
    twilio_token: Secret | None = Field(default=None, description="Auth token; Twilio signs its requests with it")
    twilio_sender: str = Field(
        default="",
        pattern=r"^(MG[0-9a-zA-Z]{1,38}|\+?[0-9]{1,16})?$",
        description="A number, or a messaging service's SID, MG and letters and digits; empty: SMS_SENDER",
    )
    twilio_weight: int = Field(default=49, ge=0, le=100, description="Twilio's share of the SMS")
    twilio_per_second: Rate = Field(default=0, description="SMS per second, of all processes; 0: no limit")
    sms_without_receipts: Annotated[str, given(_prefixes)] = Field(
        default="", description="Prefixes of numbers without delivery receipts (+1,+98), comma-separated"
    )
    bounce_address: Annotated[EmailAddress, given(_room_for_a_reference)] = Field(
        default="", description="Mailbox of bounces, local@domain, `+` extensions on (VERP)"
    )
    bounce_maildir: str = Field(default="", description="Maildir that receives the bounces; empty: none")
    answer_base_url: BaseUrl = Field(description="Public address of this service")
    webhook_secret: RandomSecret = Field(min_length=16, description="Password in the webhook URLs of the providers")
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
    unknown_wait_seconds: Seconds = Field(default=120, description="How long an unknown delivery waits for a receipt")
    unknown_policy: Literal["resend", "hold"] = Field(default="resend", description="Then: send again, or hold")
    urgent_workers: int = Field(
        default=1, ge=1, le=50, description="Further send workers of each channel, for alerts alone"
    )
    sweep_seconds: Interval = Field(default=5, description="Time between two sweeps for unfinished work")
    recipient_allow_list: Recipients = Field(
        default="",
        description="Addresses, @domains, numbers, comma-separated; set: no other gets a message (test copy)",
    )

    drill_allow_list: Recipients = Field(
        default="", description="Addresses, @domains, numbers, comma-separated; a drill reaches nobody else"
    )
    reminder_minutes: float = Field(
        default=30, gt=0, le=A_YEAR_MINUTES, description="Time without an answer before the reminder (R38)"
    )
    crisis_minutes: float = Field(
        default=60, gt=0, le=A_YEAR_MINUTES, description="Time without an answer before the crisis team (R38)"
    )
    ladder_seconds: Interval = Field(default=10, description="Time between two runs of the escalation policy")
    scanner_seconds: Seconds = Field(
        default=20,
        description="A *safe* by link this soon after its message is unverified: scanners follow links",
    )

    service_mail_seconds: Interval = Field(default=2, description="Time between two looks at service mail that is due")
    service_mail_settle_seconds: Seconds = Field(
        default=10, description="A service mail waits this long: a decision replaced within it makes one mail"
    )
    service_mail_max_age_hours: float = Field(
        default=72, gt=0, le=8_784, description="Service mail that was due longer ago is not sent, as after an outage"
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
        default=3, gt=0, le=366, description="Days from an approval to the reminder that the journey is not registered"
    )
    return_question_days: Annotated[
        str, Field(pattern=r"^[0-9]{1,3}(,[0-9]{1,3}){0,9}$"), AfterValidator(_in_order)
    ] = Field(
        default="0,3,7",
        description="Days after the end of a stay on which the student is asked whether they are back",
    )
    digest_hour: int = Field(
        default=8, ge=0, le=23, description="From this hour (Amsterdam) each office gets its digest of the day"
    )
    office_mail_minutes: float = Field(
        default=15,
        ge=0,
        le=1_440,
        description="Urgent cases of one office within this time share a mail; emergencies: 1 minute",
    )
    overdue_days: float = Field(
        default=10, ge=0, le=366, description="Days after a stay until a missing return stands in the digest"
    )
    portal_url: Url = Field(
        default="",
        description="Page where students and staff work, linked in service mail; empty: no link",
    )

    @field_validator("service_mail_off")
    @classmethod
    def _knows_kinds(cls, value: str) -> str:
        if not entries(value) <= SERVICE_MAIL_KINDS:
            raise ValueError(f"must name kinds of service mail: {', '.join(sorted(SERVICE_MAIL_KINDS))}")
        return value

    @field_validator("smtp_starttls")
    @classmethod
    def _encrypts_once(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("smtp_implicit_tls"):
            raise ValueError("must be false, because SMTP_IMPLICIT_TLS is true")
        return value

    @field_validator("smtp_password")
    @classmethod
    def _is_not_sent_in_clear(cls, value: object, info: ValidationInfo) -> object:
        has_username = info.data.get("smtp_username") is not None
        if "smtp_username" in info.data and has_username != (value is not None):
            raise ValueError("and SMTP_USERNAME belong together: set both, or neither")
        # A wrong SMTP_STARTTLS or SMTP_HOST has its own sentence.
        if has_username and not _encrypts(info.data.get("smtp_starttls", True), info.data):
            raise ValueError("is sent over TLS alone: set SMTP_STARTTLS or SMTP_IMPLICIT_TLS")
        return value

    @field_validator("spryng_account")
    @classmethod
    def _belongs_to_the_spryng_key(cls, value: str, info: ValidationInfo) -> str:
        _check_pair(value, info, "spryng_api_key")
        return value

    @field_validator("twilio_token")
    @classmethod
    def _belongs_to_the_twilio_account(cls, value: object, info: ValidationInfo) -> object:
        _check_pair(value, info, "twilio_account")
        return value

    @field_validator("bounce_maildir")
    @classmethod
    def _belongs_to_the_bounce_address(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("bounce_address") == "":
            raise ValueError("is of no use without BOUNCE_ADDRESS")
        return value

    @property
    def mail_policy(self) -> MailPolicy:
        """When service mail is sent."""
        return MailPolicy(
            settle=timedelta(seconds=self.service_mail_settle_seconds),
            max_age=timedelta(hours=self.service_mail_max_age_hours),
            quiet_from=self.quiet_from_hour,
            quiet_until=self.quiet_until_hour,
            off=entries(self.service_mail_off),
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
        return entries(self.drill_allow_list)

    @property
    def allow_list(self) -> frozenset[str] | None:
        """The only addresses that may get a message; None: all."""
        return entries(self.recipient_allow_list) or None


def _check_pair(value: object, info: ValidationInfo, other: str) -> None:
    """A contract with a provider has both, or neither."""
    if other in info.data and bool(info.data[other]) != bool(value):
        raise ValueError(f"and {other.upper()} belong together: set both, or neither")
