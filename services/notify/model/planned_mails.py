"""A service mail to a student that an event asks for, before it is due. Pure."""

from datetime import datetime
from typing import Any

from pydantic import Field

from shared.events import Identifier, Part


class PlannedMail(Part):
    """One mail. A later event of the same stream ends the mails of its groups that were not sent yet.

    The content is composed when the mail is due, from what notify knows then; here stands only what that lacks.
    """

    mail_id: Identifier = Field(description="Derived from the event: the event handled twice plans the mail once")
    kind: str = Field(description="Kind of message")
    about: Identifier = Field(description="The request or registration, which is the stream of the event")
    group: str = Field(description="Mails that the same events end")
    version: int = Field(description="streamversion of the event")
    person_id: Identifier
    at: datetime = Field(description="Time of the event")
    due_at: datetime
    number: int = Field(default=0, description="Of several mails for one event, from 0")
    details: dict[str, Any] = Field(default_factory=dict, description="Rule, reason and queue; sealed words")
