"""R38: who is not accounted for needs a named owner before an alert is closed."""

import pytest

from services.notify.rules.escalation import RollCallStatus
from services.notify.rules.handing_over import Assignment, OpenCase, hand_over, is_open

HELP, SILENT = RollCallStatus.HELP, RollCallStatus.NO_ANSWER
CASES = [OpenCase("p1", 0, HELP), OpenCase("p2", 0, SILENT), OpenCase("p3", 1, SILENT)]


@pytest.mark.parametrize(
    ("assignments", "owners", "without"),
    [
        ([], {}, ["p1", "p2", "p3"]),
        ([Assignment("team")], {"p1": "team", "p2": "team", "p3": "team"}, []),
        ([Assignment("team", HELP)], {"p1": "team"}, ["p2", "p3"]),
        ([Assignment("o-1", person_id="p2"), Assignment("team")], {"p1": "team", "p2": "o-1", "p3": "team"}, []),
        (
            [Assignment("team"), Assignment("unit", HELP), Assignment("o-1", person_id="p1")],
            {"p1": "o-1", "p2": "team", "p3": "team"},
            [],
        ),
        ([Assignment("o-1", SILENT)], {"p2": "o-1", "p3": "o-1"}, ["p1"]),
    ],
)
def test_hand_over_table(assignments: list[Assignment], owners: dict[str, str], without: list[str]) -> None:
    """The most specific assignment counts, whatever their order; nobody is left without being named."""
    decision = hand_over(CASES, assignments)

    assert {case.person_id: owner for case, owner in decision.handed_over} == owners
    assert [case.person_id for case in decision.without_owner] == without
    assert decision.may_close is (not without)


@pytest.mark.parametrize(
    ("owned_as", "assigned", "owners", "may_close"),
    [
        ("no_answer", [], {}, True),
        ("no_answer", [Assignment("team")], {}, True),
        ("no_answer", [Assignment("o-2")], {"p2": "o-2"}, True),
        ("help", [], {}, False),
        ("help", [Assignment("team")], {"p2": "team"}, True),
    ],
)
def test_hand_over_keeps_an_owner_as_long_as_the_status_is_the_same(
    owned_as: str, assigned: list[Assignment], owners: dict[str, str], may_close: bool
) -> None:
    """A second closing asks again only for whom something has changed."""
    decision = hand_over([OpenCase("p2", 0, SILENT, owned_as, "team")], assigned)

    assert ({case.person_id: owner for case, owner in decision.handed_over}, decision.may_close) == (owners, may_close)


def test_open_is_everybody_but_the_safe_and_in_a_drill_only_who_asks_for_help() -> None:
    """Silence is open; in a drill it means nothing."""
    assert [status for status in RollCallStatus if not is_open(status, is_drill=False)] == [RollCallStatus.SAFE]
    assert [status for status in RollCallStatus if is_open(status, is_drill=True)] == [HELP]
