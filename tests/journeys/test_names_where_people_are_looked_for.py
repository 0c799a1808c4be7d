"""Who is responsible for a person sees who it is: the name, the student number and how to reach them."""

from typing import Any

import pytest

from deploy.local.demo.people import Refused
from deploy.local.demo.world import Plan
from tests.full_stack import COUNTRIES, FullStack


async def test_mail_to_my_coordinator_names_me_and_not_my_coordinator(full_stack: FullStack) -> None:
    """R19: the coordinator reads the student's name and number where the suspended student should stand."""
    country = next(COUNTRIES)
    student = full_stack.student(country, Plan.VOLUNTARY, (30, 60))
    registration_id = await full_stack.register(student)
    await full_stack.raise_to_red(country)
    await full_stack.wait_for_status(registration_id, "suspended")
    coordinator = await full_stack.coordinator_of(student)

    text = await full_stack.wait_for_text(coordinator["email"], registration_id)

    assert f"The clearance of Student No-{student.number:04d} (s{student.number:07d}) to depart" in text
    assert coordinator["function"] not in text, "the reader is no student"
    await full_stack.wait_until_idle()
    await full_stack.check()


async def test_crisis_team_sees_on_the_board_who_they_are_and_how_to_reach_them(full_stack: FullStack) -> None:
    """R38: as the crisis mail promises; they log the call, and change no alert. An auditor sees the board nameless."""
    country = next(COUNTRIES)
    student = full_stack.student(country)
    await full_stack.register(student)
    await full_stack.raise_to_red(country)
    await full_stack.wait_for_messages([student])
    alert_id = await full_stack.alert_of(country)
    path = f"/v1/alerts/{alert_id}"
    team: dict[str, Any] = {"who": "crisis-team-member", "roles": ("crisis-team",)}

    [entry] = (await full_stack.ask("GET", f"{path}/recipients", **team)).body["items"]

    assert entry["student"]["name"] == f"Student No-{student.number:04d}"
    assert entry["student"]["studentNumber"] == f"s{student.number:07d}"
    assert (entry["student"]["email"], entry["student"]["mobile"]) == (student.email, student.mobile)
    [there] = (await full_stack.ask("GET", f"/v1/whereabouts?country={country}", **team)).body["items"]
    assert there["contact"]["mobile"] == student.mobile
    call = {"personId": entry["personId"], "answer": "safe"}
    await full_stack.ask("POST", f"{path}/calls", body=call, **team)
    counts = (await full_stack.ask("GET", f"{path}/counts", **team)).body["counts"]
    assert counts["safe"] == 1
    with pytest.raises(Refused, match="403"):
        await full_stack.ask("POST", f"{path}/closure", body={"reason": "It is over."}, **team)
    auditor: dict[str, Any] = {"who": "auditor-of-names", "roles": ("auditor",)}
    [nameless] = (await full_stack.ask("GET", f"{path}/recipients", **auditor)).body["items"]
    assert nameless["student"] is None
    assert student.email not in str(nameless)

    summary = (await full_stack.ask("GET", "/v1/whereabouts-counts", **team)).body
    [here] = [count for count in summary["countries"] if count["country"] == country]
    assert (here["persons"], here["byColour"]["red"]) == (1, 1)
    await full_stack.wait_until_idle()
    await full_stack.check()
