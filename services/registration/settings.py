"""The environment variables of the registration service."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from services.registration.virus_scanner import Clamd
from shared.environment import Demand
from shared.setting_types import HostPort, Interval
from shared.settings import CatalogueSettings

#: A hundred years.
MAX_RETENTION_DAYS = 36_500


def _is_settled(accepts_unscanned: bool, others: Mapping[str, Any]) -> bool:
    return accepts_unscanned or bool(others.get("clamd", True))


class Settings(CatalogueSettings):
    """The variables of this service alone; the common ones are in shared/settings.py."""

    sweep_seconds: Interval = Field(default=5, description="From one sweep of missed evaluations to the next")
    document_limit_bytes: int = Field(
        default=20_000_000, ge=1_000, le=100_000_000, description="R9: largest document, bytes"
    )
    document_registration_bytes: int = Field(
        default=100_000_000, ge=1_000, le=10_000_000_000, description="R9: all documents of one registration, bytes"
    )
    document_person_bytes: int = Field(
        default=300_000_000, ge=1_000, le=10_000_000_000, description="R9: all documents of one person, bytes"
    )
    document_uploads: int = Field(
        default=16, ge=1, le=1_000, description="Uploads of documents at once in one process; about 2 MB of memory each"
    )
    document_upload_wait_seconds: Interval = Field(
        default=20, description="How long another upload waits for its turn before it gets 503, seconds"
    )
    document_timeout_seconds: Interval = Field(
        default=300, description="Longest time for the upload or download of a document, seconds"
    )
    clamd: HostPort = Field(
        default="",
        description="host:port of a virus scanner (clamd); empty: none. If it is down, no document is stored",
    )
    accept_unscanned_documents: Annotated[
        bool, Demand("must be true where CLAMD names no virus scanner, so that somebody decides it", _is_settled)
    ] = Field(default=False, description="Store documents of students although no virus scanner has seen them")
    clamd_timeout_seconds: Interval = Field(default=30, description="Longest wait for the scanner, seconds")
    scheduler_seconds: Interval = Field(default=30, description="From one run of what has come due to the next")
    retention_days: int | None = Field(
        default=None,
        ge=30,
        le=MAX_RETENTION_DAYS,
        description="Days from the last journey to the automatic erasure; not set: never",
    )
    erasure_seconds: Interval = Field(default=600, description="From one run of the erasures to the next")
    exceptions_at_orange: bool = Field(
        default=False, description="R18: whether a safety officer may clear somebody at orange, with both permissions"
    )

    @field_validator("accept_unscanned_documents")
    @classmethod
    def _does_not_contradict(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("clamd"):
            raise ValueError("must be false, because CLAMD names a virus scanner")
        return value

    @property
    def scanner(self) -> Clamd | None:
        """The virus scanner, if one is configured."""
        host, _, port = self.clamd.rpartition(":")
        return Clamd(host, int(port), self.clamd_timeout_seconds) if self.clamd else None
