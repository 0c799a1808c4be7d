"""Invented content: every template is rendered with it at startup, and in the golden files of the tests. Pure.

Each role has facts of its own, so that a message that takes one person for another shows it.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
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
from services.notify.messages.service_specimens import (
    COORDINATOR,
    INTERNATIONAL_OFFICE,
    office_cases_specimen,
    office_digest_specimen,
    outcome_specimen,
    request_specimen,
)
from shared.catalogue import Contact, Name
from shared.events import Level, LevelBasis, LevelGrounds, OverrideFacts, Presence
from shared.privacy.contact import ContactDetails, EmergencyContact

UNIVERSITY = Name(nl="Voorbeelduniversiteit", en="Example University")
EMERGENCY_NUMBER = "+31715270000"
EMERGENCY_EMAIL = "emergency@university.example"

STUDENT = ContactDetails(
    given_name="Robin",
    surname_prefix="van",
    surname="Voorbeeld",
    email="robin@students.example",
    mobile="+31600000001",
    emergency_contact=EmergencyContact(name="Kim Specimen", phone="+31600000002", relation="ouder"),
    student_number="s0000001",
)
TEAM = Contact(function="Example Incident Team", email="team@university.example", phone="+31715270004")
#: The ministry's times, of the level and of the newest text; the university decided later.
MINISTRY_SINCE = datetime(2026, 10, 12, 12, 5, tzinfo=UTC)
ADVICE_EFFECTIVE_AT = datetime(2026, 10, 9, 6, 40, tzinfo=UTC)
OVERRIDE_SINCE = datetime(2026, 11, 3, 8, 30, tzinfo=UTC)
BAN = OverrideFacts(
    override_id="override-1",
    since=OVERRIDE_SINCE,
    document="CvB 2026/114",
    reason="Onze verzekering dekt deze reis niet meer.",
)
ORDER = BAN.model_copy(update={"document": "CvB 2026/118", "order_to_leave": True})


def _grounds(basis: LevelBasis, override: OverrideFacts | None = None, **other: Any) -> LevelGrounds:
    since = override.since if override is not None else MINISTRY_SINCE
    return LevelGrounds(basis=basis, since=since, source="netherlands", override=override, **other)


#: Every way in which a level comes about (docs/notifications.md, Who decided).
GROUNDS: Mapping[str, LevelGrounds] = {
    "source": _grounds(LevelBasis.SOURCE),
    "stricter_override": _grounds(LevelBasis.STRICTER_OVERRIDE, BAN),
    "looser_override": _grounds(LevelBasis.LOOSER_OVERRIDE, BAN),
    "unconfirmed": _grounds(LevelBasis.UNCONFIRMED),
    "not_adopted": _grounds(LevelBasis.NOT_ADOPTED),
    "last_known": _grounds(LevelBasis.LAST_KNOWN),
    "unread": _grounds(LevelBasis.UNREAD),
    "override_ended": _grounds(LevelBasis.SOURCE, override_ended_at=OVERRIDE_SINCE),
}
SOURCE_GROUNDS = GROUNDS["source"]


def _elsewhere(grounds: LevelGrounds) -> LevelGrounds:
    """The same in another country: a day later, and by another override."""
    day = timedelta(days=1)
    override = grounds.override and grounds.override.model_copy(
        update={"override_id": "override-2", "since": grounds.override.since + day, "document": "CvB 2026/115"}
        | {"reason": "Onze verzekering dekt ook daar niets."}
    )
    ended_at = grounds.override_ended_at and grounds.override_ended_at + day
    return grounds.model_copy(
        update={"since": grounds.since + day, "override": override, "override_ended_at": ended_at}
    )


SOURCE_ELSEWHERE = _elsewhere(SOURCE_GROUNDS)
COUNTRY = AlertContent(
    university=UNIVERSITY,
    emergency_number=EMERGENCY_NUMBER,
    emergency_email=EMERGENCY_EMAIL,
    country="UA",
    level=Level.RED,
    since=MINISTRY_SINCE,
    effective_at=ADVICE_EFFECTIVE_AT,
    grounds=SOURCE_GROUNDS,
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
    places=(Place(country="UA", level=Level.RED, url="https://advice.example/oekraine", grounds=SOURCE_GROUNDS),),
    contact=COORDINATOR,
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
SLOT = SlotContent(**_COMMON, cluster="Surgery", contact=INTERNATIONAL_OFFICE)
REGISTRATION = RegistrationContent(
    **_COMMON,
    registration_id=CLEARANCE.registration_id,
    departure_date=CLEARANCE.departure_date,
    programme=CLEARANCE.programme,
    places=(
        Place(country="JP", level=Level.GREEN, url="https://advice.example/japan", grounds=SOURCE_GROUNDS),
        Place(country="TR", level=Level.YELLOW, url="https://advice.example/turkije", grounds=SOURCE_ELSEWHERE),
    ),
    checked_at=NOON,
    contact=COORDINATOR,
)
REQUEST = request_specimen(_COMMON)
OUTCOME = outcome_specimen(_COMMON)

IMPROVED = COUNTRY.model_copy(
    update={
        "level": Level.YELLOW,
        "text_nl": "Dit is een verzonnen advies. De kleurcode voor Oekraïne is geel.",
        "text_en": "This is an invented advice. The colour for Ukraine is yellow.",
    }
)
UNREAD = REGION.model_copy(
    update={"area": "Code oranje, waar de weg langs de kust is afgesloten", "area_code": None}
    | {"grounds": GROUNDS["unread"]}
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
    "advice_improved": IMPROVED,
    "answer_received": ANSWER,
    "incident": INCIDENT,
    "help_reply": HELP_REPLY,
    "check_advice": REGISTRATION,
    "stay_contact": REGISTRATION,
    "still_correct": REGISTRATION,
    "safety_session": REGISTRATION,
    "slot_promoted": SLOT,
    "approval_question": REQUEST,
    "approval_granted": REQUEST,
    "approval_refused": REQUEST,
    "approval_revoked": REQUEST,
    "not_registered": REQUEST,
    "registration_cleared": OUTCOME,
    "registration_routed": OUTCOME,
    "registration_incomplete": OUTCOME.model_copy(update={"rule": "R9", "reason": "documents_missing"}),
    "registration_refused": OUTCOME.model_copy(
        update={"rule": "R13", "reason": "advice_negative", "words": "These are invented words of a member of staff."}
    ),
    "trip_changed": OUTCOME,
    "stay_over": OUTCOME,
    "office_cases": office_cases_specimen(_COMMON),
    "office_digest": office_digest_specimen(_COMMON),
}


def _under(content: AlertContent, grounds: LevelGrounds) -> AlertContent:
    return content.model_copy(update={"grounds": grounds, "since": grounds.since})


def _decided(content: AlertContent) -> dict[str, AnyContent]:
    """Decided otherwise than by the ministry now. A looser override never leaves a level that raises an alert."""
    return {
        name: _under(content, grounds)
        for name, grounds in GROUNDS.items()
        if name not in ("source", "looser_override", "unread")
    }


def _presences(content: AlertContent | ManualContent | ReminderContent) -> dict[str, AnyContent]:
    return {
        presence.value: content.model_copy(update={"presence": presence})
        for presence in Presence
        if presence is not Presence.THERE
    }


def _ordered_to_leave(content: AlertContent) -> dict[str, AnyContent]:
    """An order to leave, to each who is there or was; and a ban and an order to who is about to go, or was there."""
    ordered = _under(content, _grounds(LevelBasis.STRICTER_OVERRIDE, ORDER))
    banned = _under(content, GROUNDS["stricter_override"])
    both = _under(content, _grounds(LevelBasis.SOURCE).model_copy(update={"override": ORDER}))
    return {
        "order_to_leave": ordered,
        "order_to_leave_and_source": both,
        **{f"order_to_leave.{name}": variant for name, variant in _presences(ordered).items()},
        **{f"stricter_override.{name}": variant for name, variant in _presences(banned).items()},
    }


def _places_decided(content: ClearanceContent | RegistrationContent | AnyContent) -> dict[str, AnyContent]:
    assert isinstance(content, ClearanceContent | RegistrationContent)
    return {
        name: content.model_copy(
            update={
                "places": tuple(
                    place.model_copy(update={"grounds": _elsewhere(grounds) if number else grounds})
                    for number, place in enumerate(content.places)
                )
            }
        )
        for name, grounds in GROUNDS.items()
        if name != "source"
    }


#: The same kinds of message where something else was decided, or the person is elsewhere: kind → variant → content.
VARIANTS: Mapping[Kind, Mapping[str, AnyContent]] = {
    "alert_country": {**_decided(COUNTRY), **_presences(COUNTRY), **_ordered_to_leave(COUNTRY)},
    "alert_region": {**_decided(REGION), **_presences(REGION), **_ordered_to_leave(REGION)},
    "alert_unresolved": {**_decided(REGION), **_presences(REGION), **_ordered_to_leave(REGION), "unread": UNREAD},
    "manual": _presences(MANUAL),
    "reminder": _presences(REMINDER),
    "clearance_suspended_student": _places_decided(CLEARANCE),
    "clearance_suspended_coordinator": _places_decided(CLEARANCE),
    "clearance_restored": _places_decided(SPECIMENS["clearance_restored"]),
    "advice_improved": {**_decided(IMPROVED), "looser_override": _under(IMPROVED, GROUNDS["looser_override"])},
    "check_advice": _places_decided(REGISTRATION),
    "incident": {"one": INCIDENT.model_copy(update={"reasons": (("help", 1),)})},
    "help_reply": {
        "mail": HELP_REPLY.model_copy(update={"by_mail": True}),
        "unknown_mail": HELP_REPLY.model_copy(update={"by_mail": True, "is_known": False, "country": None}),
    },
}
#: Kinds of message that go to an office of the university; all others go to the student.
OFFICE_READERS: Mapping[Kind, Contact] = {
    "clearance_suspended_coordinator": COORDINATOR,
    "incident": TEAM,
    "help_reply": TEAM,
    "office_cases": COORDINATOR,
    "office_digest": COORDINATOR,
}


def reader_name(kind: Kind) -> str:
    """The name with which a specimen of this kind addresses its reader."""
    office = OFFICE_READERS.get(kind)
    return office.function if office is not None else STUDENT.called
