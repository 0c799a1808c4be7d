"""Invented content: every template is rendered with it at startup, and in the golden files of the tests. Pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from services.notify.messages.content import (
    AlertContent,
    AnswerContent,
    AnyContent,
    ClearanceContent,
    HelpReplyContent,
    IncidentContent,
    Kind,
    ManualContent,
    Place,
    RegistrationContent,
    ReminderContent,
    SlotContent,
)
from shared.catalogue import Contact, Name
from shared.events import Level

UNIVERSITY = Name(nl="Voorbeelduniversiteit", en="Example University")
EMERGENCY_NUMBER = "+31715270000"
EMERGENCY_EMAIL = "emergency@university.example"

COUNTRY = AlertContent(
    university=UNIVERSITY,
    emergency_number=EMERGENCY_NUMBER,
    emergency_email=EMERGENCY_EMAIL,
    country="UA",
    level=Level.RED,
    since=datetime(2026, 10, 12, 12, 5, tzinfo=UTC),
    effective_at=datetime(2026, 10, 12, 12, 5, tzinfo=UTC),
    source="netherlands",
    text_nl="Dit is een verzonnen advies. De kleurcode voor Oekraïne is rood. Reis er niet heen.",
    text_en="This is an invented advice. The colour for Ukraine is red. Do not travel there.",
    url="https://advice.example/oekraine",
)
REGION = COUNTRY.model_copy(
    update={
        "country": "JP",
        "area": "het zuidoosten van Fukushima",
        "area_code": "JP-07",
        "level": Level.ORANGE,
        "text_nl": "Dit is een verzonnen advies. Voor het zuidoosten van Fukushima geldt kleurcode oranje.",
        "text_en": "This is an invented advice. For a part of Fukushima the colour is orange.",
        "url": "https://advice.example/japan",
    }
)
CLEARANCE = ClearanceContent(
    university=UNIVERSITY,
    emergency_number=EMERGENCY_NUMBER,
    emergency_email=EMERGENCY_EMAIL,
    rule="R19",
    registration_id="0199d0a0-0000-7000-8000-000000000001",
    departure_date=date(2026, 11, 2),
    programme=Name(nl="Voorbeeldkunde", en="Example Studies"),
    places=(Place(country="UA", level=Level.RED, url="https://advice.example/oekraine"),),
    contact=Contact(
        function="Coordinator Example Studies", email="coordinator@university.example", phone="+31715270001"
    ),
)

_COMMON: dict[str, Any] = {
    "university": UNIVERSITY,
    "emergency_number": EMERGENCY_NUMBER,
    "emergency_email": EMERGENCY_EMAIL,
}
NOON = datetime(2026, 10, 12, 10, 0, tzinfo=UTC)
MANUAL = ManualContent(
    **_COMMON,
    country="PT",
    area_code="PT-11",
    message_nl="Dit is een verzonnen bericht.\nEr was een aardbeving. Blijf buiten en ver van gebouwen.",
    message_en="This is an invented message.\nThere was an earthquake. Stay outside and away from buildings.",
    raised_at=NOON,
)
REMINDER = ReminderContent(**_COMMON, country="UA", asked_at=NOON)
ANSWER = AnswerContent(**_COMMON, country="UA", answer="help", answered_at=NOON)
INCIDENT = IncidentContent(
    **_COMMON, alert_id="UA-7", country="UA", reasons=(("help", 1), ("no_answer", 12), ("unreachable", 2)), at=NOON
)
HELP_REPLY = HelpReplyContent(**_COMMON, asked_at=NOON, is_known=True, country="UA")
SLOT = SlotContent(**_COMMON, cluster="Surgery", contact=CLEARANCE.contact)
REGISTRATION = RegistrationContent(
    **_COMMON,
    registration_id=CLEARANCE.registration_id,
    departure_date=CLEARANCE.departure_date,
    programme=CLEARANCE.programme,
    places=(
        Place(country="JP", level=Level.GREEN, url="https://advice.example/japan"),
        Place(country="TR", level=Level.YELLOW, url="https://advice.example/turkije"),
    ),
    checked_at=NOON,
    contact=CLEARANCE.contact,
)

SPECIMENS: Mapping[Kind, AnyContent] = {
    "alert_country": COUNTRY,
    "alert_region": REGION,
    "alert_unresolved": REGION,
    "manual": MANUAL,
    "drill": MANUAL,
    "reminder": REMINDER,
    "clearance_suspended_student": CLEARANCE,
    "clearance_suspended_coordinator": CLEARANCE,
    "clearance_restored": CLEARANCE.model_copy(update={"rule": "R21"}),
    "advice_improved": COUNTRY.model_copy(update={"level": Level.YELLOW}),
    "answer_received": ANSWER,
    "incident": INCIDENT,
    "help_reply": HELP_REPLY,
    "check_advice": REGISTRATION,
    "stay_contact": REGISTRATION,
    "still_correct": REGISTRATION,
    "safety_session": REGISTRATION,
    "slot_promoted": SLOT,
}
