"""One trace from the request at the beginning to the mail at the end (W3C trace context)."""

import secrets

from tests.full_stack import COUNTRIES, FullStack


async def test_trace_of_the_registration_stands_in_the_mail(full_stack: FullStack) -> None:
    """Who registers into a red country is alerted because of that very request."""
    early, student = full_stack.student(country := next(COUNTRIES)), full_stack.student(country)
    await full_stack.register(early)
    await full_stack.raise_to_red(country)
    await full_stack.wait_for_messages([early])
    trace = secrets.token_hex(16)
    await full_stack.register(student, traceparent=f"00-{trace}-{secrets.token_hex(8)}-01")
    await full_stack.wait_for_messages([student])
    (mail,) = await full_stack.mails_to(student.email)
    assert mail["Traceparent"].split("-")[1] == trace
    await full_stack.wait_until_idle()
    assert await full_stack.traces_of_accepted(student) == {trace}
