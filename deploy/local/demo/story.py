"""The main job as a story in seven chapters: each does what people do, and waits until the world shows it."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from deploy.local.demo.people import Away, People
from deploy.local.demo.report import Report, audit, report
from deploy.local.demo.view import View
from deploy.local.demo.world import (
    RED_COUNTRY,
    RED_REGION_AREA,
    REGION_COUNTRY,
    Plan,
    Student,
    late_student,
    students,
)
from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST
from deploy.local.services import SERVICES, LocalServices
from deploy.local.wait_idle import is_idle
from shared.catalogue import Catalogue
from shared.catalogue_files import load as load_catalogue
from shared.kafka import partitions

CATALOGUE = Path(__file__).resolve().parents[1] / "catalogue"
STUDENTS = 1_000
AT_ONCE = 16
PATIENCE_SECONDS = 90.0
#: The mail server takes its time, so that there is a middle in which to kill the sender.
SLOW_MAIL_SECONDS = 0.25
REWIND_SECONDS = 40.0
OFFICER = ("officer-1", ("safety-officer",))
REDELIVERED = ("travel.registration.v1", "travel.advice.v1", "travel.notification.v1")
SAFE_BY_LINK, HELP_BY_LINK, SAFE_BY_SMS, HELP_BY_SMS = 5, 2, 3, 1
_LINK = re.compile(r"https?://\S+/v1/answers/[A-Za-z0-9_-]+")


@dataclass(slots=True)
class Story:
    """What the chapters share."""

    services: LocalServices
    people: People
    view: View
    today: date
    cast: list[Student]
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))
    late: Student | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def expected(self) -> list[Student]:
        """Who has to be told, by the story's own reckoning."""
        there = [each for each in self.cast if each.place_is_affected and each.is_there(self.today)]
        return [*there, *([self.late] if self.late else [])]

    @property
    def suspended(self) -> list[Student]:
        """Whose clearance is taken back: cleared, affected, not yet gone."""
        cleared = (Plan.APPROVED_FIRST, Plan.REGISTERED_FIRST, Plan.VOLUNTARY)
        return [each for each in self.cast if each.plan in cleared and each.place_is_affected]


async def play(services: LocalServices, people: People, view: View, today: date) -> Report:
    """All chapters. Raises LocalStackError when something does not come to pass in time."""
    story = Story(services, people, view, today, students(STUDENTS - 1, today))
    await _first_picture(story)
    await _register(story)
    await _advice_changes(story)
    await _suspended_are_told(story)
    await _send_through_a_kill(story)
    await _answers(story)
    await _late_and_again(story)
    return await _audit(story)


async def _first_picture(story: Story) -> None:
    """Safety has read the feed once; everybody knows every country."""
    story.view.chapter("0  The first picture")
    with story.view.step("travel advice read") as step:

        async def read() -> Any:
            answer = await story.people.call("GET", "safety", "/v1/sources", who=OFFICER[0], roles=OFFICER[1])
            source = answer.body["items"][0]
            return source if source["state"] == "fresh" and source["countries"] > 200 else None

        source = await until(read, "the first reading of the feed")
        step.result = f"{source['countries']} countries"
    await _caught_up(story, "registration", "notify")


async def _register(story: Story) -> None:
    """Approvals are asked for and granted; everybody registers, some before their approval."""
    story.view.chapter("1  Approvals and registrations")
    view, people, cast = story.view, story.people, story.cast
    approvals: dict[int, str] = {}
    asking = [each for each in cast if each.study_related and each.plan is not Plan.ABROAD]
    with view.step("approvals requested", len(asking)) as step:

        async def ask(student: Student) -> None:
            approvals[student.number] = await people.request_approval(student)
            step.advance()

        await _each(asking, ask)
        step.result = str(len(asking))
    later = [each for each in asking if each.plan is Plan.REGISTERED_FIRST]
    first = [each for each in asking if each.plan is not Plan.REGISTERED_FIRST]

    async def grant(student: Student) -> None:
        await people.grant(approvals[student.number], student.programme)

    with view.step("approvals granted by the programmes", len(first)) as step:
        await _each(first, grant, step.advance)
        step.result = str(len(first))
    outcomes: dict[str, int] = {}
    with view.step("registrations submitted", len(cast)) as step:

        async def register(student: Student) -> None:
            answer = await people.register(student, approvals.get(student.number))
            clearance = answer.body["clearance"]
            outcome = f"{clearance['outcome']} ({clearance['rule']})"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            step.advance()

        await _each(cast, register)
        step.result = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    with view.step("the approvals that came later are granted", len(later)) as step:
        await _each(later, grant, step.advance)
        step.result = f"{len(later)} held registrations wait for them (R2)"
    with view.step("held registrations reconsidered") as step:

        async def decided() -> Any:
            left = [await _count(story, status) for status in ("held", "submitted")]
            return None if any(left) else True

        await until(decided, "every held registration decided")
        statuses = {status: await _count(story, status) for status in ("approved", "routed", "refused", "held")}
        step.result = ", ".join(f"{count} {status}" for status, count in statuses.items())
        story.facts["registrations"] = statuses
    await _caught_up(story, "notify")


