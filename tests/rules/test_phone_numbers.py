"""Phone numbers: what is kept exists in its country and gets SMS; what is refused says why, in both languages."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from services.notify.messages.wording import readable_number
from shared.phone_numbers import is_possible, mobile_number, office_number, personal_number
from shared.web.phrases import Phrases

NO_NUMBER = "is not a phone number in international form (+31...)"
NO_SUCH = "is not a number that exists in its country: check every digit"
LETTERS = "holds letters: write the number in digits"
PAID = "is a number of a paid service: give that of a person"
LANDLINE = "is a landline, which gets no SMS: give a mobile number"
NO_SMS = "is a number of a kind that gets no SMS: give a mobile number"
SATELLITE = "is a satellite or service number, which our messages may not reach: give a mobile number"
EXTENSION = "has an extension, which no SMS reaches: give the number of a mobile phone alone"
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
SMS_KINDS = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


def refusal(rule: object, text: str) -> str | None:
    """Why a number is refused; None when it is kept."""
    try:
        rule(text)  # type: ignore[operator] # one of the three rules
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("+31 6 1234567", NO_SUCH), ("+44 7911 12345", NO_SUCH), ("+31 6 0000 0001", NO_SUCH),
        ("+1 555 010 0123", NO_SUCH),
        ("+31 900 1234", PAID), ("+44 909 879 0000", PAID), ("+31 800 1234", NO_SMS), ("+800 1234 5678", SATELLITE),
        ("+44 7012 345678", NO_SMS), ("+31 85 123 4567", NO_SMS), ("+31 71 527 1234", LANDLINE),
        ("+31 6 HELLO678", LETTERS), ("+31 6 12345678 or 2", LETTERS), ("+31 6 12345678 (mobile)", LETTERS),
        ("+31 6 12345678 ext 12", EXTENSION),
        ("tel:+31612345678;ext=12", EXTENSION), ("+31 6 12345678 x0", EXTENSION),
        ("+999 12345678", "begins with a country code that does not exist"),
        ("+31 6 12345678 12345", "has too many digits for its country"),
        ("+31 61", "has too few digits for its country"),
        ("0612345678", NO_NUMBER), ("call me", NO_NUMBER), ("", NO_NUMBER), ("+", NO_NUMBER), ("3.16E+10", NO_NUMBER),
        ("+31 6 12345678 / +31 6 12345679", NO_NUMBER), ("+31612345678 \U0001f600", NO_NUMBER),
    ],
)  # fmt: skip
def test_number_that_gets_no_sms_is_refused_with_the_reason(written: str, reason: str) -> None:
    """Every reason is written in Dutch, too."""
    assert refusal(mobile_number, written) == reason
    assert Phrases().in_language(reason, "nl") != reason


@pytest.mark.parametrize(
    "written",
    ["+31612345678", "+31 6 12345678", "0031 6-1234 5678", "+31 (0)6 12345678", "(+31) 6.12.34.56.78",
     "+31 06 12345678",
     "tel:+31-6-12345678", "TEL:+31612345678", "＋31612345678", "+٣١٦١٢٣٤٥٦٧٨", "\u202a+31 6 12345678\u202c",
     "+31\u00a06\u200b12345678", "+31 6‑12345678"],
)  # fmt: skip
def test_one_number_in_many_spellings_is_kept_as_one(written: str) -> None:
    """As people write, copy and paste them."""
    assert mobile_number(written) == "+31612345678"


def test_mexican_mobiles_are_kept_without_their_former_1() -> None:
    """Both spellings are one number; Argentina's 15 becomes its 9."""
    assert {mobile_number(text) for text in ("+52 1 55 1234 5678", "+525512345678")} == {"+525512345678"}
    assert {mobile_number(text) for text in ("+54 11 15 2345 6789", "+54 9 11 2345 6789")} == {"+5491123456789"}


@pytest.mark.parametrize("written", ["+31 71 527 1234 ext 12", "+31715271234x12", "+31 71 527 1234, 12",
                                     "tel:+31-71-527-1234;ext=12", "+31 71 527 1234 toestel 12"])  # fmt: skip
def test_an_extension_of_somebody_to_call_is_kept(written: str) -> None:
    """As RFC 3966 writes it: `tel:` and the stored number make a link; people read it in words."""
    for rule in (personal_number, office_number):
        assert rule(written) == "+31715271234;ext=12"
    assert personal_number("+31715271234;ext=12") == "+31715271234;ext=12"
    assert readable_number("+31715271234;ext=12") == "+31 71 527 1234 ext. 12"


def test_only_an_office_may_have_a_paid_number() -> None:
    """Of a person none is taken, also not in an emergency; a satellite phone may be called."""
    assert refusal(personal_number, "+31 900 1234") == PAID
    assert office_number("+31 900 1234") == "+319001234"
    assert personal_number("+881612345678") == "+881612345678"


@given(
    region=st.sampled_from(REGIONS),
    kind=st.sampled_from(SMS_KINDS),
    form=st.sampled_from([PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.RFC3966]),
)
def test_a_mobile_number_of_every_country_is_kept(region: str, kind: int, form: int) -> None:
    """In each form it is E.164, and that is kept again."""
    number = phonenumbers.example_number_for_type(region, kind)
    if number is None or phonenumbers.number_type(number) not in SMS_KINDS:
        return
    kept = mobile_number(phonenumbers.format_number(number, form))

    assert kept == phonenumbers.format_number(number, PhoneNumberFormat.E164)
    assert mobile_number(kept) == kept
    assert is_possible(kept)


@given(
    st.from_regex(r"\A(\+|00)[0-9]{1,3}[ -]?[0-9() -]{3,14}(( ?ext\.? ?|;ext=|x)[0-9]{1,4})?\Z") | st.text(max_size=40)
)
def test_whatever_is_kept_gets_sms(text: str) -> None:
    """Its type says so, its digits were written, and every refusal is written in Dutch."""
    reason = refusal(mobile_number, text)
    if reason is not None:
        assert Phrases().in_language(reason, "nl") != reason
        return
    kept = mobile_number(text)

    number = phonenumbers.parse(kept)
    assert phonenumbers.is_valid_number(number)
    assert phonenumbers.number_type(number) in SMS_KINDS
    assert phonenumbers.normalize_digits_only(text).endswith(kept[-6:])


@pytest.mark.parametrize(("stored", "expected"), [("+31612345678", True), ("+31600000001", True),
                                                  ("+5215512345678", True),
                                                  ("+3161", False), ("+31612345678901", False), ("none", False),
                                                  ("+999123456", False)])  # fmt: skip
def test_only_a_stored_number_that_no_network_has_is_not_tried(stored: str, expected: bool) -> None:
    """A number that is unknown to our copy of the plans is sent to: its provider decides."""
    assert is_possible(stored) == expected
