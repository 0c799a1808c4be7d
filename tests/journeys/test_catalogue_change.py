"""A changed catalogue: every service follows it, says which version it has, and keeps the last good one."""

from pathlib import Path

from tests.conftest import Stack
from tests.contracts.services_world import STUDENT, approval_body, registration_body
from tests.journeys.catalogue_world import READERS, edited_catalogue

NEW_FACULTY = """
id: example-theology
name: {en: Faculty of Theology (example)}
contact_person: {function: Contact person Theology, email: abroad@theology.university.example, phone: "+31710000500"}
programmes:
  example-divinity:
    name: {en: Divinity}
    coordinator: {function: Coordinator, email: divinity@theology.university.example, phone: "+31710000501"}
"""


async def test_i_get_approval_of_a_faculty_that_was_added_today_and_i_can_register_too(
    stack: Stack, tmp_path: Path
) -> None:
    """Approval, registration and notify read the new file, without a restart, and show the same version."""
    wish = {"facultyId": "example-theology", "programmeId": "example-divinity"}
    async with edited_catalogue(stack.mongo, tmp_path) as services:
        before = (await services.catalogue_checks())["approval"]["version"]
        refused = await services.call(
            "registration", "POST", "/v1/registrations", STUDENT, json={**registration_body(), **wish}
        )
        assert refused.status_code == 400

        (services.folder / "example-theology.yaml").write_text(NEW_FACULTY, encoding="utf-8")
        checks = await services.until(lambda check: check["version"] != before)
        asked = await services.call(
            "approval", "POST", "/v1/approval-requests", STUDENT, json={**approval_body(), **wish}
        )
        registered = await services.call(
            "registration", "POST", "/v1/registrations", STUDENT, json={**registration_body(), **wish}
        )

        assert len({check["version"] for check in checks.values()}) == 1
        assert (asked.status_code, registered.status_code) == (201, 201), (asked.text, registered.text)


async def test_a_new_emergency_number_is_on_the_answer_page_without_a_restart(stack: Stack, tmp_path: Path) -> None:
    """Notify shows the number of the newest catalogue."""
    async with edited_catalogue(stack.mongo, tmp_path) as services:
        before = (await services.catalogue_checks())["notify"]["version"]

        services.edit("university.yaml", "+31710000999", "+31710000888")
        await services.until(lambda check: check["version"] != before)
        page = await services.call("notify", "GET", f"/v1/answers/{'0' * 22}", None)

        assert "+31710000888" in page.text


async def test_a_mistake_in_a_file_is_shown_by_every_service_and_the_last_good_catalogue_serves(
    stack: Stack, tmp_path: Path
) -> None:
    """`/readyz` of each names file, line and field; the version stays; the mended file is taken."""
    async with edited_catalogue(stack.mongo, tmp_path) as services:
        before = (await services.catalogue_checks())["approval"]["version"]

        services.edit("example-sciences.yaml", "+31710000201", "no number")
        broken = await services.until(lambda check: not check["ok"])
        registered = await services.call("registration", "POST", "/v1/registrations", STUDENT, json=registration_body())
        services.edit("example-sciences.yaml", "no number", "+31710000299")
        mended = await services.until(lambda check: check["ok"])

        for service in READERS:
            assert broken[service]["version"] == before
            assert "example-sciences.yaml:" in broken[service]["detail"]
            assert "example-biology.coordinator.phone" in broken[service]["detail"]
            assert mended[service]["version"] != before
        assert registered.status_code == 201
