"""The catalogue says what the university's page says, before a student asks, and the request names the choice."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import Stack
from tests.contracts.services_world import PDF, STUDENT, Person, approval_body, clerkship_body, registration_body
from tests.journeys.catalogue_world import EditedCatalogue, edited_catalogue

MEDICAL = {"facultyId": "example-medical-centre"}
SCHOOL = {**MEDICAL, "programmeId": "example-health-policy", "activityType": "summer_or_winter_school"}
BACHELOR = {**MEDICAL, "programmeId": "example-life-sciences", "activityType": "internship"}
THEME = {"theme": "example-hearts"}


@pytest_asyncio.fixture(name="services", scope="module", loop_scope="module")
async def _services(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EditedCatalogue]:
    async with edited_catalogue(stack.mongo, tmp_path_factory.mktemp("page")) as services:
        yield services


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def asks(services: EditedCatalogue, who: Person = STUDENT, **wish: Any) -> Any:
    """A student asks for approval."""
    body = {**approval_body(who), "description": None, **wish}
    return await services.call("approval", "POST", "/v1/approval-requests", who, json=body)


async def reads(services: EditedCatalogue, path: str, **query: str) -> Any:
    """A student reads the catalogue."""
    response = await services.call("approval", "GET", path, STUDENT, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def test_i_read_in_two_languages_what_i_can_do_abroad_what_it_asks_and_whom_to_ask(
    services: EditedCatalogue,
) -> None:
    """Activities by programme with name, explanation, links and criteria; coordinators; the office's meeting."""
    listed = (await reads(services, "/v1/programmes", facultyId="example-medical-centre"))["items"]
    programmes = {programme["programmeId"]: programme for programme in listed}

    clinical, policy = programmes["example-clinical-medicine"], programmes["example-health-policy"]
    clerkship = next(a for a in clinical["activities"] if a["activityType"] == "clinical_clerkship")
    assert clerkship["name"] == {"nl": "Coschap", "en": "Clinical clerkship"}
    assert clerkship["explanation"]["nl"].startswith("Een coschap")
    assert clerkship["links"][0]["url"] == "https://centre.university.example/rotations"
    assert clerkship["criteria"][0]["en"] == "It meets the criteria of a regular rotation."
    assert policy["activityTypes"] == ["internship", "summer_or_winter_school", "study_association_trip"]
    assert clinical["internationalOffice"]["meeting"] == "https://office.centre.university.example/meeting"
    assert [link["url"] for link in clinical["links"]] == [
        "https://centre.university.example/abroad", "https://abroad.university.example/"
    ]  # fmt: skip
    assert [(i["id"], i["partnerNetwork"]) for i in clinical["partnerInstitutes"]] == [
        ("example-institute", "example-league"), ("example-laboratory", None)
    ]  # fmt: skip
    assert [hospital["id"] for hospital in clinical["clusters"][0]["hospitalChoices"]] == [
        "example-hospital", "example-clinic"
    ]  # fmt: skip
    assert [(s["id"], s["feesPaidBy"], s["forEveryFaculty"]) for s in clinical["schools"]] == [
        ("example-school-2026", "faculty", False), ("example-winter-school-2033", "student", True)
    ]  # fmt: skip
    assert all(school["website"] and school["criteria"] for school in clinical["schools"])


async def test_before_i_fill_in_a_form_i_read_which_details_my_activity_needs(services: EditedCatalogue) -> None:
    """Each field with its label, when it is needed and its choices; documents and pages; another activity: R3."""
    path = "/v1/programmes/example-clinical-medicine/needs"
    needs = await reads(services, path, activityType="clinical_clerkship", country="SR")
    elsewhere = await reads(services, path, activityType="clinical_clerkship", country="NP")
    not_offered = await services.call(
        "approval", "GET", "/v1/programmes/example-health-policy/needs", STUDENT, params={"activityType": "moot_court"}
    )
    unknown = await services.call(
        "approval", "GET", "/v1/programmes/gone/needs", STUDENT, params={"activityType": "moot_court"}
    )

    details = {detail["field"]: detail for detail in needs["details"]}
    assert list(details) == ["details.rotation", "details.cluster", "details.hospital", "contact"]
    assert details["details.hospital"]["label"]["nl"] == "Ziekenhuis van je voorkeur"
    assert [choice["value"] for choice in details["details.rotation"]["choices"]] == ["regular", "elective"]
    assert {choice["value"] for choice in details["details.cluster"]["choices"]} == {
        "example-cutting", "example-listening"
    }  # fmt: skip
    assert [detail["field"] for detail in elsewhere["details"]] == ["details.rotation", "contact"]
    assert needs["documents"] == [
        {"kind": "placement_letter", "name": {"nl": "Plaatsingsbrief", "en": "Placement letter"}}
    ]
    assert [document["kind"] for document in needs["voluntaryDocuments"]] == ["liability_form"]
    assert [page["id"] for page in needs["acknowledged"]] == ["health-and-safety", "regulations"]
    assert (not_offered.status_code, not_offered.json()["rule"]) == (409, "R3")
    assert unknown.status_code == 404


