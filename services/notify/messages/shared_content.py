"""The content that every message has. Pure."""

from pydantic import BaseModel, ConfigDict, Field

from shared.catalogue import Name


class MessageContent(BaseModel):
    """What every message contains."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    university: Name
    emergency_number: str = Field(description="R28; E.164")
    emergency_email: str = Field(description="Answers by mail go here")
