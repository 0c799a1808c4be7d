"""R2 through the real APIs: a registration and the approval it rests on, in both orders, and taken back."""

from deploy.local.demo.world import Plan
from tests.full_stack import COUNTRIES, FullStack

SOON, LATER, ABROAD = (5, 40), (30, 60), (-3, 30)


async def test_registered_before_the_approval(full_stack: FullStack) -> None:
    """Held, with the missing approval named; approved automatically when the programme approves."""
    student = full_stack.student(next(COUNTRIES), Plan.REGISTERED_FIRST, LATER)
    approval_id = await full_stack.request_approval(student)
    registration_id = await full_stack.register(student, approval_id)
    held = await full_stack.registration(registration_id)
    assert (held["status"], held["clearance"]["rule"]) == ("held", "R2")
    assert held["clearance"]["contact"]["email"]
    await full_stack.grant(approval_id, student)
    approved = await full_stack.wait_for_status(registration_id, "approved")
    # Held once more when registration hears that the request exists: the reason is another one.
    submitted, *held_steps, last = [step["what"] for step in approved["history"]]
    assert (submitted, set(held_steps), last) == ("RegistrationSubmitted", {"RegistrationHeld"}, "RegistrationApproved")
    await full_stack.wait_until_idle()
    await full_stack.check()


async def test_registered_after_the_approval(full_stack: FullStack) -> None:
    """Approved as soon as the approval arrives, without a decision by a person."""
    student = full_stack.student(next(COUNTRIES), Plan.APPROVED_FIRST, LATER)
    approval_id = await full_stack.request_approval(student)
    await full_stack.grant(approval_id, student)
    await full_stack.wait_until_idle()
    registration_id = await full_stack.register(student, approval_id)
    approved = await full_stack.registration(registration_id)
    assert approved["status"] == "approved"
    assert [step["what"] for step in approved["history"]] == ["RegistrationSubmitted", "RegistrationApproved"]


async def test_approval_withdrawn_after_the_clearance(full_stack: FullStack) -> None:
    """The clearance goes, and the student and the coordinator are told."""
    student = full_stack.student(next(COUNTRIES), Plan.APPROVED_FIRST, LATER)
    approval_id = await full_stack.request_approval(student)
    await full_stack.grant(approval_id, student)
    registration_id = await full_stack.register(student, approval_id)
    await full_stack.wait_for_status(registration_id, "approved")
    await full_stack.withdraw(approval_id, student)
    suspended = await full_stack.wait_for_status(registration_id, "suspended")
    assert suspended["clearance"]["reason"] == "approval_withdrawn"
    await full_stack.wait_for_mail(student.email)
    await full_stack.wait_until_idle()
    await full_stack.check()


async def test_departing_within_two_weeks_and_already_departed(full_stack: FullStack) -> None:
    """R7 and R8: a person looks; neither approved nor refused by rules."""
    soon = full_stack.student(next(COUNTRIES), Plan.VOLUNTARY, SOON)
    gone = full_stack.student(next(COUNTRIES), Plan.VOLUNTARY, ABROAD)
    for student, rule in ((soon, "R7"), (gone, "R8")):
        found = await full_stack.registration(await full_stack.register(student))
        assert (found["status"], found["clearance"]["rule"]) == ("routed", rule)
        assert found["openTasks"]


async def test_destination_turns_unsafe_before_and_during_the_stay(full_stack: FullStack) -> None:
    """R13, R19, R20: who has not left is suspended and told; who is there is alerted and keeps their registration."""
    country = next(COUNTRIES)
    cleared, there = full_stack.student(country, Plan.VOLUNTARY, LATER), full_stack.student(country)
    cleared_id, there_id = await full_stack.register(cleared), await full_stack.register(there)
    assert (await full_stack.wait_for_status(cleared_id, "approved"))["clearance"]["outcome"] == "approved"
    await full_stack.raise_to_red(country)
    suspended = await full_stack.wait_for_status(cleared_id, "suspended")
    assert suspended["clearance"]["rule"] == "R19"
    await full_stack.wait_for_messages([there])
    await full_stack.wait_for_mail(cleared.email)
    assert (await full_stack.registration(there_id))["status"] == "routed"
    refused = full_stack.student(country, Plan.VOLUNTARY, LATER)
    found = await full_stack.registration(await full_stack.register(refused))
    assert (found["status"], found["clearance"]["rule"]) == ("refused", "R13")
    await full_stack.wait_until_idle()
    await full_stack.check()