async def _advice_changes(story: Story) -> None:
    """One country turns red as a whole; one region of another turns orange."""
    story.view.chapter("2  The travel advice changes")
    await _put(story, story.services.stack.ports.inbox_control, "/faults", {"delay_seconds": SLOW_MAIL_SECONDS})
    story.changed = datetime.now(UTC)
    await _post_feed(story, {"country": RED_COUNTRY, "level": "rood", "text": "Er is een natuurramp."})
    await _post_feed(
        story,
        {"country": REGION_COUNTRY, "level": "geel", "regions": [{"area": RED_REGION_AREA, "level": "oranje"}]},
    )
    story.view.say(f"the ministry says: {RED_COUNTRY} red, {RED_REGION_AREA} ({REGION_COUNTRY}) orange")


async def _suspended_are_told(story: Story) -> None:
    """Who is cleared and has not left must not go (R19)."""
    story.view.chapter("3  Who is there, and who must not go")
    wanted = len(story.suspended)
    with story.view.step("clearances suspended (R19)", wanted) as step:

        async def all_suspended() -> Any:
            found = await _count(story, "suspended")
            step.reach(found)
            return found if found >= wanted else None

        found = await until(all_suspended, f"{wanted} clearances suspended")
        step.result = f"{found} of {wanted}"
        story.facts["suspended"] = found


async def _send_through_a_kill(story: Story) -> None:
    """Sending begins; notify is killed in the middle and started again; every message ends in a known state."""
    story.view.chapter("4  Everyone affected gets an email and an SMS")
    services, processes = story.services, story.services.stack.processes
    affected = len(story.expected)
    goal = 2 * affected
    with story.view.step("emails and SMS handed over", goal) as step:

        async def in_the_middle() -> Any:
            arrived = await _arrived(story)
            step.reach(arrived)
            return arrived if arrived >= goal // 3 else None

        at_kill = await until(in_the_middle, "a third of the messages handed over", pause=0.05)
        if not await asyncio.to_thread(processes.kill, "notify"):
            raise LocalStackError("There was no notify process to kill.")
        story.view.say(f"[red]notify killed (SIGKILL)[/red] with about {at_kill} of {goal} messages handed over")
        await _put(story, services.stack.ports.inbox_control, "/faults", {})
        await asyncio.to_thread(services.start_service, "notify")
        story.view.say("notify started again")
        story.facts["handed_over_at_kill"] = at_kill

        async def all_known() -> Any:
            step.reach(min(goal, await _arrived(story)))
            alerts = await _alerts(story)
            open_ = sum(
                count
                for alert in alerts
                for states in alert["deliveries"].values()
                for state, count in states.items()
                if state in ("created", "unknown")
            )
            selected = sum(alert["selected"] for alert in alerts)
            done = all(alert["state"] == "sent" for alert in alerts) and selected >= affected and not open_
            return alerts if done else None

        alerts = await until(all_known, "every message accepted or refused")
        step.result = f"{sum(alert['selected'] for alert in alerts)} people, {len(alerts)} alerts"
    again = sum(alert["sentAgain"] for alert in alerts)
    story.view.say(f"in flight at the kill: {again} messages were unknown, sent again and flagged")
    with story.view.step("receipts of the SMS gateway") as step:

        async def delivered() -> Any:
            found = sum(
                alert["deliveries"].get("sms", {}).get("delivered", 0)
                + alert["deliveries"].get("sms", {}).get("failed", 0)
                for alert in await _alerts(story)
            )
            return found if found >= affected else None

        step.result = f"{await until(delivered, 'a receipt for every SMS')} SMS delivered or failed"


