"""While Kafka is away, an officer sees until when the answer is known, and an operator sees it within seconds."""

import asyncio
from datetime import datetime
from typing import Any

import orjson
from typer.testing import CliRunner

from deploy.local.services import SERVICES
from services.passage import main
from shared.clock import utc_now
from shared.events import RegistrationEvent
from tests.full_stack import COUNTRIES, OFFICER, FullStack

WHERE_IT_SHOWS = {"approval": "relay", "registration": "kafka", "safety": "relay", "notify": "kafka"}


async def whereabouts(full_stack: FullStack, country: str) -> dict[str, Any]:
    """Who is in the country."""
    path = f"/v1/whereabouts?country={country}"
    found: dict[str, Any] = (await full_stack.retry(lambda people: people.call("GET", "notify", path, **OFFICER))).body
    return found


async def failing(full_stack: FullStack, service: str) -> dict[str, Any]:
    """The failing checks of a service, by name."""
    state = await asyncio.to_thread(full_stack.services.readiness, service)
    return {check["name"]: check for check in state.get("checks", []) if not check["ok"]}


async def test_while_kafka_is_away_i_see_until_when_the_list_is_known(full_stack: FullStack) -> None:
    """A registration of after that time is missing and the answer says so; later it is there, and the time moves on."""
    student = full_stack.student(next(COUNTRIES))
    processes = full_stack.services.stack.processes

    async def is_known() -> bool:
        return (await whereabouts(full_stack, student.country))["knownUntil"] is not None

    await full_stack.wait_until(is_known, "everything on the topic was read")
    before = await whereabouts(full_stack, student.country)
    assert before["items"] == []
    began = utc_now()
    await asyncio.to_thread(processes.kill, "kafka")
    try:
        registration_id = await full_stack.register(student)
        registered_at = utc_now()
        for service in SERVICES:
            await full_stack.wait_until(
                lambda name=service: shows(full_stack, name), f"{service} says that Kafka is away"
            )
        answer = await whereabouts(full_stack, student.country)
        assert answer["items"] == []
        known_until = datetime.fromisoformat(answer["knownUntil"])
        assert known_until < registered_at
        assert f"known until {known_until:%Y-%m-%d %H:%M:%S} UTC" in await on_the_command_line(
            full_stack, student.country
        )
        subscription = (await failing(full_stack, "notify"))[f"subscription {RegistrationEvent.topic}"]
        assert subscription["lag"] == -1
    finally:
        await asyncio.to_thread(full_stack.services.stack.start)

    async def is_there() -> bool:
        answer = await whereabouts(full_stack, student.country)
        known = datetime.fromisoformat(answer["knownUntil"])
        there = [person["registrationId"] for person in answer["items"]]
        return there == [registration_id] and known > registered_at

    await full_stack.wait_until(is_there, "the list is complete again, and says so")
    await full_stack.wait_until_idle()
    assert empty_words(full_stack, began) == []
    await full_stack.check()


async def on_the_command_line(full_stack: FullStack, country: str) -> str:
    """What `passage notify whereabouts` says beside the list."""
    services = full_stack.services
    environment = {
        "MONGO_URL": services.stack.mongo,
        "NAMESPACE": services.choices.namespace,
        "SERVICE_KEY": services._secrets["SERVICE_KEY"],
    }
    words = ["notify", "whereabouts", "--country", country]
    result = await asyncio.to_thread(CliRunner().invoke, main, words, env=environment)
    return result.stderr


async def shows(full_stack: FullStack, service: str) -> bool:
    """Whether the readiness of the service names Kafka."""
    check = (await failing(full_stack, service)).get(WHERE_IT_SHOWS[service])
    return check is not None and "Kafka" in check["detail"]


def empty_words(full_stack: FullStack, since: datetime) -> list[bytes]:
    """Log lines since then whose error or reason is empty."""
    found = []
    for service in SERVICES:
        for line in full_stack.services.stack.processes.log(service).read_bytes().splitlines():
            if not line.startswith(b"{"):
                continue
            parsed = orjson.loads(line)
            at = parsed.get("time")
            if at is not None and datetime.fromisoformat(at) < since:
                continue
            if any(parsed.get(name) == "" for name in ("error", "reason")):
                found.append(line)
    return found
