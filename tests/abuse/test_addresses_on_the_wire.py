"""Whatever the door takes leaves over the real wire: the SMTP inbox gets its path, the SMS provider gets its number."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from pydantic import SecretStr

from deploy.local.faults import Faults
from deploy.local.smtp_inbox import HOSTNAME, Connection, Inbox, Maildir, SmtpFaults
from services.notify.channels.cm import CmProvider, CmSettings
from services.notify.channels.email import EmailChannel
from services.notify.channels.sms import SmsPool
from services.notify.channels.sms_provider import PoolMember
from services.notify.channels.smtp import EmailSettings
from services.notify.messages.outgoing import Email, Sms
from services.notify.model.outcome import Outcome, OutcomeKind
from shared.email_addresses import accepted_address, mailbox, needs_smtputf8
from shared.phone_numbers import mobile_number
from tests.integration.provider_servers import cm_accepts, serving
from tests.rules.test_email_addresses import addresses, refusal

CONTENT = b"Subject: Travel advice\r\n\r\nPlease read this.\r\n"
SENDER = "alerts@university.example"


class NoState:
    """What the pool shares about its providers, for one provider without limits."""

    async def store_ids(self, references: object, now: object) -> None:
        """Nothing to remember."""


@asynccontextmanager
async def inbox(folder: Path, *, smtp_non_ascii: bool) -> AsyncIterator[tuple[int, Maildir]]:
    """The SMTP inbox of the local stack, with or without SMTPUTF8."""
    maildir, loop = Maildir(folder), asyncio.get_running_loop()
    faults = Inbox(maildir, Faults(SmtpFaults()))
    server = await loop.create_server(
        lambda: Connection(faults, loop=loop, hostname=HOSTNAME, enable_SMTPUTF8=smtp_non_ascii), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1], maildir
    finally:
        server.close()
        await server.wait_closed()


async def sent(port: int, recipients: Sequence[str]) -> list[Outcome]:
    """The outcomes of one email to each of these stored addresses."""
    channel = EmailChannel(EmailSettings(host="127.0.0.1", port=port, connections=1))
    emails = [Email(f"m{number}", SENDER, address, CONTENT) for number, address in enumerate(recipients)]
    try:
        return await channel.send(emails)
    finally:
        await channel.close()


def delivered_to(maildir: Maildir) -> list[str]:
    """The envelope's recipients, as the inbox noted them."""
    return sorted(str(message["to"]) for message in maildir.messages())


@pytest.mark.parametrize("smtp_non_ascii", [False, True])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(addresses, min_size=10, max_size=40))
def test_whatever_address_is_taken_is_carried(
    tmp_path_factory: pytest.TempPathFactory, smtp_non_ascii: bool, written: list[str]
) -> None:
    """By a server without SMTPUTF8 every address that does not need it, by one with it every address."""
    stored = {accepted_address(text) for text in written if refusal(text) is None}
    taken = sorted(address for address in stored if smtp_non_ascii or not needs_smtputf8(address))

    async def story() -> tuple[list[Outcome], list[str]]:
        async with inbox(tmp_path_factory.mktemp("inbox"), smtp_non_ascii=smtp_non_ascii) as (port, maildir):
            return await sent(port, taken), delivered_to(maildir)

    outcomes, arrived = asyncio.run(story())

    assert [(outcome.kind, outcome.reason) for outcome in outcomes if not outcome.is_accepted] == []
    assert arrived == sorted(map(mailbox, taken))


async def test_an_address_of_former_days_that_mail_cannot_carry_is_refused_alone(tmp_path: Path) -> None:
    """It was stored before the rule: its outcome says why, without a byte on the wire; its neighbours are carried."""
    former = ["x" * 65 + "@students.example", "josé@students.example", "é" * 33 + "@students.example", "a b@c.example"]
    async with inbox(tmp_path, smtp_non_ascii=False) as (port, maildir):
        outcomes = await sent(port, [*former, "ann@münchen.example"])
        arrived = delivered_to(maildir)

    assert [(outcome.kind, outcome.reason) for outcome in outcomes[:4]] == [
        (OutcomeKind.REFUSED, "an address that no SMTP command can hold"),
        (OutcomeKind.REFUSED, "the address needs SMTPUTF8, which the server does not offer"),
        (OutcomeKind.REFUSED, "an address that no SMTP command can hold"),
        (OutcomeKind.REFUSED, "an address that no SMTP command can hold"),
    ]
    assert outcomes[4].is_accepted
    assert arrived == ["ann@xn--mnchen-3ya.example"]


async def texted(url: str, numbers: Sequence[str]) -> list[Outcome]:
    """The outcomes of one SMS to each of these stored numbers, through the pool, over CM's wire."""
    provider = CmProvider(CmSettings(url=url, product_token=SecretStr("t"), sender="+31970000000"))
    pool = SmsPool([PoolMember(provider, 1)], NoState())  # type: ignore[arg-type] # as far as one provider needs one
    try:
        return await pool.send([Sms(f"t{index}", f"{index:032x}", to, "Go home.") for index, to in enumerate(numbers)])
    finally:
        await pool.close()


async def test_a_mobile_number_of_every_country_is_what_the_provider_gets() -> None:
    """As people of that country write it, whatever a paste has left around it."""
    forms = (PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.E164, PhoneNumberFormat.RFC3966)
    examples = [
        number
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        if (number := phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)) is not None
    ]
    written = [f"\u202a{phonenumbers.format_number(number, form)}\u202c\t" for number in examples for form in forms]
    async with serving(cm_accepts) as server:
        outcomes = await texted(server.url, [mobile_number(text) for text in written])
        asked = [message["to"][0]["number"] for post in server.asked for message in post.json["messages"]["msg"]]

    assert all(outcome.is_accepted for outcome in outcomes)
    assert len(examples) > 200
    assert asked == [f"00{number.country_code}{national(number)}" for number in examples for _ in forms]


def national(number: phonenumbers.PhoneNumber) -> str:
    """The digits after the country code, with the leading zeros that belong to them."""
    return str(phonenumbers.national_significant_number(number))


async def test_a_number_of_former_days_that_no_network_has_is_refused_alone() -> None:
    """No provider is asked for it; a number that only our copy of the plans does not know is sent."""
    async with serving(cm_accepts) as server:
        outcomes = await texted(server.url, ["+31612345678901", "+31600000001", "none", "+999123456"])
        asked = [message["to"][0]["number"] for post in server.asked for message in post.json["messages"]["msg"]]

    assert [(outcome.kind, outcome.reason) for outcome in outcomes if not outcome.is_accepted] == [
        (OutcomeKind.REFUSED, "a number that no network has")
    ] * 3
    assert outcomes[1].is_accepted
    assert asked == ["0031600000001"]
    async with serving(cm_accepts) as server:
        assert not (await texted(server.url, ["none"]))[0].is_accepted
        assert server.asked == []
