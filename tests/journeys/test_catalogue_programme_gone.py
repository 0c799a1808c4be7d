"""A programme or faculty that is taken out of the catalogue while something is open for it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from tests.conftest import Stack
from tests.contracts.services_world import APPROVER, INTERNATIONAL_OFFICE, registration_body
from tests.journeys.catalogue_world import EditedCatalogue, edited_catalogue

ANY = {"If-Match": "*"}
OFFICE_MAIL = "international-office@university.example"


async def check_of_folder(services: EditedCatalogue, *options: str) -> tuple[int | None, str, str]:
    """`passage catalogue check` of the folder, as an operator runs it before a change: exit code, output, messages."""
    environment = {**os.environ, "MONGO_URL": services.world.mongo_url, "NAMESPACE": services.world.namespace}
    command = (sys.executable, "-m", "services.passage", "catalogue", "check", str(services.folder), *options)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def open_work(services: EditedCatalogue, service: str) -> dict[str, Any]:
    """The check `open work` of a service."""
    body = (await services.world.clients[service].get("/readyz")).json()
    check: dict[str, Any] = next(check for check in body["checks"] if check["name"] == "open work")
    return check


async def test_my_programme_left_the_catalogue_and_the_international_office_still_sees_my_request(
    stack: Stack, tmp_path: Path
) -> None:
    """`catalogue check --open` names it before; afterwards `/readyz` does, and the office sees the open request."""
    async with edited_catalogue(stack.mongo, tmp_path) as services:
        approval_id = await services.world.ask_approval()
        registration_id = await services.world.register()
        before = await check_of_folder(services, "--open")
        calm = [await open_work(services, service) for service in ("approval", "registration")]

        version = (await services.catalogue_checks())["approval"]["version"]
        services.edit("example-sciences.yaml", "  example-biology:\n", "  example-life:\n")
        after, of_files_alone = await check_of_folder(services, "--open"), await check_of_folder(services)
        await services.until(lambda check: check["version"] != version)
        alarms = [await open_work(services, service) for service in ("approval", "registration")]
        listed = await services.call("approval", "GET", "/v1/approval-requests", INTERNATIONAL_OFFICE)
        shown = await services.call("approval", "GET", f"/v1/approval-requests/{approval_id}", INTERNATIONAL_OFFICE)
        checklist = await services.call(
            "registration", "GET", f"/v1/registrations/{registration_id}/checklist", INTERNATIONAL_OFFICE
        )

        assert (before[0], of_files_alone[0], after[0]) == (0, 0, 1), (before, of_files_alone, after)
        gone = "example-sciences.yaml:8: programmes.example-biology: is gone, and has 1"
        assert f"{gone} requests that are not over" in after[1]
        assert f"{gone} registrations that are not over" in after[1]
        assert all(check["ok"] for check in calm)
        assert all(not check["ok"] and "programme example-biology: 1" in check["detail"] for check in alarms)
        assert [item["approvalId"] for item in listed.json()["items"]] == [approval_id]
        assert shown.json()["contact"]["email"] == OFFICE_MAIL
        approval = next(line for line in checklist.json()["lines"] if line["item"] == "approval")
        assert approval["contact"]["email"] == OFFICE_MAIL


async def test_my_faculty_was_renamed_and_my_request_and_my_registration_go_on(stack: Stack, tmp_path: Path) -> None:
    """The programme's own approver decides; the task of the faculty that is gone is the office's to see and decide."""
    async with edited_catalogue(stack.mongo, tmp_path) as services:
        approval_id = await services.world.ask_approval()
        soon = registration_body(in_days=9)["legs"]
        answers = {"credits": False, "universityFunding": False, "transcriptEntry": False}
        task_id = await services.world.open_task("faculty-contact", legs=soon, answers=answers)

        version = (await services.catalogue_checks())["approval"]["version"]
        services.edit("example-sciences.yaml", "id: example-sciences\n", "id: example-natural-sciences\n")
        code, output, _ = await check_of_folder(services, "--open")
        await services.until(lambda check: check["version"] != version)
        granted = await services.call(
            "approval", "POST", f"/v1/approval-requests/{approval_id}/decisions", APPROVER,
            json={"decision": "grant", "programmeConfirmed": True}, headers=ANY,
        )  # fmt: skip
        tasks = await services.call("registration", "GET", "/v1/tasks", INTERNATIONAL_OFFICE)

        assert code == 1
        assert "faculties.example-sciences: is gone, and has 1 requests that are not over" in output
        assert "faculties.example-sciences: is gone, and has 1 tasks that are not over" in output
        assert (granted.status_code, granted.json()["status"]) == (201, "granted")
        assert [task["taskId"] for task in tasks.json()["items"]] == [task_id]


async def test_check_of_open_work_without_a_database_says_so(stack: Stack, tmp_path: Path) -> None:
    """`--open` never passes for fine what it could not look at: exit 2."""
    async with edited_catalogue(stack.mongo, tmp_path) as services:
        environment = {name: value for name, value in os.environ.items() if name != "MONGO_URL"}
        command = (sys.executable, "-m", "services.passage", "catalogue", "check", str(services.folder), "--open")
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
        _, err = await process.communicate()

        assert process.returncode == 2
        assert "MONGO_URL is not set" in err.decode()
