"""The demonstration in eight chapters: people act, and each chapter waits until the effect is visible."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import aiohttp

from deploy.local.demo.context import OFFICER, Story, answer_links
from deploy.local.demo.pace import NotYet
from deploy.local.demo.people import People
from deploy.local.demo.report import Report, audit, report
from deploy.local.demo.view import View
from deploy.local.demo.world import (
    FORBIDDEN_COUNTRY,
    RED_COUNTRY,
    RED_REGION_AREA,
    REGION_COUNTRY,
    Plan,
    Student,
    late_student,
    students,
)
from deploy.local.errors import LocalStackError
from deploy.local.services import SERVICES, LocalServices
from shared.catalogue import Catalogue
from shared.catalogue_files import load as load_catalogue

CATALOGUE = Path(__file__).resolve().parents[1] / "catalogue"
STUDENTS = 1_000
AT_ONCE = 16
#: The mail server delays each mail, so that notify can be killed in the middle of sending.
SLOW_MAIL_SECONDS = 0.25
REDELIVERED = ("travel.registration.v1", "travel.advice.v1", "travel.notification.v1")
SAFE_BY_LINK, HELP_BY_LINK, SAFE_BY_SMS, HELP_BY_SMS = 5, 2, 3, 1


async def play(services: LocalServices, people: People, view: View, today: date) -> Report:
    """Play all chapters. Raises LocalStackError when an expected effect does not appear in time."""
    story = Story(services, people, view, today, students(STUDENTS - 1, today))
    await _first_reading(story)
    await _register(story)
    await _advice_changes(story)
    await _clearances_are_suspended(story)
    await _send_through_a_kill(story)
    await _answers(story)
    await _late_and_redelivered(story)
    await _after_closing(story)
    return await _audit(story)


async def _first_reading(story: Story) -> None:
    """Safety reads the feed once; registration and notify know every country."""
    story.view.chapter("0  The first reading")
    with story.view.step("travel advice read") as step:

        async def read() -> Any:
            answer = await story.people.call("GET", "safety", "/v1/sources", who=OFFICER[0], roles=OFFICER[1])
            source = answer.body["items"][0]
            is_read = source["state"] == "fresh" and source["countries"] > 200
            return source if is_read else NotYet()

        source = await story.pace.until(read, "the first reading of the feed")
        step.result = f"{source['countries']} countries"
    await story.wait_until_handled("registration", "notify")


async def _register(story: Story) -> None:
    """Students request approval and register, some before their approval; the programmes grant the requests."""
    story.view.chapter("1  Approvals and registrations")
    view, people, cast = story.view, story.people, story.cast
    approvals: dict[int, str] = {}
    asking = [student for student in cast if student.study_related and student.plan is not Plan.ABROAD]
    with view.step("approvals requested", len(asking)) as step:

        async def ask(student: Student) -> None:
            approvals[student.number] = await people.request_approval(student)
            step.advance()

        await _all_act(asking, ask)
        step.result = str(len(asking))
    later = [student for student in asking if student.plan is Plan.REGISTERED_FIRST]
    first = [student for student in asking if student.plan is not Plan.REGISTERED_FIRST]

    async def grant(student: Student) -> None:
        await people.grant(approvals[student.number], student.programme)

    with view.step("approvals granted by the programmes", len(first)) as step:
        await _all_act(first, grant, step.advance)
        step.result = str(len(first))
    outcomes: dict[str, int] = {}
    with view.step("registrations submitted", len(cast)) as step:

        async def register(student: Student) -> None:
            answer = await people.register(student, approvals.get(student.number))
            clearance = answer.body["clearance"]
            outcome = f"{clearance['outcome']} ({clearance['rule']})"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            step.advance()

        await _all_act(cast, register)
        step.result = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    with view.step("the approvals that came later are granted", len(later)) as step:
        await _all_act(later, grant, step.advance)
        step.result = f"{len(later)} held registrations wait for them (R2)"
    with view.step("held registrations evaluated again") as step:

        async def decided() -> Any:
            left = [await story.count_registrations(status) for status in ("held", "submitted")]
            return NotYet(left) if any(left) else True

        await story.pace.until(decided, "every held registration decided")
        statuses = {
            status: await story.count_registrations(status) for status in ("approved", "routed", "refused", "held")
        }
        step.result = ", ".join(f"{count} {status}" for status, count in statuses.items())
        story.facts["registrations"] = statuses
    await story.wait_until_handled("notify")


async def _advice_changes(story: Story) -> None:
    """One country turns red as a whole; one region of another turns orange."""
    story.view.chapter("2  The travel advice changes")
    await story.put(story.services.stack.ports.inbox_control, "/faults", {"delay_seconds": SLOW_MAIL_SECONDS})
    story.changed = datetime.now(UTC)
    await story.change_advice({"country": RED_COUNTRY, "level": "rood", "text": "Er is een natuurramp."})
    await story.change_advice(
        {"country": REGION_COUNTRY, "level": "geel", "regions": [{"area": RED_REGION_AREA, "level": "oranje"}]},
    )
    story.view.say(f"the ministry says: {RED_COUNTRY} red, {RED_REGION_AREA} ({REGION_COUNTRY}) orange")


async def _clearances_are_suspended(story: Story) -> None:
    """Students who are cleared and have not left must not go (R19)."""
    story.view.chapter("3  Who is there, and who must not go")
    wanted = len(story.suspended)
    with story.view.step("clearances suspended (R19)", wanted) as step:

        async def all_suspended() -> Any:
            count = await story.count_registrations("suspended")
            step.reach(count)
            return count if count >= wanted else NotYet(count)

        count = await story.pace.until(all_suspended, f"{wanted} clearances suspended")
        step.result = f"{count} of {wanted}"
        story.facts["suspended"] = count


async def _send_through_a_kill(story: Story) -> None:
    """Notify is killed while it sends, and started again; every message ends in a known state."""
    story.view.chapter("4  Everyone affected gets an email and an SMS")
    services, processes = story.services, story.services.stack.processes
    affected = len(story.expected)
    goal = 2 * affected
    with story.view.step("emails and SMS handed over", goal) as step:

        async def in_the_middle() -> Any:
            arrived = await story.count_alert_messages()
            step.reach(arrived)
            return arrived if arrived >= goal // 3 else NotYet(arrived)

        at_kill = await story.pace.until(in_the_middle, "a third of the messages handed over", pause=0.05)
        if not await asyncio.to_thread(processes.kill, "notify"):
            raise LocalStackError("There was no notify process to kill.")
        story.view.say(f"[red]notify killed (SIGKILL)[/red] with about {at_kill} of {goal} messages handed over")
        await story.put(services.stack.ports.inbox_control, "/faults", {})
        await asyncio.to_thread(services.start_service, "notify")
        story.view.say("notify started again")
        story.facts["handed_over_at_kill"] = at_kill

        async def all_known() -> Any:
            arrived = await story.count_alert_messages()
            step.reach(min(goal, arrived))
            alerts = await story.alerts()
            pending = sum(
                count
                for alert in alerts
                for states in alert["deliveries"].values()
                for state, count in states.items()
                if state in ("created", "unknown")
            )
            selected = sum(alert["selected"] for alert in alerts)
            done = all(alert["state"] == "sent" for alert in alerts) and selected >= affected and not pending
            return alerts if done else NotYet((arrived, pending))

        alerts = await story.pace.until(all_known, "every message accepted or refused")
        step.result = f"{sum(alert['selected'] for alert in alerts)} people, {len(alerts)} alerts"
    again = sum(alert["sentAgain"] for alert in alerts)
    story.view.say(f"in flight at the kill: {again} messages were unknown, sent again and flagged")
    with story.view.step("receipts of the SMS gateway") as step:

        async def delivered() -> Any:
            receipts = sum(
                alert["deliveries"].get("sms", {}).get("delivered", 0)
                + alert["deliveries"].get("sms", {}).get("failed", 0)
                for alert in await story.alerts()
            )
            return receipts if receipts >= affected else NotYet(receipts)

        step.result = f"{await story.pace.until(delivered, 'a receipt for every SMS')} SMS delivered or failed"


async def _answers(story: Story) -> None:
    """A few students answer by link and by SMS: safe, or in need of help."""
    story.view.chapter("5  Students answer")
    links = await asyncio.to_thread(answer_links, story.services.maildir, {student.email for student in story.expected})
    chosen = [student for student in story.expected if student.email in links]
    by_link = chosen[: SAFE_BY_LINK + HELP_BY_LINK]
    by_sms = chosen[len(by_link) : len(by_link) + SAFE_BY_SMS + HELP_BY_SMS]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as browser:
        for number, student in enumerate(by_link):
            url, answer = links[student.email], "safe" if number < SAFE_BY_LINK else "help"
            async with browser.get(url) as page:
                if page.status != 200:
                    raise LocalStackError(f"The answer page answers {page.status}.")
            async with browser.post(url, data={"answer": answer}) as page:
                if page.status != 200:
                    raise LocalStackError(f"The answer was not taken: {page.status}.")
        for number, student in enumerate(by_sms):
            text = "VEILIG" if number < SAFE_BY_SMS else "HELP"
            await story.post(story.services.stack.ports.sms, "/control/reply",
                        {"number": student.mobile, "text": text})  # fmt: skip
    with story.view.step("answers recorded") as step:

        async def recorded() -> Any:
            answers = [alert["answers"] for alert in await story.alerts()]
            safe, help_ = sum(counts["safe"] for counts in answers), sum(counts["help"] for counts in answers)
            wanted = (SAFE_BY_LINK + SAFE_BY_SMS, HELP_BY_LINK + HELP_BY_SMS)
            return (safe, help_) if (safe, help_) == wanted else NotYet((safe, help_))

        safe, help_ = await story.pace.until(recorded, "the answers recorded")
        step.result = f"{safe} safe, {help_} need help, everyone else has not answered"
    with story.view.step("the crisis team is notified of students who need help (R38)") as step:
        # Every alert with a student in need sends each team at least one mail.
        in_need = sum(bool(alert["answers"]["help"]) for alert in await story.alerts())
        crisis_team = _crisis_team()

        async def taken_over() -> Any:
            mails = (await story.mail_recipients()).count(crisis_team)
            return mails if mails >= in_need else NotYet(mails)

        await story.pace.until(taken_over, "a mail to the crisis team")
        step.result = f"{in_need} alerts with a student in need"


async def _late_and_redelivered(story: Story) -> None:
    """A student registers after the change; then three topics are delivered again, and no message is sent twice."""
    story.view.chapter("6  Late, and delivered again")
    late = await _newcomer(story)
    with story.view.step("a student who registers now is notified as well") as step:
        await _told(story, late)
        step.result = "email and SMS"
    await story.wait_until_sent()
    await _notices(story)
    await _ordinary_mail(story)
    before = await story.count_messages()
    with story.view.step("three topics delivered again from the beginning") as step:
        await asyncio.to_thread(story.services.stack.processes.stop, "notify")
        records = 0
        for topic in REDELIVERED:
            records += await story.rewind(topic)
        await asyncio.to_thread(story.services.start_service, "notify")
        await asyncio.to_thread(story.services.wait_ready, "notify")
        await story.wait_until_handled("notify")
        await story.wait_until_sent()
        after = await story.count_messages()
        step.result = f"{records} events read again, {after - before} messages sent"
        story.facts["sent_at_redelivery"] = after - before


async def _after_closing(story: Story) -> None:
    """Closing ends the conversation of an alert, and neither the duty to tell nor to help; the university decides."""
    story.view.chapter("7  After closing, and a decision of the university")
    alert = next(alert for alert in await story.alerts() if alert["country"] == RED_COUNTRY)
    closure = {"reason": "Everybody is accounted for.", "handOver": [{"owner": "crisis-unit"}]}
    path = f"/v1/alerts/{alert['alertId']}/closure"
    await story.people.call("POST", "notify", path, who=OFFICER[0], roles=OFFICER[1], body=closure)
    story.view.say(f"the safety officer closes {alert['alertId']}; whoever is not safe gets an owner")
    with story.view.step("a student asks for help after that, and the crisis team is told") as step:
        crisis_team = _crisis_team()
        before = (await story.mail_recipients()).count(crisis_team)
        await story.post(story.services.stack.ports.sms, "/control/reply",
                         {"number": story.newcomers[0].mobile, "text": "HELP"})  # fmt: skip

        async def taken_over() -> int | NotYet:
            mails = (await story.mail_recipients()).count(crisis_team)
            return mails - before or NotYet()

        count = await story.pace.until(taken_over, "a mail to the crisis team")
        step.result = "1 mail" if count == 1 else f"{count} mails"
    with story.view.step("a student who registers after the closing is notified as well") as step:
        await _told(story, await _newcomer(story))
        step.result = "email and SMS"
    student, document = await _newcomer(story, FORBIDDEN_COUNTRY), "Besluit 1 (voorbeeld)"
    override = {
        "country": FORBIDDEN_COUNTRY, "level": "red", "validFrom": str(story.today), "document": document,
        "reason": "Een vulkaan dreigt uit te barsten.",
    }  # fmt: skip
    await story.people.call("POST", "safety", "/v1/overrides", who=OFFICER[0], roles=OFFICER[1], body=override)
    with story.view.step("the university forbids a country, and its message says who decided") as step:
        await _told(story, student)

        async def says_who() -> bool | NotYet:
            return await story.has_mail_with(student, f"Vastgelegd in: {document}") or NotYet()

        await story.pace.until(says_who, "a mail that names the university's decision")
        step.result = f"{FORBIDDEN_COUNTRY}: a decision of the university, {document}"
    await story.wait_until_sent()


async def _newcomer(story: Story, country: str = RED_COUNTRY) -> Student:
    """Another student, who is in the country already and registers only now."""
    student = late_student(STUDENTS + len(story.newcomers), story.today, country)
    story.newcomers.append(student)
    await story.people.register(student)
    return student


async def _told(story: Story, student: Student) -> None:
    """Wait until an email and an SMS have reached the student."""

    async def told() -> bool | NotYet:
        return await story.has_both_messages(student) or NotYet()

    await story.pace.until(told, f"an email and an SMS for {student.subject}")


def _crisis_team() -> str:
    routing = _catalogue().university.incident_routing
    assert routing is not None
    assert routing.serious is not None
    return routing.serious.email


async def _notices(story: Story) -> None:
    """Every student whose clearance was suspended has received a mail, and so has their coordinator (R19)."""
    addresses = await story.mail_recipients("clearance_suspended_student")
    notified = {student.email for student in story.suspended} & set(addresses)
    mails_to_coordinators = len(await story.mail_recipients("clearance_suspended_coordinator"))
    story.facts["notices"] = {"students": len(notified), "coordinators": mails_to_coordinators}
    story.view.say(
        f"notified of the suspension: {len(notified)} students; "
        f"{mails_to_coordinators} mails to their coordinators (R19)"
    )


async def _ordinary_mail(story: Story) -> None:
    """The mail about ordinary work: decisions to students, cases to offices."""
    kinds = await story.mail_kinds()
    cleared, routed = kinds["registration_cleared"], kinds["registration_routed"]
    others = kinds["approval_granted"] + kinds["registration_refused"] + kinds["registration_incomplete"]
    story.facts["service_mail"] = {
        "cleared": cleared, "routed": routed, "others": others, "offices": kinds["office_cases"]
    }  # fmt: skip
    story.view.say(
        f"mail about ordinary work: {cleared} may depart, {routed} know who decides, {others} other decisions, "
        f"{kinds['office_cases']} mails to offices"
    )


async def _audit(story: Story) -> Report:
    """The auditor reads Kafka alone; the figures come from there and from the receiving side."""
    story.view.chapter("8  The auditor")
    await story.wait_until_handled(*SERVICES)
    with story.view.step("events read, chains verified, the affected recomputed") as step:
        findings = await audit(story.services.stack.kafka, story.services.choices.namespace)
        step.result = (
            f"{findings.events} events; chains {'hold' if findings.chains_hold else 'BROKEN'}; "
            f"{len(findings.missed)} missed, {len(findings.unexpected)} unexpected"
        )
    cast = [*story.cast, *story.newcomers]
    late = {address for student in story.newcomers for address in (student.email, student.mobile)}
    outcome = await asyncio.to_thread(
        report, cast, story.expected, findings, story.services.maildir, story.services.sms_log, story.changed, late
    )
    outcome.figures.update(story.facts)
    if story.facts["sent_at_redelivery"]:
        outcome.broken.append(f"{story.facts['sent_at_redelivery']} messages were sent by a redelivery")
    notices, wanted = story.facts["notices"], len(story.suspended)
    if notices["students"] != wanted or notices["coordinators"] < wanted:
        outcome.broken.append(f"{notices} notices for {wanted} suspensions")
    if story.facts["suspended"] != len(story.suspended):
        outcome.broken.append(f"{story.facts['suspended']} clearances suspended, {len(story.suspended)} expected")
    return outcome


async def _all_act(
    cast: list[Student], act: Callable[[Student], Awaitable[None]], done: Callable[[], None] = lambda: None
) -> None:
    """Each student acts; at most `AT_ONCE` act at the same time."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def act_alone(student: Student) -> None:
        async with limit:
            await act(student)
            done()

    async with asyncio.TaskGroup() as tasks:
        for student in cast:
            tasks.create_task(act_alone(student))


def _catalogue() -> Catalogue:
    return load_catalogue(CATALOGUE)
