"""A group trip: a leader fills in the common part; every participant registers and is decided individually."""

import asyncio

from tests.journeys.registration_world import STUDENT, Level, Portal, another, legs, voluntary

LEADER = another(STUDENT, "leader")
OTHERS = [another(STUDENT, f"participant-{number}") for number in range(3)]


def trip(**other: object) -> dict[str, object]:
    """The form of the leader."""
    return {
        "name": "Spring trip", "facultyId": "example-sciences", "programmeId": "example-biology",
        "activityType": "study_association_trip", "legs": legs(60, 67), **voluntary(), **other,
    }  # fmt: skip


async def test_trip_from_the_first_plan_to_the_last_participant(portal: Portal) -> None:
    """The leader fills it in once, each participant confirms; the leader sees names and states, and nothing more."""
    group_id = (await portal.done(LEADER, "POST", "/group-trips", trip()))["groupId"]
    path = f"/group-trips/{group_id}"
    shown = await portal.done(OTHERS[0], "GET", path)
    assert (shown["name"], shown["leads"], shown["open"]) == ("Spring trip", False, True)

    joined = []
    for person in (LEADER, *OTHERS):
        body = {"contact": person.contact, "language": "nl"}
        joined.append((await portal.done(person, "POST", f"{path}/participants", body))["registrationId"])

    found = await portal.done(LEADER, "GET", f"{path}/participants")
    assert {participant["registrationId"] for participant in found["items"]} == set(joined)
    assert {participant["surname"] for participant in found["items"]} == {
        f"Surname {p.login}" for p in (LEADER, *OTHERS)
    }
    assert {participant["status"] for participant in found["items"]} == {"approved"}
    for person in OTHERS:
        assert person.contact["mobile"] not in str(found)
        assert person.contact["email"] not in str(found)
    await portal.refused(404, OTHERS[0], "GET", f"{path}/participants")
    await portal.refused(404, LEADER, "GET", f"/registrations/{joined[1]}")
    assert (await portal.see(joined[1], OTHERS[0]))["groupId"] == group_id


async def test_each_participant_has_their_own_journey(portal: Portal) -> None:
    """One participant adds a place that turns orange: only they are suspended, and only they deviate."""
    group_id = (await portal.done(LEADER, "POST", "/group-trips", trip()))["groupId"]
    same, other = OTHERS[0], OTHERS[1]
    body = {"contact": same.contact, "language": "en"}
    await portal.done(same, "POST", f"/group-trips/{group_id}/participants", body)
    longer = [*legs(60, 67), *legs(67, 75, "FR")]
    await portal.register(other, **voluntary(), legs=longer, groupId=group_id)

    await portal.advise("FR", Level.ORANGE)

    found = (await portal.done(LEADER, "GET", f"/group-trips/{group_id}/participants"))["items"]
    assert {(participant["surname"], participant["status"], participant["deviates"]) for participant in found} == {
        (f"Surname {same.login}", "approved", False), (f"Surname {other.login}", "suspended", True)
    }  # fmt: skip


async def test_our_leader_changes_the_trip_and_each_of_us_is_told_and_follows_in_one_step(portal: Portal) -> None:
    """Nobody's registration changes by itself, who has other dates keeps them, and a second click changes nothing."""
    group_id = (await portal.done(LEADER, "POST", "/group-trips", trip()))["groupId"]
    path = f"/group-trips/{group_id}"
    mine = {}
    for person in OTHERS[:2]:
        body = {"contact": person.contact, "language": "en"}
        mine[person] = (await portal.done(person, "POST", f"{path}/participants", body))["registrationId"]
    mine[OTHERS[2]] = await portal.register(OTHERS[2], **voluntary(), legs=legs(60, 70, "FR"), groupId=group_id)

    await portal.done(LEADER, "PUT", path, trip(legs=legs(62, 69)), etag="*")

    for person, registration_id in mine.items():
        seen = await portal.see(registration_id, person)
        assert (seen["tripChange"], seen["history"][-1]["what"]) == (2, "TripChangeOffered")
        line = (await portal.checklist(registration_id, person))["lines"]
        assert ("group_trip", "todo") in {(shown["item"], shown["state"]) for shown in line}
    follower, registration_id = OTHERS[0], mine[OTHERS[0]]
    take_over = f"/registrations/{registration_id}/trip-change"
    await portal.refused(404, OTHERS[1], "POST", take_over, etag="*")
    await portal.refused(412, follower, "POST", take_over, etag='"1"')
    before = await portal.see(registration_id, follower)

    answer = await portal.done(follower, "POST", take_over, etag="*")

    after = await portal.see(registration_id, follower)
    assert (answer["status"], after["tripChange"]) == ("approved", None)
    assert [(leg["startDate"], leg["endDate"]) for leg in after["legs"]] == [
        (leg["startDate"], leg["endDate"]) for leg in legs(62, 69)
    ]
    assert (after["contact"], after["language"]) == (before["contact"], before["language"])
    facts = await portal.facts()
    await portal.done(follower, "POST", take_over, etag="*")
    assert await portal.facts() == facts, "a second click changes nothing"
    deviating = await portal.done(LEADER, "GET", f"{path}/participants")
    assert sorted(participant["deviates"] for participant in deviating["items"]) == [False, True, True]
    await portal.done(LEADER, "PUT", path, trip(), etag="*")
    assert (await portal.see(mine[OTHERS[1]], OTHERS[1]))["tripChange"] is None, (
        "the trip is what they registered again"
    )
    voluntary_alone = await portal.register(another(STUDENT, "alone"), **voluntary())
    problem = await portal.refused(
        409, another(STUDENT, "alone"), "POST", f"/registrations/{voluntary_alone}/trip-change", etag="*"
    )
    assert problem["reason"] == "no_group_trip"


