"""Environment variables of the approval service."""

from pydantic import Field

from shared.setting_types import Interval
from shared.settings import CatalogueSettings


class Settings(CatalogueSettings):
    """Every variable of the service; the common ones are in shared/settings.py."""

    places_seconds: Interval = Field(
        default=30, description="Seconds between two checks for slots that the catalogue has added (R34)"
    )
