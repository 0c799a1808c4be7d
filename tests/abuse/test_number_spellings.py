"""A number in another spelling is its person's, one that is only alike is proposed, and none is stored in clear."""

from phonenumbers import is_possible_number, parse

from services.notify.store.callbacks import UNCLEAR
from services.notify.store.contacts import NumberMatch
from shared.phone_spellings import Likeness
from tests.integration.notify_public import INBOUND, PublicRoutes
from tests.integration.notify_sending_world import alerted, number
from tests.integration.notify_world import World, contact_of
from tests.rules.test_phone_spellings import SPELLINGS

CERTAIN = [
    (written, stored)
    for written, stored, found in SPELLINGS
    if found in (Likeness.SAME, Likeness.NATIONAL) and is_possible_number(parse(stored))
]


async def lives_at(world: World, person: str, mobile: str) -> None:
    """The person's mobile number is this one."""
    world.keyring.contacts[person] = contact_of(person).model_copy(update={"mobile": mobile})


async def test_every_spelling_of_a_number_is_the_persons_answer(world: World, public: PublicRoutes) -> None:
    """One stored number after the other, and each of its spellings as the sender: all are that person's."""
    stored = sorted({stored for _, stored in CERTAIN})
    people = {mobile: f"p{position}" for position, mobile in enumerate(stored)}
    for mobile, person in people.items():
        await lives_at(world, person, mobile)
    await alerted(world, *people.values())

    heard: set[str] = set()
    for written, mobile in CERTAIN:
        found = (await world.whereabouts.contacts.match_number(written)).persons
        assert people[mobile] in found, written
        if len(found) == 1 and not found & heard:
            await public.post(INBOUND, {"from": {"number": written}, "message": {"text": "HELP"}})
            heard |= found
    await public.work()

    assert {person for person, answer, _ in await public.said() if answer == "help"} == heard
    assert len(heard) == len(people) - 2, "two numbers of Argentina are each other's"


async def test_alike_numbers_are_proposed_and_two_with_one_number_are_both_shown(
    world: World, public: PublicRoutes
) -> None:
    """Another country's code: proposed, not taken. One number of two persons, in two spellings: both, and neither."""
    await lives_at(world, "p2", "+541123456789")
    await lives_at(world, "p3", "+5491123456789")
    await alerted(world, "p1", "p2", "p3")

    await public.reply(number("p1").replace("+31", "+49"), "VEILIG")
    await public.reply("+54 11 15 2345 6789", "VEILIG")
    await public.work()

    assert await public.said() == []
    assert await public.notes() == [UNCLEAR, UNCLEAR]
    first, second = await world.replies.page(0, 10)
    assert (first.persons, first.proposed) == ((), ("p1",))
    assert (second.persons, second.proposed) == (("p2", "p3"), ())


async def test_stored_contacts_of_an_earlier_version_are_found_too(world: World) -> None:
    """Documents without the fingerprint of their last digits get it at the start; no number stands in clear."""
    await alerted(world, "p1", "p2")
    written, contacts = number("p1").replace("+31", "0"), world.whereabouts.contacts
    await world.database["whereabouts"].update_many({}, {"$unset": {"phoneEnd": ""}})
    assert await contacts.match_number(written) == NumberMatch()
    assert (await contacts.match_number(number("p1"))).persons == {"p1"}, "the exact number is found all the same"

    for _ in range(2):
        await contacts.add_phone_ends()

    assert (await contacts.match_number(written)).persons == {"p1"}
    documents = await world.database["whereabouts"].find({}).to_list(None)
    assert all(len(document["phoneEnd"]) == 32 for document in documents)
    assert number("p1")[-6:] not in repr(documents)


async def test_erased_and_changed_numbers_are_nobodys(world: World) -> None:
    """A person who was erased, or has another number now, has the old one no longer, in no spelling."""
    await alerted(world, "p1", "p2")
    old = number("p2")
    await lives_at(world, "p2", "+34600000002")
    await world.handle(world.register("p2", changed=True))
    await world.whereabouts.contacts.erase("p1")

    for mobile in (number("p1"), old):
        assert await world.whereabouts.contacts.match_number(mobile) == NumberMatch()
        assert await world.whereabouts.contacts.match_number(mobile.replace("+31", "0")) == NumberMatch()
    assert (await world.whereabouts.contacts.match_number("600000002")).persons == {"p2"}