async def _answers(story: Story) -> None:
    """A few answer by link and by SMS: safe, or help is needed."""
    story.view.chapter("5  Students answer")
    links = await asyncio.to_thread(_answer_links, story.services.maildir, {each.email for each in story.expected})
    chosen = [each for each in story.expected if each.email in links]
    by_link = chosen[: SAFE_BY_LINK + HELP_BY_LINK]
    by_sms = chosen[len(by_link) : len(by_link) + SAFE_BY_SMS + HELP_BY_SMS]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as browser:
        for number, student in enumerate(by_link):
            url, said = links[student.email], "safe" if number < SAFE_BY_LINK else "help"
            async with browser.get(url) as page:
                if page.status != 200:
                    raise LocalStackError(f"The answer page answers {page.status}.")
            async with browser.post(url, data={"answer": said}) as page:
                if page.status != 200:
                    raise LocalStackError(f"The answer was not taken: {page.status}.")
        for number, student in enumerate(by_sms):
            text = "VEILIG" if number < SAFE_BY_SMS else "HELP"
            await _post(story, story.services.stack.ports.sms, "/control/reply",
                        {"number": student.mobile, "text": text})  # fmt: skip
    with story.view.step("answers recorded") as step:

        async def recorded() -> Any:
            found = [alert["answers"] for alert in await _alerts(story)]
            safe, help_ = sum(each["safe"] for each in found), sum(each["help"] for each in found)
            wanted = (SAFE_BY_LINK + SAFE_BY_SMS, HELP_BY_LINK + HELP_BY_SMS)
            return (safe, help_) if (safe, help_) == wanted else None

        safe, help_ = await until(recorded, "the answers recorded")
        step.result = f"{safe} safe, {help_} need help, everyone else has not answered"
    with story.view.step("the teams that take over are told who needs help (R38)") as step:
        # Every alert with somebody in need brings one mail to each team at least.
        in_need = sum(bool(alert["answers"]["help"]) for alert in await _alerts(story))
        routing = _catalogue().university.incident_routing
        assert routing is not None
        assert routing.serious is not None
        crisis_team = routing.serious.email

        async def taken_over() -> Any:
            return (await _addressed(story)).count(crisis_team) >= in_need or None

        await until(taken_over, "a mail to the crisis team")
        step.result = f"{in_need} alerts with somebody in need"


async def _late_and_again(story: Story) -> None:
    """Somebody registers after the change; then everything is read and delivered again, and nobody is told twice."""
    story.view.chapter("6  Late, and again")
    story.late = late_student(STUDENTS, story.today)
    await story.people.register(story.late)
    with story.view.step("a student who registers now is told as well") as step:

        async def told() -> Any:
            return await _arrived_for(story, story.late) or None

        await until(told, "an email and an SMS for the late student")
        step.result = "email and SMS"
    await _all_sent(story)
    await _notices(story)
    before = await _handed_over(story)
    with story.view.step("three topics delivered again from the beginning") as step:
        await asyncio.to_thread(story.services.stack.processes.stop, "notify")
        records = 0
        for topic in REDELIVERED:
            records += await _rewind(story, topic)
        await asyncio.to_thread(story.services.start_service, "notify")
        await asyncio.to_thread(story.services.wait_ready, "notify")
        await _caught_up(story, "notify")
        await _all_sent(story)
        after = await _handed_over(story)
        step.result = f"{records} events read again, {after - before} messages sent"
        story.facts["sent_at_redelivery"] = after - before


async def _notices(story: Story) -> None:
    """Every student whose clearance was suspended has a mail, and so has a coordinator for each (R19)."""
    addresses = await _addressed(story)
    students = {each.email for each in story.suspended}
    told = students & set(addresses)
    known = _catalogue()
    offices = {each.coordinator.email for faculty in known.faculties.values() for each in faculty.programmes.values()}
    coordinators = sum(each in offices for each in addresses)
    story.facts["notices"] = {"students": len(told), "coordinators": coordinators}
    story.view.say(f"suspended and told so: {len(told)} students; {coordinators} mails to their coordinators (R19)")


