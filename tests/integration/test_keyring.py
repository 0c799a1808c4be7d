"""The keyring on real MongoDB: sealing, erasing, tampering, the wrong key, two services at once."""

import asyncio
import time

import pytest

from shared.errors import PermanentError
from shared.mongo.client import Mongo
from shared.privacy.keyring import CACHE_SECONDS, Keyring, WrongKey

KEK = bytes(range(32))


async def test_keyring_what_is_sealed_opens_only_in_its_place(mongo: Mongo) -> None:
    """A sealed field is bound to person, event and path: moved, it does not open. It holds nothing in clear."""
    keyring = Keyring(mongo, KEK)

    sealed = await keyring.seal("person-1", "event-1", "/contact", {"email": "canary@students.example"})

    assert "canary" not in sealed
    assert await Keyring(mongo, KEK).open(sealed, "/contact") == {"email": "canary@students.example"}
    with pytest.raises(PermanentError):
        await keyring.open(sealed, "/other")
    with pytest.raises(PermanentError):
        await keyring.open(sealed.replace("event-1", "event-2"), "/contact")


async def test_keyring_erased_stays_erased(mongo: Mongo) -> None:
    """Erasing destroys the content and the login's link to the person; the person never gets a new key."""
    keyring = Keyring(mongo, KEK)
    person = await keyring.person_id("issuer", "student-1")
    sealed = await keyring.seal(person, "event-1", "/contact", "canary")

    await keyring.erase(person)

    assert await Keyring(mongo, KEK).open(sealed, "/contact") is None
    assert await keyring.person_id("issuer", "student-1") != person
    with pytest.raises(PermanentError):
        await keyring.seal(person, "event-2", "/contact", "again")


async def test_keyring_another_service_sees_an_erasure_at_once(mongo: Mongo) -> None:
    """After one service erased a person, their login gives another service a new person, though it knew the old one."""
    keyring, other = Keyring(mongo, KEK), Keyring(mongo, KEK)
    person = await other.person_id("issuer", "student-1")

    await keyring.erase(person)

    assert await other.person_id("issuer", "student-1") != person


async def test_keyring_two_services_agree_on_person_and_key(mongo: Mongo) -> None:
    """Ten services see a login for the first time at once: there is one person and one key."""
    rings = [Keyring(mongo, KEK) for _ in range(10)]

    persons = await asyncio.gather(*(ring.person_id("issuer", "student-1") for ring in rings))
    keys = await asyncio.gather(*(ring.key(persons[0]) for ring in rings))

    assert len(set(persons)) == 1
    assert len(set(keys)) == 1


async def test_keyring_wrong_key_encryption_key_is_found_at_start(mongo: Mongo) -> None:
    """A service with the wrong KEY_ENCRYPTION_KEY raises WrongKey in its start-up check."""
    await Keyring(mongo, KEK).key("person-1")

    with pytest.raises(WrongKey):
        await Keyring(mongo, bytes(32)).check()


async def test_keyring_opens_many_and_one_that_does_not_open_stops_no_other(mongo: Mongo) -> None:
    """In their order, with the keys read together: erased, lost, moved and nonsense are told apart from the opened."""
    keyring = Keyring(mongo, KEK)
    persons = [f"person-{number}" for number in range(5)]
    sealed = [await keyring.seal(person, f"event-{person}", "/contact", {"of": person}) for person in persons]
    await keyring.erase(persons[1])
    await mongo.database("keyring")["keys"].delete_one({"_id": persons[2]})
    sealed[3] = sealed[3].replace("event-person-3", "event-person-4")

    opened = await Keyring(mongo, KEK).open_many([*sealed, "nonsense"], "/contact")

    assert [value.state for value in opened] == [
        "opened", "erased", "unreadable", "unreadable", "opened", "unreadable"
    ]  # fmt: skip
    assert [value.value for value in opened if value.state == "opened"] == [{"of": "person-0"}, {"of": "person-4"}]
    assert await mongo.database("keyring")["keys"].find_one({"_id": persons[2]}) is None, "reading makes no keys"


async def test_keyring_reading_makes_no_keys(mongo: Mongo) -> None:
    """A sealed field or bytes of a person who has no key do not open, and leave none behind."""
    keyring = Keyring(mongo, KEK)

    with pytest.raises(PermanentError):
        await keyring.open("sealed:v1:stranger:event:AAAA", "/contact")
    with pytest.raises(PermanentError):
        await keyring.open_bytes("stranger", "context", bytes(40))

    assert await mongo.database("keyring")["keys"].count_documents({}) == 0
    assert not await keyring.knows("stranger")