async def test_my_request_names_the_school_and_another_one_i_describe(services: EditedCatalogue) -> None:
    """R37: a listed school by its id; without a name or description I get the list; who pays is shown."""
    asked = await asks(services, **SCHOOL, details={"school": "example-school-2026", "credits": False})
    shown = await services.call("approval", "GET", f"/v1/approval-requests/{asked.json()['approvalId']}", STUDENT)
    silent = await asks(services, **SCHOOL, details={"credits": False})
    wrong = await asks(services, **SCHOOL, details={"school": "somewhere", "credits": False})
    described = await asks(services, **SCHOOL, description="A school in Oslo.", details={"credits": False})

    assert shown.json()["details"]["school"] == "example-school-2026"
    assert "others_pay_the_fees" in [finding["reason"] for finding in asked.json()["findings"]]
    for refused in (silent, wrong):
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["field"] == "body.details.school"
        assert "example-school-2026, example-winter-school-2033" in refused.json()["errors"][0]["reason"]
    assert ("R37", "routed") in {(finding["rule"], finding["effect"]) for finding in described.json()["findings"]}


async def test_i_choose_a_partner_institute_of_the_list_and_a_hospital_for_my_place(services: EditedCatalogue) -> None:
    """R30, R34: the request holds the choice; a choice that is not on the list is refused with the list."""
    research = {**BACHELOR, "activityType": "research_or_fieldwork"}
    partner = {**THEME, "institute": "partner", "partnerNetwork": "example-league"}
    unnamed = await asks(services, **research, details=partner)
    named = await asks(services, **research, details={**partner, "partnerInstitute": "example-institute"})
    outside = await asks(
        services, **research, details={**THEME, "institute": "partner", "partnerInstitute": "example-laboratory"}
    )
    alliance = await asks(services, **research, details={**partner, "partnerNetwork": "example-alliance"})
    wish = {**clerkship_body(), "details": {"rotation": "regular", "cluster": "example-cutting", "hospital": "x"}}
    wrong_hospital = await asks(services, **{**wish, "contact": STUDENT.contact})
    wish["details"]["hospital"] = "example-clinic"
    hospital = await asks(services, **{**wish, "contact": STUDENT.contact})

    assert unnamed.json()["reason"] == "partner_institute_not_said"
    assert "example-institute" in unnamed.json()["errors"][0]["reason"]
    assert [response.status_code for response in (named, outside, alliance, hospital)] == [201] * 4
    assert wrong_hospital.json()["reason"] == "not_a_hospital"
    assert "example-hospital, example-clinic" in wrong_hospital.json()["errors"][0]["reason"]


async def test_i_am_sent_to_the_internship_coordinator_of_the_bachelor(services: EditedCatalogue) -> None:
    """Another coordinator for internships of the bachelor; for a master's the programme's own."""
    listed = {**THEME, "institute": "listed"}
    bachelor = await asks(services, **BACHELOR, details={**listed, "studyLevel": "bachelor", "yearOfStudy": 3})
    master = await asks(services, **BACHELOR, details={**listed, "studyLevel": "master", "yearOfStudy": 1})

    assert bachelor.json()["contact"]["email"] == "bachelor-internships@centre.university.example"
    assert master.json()["contact"]["email"] == "life-sciences@centre.university.example"