async def _audit(story: Story) -> Report:
    """The auditor reads Kafka alone; the figures come from there and from the receiving side."""
    story.view.chapter("7  The auditor")
    await _caught_up(story, *SERVICES)
    with story.view.step("events read, chains verified, the affected recomputed") as step:
        findings = await audit(story.services.stack.kafka, story.services.choices.namespace)
        step.result = (
            f"{findings.events} events; chains {'hold' if findings.chains_hold else 'BROKEN'}; "
            f"{len(findings.missed)} missed, {len(findings.unexpected)} unexpected"
        )
    cast = [*story.cast, *([story.late] if story.late else [])]
    late = {story.late.email, story.late.mobile} if story.late else set()
    found = await asyncio.to_thread(
        report, cast, story.expected, findings, story.services.maildir, story.services.sms_log, story.changed, late
    )
    found.figures.update(story.facts)
    if story.facts["sent_at_redelivery"]:
        found.broken.append(f"{story.facts['sent_at_redelivery']} messages were sent by a redelivery")
    notices, wanted = story.facts["notices"], len(story.suspended)
    if notices["students"] != wanted or notices["coordinators"] < wanted:
        found.broken.append(f"{notices} were told of {wanted} suspensions")
    if story.facts["suspended"] != len(story.suspended):
        found.broken.append(f"{story.facts['suspended']} clearances suspended, {len(story.suspended)} expected")
    return found


# ---------------------------------------------------------------- looking at the world


