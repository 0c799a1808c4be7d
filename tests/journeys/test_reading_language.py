"""I read Dutch, and so does everything that the portal refuses me; the contact person's tasks are in theirs."""

import pytest

from tests.journeys.registration_world import FACULTY_CONTACT, STUDENT, Portal, legs, today, voluntary

NL, EN = {"Accept-Language": "nl-NL,nl;q=0.9,en;q=0.5"}, {"Accept-Language": "en"}


async def test_a_wrong_form_is_explained_in_the_language_of_the_reader(portal: Portal) -> None:
    """The errors of the shape, of the catalogue and of the itinerary: Dutch when the browser asks for it."""
    body = {"legs": [{"startDate": "soon", "endDate": "2026-01-01", "country": "??"}], "more": 1}

    dutch = await portal.refused(400, STUDENT, "POST", "/registrations", body, headers=NL)
    english = await portal.refused(400, STUDENT, "POST", "/registrations", body, headers=EN)

    reasons = {error["field"]: error["reason"] for error in dutch["errors"]}
    assert dutch["detail"] == "Het verzoek klopt niet."
    assert (reasons["body.facultyId"], reasons["body.more"]) == ("ontbreekt", "is geen bekend veld")
    assert reasons["body.legs.0.startDate"] == "is geen datum (JJJJ-MM-DD)"
    assert english["detail"] == "The request is not valid."


@pytest.mark.parametrize(("headers", "word"), [(NL, "Je verblijf is begonnen"), (EN, "Your stay has begun")])
async def test_a_rule_that_refuses_speaks_the_language_of_the_reader(
    portal: Portal, headers: dict[str, str], word: str
) -> None:
    """Whatever language the student chose for mail."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20), language="nl")

    problem = await portal.refused(
        409, STUDENT, "POST", f"/registrations/{registration_id}/cancellation", etag="*", headers=headers
    )

    assert problem["detail"].startswith(word)


async def test_an_outdated_version_says_what_changed(portal: Portal) -> None:
    """Not "somebody else changed it": what happened, since the student read it."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    path = f"/registrations/{registration_id}"
    seen = await portal.call(STUDENT, "GET", path)
    await portal.decide(FACULTY_CONTACT, registration_id, "approve")

    problem = await portal.refused(
        412, STUDENT, "PUT", f"{path}/stay-contact", {"mobile": "+34612345678"}, etag=seen.headers["etag"], headers=NL
    )

    assert "de registratie is goedgekeurd" in problem["detail"]
    assert "RegistrationApproved" in [change["what"] for change in problem["changes"]]


async def test_a_task_speaks_to_the_contact_person(portal: Portal) -> None:
    """The reader is not the student; days, countries and dates are written as people write them."""
    registration_id = await portal.register(**voluntary(), legs=legs(1, 20))

    async def text(headers: dict[str, str]) -> str:
        found = await portal.done(FACULTY_CONTACT, "GET", "/tasks", headers=headers)
        return str(found["items"][0]["reasonText"])

    dutch, english = await text(NL), await text(EN)
    (task,) = await portal.tasks(FACULTY_CONTACT, registration_id)
    alone = await portal.done(FACULTY_CONTACT, "GET", f"/tasks/{task['taskId']}", headers=NL)
    assert dutch.startswith("De student vertrekt morgen. Neem contact op")
    assert "(Spanje, " in dutch
    assert f"{today().year}" in dutch
    assert english.startswith("The student leaves tomorrow. Get in touch")
    assert alone["reasonText"] == dutch


async def test_the_official_is_not_told_to_ask_for_an_approval(portal: Portal) -> None:
    """Who cannot approve without the programme's approval reads that about the student, not about themselves."""
    registration_id = await portal.register(legs=legs(5, 20))

    problem = await portal.cannot(409, FACULTY_CONTACT, registration_id, "approve")

    assert (problem["rule"], problem["reason"]) == ("R2", "approval_missing")
    assert "your" not in problem["detail"].lower().split()
