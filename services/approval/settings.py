"""What the approval service is told by its environment."""

from pathlib import Path

from pydantic import Field

from shared.settings import CommonSettings


class Settings(CommonSettings):
    """Every variable of the service; the common ones in shared/settings.py."""

    catalogue_dir: Path = Field(description="Folder of university.yaml and one YAML file per faculty")
    catalogue_seconds: float = Field(
        default=10, gt=0, description="Between two looks at the catalogue's files, seconds"
    )
    places_seconds: float = Field(
        default=30, gt=0, description="Between two looks for places that the catalogue has added (R34), seconds"
    )
