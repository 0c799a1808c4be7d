"""One trace from the request at the beginning to the mail at the end (W3C trace context)."""

import secrets

from tests.house import COUNTRIES, House


async def test_trace_of_the_registration_stands_in_the_mail(house: House) -> None:
    """Who registers into a red country is alerted because of that very request."""
    early, student = house.student(country := next(COUNTRIES)), house.student(country)
    await house.register(early)
    await house.raise_to_red(country)
    await house.everybody_is_told([early])
    trace = secrets.token_hex(16)
    await house.register(student, traceparent=f"00-{trace}-{secrets.token_hex(8)}-01")
    await house.everybody_is_told([student])
    (mail,) = await house.mails_to(student.email)
    assert mail["Traceparent"].split("-")[1] == trace
    await house.all_is_quiet()
    assert await house.traces_of_accepted(student) == {trace}
