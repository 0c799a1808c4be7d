"""Time through the real service: a stay begins without anybody doing anything."""

from tests.house import COUNTRIES, House


async def test_stay_begins_by_itself(house: House) -> None:
    """Who registers while abroad is seen to be there by the scheduler of the running service, once."""
    registration_id = await house.register(house.student(next(COUNTRIES)))

    async def begun() -> bool:
        found = await house.registration(registration_id)
        return any(step["what"] == "StayStarted" for step in found["history"])

    await house.until(begun, "the stay has begun")
    await house.all_is_quiet()
    found = await house.registration(registration_id)
    assert [step["what"] for step in found["history"]].count("StayStarted") == 1
    await house.check()
