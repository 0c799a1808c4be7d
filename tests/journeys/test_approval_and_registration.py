"""R2 through the real APIs: a registration and the approval it rests on, in both orders, and taken back."""

import asyncio
from dataclasses import replace

import pytest

from deploy.local.demo.people import Refused
from deploy.local.demo.world import Plan
from shared.testing.checker import read_topic
from tests.full_stack import COUNTRIES, TOPICS, FullStack

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


async def test_my_programme_grants_dozens_in_a_row_and_each_of_us_is_cleared_by_our_own_grant(
    full_stack: FullStack,
) -> None:
    """R2: many grants are worked together; each registration is approved once, and its event names its own grant."""
    country = next(COUNTRIES)
    students = [full_stack.student(country, Plan.REGISTERED_FIRST, LATER) for _ in range(24)]
    approvals = [await full_stack.request_approval(student) for student in students]
    registrations = [
        await full_stack.register(student, approval_id)
        for student, approval_id in zip(students, approvals, strict=True)
    ]  # fmt: skip
    await asyncio.gather(*(full_stack.grant(*granted) for granted in zip(approvals, students, strict=True)))
    for registration_id in registrations:
        await full_stack.wait_for_status(registration_id, "approved")
    await full_stack.wait_until_idle()

    namespace, kafka = full_stack.services.choices.namespace, full_stack.services.stack.kafka
    granted = (await read_topic(kafka, namespace, TOPICS["approval"])).streams
    decided = (await read_topic(kafka, namespace, TOPICS["registration"])).streams
    for approval_id, registration_id in zip(approvals, registrations, strict=True):
        causes = [event.id for event in granted[approval_id] if event.type == "ApprovalGranted"]
        approved = [event.causationid for event in decided[registration_id] if event.type == "RegistrationApproved"]
        assert approved == causes
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


async def test_i_am_abroad_without_approval_and_somebody_ends_it(full_stack: FullStack) -> None:
    """R4, R8: the request goes to the coordinator, who may still grant it with a reason; then the contact person ends
    the case. Meanwhile each of them reads who has it, and nobody is told to ask for the approval again."""
    student = full_stack.student(next(COUNTRIES), Plan.ABROAD, ABROAD)
    student = replace(student, faculty="example-medicine", programme="example-medicine-master")
    approval_id = await full_stack.request_approval(student)
    registration_id = await full_stack.register(student, approval_id)
    await full_stack.wait_until_idle()
    routed = await full_stack.registration(registration_id)
    assert (routed["status"], routed["clearance"]["rule"]) == ("routed", "R8")
    assert (routed["waitsFor"]["queue"], routed["waitsFor"]["reason"]) == ("coordinator", "approval_pending")
    contact_person = ("contact", "faculty-contact:example-medicine")
    with pytest.raises(Refused, match=r"409.*has not decided yet"):
        await full_stack.decide(registration_id, *contact_person, "approve")
    line = await full_stack.checklist_line(registration_id, "approval")
    assert (line["state"], line["rule"], line["reason"]) == ("waiting", "R4", "approval_pending_after_start")

    with pytest.raises(Refused, match=r"403.*R4"):
        await full_stack.decide_approval(approval_id, "example-medicine-board-of-examiners", "grant", LATE)
    with pytest.raises(Refused, match=r"400.*R4"):
        await full_stack.decide_approval(approval_id, "example-medicine-master", "grant")
    await full_stack.decide_approval(approval_id, "example-medicine-master", "grant", LATE)
    await full_stack.wait_until_idle()
    assert (await full_stack.registration(registration_id))["waitsFor"]["queue"] == "faculty-contact"
    await full_stack.decide(registration_id, *contact_person, "approve")

    approved = await full_stack.registration(registration_id)
    assert (approved["status"], approved["waitsFor"], approved["openTasks"]) == ("approved", None, [])
    await full_stack.wait_until_idle()
    await full_stack.check()


async def test_my_programme_refuses_after_i_left_and_the_case_ends(full_stack: FullStack) -> None:
    """R2, R4: refused by the coordinator, the registration is refused, and the contact person has nothing to decide."""
    student = full_stack.student(next(COUNTRIES), Plan.ABROAD, ABROAD)
    approval_id = await full_stack.request_approval(student)
    registration_id = await full_stack.register(student, approval_id)
    assert (await full_stack.registration(registration_id))["openTasks"]

    await full_stack.decide_approval(approval_id, student.programme, "refuse", LATE)

    refused = await full_stack.wait_for_status(registration_id, "refused")
    assert (refused["clearance"]["rule"], refused["clearance"]["reason"]) == ("R2", "approval_refused")
    assert refused["openTasks"] == []


async def test_my_programme_takes_its_approval_back(full_stack: FullStack) -> None:
    """R2, R5: before departure the clearance goes and the student is told; during the stay the coordinator gets a task
    and nothing is cancelled. Once the activity is over nothing can be taken back."""
    leaving = full_stack.student(next(COUNTRIES), Plan.APPROVED_FIRST, LATER)
    approval_id = await full_stack.request_approval(leaving)
    await full_stack.grant(approval_id, leaving)
    registration_id = await full_stack.register(leaving, approval_id)
    await full_stack.wait_for_status(registration_id, "approved")

    await full_stack.decide_approval(approval_id, leaving.programme, "revoke", "The host has closed.")

    suspended = await full_stack.wait_for_status(registration_id, "suspended")
    assert (suspended["clearance"]["rule"], suspended["clearance"]["reason"]) == ("R2", "approval_revoked")
    assert [(task["queue"], task["rule"]) for task in suspended["openTasks"]] == [("coordinator", "R2")]
    line = await full_stack.checklist_line(registration_id, "approval")
    assert (line["state"], line["reason"]) == ("blocked", "approval_revoked")
    await full_stack.wait_for_mail(leaving.email)

    there = full_stack.student(next(COUNTRIES), Plan.ABROAD, ABROAD)
    late_id = await full_stack.request_approval(there)
    there_id = await full_stack.register(there, late_id)
    await full_stack.decide_approval(late_id, there.programme, "grant", LATE)
    await full_stack.wait_until_idle()
    await full_stack.decide(there_id, "contact", f"faculty-contact:{there.faculty}", "approve")
    await full_stack.decide_approval(late_id, there.programme, "revoke", "The host has closed.")
    await full_stack.wait_until_idle()
    found = await full_stack.registration(there_id)
    assert found["status"] == "approved", "during the stay nothing is suspended or cancelled"
    assert [(task["queue"], task["reason"]) for task in found["openTasks"]] == [("coordinator", "approval_revoked")]
    await full_stack.check()


LATE = "The host changed the dates at the last moment."


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
