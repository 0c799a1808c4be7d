"""A destination that turns unsafe, before departure and during the stay (R19, R20, R21, R23)."""

from tests.journeys.registration_world import (
    APPROVER,
    BOARD,
    FACULTY_CONTACT,
    LINGUIST,
    SAFETY_OFFICER,
    STUDENT,
    Level,
    Portal,
    legs,
    today,
    voluntary,
)


async def test_before_departure_the_clearance_goes_and_a_person_restores_it(portal: Portal) -> None:
    """Suspended at once; better advice opens a task for a person, who sees the change and restores (R19, R21)."""
    registration_id = await portal.register(**voluntary())
    await portal.advise("ES", Level.RED)
    found = await portal.see(registration_id)
    assert (found["status"], found["clearance"]["rule"]) == ("suspended", "R19")
    assert [task["rule"] for task in await portal.tasks(APPROVER, registration_id)] == ["R19"]
    assert (await portal.cannot(409, APPROVER, registration_id, "restore"))["rule"] == "R13"

    await portal.advise("ES", Level.YELLOW)

    found = await portal.see(registration_id)
    assert found["status"] == "suspended", "never by itself"
    assert {task["rule"] for task in await portal.tasks(APPROVER, registration_id)} == {"R21"}
    assert [seen["adviceVersion"] for seen in (*found["decidedOn"], *found["advice"])] == [2, 3]
    assert (await portal.cannot(403, FACULTY_CONTACT, registration_id, "restore"))["rule"] == "R21"
    assert (await portal.decide(APPROVER, registration_id, "restore"))["status"] == "approved"
    found = await portal.see(registration_id)
    assert found["history"][-2]["what"] == "ClearanceRestored"
    assert found["clearance"]["reason"] == "restored_by_person"
    assert found["openTasks"] == []

    await portal.advise("ES", Level.ORANGE)
    assert (await portal.see(registration_id))["status"] == "suspended", "what was restored can go again"


async def test_during_the_stay_a_return_is_asked_for_and_its_outcome_recorded(portal: Portal) -> None:
    """Nothing is suspended or cancelled: a safety officer asks for the return and records its outcome (R20)."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    await portal.decide(FACULTY_CONTACT, registration_id, "approve")
    await portal.advise("ES", Level.ORANGE)
    assert (await portal.see(registration_id))["status"] == "approved"
    (task,) = await portal.tasks(SAFETY_OFFICER, registration_id)
    assert task["rule"] == "R20"
    problem = await portal.refused(409, SAFETY_OFFICER, "POST", f"/tasks/{task['taskId']}/closure", {"remark": "Done."})
    assert (problem["rule"], problem["reason"]) == ("R20", "no_outcome")

    path, day = f"/registrations/{registration_id}/return", today().isoformat()
    body = {"on": day, "outcome": "stays", "remark": "Stays with family, in a safe full_stack."}
    await portal.done(SAFETY_OFFICER, "POST", path, body, etag="*")

    assert await portal.tasks(SAFETY_OFFICER, registration_id) == []
    await portal.advise("ES", Level.ORANGE)
    assert await portal.tasks(SAFETY_OFFICER, registration_id) == [], "asked and answered at this colour"
    await portal.advise("ES", Level.RED)
    assert [task["rule"] for task in await portal.tasks(SAFETY_OFFICER, registration_id)] == ["R20"], "worse: again"
    await portal.done(STUDENT, "POST", path, {"on": day, "outcome": "returned"}, etag="*")
    assert await portal.tasks(SAFETY_OFFICER, registration_id) == []
    await portal.advise("ES", Level.RED)
    assert await portal.tasks(SAFETY_OFFICER, registration_id) == [], "back home"


async def test_better_advice_ends_the_asking_for_a_return(portal: Portal) -> None:
    """Better advice closes the task."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    await portal.advise("ES", Level.RED)
    assert await portal.tasks(SAFETY_OFFICER, registration_id)

    await portal.advise("ES", Level.YELLOW)

    assert await portal.tasks(SAFETY_OFFICER, registration_id) == []
    step = (await portal.see(registration_id))["history"][-1]
    assert (step["what"], step["by"]) == ("TaskClosed", "cause-ended")


async def test_study_in_a_negative_area_is_flagged_to_the_board_of_examiners(portal: Portal) -> None:
    """The board of examiners gets one task about a study-related stay, and none about a voluntary trip (R23)."""
    studying = await portal.register(legs=legs(-3, 20))
    voluntary_ = await portal.register(**voluntary(), legs=legs(-3, 20))
    for level in (Level.ORANGE, Level.YELLOW, Level.ORANGE):
        await portal.advise("ES", level)

    flags = [task for task in await portal.tasks(APPROVER, studying) if task["rule"] == "R23"]
    assert [flag["queue"] for flag in flags] == ["board-of-examiners"]
    assert not [task for task in await portal.tasks(APPROVER, voluntary_) if task["rule"] == "R23"]
    await portal.done(APPROVER, "POST", f"/tasks/{flags[0]['taskId']}/closure", {"remark": "Noted."})
    await portal.advise("ES", Level.RED)
    assert not [task for task in await portal.tasks(APPROVER, studying) if task["rule"] == "R23"]


async def test_flag_is_in_the_boards_own_queue_where_the_catalogue_names_it(portal: Portal) -> None:
    """R23: the board sees the registration and its task, which the coordinator cannot see."""
    of_linguistics = {"facultyId": "example-humanities", "programmeId": "example-linguistics"}
    registration_id = await portal.register(**of_linguistics, legs=legs(-3, 20))
    await portal.advise("ES", Level.ORANGE)

    [flag] = [task for task in await portal.tasks(BOARD, registration_id) if task["queue"] == "board-of-examiners"]
    assert flag["rule"] == "R23"
    assert (await portal.see(registration_id, BOARD))["registrationId"] == registration_id
    path = f"/tasks/{flag['taskId']}"
    assert flag["taskId"] not in [task["taskId"] for task in await portal.tasks(LINGUIST, registration_id)]
    await portal.refused(404, LINGUIST, "POST", f"{path}/closure", {"remark": "Not mine."})
    await portal.done(BOARD, "POST", f"{path}/claim")
    await portal.done(BOARD, "POST", f"{path}/comments", {"remark": "No credits for this part."})
    await portal.done(BOARD, "POST", f"{path}/closure", {"remark": "Noted."})
    assert flag["taskId"] not in [task["taskId"] for task in await portal.tasks(BOARD, registration_id)]


async def test_stay_that_begins_in_a_negative_area_is_found_without_any_event(portal: Portal) -> None:
    """Once a day the sweep evaluates who is in a negative country; here on the day on which a journey begins."""
    await portal.advise("ES", Level.RED)
    registration_id = await portal.register(**voluntary(), legs=legs(-1, 20))

    # A registration that arrives late is looked at on arrival; the daily look finds the same and says it once.
    tasks = await portal.tasks(SAFETY_OFFICER, registration_id)
    assert [task["rule"] for task in tasks] == ["R20"]
