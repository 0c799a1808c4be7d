"""Names that show nothing or are a link, and addresses that no message should go to: refused where they are filled in.

What is stored already is read as it was accepted: a student with an old entry is alerted all the same.
"""

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from services.approval.api import bodies as approval_bodies
from services.registration.api import bodies as registration_bodies
from shared.fields import FreeText, PlainName, ReasonText, ShortText
from shared.privacy.contact import ContactDetails
from tests.contracts.services_world import (
    FILE,
    PDF,
    STUDENT,
    Call,
    World,
    approval_body,
    operation,
    registration_body,
)
from tests.failures import Failures

#: Signs that show nothing, alone and together.
NOTHING = ["\u200b", "\ufeff", "\u2060", "\u00ad", "\u200c\u200d", "\u180e", "\U000e0041\U000e0042", "\u3164", "\u115f",
           "\u2800", "\uffa0", "\u034f", "\u0301", "\ufe0f", " \u00a0\u2003", "\u200b\u3164\u200d"]  # fmt: skip
#: Names of real people and things, in many scripts: joiners are part of Persian and Indic spelling.
NAMES = ["Robin", "’s-Gravesande", "O'Neil", "St.John", "J.P.", "M. de Vries-Jansen Jr.", "Nguyễn", "北京", "محمد",
         "می‌خواهم",
         "क्‍ष", "ශ්‍රී", "Ólafur", "İpek", "X Æ", "Ng", "ʻOkina", "Kumar s/o Raman", "d.o.b."]  # fmt: skip
ADDRESSES = ["http://evil.example", "Reset your login at https://evil.example/x", "www.evil.example", "evil.example",
             "EVIL.COM", "Dear evil.com/login", "someone@evil.example", "ftp://x", "evil.com.",
             "(evil.org)"]  # fmt: skip
PAID = ["+979123456789", "+31900123456", "+449098790000", "+19005551234", "+80812345678"]
SATELLITE = ["+881612345678", "+88216123456", "+870773123456", "+80012345678"]


#: Numbers that exist nowhere or get no SMS, and addresses that SMTP cannot hold.
UNREACHABLE = ["+31 6 1234567", "+44 7911 12345", "+31 900 1234", "+31 6 HELLO678", "+31 71 527 1234",
               "+31 6 12345678 ext 12", "0612345678"]  # fmt: skip
UNSENDABLE = ["x" * 65 + "@students.example", "a..b@students.example", '"a b"@students.example', "a b@students.example",
              "a\u200bb@students.example", "a@[127.0.0.1]"]  # fmt: skip


def refused(kind: Any, value: object) -> bool:
    """Whether a field or a body refuses a value."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return True
    return False


def contact(**other: Any) -> dict[str, Any]:
    """Contact details as a form sends them."""
    return {**STUDENT.contact, **other}


FORMS: list[type[BaseModel]] = [registration_bodies.ContactBody, approval_bodies.ContactBody]
NAMED = ["givenName", "surnamePrefix", "surname", "preferredName"]


@pytest.mark.parametrize("kind", [ShortText, PlainName, FreeText, ReasonText])
def test_text_of_nothing_but_invisible_signs_is_empty(kind: Any) -> None:
    """Every text that a person fills in shows something."""
    assert [value for value in NOTHING if not refused(kind, value)] == []


def test_names_of_every_script_are_taken() -> None:
    """With dots, apostrophes, joiners and marks; one letter of any script makes a name."""
    assert [name for name in NAMES if refused(PlainName, name)] == []
    assert [name for name in ("7", "!", "…", "😀") if not refused(PlainName, name)] == []


@pytest.mark.parametrize("form", FORMS)
def test_a_link_is_no_name(form: type[BaseModel]) -> None:
    """In no name of the contact details: official mail would show it, and mail programs make a link of it."""
    for field in NAMED:
        assert [text for text in ADDRESSES if not refused(form, contact(**{field: text}))] == [], field
    for name in ADDRESSES:
        assert refused(form, contact(emergencyContact={"name": name, "phone": "+31612345678"}))


@pytest.mark.parametrize("form", FORMS)
def test_numbers_of_services_and_satellites_are_refused(form: type[BaseModel]) -> None:
    """Paid numbers nowhere; a satellite phone may be called in an emergency, but gets no SMS."""
    assert not refused(form, contact())
    assert [number for number in [*PAID, *SATELLITE] if not refused(form, contact(mobile=number))] == []
    for number in PAID:
        assert refused(form, contact(emergencyContact={"name": "A parent", "phone": number}))
    assert not refused(form, contact(emergencyContact={"name": "A parent", "phone": SATELLITE[0]}))


@pytest.mark.parametrize("form", FORMS)
def test_addresses_that_cannot_exist_are_refused(form: type[BaseModel]) -> None:
    """Names that are reserved for tests and local networks get no mail. Source: RFC 6761, RFC 2606."""
    wrong = ["student@metadata.test", "student@university.invalid", "student@printer.local", "student@localhost"]

    assert [address for address in wrong if not refused(form, contact(email=address))] == []


@pytest.mark.parametrize("form", FORMS)
def test_numbers_and_addresses_that_no_message_reaches_are_refused(form: type[BaseModel]) -> None:
    """At the door, and not at the alert. Somebody to call may have a landline and an extension, which is kept."""
    assert [number for number in UNREACHABLE if not refused(form, contact(mobile=number))] == []
    assert [address for address in UNSENDABLE if not refused(form, contact(email=address))] == []
    kept: Any = form.model_validate(contact(emergencyContact={"name": "A parent", "phone": "+31 71 527 1234 ext 12"}))
    assert kept.emergency_contact.phone == "+31715271234;ext=12"


@pytest.mark.parametrize("form", FORMS)
def test_a_person_with_one_name_fills_in_one(form: type[BaseModel]) -> None:
    """It is the given name; an empty surname is still a mistake."""
    one: Any = form.model_validate({name: value for name, value in contact().items() if name != "surname"})

    assert one.full_name == one.given_name
    assert refused(form, contact(surname=""))
    assert refused(form, {name: value for name, value in contact().items() if name != "givenName"})


def test_what_was_stored_before_is_still_read() -> None:
    """Details that today's form refuses: the person is found and alerted all the same."""
    old = contact(
        givenName="\u200b", surname="http://evil.example", email="student@metadata.test", mobile="+881612345678",
        emergencyContact={"name": "www.evil.example", "phone": "+979123456789"},
    )  # fmt: skip

    assert ContactDetails.model_validate(old).mobile == "+881612345678"
    for number in ("+3161234567", "+319001234", "+5215512345678"):
        assert ContactDetails.model_validate(contact(mobile=number)).mobile == number
    for address in (*UNSENDABLE, "josé@students.example"):
        assert ContactDetails.model_validate(contact(email=address)).email == address


