"""R2 through the real APIs: a registration and the approval it rests on, in both orders, and taken back."""

from deploy.local.demo.world import Plan
from tests.house import COUNTRIES, House

SOON, LATER, ABROAD = (5, 40), (30, 60), (-3, 30)


async def test_registered_before_the_approval(house: House) -> None:
    """Held, and told what is missing; approved by itself when the programme says yes."""
    student = house.student(next(COUNTRIES), Plan.REGISTERED_FIRST, LATER)
    approval_id = await house.request_approval(student)
    registration_id = await house.register(student, approval_id)
    held = await house.registration(registration_id)
    assert (held["status"], held["clearance"]["rule"]) == ("held", "R2")
    assert held["clearance"]["contact"]["email"]
    await house.grant(approval_id, student)
    approved = await house.becomes(registration_id, "approved")
    # Held once more when registration hears that the request exists: the reason is another one.
    submitted, *held_steps, last = [step["what"] for step in approved["history"]]
    assert (submitted, set(held_steps), last) == ("RegistrationSubmitted", {"RegistrationHeld"}, "RegistrationApproved")
    await house.all_is_quiet()
    await house.check()


async def test_registered_after_the_approval(house: House) -> None:
    """Approved as soon as registration knows of the yes, without passing anybody's desk."""
    student = house.student(next(COUNTRIES), Plan.APPROVED_FIRST, LATER)
    approval_id = await house.request_approval(student)
    await house.grant(approval_id, student)
    await house.all_is_quiet()
    registration_id = await house.register(student, approval_id)
    approved = await house.registration(registration_id)
    assert approved["status"] == "approved"
    assert [step["what"] for step in approved["history"]] == ["RegistrationSubmitted", "RegistrationApproved"]


async def test_approval_withdrawn_after_the_clearance(house: House) -> None:
    """The clearance goes, and the student and the coordinator are told."""
    student = house.student(next(COUNTRIES), Plan.APPROVED_FIRST, LATER)
    approval_id = await house.request_approval(student)
    await house.grant(approval_id, student)
    registration_id = await house.register(student, approval_id)
    await house.becomes(registration_id, "approved")
    await house.withdraw(approval_id, student)
    suspended = await house.becomes(registration_id, "suspended")
    assert suspended["clearance"]["reason"] == "approval_withdrawn"
    await house.has_mail(student.email)
    await house.all_is_quiet()
    await house.check()


async def test_departing_within_two_weeks_and_already_departed(house: House) -> None:
    """R7 and R8: a person looks; neither approved nor refused by rules."""
    soon = house.student(next(COUNTRIES), Plan.VOLUNTARY, SOON)
    gone = house.student(next(COUNTRIES), Plan.VOLUNTARY, ABROAD)
    for student, rule in ((soon, "R7"), (gone, "R8")):
        found = await house.registration(await house.register(student))
        assert (found["status"], found["clearance"]["rule"]) == ("routed", rule)
        assert found["openTasks"]


async def test_destination_turns_unsafe_before_and_during_the_stay(house: House) -> None:
    """R13, R19, R20: who has not left is suspended and told; who is there is alerted and keeps their registration."""
    country = next(COUNTRIES)
    cleared, there = house.student(country, Plan.VOLUNTARY, LATER), house.student(country)
    cleared_id, there_id = await house.register(cleared), await house.register(there)
    assert (await house.becomes(cleared_id, "approved"))["clearance"]["outcome"] == "approved"
    await house.raise_to_red(country)
    suspended = await house.becomes(cleared_id, "suspended")
    assert suspended["clearance"]["rule"] == "R19"
    await house.everybody_is_told([there])
    await house.has_mail(cleared.email)
    assert (await house.registration(there_id))["status"] == "routed"
    refused = house.student(country, Plan.VOLUNTARY, LATER)
    found = await house.registration(await house.register(refused))
    assert (found["status"], found["clearance"]["rule"]) == ("refused", "R13")
    await house.all_is_quiet()
    await house.check()
