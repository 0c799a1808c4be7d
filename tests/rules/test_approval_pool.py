"""State of a slot pool, and whose request it is: small folds that slots and permissions rest on."""

from dataclasses import replace
from datetime import UTC, datetime

from services.approval.access import Permissions
from services.approval.model import evolve_pool
from shared.events import SlotAllocated, SlotReleased, SlotWaitlisted

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_pool_request_that_is_promoted_waits_no_more_and_one_that_leaves_is_gone() -> None:
    """Each request stands in the pool once: with a slot, or on the waiting list."""
    waits = SlotWaitlisted(slot_pool_id="pool", approval_id="a-1", person_id="p-1", position=1)
    behind = SlotWaitlisted(slot_pool_id="pool", approval_id="a-2", person_id="p-2", position=2)
    promoted = SlotAllocated(slot_pool_id="pool", approval_id="a-1", person_id="p-1", promoted=True, language="en")
    left = SlotReleased(slot_pool_id="pool", approval_id="a-1", person_id="p-1", reason="withdrawn")

    pool = evolve_pool(evolve_pool(evolve_pool(None, waits, NOW, 1), behind, NOW, 2), promoted, NOW, 3)
    assert ([entry.approval_id for entry in pool.allocated], [entry.approval_id for entry in pool.waiting]) == (
        ["a-1"], ["a-2"],
    )  # fmt: skip
    assert (pool.position("a-1"), pool.position("a-2"), pool.has_slot("a-1")) == (None, 1, True)

    pool = evolve_pool(pool, left, NOW, 4)
    assert ([entry.approval_id for entry in pool.allocated], pool.position("a-2")) == ([], 1)


def test_permissions_without_any_role_find_nothing() -> None:
    """A caller whose person asked once, and who is no student now, reads none of it."""
    nobody = Permissions("p-1", False, frozenset(), frozenset())

    assert nobody.query() == {"_id": {"$in": []}}
    assert replace(nobody, is_student=True).query() == {"personId": "p-1"}
