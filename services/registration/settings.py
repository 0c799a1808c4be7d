"""The environment variables of the registration service."""

from pydantic import Field

from services.registration.virus_scanner import Clamd
from shared.settings import CatalogueSettings


class Settings(CatalogueSettings):
    """The variables of this service alone; the common ones are in shared/settings.py."""

    sweep_seconds: float = Field(default=5, gt=0, description="From one sweep of missed evaluations to the next")
    document_limit_bytes: int = Field(default=20_000_000, ge=1_000, description="R9: largest document, bytes")
    document_timeout_seconds: float = Field(
        default=300, gt=0, description="Longest time for the upload or download of a document, seconds"
    )
    clamd: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9.-]+:[0-9]{1,5})?$",
        description="host:port of a virus scanner (clamd); empty: none. If it is down, no document is stored",
    )
    clamd_timeout_seconds: float = Field(default=30, gt=0, description="Longest wait for the scanner, seconds")
    scheduler_seconds: float = Field(default=30, gt=0, description="From one run of what has come due to the next")
    retention_days: int | None = Field(
        default=None,
        ge=30,
        description="Days from the last journey to the automatic erasure; not set: never",
    )
    erasure_seconds: float = Field(default=600, gt=0, description="From one run of the erasures to the next")
    exceptions_at_orange: bool = Field(
        default=False, description="R18: whether a safety officer may clear somebody at orange, with both permissions"
    )

    @property
    def scanner(self) -> Clamd | None:
        """The virus scanner, if one is configured."""
        host, _, port = self.clamd.rpartition(":")
        return Clamd(host, int(port), self.clamd_timeout_seconds) if self.clamd else None