async def test_over_http_each_is_named_with_its_field(services: World) -> None:
    """400 at the form of a registration, all mistakes together; a document's name that shows nothing, too."""
    wrong = contact(givenName="\u200b", surname="http://evil.example", mobile="+979123456789", email="a@metadata.test")
    body = {**registration_body(), "contact": wrong}

    answer = await services.send(Call(operation("submitRegistration"), STUDENT, json=body))

    assert answer.status_code == 400
    assert {error["field"] for error in answer.json()["errors"]} == {
        "body.contact.givenName", "body.contact.surname", "body.contact.mobile", "body.contact.email"
    }  # fmt: skip
    registration_id = await services.register(STUDENT)
    attach = Call(
        operation("attachDocument"), STUDENT, path={"registration_id": registration_id}, query={"kind": "Letter"},
        content=PDF,
    )  # fmt: skip
    for name in ("%E2%80%8B", "%EF%BB%BF", "%F3%A0%81%81"):
        headers = {**FILE, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        assert (await services.send(attach, headers=headers)).status_code == 400, name


#: What is wrong with a body → its field, and the reason in Dutch and English.
AT_THE_DOOR = [
    ({"mobile": "+31 6 1234567"}, "mobile", "is geen nummer dat in zijn land bestaat: controleer elk cijfer",
     "is not a number that exists in its country: check every digit"),
    ({"mobile": "+31 6 HELLO678"}, "mobile", "bevat letters: schrijf het nummer in cijfers",
     "holds letters: write the number in digits"),
    ({"email": "x" * 65 + "@students.example"}, "email",
     "is langer dan e-mail toelaat: 64 bytes voor het @-teken, 254 in totaal",
     "is longer than mail allows: 64 octets before the @, 254 in all"),
    ({"email": "josé@students.example"}, "email",
     "heeft voor het @-teken letters die onze mailserver niet aankan (alleen a-z, 0-9): geef een ander adres",
     "has letters before the @ that our mail server does not carry (only a-z, 0-9): give another address"),
]  # fmt: skip


async def test_over_http_the_reason_is_told_in_both_languages(services: World) -> None:
    """At every door: registration, details for the stay, and a request for approval."""
    registration_id = await services.register(STUDENT)
    path = {"registration_id": registration_id}
    doors = {
        "submitRegistration": (registration_body(), "body.contact.", {}),
        "requestApproval": (approval_body(), "body.contact.", {}),
        "putStayContact": ({}, "body.", path),
    }
    with Failures() as failures:
        for name, (body, prefix, parameters) in doors.items():
            for change, field, *reasons in AT_THE_DOOR:
                sent = {**body, "contact": contact(**change)} if "contact" in body else change
                for language, reason in zip(("nl", "en"), reasons, strict=True):
                    with failures.case(f"{name} {field} {language}"):
                        call = Call(operation(name), STUDENT, path=parameters, json=sent)
                        headers = {"Accept-Language": language, "If-Match": "*"}
                        answer = await services.send(call, headers=headers)
                        errors = answer.json()["errors"]
                        assert answer.status_code == 400
                        assert [(error["field"], error["reason"]) for error in errors] == [(f"{prefix}{field}", reason)]
