"""R17, R26: what people read when the advice turns: who decided it, since when, and what to do."""

import asyncio
import json
from typing import Any

from deploy.local.demo.world import Plan, Student
from shared.clock import amsterdam_date, utc_now
from tests.full_stack import COUNTRIES, OFFICER, FullStack

DOCUMENT, REASON = "Executive Board 2026/114", "Our insurance does not cover this journey any more."


async def decide(stack: FullStack, country: str, colour: str, **more: Any) -> None:
    """A safety officer sets an override for the country, from today on."""
    body = {
        "country": country, "level": colour, "validFrom": amsterdam_date(utc_now()).isoformat(),
        "document": DOCUMENT, "reason": REASON, **more,
    }  # fmt: skip
    await stack.retry(
        lambda people: people.call(
            "POST", "safety", "/v1/overrides", **OFFICER, body=body,
            headers={"Idempotency-Key": f"override-{country}-{colour}"},
        )
    )  # fmt: skip


async def wait_for_hold(stack: FullStack, country: str) -> None:
    """Wait until the ministry's better colour waits for a person."""

    async def is_held() -> bool:
        holds = await stack.items("safety", "/v1/holds", **OFFICER)
        return any(held["country"] == country for hold in holds for held in hold["countries"])

    await stack.wait_until(is_held, f"a hold of {country}")


async def mails_with(stack: FullStack, student: Student, words: str) -> str:
    """Wait for the student's mail that holds these words; its Dutch subject and text, in one line."""
    found: list[str] = []

    async def has_arrived() -> bool:
        found[:] = [text for text in await read_mails(stack, student) if words in text]
        return bool(found)

    await stack.wait_until(has_arrived, f"a mail with {words!r} to {student.email}")
    return found[0]


async def read_mails(stack: FullStack, student: Student) -> list[str]:
    """The Dutch text of every mail to the student, in one line each."""
    texts = []
    for mail in await stack.mails_to(student.email):
        plain = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
        content = plain.get_payload(decode=True)
        assert isinstance(content, bytes)
        texts.append(" ".join(content.decode().partition("* * *")[0].split()))
    return texts


async def read_sms(stack: FullStack, student: Student) -> list[str]:
    """The Dutch half of every SMS to the student."""

    def read() -> list[str]:
        log = stack.services.sms_log.read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in log if line.endswith("}")]
        return [
            str(entry["body"]).partition(" *** ")[0] for entry in entries if entry["to"] == f"00{student.mobile[1:]}"
        ]

    return await asyncio.to_thread(read)


async def test_the_university_forbids_a_country_and_nobody_is_told_that_the_ministry_did(
    full_stack: FullStack,
) -> None:
    """The ministry says green. Who is there reads of a ban and not of an evacuation; who will go, why not."""
    country = next(COUNTRIES)
    there = full_stack.student(country)
    going = full_stack.student(country, Plan.VOLUNTARY, (30, 60))
    await full_stack.register(there)
    registration_id = await full_stack.register(going)
    await full_stack.wait_for_status(registration_id, "approved")
    await full_stack.wait_until_idle()

    await decide(full_stack, country, "red")

    await full_stack.wait_for_messages([there])
    alert = await mails_with(full_stack, there, "VERBIEDT REIZEN NAAR")
    assert f'Vastgelegd in: {DOCUMENT}. Reden: "{REASON}"' in alert
    assert "geen opdracht om te vertrekken" in alert
    assert "terug te keren" not in alert
    assert "Dit staat in het reisadvies" not in alert
    assert "In de woorden van het advies" not in alert
    (sms,) = await read_sms(full_stack, there)
    assert "eigen besluit" in sms
    assert "BuZa" not in sms
    suspension = await mails_with(full_stack, going, "Ga niet op reis zolang")
    assert f'Vastgelegd in: {DOCUMENT}. Reden: "{REASON}"' in suspension
    path = f"/v1/registrations/{registration_id}/checklist"
    answer = await full_stack.retry(lambda people: people.call("GET", "registration", path, **OFFICER))
    (line,) = [line for line in answer.body["lines"] if line["item"] == "travel_advice"]
    assert (line["state"], line["rule"], line["grounds"]["override"]["document"]) == ("blocked", "R17", DOCUMENT)
    assert REASON in line["reasonText"]
    await full_stack.wait_until_idle()
    await full_stack.check()


