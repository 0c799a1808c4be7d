"""My checklist says one thing: no line tells me to wait for what another line says is done."""

from typing import Any

from tests.journeys.registration_world import FACULTY_CONTACT, STUDENT, Level, Portal, legs, today, voluntary


async def lines(portal: Portal, registration_id: str) -> dict[str, tuple[str, str, str]]:
    """Item → (state, rule, reason)."""
    found = (await portal.checklist(registration_id))["lines"]
    return {line["item"]: (line["state"], line["rule"], line["reason"]) for line in found}


async def summary(portal: Portal, registration_id: str) -> tuple[str, str, Any]:
    """What lists and answers say of the clearance: outcome, rule and contact."""
    clearance = (await portal.see(registration_id, STUDENT))["clearance"]
    return clearance["outcome"], clearance["rule"], clearance["contact"]


async def test_after_the_contact_persons_yes_nothing_waits_for_the_contact_person(portal: Portal) -> None:
    """Cleared within two weeks: the timing is in order, and the student may depart."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20))
    await portal.decide(FACULTY_CONTACT, registration_id, "approve")

    shown = await lines(portal, registration_id)

    assert shown["timing"] == ("done", "R7", "accepted_by_person")
    assert shown["clearance"] == ("done", "R10", "approved_by_person")
    assert (await portal.checklist(registration_id))["mayDepart"] is True


async def test_after_the_advice_improved_the_checklist_names_who_confirms(portal: Portal) -> None:
    """R21, not R19: the advice is green, and the coordinator has to confirm; lists say the same."""
    registration_id = await portal.register(**voluntary())
    await portal.advise("ES", Level.RED)
    before = await lines(portal, registration_id)
    await portal.advise("ES", Level.GREEN)
    after = await lines(portal, registration_id)

    assert (before["travel_advice"][0], before["clearance"][:2]) == ("blocked", ("blocked", "R19"))
    assert (after["travel_advice"][0], after["clearance"][:2]) == ("done", ("blocked", "R21"))
    outcome, rule, contact = await summary(portal, registration_id)
    assert (outcome, rule) == ("suspended", "R21")
    assert contact["email"]


async def test_after_the_return_nothing_is_asked_any_more(portal: Portal) -> None:
    """The journey is over: no timing, no documents, no clearance to wait for."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    home = {"on": today().isoformat(), "outcome": "returned"}
    await portal.done(STUDENT, "POST", f"/registrations/{registration_id}/return", home, etag="*")

    shown = await lines(portal, registration_id)

    assert shown.keys() == {"study_related", "clearance"}
    assert shown["clearance"] == ("done", "R20", "returned_home")
    assert (await portal.checklist(registration_id))["mayDepart"] is False
    assert await summary(portal, registration_id) == ("returned", "R20", None)
