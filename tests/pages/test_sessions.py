"""Sessions and late forms on real MongoDB: who is signed in, until when, and what the database gives away."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.mongo.client import Mongo
from shared.web.identity import Identity, LoginFacts
from shared.web.pages.saved_forms import KEPT, SavedForm, SavedForms
from shared.web.pages.sealed_records import SecretKey, is_secret, new_secret
from shared.web.pages.sessions import SEEN_EVERY, Session, SessionLimits, Sessions

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
LIMITS = SessionLimits(idle=timedelta(minutes=30), absolute=timedelta(hours=10))
STUDENT = Session(
    Identity("person-1", frozenset({"student"}), LoginFacts("s1234567", frozenset({"example-biology"}))),
    "Canary Name",
    "canary.id.token",
    "urn:example:strong",
)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def sessions(mongo: Mongo) -> Sessions:
    """The sessions of one process."""
    sessions = Sessions(mongo, LIMITS)
    await sessions.create_indexes()
    return sessions


async def test_a_session_is_the_same_for_every_service(mongo: Mongo, sessions: Sessions) -> None:
    """What one process began, another reads in full; each sign-in has a secret and a form token of its own."""
    secret = await sessions.begin(STUDENT, NOW)
    found = await Sessions(mongo, LIMITS).of(secret, NOW + MINUTE)
    other = await sessions.of(await sessions.begin(STUDENT, NOW), NOW)

    assert found is not None
    assert other is not None
    assert (found.identity, found.name, found.id_token, found.strength) == (
        STUDENT.identity, "Canary Name", "canary.id.token", "urn:example:strong",
    )  # fmt: skip
    assert not found.has_ended
    assert len(found.form_token) == 48
    assert found.form_token != other.form_token


async def test_a_session_without_facts_of_the_login_keeps_none(sessions: Sessions) -> None:
    """A login that says nothing about programmes must not turn into one that says: none."""
    officer = Session(Identity("person-2", frozenset({"safety-officer"})), "", "")
    found = await sessions.of(await sessions.begin(officer, NOW), NOW)

    assert found is not None
    assert found.identity == officer.identity


async def test_a_session_ends_when_nobody_used_it(sessions: Sessions) -> None:
    """Half an hour after the last use, to the minute; each use begins the half hour again."""
    secret, at = await sessions.begin(STUDENT, NOW), NOW
    for _ in range(3):
        at += LIMITS.idle - MINUTE
        used = await sessions.of(secret, at)
        assert used is not None
        assert not used.has_ended
    just_before, on_time = (
        await sessions.of(secret, at + LIMITS.idle - timedelta(seconds=1)),
        await sessions.of(secret, at + 2 * LIMITS.idle - timedelta(seconds=1)),
    )

    assert just_before is not None
    assert not just_before.has_ended
    assert on_time is not None
    assert on_time.has_ended
    assert on_time.identity == STUDENT.identity


async def test_a_session_ends_however_much_it_is_used(sessions: Sessions) -> None:
    """Ten hours after signing in."""
    secret, at = await sessions.begin(STUDENT, NOW), NOW
    while at + LIMITS.idle / 2 < NOW + LIMITS.absolute:
        at += LIMITS.idle / 2
        used = await sessions.of(secret, at)
        assert used is not None
        assert not used.has_ended
    over = await sessions.of(secret, NOW + LIMITS.absolute)

    assert over is not None
    assert over.has_ended


async def test_using_a_session_writes_at_most_once_a_minute(mongo: Mongo, sessions: Sessions) -> None:
    """A page of many parts does not write for each, and a slow request never moves the last use back."""
    secret = await sessions.begin(STUDENT, NOW)
    records = mongo.database("sessions")["sessions"]

    async def seen() -> datetime:
        record = await records.find_one({})
        assert record is not None
        at: datetime = record["seenAt"]
        return at

    await sessions.of(secret, NOW + SEEN_EVERY - timedelta(seconds=1))
    assert await seen() == NOW
    await sessions.of(secret, NOW + 3 * SEEN_EVERY)
    assert await seen() == NOW + 3 * SEEN_EVERY
    await sessions.of(secret, NOW + SEEN_EVERY)
    assert await seen() == NOW + 3 * SEEN_EVERY


async def test_signing_out_ends_it_everywhere(mongo: Mongo, sessions: Sessions) -> None:
    """The session of this browser, or all of a person; nobody else's."""
    first, second, other = [
        await sessions.begin(session, NOW)
        for session in (STUDENT, STUDENT, Session(Identity("person-2", frozenset({"auditor"})), "", ""))
    ]
    await sessions.end(first)
    assert await Sessions(mongo, LIMITS).of(first, NOW) is None
    assert await sessions.of(second, NOW) is not None

    assert await sessions.end_all("person-1") == 1
    assert await sessions.of(second, NOW) is None
    assert await sessions.of(other, NOW) is not None


