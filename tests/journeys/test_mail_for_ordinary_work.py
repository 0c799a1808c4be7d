"""People are mailed about ordinary work: nobody has to poll to learn of a decision, or of work that waits."""

from email.message import Message
from pathlib import Path
from typing import Any

from deploy.local.demo.world import Plan, Student
from shared.catalogue_files import load
from tests.full_stack import COUNTRIES, FullStack

CATALOGUE = load(Path(__file__).resolve().parents[2] / "deploy" / "local" / "catalogue")
SOON, LATER = (9, 40), (30, 60)


def text_of(mail: Message) -> str:
    """The plain text of a mail, in one line."""
    part = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return " ".join(payload.decode().split())


async def ask(full_stack: FullStack, student: Student) -> str:
    """The student asks for approval and says how to be reached; returns the approvalId."""
    body = {
        "facultyId": student.faculty,
        "programmeId": student.programme,
        "activityType": "internship",
        "country": student.country,
        "startDate": str(student.start),
        "endDate": str(student.end),
        "description": "An internship.",
        "language": "nl",
        "contact": {
            "givenName": "Student", "surname": f"No-{student.number}", "email": student.email, "mobile": student.mobile,
        },
    }  # fmt: skip
    asked = await full_stack.retry(
        lambda people: people.call(
            "POST", "approval", "/v1/approval-requests", who=student.subject, roles=("student",),
            headers={"Idempotency-Key": f"ask-{student.number}"}, body=body,
        )
    )  # fmt: skip
    return str(asked.body["approvalId"])


async def decide(full_stack: FullStack, approval_id: str, student: Student, **decision: Any) -> None:
    """The coordinator of the student's programme decides."""
    who = {"who": f"coordinator-{student.programme}", "roles": (f"approver:{student.programme}",)}
    path = f"/v1/approval-requests/{approval_id}"
    seen = await full_stack.retry(lambda people: people.call("GET", "approval", path, **who))
    headers = {"If-Match": seen.etag or "*", "Idempotency-Key": f"{decision['decision']}-{approval_id}"}
    await full_stack.retry(
        lambda people: people.call("POST", "approval", f"{path}/decisions", headers=headers, body=decision, **who)
    )


async def test_i_learn_by_mail_what_my_programme_decided_and_why(full_stack: FullStack) -> None:
    """A refusal quotes the coordinator's own words, and answering the mail reaches that coordinator."""
    student = full_stack.student(next(COUNTRIES), Plan.APPROVED_FIRST, LATER)
    approval_id = await ask(full_stack, student)
    await decide(full_stack, approval_id, student, decision="refuse", reason="You still lack the first-year credits.")

    await full_stack.wait_for_mail(student.email, "approval_refused")

    (mail,) = await full_stack.mails_to(student.email, "approval_refused")
    assert "You still lack the first-year credits." in text_of(mail)
    coordinator = CATALOGUE.faculties[student.faculty].programmes[student.programme].coordinator
    assert mail["Reply-To"] == coordinator.email
    await full_stack.wait_until_idle()
    await full_stack.check()


async def test_i_am_told_to_register_and_then_that_i_may_depart(full_stack: FullStack) -> None:
    """The grant says how to go on; the clearance says "you may depart"; each comes once."""
    student = full_stack.student(next(COUNTRIES), Plan.APPROVED_FIRST, LATER)
    approval_id = await ask(full_stack, student)
    await decide(full_stack, approval_id, student, decision="grant", programmeConfirmed=True)
    await full_stack.wait_for_mail(student.email, "approval_granted")
    await full_stack.register(student, approval_id)
    await full_stack.wait_for_mail(student.email, "registration_cleared")

    (granted,) = await full_stack.mails_to(student.email, "approval_granted")
    (cleared,) = await full_stack.mails_to(student.email, "registration_cleared")

    assert "Registreer nu je reis" in text_of(granted)
    assert approval_id in text_of(granted)
    assert "Je mag vertrekken" in text_of(cleared)
    assert CATALOGUE.university.emergency_email not in (granted["Reply-To"], cleared["Reply-To"])


async def test_i_learn_by_mail_that_my_programme_took_its_approval_back(full_stack: FullStack) -> None:
    """The mail says that the approval holds no more, in the coordinator's own words."""
    student = full_stack.student(next(COUNTRIES), Plan.APPROVED_FIRST, LATER)
    approval_id = await ask(full_stack, student)
    await decide(full_stack, approval_id, student, decision="grant", programmeConfirmed=True)
    await decide(full_stack, approval_id, student, decision="revoke", reason="The host institute has closed.")

    await full_stack.wait_for_mail(student.email, "approval_revoked")

    (mail,) = await full_stack.mails_to(student.email, "approval_revoked")
    assert "The host institute has closed." in text_of(mail)
    await full_stack.wait_until_idle()
    assert await full_stack.mails_to(student.email, "not_registered") == []
    await full_stack.check()


async def test_who_leaves_in_nine_days_is_told_who_decides_and_that_person_is_told_at_once(
    full_stack: FullStack,
) -> None:
    """R7: the student learns the name of the office, the contact person that a student leaves in nine days."""
    student = full_stack.student(next(COUNTRIES), Plan.VOLUNTARY, SOON)
    office = CATALOGUE.faculties[student.faculty].contact_person
    registration_id = await full_stack.register(student)

    await full_stack.wait_for_mail(student.email, "registration_routed")

    (mail,) = await full_stack.mails_to(student.email, "registration_routed")
    assert office.function in text_of(mail)
    assert mail["Reply-To"] == office.email

    async def office_knows() -> bool:
        mails = await full_stack.mails_to(office.email, "office_cases")
        return any(registration_id in text_of(mail) and "over 9 dagen" in text_of(mail) for mail in mails)

    await full_stack.wait_until(office_knows, "a mail to the contact person")
    mails = await full_stack.mails_to(office.email, "office_cases")
    assert sum(registration_id in text_of(mail) for mail in mails) == 1
    assert student.email not in " ".join(map(text_of, mails)), "a mailbox of an office gets no names"
    await full_stack.wait_until_idle()
    await full_stack.check()
