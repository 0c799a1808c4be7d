"""I registered the same week twice, and the portal asked me whether I meant it (R26)."""

from typing import Any

import pytest

from deploy.local.demo.world import Plan
from tests.full_stack import COUNTRIES, OFFICER, FullStack
from tests.journeys.registration_world import INTERNATIONAL_OFFICE, STUDENT, Portal, another, legs, today, voluntary

FRIEND = another(STUDENT, "student-friend")


async def body(portal: Portal, itinerary: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    """A registration as a student sends it who knows of no other."""
    return {
        "approvalId": None, "facultyId": "example-sciences", "programmeId": "example-biology",
        "activityType": "internship", "legs": itinerary, "contact": STUDENT.contact, "language": "en",
        **voluntary(), **other,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("itinerary", "reason"),
    [
        (legs(60, 90), "identical_registration"),
        (legs(85, 100), "overlapping_registration"),
        (legs(60, 90, "FR"), "overlapping_registration"),
        (legs(70, 70), "overlapping_registration"),
    ],
)
async def test_the_same_days_again_are_asked_about(
    portal: Portal, itinerary: list[dict[str, Any]], reason: str
) -> None:
    """409 names the other registration; confirmed, it is stored; the office sees both beside each other."""
    first = await portal.register(**voluntary(), legs=legs(60, 90))

    again = await body(portal, itinerary)
    problem = await portal.refused(409, STUDENT, "POST", "/registrations", again)
    second = (await portal.done(STUDENT, "POST", "/registrations", {**again, "overlapsKnown": True}))["registrationId"]

    assert (problem["rule"], problem["reason"]) == ("R26", reason)
    assert [overlap["registrationId"] for overlap in problem["overlaps"]] == [first]
    listed = (await portal.done(INTERNATIONAL_OFFICE, "GET", "/registrations"))["items"]
    assert {entry["registrationId"]: entry["overlaps"] for entry in listed} == {first: [second], second: [first]}
    assert (await portal.see(second))["overlaps"] == [first]


@pytest.mark.parametrize("itinerary", [legs(90, 100), legs(91, 100), legs(30, 60)])
async def test_one_journey_after_the_other_is_no_overlap(portal: Portal, itinerary: list[dict[str, Any]]) -> None:
    """Who travels on, on the same day or later, is not asked; nor is anybody else on the same days."""
    await portal.register(**voluntary(), legs=legs(60, 90))

    await portal.done(STUDENT, "POST", "/registrations", await body(portal, itinerary))
    await portal.done(FRIEND, "POST", "/registrations", await body(portal, legs(60, 90)))


async def test_a_cancelled_or_finished_journey_is_in_nobodys_way(portal: Portal) -> None:
    """Cancelled, or with a recorded return: the days are free again."""
    cancelled = await portal.register(**voluntary(), legs=legs(60, 90))
    await portal.done(STUDENT, "POST", f"/registrations/{cancelled}/cancellation", etag="*")
    over = await portal.register(**voluntary(), legs=legs(-5, 20))
    home = {"on": today().isoformat(), "outcome": "returned"}
    await portal.done(STUDENT, "POST", f"/registrations/{over}/return", home, etag="*")

    await portal.done(STUDENT, "POST", "/registrations", await body(portal, legs(60, 90)))
    await portal.done(STUDENT, "POST", "/registrations", await body(portal, legs(0, 20)))


async def test_a_second_click_is_no_second_registration(portal: Portal) -> None:
    """The same Idempotency-Key gets the first answer, not a question about itself."""
    sent = await body(portal, legs(60, 90))
    key = {"Idempotency-Key": "once-and-no-more"}

    first = await portal.done(STUDENT, "POST", "/registrations", sent, headers=key)
    second = await portal.done(STUDENT, "POST", "/registrations", sent, headers=key)

    assert first["registrationId"] == second["registrationId"]


async def test_a_change_onto_other_days_of_ones_own_is_asked_about(portal: Portal) -> None:
    """Also when the dates of one journey are moved onto another; an unchanged itinerary is not asked about again."""
    first = await portal.register(**voluntary(), legs=legs(60, 90))
    second = await portal.register(**voluntary(), legs=legs(100, 120))
    path = f"/registrations/{second}"

    moved = await body(portal, legs(80, 120))
    problem = await portal.refused(409, STUDENT, "PUT", path, moved, etag="*")
    await portal.done(STUDENT, "PUT", path, {**moved, "overlapsKnown": True}, etag="*")
    await portal.done(STUDENT, "PUT", path, {**moved, "language": "nl"}, etag="*")

    assert [overlap["registrationId"] for overlap in problem["overlaps"]] == [first]


@pytest.mark.parametrize("wrong", ["yes", 1, None, [True]])
async def test_a_confirmation_is_true_or_false(portal: Portal, wrong: Any) -> None:
    """Anything else is refused by name."""
    problem = await portal.refused(
        400, STUDENT, "POST", "/registrations", await body(portal, legs(60, 90), overlapsKnown=wrong)
    )

    assert [error["field"] for error in problem["errors"]] == ["body.overlapsKnown"]


async def test_who_is_where_counts_a_person_once_for_the_same_stay(full_stack: FullStack) -> None:
    """Two identical stays are one person: the older registration says which one counts."""
    country = next(COUNTRIES)
    student = full_stack.student(country, Plan.VOLUNTARY)
    first = await full_stack.register(student)
    seen = await full_stack.registration(first)
    names = ("approvalId", "facultyId", "programmeId", "activityType", "legs", "answers", "contact", "language")
    again = {**{name: seen[name] for name in names}, "overlapsKnown": True}
    who: dict[str, Any] = {"who": student.subject, "roles": ("student",)}
    headers = {"Idempotency-Key": f"again-{first}"}
    answer = await full_stack.retry(
        lambda people: people.call("POST", "registration", "/v1/registrations", body=again, headers=headers, **who)
    )
    second = answer.body["registrationId"]
    await full_stack.wait_until_idle()

    where = f"/v1/whereabouts?country={country}"
    shown = (await full_stack.retry(lambda people: people.call("GET", "notify", where, **OFFICER))).body["items"]

    assert {entry["registrationId"]: (entry["otherRegistrations"], entry["sameStayAs"]) for entry in shown} == {
        first: ([second], second),
        second: ([first], None),
    }
    await full_stack.check()
