"""Invented facts with which every template is tried at the start and shown in the golden files. Pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from services.notify.messages.facts import AlertFacts, ClearanceFacts, Kind, Place
from shared.catalogue import Contact, Name
from shared.events import Level

UNIVERSITY = Name(nl="Voorbeelduniversiteit", en="Example University")
EMERGENCY_NUMBER = "+31715270000"
EMERGENCY_EMAIL = "emergency@university.example"

COUNTRY = AlertFacts(
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
CLEARANCE = ClearanceFacts(
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

SPECIMENS: Mapping[Kind, AlertFacts | ClearanceFacts] = {
    "alert_country": COUNTRY,
    "alert_region": REGION,
    "alert_unresolved": REGION,
    "clearance_suspended_student": CLEARANCE,
    "clearance_suspended_coordinator": CLEARANCE,
}