@pytest.mark.parametrize("cookie", [None, "", "a", "A" * 42, "A" * 44, "A" * 42 + "=", "$where" + "A" * 37, "é" * 43])
async def test_a_cookie_that_we_did_not_make_opens_nothing(sessions: Sessions, cookie: str | None) -> None:
    """Neither a guess, nor an operator of the database, nor half a secret."""
    await sessions.begin(STUDENT, NOW)

    assert await sessions.of(cookie, NOW) is None
    assert await sessions.of(new_secret(), NOW) is None
    await sessions.end(cookie)


async def test_the_database_alone_tells_nobody_who_is_signed_in(mongo: Mongo, sessions: Sessions) -> None:
    """Names, numbers, roles and tokens are not in the record, and its id opens nothing."""
    secret = await sessions.begin(STUDENT, NOW)
    record = await mongo.database("sessions")["sessions"].find_one({})
    assert record is not None

    for word in ("Canary", "canary.id.token", "s1234567", "student", secret):
        assert word not in repr(record)
    assert await sessions.of(record["_id"], NOW) is None


async def test_a_record_that_was_changed_or_moved_opens_nothing(mongo: Mongo, sessions: Sessions) -> None:
    """The content of an officer's session, put into a student's own record, makes no officer of the student."""
    own = await sessions.begin(STUDENT, NOW)
    officer = await sessions.begin(Session(Identity("person-2", frozenset({"safety-officer"})), "", ""), NOW)
    records = mongo.database("sessions")["sessions"]
    of_officer = await records.find_one({"person": "person-2"})
    assert of_officer is not None
    await records.update_one({"person": "person-1"}, {"$set": {"content": of_officer["content"]}})
    await records.update_one({"person": "person-2"}, {"$set": {"content": of_officer["content"][:-1] + b"0"}})

    assert await sessions.of(own, NOW) is None
    assert await sessions.of(officer, NOW) is None


async def test_records_are_forgotten(mongo: Mongo, sessions: Sessions) -> None:
    """MongoDB itself removes records that nobody may ask for any more."""
    await sessions.begin(STUDENT, NOW)
    await SavedForms(mongo).create_indexes()
    indexes = {name: await mongo.database("sessions")[name].index_information() for name in ("sessions", "savedForms")}
    record = await mongo.database("sessions")["sessions"].find_one({})

    assert record is not None
    assert record["forgottenAt"] == NOW + LIMITS.absolute + timedelta(days=1)
    for of_one in indexes.values():
        assert of_one["forgottenAt_1"]["expireAfterSeconds"] == 0


FORM = SavedForm("person-1", "/registration/activities/new", {"reason": ["Canary words"], "country": ["PT", "ES"]})


async def test_a_late_form_comes_back_to_its_writer_once(mongo: Mongo) -> None:
    """With every field in its order. A second tab finds it gone, so nothing is sent twice from it."""
    saved = SavedForms(mongo)
    secret = await saved.keep(FORM, NOW)
    record = await mongo.database("sessions")["savedForms"].find_one({})

    assert "Canary" not in repr(record)
    assert await saved.take(secret, "person-1", NOW + MINUTE) == FORM
    assert await saved.take(secret, "person-1", NOW + MINUTE) is None


async def test_a_late_form_is_shown_to_nobody_else(mongo: Mongo) -> None:
    """On a shared machine the next person signs in with the cookie of the one before: the form is thrown away."""
    saved = SavedForms(mongo)
    secret = await saved.keep(FORM, NOW)

    assert await saved.take(secret, "person-2", NOW + MINUTE) is None
    assert await saved.take(secret, "person-1", NOW + MINUTE) is None


@pytest.mark.parametrize("cookie", [None, "", "guess", "A" * 43])
async def test_a_form_that_is_unknown_or_old_is_none(mongo: Mongo, cookie: str | None) -> None:
    """Nothing comes back after an hour, whether or not MongoDB has removed it yet."""
    saved = SavedForms(mongo)
    secret = await saved.keep(FORM, NOW)

    assert await saved.take(cookie, "person-1", NOW) is None
    assert await saved.take(secret, "person-1", NOW + KEPT) is None


def test_secrets_differ_and_serve_one_purpose() -> None:
    """The same secret as a session and as a form names two records, and opens one of them."""
    first, second = new_secret(), new_secret()
    session, form = SecretKey(first, "session"), SecretKey(first, "saved form")

    assert first != second
    assert is_secret(first)
    assert session.record_id != form.record_id
    assert form.open(session.seal({"a": 1})) is None
    assert session.open(session.seal({"a": 1})) == {"a": 1}
    assert session.open(b"") is None
    assert SecretKey(first, "session").form_token() == session.form_token() != SecretKey(second, "session").form_token()
