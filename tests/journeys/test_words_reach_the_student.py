"""They refused it, and I can read why, in their own words."""

from typing import Any

from tests.journeys.registration_world import (
    APPROVER,
    FACULTY_CONTACT,
    SAFETY_OFFICER,
    STUDENT,
    Level,
    Person,
    Portal,
    legs,
    today,
    voluntary,
)


async def words(portal: Portal, registration_id: str, who: Person = STUDENT) -> list[tuple[str, str]]:
    """What people wrote, by event, as this person reads it."""
    history = (await portal.see(registration_id, who))["history"]
    return [(step["what"], step["remark"]) for step in history if step["remark"] is not None]


async def last_line(portal: Portal, registration_id: str) -> dict[str, Any]:
    """The checklist's line about the clearance."""
    lines: list[dict[str, Any]] = (await portal.checklist(registration_id))["lines"]
    return lines[-1]


async def test_the_words_of_who_refuses_reach_the_student(portal: Portal) -> None:
    """In the checklist and in the history, for the student and for everybody who sees the registration."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20))

    await portal.decide(FACULTY_CONTACT, registration_id, "refuse", remark="Too late for the insurance.\nCall me.")

    said = "Too late for the insurance.\nCall me."
    line = await last_line(portal, registration_id)
    assert (line["state"], line["reason"], line["remark"]) == ("blocked", "refused_by_person", said)
    assert await words(portal, registration_id) == [("RegistrationRefused", said)]
    assert await words(portal, registration_id, APPROVER) == await words(portal, registration_id)


async def test_the_words_of_who_approves_reach_the_student(portal: Portal) -> None:
    """Also of the first of two people, who only agrees."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20, "SR"))

    await portal.decide(FACULTY_CONTACT, registration_id, "approve", remark="Fine with us.")
    await portal.decide(SAFETY_OFFICER, registration_id, "approve", remark="Stay in the capital.")

    assert (await last_line(portal, registration_id))["remark"] == "Stay in the capital."
    assert [said for _, said in await words(portal, registration_id)] == ["Fine with us.", "Stay in the capital."]


async def test_the_words_about_a_return_and_a_task_reach_the_student_and_a_comment_does_not(portal: Portal) -> None:
    """The outcome is for the student; what colleagues write each other about a task stands with the task."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    (task,) = await portal.tasks(FACULTY_CONTACT, registration_id)
    await portal.done(FACULTY_CONTACT, "POST", f"/tasks/{task['taskId']}/comments", {"remark": "Never answers."})
    await portal.done(FACULTY_CONTACT, "POST", f"/tasks/{task['taskId']}/closure", {"remark": "Spoken by phone."})
    await portal.advise("ES", Level.RED)
    stays = {"on": today().isoformat(), "outcome": "stays", "remark": "Safe in the embassy."}
    await portal.done(SAFETY_OFFICER, "POST", f"/registrations/{registration_id}/return", stays, etag="*")

    assert await words(portal, registration_id) == [
        ("TaskClosed", "Spoken by phone."),
        ("ReturnRecorded", "Safe in the embassy."),
    ]
