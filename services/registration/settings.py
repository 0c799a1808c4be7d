"""What the registration service is told by its environment."""

from pathlib import Path

from pydantic import Field

from services.registration.virus_scanner import Clamd
from shared.settings import CommonSettings


class Settings(CommonSettings):
    """Every variable of the service; the common ones in shared/settings.py."""

    catalogue_dir: Path = Field(description="Folder of university.yaml and one YAML file per faculty")
    sweep_seconds: float = Field(default=5, gt=0, description="From one look at what was left behind to the next")
    document_limit_bytes: int = Field(default=20_000_000, ge=1_000, description="R9: largest document, bytes")
    document_timeout_seconds: float = Field(
        default=300, gt=0, description="Longest time for a document on its way in or out, seconds"
    )
    clamd: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9.-]+:[0-9]{1,5})?$",
        description="host:port of a virus scanner (clamd); empty: none. Set and away: no document is taken",
    )
    clamd_timeout_seconds: float = Field(default=30, gt=0, description="Longest wait for the scanner, seconds")
    scheduler_seconds: float = Field(default=30, gt=0, description="From one look at what has come due to the next")
    retention_days: int | None = Field(
        default=None, ge=30, description="So long after the last journey a person is erased by itself; not set: never"
    )
    erasure_seconds: float = Field(default=600, gt=0, description="From one look at what is to be erased to the next")
    exceptions_at_orange: bool = Field(
        default=False, description="R18: whether a safety officer may clear somebody at orange, with both permissions"
    )

    @property
    def scanner(self) -> Clamd | None:
        """The virus scanner, where there is one."""
        host, _, port = self.clamd.rpartition(":")
        return Clamd(host, int(port), self.clamd_timeout_seconds) if self.clamd else None
