"""A research project at a partner institute: LERU or Eurolife, as the catalogue marks them (R30)."""

import pytest

from tests.approval_service import MEDICINE, ApprovalService, blocked, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("network", ["leru", "eurolife"])
async def test_partner_institute_needs_no_discussion(approval_service: ApprovalService, network: str) -> None:
    """R30: a partner by its network; the programme may grant at once."""
    details = {"theme": "genetics", "institute": "partner", "partnerNetwork": network}

    asked = await approval_service.asks(approval_service.student(), details=details)

    assert findings(asked) == set()
    await approval_service.granted(MEDICINE, asked["approvalId"])


@pytest.mark.parametrize("network", [None, "somebody-elses-network"])
async def test_partner_without_a_network_of_the_catalogue_is_asked_which(
    approval_service: ApprovalService, network: str | None
) -> None:
    """R30: only a network of the catalogue makes an institute a partner."""
    details = {"theme": "genetics", "institute": "partner", "partnerNetwork": network}

    found = blocked(await approval_service.tries(approval_service.student(), details=details))

    assert (found.status, found.rule) == (400, "R30")
    assert found.fields == ("body.details.partnerNetwork",)


async def test_programme_list_shows_the_networks_and_themes(approval_service: ApprovalService) -> None:
    """The catalogue over HTTP shows what a request can name, in the faculty's spelling."""
    response = await approval_service.call("GET", "/programmes", approval_service.student(), pageSize="250")

    medicine = next(item for item in response.json()["items"] if item["programmeId"] == "lumc-medicine")
    assert [network["name"] for network in medicine["partnerNetworks"]] == ["LERU", "Eurolife"]
    assert [theme["name"] for theme in medicine["themes"]] == [
        "Academic Pharma", "Neuroscience", "Oncology", "(Auto) Immunology", "Cell Tissue & Organ", "Cardiovascular",
        "Genetics", "Infection", "Lifecourse", "Prevention & Lifestyle",
    ]  # fmt: skip
    assert medicine["internationalOffice"]["email"] == "intoff@lumc.nl"
