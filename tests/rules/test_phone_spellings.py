"""One telephone number in many spellings: each finds its person, and what is only alike is not taken for it."""

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.phone_spellings import Likeness, ending, international, likeness

NONE, ENDING, NATIONAL, SAME = Likeness
NL, MX, AR, BR, IT, RU, SR = (
    "+31612345678", "+525512345678", "+5491123456789", "+5511981234567", "+393471234567", "+79161234567", "+5978123456",
)  # fmt: skip

#: As a network wrote it, the stored number, how much they are alike.
SPELLINGS = [
    ("005215512345678", MX, SAME), ("+5215512345678", MX, SAME), ("5215512345678", MX, SAME),
    ("525512345678", MX, SAME),
    ("+52 044 55 1234 5678", MX, SAME), ("+52 045 55 1234 5678", MX, SAME), ("0445512345678", MX, NATIONAL),
    ("0455512345678", MX, NATIONAL), ("015512345678", MX, NATIONAL), ("5512345678", MX, NATIONAL),
    (MX, "+5215512345678", SAME),  # stored before the plan of 2019
    ("+541123456789", AR, SAME), ("00541123456789", AR, SAME), ("541123456789", AR, SAME),
    ("+54 11 15 2345 6789", AR, SAME), ("+54 011 15 2345 6789", AR, SAME), ("011 15 2345-6789", AR, NATIONAL),
    ("91123456789", AR, NATIONAL), (AR, "+541123456789", SAME),
    ("+551181234567", BR, SAME), ("1181234567", BR, NATIONAL),
    ("0031612345678", NL, SAME), ("31612345678", NL, SAME), ("+31 (0)6-1234 5678", NL, SAME),
    ("0031 ( 0 ) 612345678", NL, SAME), ("+310612345678", NL, SAME), ("+0031612345678", NL, SAME),
    ("tel:+31-6-12345678", NL, SAME), ("TEL:+31612345678;ext=12", NL, SAME), ("sip:+31612345678@x.example", NL, SAME),
    ("tel:0612345678;phone-context=+31", NL, SAME), ("whatsapp:+31612345678", NL, SAME), ("%2B31612345678", NL, SAME),
    ("01131612345678", NL, SAME), ("\u200e+31612345678\u202c", NL, SAME), ("+31\u00a0612\u2011345678", NL, SAME),
    ("\u0660\u0660\u0663\u0661\u0666\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", NL, SAME),
    ("0612345678", NL, NATIONAL), ("612345678", NL, NATIONAL), ("+0612345678", NL, NATIONAL),
    ("(06) 12345678", NL, NATIONAL),
    ("+39 0347 1234567", IT, SAME), ("347 123 4567", IT, NATIONAL), ("8 916 123-45-67", RU, NATIONAL),
    ("8123456", SR, NATIONAL), ("+597 812-3456", SR, SAME), ("06 30 123 4567", "+36301234567", NATIONAL),
    ("+34612345678", NL, ENDING), ("0034612345678", NL, ENDING), ("34612345678", NL, ENDING), ("12345678", NL, ENDING),
    ("2345678", NL, NONE), ("345678", NL, NONE), ("12345", NL, NONE), ("+31612345679", NL, NONE), ("", NL, NONE),
    ("MijnApp", NL, NONE), ("06HELLO678", NL, NONE), ("anonymous", NL, NONE), ("+", NL, NONE), ("0" * 50, NL, NONE),
    ("3" * 30, NL, NONE), ("\ud83c", NL, NONE), ("tel:", NL, NONE), ("+31612345678", "", NONE), (NL, "no number", NONE),
]  # fmt: skip


@pytest.mark.parametrize(("written", "stored", "expected"), SPELLINGS)
def test_likeness_table(written: str, stored: str, expected: Likeness) -> None:
    """As many spellings as networks have; whatever is alike is found by its last digits as well."""
    assert likeness(written, stored) is expected
    if expected is not NONE:
        assert ending(written) == ending(stored)


_MOBILES = sorted(
    phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    for region in phonenumbers.SUPPORTED_REGIONS
    if (number := phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)) is not None
)


@given(st.sampled_from(_MOBILES), st.sampled_from(["{}", "00{}", "+{}", "tel:+{}", "+ {}", "0011{}", "sms:00{}"]))
def test_likeness_with_its_country_is_the_same_everywhere(stored: str, spelling: str) -> None:
    """A mobile number of every country, with the sign before it that gateways write."""
    digits = stored.removeprefix("+")
    assume(spelling != "{}" or international(digits) is not None)

    written = spelling.format(digits)

    assert likeness(written, stored) is SAME
    assert ending(written) == ending(stored)


@given(st.sampled_from(_MOBILES))
def test_likeness_as_it_is_dialled_at_home_is_found_everywhere(stored: str) -> None:
    """The national form of every country's example, with its own trunk prefix and signs: never lost."""
    national = phonenumbers.format_number(phonenumbers.parse(stored), phonenumbers.PhoneNumberFormat.NATIONAL)
    # Of the shortest numbers too few digits are left to find them by.
    assume(ending(national) == ending(stored))
    significant = phonenumbers.national_significant_number(phonenumbers.parse(stored))

    assert likeness(national, stored) >= (ENDING if len(significant) >= 7 else NONE)


@given(st.sampled_from(_MOBILES), st.sampled_from(_MOBILES))
def test_likeness_with_another_country_is_never_the_same(written: str, stored: str) -> None:
    """A number that names its country is nobody's in another one."""
    assume(phonenumbers.parse(written).country_code != phonenumbers.parse(stored).country_code)

    assert likeness(written, stored) <= ENDING
    assert likeness(f"00{written[1:]}", stored) <= ENDING


@given(st.text(max_size=70), st.sampled_from(_MOBILES))
def test_likeness_of_any_text_is_an_answer(written: str, stored: str) -> None:
    """Whatever a provider names as the sender, nothing breaks, and letters are never dialled."""
    found = likeness(written, stored)

    assert found is NONE or ending(written) is not None
    assert found is NONE or not any("a" <= letter <= "z" for letter in written.split(":")[-1].lower().split(";")[0])


@pytest.mark.parametrize(
    ("written", "expected"),
    [("0031612345678", NL), ("31612345678", NL), ("+31612345678", NL), ("0612345678", None), ("12345678", None),
     ("12345", None), ("Name", None), ("", None), ("tel:+31612345678", NL), ("+" + "9" * 19, None)],
)  # fmt: skip
def test_international_names_only_a_certain_country(written: str, expected: str | None) -> None:
    """A number without its country stays as it was written."""
    assert international(written) == expected
