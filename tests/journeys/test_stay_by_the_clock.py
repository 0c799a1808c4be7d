"""Time through the real service: a stay begins without anybody doing anything."""

from tests.full_stack import COUNTRIES, FullStack


async def test_stay_begins_by_itself(full_stack: FullStack) -> None:
    """Who registers while abroad is seen to be there by the scheduler of the running service, once."""
    registration_id = await full_stack.register(full_stack.student(next(COUNTRIES)))

    async def begun() -> bool:
        found = await full_stack.registration(registration_id)
        return any(step["what"] == "StayStarted" for step in found["history"])

    await full_stack.wait_until(begun, "the stay has begun")
    await full_stack.wait_until_idle()
    found = await full_stack.registration(registration_id)
    assert [step["what"] for step in found["history"]].count("StayStarted") == 1
    await full_stack.check()
