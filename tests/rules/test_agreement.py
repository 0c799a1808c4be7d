"""R2, R7, R8, R14, R16, R21: what a person has agreed to, and on which advice."""

import pytest

from services.registration.model import Agreement
from services.registration.rules.agreement import has_agreed
from shared.events import AdviceSeen, Level

SEEN = AdviceSeen(country="ES", advice_version=3, level=Level.YELLOW)


@pytest.mark.parametrize("rule", ["R2", "R7", "R8", "R14", "R16", "R21"])
@pytest.mark.parametrize(
    "other",
    [
        SEEN.model_copy(update={"country": "PT"}),
        SEEN.model_copy(update={"advice_version": 4}),
        SEEN.model_copy(update={"level": Level.ORANGE}),
    ],
    ids=["country", "version", "level"],
)
def test_agreement_about_the_advice_counts_only_for_this_advice(rule: str, other: AdviceSeen) -> None:
    """R14, R16: another country, version or level is decided again; what else was agreed does not hang on advice."""
    agreed = [
        Agreement(rule="R9", agreed_by="officer-2", advice=(other,)),
        Agreement(rule=rule, agreed_by="officer-1", advice=(SEEN,)),
    ]

    assert has_agreed(agreed, rule, [SEEN])
    assert has_agreed(agreed, rule, [other]) == (rule not in ("R14", "R16"))
    assert not has_agreed(agreed, "R18", [SEEN])
