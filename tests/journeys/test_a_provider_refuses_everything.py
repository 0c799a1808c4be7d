"""A provider refuses everything: an operator sees it within a minute, mends it, and the messages go out."""

import asyncio
import re
import urllib.request
from datetime import datetime
from typing import Any

import orjson
import pytest

from shared.clock import utc_now
from shared.events import Channel
from tests.full_stack import COUNTRIES, OFFICER, FullStack


async def checks(full_stack: FullStack) -> dict[str, Any]:
    """Name → check of notify's readiness."""
    state = await asyncio.to_thread(full_stack.services.readiness, "notify")
    return {check["name"]: check for check in state.get("checks", [])}


async def metric(full_stack: FullStack, name: str, provider: str) -> float:
    """A gauge of the provider."""
    url = f"{full_stack.services.direct('notify')}/metrics"

    def scrape() -> str:
        with urllib.request.urlopen(url, timeout=30) as response:
            return str(response.read().decode())

    found = re.search(rf'^{name}{{[^}}]*provider="{provider}"}} (\S+)$', await asyncio.to_thread(scrape), re.MULTILINE)
    assert found, name
    return float(found[1])


def log_lines(full_stack: FullStack, event: str, since: datetime) -> list[dict[str, Any]]:
    """The lines of notify's log about this, since then."""
    lines = full_stack.services.stack.processes.log("notify").read_bytes().splitlines()
    parsed = [orjson.loads(line) for line in lines if line.startswith(b"{") and event.encode() in line]
    return [line for line in parsed if line["event"] == event and datetime.fromisoformat(line["time"]) >= since]


@pytest.mark.parametrize(
    ("provider", "channel", "control", "fault", "code"),
    [
        ("cm", Channel.SMS, "sms", {"refuse": 1000, "refuse_code": 101}, "101"),
        ("smtp", Channel.EMAIL, "inbox_control", {"refuse_login": 1000}, "530"),
        ("smtp", Channel.EMAIL, "inbox_control", {"refuse_relay": 1000}, "554"),
    ],
)
async def test_the_provider_takes_nothing_and_the_operator_sees_it_mends_it_and_the_messages_go_out(
    full_stack: FullStack, provider: str, channel: Channel, control: str, fault: dict[str, int], code: str
) -> None:
    """Readiness, metrics and the log name the provider, the code and the next step; the wait counts from the alert."""
    student, began = full_stack.student(next(COUNTRIES)), utc_now()
    await full_stack.register(student)
    port = getattr(full_stack.services.stack.ports, control)
    await full_stack._control(port, "PUT", "/faults", fault)
    if "refuse_login" in fault:  # connections that are kept stay logged in: only new ones are refused
        full_stack.services.stack.processes.stop("notify")
        full_stack.services.start_service("notify")
        full_stack.services.wait_ready("notify")
    try:
        await full_stack.raise_to_red(student.country)

        async def is_alarmed() -> bool:
            check = (await checks(full_stack))[f"provider {provider}"]
            return bool(check["account_refused"] and check["last_refused_code"] == code)

        await full_stack.wait_until(is_alarmed, f"readiness says that {provider} refuses us")
        check = (await checks(full_stack))[f"provider {provider}"]
        assert not check["ok"]
        assert f"refuses our account (code {code})" in check["detail"]
        assert "mend our account" in check["next_step"]
        assert await metric(full_stack, "provider_account_refused", provider) == 1
        assert await metric(full_stack, "provider_ok", provider) == 0

        async def is_logged() -> bool:
            return bool(log_lines(full_stack, "provider_refuses", began))

        await full_stack.wait_until(is_logged, "the log says it")
        selected_at, delivery = await waiting_delivery(full_stack, student.country, channel)
        assert delivery["state"] == "created"
        assert code in delivery["reason"]
        assert delivery["attempts"] >= 2
        waited = (utc_now() - selected_at).total_seconds()
        assert (await checks(full_stack))["sending"]["oldest_unsent_seconds"] >= waited - 1
    finally:
        await full_stack._control(port, "PUT", "/faults", {})

    await full_stack.wait_for_messages([student])
    await full_stack.wait_until_idle()

    async def is_well() -> bool:
        return bool((await checks(full_stack))[f"provider {provider}"]["ok"])

    await full_stack.wait_until(is_well, "the alarm ends by itself")
    assert await metric(full_stack, "provider_account_refused", provider) == 0
    (line,) = log_lines(full_stack, "provider_refuses", began)
    assert (line["level"], line["provider"], line["code"]) == ("error", provider, code)
    assert line["next_step"] == check["next_step"]
    assert student.email not in str(line)


async def waiting_delivery(full_stack: FullStack, country: str, channel: Channel) -> tuple[datetime, dict[str, Any]]:
    """When the student was selected, and their message over the channel after its second attempt."""
    found: list[tuple[datetime, dict[str, Any]]] = []

    async def was_tried_twice() -> bool:
        alerts = await full_stack.retry(lambda people: people.call("GET", "notify", "/v1/alerts", **OFFICER))
        for alert in (alert for alert in alerts.body["items"] if alert["country"] == country):
            path = f"/v1/alerts/{alert['alertId']}/recipients"
            answer = await full_stack.retry(lambda people, path=path: people.call("GET", "notify", path, **OFFICER))
            for recipient in answer.body["items"]:
                found[:] = [
                    (datetime.fromisoformat(recipient["selectedAt"]), delivery)
                    for delivery in recipient["deliveries"]
                    if delivery["channel"] == channel and delivery["attempts"] >= 2
                ] or found
        return bool(found)

    await full_stack.wait_until(was_tried_twice, "a second attempt")
    return found[0]
