"""The task queues of staff: listed, claimed, commented, closed; no task is closed automatically without its cause."""

from tests.journeys.registration_world import (
    APPROVER,
    FACULTY_CONTACT,
    SAFETY_OFFICER,
    STUDENT,
    Level,
    Portal,
    another,
    legs,
    today,
    voluntary,
)

COLLEAGUE = another(FACULTY_CONTACT, "contact-sciences-2")


async def test_task_is_claimed_commented_and_closed(portal: Portal) -> None:
    """Everybody sees who claimed it; only one person can; remarks stay with it, and closing decides nothing."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20))
    (task,) = await portal.tasks(FACULTY_CONTACT, registration_id)
    path = f"/tasks/{task['taskId']}"
    me = await portal.world.person_id(FACULTY_CONTACT)

    await portal.done(FACULTY_CONTACT, "POST", f"{path}/claim")
    await portal.done(FACULTY_CONTACT, "POST", f"{path}/claim")  # it is mine already
    assert (await portal.refused(409, COLLEAGUE, "POST", f"{path}/claim"))["reason"] == "claimed"
    await portal.done(COLLEAGUE, "POST", f"{path}/comments", {"remark": "The student called me.\nTwice."})
    await portal.done(COLLEAGUE, "POST", f"{path}/release")
    await portal.done(COLLEAGUE, "POST", f"{path}/claim")
    await portal.done(FACULTY_CONTACT, "POST", f"{path}/closure", {"remark": "Settled by telephone."})
    await portal.done(FACULTY_CONTACT, "POST", f"{path}/closure", {"remark": "Once more."})

    found = await portal.done(COLLEAGUE, "GET", path)
    assert (found["open"], found["closedBy"], found["comments"]) == (False, me, 1)
    assert [remark["remark"] for remark in found["remarks"]] == [
        "The student called me.\nTwice.",
        "Settled by telephone.",
    ]
    seen = await portal.see(registration_id)
    assert seen["status"] == "routed"
    what = [step["what"] for step in seen["history"]]
    assert what.count("TaskClaimed") == 3
    assert what.count("TaskClosed") == 1


async def test_queue_is_filtered_sorted_and_counted(portal: Portal) -> None:
    """By departure or age, by rule, claimed by me or by nobody; and the counts of each queue."""
    later = await portal.register(**voluntary(), legs=legs(9, 20))
    sooner = await portal.register(another(STUDENT, "student-two"), **voluntary(), legs=legs(3, 20))
    gone = await portal.register(another(STUDENT, "student-three"), **voluntary(), legs=legs(-3, 20))
    tasks = {
        registration_id: (await portal.tasks(FACULTY_CONTACT, registration_id))[0]["taskId"]
        for registration_id in (later, sooner, gone)
    }
    await portal.done(FACULTY_CONTACT, "POST", f"/tasks/{tasks[sooner]}/claim")

    async def listed(**query: str) -> list[str]:
        found = await portal.done(FACULTY_CONTACT, "GET", "/tasks", params=query)
        return [task["registrationId"] for task in found["items"]]

    assert await listed() == [gone, sooner, later]
    assert await listed(order="opened") == [later, sooner, gone]
    assert await listed(rule="R8") == [gone]
    assert await listed(holder="mine") == [sooner]
    assert await listed(holder="nobody") == [gone, later]
    assert await listed(queue="safety-officer") == []
    assert await listed(open="false") == []
    counts = (await portal.done(FACULTY_CONTACT, "GET", "/task-counts"))["queues"]
    assert [(count["queue"], count["scope"], count["open"], count["unclaimed"]) for count in counts] == [
        ("faculty-contact", "example-sciences", 3, 2)
    ]


async def test_nothing_closes_by_itself(portal: Portal) -> None:
    """A suspended clearance stays in the coordinator's queue, whatever the advice, until a person decides."""
    registration_id = await portal.register(**voluntary())
    for level, rule in ((Level.RED, "R19"), (Level.GREEN, "R21"), (Level.ORANGE, "R19"), (Level.YELLOW, "R21")):
        await portal.advise("ES", level)
        assert [task["rule"] for task in await portal.tasks(APPROVER, registration_id)] == [rule]
    assert await portal.tasks(SAFETY_OFFICER, registration_id) == []


async def test_my_queue_holds_nothing_that_needs_no_decision_any_more(portal: Portal) -> None:
    """R16, R19, R21: the officer's task about a place ends when the place is certain; the coordinator has one task."""
    registration_id = await portal.register(**voluntary(), legs=legs(60, 120))
    await portal.advise("ES", Level.YELLOW, {"ES-CT": Level.ORANGE})
    assert [task["rule"] for task in await portal.tasks(SAFETY_OFFICER, registration_id)] == ["R16"]
    assert [task["rule"] for task in await portal.tasks(APPROVER, registration_id)] == ["R19"]

    await portal.advise("ES", Level.YELLOW)

    assert await portal.tasks(SAFETY_OFFICER, registration_id) == []
    assert [task["rule"] for task in await portal.tasks(APPROVER, registration_id)] == ["R21"]
    waits = (await portal.see(registration_id))["waitsFor"]
    assert (waits["queue"], waits["rule"]) == ("coordinator", "R21")
    await portal.decide(APPROVER, registration_id, "restore")
    assert (await portal.see(registration_id))["openTasks"] == []


async def test_my_queue_forgets_whoever_is_back(portal: Portal) -> None:
    """R8, R24: after the return there is nothing left to decide and nothing to find out."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    assert [task["rule"] for task in await portal.tasks(FACULTY_CONTACT, registration_id)] == ["R8"]

    body = {"on": today().isoformat(), "outcome": "returned"}
    await portal.done(STUDENT, "POST", f"/registrations/{registration_id}/return", body, etag="*")

    assert await portal.tasks(FACULTY_CONTACT, registration_id) == []
    assert (await portal.see(registration_id))["waitsFor"] is None


async def test_remark_must_be_words(portal: Portal) -> None:
    """Free text keeps its lines; control and direction marks are refused, and so is an empty remark."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20))
    (task,) = await portal.tasks(FACULTY_CONTACT, registration_id)
    for wrong in ("", "   ", "right\u202eto left", "bell\x07", "x" * 4_001):
        problem = await portal.refused(
            400, FACULTY_CONTACT, "POST", f"/tasks/{task['taskId']}/comments", {"remark": wrong}
        )
        assert [error["field"] for error in problem["errors"]] == ["body.remark"]
    html = "<img src=x onerror=alert(1)> & {{7*7}}\r\nsecond line"
    await portal.done(FACULTY_CONTACT, "POST", f"/tasks/{task['taskId']}/comments", {"remark": html})
    found = await portal.done(FACULTY_CONTACT, "GET", f"/tasks/{task['taskId']}")
    assert found["remarks"][0]["remark"] == html.replace("\r\n", "\n")
