"""An officer misspells a filter, or drills without a list: the answer says so instead of something that looks right."""

from typing import Any

import pytest

from deploy.local.demo.people import Refused
from tests.full_stack import OFFICER, FullStack


async def refused(full_stack: FullStack, *call: Any, **options: Any) -> str:
    """The answer to a call that is refused."""
    with pytest.raises(Refused) as error:
        await full_stack.retry(lambda people: people.call(*call, **OFFICER, **options))
    return str(error.value)


@pytest.mark.parametrize(
    ("service", "path", "known"),
    [
        ("registration", "/v1/registrations?statuss=approved", "status"),
        ("registration", "/v1/registrations?surname=Jansen", "status"),
        ("notify", "/v1/alerts?country=ES", "pageSize"),
        ("notify", "/v1/whereabouts?country=ES&reigon=ES-MD", "region"),
        ("safety", "/v1/holds?coutry=ES", "pageSize"),
        ("approval", "/healthz?q=1", "none"),
    ],
)
async def test_a_filter_that_does_not_exist_is_refused_and_i_am_told_which_do(
    full_stack: FullStack, service: str, path: str, known: str
) -> None:
    """Without this the list would come back unfiltered, and look like the answer."""
    answer = await refused(full_stack, "GET", service, path)

    assert "→ 400" in answer
    assert "is not a known parameter; this path knows" in answer
    assert known in answer
    assert "Jansen" not in answer.partition("→")[2]


async def test_a_drill_that_would_reach_nobody_is_refused_as_the_command_line_does(full_stack: FullStack) -> None:
    """DRILL_ALLOW_LIST is empty here."""
    body = {"country": "NL", "messageNl": "Oefening.", "messageEn": "Drill.", "drill": True}
    for path in ("/v1/alerts/preview", "/v1/alerts"):
        answer = await refused(
            full_stack, "POST", "notify", path, body=body, headers={"Idempotency-Key": f"drill-{path}"}
        )
        assert "→ 409" in answer
        assert "DRILL_ALLOW_LIST is empty" in answer
