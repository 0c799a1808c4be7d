"""Environment variables of the approval service."""

from pathlib import Path

from pydantic import Field

from shared.settings import CommonSettings


class Settings(CommonSettings):
    """Every variable of the service; the common ones are in shared/settings.py."""

    catalogue_dir: Path = Field(description="Folder with university.yaml and one YAML file for each faculty")
    catalogue_seconds: float = Field(
        default=10, gt=0, description="Seconds between two checks for changes in the catalogue's files"
    )
    places_seconds: float = Field(
        default=30, gt=0, description="Seconds between two checks for slots that the catalogue has added (R34)"
    )
