"""The faults, the configuration and the control requests of the SMS gateway simulator."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from yarl import URL

from deploy.local.cm_wire import Json
from deploy.local.faults import Count, FaultSettings, Seconds

# Source: 3GPP TS 29.002 names of the MAP errors 1 and 27. CM's own numeric codes are not published: configuration.
DELIVERED: Json = {"code": 2, "errorCode": "", "errorDescription": "Delivered"}
PERMANENT: Json = {"code": 3, "errorCode": "1", "errorDescription": "Unknown subscriber"}
TEMPORARY: Json = {"code": 3, "errorCode": "27", "errorDescription": "Absent subscriber"}


def _http_url(text: str) -> str:
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("not an http(s) URL")
    return text


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class SmsFaults(FaultSettings):
    """Faults of POST /v1.0/message and of receipts."""

    too_many_requests: Count = Field(0, description="the next N requests are answered 429; nothing is accepted")
    http_500: Count = Field(0, description="the next N requests are answered 500; nothing is accepted")
    non_json_200: Count = Field(0, description="the next N requests are answered 200 with HTML; nothing is accepted")
    refuse: Count = Field(0, description="the next N requests are answered 400 with refuse_code; nothing is accepted")
    refuse_code: int = Field(102, ge=1, le=999, description="CM's code for refuse; 102 is insufficient balance")
    hang_seconds: Seconds = Field(0, description="held before it is read; nothing is accepted if the caller leaves")
    accept_then_hang_seconds: Seconds = Field(0, description="accepted and logged at once, answered this much later")
    accept_then_cut: Count = Field(0, description="the next N requests are accepted, then cut without an answer")
    accept_then_500: Count = Field(0, description="the next N requests are accepted, then answered 500")
    duplicate_receipts: bool = Field(False, description="each receipt is posted twice")
    late_receipt_seconds: Seconds = Field(0, description="added to the delay of each receipt")
    no_receipts: bool = Field(False, description="what is accepted now never gets a receipt")


class Config(BaseModel):
    """The configuration. Credentials in a URL (`http://user:secret@…`) are sent as HTTP Basic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_token: str = Field("local-product-token", description="the only token that is accepted")
    receipts_url: HttpUrl | None = Field(None, description="where receipts go; none: no receipts")
    inbound_url: HttpUrl | None = Field(None, description="where replies by SMS go")
    receipt_delay_seconds: Seconds = Field(0.2, description="from acceptance to its receipt")
    reply_number: str = Field("0031970000000", description="`to` of a reply by who was never sent anything")
    delivered: Json = Field(DELIVERED, description="status of a receipt for a delivered SMS")
    permanent_failure: Json = Field(PERMANENT, description="status of a receipt for a wrong number")
    temporary_failure: Json = Field(TEMPORARY, description="status of a receipt for a phone that is off")


# What the command line may set, or the environment: SMS_GATEWAY_PRODUCT_TOKEN. PUT /config can change everything.
VARIABLE_PREFIX = "SMS_GATEWAY_"
FLAGS = ("product_token", "receipts_url", "inbound_url", "receipt_delay_seconds", "reply_number")


class Reply(BaseModel):
    """A reply that a handset sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: str = Field(description="whose handset, `+31…` or `0031…`")
    text: str = Field(max_length=1600)
    to: str | None = Field(None, description="the number it answers to; default: the sender of the last SMS to it")
