"""A person reads all data about themselves; an erasure is requested by one officer and confirmed by another."""

from dataclasses import replace

from tests.contracts.services_world import (
    ABROAD,
    APPROVER,
    AUDITOR,
    FACULTY_CONTACT,
    INTERNATIONAL_OFFICE,
    MACHINE,
    OPERATOR,
    OTHER_STUDENT,
    SAFETY_OFFICER,
    STUDENT,
    Call,
    Person,
    World,
    operation,
)
from tests.failures import Failures

ANY = {"If-Match": "*"}
SECOND_OFFICE = Person("office-2", ("international-office",))


DATA_READERS = [
    (STUDENT, 200), (INTERNATIONAL_OFFICE, 200), (OTHER_STUDENT, 404), (FACULTY_CONTACT, 403), (APPROVER, 403),
    (SAFETY_OFFICER, 403), (AUDITOR, 403), (OPERATOR, 403), (MACHINE, 403),
]  # fmt: skip


async def test_own_data_are_for_the_person_and_the_office(world: World) -> None:
    """AVG article 15: complete and unsealed; another person's data answer 404, as those of an unknown id."""
    await world.register(STUDENT)
    with Failures() as failures:
        for who, status in DATA_READERS:
            with failures.case(who.login):
                call = Call(operation("getPersonData"), who, path={"id": await world.person_id(STUDENT)})
                response = await world.send(call)
                unknown = await world.send(replace(call, path={"id": "01a20f19-0000-7000-8000-000000000000"}))

                assert response.status_code == status
                if status == 200:
                    assert all(canary in response.text for canary in STUDENT.canaries)
                    assert "sealed:" not in response.text
                    assert "attachment" in response.headers["content-disposition"]
                if status == 404:
                    assert unknown.json() == response.json()


async def test_erasure_needs_two_officers_and_neither_erases_themselves(world: World) -> None:
    """Requested, requested again by the same officer, confirmed by another; then no personal data are left."""
    leaver = Person("leaver-one", ("student", "international-office"))
    registration_id = await world.register(leaver)
    person_id = await world.person_id(leaver)
    erase = Call(operation("erasePerson"), INTERNATIONAL_OFFICE, {"id": person_id}, {"reason": "request"}, ANY)

    ahead = await world.send(erase)
    assert (ahead.status_code, ahead.json()["reason"]) == (409, "journey_ahead")
    cancel = Call(operation("cancelRegistration"), leaver, {"registration_id": registration_id})
    await world.send(cancel.also(ANY))

    own = await world.send(erase.by(leaver))
    first, again = await world.send(erase), await world.send(erase)
    data = Call(operation("getPersonData"), INTERNATIONAL_OFFICE, {"id": person_id})
    assert leaver.contact["email"] in (await world.send(data)).text
    second, later = await world.send(erase.by(SECOND_OFFICE)), await world.send(erase)

    assert (own.status_code, own.json()["reason"]) == (403, "own_data")
    assert [answer.status_code for answer in (first, again, second, later)] == [200] * 4
    assert first.json() == again.json() == {"personId": person_id, "state": "requested"}
    assert second.json() == {"personId": person_id, "state": "erased"}
    gone = await world.send(data)
    assert gone.status_code == 200
    assert not any(canary in gone.text for canary in leaver.canaries)
    assert await world.person_id(leaver) != person_id  # the login is a new person


async def test_erasure_of_a_person_abroad_or_in_an_open_alert_is_refused(world: World) -> None:
    """409: a person who may have to be found is not erased."""
    abroad, alerted = Person("leaver-abroad", ("student",)), Person("leaver-alerted", ("student",))
    await world.register(abroad, legs=ABROAD)
    database = world.mongo.database("registration")
    person_id = await world.person_id(alerted)
    await database["alerted"].insert_one({"_id": f"ES-77|{person_id}", "alertId": "ES-77", "personId": person_id})

    for who, reason in ((abroad, "abroad"), (alerted, "open_alert")):
        path = {"id": await world.person_id(who)}
        response = await world.send(
            Call(operation("erasePerson"), SAFETY_OFFICER, path, {"reason": "no_longer_needed"}, ANY)
        )
        assert (response.status_code, response.json()["reason"]) == (409, reason)