async def test_trip_is_joined_once_while_it_is_open(portal: Portal) -> None:
    """Joining twice, a closed trip or no trip is refused and stores nothing; after a cancellation it is allowed."""
    group_id = (await portal.done(LEADER, "POST", "/group-trips", trip()))["groupId"]
    path, person = f"/group-trips/{group_id}", OTHERS[0]
    body = {"contact": person.contact, "language": "en"}
    mine = (await portal.done(person, "POST", f"{path}/participants", body))["registrationId"]
    assert (await portal.refused(409, person, "POST", f"{path}/participants", body))["reason"] == "already_joined"
    await portal.done(person, "POST", f"/registrations/{mine}/cancellation", etag="*")
    await portal.done(person, "POST", f"{path}/participants", body)

    await portal.refused(404, person, "POST", f"{path}/closure", etag="*")
    await portal.done(LEADER, "POST", f"{path}/closure", etag="*")
    late = {"contact": OTHERS[1].contact, "language": "en"}
    assert (await portal.refused(409, OTHERS[1], "POST", f"{path}/participants", late))["reason"] == "closed"
    nowhere = "/group-trips/0193c1a0-0000-7000-8000-0000000000ff/participants"
    await portal.refused(404, OTHERS[1], "POST", nowhere, late)


async def test_two_clicks_at_the_same_moment_join_a_trip_once(portal: Portal) -> None:
    """Eight requests with eight keys: one registration, and the others are refused as `already_joined`."""
    group_id = (await portal.done(LEADER, "POST", "/group-trips", trip()))["groupId"]
    person = OTHERS[0]
    body = {"contact": person.contact, "language": "en"}

    clicks = [portal.call(person, "POST", f"/group-trips/{group_id}/participants", body) for _ in range(8)]
    responses = await asyncio.gather(*clicks)

    refused = [response for response in responses if response.status_code == 409]
    assert sorted(response.status_code for response in responses) == [201] + [409] * 7
    assert {response.json()["reason"] for response in refused} == {"already_joined"}
    found = await portal.done(LEADER, "GET", f"/group-trips/{group_id}/participants")
    assert len(found["items"]) == 1


async def test_leader_changes_the_plan_and_nobody_is_moved_by_it(portal: Portal) -> None:
    """Participants confirm their own dates; the leader sees who still has the old ones."""
    group_id = (await portal.done(LEADER, "POST", "/group-trips", trip()))["groupId"]
    path, person = f"/group-trips/{group_id}", OTHERS[0]
    await portal.done(person, "POST", f"{path}/participants", {"contact": person.contact, "language": "en"})
    response = await portal.call(LEADER, "GET", path)

    await portal.done(LEADER, "PUT", path, trip(legs=legs(61, 68)), etag=response.headers["etag"])
    await portal.refused(412, LEADER, "PUT", path, trip(), etag=response.headers["etag"])

    (entry,) = (await portal.done(LEADER, "GET", f"{path}/participants"))["items"]
    assert entry["deviates"] is True
    problem = await portal.refused(400, LEADER, "POST", "/group-trips", trip(legs=legs(20, 10), programmeId="nowhere"))
    assert {error["field"] for error in problem["errors"]} == {"body.programmeId", "body.legs.0.endDate"}