async def until(look: Callable[[], Awaitable[Any]], what: str, pause: float = 0.2) -> Any:
    """What `look` gives once it gives something. Raises LocalStackError when that does not come in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := await look()) is None:
        if time.monotonic() > deadline:
            raise LocalStackError(f"Not seen within {PATIENCE_SECONDS:.0f} s: {what}.")
        await asyncio.sleep(pause)
    return found


async def _each(
    cast: list[Student], act: Callable[[Student], Awaitable[None]], done: Callable[[], None] = lambda: None
) -> None:
    """Everybody acts, a few at the same time."""
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def one(student: Student) -> None:
        async with turnstile:
            await act(student)
            done()

    async with asyncio.TaskGroup() as tasks:
        for student in cast:
            tasks.create_task(one(student))


async def _count(story: Story, status: str) -> int:
    """How many registrations stand so."""
    count, number = 0, 1
    while True:
        path = f"/v1/registrations?status={status}&pageSize=250&pageNumber={number}"
        answer = await story.people.call("GET", "registration", path, who=OFFICER[0], roles=OFFICER[1])
        count += len(answer.body["items"])
        if not answer.body["hasNextPage"]:
            return count
        number += 1


async def _alerts(story: Story) -> list[dict[str, Any]]:
    """Every alert as notify shows it; none while notify is away."""
    try:
        listed = await story.people.call("GET", "notify", "/v1/alerts", who=OFFICER[0], roles=OFFICER[1])
        return [
            (
                await story.people.call(
                    "GET", "notify", f"/v1/alerts/{each['alertId']}", who=OFFICER[0], roles=OFFICER[1]
                )
            ).body
            for each in listed.body["items"]
        ]
    except (aiohttp.ClientError, TimeoutError, Away):
        return []


async def _all_sent(story: Story) -> None:
    """Nothing is on its way any more: alerts, notices, receipts."""

    async def quiet() -> Any:
        state = await asyncio.to_thread(story.services.readiness, "notify")
        sending = next((check for check in state.get("checks", []) if check["name"] == "sending"), None)
        waiting = (await _get(story, story.services.stack.ports.sms, "/healthz"))["callbacks_pending"]
        idle = sending is not None and not sending["oldest_unsent_seconds"] and not sending["unknown"]
        return (idle and not waiting) or None

    await until(quiet, "nothing left to send")


async def _caught_up(story: Story, *names: str) -> None:
    """These services have handled everything that is on their topics."""

    async def handled() -> Any:
        return (await is_idle(story.services, names)) or None

    await until(handled, f"{' and '.join(names)} handled everything")


async def _arrived(story: Story) -> int:
    """Alerts that arrived: mails to those who have to be told (notices of suspension go to others), and all SMS."""
    ports = story.services.stack.ports
    told = {each.email for each in story.expected}
    mails = await _get(story, ports.inbox_control, "/messages")
    texts = await _get(story, ports.sms, "/healthz")
    return sum(mail["to"] in told for mail in mails) + int(texts["accepted"])


async def _handed_over(story: Story) -> int:
    """Every mail and every SMS that arrived so far, whatever it was about."""
    ports = story.services.stack.ports
    mails = await _get(story, ports.inbox_control, "/healthz")
    texts = await _get(story, ports.sms, "/healthz")
    return int(mails["stored"]) + int(texts["accepted"])


async def _arrived_for(story: Story, student: Student | None) -> bool:
    """Whether both messages reached one student."""
    assert student is not None
    ports = story.services.stack.ports
    mails = await _get(story, ports.inbox_control, "/messages?limit=200")
    texts = await _get(story, ports.sms, f"/messages?to=00{student.mobile.removeprefix('+')}")
    return any(mail["to"] == student.email for mail in mails) and bool(texts)


async def _addressed(story: Story) -> list[str]:
    """To whom mails went, one entry for each mail."""
    return [str(mail["to"]) for mail in await _get(story, story.services.stack.ports.inbox_control, "/messages")]


def _catalogue() -> Catalogue:
    return load_catalogue(CATALOGUE)


async def _get(story: Story, port: int, path: str) -> Any:
    async with _http(port) as http, http.get(path) as response:
        return await response.json()


async def _put(story: Story, port: int, path: str, body: Any) -> None:
    async with _http(port) as http, http.put(path, json=body) as response:
        if response.status != 200:
            raise LocalStackError(f"PUT {path}: {response.status}")


async def _post(story: Story, port: int, path: str, body: Any) -> None:
    async with _http(port) as http, http.post(path, json=body) as response:
        if response.status >= 300:
            raise LocalStackError(f"POST {path}: {response.status} {await response.text()}")


async def _post_feed(story: Story, change: dict[str, Any]) -> None:
    await _post(story, story.services.stack.ports.feed, "/control/change", change)


def _http(port: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://{HOST}:{port}", timeout=aiohttp.ClientTimeout(total=20))


def _answer_links(maildir: Path, addresses: set[str]) -> dict[str, str]:
    """Address → the answer link in the alert that arrived there."""
    parser = BytesParser(policy=policy.default)
    links: dict[str, str] = {}
    for path in sorted((maildir / "new").glob("*")):
        with path.open("rb") as file:
            message = parser.parse(file)
        to = str(message["Delivered-To"]).strip().lower()
        body = message.get_body(("plain",))
        if to in addresses and body is not None and (link := _LINK.search(body.get_content())):
            links[to] = link[0]
    return links


async def _rewind(story: Story, topic: str) -> int:
    """Have notify's group read a topic from its beginning; the number of records in it."""
    bootstrap, namespace = story.services.stack.kafka, story.services.choices.namespace
    physical = f"{namespace}{topic}"
    wanted = await partitions({"bootstrap_servers": bootstrap}, [physical])
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=f"{namespace}notify.{topic}", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(wanted)
        ends = await consumer.end_offsets(wanted)
        deadline = time.monotonic() + REWIND_SECONDS
        while True:
            try:
                await consumer.commit(dict.fromkeys(wanted, 0))
                return sum(ends.values())
            except KafkaError as error:
                # A static member is remembered until its session ends, a few seconds after it stopped.
                if time.monotonic() > deadline:
                    raise LocalStackError(f"{topic} cannot be read again: {type(error).__name__}.") from None
                await asyncio.sleep(0.5)
    finally:
        await consumer.stop()


def write_summary(view: View, found: Report, path: Path) -> None:
    """The figures for people."""
    figures = found.figures
    view.chapter("What happened")
    seconds = figures["seconds"]
    view.console.print(
        f"  students {figures['students']}, affected {figures['affected']}, selected {figures['selected']}, "
        f"missed {len(figures['missed'])}, unexpected {len(figures['unexpected'])}"
    )
    for channel in ("email", "sms"):
        counts = ", ".join(f"{name} {value}" for name, value in figures[channel].items())
        view.console.print(f"  {channel:6} {counts}")
    view.console.print(
        f"  answers safe {figures['answers']['safe']}, help {figures['answers']['help']}\n"
        f"  from the change to the first acceptance {seconds['to_first_acceptance']} s, "
        f"to the last {seconds['to_last_acceptance']} s"
    )
    view.chapter("Where to look")
    view.console.print(f"  mail    {figures['paths']['maildir']}\n  SMS     {figures['paths']['sms_log']}")
    view.console.print(f"  report  {path}")
    for problem in found.broken:
        view.console.print(f"  [red]not as promised:[/red] {problem}")
    view.console.print(json.dumps({"as_promised": not found.broken}))
