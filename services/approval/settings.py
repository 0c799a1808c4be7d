"""Environment variables of the approval service."""

from pydantic import Field

from shared.settings import CatalogueSettings


class Settings(CatalogueSettings):
    """Every variable of the service; the common ones are in shared/settings.py."""

    places_seconds: float = Field(
        default=30, gt=0, description="Seconds between two checks for slots that the catalogue has added (R34)"
    )