async def test_keyring_same_text_of_a_person_is_sealed_alike_and_of_another_is_not(mongo: Mongo) -> None:
    """Equal texts of one person for one field are equal sealed, everything else differs; erased, none opens."""
    keyring = Keyring(mongo, KEK)

    sealed = [
        await keyring.seal_alike(person, path, text)
        for person, path, text in (
            ("p1", "/place", "Madrid"), ("p1", "/place", "Madrid"), ("p1", "/place", "Toledo"),
            ("p1", "/kind", "Madrid"), ("p2", "/place", "Madrid"),
        )
    ]  # fmt: skip

    assert sealed[0] == sealed[1]
    assert len(set(sealed)) == 4
    assert await Keyring(mongo, KEK).open(sealed[0], "/place") == "Madrid"
    with pytest.raises(PermanentError):
        await keyring.open(sealed[0], "/kind")
    await keyring.erase("p1")
    assert [opened.state for opened in await keyring.open_many(sealed, "/place")].count("erased") == 4
    with pytest.raises(PermanentError):
        await keyring.seal_alike("p1", "/place", "Madrid")


async def test_keyring_person_without_a_key_who_is_erased_never_gets_one(mongo: Mongo) -> None:
    """Nothing was sealed for the person before: nothing can be sealed afterwards either, by any service."""
    keyring, other = Keyring(mongo, KEK), Keyring(mongo, KEK)
    person = await keyring.person_id("issuer", "student-1")

    await keyring.erase(person)

    assert [await ring.key(person) for ring in (keyring, other)] == [None, None]
    assert await keyring.knows(person)
    with pytest.raises(PermanentError):
        await other.seal_bytes(person, "document", b"canary")


async def test_keyring_erasure_reaches_a_service_that_knows_the_key(mongo: Mongo) -> None:
    """A service uses a key that it has read for a minute at most, for sealing and for opening."""
    keyring, other = Keyring(mongo, KEK), Keyring(mongo, KEK)
    sealed = await other.seal("person-1", "event-1", "/contact", "canary")
    await keyring.erase("person-1")

    for person_id, (_, key) in list(other._cache.items()):
        other._cache[person_id] = (time.monotonic() - CACHE_SECONDS, key)

    assert (await other.open_many([sealed], "/contact"))[0].state == "erased"
    other._cache["person-1"] = (time.monotonic() - CACHE_SECONDS, KEK)
    assert await other.key("person-1") is None


async def test_keyring_key_of_another_person_opens_nothing_and_stops_no_other(mongo: Mongo) -> None:
    """A stored key is bound to its person: exchanged in the database, it is unreadable, and the others open."""
    keyring = Keyring(mongo, KEK)
    sealed = [await keyring.seal(person, "event", "/contact", person) for person in ("person-1", "person-2")]
    keys = mongo.database("keyring")["keys"]
    foreign = await keys.find_one({"_id": "person-1"})
    assert foreign is not None
    await keys.update_one({"_id": "person-2"}, {"$set": {"wrapped": foreign["wrapped"]}})

    opened = await Keyring(mongo, KEK).open_many(sealed, "/contact")

    assert [value.state for value in opened] == ["opened", "unreadable"]


async def test_keyring_start_finds_the_wrong_key_behind_erased_persons(mongo: Mongo) -> None:
    """An erased person has no key to try; with erased persons alone any key may start."""
    keyring = Keyring(mongo, KEK)
    await keyring.erase("person-0")
    await Keyring(mongo, bytes(32)).check()
    await keyring.key("person-1")

    await keyring.check()
    with pytest.raises(WrongKey):
        await Keyring(mongo, bytes(32)).check()
    with pytest.raises(WrongKey):
        Keyring(mongo, KEK[:16])


async def test_keyring_field_of_another_version_is_not_opened_as_ours(mongo: Mongo) -> None:
    """A later method of sealing has another prefix: what it sealed is refused, whatever it holds."""
    keyring = Keyring(mongo, KEK)
    sealed = await keyring.seal("person-1", "event-1", "/contact", "canary")

    for foreign in (sealed.replace("sealed:v1", "sealed:v2"), sealed.replace("sealed:", "plain:")):
        with pytest.raises(PermanentError, match="unknown method"):
            await keyring.open(foreign, "/contact")
        assert (await keyring.open_many([foreign, sealed], "/contact"))[1].value == "canary"


async def test_keyring_login_of_a_former_spelling_keeps_its_person(mongo: Mongo) -> None:
    """Logins were stored as they are spelt; since case is ignored, one spelling finds the person of the other."""
    person = await Keyring(mongo, KEK).person_id("issuer", "Student-1")

    keyring = Keyring(mongo, KEK, ignores_case=True)

    assert await keyring.person_id("issuer", "Student-1") == person
    assert await keyring.person_id("issuer", "STUDENT-1") == person
    assert await keyring.look_alikes("issuer", ["student-1"]) == set()
    assert await keyring.look_alikes("issuer", ["student-l"]) == {"student-l"}