async def test_what_i_acknowledged_when_registering_is_recorded_with_its_version_and_link(
    services: EditedCatalogue,
) -> None:
    """R39: an old version is refused with the current one; what I did not read is a line of my checklist."""
    read = [{"id": "regulations", "version": "3"}]
    body = {**registration_body(), "acknowledged": read}
    old = await services.call(
        "registration", "POST", "/v1/registrations", STUDENT,
        json={**body, "acknowledged": [{"id": "regulations", "version": "2"}]},
    )  # fmt: skip
    registered = await services.call("registration", "POST", "/v1/registrations", STUDENT, json=body)
    registration_id = registered.json()["registrationId"]
    path = f"/v1/registrations/{registration_id}"
    before = await services.call("registration", "GET", f"{path}/checklist", STUDENT)
    changed = await services.call(
        "registration", "PUT", path, STUDENT, headers={"If-Match": "*"},
        json={**body, "acknowledged": [{"id": "health-and-safety", "version": "2026-09-01"}]},
    )  # fmt: skip
    after = await services.call("registration", "GET", f"{path}/checklist", STUDENT)
    event = await services.world.mongo.database("registration")["events"].find_one(
        {"stream": registration_id, "version": 1}
    )

    assert old.status_code == 400
    assert old.json()["errors"][0] == {
        "field": "body.acknowledged.0.version", "reason": "is not the current version, which is 3"
    }  # fmt: skip
    assert pages(before.json()) == {"health-and-safety": "todo", "regulations": "done"}
    assert changed.status_code == 200, changed.text
    assert pages(after.json()) == {"health-and-safety": "done", "regulations": "done"}
    assert event is not None
    assert b'"version":"3","url":"https://abroad.university.example/regulations"' in bytes(event["body"])


def pages(checklist: dict[str, Any]) -> dict[str, str]:
    """Page → the state of its line."""
    return {line["page"]["id"]: line["state"] for line in checklist["lines"] if line["page"]}


async def test_i_am_asked_for_documents_by_name_and_a_kind_that_nobody_knows_is_refused_with_the_list(
    services: EditedCatalogue,
) -> None:
    """R9, R11: a voluntary traveller is asked what the catalogue says for such stays; a plain file name will do."""
    wish = {**MEDICAL, "programmeId": "example-clinical-medicine", "activityType": "clinical_clerkship"}
    voluntary = {"credits": False, "universityFunding": False, "transcriptEntry": False}
    registered = await services.call(
        "registration", "POST", "/v1/registrations", STUDENT,
        json={**registration_body(), **wish, "answers": voluntary, "language": "nl"},
    )  # fmt: skip
    path = f"/v1/registrations/{registered.json()['registrationId']}"
    checklist = (await services.call("registration", "GET", f"{path}/checklist", STUDENT)).json()

    async def attaches(kind: str, file_name: str) -> Any:
        headers = {"Content-Type": "application/octet-stream", "Content-Disposition": f"attachment; {file_name}"}
        return await services.call(
            "registration", "POST", f"{path}/documents", STUDENT, params={"kind": kind}, content=PDF, headers=headers
        )

    unknown = await attaches("placementletter", 'filename="brief.pdf"')
    known = await attaches("liability_form", 'filename="brief van mij.pdf"')
    both = await attaches("placement_letter", "filename=letter.pdf; filename*=UTF-8''l%C3%A9tter.pdf")
    listed = (await services.call("registration", "GET", f"{path}/documents", STUDENT)).json()["items"]

    asked = [(line["document"], line["title"]) for line in checklist["lines"] if line["item"] == "document"]
    assert asked == [("liability_form", "Document: Aansprakelijkheidsformulier")]
    assert (unknown.status_code, unknown.json()["rule"]) == (400, "R9")
    named = "placement_letter (Plaatsingsbrief), liability_form (Aansprakelijkheidsformulier)"
    assert named in unknown.json()["detail"]
    assert (known.status_code, both.status_code) == (201, 201), (known.text, both.text)
    assert {document["name"] for document in listed} == {"brief van mij.pdf", "létter.pdf"}


async def test_a_voluntary_traveller_is_not_asked_for_the_papers_of_a_study(services: EditedCatalogue) -> None:
    """R11: without `voluntary_documents` for the activity nothing is asked."""
    (services.folder / "example-sciences.yaml").write_text(
        (services.folder / "example-sciences.yaml").read_text(encoding="utf-8")
        + "document_kinds: {letter: {name: {nl: Brief, en: Letter}}}\nrequired_documents: {internship: [letter]}\n",
        encoding="utf-8",
    )
    await services.until(lambda check: check["version"] != services.first_version)
    voluntary = {"credits": False, "universityFunding": False, "transcriptEntry": False}
    lines = {}
    for name, answers in (("voluntary", voluntary), ("for credits", {**voluntary, "credits": True})):
        registered = await services.call(
            "registration", "POST", "/v1/registrations", STUDENT, json={**registration_body(), "answers": answers}
        )
        path = f"/v1/registrations/{registered.json()['registrationId']}/checklist"
        checklist = (await services.call("registration", "GET", path, STUDENT)).json()
        lines[name] = [line["document"] for line in checklist["lines"] if line["item"] == "document"]

    assert lines == {"voluntary": [], "for credits": ["letter"]}