async def test_the_university_orders_to_leave_and_the_message_says_leave(full_stack: FullStack) -> None:
    """An order to leave is another text than a ban, in the mail and in the SMS."""
    student = full_stack.student(next(COUNTRIES))
    await full_stack.register(student)
    await full_stack.wait_until_idle()

    await decide(full_stack, student.country, "orange", orderToLeave=True)

    await full_stack.wait_for_messages([student])
    assert "Wie daar is, moet vertrekken." in await mails_with(full_stack, student, "TE VERLATEN")
    (sms,) = await read_sms(full_stack, student)
    assert "Vertrek zodra dat veilig kan." in sms


async def test_who_arrives_while_a_better_colour_is_held_reads_nothing_of_it(full_stack: FullStack) -> None:
    """Red counts until an officer confirms the fall to yellow: the late alert does not quote yellow."""
    country = next(COUNTRIES)
    await full_stack.raise_to_red(country)
    await full_stack.wait_for_red(country)
    await full_stack.publish_advice(country, "geel", "Het is er weer rustig.")
    await wait_for_hold(full_stack, country)
    await full_stack.wait_until_idle()

    student = full_stack.student(country)
    await full_stack.register(student)

    await full_stack.wait_for_messages([student])
    alert = await mails_with(full_stack, student, "GELDT KLEURCODE ROOD")
    assert "geel" not in alert
    assert "In de woorden" not in alert
    assert "totdat een verbetering van het reisadvies is bevestigd" in alert


async def test_a_looser_decision_of_the_university_is_no_improvement_by_the_ministry(full_stack: FullStack) -> None:
    """Orange by the ministry, yellow by the university: who was alerted is told who decided that."""
    student = full_stack.student(next(COUNTRIES))
    await full_stack.register(student)
    await full_stack.publish_advice(student.country, "oranje", "Er zijn onlusten.")
    await full_stack.wait_for_messages([student])
    await full_stack.wait_until_idle()

    await decide(full_stack, student.country, "yellow", effect="looser")

    better = await mails_with(full_stack, student, "GELDT NU KLEURCODE GEEL")
    assert "Dit is een besluit van" in better
    assert DOCUMENT in better
    assert "verbeterd" not in better
    assert "oranje" not in better


async def test_who_leaves_tomorrow_is_told_not_to_go_and_who_is_back_is_not_told_to_return(
    full_stack: FullStack,
) -> None:
    """The day before the stay, and after a recorded return: R26 reaches both, and asks something else of each."""
    country = next(COUNTRIES)
    leaving, back, there = (full_stack.student(country, days=days) for days in ((1, 30), (-5, 5), (-5, 5)))
    for student in (leaving, there):
        await full_stack.register(student)
    returned = await full_stack.register(back)
    body = {"on": amsterdam_date(utc_now()).isoformat(), "outcome": "returned"}
    await full_stack.retry(
        lambda people: people.call(
            "POST", "registration", f"/v1/registrations/{returned}/return", **OFFICER, body=body,
            headers={"If-Match": "*", "Idempotency-Key": f"return-{returned}"},
        )
    )  # fmt: skip
    await full_stack.wait_until_idle()

    await full_stack.raise_to_red(country)

    await full_stack.wait_for_messages([leaving, back, there])
    before = await mails_with(full_stack, leaving, "op het punt staat naar")
    assert "GA NIET NAAR" in before
    assert "terug te keren" not in before
    assert ["Ga er NIET heen" in sms for sms in await read_sms(full_stack, leaving)] == [True]
    after = await mails_with(full_stack, back, "net voorbij is")
    assert "Ben je daar weg" in after
    assert "terug te keren" not in after
    assert "Wij vragen je terug te keren" in await mails_with(full_stack, there, "nu in")
    alerts = await full_stack.items("notify", "/v1/alerts", **OFFICER)
    (alert_id,) = [alert["alertId"] for alert in alerts if alert["country"] == country]
    path = f"/v1/alerts/{alert_id}/recipients"
    board = await full_stack.retry(lambda people: people.call("GET", "notify", path, **OFFICER))
    assert sorted(recipient["presence"] for recipient in board.body["items"]) == ["after", "before", "there"]
    await full_stack.wait_until_idle()
    await full_stack.check()
